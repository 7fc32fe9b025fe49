"""What a dataset.yaml says of regions: sets of classes, which may overlap, each learnt by itself.

    classes: [ground, oedema, core]
    regions: {whole: [oedema, core], core: [core]}

Labels stay as they are, a class for each pixel. What is predicted is painted in the order of the map: where whole is,
oedema, which no later region has; over it, where core is, core; and ground, which is in no region, where none is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from data_pipelines.own_data import values
from data_pipelines.spec import DataError, own_classes


def read_regions(given: Any, names: Sequence[str]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """`DatasetSpec.regions` of the key `regions`, for the classes `names`.

    Raises `DataError`, which names the key, also where what they paint would not be the classes again.
    """
    if not isinstance(given, dict) or not given:
        raise DataError(f"regions must be a map of name to classes, as {{whole: [oedema, core]}}, got {given!r}")
    found = {values.name(name, "regions"): _numbers(part, f"regions.{name}", names) for name, part in given.items()}
    outside = [name for number, name in enumerate(names) if not any(number in part for part in found.values())]
    if len(outside) > 1:
        raise DataError(
            f"regions leave out {_listed(outside):.200}: of classes in no region there can be one, to paint over"
        )
    for name, own in zip(found, own_classes([*found.values()])):
        if not own:
            raise DataError(
                f"regions.{name} is hidden: later regions have all of its classes; put it after them, or leave it out"
            )
        if len(own) > 1:
            alike = _listed(names[number] for number in sorted(own))
            raise DataError(
                f"regions.{name}: no later region tells {alike:.200} apart; add one of all but one after {name}"
            )
    return tuple(found.items())


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
