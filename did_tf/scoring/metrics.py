"""The confusion matrix and the figures derived from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import cv2
import numpy as np

from data_pipelines.spec import IGNORE

_BYTE = np.dtype(np.uint8)
_EXACT = 2**24  # OpenCV counts in float32, which holds whole numbers up to that


class ConfusionMatrix:
    """Counts of (true class, predicted class) over pixels.

    Figures are fractions in [0, 1]; NaN where there is nothing to divide by.

    Args:
      num_classes: 1 to 255 (255 is the ignore label).
      counts: [num_classes, num_classes] pixels, rows the true class and columns the prediction; zeros by default.
        Copied.

    Attributes:
      num_classes: as given.
      counts: likewise, int64.

    Raises:
      ValueError: `num_classes` or the shape of `counts` is wrong.
      TypeError: `counts` are not integers.
    """

    def __init__(self, num_classes: int, counts: np.ndarray | None = None) -> None:
        if not 1 <= num_classes <= IGNORE:
            raise ValueError(f"num_classes must be 1 to {IGNORE}, got {num_classes}")
        shape = (num_classes, num_classes)
        self.num_classes = num_classes
        given = np.asarray(np.zeros(shape, np.int64) if counts is None else counts)
        self.counts = given.astype(np.int64, casting="same_kind")
        if self.counts.shape != shape:
            raise ValueError(f"counts of {num_classes} classes must be {shape}, got {self.counts.shape}")

    def update(self, labels: np.ndarray, predictions: np.ndarray) -> None:
        """Adds the pixels of `labels` (classes, or 255 to ignore) and `predictions` (classes): integers, equal shapes.

        Raises:
          ValueError: shapes differ, or a value is no class. Then nothing is added.
          TypeError: values are not integers.
        """
        labels, predictions = np.asarray(labels), np.asarray(predictions)
        if labels.shape != predictions.shape:
            raise ValueError(f"labels are {labels.shape} but predictions {predictions.shape}: they must be equal")
        kinds = {labels.dtype, predictions.dtype}
        self.counts += self._of_bytes(labels, predictions) if kinds == {_BYTE} else self._of_any(labels, predictions)

    def __add__(self, other: ConfusionMatrix) -> ConfusionMatrix:
        """Matrix of both sets of pixels. Raises ValueError where the numbers of classes differ."""
        if self.num_classes != other.num_classes:
            raise ValueError(f"matrices of {self.num_classes} and {other.num_classes} classes can't be added")
        return ConfusionMatrix(self.num_classes, self.counts + other.counts)

    def overlaps(self) -> np.ndarray:
        """[2, C] int64: pixels of the intersection and of the union of truth and prediction, of each class."""
        return np.array([self._hits, self._truth + self._predicted - self._hits])

    def iou(self) -> np.ndarray:
        """Intersection over union per class [C]; NaN where a class is neither in the truth nor predicted."""
        return ratio(*self.overlaps())

    def precision(self) -> np.ndarray:
        """Per class [C], the fraction of its predictions that are right; NaN where it is never predicted."""
        return ratio(self._hits, self._predicted)

    def recall(self) -> np.ndarray:
        """Per class [C], the fraction of its pixels that are found; NaN where it is not in the truth."""
        return ratio(self._hits, self._truth)

    def share(self) -> np.ndarray:
        """Per class [C], its part of the true pixels; NaN where there are none at all."""
        return ratio(self._truth, self._truth.sum())

    def mean_iou(self) -> float:
        """Mean of `iou()` over the classes that have one."""
        return nan_mean(self.iou())

    def mean_accuracy(self) -> float:
        """Mean of `recall()` over the classes in the truth."""
        return nan_mean(self.recall())

    def pixel_accuracy(self) -> float:
        """Fraction of pixels that are right."""
        return float(ratio(self._hits.sum(), self._truth.sum()))

    def frequency_weighted_iou(self) -> float:
        """Mean of `iou()`, each class weighted by its share."""
        return float(ratio(np.nansum(self._truth * self.iou()), self._truth.sum()))

    def report(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Everything as a JSON-serialisable dict, None for NaN; "miou_classes": how many classes the mean is of.

        Raises ValueError for a wrong number of names.
        """
        if len(class_names) != self.num_classes:
            raise ValueError(f"{len(class_names)} class names for {self.num_classes} classes")
        columns = {"iou": self.iou(), "precision": self.precision(), "recall": self.recall(), "share": self.share()}
        return {
            "miou": jsonable(self.mean_iou()),
            "pixel_accuracy": jsonable(self.pixel_accuracy()),
            "mean_accuracy": jsonable(self.mean_accuracy()),
            "fw_iou": jsonable(self.frequency_weighted_iou()),
            "miou_classes": known(columns["iou"]),
            "mean_accuracy_classes": known(columns["recall"]),
            "pixels": int(self.counts.sum()),
            "classes": {
                name: {key: jsonable(values[i]) for key, values in columns.items()}
                for i, name in enumerate(class_names)
            },
        }

    def _of_bytes(self, labels, predictions):
        """Counts of pixels of 8 bits, in one pass and without a copy of them."""
        found, labels, predictions = np.zeros((256, 256), np.int64), labels.reshape(-1), predictions.reshape(-1)
        for first in range(0, labels.size, _EXACT):
            pixels = [values[first : first + _EXACT] for values in (labels, predictions)]
            found += cv2.calcHist(pixels, [0, 1], None, [256, 256], [0, 256, 0, 256]).astype(np.int64)
        known = self.num_classes
        self._check("label", np.flatnonzero(found[:IGNORE].any(axis=1)), f", and {IGNORE} to ignore")
        self._check("prediction", np.flatnonzero(found.any(axis=0)), "")
        return found[:known, :known]

    def _of_any(self, labels, predictions):
        valid = labels != IGNORE
        self._check("label", labels[valid], f", and {IGNORE} to ignore")
        self._check("prediction", predictions, "")
        rows = labels[valid].astype(np.int64, casting="same_kind")
        cells = rows * self.num_classes + predictions[valid].astype(np.int64, casting="same_kind")
        return np.bincount(cells, minlength=self.counts.size).reshape(self.counts.shape)

    @property
    def _hits(self):
        return np.diag(self.counts)

    @property
    def _truth(self):
        return self.counts.sum(axis=1)

    @property
    def _predicted(self):
        return self.counts.sum(axis=0)

    def _check(self, what, values, besides):
        wrong = values[(values < 0) | (values >= self.num_classes)]
        if wrong.size:
            raise ValueError(f"{what} {wrong[0]} is no class: known are 0 to {self.num_classes - 1}{besides}")


def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """part / whole, element by element; NaN where that is 0 / 0."""
    with np.errstate(invalid="ignore"):
        return np.true_divide(part, whole)


def nan_mean(values: np.ndarray) -> float:
    """Mean of those values of an array that are not NaN; NaN where there are none."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else float("nan")


def known(values: np.ndarray) -> int:
    """How many values of an array are not NaN."""
    return int(np.count_nonzero(~np.isnan(values)))


def left_out(columns: Iterable[np.ndarray]) -> list[list[str]]:
    """How many values the mean of each column is of, as rows of a table: one, or none where no column has a NaN.

    Args:
      columns: values of the same classes, such as their IoU, NaN where a class has none.
    """
    counts = [(known(column), len(column)) for column in columns]
    if all(some == all_ for some, all_ in counts):
        return []
    return [["  classes in it", *(f"{some} of {all_}" for some, all_ in counts)]]


def jsonable(value: float) -> float | None:
    """A figure for JSON, which has no NaN: None in its place."""
    return None if np.isnan(value) else float(value)
