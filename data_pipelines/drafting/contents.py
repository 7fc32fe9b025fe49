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
    """What the image files of a folder hold.

    Attributes:
      bands: how many, less alpha that is a mask.
      dtype: as in dataset.yaml.
      nan: whether there is NaN where no file says that nothing was measured.
      masked: whether a mask or alpha says so somewhere.
    """

    bands: int
    dtype: str
    nan: bool = dataclasses.field(default=False, compare=False)
    masked: bool = dataclasses.field(default=False, compare=False)


def kind_of(folder: Path, paths: Iterable[Path]) -> Kind:
    """The `Kind` that all images have, which are in `folder`. Raises `DataError` where they differ or can't be read."""
    first: dict[Kind, Path] = {}
    nan = masked = False
    for path, kind in each(_kind, list(paths), f"looking at {folder}"):
        first.setdefault(kind, path)
        nan, masked = nan or kind.nan, masked or kind.masked
    # Grey photographs among coloured ones are read as colours.
    if set(first) == {Kind(1, "uint8"), Kind(3, "uint8")}:
        return Kind(3, "uint8")
    if len(first) > 1:
        (one, path), (other, second) = list(first.items())[:2]
        raise DataError(
            f"{path} has bands of {one.dtype}: {one.bands}, but {second} of {other.dtype}: {other.bands}: convert "
            "the images so that they are alike"
        )
    return dataclasses.replace(next(iter(first)), nan=nan, masked=masked)


def _kind(path):
    stored = image_values(path, orientation=Folders.orientation)
    pixels = _without_alpha(stored.values, stored.alpha, clear=True)
    dtype = pixels.dtype.name if stored.scale is None else DTYPES[-1]
    clear = pixels.shape[2] < stored.values.shape[2] and not stored.values[..., -1].all()
    masked = clear or stored.void is not None and not stored.tag and bool(stored.void.any())
    nan = pixels.dtype.kind == "f" and bool(np.isnan(pixels[_measured(stored)]).any())
    return Kind(pixels.shape[2], dtype if dtype in DTYPES else DTYPES[-1], nan, masked)


def _measured(stored):
    """[h, w] bool or all: where a file doesn't say itself that nothing was measured."""
    return ... if stored.void is None else ~stored.void.any(axis=-1)


def _without_alpha(values, alpha, clear=False):
    """Values [h, w, bands] less an alpha channel that is opaque, or `clear` where it is not: what reading drops too.

    Another last band may be called alpha by its writer, and be infrared.
    """
    opaque = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    known = (0, opaque) if clear else (opaque,)
    return values[..., :-1] if alpha and np.isin(values[..., -1], known).all() else values


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
