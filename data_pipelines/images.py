"""Reading image and label files, with one clear line for whatever is wrong with them."""

import cv2
import numpy as np

from data_pipelines.spec import IGNORE, DataError


def read_image(path):
    """RGB image [H, W, 3] uint8. Raises `DataError` where the file is missing or can't be decoded."""
    return np.ascontiguousarray(_decode(path, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)[..., ::-1])


def read_label(path, spec):
    """Label map [H, W] uint8: class ids, with the ids of `spec.void_ids` turned into `IGNORE`.

    Raises:
      DataError: unreadable file, more than one band, or an id that `spec` doesn't know (file and value are named).
    """
    label = _decode(path, cv2.IMREAD_UNCHANGED)
    if label.ndim != 2:
        raise DataError(f"label {path} has {label.shape[2]} channels: expected one channel of class ids")
    if label.dtype not in (np.uint8, np.uint16) or _png_depth(path) < 8:
        raise DataError(f"label {path} is neither 8 nor 16 bit integer: OpenCV would rescale its class ids")
    table = np.full(np.iinfo(np.uint16).max + 1, -1, np.int32)
    table[: spec.num_classes] = np.arange(spec.num_classes)
    table[[*spec.void_ids, IGNORE]] = IGNORE
    ids = table[label]
    if ids.min() < 0:
        void = ", ".join(map(str, (*spec.void_ids, IGNORE)))
        found = sorted(np.unique(label[ids < 0]).tolist())
        raise DataError(
            f"label {path} holds {'value' if len(found) == 1 else 'values'} {', '.join(map(str, found[:5]))}: "
            f"{spec.name} knows classes 0 to {spec.num_classes - 1} and void {void}"
        )
    return ids.astype(np.uint8)


def _png_depth(path):
    """Bits per sample in the header of a PNG file; 8 for files of other kinds."""
    with open(path, "rb") as file:
        header = file.read(25)
    return header[24] if header.startswith(b"\x89PNG") else 8


def _decode(path, flags):
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    pixels = cv2.imdecode(data, flags) if data.size else None
    if pixels is None:
        raise DataError(f"cannot decode {path}: the file is damaged or no image; replace it or leave it out")
    return pixels
