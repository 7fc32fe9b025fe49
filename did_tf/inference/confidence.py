"""How sure a network is of each pixel: measures of its probabilities, for one strip of rows or a whole image.

Of data with regions (see `Readout`) entropy and margin are of the region that it is least sure of: whether a pixel is
in it or not. Confidence is the least probability of a region to be as the pixel's class says: where the network is sure
of a set of regions that no class has, the class that is written is not sure.
"""

from __future__ import annotations

import numpy as np
from scipy.special import entr

from did_tf.common.readout import CLASSES, Readout


def confidence(probabilities: np.ndarray) -> np.ndarray:
    """The largest probability: [..., C] float32 -> [...] float32 in [1 / C, 1]; NaN where they are NaN."""
    return probabilities.max(axis=-1)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    """Entropy as a share of the largest there can be, log C: [..., C] float32 -> [...] float32.

    0 where one class is certain, 1 where all are as probable; NaN where the probabilities are NaN.
    """
    most = np.log(max(2, probabilities.shape[-1]))  # one class alone is always certain
    return np.clip(entr(probabilities).sum(axis=-1, dtype=np.float32) / np.float32(most), 0, 1)


def margin(probabilities: np.ndarray) -> np.ndarray:
    """The largest probability less the second: [..., C] float32 -> [...] float32 in [0, 1]; NaN where they are NaN."""
    if probabilities.shape[-1] == 1:
        return probabilities[..., 0].copy()
    second, first = np.moveaxis(np.partition(probabilities, -2, axis=-1)[..., -2:], -1, 0)
    return first - second


def sureness(name: str, probabilities: np.ndarray, readout: Readout = CLASSES) -> np.ndarray:
    """One of `MEASURES` of probabilities [..., L] float32, as logits were read: [...] float32."""
    if not readout.regions:
        return MEASURES[name](probabilities)
    if name == "confidence":
        return _of_the_class(probabilities, readout)
    of_regions = MEASURES[name](np.stack([probabilities, 1 - probabilities], axis=-1))
    return of_regions.max(axis=-1) if name == "entropy" else of_regions.min(axis=-1)


def _of_the_class(probabilities, readout):
    there = readout.members[readout.classes(probabilities)]
    return np.where(there, probabilities, 1 - probabilities).min(axis=-1)


MEASURES = {"confidence": confidence, "entropy": entropy, "margin": margin}
"""{name: function of probabilities}."""
