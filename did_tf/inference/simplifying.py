"""Outlines with fewer points, so that neighbours still fit and nothing crosses.

Douglas and Peucker (1973), on what lies between two points where outlines meet: two neighbours share it, and as what is
left does not depend on the direction, it is the same for both.

A chord takes the place of a piece of outline where that lies within a tolerance of it, measured along rows or columns,
whichever is more across. Up to a tolerance of one pixel no corner of anything else then lies between the two, for all
corners have whole coordinates. Hence no two outlines can cross: one that crossed a chord would have a corner between
chord and piece, or these one between it and what it took the place of (A. Saalfeld, "Topologically consistent line
simplification with the Douglas-Peucker algorithm", 1999). With a larger tolerance they may, where something is narrower
than that.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from did_tf.inference.regions import Ring

_TOGETHER = 2**20  # points that are looked at at once, which takes some 150 bytes each
_FIRST = np.array([2**32, 1])  # x and y times this: a number that is least for the leftmost, and uppermost, point


def simplified(rings: Sequence[Ring], tolerance: float) -> list[np.ndarray]:
    """Points [N, 2] of each ring, of which those that were left out lie within `tolerance` pixels of what is left.

    Args:
      rings: of pixels' corners.
      tolerance: 0 leaves all points; up to 1 no outlines cross.
    """
    if not tolerance or not rings:
        return [ring.points for ring in rings]
    closed, fixed = zip(*map(_closed, rings))
    kept = _kept(np.concatenate(closed).astype(np.int64), np.concatenate(fixed), tolerance)
    parts = np.split(kept, np.cumsum([len(points) for points in closed]))
    thinned = [points[part][:-1] for points, part in zip(closed, parts)]
    return [points if len(points) > 2 else ring.points for points, ring in zip(thinned, rings)]


def _closed(ring):
    """(points [N + 1, 2], bool [N + 1]) of a ring that begins and ends at a point that stays, and which these are."""
    first = int(ring.meeting.argmax() if ring.meeting.any() else (ring.points @ _FIRST).argmin())
    order = np.r_[first : len(ring.points), : first + 1]
    fixed = ring.meeting[order]
    fixed[[0, -1]] = True
    return ring.points[order], fixed


def _kept(points, fixed, tolerance):
    """Which of the points are left, bool, of those that are `fixed` at the beginning all."""
    kept, ends = fixed.copy(), np.flatnonzero(fixed)
    chords = np.stack([ends[:-1], ends[1:]], axis=1)
    while len(chords := chords[chords[:, 1] - chords[:, 0] > 1]):
        parts = np.flatnonzero(np.diff(np.cumsum(chords[:, 1] - chords[:, 0]) // _TOGETHER)) + 1
        found = [_farthest(points, fixed, some, tolerance) for some in np.split(chords, parts)]
        middle = np.concatenate(found)
        divided = middle >= 0
        (first, last), middle = chords[divided].T, middle[divided]
        kept[middle] = True
        fixed[middle[(points[first] == points[last]).all(axis=1)]] = True  # of a piece that goes round
        chords = np.concatenate([np.stack([first, middle], axis=1), np.stack([middle, last], axis=1)])
    return kept


def _farthest(points, fixed, chords, tolerance):
    """Which point is farthest from each chord and not near enough, as a number; -1 where all are near enough.

    Args:
      points: [N, 2].
      fixed: bool [N]. Of two pieces between the same two of these, one has a corner a pixel off right beside an end. It
        must not be left out, or both could become one chord. Nor may one along a row or a column, where corners of
        others may lie a pixel away.
      chords: [M, 2], numbers of the first and the last point, with others between.
      tolerance: in pixels.
    """
    first, last = chords.T
    counts = last - first - 1
    begins = np.cumsum(counts) - counts
    of = np.repeat(np.arange(len(chords)), counts)
    number = np.arange(len(of)) - begins[of] + first[of] + 1
    way, moved = points[last] - points[first], points[number] - points[first[of]]
    length = np.abs(way).max(axis=1)
    along = np.abs(way).argmax(axis=1)
    ahead = moved[np.arange(len(of)), along[of]] * np.sign(way[np.arange(len(way)), along])[of]
    beyond = np.maximum(-ahead, ahead - length[of])
    off = np.abs(way[of, 0] * moved[:, 1] - way[of, 1] * moved[:, 0])  # `length` times how far it is across
    strict = ~way.all(axis=1) | fixed[first] & fixed[last]
    limit = tolerance * length
    far = (off > limit[of]) | (off == limit[of]) & strict[of] | (beyond >= tolerance)
    distance = np.where(length[of], np.maximum(off / np.maximum(length, 1)[of], beyond), np.abs(moved).max(axis=1))
    distance[~far] = -1
    farthest = distance == np.maximum.reduceat(distance, begins)[of]
    place = np.where(farthest & far, points[number] @ _FIRST, np.iinfo(np.int64).max)
    found = np.full(len(chords), -1)
    chosen = (place == np.minimum.reduceat(place, begins)[of]) & far
    found[of[chosen]] = number[chosen]
    return found
