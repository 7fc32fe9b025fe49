"""What a dataset.yaml says of regions: sets of classes, which may overlap, each learnt by itself.

    classes: [ground, oedema, core]
    regions: {whole: [oedema, core], core: [core]}

Labels stay as they are, a class for each pixel. What is predicted is painted in the order of the map: where whole is,
oedema, which no later region has; over it, where core is, core; and ground, which is in no region, where none is. Where
that gives not every class, a pixel has the likeliest, see `DatasetSpec.sets`.

Where a pixel may have several labels (masks_overlap: {shaded roof: [roof, shadow]}), each of them is a region unless
others are said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from data_pipelines.own_data import values
from data_pipelines.spec import IGNORE, DataError, own_classes


def read_regions(given: Any, names: Sequence[str]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """`DatasetSpec.regions` of the key `regions`, for the classes `names`.

    Raises `DataError`, which names the key, also where what they paint would not be the classes again.
    """
    if not isinstance(given, dict) or not given:
        raise DataError(f"regions must be a map of name to classes, as {{whole: [oedema, core]}}, got {given!r}")
    found = {values.name(name, "regions"): _numbers(part, f"regions.{name}", names) for name, part in given.items()}
    _check_apart(found, names)
    for name, own in zip(found, own_classes([*found.values()])):
        if not own:
            raise DataError(
                f"regions.{name} is hidden: later regions have all of its classes; put it after them, or leave it out"
            )
    return tuple(found.items())


def regions_of_labels(labels: Mapping[str, Any]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """`DatasetSpec.regions` where a pixel may have several labels: one for each of these; else none.

    `labels` is of `classes.read_classes`.
    """
    if not labels["combinations"]:
        return ()
    drawn = dict.fromkeys(number for _, number in (*labels["masks"], *labels["shapes"]))
    return tuple(
        (labels["classes"][number], (number, *(one for one, parts in labels["combinations"] if number in parts)))
        for number in drawn
        if number not in (labels["rest"], IGNORE)
    )


def _check_apart(found, names):
    """Refuses regions of which two classes have the same."""
    alike = defaultdict(list)
    for number, name in enumerate(names):
        alike[tuple(region for region, part in found.items() if number in part)].append(name)
    for regions, classes in alike.items():
        if len(classes) > 1 and not regions:
            raise DataError(
                f"regions leave out {_listed(classes):.200}: of classes in no region there can be one, to paint over"
            )
        if len(classes) > 1:
            raise DataError(
                f"regions.{regions[-1]}: no other region tells {_listed(classes):.200} apart; add one of all but one "
                f"after {regions[-1]}"
            )


def _numbers(part, key, names):
    """Numbers of the classes that a region lists."""
    given = [values.text(name, key) for name in values.entries(part, key)]
    if not given:
        raise DataError(f"{key} is empty: list its classes, or leave it out")
    for name in given:
        if name not in names:
            raise DataError(f"{key} names {name!r}, which is no class{values.nearest(name, names)}")
    values.refuse_repeats(given, key)
    return tuple(map(names.index, given))


def _listed(names):
    return " and ".join(map(repr, names))
