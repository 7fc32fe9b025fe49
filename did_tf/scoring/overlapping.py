"""Scores of regions, the sets of classes that a network tells each by itself (see `Readout`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from data_pipelines.spec import DatasetSpec
from did_tf.common.text import aligned, percent
from did_tf.scoring.metrics import ConfusionMatrix, jsonable, nan_mean, ratio

_SCORES = {"iou": "IoU, %", "dice": "Dice, %"}


class RegionScores:
    """IoU and Dice of each region, over all images as those of classes: of what is painted, and not of probabilities.

    Ignored pixels (255) are in no region. A region has no score where it is neither in the labels nor predicted.

    Args:
      spec: of the data, which has regions.
      matrix: of the classes that are painted.

    Attributes:
      title: what is scored, for people.
    """

    title = "regions, of the classes that they paint"

    def __init__(self, spec: DatasetSpec, matrix: ConfusionMatrix) -> None:
        self._regions, self._matrix = dict(spec.regions), matrix

    def scores(self) -> dict[str, Any]:
        """{"miou", "mean_dice": means over the regions that have one, "regions": {name: {"iou", "dice"}}}."""
        columns = self.columns()
        return {
            "miou": jsonable(nan_mean(columns["iou"])),
            "mean_dice": jsonable(nan_mean(columns["dice"])),
            "regions": {
                name: {key: jsonable(values[number]) for key, values in columns.items()}
                for number, name in enumerate(self._regions)
            },
        }

    def columns(self) -> Mapping[str, np.ndarray]:
        """{"iou", "dice": of each region [R], NaN where there is none}."""
        each = [list(classes) for classes in self._regions.values()]
        counts = self._matrix.counts
        both, truth, found = np.array(
            [(counts[np.ix_(own, own)].sum(), counts[own].sum(), counts[:, own].sum()) for own in each]
        ).T
        return {"iou": ratio(both, truth + found - both), "dice": ratio(2 * both, truth + found)}

    def table(self) -> str:
        """Text to print, in percent: a row per region, then the means."""
        return _table("", self._regions, {_SCORES[key]: values for key, values in self.columns().items()})


def table_of_folds(spec: DatasetSpec, matrices: Mapping[str, ConfusionMatrix]) -> str:
    """Text to print, in percent: a column for each of {title: matrix}, and first the IoU of each region, then Dice."""
    each = {title: RegionScores(spec, matrix).columns() for title, matrix in matrices.items()}
    return "\n\n".join(
        _table(heading, dict(spec.regions), {title: columns[key] for title, columns in each.items()})
        for key, heading in _SCORES.items()
    )


def _table(heading, names, columns):
    """A row for each name, and one of the means of {title: values [R]}."""
    rows = zip(names, *(map(percent, values) for values in columns.values()))
    means = ["mean", *(percent(nan_mean(values)) for values in columns.values())]
    return aligned([[heading, *columns], *rows, means], ruled=(1, 1 + len(names)))
