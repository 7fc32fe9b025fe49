"""Values of labels, ids or colours, and where they stand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

PIXELS = 2**20  # that are looked at at a time, at most, but for a row
STEPS = ((0, 1), (1, 0), (1, 1), (1, -1))  # right, down and the diagonals


class Values(NamedTuple):
    """Values and where they stand, one row each.

    Attributes:
      keys: [n] int64: ids, or red + 256 green + 65536 blue.
      sums: [n, 3] int64: pixels; of these, in blocks of 2x2 equal ones; of these, between two other values.
    """

    keys: np.ndarray
    sums: np.ndarray


def values_of(label: np.ndarray, there: np.ndarray) -> Values:
    """`Values` of a label [h, w, 1 or 3] of integers, where it is `there` [h, w]; some rows at a time."""
    height, width = there.shape
    step = max(PIXELS // max(width, 1), 1)
    return added([_of_rows(label, there, top, min(top + step, height)) for top in range(0, height, step)])


def _of_rows(label, there, top, bottom):
    """Of the rows from `top` up to `bottom`, which need to see their neighbours."""
    above = min(top, 1)
    part, own = label[top - above : bottom + 1], slice(above, above + bottom - top)
    keys = _packed(part)
    marks = [mark[own][there[top:bottom]] for mark in (_in_blocks(keys), _between(part, keys))]
    found, places = np.unique(keys[own][there[top:bottom]], return_inverse=True)
    counts = [np.bincount(places.ravel(), weights=mark, minlength=len(found)) for mark in (None, *marks)]
    return Values(found, np.stack(counts, -1).astype(np.int64))


def _in_blocks(keys):
    """[h, w] bool, True where a pixel is in a block of 2x2 equal ones."""
    found = np.zeros(keys.shape, bool)
    equal = (keys[:-1, :-1] == keys[1:, :-1]) & (keys[:-1, 1:] == keys[1:, 1:]) & (keys[:-1, :-1] == keys[:-1, 1:])
    for down in (0, 1):
        for right in (0, 1):
            found[down : keys.shape[0] - 1 + down, right : keys.shape[1] - 1 + right] |= equal
    return found


def _between(label, keys):
    """[h, w] bool, True where a pixel lies between the two on its sides, and is like neither."""
    height, width = keys.shape
    wide, wide_keys = np.pad(label, ((1, 1), (1, 1), (0, 0)), "edge"), np.pad(keys, 1, "edge")
    found = np.zeros(keys.shape, bool)
    for down, right in STEPS:
        sides = [
            (slice(1 + sign * down, 1 + sign * down + height), slice(1 + sign * right, 1 + sign * right + width))
            for sign in (-1, 1)
        ]
        before, after = (wide[side] for side in sides)
        within = ((before <= label) & (label <= after) | (after <= label) & (label <= before)).all(-1)
        found |= within & (wide_keys[sides[0]] != keys) & (wide_keys[sides[1]] != keys)
    return found


def _packed(label):
    keys = label[..., 0].astype(np.int64)
    for channel in range(1, label.shape[2]):
        keys = keys + (label[..., channel].astype(np.int64) << 8 * channel)
    return keys


def as_colours(values: Values) -> Values:
    """Those of greys, of which each is three equal channels."""
    return values._replace(keys=values.keys * 0x010101)


def added(parts: Sequence[Values]) -> Values:
    """All of several labels."""
    if not parts:
        return Values(np.zeros(0, np.int64), np.zeros((0, 3), np.int64))
    keys, places = np.unique(np.concatenate([part.keys for part in parts]), return_inverse=True)
    sums = np.zeros((len(keys), 3), np.int64)
    np.add.at(sums, places.ravel(), np.concatenate([part.sums for part in parts]))
    return Values(keys, sums)


def told_of(values: Values, colours: bool) -> list[Any]:
    """The ids, or (R, G, B) of each."""
    points = points_of(values, colours).tolist()
    return [tuple(point) for point in points] if colours else [point[0] for point in points]


def points_of(values: Values, colours: bool) -> np.ndarray:
    """[n, 1 or 3] int64: the values as numbers."""
    return np.stack([values.keys >> shift & 255 for shift in (0, 8, 16)], -1) if colours else values.keys[:, None]
