"""Label files whose palettes contradict each other: one index is not one class in all of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from data_pipelines.audit.survey import Survey
from data_pipelines.reading.decoding import label_values, palette_of
from data_pipelines.spec import DatasetSpec


def problems(spec: DatasetSpec, found: Sequence[Survey]) -> list[str]:
    """A line where labels that hold ids show one of them in other colours in other files."""
    if spec.label_colours:
        return []
    whole = [sample for one in found for sample, there in zip(one.images, one.readable) if there]
    paths = dict.fromkeys(sample.label for sample in whole if sample.label)
    palettes = {path: palette for path in paths if (palette := palette_of(path))}
    return _contradiction(palettes) if len(set(palettes.values())) > 1 else []


def _contradiction(palettes):
    shown: dict[int, tuple[tuple[int, ...], Path]] = {}
    for path, palette in palettes.items():
        for index in _used(path, len(palette)):
            colour, other = shown.setdefault(index, (palette[index], path))
            if colour != palette[index]:
                return [
                    f"index {index} is {colour} in the palette of {other} but {palette[index]} in that of {path}: is "
                    "it one class? If the colours are the classes, say labels_hold: colours"
                ]
    return []


def _used(path: Path, count: int) -> Iterable[int]:
    indices = np.unique(label_values(path).values).tolist()
    return [index for index in indices if index < count]
