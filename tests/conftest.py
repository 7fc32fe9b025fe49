"""What all tests share."""

import os
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(autouse=True)
def float32_policy():
    """Takes back the Keras policy that a test has set. Tests that need no TensorFlow don't wait for its import."""
    yield
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].keras.mixed_precision.set_global_policy("float32")
