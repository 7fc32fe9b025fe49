"""Images in strips of whole rows: nobody has to hold all of a large one, nor of what a network sees in it.

What is here of an image is anything with a `shape` (H, W, bands) that gives rows as an array: `image[first:last]`.
Results are streams of (rows, {output: float32 [rows, W, classes]}), from top to bottom without a gap.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import cv2
import numpy as np

Strips = Iterator[tuple[slice, dict[str, np.ndarray]]]


class Rows(Protocol):
    """An image that gives rows of itself, an array among others."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W, bands)."""

    def __getitem__(self, rows: slice, /) -> Any:
        """[rows, W, bands], of those rows that there are."""


class Mirrored:
    """The image mirrored, left to right."""

    def __init__(self, image: Rows) -> None:
        self._image, self.shape = image, image.shape

    def __getitem__(self, rows: slice) -> np.ndarray:
        return self._image[rows][:, ::-1]


class Scaled:
    """The image resized to `size` (height, width), float32, as `resize` does with all of it."""

    def __init__(self, image: Rows, size: Sequence[int]) -> None:
        self._image, self.shape = image, (*size, image.shape[2])
        self._low, self._high, self._weight = _between(image.shape[0], size[0])

    def __getitem__(self, rows: slice) -> np.ndarray:
        first, last, _ = rows.indices(self.shape[0])
        if last - first == self.shape[0]:
            return resize(self._image[0 : self._image.shape[0]].astype(np.float32), self.shape)
        low, high = self._low[first:last], self._high[first:last]
        held = self._image[low[0] : high[-1] + 1].astype(np.float32)
        return _mixed(held, low - low[0], high - low[0], self._weight[first:last], self.shape[1])


def resize(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Bilinear resize of [H, W, C] to size (height, width), half-pixel centres, for up to 512 channels."""
    if tuple(size[:2]) == image.shape[:2]:
        return image
    # OpenCV drops a last axis of one.
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR).reshape(*size[:2], image.shape[2])


def row_at(height: int, other: int, row: int) -> int:
    """The first row of an image of `height` rows that `row` of that image resized to `other` rows is made of."""
    return int(_between(height, other)[0][row])


def resized(found: Strips, height: int, size: Sequence[int], begin: int = 0) -> Strips:
    """A stream of an image of `height` rows resized to `size` (height, width), as `resize` does with all of it.

    Args:
      found: the stream, from `row_at` of the row `begin` on at the latest.
      height: of its image.
      size: that is wanted.
      begin: the first row that is.
    """
    low, high, weight = _between(height, size[0])
    held: dict[str, np.ndarray] = {}
    first = done = -1
    for rows, values in found:
        if rows == slice(0, height):
            yield slice(begin, size[0]), {name: resize(part, size)[begin:] for name, part in values.items()}
            return
        if first < 0:
            first, done, held = rows.start, begin, values
        else:
            held = {name: np.concatenate([held[name], part]) for name, part in values.items()}
        end = int(np.searchsorted(high, rows.stop))
        if end > done:
            part = slice(done, end)
            at = low[part] - first, high[part] - first, weight[part]
            yield part, {name: _mixed(whole, *at, size[1]) for name, whole in held.items()}
            done = end
        needed = min(low[done], rows.stop) if done < size[0] else rows.stop
        held = {name: whole[needed - first :] for name, whole in held.items()}
        first = needed


def mean(streams: Sequence[Strips], whole: bool) -> Strips:
    """The mean of streams of one image, which begin at one row.

    Args:
      streams: which give no value before they are asked for it.
      whole: whether each has but one strip: then these are not all held at once.
    """
    if whole:
        firsts = map(next, streams)
        rows, values = next(firsts)
        rest = (values for _, values in firsts)
        yield rows, _mean_of(itertools.chain([values], rest), len(streams))
        return
    now = [next(stream) for stream in streams]
    while True:
        top, end = now[0][0].start, min(rows.stop for rows, _ in now)
        parts = ({name: v[: end - top] for name, v in values.items()} for _, values in now)
        yield slice(top, end), _mean_of(parts, len(now))
        for number, (rows, values) in enumerate(now):
            if rows.stop > end:
                now[number] = slice(end, rows.stop), {name: v[end - top :] for name, v in values.items()}
            elif (after := next(streams[number], None)) is None:
                return
            else:
                now[number] = after


def joined(found: Strips, height: int) -> dict[str, np.ndarray]:
    """All of a stream of an image of `height` rows as one array of each output."""
    whole: dict[str, np.ndarray] = {}
    for rows, values in found:
        if rows == slice(0, height):
            return values
        for name, part in values.items():
            if name not in whole:
                whole[name] = np.empty((height, *part.shape[1:]), part.dtype)
            whole[name][rows] = part
    return whole


def _between(height, other):
    """Of each of `other` rows that `height` rows are resized to: the two that it lies between, and the second's share.

    Half-pixel centres, as OpenCV has them; beyond the first and the last row these count alone.
    """
    at = (np.arange(other) + 0.5) * (height / other) - 0.5
    low = np.clip(np.floor(at), 0, height - 1).astype(int)
    high = np.minimum(low + 1, height - 1)
    return low, high, np.clip(at - low, 0, 1).astype(np.float32)


def _mixed(rows, low, high, weight, width):
    """[n, width, C]: rows between `low` and `high`, resized to `width`."""
    weight = weight[:, None, None]
    return resize(rows[low] * (1 - weight) + rows[high] * weight, (len(low), width))


def _mean_of(parts, count):
    total: dict[str, np.ndarray] = {}
    for values in parts:
        for name in list(values):
            share = values.pop(name) / np.float32(count)
            total[name] = total[name] + share if name in total else share
    return total
