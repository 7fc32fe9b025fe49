"""Mining over the passes of an update, by hand."""

import numpy as np
import tensorflow as tf

from did_tf.models.phases import PHASES
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.update.passes import Pass, shares


def test_the_hardest_are_counted_per_crop_over_its_shifted_passes():
    """Two crops in two micro-batches, each in four passes of other sizes: 5 positions of each crop, not of each pass.

    The hardest of the first crop are all in its second pass, those of the other are spread.
    """
    sizes, draw = [(2, 3), (2, 2), (1, 3), (1, 2)], np.random.default_rng(0)
    order = [np.split(draw.permutation(15) + 1.0, [6, 10, 13]) for _ in range(2)]
    order[0][1] = np.array([100.0, 101, 102, 103])
    losses = [[part.reshape(1, *size).astype(np.float32) for part, size in zip(crop, sizes)] for crop in order]
    passes = [
        Pass(tf.zeros([1]), {"main": tf.zeros(loss.shape, tf.uint8)}, shift, tf.zeros([2]))
        for crop in losses
        for loss, shift in zip(crop, PHASES)
    ]
    found = shares(PixelCrossEntropy(keep=5), passes, [{"main": loss} for crop in losses for loss in crop], 2)
    for number, crop in enumerate(losses):
        weights = [part["main"].numpy() for part in found.weights[4 * number : 4 * number + 4]]
        fifth = np.sort(np.concatenate([loss.ravel() for loss in crop]))[-5]
        assert [part.tolist() for part in weights] == [(loss >= fifth).astype(float).tolist() for loss in crop]
        assert sum(part.sum() for part in weights) == 5
    assert float(found.divisors[0]) == 10 == float(found.chosen.kept)
