"""Where the bands of an image come from: one file, or several whose bands stand behind each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_pipelines.reading.holes import Filled, joined
from data_pipelines.reading.images import check_sizes, read_filled
from data_pipelines.reading.places import check_places
from data_pipelines.spec import DatasetSpec, Window


@dataclasses.dataclass(frozen=True)
class Part:
    """Files that give some of an image's bands.

    Attributes:
      folder: where they are; with braces, several folders.
      suffix: what ends their names, before the extension or with it.
      bands: names of the bands.
      dtype: of the pixel values in the files.
      prefix: what begins their names.
    """

    folder: Path
    suffix: str
    bands: tuple[str, ...]
    dtype: str
    prefix: str = ""


def placed(parts: Sequence[Part], folder: Path) -> tuple[Part, ...]:
    """`parts` with their folders below another `folder`, or nothing where it hasn't got them."""
    together = len({part.folder for part in parts}) == 1
    folders = [folder if together else folder / part.folder.name for part in parts]
    if len(set(folders)) != len({part.folder for part in parts}) or not all(map(Path.is_dir, folders)):
        return ()
    return tuple(dataclasses.replace(part, folder=below) for part, below in zip(parts, folders))


def part_specs(parts: Sequence[Part], spec: DatasetSpec) -> list[DatasetSpec]:
    """What the files of each part hold: `spec` with the part's bands and dtype."""
    specs, first = [], 0
    for part in parts:
        last = first + len(part.bands)
        mean, std = spec.mean[first:last], spec.std[first:last]
        specs.append(dataclasses.replace(spec, band_names=part.bands, dtype=part.dtype, mean=mean, std=std))
        first = last
    return specs


def read_parts(
    paths: Sequence[Path], specs: Sequence[DatasetSpec], window: Window | None = None, orientation: str = "stored"
) -> tuple[np.ndarray, np.ndarray | None]:
    """(image, void pixels or None) as of `fill_parts`, whose arguments and errors these are."""
    image, _, void = fill_parts(paths, specs, window, orientation)
    return image, void


def fill_parts(
    paths: Sequence[Path], specs: Sequence[DatasetSpec], window: Window | None = None, orientation: str = "stored"
) -> Filled:
    """The bands of several files behind each other, and where there is no data: by the rule, over all files.

    Args:
      paths: of the files.
      specs: of each, as of `part_specs`.
      window, orientation: as for `images.read_image`.

    Returns:
      `Filled`, whose image is [H, W, bands] of the widest dtype, values as they are.

    Raises:
      DataError: a file can't be read, or they differ in size or place.
    """
    parts = [read_filled(path, spec, window, orientation) for path, spec in zip(paths, specs)]
    for path, part in zip(paths[1:], parts[1:]):
        check_sizes(paths[0], parts[0].image, path, part.image, window)
        check_places(paths[0], path)
    return joined(parts, specs[0].nodata_rule)
