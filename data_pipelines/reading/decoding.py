"""From image and label files to the numbers they store, with one clear line for whatever can't be read.

A file is known by its first bytes, whatever its name: TIFF (`rasters`), NumPy's .npy, and the pictures that OpenCV
reads: PNG, JPEG, WebP, BMP, PPM. Pillow reads GIF, and the indices of what has a palette.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from data_pipelines.memory import check_room
from data_pipelines.reading import formats, rasters
from data_pipelines.reading.holes import Stored
from data_pipelines.spec import TIFF, DataError, Window

PNG = formats.PNG
JPEG, GIF, BMP, WEBP, NPY = b"\xff\xd8", b"GIF8", b"BM", b"RIFF", b"\x93NUMPY"
BITMAPS = (b"P1", b"P4")  # PBM
# Decodes to red, green, blue at once, which spares a copy; since OpenCV 4.11.
TO_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)

ORIENTATIONS = ("stored", "upright", "refuse")
TILED = "save it as a TIFF in tiles, which is read in parts (gdal_translate -co TILED=YES -co COMPRESS=DEFLATE)"
"""What to do with a picture that is too large: others are decoded whole."""
MOST_ROWS = 1024  # of a TIFF's blocks, which are decoded for each row of them
ORIENTATION_TAG = 274  # of TIFF and EXIF
EXIF_MARKS = {PNG: b"eXIf", JPEG: b"Exif\0\0", WEBP: b"EXIF"}
# What makes an image upright, by the value of the tag (EXIF 2.3, section 4.6.4).
UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: np.fliplr,
    3: lambda pixels: np.rot90(pixels, 2),
    4: np.flipud,
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: np.rot90,
}

Image.MAX_IMAGE_PIXELS = None  # tiles of remote sensing are no attack


def image_values(
    path: str | Path, window: Window | None = None, orientation: str = "stored", as_rgb8: bool = False
) -> Stored:
    """What an image file stores. Pictures have the order red, green, blue, alpha; palettes become colours.

    Args:
      path: of the file.
      window: what to read, without what lies beyond the image; None for all.
      orientation: one of `ORIENTATIONS`, as for `images.read_image`.
      as_rgb8: whether pictures of 8 bits that have no alpha may come as RGB whatever they store, which is faster.

    Raises:
      DataError: the file is missing or damaged, or the orientation is refused.
    """
    head, data = _load(path)
    turn = _turn(path, head, data, orientation)
    if head.startswith(TIFF):
        stored = rasters.read(path, None if turn else window)
        return _turned(stored, turn, window) if turn else stored
    if head.startswith(NPY):
        values, alpha = _map_array(path), False
    else:
        values = _decode(path, data, as_rgb8)
        alpha = values.shape[2] in (2, 4)
    return _turned(_with_mask(path, values, alpha), turn, window)


def label_values(
    path: str | Path,
    window: Window | None = None,
    colours: bool = False,
    orientation: str = "stored",
    lossy: bool = False,
) -> Stored:
    """What a label file stores.

    Args:
      path: of the file.
      window: as for `image_values`.
      colours: whether palettes become their colours; else they give indices.
      orientation: "stored" or "refuse", as for `image_values`.
      lossy: whether JPEG will do, whose values lie near those that were saved.

    Raises:
      DataError: the file is missing or damaged, its orientation is refused, or what it stores is no class id, whatever
        its value.
    """
    if colours:
        return image_values(path, window, orientation)
    head, data = _load(path)
    _turn(path, head, data, orientation)
    if head.startswith(TIFF):
        return rasters.read(path, window, as_label=True, lossy=lossy)
    if head.startswith(NPY):
        values = _map_array(path)
    elif head.startswith(JPEG) and not lossy:
        raise DataError(
            f"label {path} is a JPEG, whose compression changes class ids: save the original as PNG; or where "
            "there is none, say so in the data set (labels_soft: nearest)"
        )
    elif head.startswith(BITMAPS):
        raise DataError(f"label {path} is a PBM, in which 1 is black and no class id: save it as PNG")
    elif formats.png_format(data)[1] == formats.PALETTE or head.startswith((GIF, BMP)):
        values = _decode_strictly(path, data)  # OpenCV would give the colours
    else:
        values = formats.ids_of_few_bits(_decode(path, data), formats.png_format(data)[0])
    return _turned(_with_mask(path, values, values.shape[2] in (2, 4)), None, window)


def size_of(path: str | Path) -> tuple[int, int]:
    """(height, width) of an image or label file as it is stored, from its header. Raises `DataError`."""
    head, _ = _load(path, only_head=True)
    if head.startswith(TIFF):
        return rasters.size_of(path)
    if head.startswith(NPY):
        return _map_array(path).shape[:2]
    with _one_line(path), Image.open(path) as image:
        return image.height, image.width


def in_rows(path: str | Path) -> bool:
    """Whether a few rows of a file can be read without decoding many more: of an upright TIFF in blocks, or of a .npy.

    Raises `DataError`.
    """
    head, _ = _load(path, only_head=True)
    if head.startswith(TIFF):
        return _tiff_orientation(path) == 1 and rasters.rows_of_block(path) <= MOST_ROWS
    return head.startswith(NPY)


def array_shape(path: str | Path) -> tuple[int, ...] | None:
    """Shape of the array [H, W, channels] of a .npy file; None of what is another file, or has no channels.

    Raises `DataError`.
    """
    if not _load(path, only_head=True)[0].startswith(NPY):
        return None
    with _one_line(path):
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    return shape if len(shape) == 3 else None


def palette_of(path: str | Path) -> tuple[tuple[int, ...], ...]:
    """(R, G, B) of every index of a picture that stores these; else nothing. Raises `DataError`."""
    head, data = _load(path)
    if head.startswith(TIFF):
        return rasters.palette_of(path)
    if head.startswith(NPY):
        return ()
    with _one_line(path), Image.open(io.BytesIO(data)) as image:  # whose palette is there once it is decoded
        colours = (image.getpalette() or []) if image.mode == "P" else []
    return tuple(zip(colours[::3], colours[1::3], colours[2::3]))


def nodata_tags(path: str | Path) -> tuple[float | None, ...]:
    """The values that stand for no data by a file's own tag, one a band; () without tags. Raises `DataError`."""
    return rasters.nodata_tags(path) if is_tiff(path) else ()


def is_jpeg(path: str | Path) -> bool:
    """Whether a file is a JPEG. Raises `DataError` where it can't be read."""
    return _load(path, only_head=True)[0].startswith(JPEG)


def is_tiff(path: str | Path) -> bool:
    """Whether a file is a TIFF. Raises `DataError` where it can't be read."""
    return _load(path, only_head=True)[0].startswith(TIFF)


def _load(path, only_head=False):
    """(first bytes, all bytes) of a file; the latter are empty for formats that are read in parts."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(16)
            if only_head or head.startswith((*TIFF, NPY)):
                return head, b""
            check_room(str(path), os.fstat(file.fileno()).st_size, TILED)
            file.seek(0)
            data = file.read()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    _check_room(path, data)
    return head, data


def _check_room(path, data):
    """Raises `DataError` where a picture's header asks for more memory than there is, before its decoder takes it."""
    size = formats.claimed_size(data)
    if size is None and not data.startswith((formats.GREY_TEXT, formats.COLOUR_TEXT)):
        with contextlib.suppress(Exception), Image.open(io.BytesIO(data)) as image:  # what is none is told later
            size = (image.height, image.width, 4)
    if size:
        what = f"{path} ({size[0]}x{size[1]} pixels)"
        check_room(what, 2 * math.prod(size), TILED)  # what is decoded, and what is made of it


def _turn(path, head, data, orientation):
    """What makes the picture lie as `orientation` asks, or None. Raises `DataError` where that is to refuse."""
    turn = UPRIGHT.get(_orientation(path, head, data)) if orientation != "stored" else None
    if turn and orientation == "refuse":
        raise DataError(
            f"{path} is marked to be turned (EXIF orientation), and nobody knows whether the other files of its image "
            "are: save it turned, or remove the mark, so that image, label and further bands lie alike"
        )
    return turn


def _with_mask(path, values, alpha):
    return Stored(values, values.shape[:2], alpha, rasters.mask_beside(path, None, values.shape[:2]))


def _turned(stored, turn, window):
    """All that a file stores, upright where `turn` is given, cut to the window."""
    values, void = (part if part is None or turn is None else turn(part) for part in (stored.values, stored.void))
    size, void = values.shape[:2], None if void is None else _part(void, window)
    return stored._replace(values=_part(values, window), size=size, void=void)


def _part(values, window):
    """Those inside the window: a copy, so that neither is the whole kept in memory for a part, nor its file open."""
    if isinstance(values, np.memmap) and not window:
        check_room(str(values.filename), values.nbytes)
    if window:
        return np.array(values[window.inside(*values.shape[:2])])
    return np.array(values) if isinstance(values, np.memmap) else values


def _map_array(path):
    """Array [H, W, bands] of a .npy file; its values are read where they are asked for."""
    with _one_line(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim not in (2, 3):
        raise DataError(f"{path} is an array of shape {array.shape}: expected [H, W] or [H, W, bands]")
    if not array.size:
        raise DataError(f"{path} is an array of shape {array.shape}, which has no pixels: replace it or leave it out")
    return np.atleast_3d(array)


def _decode(path, data, as_rgb8=False):
    """Values [H, W, bands] of a picture, in the order red, green, blue, alpha."""
    bits, colour_type = formats.png_format(data)
    if data.startswith(GIF):
        return _decode_strictly(path, data, "RGB")
    if data.startswith((formats.GREY_TEXT, formats.COLOUR_TEXT)):
        with _one_line(path):
            return formats.values_of_text(data)
    if data.startswith(JPEG):
        if not formats.jpeg_has_end(data):
            raise _damaged(path)
        is_rgb8 = True
    else:
        is_rgb8 = (bits, colour_type) == (8, formats.RGB) and not formats.has_clear(data)
    if as_rgb8 and is_rgb8 and TO_RGB:
        return _decode_with(path, data, TO_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    values = np.atleast_3d(_decode_with(path, data, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION))
    if colour_type == formats.GREY and values.shape[2] == 1:
        return formats.with_clear_grey(data, values, bits)
    if colour_type == formats.GREY_ALPHA:
        return values[..., ::3]
    codes = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    return cv2.cvtColor(values, codes[values.shape[2]]) if values.shape[2] in codes else values


def _decode_with(path, data, flags):
    if data.startswith(PNG) and not formats.png_parts_fit(data):
        raise _damaged(path)
    with _one_line(path):
        values = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if values is None:
        raise _damaged(path)
    return values


def _decode_strictly(path, data, mode=None):
    """Values [H, W, bands] that Pillow gives: the indices of what has a palette, or pixels of `mode`."""
    with _one_line(path), Image.open(io.BytesIO(data)) as image:
        return np.atleast_3d(np.array(image.convert(mode) if mode else image))


def _orientation(path, head, data):
    """The orientation as of EXIF, 1 to 8; 1 also where there is none."""
    if head.startswith(TIFF):
        return _tiff_orientation(path)
    mark = next((mark for magic, mark in EXIF_MARKS.items() if head.startswith(magic)), None)
    if not mark or mark not in data:
        return 1
    with _one_line(path), Image.open(io.BytesIO(data)) as image:
        return image.getexif().get(ORIENTATION_TAG, 1)


def _tiff_orientation(path):
    with _one_line(path):
        return rasters.tag_of(path, ORIENTATION_TAG, 1)


@contextlib.contextmanager
def _one_line(path):
    """Turns whatever is raised on bytes that make no sense into `DataError`."""
    try:
        yield
    except (cv2.error, MemoryError):
        raise DataError(
            f"cannot decode {path}: the file is damaged, or too large to be read whole; if that: {TILED}"
        ) from None
    except Exception:  # Pillow and NumPy raise a dozen kinds
        raise _damaged(path) from None


def _damaged(path):
    return DataError(f"cannot decode {path}: the file is damaged or no image; replace it or leave it out")
