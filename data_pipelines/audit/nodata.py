"""What pixels without data take from the classes: their labels don't count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_pipelines.audit.survey import Survey
from data_pipelines.spec import DatasetSpec

MUCH = 0.5
"""A class that loses more gets a note."""


def shares(spec: DatasetSpec, one: Survey) -> np.ndarray:
    """[num_classes] share of a class's labelled pixels where the image has no data, 0 to 1."""
    taken = one.taken[: spec.num_classes]
    return taken / np.maximum(one.counts.pixels + taken, 1)


def rows(spec: DatasetSpec, found: Sequence[Survey]) -> list[list[str]]:
    """Rows of the audit's table, a column per split; none where no image has pixels without data."""
    if not any(one.taken.any() for one in found):
        return []
    pixels = [[one.taken.sum() / max(one.counts.pixels.sum() + one.counts.void, 1)] for one in found]
    columns = [[_percent(share) for share in [*of_all, *shares(spec, one)]] for of_all, one in zip(pixels, found)]
    names = ["nodata, % of pixels", *(f"  takes of {index} {name}" for index, name in enumerate(spec.classes))]
    whole, *classes = zip(names, *columns)
    return [list(whole), *(list(row) for row in classes if set(row[1:]) != {_percent(0.0)})]


def problems(spec: DatasetSpec, one: Survey) -> list[str]:
    """A line where nodata leaves nothing of a class that is labelled."""
    lost = [name for name, share in zip(spec.classes, shares(spec, one)) if share == 1]
    return [f"{one.split}: nodata takes all of {', '.join(lost)}: {_way(spec)}"] if lost else []


def notes(spec: DatasetSpec, one: Survey) -> list[str]:
    """A line where nodata takes much of a class."""
    much = [f"{share:.1%} of {name}" for name, share in zip(spec.classes, shares(spec, one)) if MUCH < share < 1]
    return [f"{one.split}: nodata takes {', '.join(much)}: {_way(spec)}"] if much else []


def _way(spec):
    if spec.nodata_rule == "any" and spec.bands > 1:
        return "is a pixel void where one band has no data (nodata_rule: any), or where all have none?"
    return "is that value nodata there?"


def _percent(share):
    return f"{share:.2%}"[:-1]
