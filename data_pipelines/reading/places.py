"""Where on earth a raster lies: its CRS and transform, and whether two files show the same place."""

from __future__ import annotations

import dataclasses
import functools
import os
from pathlib import Path

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.warp import transform as projected

from data_pipelines.reading.decoding import is_tiff
from data_pipelines.spec import NOTES, DataError, Window

DRIVERS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".bmp": "BMP"}
WORLD_FILES = (".wld", ".tfw", ".pgw", ".jgw", ".bpw")
"""Endings of the text files beside a picture that hold its transform; the ending with a w more is another spelling."""
NOWHERE = (1, 0, 0, 0, 1, 0)  # the transform of a file that has none
TOLERANCE = 0.5
"""Pixels by which two files of one place may lie apart: corners are rounded, and some mean the middle of a pixel."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where the pixels of a raster lie.

    Attributes:
      crs: coordinate reference system as WKT; empty where the file has a transform alone.
      transform: (a, b, c, d, e, f) of x = a column + b row + c, y = d column + e row + f, for the upper left corners
        of pixels: the first six numbers of an `affine.Affine`.
    """

    crs: str
    transform: tuple[float, float, float, float, float, float]

    def of(self, window: Window) -> Place:
        """The place of a window of the raster."""
        a, b, c, d, e, f = self.transform
        x, y = a * window.left + b * window.top + c, d * window.left + e * window.top + f
        return dataclasses.replace(self, transform=(a, b, x, d, e, y))

    def corners(self, height: int, width: int) -> np.ndarray:
        """[2, 4] float64: x and y of the corners of a raster of this place, of so many pixels."""
        return np.reshape(self.transform, (2, 3)) @ _corners(height, width)


def world_files(path: str | Path) -> list[str]:
    """Paths of the text files beside a picture that would hold its transform, whether they are there or not."""
    stem = os.path.splitext(path)[0]
    return [*(f"{stem}{ending}" for ending in WORLD_FILES), f"{path}w"]


def place_of(path: str | Path) -> Place | None:
    """Where a file's pixels lie, by its own tags or a world file beside it; None where nothing says so.

    Raises:
      DataError: it can't be read.
    """
    return _look(path)[0]


def apart(first: Place, second: Place, size: tuple[int, int]) -> tuple[float, float]:
    """(columns, rows) of the first raster by which the corners of two equally large ones lie apart, at most.

    Args:
      first, second: where they lie. Where one has no CRS, it is taken to be that of the other.
      size: (height, width) of both.

    Returns:
      The distances; infinite where what one calls a place is none in the CRS of the other.
    """
    seen = second.corners(*size)
    if first.crs and second.crs and first.crs != second.crs:
        try:
            seen = np.array(projected(CRS.from_wkt(second.crs), CRS.from_wkt(first.crs), *seen)[:2])
        except Exception:  # PROJ has no way between the two, and rasterio raises half a dozen kinds
            return np.inf, np.inf
    try:
        back = np.linalg.inv(np.vstack([np.reshape(first.transform, (2, 3)), [0, 0, 1]]))
    except np.linalg.LinAlgError:
        return (0.0, 0.0) if first == second else (np.inf, np.inf)
    distances = np.abs(((back @ np.vstack([seen, np.ones(4)])) - _corners(*size))[:2])
    columns, rows = np.nan_to_num(distances, nan=np.inf).max(axis=1).tolist()
    return columns, rows


@functools.lru_cache(maxsize=2**16)
def check_places(path: str | Path, other: str | Path) -> None:
    """Raises `DataError` where two equally large files of an image say that they lie at different places.

    One that says nothing fits everywhere. What was found to fit is not looked at again.
    """
    (first, size), (second, _) = _look(path), _look(other)
    if first is None or second is None:
        return
    distances = apart(first, second, size)
    if max(distances) > TOLERANCE + 1e-3:
        raise DataError(
            f"{path} and {other} lie at different places: {_told(first, second, distances)}; align one, or correct or "
            "remove the georeference that is wrong"
        )


def _corners(height, width):
    """[3, 4]: columns, rows and ones of the corners of so many pixels."""
    return np.array([(0, 0, 1), (width, 0, 1), (0, height, 1), (width, height, 1)], float).T


def _look(path):
    """(place or None, (height, width), which is (0, 0) where nothing says where the file lies)."""
    driver = "GTiff" if is_tiff(path) else DRIVERS.get(os.path.splitext(path)[1].lower())
    beside = (*world_files(path), f"{path}{NOTES}")
    if driver is None or driver != "GTiff" and not any(map(os.path.exists, beside)):
        return None, (0, 0)
    try:
        with rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="TRUE"), rasterio.open(path, driver=driver) as file:
            crs, transform, size = file.crs, tuple(file.transform)[:6], file.shape
    except Exception:  # rasterio raises half a dozen kinds
        raise DataError(f"cannot decode {path}: the file is damaged; replace it or leave it out") from None
    return None if transform == NOWHERE else Place(crs.to_wkt() if crs else "", transform), size


def _told(first, second, distances):
    if first.crs and second.crs and CRS.from_wkt(first.crs) != CRS.from_wkt(second.crs):
        one, other = (CRS.from_wkt(place.crs).to_string()[:40] for place in (first, second))
        return f"their CRS are {one} and {other}"
    columns, rows = distances
    return f"their corners are {columns:.4g} columns and {rows:.4g} rows apart"
