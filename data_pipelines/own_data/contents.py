"""What files hold that no dataset.yaml describes yet: bands, and ids or colours."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from data_pipelines.own_data.description import MOST_CLASSES
from data_pipelines.own_data.folders import Folders
from data_pipelines.own_data.values import LARGEST_ID
from data_pipelines.reading.decoding import image_values, label_values
from data_pipelines.spec import DTYPES, IGNORE, DataError


@dataclasses.dataclass(frozen=True)
class Kind:
    """What the image files of a folder hold: number of bands, and dtype as in dataset.yaml."""

    bands: int
    dtype: str


def kind_of(folder: Path, paths: Iterable[Path]) -> Kind:
    """The `Kind` that all images have, which are in `folder`. Raises `DataError` where they differ or can't be read."""
    first: dict[Kind, Path] = {}
    for path, kind in _each(_kind, list(paths), f"looking at {folder}"):
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


def values_of(paths: Iterable[Path]) -> tuple[dict[Any, int], bool]:
    """({id, or colour (R, G, B): its pixels in all labels}, sorted; whether they are colours).

    Raises:
      DataError: a label can't be read, or together they can't be labels of one data set.
    """
    totals: Counter[Any] = Counter()
    first: dict[bool, Path] = {}
    for path, (values, colours) in _each(_values, list(paths), "looking at labels"):
        first.setdefault(colours, path)
        totals.update(values)
        wrong = [] if colours else [value for value in values if not 0 <= value <= LARGEST_ID]
        if wrong:
            raise DataError(f"label {path} holds {wrong[0]}: ids are 0 to {LARGEST_ID}; change it, for instance to 255")
        if len(totals) > MOST_CLASSES + 1:
            raise DataError(f"{path}: more than {MOST_CLASSES + 1} ids or colours so far: are these labels?")
    if len(first) > 1:
        raise DataError(f"{first[True]} holds colours, but {first[False]} holds ids: convert one kind to the other")
    if set(totals) == {IGNORE}:
        raise DataError(f"the labels hold {IGNORE} alone, which stands for no class: are these all, such as {path}?")
    return dict(sorted(totals.items())), True in first


def _kind(path):
    pixels = _without_alpha(*image_values(path, orientation=Folders.orientation))
    dtype = pixels.dtype.name
    return Kind(pixels.shape[2], dtype if dtype in DTYPES else DTYPES[-1])


def _without_alpha(values, size, alpha):
    """Values [h, w, bands] less an alpha channel that is opaque, which is dropped in reading too."""
    opaque = np.iinfo(values.dtype).max if values.dtype.kind == "u" else 1
    return values[..., :-1] if alpha and (values[..., -1] == opaque).all() else values


def _values(path):
    """({id or colour: pixels} of one label, whether they are colours)."""
    label = _without_alpha(*label_values(path))
    if label.dtype.kind not in "bui":
        raise DataError(f"label {path} holds {label.dtype.name} values: expected ids or colours")
    if label.shape[2] == 1:
        values, counts = np.unique(label, return_counts=True)
        return dict(zip(values.astype(int).tolist(), counts.tolist())), False
    if label.shape[2] != 3:
        raise DataError(f"label {path} has {label.shape[2]} channels: expected one of ids, or three of colours")
    values, counts = np.unique(label.reshape(-1, 3), axis=0, return_counts=True)
    return dict(zip(map(tuple, values.tolist()), counts.tolist())), True


def _each(function, paths, title):
    """Yields (path, what `function` makes of it). Raises `DataError` where it fails for some, with their number."""
    failed = []

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
