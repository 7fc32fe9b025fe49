"""Importing this first imports TensorFlow without its greetings: errors are one line on stderr, and no setting of
TensorFlow's keeps it from writing there when it is imported.
"""

import os

from did_tf.common.terminal import silent_stderr

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

with silent_stderr():
    import tensorflow

    # Where there is no GPU, looking for one complains.
    tensorflow.config.list_physical_devices()
