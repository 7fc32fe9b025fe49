"""Scores of a cross-validation: each image by the network that has not learnt from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.spec import DatasetSpec
from did_tf.common.text import aligned, percent
from did_tf.scoring import bootstrap
from did_tf.scoring.bootstrap import GROUPS, IMAGES, LEAST
from did_tf.scoring.metrics import ConfusionMatrix, jsonable, left_out, nan_mean
from did_tf.scoring.overlapping import RegionScores, table_of_folds


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
      spec: of the data.
      grouped: whether images stay together by groups, which are then what a bootstrap draws.
      seed: of the bootstrap.

    Attributes:
      folds: {number: `ConfusionMatrix` of the images of a fold}.
      pooled: of all images.
      interval: of the pooled scores, see `bootstrap.interval`, over groups where there are groups.
    """

    def __init__(self, images: Sequence[HeldOut], spec: DatasetSpec, grouped: bool, seed: int) -> None:
        self.images, self.spec, self.grouped = list(images), spec, grouped
        self.folds = _summed(((image.fold, image.matrix) for image in images), spec.num_classes)
        self.pooled = sum(self.folds.values(), ConfusionMatrix(spec.num_classes))
        groups = [image.group for image in images] if grouped else None
        self.interval = bootstrap.interval([image.matrix.overlaps() for image in images], seed, groups)

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
        """Everything, as JSON; scores are fractions. Those of regions are there where the data have some."""
        classes = self.spec.classes
        return {
            "miou": {
                "pooled": jsonable(self.pooled.mean_iou()),
                "folds": [jsonable(score) for score in self.scores],
                "mean": jsonable(nan_mean(self.scores)),
                "std": jsonable(self.std),
            },
            "pooled": self.pooled.report(classes),
            "interval": self.interval.report(classes) if self.interval else None,
            "folds": {str(number): matrix.report(classes) for number, matrix in self.folds.items()},
            "images": [
                {"name": name, "fold": fold, "group": group, "miou": jsonable(matrix.mean_iou())}
                for name, fold, group, matrix in self.images
            ],
            **({"regions": self._of_regions()} if self.spec.regions else {}),
        }

    def _of_regions(self):
        """The scores of regions: of all images, and of each fold."""
        of_folds = {str(number): RegionScores(self.spec, matrix).scores() for number, matrix in self.folds.items()}
        return {"pooled": RegionScores(self.spec, self.pooled).scores(), "folds": of_folds}

    def table(self) -> str:
        """Text to print: IoU per class and mIoU in percent of each fold and of all images, then what they come to.

        Between them, where the data have regions, IoU and Dice of these.
        """
        columns = {**{f"fold {number}": matrix for number, matrix in self.folds.items()}, "all": self.pooled}
        ious = [matrix.iou() for matrix in columns.values()]
        of_fold = [str(sum(image.fold == number for image in self.images)) for number in self.folds]
        drawn = GROUPS if self.grouped else IMAGES
        cells = [
            ["IoU, %", *columns],
            *([name, *map(percent, values)] for name, *values in zip(self.spec.classes, *ious)),
            ["mIoU", *(percent(matrix.mean_iou()) for matrix in columns.values())],
            *left_out(ious),
            ["images", *of_fold, str(len(self.images))],
        ]
        lines = [
            aligned(cells, ruled=(1, 1 + self.spec.num_classes)),
            "",
            *([RegionScores.title, table_of_folds(self.spec, columns), ""] if self.spec.regions else []),
            f"mIoU of the folds: mean {percent(nan_mean(self.scores))} %, standard deviation {percent(self.std)}",
            f"mIoU over all images: {percent(self.pooled.mean_iou())} %",
            str(self.interval or f"no interval: there are fewer than {LEAST} {drawn} with labels"),
        ]
        return "\n".join(lines)


def _summed(pairs: Iterable[tuple[Any, ConfusionMatrix]], num_classes: int) -> dict[Any, ConfusionMatrix]:
    """{key: sum of its matrices}, sorted."""
    found: dict[Any, ConfusionMatrix] = defaultdict(lambda: ConfusionMatrix(num_classes))
    for key, matrix in pairs:
        found[key] += matrix
    return dict(sorted(found.items()))
