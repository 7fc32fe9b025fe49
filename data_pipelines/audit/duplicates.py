"""Finds images that are in a data set twice: the same pixels, or the same picture compressed or sized anew."""

from __future__ import annotations

import functools
import hashlib
from typing import NamedTuple

import cv2
import numpy as np

SIDE, SHRUNK = 16, 64
BITS = SIDE**2
DIGEST_BYTES = 16
LIMIT = 32
"""Looks that differ in at most so many of the 256 bits are of one picture.

Measured: a CamVid frame or a drawn scene saved as JPEG (quality 20 to 90), brightened, or sized by 1/4 to 2 differs in
at most 14 bits from itself; the nearest two of CamVid's train and val in 82 (the median is 124), of 200 drawn scenes in
92. Of frames that follow each other in a video some are nearer than the limit: half of those in CamVid's val, 1/15 s
apart, by 19. Copies that are cropped by more than a few pixels aren't found.
"""
TURNS = [(transposed, down, right) for transposed in (False, True) for down in (1, -1) for right in (1, -1)][1:]
"""Ways in which a picture is mirrored or turned: whether its axes are swapped, and then which of them are reversed.

Looks tell them without the picture: reversing an axis changes the sign of its odd frequencies. Measured: of drawn
scenes, mirrored and turned copies differ from what their looks say in at most 18 bits, others in 92 or more.
"""
TURNED_AT_MOST = 2 * 10**9
"""Pairs of images. Among more, which would take an hour, mirrored copies aren't looked for."""
BLOCK = 2048
KEPT = 20


class Fingerprints:
    """What tells the images of a split apart, in 48 bytes each. `prints[index] = fingerprint(image)` enters one.

    Args:
      count: N, of images; none of them is known yet.

    Attributes:
      known: [N] bool. An image that isn't known is like no other.
      digests: [N, 16] uint8, of the pixels.
      looks: [N, 32] uint8, 256 bits of which a picture keeps most when it is compressed or sized anew.
    """

    def __init__(self, count: int) -> None:
        self.known = np.zeros(count, bool)
        self.digests = np.zeros((count, DIGEST_BYTES), np.uint8)
        self.looks = np.zeros((count, BITS // 8), np.uint8)

    def __setitem__(self, index: int, value: tuple[np.ndarray, np.ndarray]) -> None:
        self.known[index] = True
        self.digests[index], self.looks[index] = value


class Alike(NamedTuple):
    """Pairs of images that look alike.

    Attributes:
      pairs: how many there are.
      images: how many images of the second split are in one.
      nearest: (differing bits, index in the first split, index in the second) of the `KEPT` nearest.
    """

    pairs: int
    images: int
    nearest: list[tuple[int, int, int]]


def fingerprint(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(digest [16] uint8, look [32] uint8) of an image [H, W, bands] of any dtype, as in `Fingerprints`.

    The digest is a part of the sha256 of shape, type and pixels: how a file is compressed doesn't matter. The look is
    a perceptual hash: of the mean of the bands, 64x64 pixels, the 16x16 lowest frequencies (DCT); a bit says whether
    one is above their median. The constant one says how bright the image is: its bit is always 0.
    """
    pixels = np.ascontiguousarray(image)
    digest = hashlib.sha256(f"{pixels.shape} {pixels.dtype}".encode())
    digest.update(pixels.data)
    frequencies = cv2.dct(_shrunk(image))[:SIDE, :SIDE].ravel()
    bits = frequencies > np.median(frequencies[1:])
    bits[0] = False
    return np.frombuffer(digest.digest()[:DIGEST_BYTES], np.uint8), np.packbits(bits)


def same_pixels(first: Fingerprints, second: Fingerprints) -> list[tuple[int, int]]:
    """(index in `first`, index in `second`) of every image of `second` that is in `first` too."""
    places: dict[bytes, int] = {}
    for index in np.flatnonzero(first.known).tolist():
        places.setdefault(first.digests[index].tobytes(), index)
    found = ((places.get(second.digests[index].tobytes()), index) for index in np.flatnonzero(second.known).tolist())
    return [(place, index) for place, index in found if place is not None]


def repeated_pixels(prints: Fingerprints) -> list[tuple[int, int]]:
    """(index of the first, index) of every image that has been there before."""
    return [(first, index) for first, index in same_pixels(prints, prints) if first != index]


def look_alike(first: Fingerprints, second: Fingerprints, limit: int = LIMIT) -> Alike:
    """Images of `second` that look like one of `first`, less those with the same pixels.

    All pairs are compared, by products of matrices, a block at a time: 10^5 images with 10^5 take minutes, and memory
    doesn't grow with them.

    Args:
      first: of a split.
      second: of another, or of the same.
      limit: bits of the 256 that may differ.
    """
    return _compare(first, second, limit, lambda own, others: own @ others.T)


def turned_copies(first: Fingerprints, second: Fingerprints, limit: int = LIMIT) -> Alike:
    """Images of `second` that look like one of `first` once they are mirrored or turned, and not as they are.

    None are looked for among more pairs than `TURNED_AT_MOST`.
    """
    if int(first.known.sum()) * int(second.known.sum()) > TURNED_AT_MOST:
        return Alike(0, 0, [])

    def products(own, others):
        best = functools.reduce(np.maximum, (own @ _turned(others, turn).T for turn in TURNS))
        return np.where(own @ others.T >= BITS - 2 * limit, -BITS, best)

    return _compare(first, second, limit, products)


def _compare(first, second, limit, products_of):
    """The `Alike` of two splits, by products of their looks: of vectors of 1 and -1 [n, 256] and [m, 256]."""
    rows, columns = np.flatnonzero(first.known), np.flatnonzero(second.known)
    pairs, images = 0, 0
    nearest: list[tuple[int, int, int]] = []
    for right in _blocks(columns):
        signs, met = _signs(second.looks[right]), np.zeros(len(right), bool)
        for left in _blocks(rows):
            # A product is the number of equal entries less that of different ones.
            products = products_of(_signs(first.looks[left]), signs)
            i, j = np.nonzero(products >= BITS - 2 * limit)
            new = (first.digests[left[i]] != second.digests[right[j]]).any(axis=1)
            i, j = i[new], j[new]
            pairs += len(i)
            met[j] = True
            distances = ((BITS - products[i, j]) / 2).astype(int)
            keep = np.argsort(distances, kind="stable")[:KEPT]  # of equal ones, the first: pairs are in order
            found = zip(distances[keep].tolist(), left[i[keep]].tolist(), right[j[keep]].tolist())
            nearest = sorted([*nearest, *found])[:KEPT]
        images += int(met.sum())
    return Alike(pairs, images, nearest)


def _shrunk(image):
    """[64, 64] float32, the mean of the bands; area by area, so that every pixel counts."""
    bands = (np.ascontiguousarray(image[..., band], np.float32) for band in range(image.shape[-1]))
    return np.mean([cv2.resize(band, (SHRUNK, SHRUNK), interpolation=cv2.INTER_AREA) for band in bands], axis=0)


def _signs(looks):
    """[n, 32] uint8 -> [n, 256] float32 of 1 and -1."""
    return np.unpackbits(looks, axis=1).astype(np.float32) * 2 - 1


def _turned(signs, turn):
    """Signs [n, 256] of looks, as the pictures would have them if these were turned."""
    transposed, down, right = turn
    frequencies = signs.reshape(-1, SIDE, SIDE)
    frequencies = frequencies.swapaxes(1, 2) if transposed else frequencies
    powers = np.arange(SIDE) % 2
    return (frequencies * (down**powers)[:, None] * right**powers).reshape(-1, BITS).astype(np.float32)


def _blocks(indices):
    return [indices[start : start + BLOCK] for start in range(0, len(indices), BLOCK)]
