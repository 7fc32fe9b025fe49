"""Classes of those pixels alone that a network is sure of: pseudo-labels, from which another training can learn."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_pipelines.spec import IGNORE
from did_tf.inference import strips


class Sure:
    """The classes of an image, 255 where the network is not sure of them; it gives rows of itself, as they do.

    Args:
      classes: [H, W] uint8, numbers of classes and 255 where there is no data: an array, or what gives rows of one.
      confidence: [H, W] float32 likewise, the probability of each pixel's class; NaN where there is no data.
      least: that a pixel must have to keep its class.

    Attributes:
      shape: (H, W).
    """

    def __init__(self, classes: Any, confidence: Any, least: float) -> None:
        self._classes, self._confidence, self._least = classes, confidence, np.float32(least)
        self.shape = classes.shape

    def __getitem__(self, rows: slice) -> np.ndarray:
        """[rows, W] uint8."""
        unsure = self._confidence[rows] < self._least
        return np.where(unsure, np.uint8(IGNORE), self._classes[rows])

    def counts(self, num_classes: int) -> list[list[int]]:
        """[pixels of each class, those of them that keep it]."""
        found = np.zeros((2, IGNORE + 1), np.int64)
        for rows in strips.parts(*self.shape):
            for number, classes in enumerate((self._classes, self)):
                found[number] += np.bincount(classes[rows].ravel(), minlength=IGNORE + 1)
        return found[:, :num_classes].tolist()
