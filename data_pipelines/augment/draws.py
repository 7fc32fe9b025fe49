"""Random numbers of one sample.

The first stream of a seed has a fixed length; what came later draws from streams of its own. So whoever doesn't use it
draws as ever.
"""

from __future__ import annotations

import tensorflow as tf

TURN, BOXES, BALANCE, BLUR, TINT, NOISE, COLOUR, ERASE, OTHER, MIX, CLASSES, OBJECTS, ELASTIC, SHARE = range(1, 15)


def stream(seed: tf.Tensor, number: int) -> tf.Tensor:
    """The seed, [2] integers, of the stream of this number, from that of the sample."""
    return tf.random.experimental.stateless_fold_in(seed, number)


def between(uniform: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Numbers in [0, 1) moved to [low, high)."""
    return low + uniform * (high - low)


def placed(uniform: tf.Tensor, free: tf.Tensor) -> tf.Tensor:
    """Whole numbers from 0 to `free`, which may be negative, of numbers in [0, 1)."""
    last = tf.abs(free)
    steps = tf.cast(uniform * tf.cast(last + 1, tf.float32), tf.int32)
    return tf.sign(free) * tf.minimum(steps, last)  # float32 may round up
