"""From image and label files to the numbers they store, with one clear line for whatever can't be read.

A file is known by its first bytes, whatever its name: TIFF (`rasters`), NumPy's .npy, and the pictures that OpenCV
reads: PNG, JPEG, WebP, BMP, PPM. Pillow reads GIF, and the indices of what has a palette.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from data_pipelines.reading import rasters
from data_pipelines.spec import DataError, Window

PNG, JPEG, GIF, BMP, WEBP, NPY = b"\x89PNG", b"\xff\xd8", b"GIF8", b"BM", b"RIFF", b"\x93NUMPY"
START_OF_SCAN, END_OF_JPEG = b"\xff\xda", b"\xff\xd9"
RGB, PALETTE, GREY_ALPHA = 2, 3, 4  # colour types of a PNG
# Decodes to red, green, blue at once, which spares a copy; since OpenCV 4.11.
TO_RGB = getattr(cv2, "IMREAD_COLOR_RGB", None)

ORIENTATIONS = ("stored", "upright", "refuse")
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
) -> tuple[np.ndarray, tuple[int, int], bool]:
    """What an image file stores. Pictures have the order red, green, blue, alpha; palettes become colours.

    Args:
      path: of the file.
      window: what to read, without what lies beyond the image; None for all.
      orientation: one of `ORIENTATIONS`, as for `images.read_image`.
      as_rgb8: whether pictures of 8 bits that have no alpha may come as RGB whatever they store, which is faster.

    Returns:
      (values [h, w, bands], (height, width) of the whole image, whether the last band is alpha).

    Raises:
      DataError: the file is missing or damaged, or the orientation is refused.
    """
    head, data = _load(path)
    turn = UPRIGHT.get(_orientation(path, head, data)) if orientation != "stored" else None
    if turn and orientation == "refuse":
        raise DataError(
            f"{path} is marked to be turned (EXIF orientation), and nobody knows whether its label (or depth) is: save "
            "it turned, or remove the mark, so that all files of an image lie alike"
        )
    if head.startswith(rasters.MAGIC):
        if not turn:
            return rasters.read(path, window)
        values, _, alpha = rasters.read(path)
    elif head.startswith(NPY):
        values, alpha = _map_array(path), False
    else:
        values = _decode(path, data, as_rgb8)
        alpha = values.shape[2] in (2, 4)
    values = turn(values) if turn else values
    return _part(values, window), values.shape[:2], alpha


def label_values(
    path: str | Path, window: Window | None = None, colours: bool = False, lossy: bool = False
) -> tuple[np.ndarray, tuple[int, int], bool]:
    """What a label file stores.

    Args:
      path: of the file.
      window: as for `image_values`.
      colours: whether palettes become their colours; else they give indices.
      lossy: whether JPEG will do, whose values lie near those that were saved.

    Returns:
      As `image_values`.

    Raises:
      DataError: the file is missing or damaged, or what it stores is no class id, whatever its value.
    """
    if colours:
        return image_values(path, window)
    head, data = _load(path)
    if head.startswith(rasters.MAGIC):
        return rasters.read(path, window, as_label=True, lossy=lossy)
    if head.startswith(NPY):
        values = _map_array(path)
    elif head.startswith(JPEG) and not lossy:
        raise DataError(
            f"label {path} is a JPEG, whose compression changes class ids: save the original as PNG; or where "
            "there is none, say so in the data set (labels_soft: nearest)"
        )
    elif _png_format(data)[1] == PALETTE or head.startswith((GIF, BMP)):
        values = _decode_strictly(path, data)  # OpenCV would give the colours
    else:
        # Fewer than 8 bits are spread over 0 to 255 in decoding.
        values = _decode(path, data) // (255 // (2 ** min(_png_format(data)[0], 8) - 1))
    return _part(values, window), values.shape[:2], values.shape[2] in (2, 4)


def size_of(path: str | Path) -> tuple[int, int]:
    """(height, width) of an image or label file as it is stored, from its header. Raises `DataError`."""
    head, _ = _load(path, only_head=True)
    if head.startswith(rasters.MAGIC):
        return rasters.size_of(path)
    if head.startswith(NPY):
        return _map_array(path).shape[:2]
    with _one_line(path), Image.open(path) as image:
        return image.height, image.width


def array_shape(path: str | Path) -> tuple[int, ...] | None:
    """Shape of the array [H, W, channels] of a .npy file; None of what is another file, or has no channels.

    Raises `DataError`.
    """
    if not _load(path, only_head=True)[0].startswith(NPY):
        return None
    with _one_line(path):
        shape = np.load(path, mmap_mode="r", allow_pickle=False).shape
    return shape if len(shape) == 3 else None


def nodata_of(path: str | Path) -> float | None:
    """The pixel value that stands for no data as the file itself says, or None. Raises `DataError`."""
    return rasters.nodata_of(path) if is_tiff(path) else None


def is_jpeg(path: str | Path) -> bool:
    """Whether a file is a JPEG. Raises `DataError` where it can't be read."""
    return _load(path, only_head=True)[0].startswith(JPEG)


def is_tiff(path: str | Path) -> bool:
    """Whether a file is a TIFF. Raises `DataError` where it can't be read."""
    return _load(path, only_head=True)[0].startswith(rasters.MAGIC)


def _load(path, only_head=False):
    """(first bytes, all bytes) of a file; the latter are empty for formats that are read in parts."""
    try:
        with open(path, "rb", buffering=0) as file:
            head = file.read(16)
            if only_head or head.startswith((*rasters.MAGIC, NPY)):
                return head, b""
            file.seek(0)
            return head, file.read()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


def _part(values, window):
    """Those inside the window: a copy, so that neither is the whole kept in memory for a part, nor its file open."""
    if window:
        return np.array(values[window.inside(*values.shape[:2])])
    return np.array(values) if isinstance(values, np.memmap) else values


def _map_array(path):
    """Array [H, W, bands] of a .npy file; its values are read where they are asked for."""
    with _one_line(path):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim not in (2, 3):
        raise DataError(f"{path} is an array of shape {array.shape}: expected [H, W] or [H, W, bands]")
    return np.atleast_3d(array)


def _decode(path, data, as_rgb8=False):
    """Values [H, W, bands] of a picture, in the order red, green, blue, alpha."""
    depth, colour_type = _png_format(data)
    if data.startswith(GIF):
        return _decode_strictly(path, data, "RGB")
    if data.startswith(JPEG):
        _check_end(path, data)
        is_rgb8 = True
    else:
        is_rgb8 = (depth, colour_type) == (8, RGB) and data.find(b"tRNS", 0, data.find(b"IDAT")) < 0
    if as_rgb8 and is_rgb8 and TO_RGB:
        return _decode_with(path, data, TO_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
    values = np.atleast_3d(_decode_with(path, data, cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION))
    if colour_type == GREY_ALPHA:
        return values[..., ::3]
    codes = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}
    return cv2.cvtColor(values, codes[values.shape[2]]) if values.shape[2] in codes else values


def _decode_with(path, data, flags):
    with _one_line(path):
        values = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if values is None:
        raise _damaged(path)
    return values


def _decode_strictly(path, data, mode=None):
    """Values [H, W, bands] that Pillow gives: the indices of what has a palette, or pixels of `mode`."""
    with _one_line(path), Image.open(io.BytesIO(data)) as image:
        return np.atleast_3d(np.array(image.convert(mode) if mode else image))


def _check_end(path, data):
    """Refuses a JPEG without its end: where zeros stand for what was never written, OpenCV makes up pixels."""
    # Whole ones end like this, unless something is appended.
    if not data.endswith(END_OF_JPEG) and data.find(END_OF_JPEG, _scans_at(data)) < 0:
        raise _damaged(path)


def _scans_at(data):
    """Where the pixels of a JPEG begin: after segments, of which one may hold a thumbnail with an end of its own."""
    place = 2
    while data[place : place + 1] == b"\xff" and data[place : place + 2] != START_OF_SCAN:
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return place


def _png_format(data):
    """(bits per sample, colour type) in the header of a PNG; (8, None) for files of other kinds."""
    return (data[24], data[25]) if data.startswith(PNG) and len(data) > 25 else (8, None)


def _orientation(path, head, data):
    """The orientation as of EXIF, 1 to 8; 1 also where there is none."""
    if head.startswith(rasters.MAGIC):
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
        raise DataError(f"cannot decode {path}: the file is damaged, or too large to be read whole") from None
    except Exception:  # Pillow and NumPy raise a dozen kinds
        raise _damaged(path) from None


def _damaged(path):
    return DataError(f"cannot decode {path}: the file is damaged or no image; replace it or leave it out")
