"""Random numbers of one sample.

The first stream of a seed has a fixed length; what came later draws from streams of its own. So whoever doesn't use it
draws as ever.
"""

import tensorflow as tf

TURN, BOXES, BALANCE, BLUR, TINT, NOISE = range(1, 7)


def stream(seed, number):
    """The seed of the stream of this number."""
    return tf.random.experimental.stateless_fold_in(seed, number)


def between(uniform, low, high):
    """Numbers in [0, 1) moved to [low, high)."""
    return low + uniform * (high - low)
