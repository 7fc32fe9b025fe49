"""From a raster of classes to its regions and their outlines, in one pass over strips of rows.

A region is what pixels of one class make that touch along edges. What is held is a piece of a strip, and the corners of
the regions that go on below it.
"""

from __future__ import annotations

import array
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from data_pipelines.spec import IGNORE
from did_tf.inference.strips import Strips, parts

REGION, Y, X, SIDES = range(4)
"""Columns of a table of corners."""
RIGHT, UP, MEETING = 1, 2, 4
"""Bits of SIDES: the outline goes to the right, not to the left; up, not down; and others meet it there."""


@dataclasses.dataclass(frozen=True)
class Ring:
    """A closed outline, which passes no point twice.

    Attributes:
      points: int32 [N, 2], x (to the right) and y (down) of corners of pixels; the first is not repeated.
      meeting: bool [N], whether three outlines or more meet there. All of them have the point; what lies between two
        such points is in two outlines, point for point, or is the edge of what has data.
    """

    points: np.ndarray
    meeting: np.ndarray


@dataclasses.dataclass(frozen=True)
class Region:
    """A region of one class.

    Attributes:
      number: of the class.
      pixels: how many it has.
      confidence: their mean; NaN where none was given.
      rings: its outer outline, then those of its holes.
    """

    number: int
    pixels: int
    confidence: float
    rings: Sequence[Ring]


class Regions:
    """Finds the regions of one raster.

    Args:
      minimum: pixels that a region must have; smaller ones are counted alone.

    Attributes:
      left_out: how many were smaller, of those that have ended.
    """

    def __init__(self, minimum: int = 1) -> None:
        self.minimum, self.left_out = minimum, 0

    def of(self, strips: Strips) -> Iterator[list[Region]]:
        """The regions, together those that end within some rows.

        Raises:
          ValueError: strips of several widths.
        """
        above: _Above | None = None
        for classes, confidence in _pieces(strips):
            above = above or _Above.nothing(classes.shape[1])
            yield self._ending(above, classes, confidence)
        if above:
            yield self._ending(above, np.full((1, above.row.size - 2), IGNORE, np.uint8), None)

    def _ending(self, above, classes, confidence):
        """Regions that end above or within these rows; `above` becomes what goes on below them."""
        grid = np.vstack([above.row, np.pad(classes, ((0, 0), (1, 1)), constant_values=IGNORE)])
        begins = _begins(grid)
        runs = np.cumsum(begins.ravel(), dtype=np.int32).reshape(grid.shape) - 1
        count, region = connected_components(_joints(grid, begins, runs, above.regions), directed=False)
        found = above.found.renamed(above.regions, region[runs[0]], count)
        found.add(region, np.flatnonzero(begins), grid, confidence)
        found.corners = np.concatenate([found.corners, _corners(grid, region, runs, above.top)])
        goes_on = np.zeros(count, bool)
        goes_on[region[runs[-1]]] = True
        above.top, above.row, below = above.top + len(classes), grid[-1], region[runs[-1]]
        above.found, above.regions = found.only(goes_on), (np.cumsum(goes_on) - 1)[below]
        ended = found.only(~goes_on & (found.number != IGNORE))
        large = ended.pixels >= self.minimum
        self.left_out += int(np.sum(~large))
        return ended.only(large).regions()


@dataclasses.dataclass
class _Found:
    """What is known of regions: class, pixels, sum of the confidence (NaN: none was given), and a table of corners."""

    number: np.ndarray
    pixels: np.ndarray
    sums: np.ndarray
    corners: np.ndarray

    def renamed(self, old, new, count):
        """The same, with new numbers of the regions: `old` and `new` are of the same pixels. Several become one."""
        names = np.zeros(len(self.pixels), np.intp)
        names[old] = new
        corners = self.corners.copy()
        corners[:, REGION] = names[corners[:, REGION]]
        pixels, sums = (np.bincount(names, values, count) for values in (self.pixels, self.sums))
        return _Found(np.full(count, IGNORE, np.uint8), pixels, sums, corners)

    def add(self, region, starts, grid, confidence):
        """Adds the pixels of runs, which begin at `starts` of `grid`; its first row was added before."""
        self.number[region] = grid.ravel()[starts]
        first = np.searchsorted(starts, grid.shape[1])
        lengths = np.diff(starts, append=grid.size)
        self.pixels += np.bincount(region[first:], lengths[first:], len(self.pixels))
        sums = np.full(len(starts), np.nan)
        if confidence is not None:
            sums = np.add.reduceat(np.pad(confidence, ((1, 0), (1, 1))).ravel(), starts, dtype=np.float64)
        self.sums += np.bincount(region[first:], sums[first:], len(self.sums))

    def only(self, wanted):
        """Those of the `wanted` regions, bool, numbered anew; corners of what has no data are left out."""
        corners = self.corners[(wanted & (self.number != IGNORE))[self.corners[:, REGION]]]
        corners[:, REGION] = (np.cumsum(wanted) - 1)[corners[:, REGION]]
        return _Found(self.number[wanted], self.pixels[wanted], self.sums[wanted], corners)

    def regions(self):
        """As `Region`s."""
        told = zip(self.number.tolist(), self.pixels.tolist(), (self.sums / self.pixels).tolist(), _rings(self))
        return [Region(number, int(pixels), mean, rings) for number, pixels, mean, rings in told]


@dataclasses.dataclass
class _Above:
    """What is known before further rows: number of the first, the row above it, and of which region its pixels are."""

    top: int
    row: np.ndarray
    regions: np.ndarray
    found: _Found

    @classmethod
    def nothing(cls, width: int) -> _Above:
        """Above the first row of so many columns; a column without data lies on both sides."""
        row, zero = np.full(width + 2, IGNORE, np.uint8), np.zeros(1)
        nothing = _Found(row[:1], zero, zero, np.empty((0, 4), np.int32))
        return cls(0, row, np.zeros(width + 2, np.intp), nothing)


def _pieces(strips):
    for classes, confidence in strips:
        for part in parts(*classes.shape):
            yield classes[part], None if confidence is None else confidence[part]


def _begins(grid):
    """Where in each row a run of one class begins."""
    begins = np.ones(grid.shape, bool)
    begins[:, 1:] = grid[:, 1:] != grid[:, :-1]
    return begins


def _joints(grid, begins, runs, above):
    """Graph of which runs touch; and of the first row, which are of one region as `above` says."""
    touch = (grid[1:] == grid[:-1]) & (begins[1:] | begins[:-1])  # once for each two runs
    first = np.flatnonzero(begins[0])
    _, one, which = np.unique(above[first], return_index=True, return_inverse=True)
    over = np.concatenate([runs[:-1][touch], np.arange(len(first))])
    under = np.concatenate([runs[1:][touch], one[which]])
    count = int(runs[-1, -1]) + 1
    return coo_matrix((np.ones(len(over), bool), (over, under)), shape=(count, count))


def _corners(grid, region, runs, top):
    """Table of the corners of all regions between the rows of `grid`, of which the second is row `top`.

    A corner is an edge of an outline to the left or right, and one up or down. Where three outlines meet and one goes
    straight on, that has two corners at one point.
    """
    four = [[grid[:-1, :-1], grid[:-1, 1:]], [grid[1:, :-1], grid[1:, 1:]]]
    vertical = [row[0] != row[1] for row in four]  # above and below the point, and likewise
    horizontal = [four[0][side] != four[1][side] for side in (0, 1)]
    y, x = np.nonzero((vertical[0] | vertical[1]) & (horizontal[0] | horizontal[1]))
    vertical, horizontal = ([edge[y, x] for edge in edges] for edges in (vertical, horizontal))
    of = [[region[runs[y + below, x + right]] for right in (0, 1)] for below in (0, 1)]
    meeting = sum(edge.astype(np.uint8) for edge in (*vertical, *horizontal)) >= 3

    found: list[Any] = []
    for side in (0, 1):
        sides = UP * (1 - side)
        found.append((meeting & ~vertical[side], of[side][0], 0))
        found.append((meeting & ~vertical[side], of[side][0], RIGHT))
        found.append((meeting & ~horizontal[side], of[0][side], 0))
        found.append((meeting & ~horizontal[side], of[0][side], UP))
        for right in (0, 1):
            corner = vertical[side] & horizontal[right]
            around = corner & ~vertical[1 - side] & ~horizontal[1 - right]
            found.append((corner, of[side][right], sides | RIGHT * right))
            found.append((around, of[1 - side][1 - right], sides | RIGHT * right))
    tables = [
        np.stack([number[there], top + y[there], x[there], sides | MEETING * meeting[there]], axis=1)
        for there, number, sides in found
    ]
    return np.concatenate(tables).astype(np.int32)


def _rings(found):
    """The rings of each region, the outer one first.

    Along a row, the corners of a region are the ends of its horizontal edges, two by two; along a column, those of its
    vertical ones. Where a region touches itself at a point, its outlines are kept apart: from an edge at the left one
    goes on to that side on which the region is not.
    """
    sides, keys = found.corners[:, SIDES], (X, Y, REGION)
    corners = found.corners[np.lexsort((sides & RIGHT, *(found.corners[:, key] for key in keys)))]
    columns = (corners[:, key] for key in (Y, X, REGION))
    ends = np.lexsort((corners[:, SIDES] & UP, *columns)).reshape(-1, 2)
    across = np.empty(len(corners), np.int64)
    across[ends] = ends[:, ::-1]
    rings: list[list[Ring]] = [[] for _ in found.number]
    for cycle in _cycles(across):
        passed = corners[cycle]
        points = passed[:, [X, Y]]
        new = (points != np.roll(points, 1, axis=0)).any(axis=1)
        rings[passed[0, REGION]].append(Ring(points[new], (passed[new, SIDES] & MEETING) > 0))
    return rings


def _cycles(across):
    """The ways round: from a corner along its row to the other end of the edge, from there to that which is `across`.

    The uppermost corner of a region is on its outer outline: its way round comes first.
    """
    seen, across = bytearray(len(across)), memoryview(across)  # of which no number is an object before it is wanted
    for first in range(0, len(across), 2):
        at, cycle = first, array.array("q")
        while not seen[at]:
            seen[at] = seen[at ^ 1] = 1
            cycle.extend((at, at ^ 1))
            at = across[at ^ 1]
        if cycle:
            yield np.frombuffer(cycle, np.int64)
