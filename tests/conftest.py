"""What all tests share."""

import os
import sys

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Digests of files go into a folder of the tests, also those of commands that they start."""
    os.environ["DID_TF_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Every test draws the same numbers, whichever ran before it: what fails once fails again."""
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].keras.utils.set_random_seed(1)


@pytest.fixture(autouse=True)
def float32_policy():
    """Takes back the Keras policy that a test has set. Tests that need no TensorFlow don't wait for its import."""
    yield
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].keras.mixed_precision.set_global_policy("float32")
