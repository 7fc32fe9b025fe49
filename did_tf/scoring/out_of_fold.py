"""Scores of a cross-validation: each image by the network that has not learnt from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from did_tf.common.text import aligned, percent
from did_tf.scoring.metrics import ConfusionMatrix, jsonable, left_out, nan_mean, ratio

RESAMPLES, CONFIDENCE = 2000, 0.95
"""How often a bootstrap draws, and which part of its results an interval holds."""


class HeldOut(NamedTuple):
    """One image as the fold has scored it that has not learnt from it.

    Attributes:
      name: of the image.
      fold: number of the fold.
      group: what it has in common with those that it stays with; its name where there are no groups.
      matrix: `ConfusionMatrix` of its pixels.
    """

    name: str
    fold: int
    group: str
    matrix: ConfusionMatrix


class OutOfFold:
    """The scores of all images.

    Args:
      images: `HeldOut`, one or more.
      classes: names of the classes.
      grouped: whether images stay together by groups, which are then what a bootstrap draws.
      seed: of the bootstrap.

    Attributes:
      folds: {number: `ConfusionMatrix` of the images of a fold}.
      pooled: of all images.
      unit: what a bootstrap draws, "image" or "group".
      units: how many there are.
      interval: (low, high) of the pooled mIoU, a percentile bootstrap.
    """

    def __init__(self, images: Sequence[HeldOut], classes: Sequence[str], grouped: bool, seed: int) -> None:
        self.images, self.classes, self.unit = list(images), classes, "group" if grouped else "image"
        self.folds = _summed(((image.fold, image.matrix) for image in images), len(classes))
        self.pooled = sum(self.folds.values(), ConfusionMatrix(len(classes)))
        units = _summed(((image.group, image.matrix) for image in images), len(classes))
        self.units = len(units)
        self.interval = bootstrap([matrix.counts for matrix in units.values()], seed)

    @property
    def scores(self) -> np.ndarray:
        """mIoU of each fold, float64."""
        return np.array([matrix.mean_iou() for matrix in self.folds.values()])

    @property
    def std(self) -> float:
        """Standard deviation of `scores`, of the sample (divided by one less than there are)."""
        known = self.scores[~np.isnan(self.scores)]
        return float(known.std(ddof=1)) if known.size > 1 else float("nan")

    def report(self) -> dict[str, Any]:
        """Everything, as JSON; mIoU are fractions."""
        low, high = map(jsonable, self.interval)
        return {
            "miou": {
                "pooled": jsonable(self.pooled.mean_iou()),
                "interval": {
                    "low": low,
                    "high": high,
                    "confidence": CONFIDENCE,
                    "resamples": RESAMPLES,
                    "unit": self.unit,
                    "units": self.units,
                },
                "folds": [jsonable(score) for score in self.scores],
                "mean": jsonable(nan_mean(self.scores)),
                "std": jsonable(self.std),
            },
            "pooled": self.pooled.report(self.classes),
            "folds": {str(number): matrix.report(self.classes) for number, matrix in self.folds.items()},
            "images": [
                {"name": name, "fold": fold, "group": group, "miou": jsonable(matrix.mean_iou())}
                for name, fold, group, matrix in self.images
            ],
        }

    def table(self) -> str:
        """Text to print: IoU per class and mIoU in percent of each fold and of all images, then what they come to."""
        columns = {**{f"fold {number}": matrix for number, matrix in self.folds.items()}, "all": self.pooled}
        ious = [matrix.iou() for matrix in columns.values()]
        of_fold = [str(sum(image.fold == number for image in self.images)) for number in self.folds]
        cells = [
            ["IoU, %", *columns],
            *([name, *map(percent, values)] for name, *values in zip(self.classes, *ious)),
            ["mIoU", *(percent(matrix.mean_iou()) for matrix in columns.values())],
            *left_out(ious),
            ["images", *of_fold, str(len(self.images))],
        ]
        low, high = map(percent, self.interval)
        lines = [
            aligned(cells, ruled=(1, 1 + len(self.classes))),
            "",
            f"mIoU of the folds: mean {percent(nan_mean(self.scores))} %, standard deviation {percent(self.std)}",
            f"mIoU over all images: {percent(self.pooled.mean_iou())} %, {100 * CONFIDENCE:g} % interval "
            f"{low} to {high} (bootstrap over {self.units} {self.unit}s)",
        ]
        return "\n".join(lines)


def bootstrap(counts: Sequence[np.ndarray], seed: int, resamples: int = RESAMPLES) -> tuple[float, float]:
    """(low, high): percentiles of the mIoU of as many images, or groups, drawn from these with replacement.

    mIoU is over the classes that are in the labels or predicted within what is drawn; NaN where there is none.

    Args:
      counts: [num_classes, num_classes] of each image, or group.
      seed: of the draws.
      resamples: how many there are.
    """
    each = np.stack([[np.diag(one), one.sum(axis=1), one.sum(axis=0)] for one in counts])  # all that IoU is made of
    draws = np.random.default_rng(seed).integers(0, len(counts), (resamples, len(counts)))
    times = np.stack([np.bincount(draw, minlength=len(counts)) for draw in draws])
    hits, truth, predicted = np.moveaxis(np.tensordot(times, each, 1), 1, 0)
    scores = np.array([nan_mean(iou) for iou in ratio(hits, truth + predicted - hits)])
    outside = 100 * (1 - CONFIDENCE) / 2
    low, high = np.nanpercentile(scores, (outside, 100 - outside))
    return float(low), float(high)


def _summed(pairs: Iterable[tuple[Any, ConfusionMatrix]], num_classes: int) -> dict[Any, ConfusionMatrix]:
    """{key: sum of its matrices}, sorted."""
    found: dict[Any, ConfusionMatrix] = defaultdict(lambda: ConfusionMatrix(num_classes))
    for key, matrix in pairs:
        found[key] += matrix
    return dict(sorted(found.items()))
