"""Reading TIFF files: any number of bands, of any depth, whole or in part."""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from PIL import TiffImagePlugin
from rasterio.enums import ColorInterp, Compression, MaskFlags
from rasterio.errors import NotGeoreferencedWarning

from data_pipelines.memory import check_room
from data_pipelines.reading.holes import Stored, tagged
from data_pipelines.spec import MASK, NOTES, DataError, Window

COLOUR_MAP = 320  # tag of the palette
# A small cache, as parts of a tile are read once; and no look at what else lies in the folder or beside the file.
SETTINGS = {"GDAL_CACHEMAX": 32, "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": False}
MOST_BANDS = 4096  # of more, each of which GDAL keeps a record of, reading takes minutes even where all are small
EXACT = 0.5  # an error up to which integers are the same

warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
warnings.filterwarnings("ignore", module="PIL.TiffImagePlugin")  # on damaged tags, with no name


def read(path: str | Path, window: Window | None = None, as_label: bool = False, lossy: bool = False) -> Stored:
    """What a TIFF stores, as it is. Safe to call from several threads.

    Args:
      path: the file.
      window: part to read; None for all. What lies beyond the image is left out.
      as_label: whether values are ids, which have no brightness and whose palette is for display.
      lossy: whether ids may be compressed with loss.

    Returns:
      `Stored`, whose values are [h, w, 4] uint8 where a palette becomes colours.

    Raises:
      DataError: damaged, several images in one file, or values that are not what they look like.
    """
    with _opened(path) as file:
        _check(path, file, as_label, lossy)
        rows, columns = (window or Window(0, 0, *file.shape)).inside(*file.shape)
        part = rasterio.windows.Window.from_slices(rows, columns)
        _check_room(path, file, part)
        if 0 in (part.height, part.width):
            pixels = np.empty((part.height, part.width, file.count), file.dtypes[0])
        else:
            pixels = np.ascontiguousarray(file.read(window=part).transpose(1, 2, 0))
        void, tag = _void(path, file, window, part, pixels)
        if file.colorinterp[0] == ColorInterp.palette and not as_label:
            return Stored(_colours(path, file)[pixels[..., 0]], file.shape, True, void, tag)
        alpha = file.count > 1 and file.colorinterp[-1] == ColorInterp.alpha
        return Stored(pixels, file.shape, alpha, void, tag, _scale(file))


def mask_beside(path: str | Path, window: Window | None, size: tuple[int, int]) -> np.ndarray | None:
    """[h, w, 1 or bands] bool, where the mask file beside a file of any format says that nothing was measured, or None.

    Args:
      path: of the file, which has (height, width) `size`.
      window: part to read; None for all.

    Raises:
      DataError: the mask is damaged or of another size.
    """
    beside = f"{path}{MASK}"
    if not os.path.exists(beside):
        return None
    mask = read(beside, window, as_label=True)
    if mask.size != size:
        raise DataError(f"the mask {beside} is {mask.size[0]}x{mask.size[1]}, and its image {size[0]}x{size[1]}")
    return mask.values == 0


def nodata_tags(path: str | Path) -> tuple[float | None, ...]:
    """The pixel value that stands for no data by a TIFF's own tag, of each band. Raises `DataError`."""
    with _opened(path) as file:
        return file.nodatavals


def size_of(path: str | Path) -> tuple[int, int]:
    """(height, width) of a TIFF, from its header. Raises `DataError`."""
    with _opened(path) as file:
        return file.shape


def rows_of_block(path: str | Path) -> int:
    """How many rows a TIFF's blocks have, which are decoded as a whole. Raises `DataError`."""
    with _opened(path) as file:
        return max(height for height, _ in file.block_shapes)


def bands_of(path: str | Path) -> int:
    """How many bands a TIFF has, by its header. Raises `DataError`."""
    with _opened(path) as file:
        return file.count


def palette_of(path: str | Path) -> tuple[tuple[int, ...], ...]:
    """(R, G, B) of every index of a TIFF that stores these; else nothing. Raises `DataError`."""
    with _opened(path) as file:
        if file.colorinterp[0] != ColorInterp.palette:
            return ()
        return tuple(map(tuple, _colours(path, file)[:, :3].tolist()))


def has_mask(path: str | Path) -> bool:
    """Whether a mask in a TIFF says where nothing was measured. Raises `DataError`."""
    with _opened(path) as file:
        return _is_masked(file)


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
        with rasterio.Env(**_settings(path)), rasterio.open(path, driver="GTiff") as file:
            if file.count > MOST_BANDS:
                raise DataError(f"{path} says that it has {file.count} bands, and {MOST_BANDS} are read at most")
            yield file
    except MemoryError:
        raise DataError(f"cannot decode {path}: the file is damaged, or too large to be read whole") from None
    except DataError:
        raise
    except Exception as error:  # rasterio raises half a dozen kinds, some of GDAL's that have no public name
        reason = str(error.__cause__ or error).splitlines()[0]
        raise DataError(f"cannot decode {path}: the file is damaged; replace it or leave it out ({reason})") from None


def _check_room(path, file, part):
    """Raises `DataError` where the part, or a block that must be decoded for it, takes more memory than there is."""
    pixels = max(int(part.height) * int(part.width), *(height * width for height, width in file.block_shapes[:1]))
    check_room(str(path), pixels * file.count * np.dtype(file.dtypes[0]).itemsize)


def _settings(path):
    noted = os.path.exists(f"{path}{NOTES}")
    return {**SETTINGS, "GDAL_DISABLE_READDIR_ON_OPEN": "TRUE", "GDAL_PAM_ENABLED": True} if noted else SETTINGS


def _void(path, file, window, part, pixels):
    """(mask of what isn't measured by the file's own word, or None; whether that is a nodata tag). Masks come first."""
    beside = mask_beside(path, window, file.shape)
    if beside is not None:
        return beside, False
    if _is_masked(file):
        inside = file.read_masks(1, window=part) if pixels.size else np.empty(pixels.shape[:2])
        return inside[..., None] == 0, False
    void = tagged(pixels, file.nodatavals)
    return void, void is not None


def _is_masked(file):
    flags = file.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def _scale(file):
    plain = set(file.scales) == {1} and set(file.offsets) == {0}
    return None if plain else (file.scales, file.offsets)


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
        how = "" if as_label else "; pages that are bands: docs/how-to/more-bands.md"
        raise DataError(f"{path} holds {len(file.subdatasets)} images: save one per file, its bands together{how}")
    if len(set(file.dtypes)) > 1:
        raise DataError(f"{path} has bands of several types ({', '.join(file.dtypes)}): save them with one")
    if as_label:
        _check_label(path, file, lossy)
    if file.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES":
        raise DataError(f"{path} stores white as 0: save it with black as 0")
    bits = int(file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", 8))
    if bits < 8 and not as_label and file.colorinterp[0] != ColorInterp.palette:
        raise DataError(f"{path} has {bits} bits per value: save it with 8")


def _check_label(path, file, lossy):
    """Refuses what changes ids: lossy compression, and tags by which values are no ids."""
    facts = file.tags(ns="IMAGE_STRUCTURE")
    loses = file.compression == Compression.jpeg or facts.get("COMPRESSION_REVERSIBILITY") == "LOSSY"
    if not lossy and (loses or float(facts.get("MAX_Z_ERROR", 0)) > EXACT):
        kind = file.compression.name.upper()
        raise DataError(f"label {path} is compressed as {kind}, which changes class ids: save the original without")
    if _scale(file):
        raise DataError(f"label {path} has a scale or an offset (its tags), and ids have none: remove the tags")
