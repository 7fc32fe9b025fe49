"""What all tests share."""

import gc
import os
import random
import sys
from unittest import mock

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Digests of files go into a folder of the tests, also those of commands that they start."""
    os.environ["DID_TF_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def pytest_collection_finish():
    """TensorFlow's own objects are never garbage: looking through them again and again is a tenth of the time."""
    gc.freeze()


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """After the last test of a file, when its fixtures are gone, its networks go too, and what stays is looked through
    for garbage for the last time: else each full collection takes longer than the one before, half a minute at the end.
    """
    if nextitem is None or nextitem.path != item.path:
        _forget(item.module)
        gc.collect()
        gc.freeze()


def _forget(module):
    """Empties what `functools.cache` has kept for the tests of a module."""
    for value in vars(module).values():
        if hasattr(value, "cache_clear") and value.__module__ == module.__name__:
            value.cache_clear()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Every test draws the same numbers, whichever ran before it: what fails once fails again."""
    if "tensorflow" in sys.modules:
        from tensorflow.python.eager import context

        seed = context.set_global_seed
        with mock.patch.object(context, "set_global_seed", lambda value: _as_seeded(context, value) or seed(value)):
            sys.modules["tensorflow"].keras.utils.set_random_seed(1)


def _as_seeded(context, seed):
    """Whether TensorFlow has drawn nothing since it had this seed, which drops all kernels: tests take half longer."""
    return context.global_seed() == seed and context.context()._rng.getstate() == random.Random(seed).getstate()


@pytest.fixture(autouse=True)
def float32_policy():
    """Takes back the Keras policy that a test has set. Tests that need no TensorFlow don't wait for its import."""
    yield
    if "tensorflow" in sys.modules:
        sys.modules["tensorflow"].keras.mixed_precision.set_global_policy("float32")
