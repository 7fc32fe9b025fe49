"""Labels of three classes beside what a network might say of them."""

import numpy as np

from data_pipelines.spec import IGNORE

CLASSES = ("sky", "road", "car")


def random_pair(seed, shape, block=3):
    """(label, prediction) uint8: blocks of random classes, some void in the label; a sixth are drawn anew."""
    rng = np.random.default_rng(seed)
    small = [-(-side // block) for side in shape]
    label = rng.integers(0, len(CLASSES), small)
    prediction = np.where(rng.random(small) < 1 / 6, rng.integers(0, len(CLASSES), small), label)
    label = np.where(rng.random(small) < 0.1, IGNORE, label)
    return [x.repeat(block, 0).repeat(block, 1)[: shape[0], : shape[1]].astype(np.uint8) for x in (label, prediction)]
