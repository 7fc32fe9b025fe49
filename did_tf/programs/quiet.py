"""Importing this first imports TensorFlow without its greetings: errors are one line on stderr, and no setting of
TensorFlow's keeps it from writing there when it is imported.
"""

import contextlib
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextlib.contextmanager
def _silent_stderr():
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


with _silent_stderr():
    import tensorflow

    # Where there is no GPU, looking for one complains.
    tensorflow.config.list_physical_devices()
