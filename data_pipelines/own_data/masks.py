"""Labels that are a folder of masks for each class: which files belong to an image."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipelines.own_data.description import Description
from data_pipelines.own_data.messages import note, some
from data_pipelines.own_data.parts import Part

Masks = tuple[tuple[Path, int], ...]
"""(path, class) of the masks of an image, as of `Sample.masks`."""


def by_class(description: Description, label: Part) -> list[Part]:
    """The labels as a part for each key of `Description.masks`: `label`, all of them, in the order of the classes."""
    return [_part(label, key) for key, _ in _in_order(description)]


def of_images(description: Description, found: Sequence[Mapping[str, Path]]) -> dict[str, Masks]:
    """Name -> its masks, where it has any.

    Args:
      description: which class a folder is of.
      found: name -> path, of each part of `by_class`.
    """
    masks: dict[str, Masks] = {}
    for (_, number), files in zip(_in_order(description), found):
        for name, path in files.items():
            masks[name] = (*masks.get(name, ()), (path, number))
    return masks


def tell_missing(description: Description, found: Sequence[Mapping[str, Path]], names: Sequence[str]) -> None:
    """A line on stderr about each class that has no mask for some of the `names`."""
    for (key, number), files in zip(_in_order(description), found):
        missing = [name for name in names if name not in files]
        if missing:
            note(
                f"{len(missing)} of {len(names)} images have no mask in {description.labels / key}, and count as "
                f"showing no {description.classes[number]}: {some(missing)}"
            )


def _part(label, key):
    """Of a folder; or of all files in which a name stands for the star, which may be that of their folder."""
    before, star, after = key.rpartition("*")
    if not star:
        return dataclasses.replace(label, folder=label.folder / key)
    folder, _, prefix = before.rpartition("/")
    return dataclasses.replace(label, folder=label.folder / folder, prefix=prefix, suffix=after.removeprefix("/"))


def _in_order(description):
    """(key, class), by class: of masks that overlap the last may count."""
    return sorted(description.masks, key=lambda mask: mask[1])
