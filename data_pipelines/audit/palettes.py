"""Label files whose palettes contradict each other: one index is not one class in all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data_pipelines.audit.survey import Survey
from data_pipelines.content import in_threads
from data_pipelines.reading.decoding import label_values, palette_of
from data_pipelines.reading.palettes import Colour, clash, used
from data_pipelines.spec import DatasetSpec


def problems(spec: DatasetSpec, found: Sequence[Survey]) -> list[str]:
    """A line where labels that hold ids show one of them in other colours in other files. Pseudo-labels don't count."""
    if spec.label_colours or spec.shapes:
        return []
    own = [sample for one in found for sample, fit in zip(one.images, one.readable & ~one.pseudo) if fit]
    paths = dict.fromkeys(sample.label for sample in own if sample.label)
    palettes = {path: palette for path, palette in zip(paths, in_threads(palette_of, paths)) if palette}
    return _contradiction(palettes) if len(set(palettes.values())) > 1 else []


def _contradiction(palettes):
    shown: dict[int, tuple[Colour, Path]] = {}
    for path, palette in palettes.items():
        if found := clash(shown, path, used(palette, label_values(path).values)):
            index, known, other, colour = found
            return [
                f"index {index} is {known} in the palette of {other} but {colour} in that of {path}: is it one class? "
                "If the colours are the classes, say labels_hold: colours"
            ]
    return []
