"""Polygons, ellipses and run lengths, as tools for labelling keep them, to pixels.

Places are (x, y) in pixels from the image's upper left corner, so that a pixel (row, column) is centred at + 0.5. A
shape has the pixels whose centres are in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.memory import check_room
from data_pipelines.spec import IGNORE, Window

BYTES_OF_SIDE = 64
"""What filling takes in a row that a side crosses."""


class Shape(NamedTuple):
    """What somebody drew: of `rings`, `ellipse` and `runs`, one.

    Attributes:
      name: of what it shows.
      rings: outlines [N, 2] (x, y), each in or out of the others: a hole is one inside another.
      ellipse: x and y of its centre, its two radii, and the angle in radians by which the first is turned from the
        right towards below.
      runs: lengths down the columns of the whole image, see `decode_runs`.
      void: whether it says of what it covers that nobody knows.
    """

    name: str
    rings: tuple[np.ndarray, ...] = ()
    ellipse: tuple[float, ...] = ()
    runs: Mapping[str, Any] | None = None
    void: bool = False


def draw(shapes: Iterable[tuple[Shape, int]], size: tuple[int, int], rest: int, window: Window) -> np.ndarray:
    """[h, w] uint8: what is seen in a window of an image, each shape above those before it; `IGNORE` beyond the image.

    Args:
      shapes: with the value of each.
      size: (height, width) of the image.
      rest: value of what no shape covers.
      window: part of the image to draw.

    Raises:
      DataError: there is no room for it.
      ValueError: run lengths that are not of such an image.
    """
    check_room("a label", window.height * window.width)
    label = np.full((window.height, window.width), IGNORE, np.uint8)
    rows, columns = window.inside(*size)
    part = label[rows.start - window.top : rows.stop - window.top, columns.start - window.left :]
    part = part[:, : columns.stop - columns.start]
    part[:] = rest
    for shape, value in shapes:
        if shape.runs is not None:
            part[decode_runs(shape.runs, size)[rows, columns]] = value
        elif shape.ellipse:
            fill_ellipse(shape.ellipse, part, value, (rows.start, columns.start))
        else:
            fill_rings(shape.rings, part, value, (rows.start, columns.start))
    return label


def fill_rings(rings: Sequence[np.ndarray], label: np.ndarray, value: int, origin: tuple[int, int] = (0, 0)) -> None:
    """Sets the pixels of `label` [H, W] whose centres are in a polygon.

    A centre is inside where an odd number of sides, of all rings, is to the left of it. A label that is part of an
    image gets to a bit what it has in all of it.

    Args:
      rings: outlines [N, 2], (x, y) in pixels of the image.
      label: uint8, is changed.
      value: class id or `IGNORE`.
      origin: (row, column) of the image at which the label begins.
    """
    height, width = label.shape
    start = np.concatenate(rings).astype(np.float64)
    end = np.concatenate([np.roll(ring, -1, axis=0) for ring in rings]).astype(np.float64)
    # The rows that a side crosses, from its upper end on and without its lower one.
    edges = np.ceil(np.sort([start[:, 1], end[:, 1]], axis=0) - 0.5)
    rows = edges.clip(origin[0], origin[0] + height).astype(int)
    times = rows[1] - rows[0]
    check_room("a polygon", BYTES_OF_SIDE * int(times.sum()))
    side = np.arange(len(start)).repeat(times)
    row = np.arange(len(side)) - (times.cumsum() - times - rows[0])[side]
    if not row.size:
        return
    part = (row + 0.5 - start[side, 1]) / (end - start)[side, 1]
    x = start[side, 0] + part * (end - start)[side, 0]
    column = np.ceil(x - 0.5).clip(origin[1], origin[1] + width).astype(int) - origin[1]
    row -= origin[0]
    top, left, size = row.min(), column.min(), (np.ptp(row) + 1, np.ptp(column) + 1)
    sides = np.bincount((row - top) * size[1] + column - left, minlength=size[0] * size[1]).reshape(size)
    part = label[top : top + size[0], left : left + size[1]]
    part[(sides.cumsum(axis=1) % 2 == 1)[:, : part.shape[1]]] = value


def fill_ellipse(ellipse: Sequence[float], label: np.ndarray, value: int, origin: tuple[int, int] = (0, 0)) -> None:
    """As `fill_rings`, of an ellipse as of `Shape`; a centre on its line is inside."""
    x, y, *radii, angle = ellipse
    centre, reach = np.array([y - origin[0], x - origin[1]]), max(radii)
    low, high = (np.clip([centre - reach - 1, centre + reach + 1], 0, [label.shape] * 2)).astype(int)
    part = label[low[0] : high[0], low[1] : high[1]]
    down, right = np.ogrid[low[0] : high[0], low[1] : high[1]]
    down, right = down + 0.5 - centre[0], right + 0.5 - centre[1]
    along, across = (
        right * np.cos(angle) + down * np.sin(angle),
        down * np.cos(angle) - right * np.sin(angle),
    )
    part[(along / radii[0]) ** 2 + (across / radii[1]) ** 2 <= 1] = value


def area(shape: Shape) -> float:
    """Square pixels; of rings that cross each other, that of one less the other."""
    if shape.runs is not None:
        return float(sum(lengths(shape.runs)[1::2]))
    if shape.ellipse:
        return float(np.pi * shape.ellipse[2] * shape.ellipse[3])
    outer, *holes = (abs(_twice_area(ring)) / 2 for ring in shape.rings)
    return outer - sum(holes)


def _twice_area(ring):
    x, y = (ring - ring[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1))


def decode_runs(runs: Mapping[str, Any], shape: tuple[int, ...]) -> np.ndarray:
    """Mask [H, W] bool of run lengths in COCO's format, down the columns: of zeros, ones, zeros, ...

    Args:
      runs: {"size": [H, W], "counts": lengths, as a list or compressed to a string}.
      shape: (H, W) of the image.

    Raises:
      ValueError: they don't fit the image.
    """
    if not {"size", "counts"} <= runs.keys():
        raise ValueError("runs without size or counts")
    counts = np.array(lengths(runs), np.int64)
    if tuple(runs["size"]) != tuple(shape):
        raise ValueError(f"runs of size {runs['size']} in an image of {list(shape)} (height, width)")
    if (counts < 0).any() or counts.sum() != shape[0] * shape[1]:
        raise ValueError(f"runs of {counts.sum()} pixels in an image of {shape[0] * shape[1]}")
    values = np.arange(len(counts)) % 2 == 1
    return values.repeat(counts).reshape(shape[::-1]).T


def lengths(runs: Mapping[str, Any]) -> list[int]:
    """The lengths themselves. Raises ValueError where a string says none."""
    counts = runs["counts"]
    return _uncompressed(counts) if isinstance(counts, str) else counts


def _uncompressed(text):
    """Run lengths of COCO's strings.

    A number is a series of characters from "0" (48) on, its lowest five bits first; bit 5 says that more follow, and
    the highest bit of the last five is the sign. From the fourth on, what is stored is the difference to the run
    before the last.
    """
    counts: list[int] = []
    value = bits = 0
    for character in text:
        code = ord(character) - 48
        value |= (code & 31) << bits
        bits += 5
        if bits > 60:
            raise ValueError("a run of more pixels than there can be")
        if code & 32:
            continue
        if code & 16:
            value -= 1 << bits
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = bits = 0
    return counts
