"""Reading image and label files, with one clear line for whatever is wrong with them."""

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from data_pipelines.spec import IGNORE, DataError

PNG, JPEG, END_OF_JPEG = b"\x89PNG", b"\xff\xd8", b"\xff\xd9"
PALETTE = 3  # colour type of a PNG


def read_image(path):
    """RGB image [H, W, 3] uint8. Raises `DataError` where the file is missing or can't be decoded."""
    data = _load(path)
    # OpenCV fills with grey what is missing of a JPEG. Whole ones end like this, unless something is appended.
    if data.startswith(JPEG) and not data.endswith(END_OF_JPEG):
        _decode_strictly(path, data)
    return np.ascontiguousarray(_decode(path, data, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1])


def read_label(path, spec):
    """Label map [H, W] uint8: class ids, and `IGNORE` for void.

    In the file, classes have the ids `spec.label_ids` (or their own), and void `spec.void_ids` or `IGNORE`. A palette
    is for display alone.

    Raises:
      DataError: unreadable file, more than one band, or an id that `spec` doesn't know (file and value are named).
    """
    data = _load(path)
    depth, colour_type = _png_format(data)
    if colour_type == PALETTE:
        label = _decode_strictly(path, data)  # OpenCV would give the colours
    else:
        label = _decode(path, data, cv2.IMREAD_UNCHANGED)
        if label.ndim != 2:
            raise DataError(f"label {path} has {label.shape[2]} channels: expected one channel of class ids")
        if label.dtype not in (np.uint8, np.uint16) or depth < 8:
            raise DataError(f"label {path} is neither 8 nor 16 bit integer: OpenCV would rescale its class ids")
    ids = _table(spec)[label]
    if ids.min() < 0:
        classes = ", ".join(map(str, spec.label_ids)) or f"0 to {spec.num_classes - 1}"
        void = ", ".join(map(str, (*spec.void_ids, IGNORE)))
        found = sorted(np.unique(label[ids < 0]).tolist())
        raise DataError(
            f"label {path} holds {'value' if len(found) == 1 else 'values'} {', '.join(map(str, found[:5]))}: "
            f"{spec.name} knows classes {classes} and void {void}"
        )
    return ids.astype(np.uint8)


def _table(spec):
    """[65536] int32: value in a label file -> class id, `IGNORE`, or -1 where it is unknown."""
    table = np.full(np.iinfo(np.uint16).max + 1, -1, np.int32)
    table[list(spec.label_ids) or slice(spec.num_classes)] = np.arange(spec.num_classes)
    table[[*spec.void_ids, IGNORE]] = IGNORE
    return table


def _png_format(data):
    """(bits per sample, colour type) in the header of a PNG; (8, None) for files of other kinds."""
    return (data[24], data[25]) if data.startswith(PNG) and len(data) > 25 else (8, None)


def _load(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None


def _decode(path, data, flags):
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags) if data else None
    if pixels is None:
        raise _damaged(path)
    return pixels


def _decode_strictly(path, data):
    """What Pillow makes of an image: the indices of one with a palette. It forgives no missing end."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.asarray(image)
    except (OSError, SyntaxError, ValueError):
        raise _damaged(path) from None


def _damaged(path):
    return DataError(f"cannot decode {path}: the file is damaged or no image; replace it or leave it out")
