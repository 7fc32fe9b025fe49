"""How often the classes of a data set occur, and the weights that balance them."""

from __future__ import annotations

import numpy as np

from data_pipelines.spec import IGNORE

STRIP = 2**22
"""Pixels that are counted at once: NumPy makes eight bytes of each."""


def values_of(label: np.ndarray) -> np.ndarray:
    """[256] int64, or longer where there are larger values: pixels per value of a label of integers, 0 or more."""
    values = np.ravel(label)
    length = max(IGNORE, int(values.max(initial=0))) + 1
    strips = (values[first : first + STRIP] for first in range(0, len(values), STRIP))
    return sum((np.bincount(strip, minlength=length) for strip in strips), np.zeros(length, np.int64))


class ClassCounts:
    """Sums over the labels of a split, 0 at first; in classification an image counts as one pixel.

    Attributes:
      pixels: [num_classes] int64, pixels of each class.
      images: [num_classes] int64, images that it occurs in.
      around: [num_classes] int64, all pixels of these images, void too.
      void: number of pixels without a class.
    """

    def __init__(self, num_classes: int) -> None:
        self.pixels, self.images, self.around = (np.zeros(num_classes, np.int64) for _ in range(3))
        self.void = 0

    def add(self, values: np.ndarray) -> None:
        """Adds a label map, given as pixels per value, [256] integers."""
        pixels = values[: len(self.pixels)]
        self.pixels += pixels
        self.images += pixels > 0
        self.around += np.where(pixels > 0, values.sum(), 0)
        self.void += int(values[IGNORE])

    def add_image(self, class_id: int) -> None:
        """Adds an image of one class."""
        for sums in (self.pixels, self.images, self.around):
            sums[class_id] += 1

    @property
    def shares(self) -> np.ndarray:
        """[num_classes] share among the pixels that have a class, 0 to 1."""
        return self.pixels / max(self.pixels.sum(), 1)

    @property
    def void_share(self) -> float:
        """Share of void among all pixels, 0 to 1."""
        return self.void / max(self.pixels.sum() + self.void, 1)

    def median_frequency_weights(self) -> np.ndarray:
        """[num_classes] weights of median frequency balancing (SegNet, section 4.1; Eigen and Fergus, section 6.3.2).

        A class's frequency is its share of all pixels of the images that it occurs in, and its weight the median of
        the frequencies over its own. Classes that never occur weigh 1 and don't count for the median. The trainer has
        them with `loss.class_balance = 1` and `loss.class_frequency = "segnet"`.
        """
        return _median_over(self.pixels / np.maximum(self.around, 1))

    def balance_weights(self) -> np.ndarray:
        """[num_classes] weights of the trainer's `loss.class_balance = 1` by itself: a class's share of all pixels.

        Classes that never occur weigh 1 and don't count for the median.
        """
        return _median_over(self.pixels.astype(float))


def difference(first: ClassCounts, second: ClassCounts) -> float:
    """Half the sum of the differences of the classes' shares: 0 where they are equal, 1 where no class is common."""
    return float(np.abs(first.shares - second.shares).sum() / 2)


def _median_over(frequencies):
    seen = frequencies > 0
    weights = np.ones(len(frequencies))
    weights[seen] = np.median(frequencies[seen]) / frequencies[seen] if seen.any() else 1
    return weights
