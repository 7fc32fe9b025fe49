"""What files hold that no dataset.yaml describes yet: bands and dtypes."""

from __future__ import annotations

import concurrent.futures
import dataclasses
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from tqdm import tqdm

from data_pipelines.memory import cores
from data_pipelines.own_data.folders import Folders
from data_pipelines.reading.decoding import image_values
from data_pipelines.spec import DTYPES, DataError

Result = TypeVar("Result")

UNMEASURED: dict[str, tuple[float, ...]] = {
    "uint8": (0,),
    "uint16": (0, 65535),
    "int16": (0, -32768, -9999, 32767),
    "float32": (0, -9999, -32768),
}
"""What programs write where nothing was measured, by dtype."""
EDGE = 0.25
"""Share of the outermost pixels from which on such a value is told."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """What the image files of a folder hold.

    Attributes:
      bands: how many, less alpha that is a mask.
      dtype: as in dataset.yaml.
      nan: whether there is NaN where no file says that nothing was measured.
      masked: whether a mask or alpha says so somewhere.
      edge: value that all bands have along much of the edges of some images, where no file says that it is nodata.
    """

    bands: int
    dtype: str
    nan: bool = dataclasses.field(default=False, compare=False)
    masked: bool = dataclasses.field(default=False, compare=False)
    edge: float | None = dataclasses.field(default=None, compare=False)


def kind_of(folder: Path, paths: Iterable[Path]) -> Kind:
    """The `Kind` that all images have, which are in `folder`. Raises `DataError` where they differ or can't be read."""
    first: dict[Kind, Path] = {}
    nan = masked = False
    edges: Counter[float] = Counter()
    for path, kind in each(_kind, list(paths), f"looking at {folder}"):
        first.setdefault(kind, path)
        nan, masked = nan or kind.nan, masked or kind.masked
        edges.update([] if kind.edge is None else [kind.edge])
    # Grey photographs among coloured ones are read as colours.
    if set(first) == {Kind(1, "uint8"), Kind(3, "uint8")}:
        return Kind(3, "uint8")
    if len(first) > 1:
        (one, path), (other, second) = list(first.items())[:2]
        raise DataError(
            f"{path} has bands of {one.dtype}: {one.bands}, but {second} of {other.dtype}: {other.bands}: convert "
            "the images so that they are alike"
        )
    edge = edges.most_common(1)[0][0] if edges else None
    return dataclasses.replace(next(iter(first)), nan=nan, masked=masked, edge=edge)


def _kind(path):
    stored = image_values(path, orientation=Folders.orientation)
    pixels = _without_alpha(stored.values, stored.alpha, clear=True)
    dtype = pixels.dtype.name if stored.scale is None else DTYPES[-1]
    clear = pixels.shape[2] < stored.values.shape[2] and not stored.values[..., -1].all()
    masked = clear or stored.void is not None and not stored.tag and bool(stored.void.any())
    nan = pixels.dtype.kind == "f" and bool(np.isnan(pixels[_measured(stored)]).any())
    edge = _edge(pixels) if stored.void is None and stored.scale is None and not clear else None
    return Kind(pixels.shape[2], dtype if dtype in DTYPES else DTYPES[-1], nan, masked, edge)


def _edge(pixels):
    """The value of `UNMEASURED` that all bands have in a quarter of the outermost pixels, or None.

    Of one band of bytes it is None: black and white edges are pictures' own.
    """
    if pixels.dtype == np.uint8 and pixels.shape[2] == 1:
        return None
    outline = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    for value in UNMEASURED.get(pixels.dtype.name, ()):
        if (outline == value).all(axis=-1).mean() >= EDGE:
            return float(value)
    return None


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

    with concurrent.futures.ThreadPoolExecutor(min(8, cores())) as pool:
        for path, result in zip(paths, tqdm(pool.map(tried, paths), title, len(paths), unit="file", disable=None)):
            if result is not None:
                yield path, result
    if failed:
        more = f" (and {len(failed) - 1} more such files)" if len(failed) > 1 else ""
        raise DataError(f"{min(failed)}{more}")
