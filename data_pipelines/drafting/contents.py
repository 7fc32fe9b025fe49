"""What files hold that no dataset.yaml describes yet: bands and dtypes."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from data_pipelines.own_data.folders import Folders
from data_pipelines.reading.decoding import image_values
from data_pipelines.spec import DTYPES, DataError

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Kind:
    """What the image files of a folder hold: number of bands, and dtype as in dataset.yaml."""

    bands: int
    dtype: str


def kind_of(folder: Path, paths: Iterable[Path]) -> Kind:
    """The `Kind` that all images have, which are in `folder`. Raises `DataError` where they differ or can't be read."""
    first: dict[Kind, Path] = {}
    for path, kind in each(_kind, list(paths), f"looking at {folder}"):
        first.setdefault(kind, path)
    # Grey photographs among coloured ones are read as colours.
    if set(first) == {Kind(1, "uint8"), Kind(3, "uint8")}:
        return Kind(3, "uint8")
    if len(first) > 1:
        (one, path), (other, second) = list(first.items())[:2]
        raise DataError(
            f"{path} has bands of {one.dtype}: {one.bands}, but {second} of {other.dtype}: {other.bands}: convert "
            "the images so that they are alike"
        )
    return next(iter(first))


def _kind(path):
    pixels = _without_alpha(*image_values(path, orientation=Folders.orientation))
    dtype = pixels.dtype.name
    return Kind(pixels.shape[2], dtype if dtype in DTYPES else DTYPES[-1])


def _without_alpha(values, size, alpha):
    """Values [h, w, bands] less an alpha channel that is opaque, which is dropped in reading too."""
    opaque = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    return values[..., :-1] if alpha and (values[..., -1] == opaque).all() else values


def each(function: Callable[[Path], Result], paths: Sequence[Path], title: str) -> Iterator[tuple[Path, Result]]:
    """Yields (path, what `function` makes of it). Raises `DataError` where it fails for some, with their number."""
    failed: list[str] = []

    def tried(path):
        try:
            return function(path)
        except DataError as error:
            failed.append(str(error))

    with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        for path, result in zip(paths, tqdm(pool.map(tried, paths), title, len(paths), unit="file", disable=None)):
            if result is not None:
                yield path, result
    if failed:
        more = f" (and {len(failed) - 1} more such files)" if len(failed) > 1 else ""
        raise DataError(f"{min(failed)}{more}")
