"""Reading TIFF files: any number of bands, of any depth, whole or in part."""

from __future__ import annotations

import contextlib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import TiffImagePlugin
from rasterio.enums import ColorInterp, Compression
from rasterio.errors import NotGeoreferencedWarning, RasterioError, RasterioIOError

from data_pipelines.spec import DataError, Window

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # either byte order; the last two with offsets of 64 bits
COLOUR_MAP = 320  # tag of the palette
# A small cache, as parts of a tile are read once; and no look at what else lies in the folder or beside the file.
SETTINGS = {"GDAL_CACHEMAX": 32, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": False}

warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


def read(
    path: str | Path, window: Window | None = None, as_label: bool = False, lossy: bool = False
) -> tuple[np.ndarray, tuple[int, int], bool]:
    """Pixels of a TIFF, as they are stored. Safe to call from several threads.

    Args:
      path: the file.
      window: part to read; None for all. What lies beyond the image is left out.
      as_label: whether values are ids, which have no brightness and whose palette is for display.
      lossy: whether ids may be compressed as JPEG.

    Returns:
      (pixels [h, w, bands] as stored, or [h, w, 4] uint8 where a palette becomes colours; (height, width) of the whole
      image; whether the last band is alpha).

    Raises:
      DataError: damaged, several images in one file, or values that are not what they look like.
    """
    with _opened(path) as file:
        _check(path, file, as_label, lossy)
        rows, columns = (window or Window(0, 0, *file.shape)).inside(*file.shape)
        part = rasterio.windows.Window.from_slices(rows, columns)
        if 0 in (part.height, part.width):
            pixels = np.empty((part.height, part.width, file.count), file.dtypes[0])
        else:
            pixels = np.ascontiguousarray(file.read(window=part).transpose(1, 2, 0))
        if file.colorinterp[0] == ColorInterp.palette and not as_label:
            return _colours(path, file)[pixels[..., 0]], file.shape, True
        return pixels, file.shape, file.count > 1 and file.colorinterp[-1] == ColorInterp.alpha


def size_of(path: str | Path) -> tuple[int, int]:
    """(height, width) of a TIFF, from its header. Raises `DataError`."""
    with _opened(path) as file:
        return file.shape


def nodata_of(path: str | Path) -> float | None:
    """The pixel value that stands for no data by a TIFF's own tag, or None. Raises `DataError`."""
    with _opened(path) as file:
        return file.nodata


def tag_of(path: str | Path, tag: int, default: Any = None) -> Any:
    """Value of a tag of a TIFF's first image. Raises what Pillow does where the file is damaged."""
    with open(path, "rb") as file:
        head = file.read(16)
        fields = TiffImagePlugin.ImageFileDirectory_v2(head if b"+" in head[:4] else head[:8])
        file.seek(fields.next)
        fields.load(file)
    return fields.get(tag, default)


@contextlib.contextmanager
def _opened(path):
    try:
        with rasterio.Env(**SETTINGS), rasterio.open(path, driver="GTiff") as file:
            yield file
    except MemoryError:
        raise DataError(f"cannot decode {path}: the file is damaged, or too large to be read whole") from None
    except (RasterioError, RasterioIOError) as error:  # the latter is no RasterioError before rasterio 1.4
        reason = str(error.__cause__ or error).splitlines()[0]
        raise DataError(f"cannot decode {path}: the file is damaged; replace it or leave it out ({reason})") from None


def _colours(path, file):
    """Red, green, blue and alpha [n, 4] of a palette: the upper of the 16 bits that it stores.

    Before version 3.10, GDAL takes 1 from the colours where the lower bits are 0, as Pillow writes them.
    """
    palette = file.colormap(1)
    table = np.array([palette[index] for index in sorted(palette)], np.uint8)
    if stored := tag_of(path, COLOUR_MAP):  # without, black and white by GDAL
        colours = np.reshape(stored, (3, -1)).T[: len(table)]
        table[:, :3] = colours >> 8 if max(stored) > 255 else colours
    return table


def _check(path, file, as_label, lossy):
    if file.subdatasets:
        raise DataError(f"{path} holds {len(file.subdatasets)} images: save one per file, its bands together")
    if len(set(file.dtypes)) > 1:
        raise DataError(f"{path} has bands of several types ({', '.join(file.dtypes)}): save them with one")
    if as_label and not lossy and file.compression == Compression.jpeg:
        raise DataError(f"label {path} is compressed as JPEG, which changes class ids: save the original without")
    if file.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":
        raise DataError(f"{path} stores white as 0: save it with black as 0")
    bits = int(file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
    if bits < 8 and not as_label and file.colorinterp[0] != ColorInterp.palette:
        raise DataError(f"{path} has {bits} bits per value: save it with 8")
