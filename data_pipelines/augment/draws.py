"""Random numbers of one sample.

The first stream of a seed has a fixed length; what came later draws from streams of its own. So whoever doesn't use it
draws as ever.
"""

from __future__ import annotations

import tensorflow as tf

TURN, BOXES, BALANCE, BLUR, TINT, NOISE, COLOUR = range(1, 8)


def stream(seed: tf.Tensor, number: int) -> tf.Tensor:
    """The seed, [2] integers, of the stream of this number, from that of the sample."""
    return tf.random.experimental.stateless_fold_in(seed, number)


def between(uniform: tf.Tensor, low: float, high: float) -> tf.Tensor:
    """Numbers in [0, 1) moved to [low, high)."""
    return low + uniform * (high - low)
