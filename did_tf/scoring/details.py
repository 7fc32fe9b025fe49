"""Scores that the confusion matrix hides: how exact borders are, and how well objects of each size are found."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from data_pipelines.spec import IGNORE, Dataset, Sample
from did_tf.common.readout import readout_of
from did_tf.common.text import aligned, percent
from did_tf.scoring.metrics import jsonable, left_out, nan_mean, ratio

SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, np.inf)}
"""Area of an object in pixels, [low, high), by the bounds of MS-COCO."""
WIDTH = 0.02  # of the border, as part of the image's diagonal: that of the Boundary IoU paper


class DetailScores:
    """Boundary IoU, and IoU by size of objects, of each class over all images.

    Boundary IoU (Cheng et al., CVPR 2021): IoU of the pixels of a class that are within 2 % of the image's diagonal
    (counted in rows and columns, at least one pixel) of its border; the image's edge is a border. Sums are over all
    images, as those of IoU.

    An object is an 8-connected component of a class. IoU by size: hits and misses count for the size of the true
    object, false positives for that of the predicted one.

    Ignored pixels (255) belong to no class, in the label nor in the prediction.

    Args:
      dataset: `Dataset` for segmentation.

    Attributes:
      title: what is scored, for people.
      classes: class names.
    """

    title = "borders (within 2 % of the diagonal) and objects by size (bounds 32x32 and 96x96 pixels)"

    def __init__(self, dataset: Dataset) -> None:
        self.classes, self._readout = dataset.spec.classes, readout_of(dataset.spec)
        self._border, self._objects = _Sums(len(self.classes)), {size: _Sums(len(self.classes)) for size in SIZES}

    def update(self, sample: Sample, label: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds one image.

        Args:
          sample: isn't used.
          label: [H, W] uint8, class ids and 255.
          probabilities: [H, W, L] float32, of classes or regions.
        """
        prediction = self._readout.classes(probabilities).astype(np.uint8)
        prediction[label == IGNORE] = IGNORE
        width = max(1, round(WIDTH * np.hypot(*label.shape)))
        for index in range(len(self.classes)):
            truth, found = (np.uint8(x == index) for x in (label, prediction))
            if truth.any() or found.any():
                self._border.add(index, _border(truth, width), _border(found, width))
                self._add_objects(index, truth, found)

    def iou(self) -> dict[str, np.ndarray]:
        """IoU per class [C] of "border", "small", "medium" and "large": fractions, NaN where there is no such pixel."""
        return {"border": self._border.iou(), **{size: sums.iou() for size, sums in self._objects.items()}}

    def scores(self) -> dict[str, Any]:
        """`iou` and its means over the classes that have one, as a JSON-serialisable dict."""
        return {
            kind: {"miou": jsonable(nan_mean(iou)), "classes": dict(zip(self.classes, map(jsonable, iou)))}
            for kind, iou in self.iou().items()
        }

    def table(self) -> str:
        """Text to print, in percent: a row per class, a column per score; last, how many classes its mean is of."""
        columns = self.iou()
        cells = [[name, *map(percent, values)] for name, *values in zip(self.classes, *columns.values())]
        means = ["mIoU", *(percent(nan_mean(iou)) for iou in columns.values())]
        rows = [["IoU, %", *columns], *cells, means, *left_out(columns.values())]
        return aligned(rows, ruled=(1, len(cells) + 1))

    def _add_objects(self, index, truth, found):
        truths, finds = _areas(truth), _areas(found)
        for size, (low, high) in SIZES.items():
            true_here = truth & (truths >= low) & (truths < high)
            false_here = found & ~truth & (finds >= low) & (finds < high)
            self._objects[size].add(index, true_here, (true_here & found) | false_here)


class _Sums:
    """Pixels of the intersection and of the union, per class."""

    def __init__(self, classes: int) -> None:
        self._both, self._either = np.zeros((2, classes), np.int64)

    def add(self, index, truth, found):
        self._both[index] += np.count_nonzero(truth & found)
        self._either[index] += np.count_nonzero(truth | found)

    def iou(self):
        return ratio(self._both, self._either)


def _border(mask, width):
    """Pixels of a mask [H, W] uint8 up to `width` rows and columns from what is not in it, or outside of the image."""
    kernel = np.ones((2 * width + 1, 2 * width + 1), np.uint8)
    return mask & (cv2.erode(mask, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0) == 0)


def _areas(mask):
    """[H, W]: area in pixels of the object that a pixel belongs to; 0 outside of `mask`."""
    _, objects, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
    areas = stats[:, cv2.CC_STAT_AREA]
    areas[0] = 0
    return areas[objects]
