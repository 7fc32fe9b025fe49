"""What the bytes of a picture say that its decoder doesn't: bits, a clear grey, plain text, whether a JPEG is whole."""

from __future__ import annotations

import re

import numpy as np

PNG = b"\x89PNG"
GREY, RGB, PALETTE, GREY_ALPHA = 0, 2, 3, 4  # colour types of a PNG
CLEAR = b"tRNS"  # the part of a PNG that names what is transparent
START_OF_SCAN, END_OF_JPEG = b"\xff\xda", b"\xff\xd9"
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # kinds of segments of a JPEG that say its size
GREY_TEXT, COLOUR_TEXT = b"P2", b"P3"  # PGM and PPM in ASCII


def png_format(data: bytes) -> tuple[int, int | None]:
    """(bits per sample, colour type) in the header of a PNG; (8, None) for files of other kinds."""
    return (data[24], data[25]) if data.startswith(PNG) and len(data) > 25 else (8, None)


def claimed_size(data: bytes) -> tuple[int, int, int] | None:
    """(height, width, bytes of a pixel at most) by the header of a PNG or JPEG, which may lie; None of other kinds."""
    if data.startswith(PNG) and len(data) > 25:
        width, height = (int.from_bytes(data[place : place + 4], "big") for place in (16, 20))
        return height, width, 8 if data[24] > 8 else 4
    place = _segment_at(data, FRAMES) if data.startswith(b"\xff\xd8") else -1
    if place < 0:
        return None
    height, width = (int.from_bytes(data[place + first : place + first + 2], "big") for first in (5, 7))
    return height, width, 4


def png_parts_fit(data: bytes) -> bool:
    """Whether all parts of a PNG lie in the file: OpenCV takes as much memory as one says that it has, up to 4 GiB."""
    place = 8
    while place + 8 <= len(data) and data[place + 4 : place + 8] != b"IEND":
        place += 12 + int.from_bytes(data[place : place + 4], "big")
    return place <= len(data)


def has_clear(data: bytes) -> bool:
    """Whether a PNG names a colour or an index that is transparent."""
    return data.find(CLEAR, 0, data.find(b"IDAT")) >= 0


def with_clear_grey(data: bytes, grey: np.ndarray, bits: int) -> np.ndarray:
    """`grey` [H, W, 1] of a PNG with an alpha channel where the file names a value that is clear; OpenCV drops it."""
    if not has_clear(data):
        return grey
    place = data.index(CLEAR) + len(CLEAR)
    clear = int.from_bytes(data[place : place + 2], "big") * _spread(bits)
    opaque = np.iinfo(grey.dtype).max
    return np.concatenate([grey, np.where(grey == clear, 0, opaque).astype(grey.dtype)], -1)


def ids_of_few_bits(values: np.ndarray, bits: int) -> np.ndarray:
    """Grey values [H, W, bands] as a PNG stores them: fewer than 8 bits are spread over 0 to 255 in decoding."""
    if bits >= 8:
        return values
    return np.concatenate([values[..., :1] // _spread(bits), values[..., 1:]], -1)


def values_of_text(data: bytes) -> np.ndarray:
    """Values [H, W, bands] of a PGM or PPM in ASCII, which OpenCV would spread over 0 to 255. Raises ValueError."""
    kind, width, height, largest, *found = re.sub(rb"#[^\r\n]*", b"", data).split()
    values = np.array([int(value) for value in found]).reshape(int(height), int(width), 1 if kind == GREY_TEXT else 3)
    if not 0 <= values.min() <= values.max() <= int(largest):
        raise ValueError(f"values beyond {largest!r}")
    return values.astype(np.uint8 if int(largest) < 256 else np.uint16)


def jpeg_has_end(data: bytes) -> bool:
    """Whether a JPEG has its end: where zeros stand for what was never written, OpenCV makes up pixels."""
    # Whole ones end like this, unless something is appended.
    return data.endswith(END_OF_JPEG) or data.find(END_OF_JPEG, _scans_at(data)) >= 0


def _scans_at(data):
    """Where the pixels of a JPEG begin: after segments, of which one may hold a thumbnail with an end of its own."""
    return max(_segment_at(data, (START_OF_SCAN[1],)), 0)


def _segment_at(data, kinds):
    """Where the first segment of some kinds begins, of those before the pixels of a JPEG; -1 where there is none."""
    place = 2
    while data[place : place + 1] == b"\xff" and place + 1 < len(data):
        if data[place + 1] in kinds:
            return place
        if data[place + 1] == START_OF_SCAN[1]:
            break
        place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    return -1


def _spread(bits):
    return 255 // (2**bits - 1) if bits < 8 else 1
