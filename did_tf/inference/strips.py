"""The classes of a labelled image in strips of rows, from arrays or from the files that were written of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.errors import RasterioError

from data_pipelines.spec import IGNORE, LARGEST_ID, DataError, DatasetSpec

Strips = Iterable[tuple[np.ndarray, np.ndarray | None]]
"""Rows from top to bottom: uint8 [rows, W], numbers of classes and 255 where there is no data; and float32 [rows, W],
how sure each pixel is, or None, of all strips or of none."""
PIXELS = 2**21
"""Most that are looked at together, but for a single row. Finding regions takes some 60 bytes for each."""
_CACHE = 64  # megabytes that GDAL keeps of a file's tiles


def parts(height: int, width: int) -> Iterator[slice]:
    """Rows of what has this size, from top to bottom, in parts of `PIXELS` or one row."""
    rows = max(1, PIXELS // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def of_arrays(classes: Any, confidence: Any = None) -> Strips:
    """Strips of arrays [H, W] as of `Strips`: NumPy's, or others that can be sliced by rows."""
    for part in parts(*classes.shape):
        yield np.asarray(classes[part]), None if confidence is None else np.asarray(confidence[part])


def of_files(label: str | Path, spec: DatasetSpec, confidence: str | Path | None = None) -> Strips:
    """Strips of what was written of an image.

    Args:
      label: its NAME_label, PNG or TIFF, with the ids of `spec`.
      spec: of the network's data.
      confidence: TIFF of one band, or .npy [H, W], float32; None: not known.

    Raises:
      DataError: a file can't be read, or the two are of two sizes.
    """
    try:
        with rasterio.Env(GDAL_CACHEMAX=_CACHE), rasterio.open(label) as labels, _opened(confidence) as sure:
            if sure is not None and sure.shape != labels.shape:
                raise ValueError(f"{confidence} is of another size")
            for classes, confident in of_arrays(_Rows(labels), sure):
                yield numbers_of(classes, spec.output_ids), confident
    except (OSError, ValueError, RasterioError) as error:
        raise DataError(f"cannot read what was written of {label}: {error}") from None


def numbers_of(labels: np.ndarray, ids: Sequence[int]) -> np.ndarray:
    """Classes by their numbers, uint8, of labels that have `ids`, uint8 or uint16; 255 for all that is none of them."""
    table = np.full(LARGEST_ID + 1, IGNORE, np.uint8)
    table[[*ids]] = range(len(ids))
    return table[labels]


class _Rows:
    """The first band of a raster that is open, as an array that is sliced by rows."""

    def __init__(self, file: Any) -> None:
        self._file, self.shape = file, file.shape

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self._file.read(1, window=((rows.start, rows.stop), (0, self.shape[1])))


@contextlib.contextmanager
def _opened(path):
    """An array that is sliced by rows, of a .npy file or a raster; None of no file."""
    if path is None or Path(path).suffix == ".npy":
        yield None if path is None else np.load(path, mmap_mode="r")
        return
    with rasterio.open(path) as file:
        yield _Rows(file)
