"""Where the bands of an image come from: one file, or several whose bands stand behind each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_pipelines.reading.images import read_masked
from data_pipelines.spec import DataError, DatasetSpec, Window


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
    """The bands of several files behind each other, and where there is no data.

    Args:
      paths: of the files.
      specs: of each, as of `part_specs`.
      window, orientation: as for `images.read_image`.

    Returns:
      ([H, W, bands] of the widest dtype, values as they are; [H, W] bool, True where any band has none, or None).

    Raises:
      DataError: a file can't be read, or they differ in size.
    """
    parts = [read_masked(path, spec, window, orientation) for path, spec in zip(paths, specs)]
    image, mask = parts[0]
    for path, (part, holes) in zip(paths[1:], parts[1:]):
        if part.shape[:2] != image.shape[:2]:
            raise DataError(
                f"{paths[0]} is {image.shape[0]}x{image.shape[1]} but {path} is {part.shape[0]}x{part.shape[1]} "
                "(height x width): they must be equal"
            )
        image, mask = np.concatenate([image, part], axis=-1), mask if holes is None else mask | holes
    return image, mask
