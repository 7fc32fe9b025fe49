"""Figures as text for people."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import numpy as np


def percent(fraction: float) -> str:
    """ "68.3" for 0.683, "-" for NaN."""
    return "-" if np.isnan(fraction) else f"{100 * fraction:.1f}"


def left_out(columns: Iterable[np.ndarray]) -> list[list[str]]:
    """How many values the mean of each column is of, as rows of a table: one, or none where no column has a NaN.

    Args:
      columns: values of the same classes, such as their IoU, NaN where a class has none.
    """
    counts = [(int(np.count_nonzero(~np.isnan(column))), len(column)) for column in columns]
    if all(known == all_ for known, all_ in counts):
        return []
    return [["  classes in it", *(f"{known} of {all_}" for known, all_ in counts)]]


def aligned(cells: Sequence[Sequence[str]], ruled: Collection[int] = ()) -> str:
    """Rows of strings as text: first column to the left, the others to the right; a rule before rows `ruled`."""
    widths = [max(map(len, column)) for column in zip(*cells)]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))]).rstrip()
        for row in cells
    ]
    for place in sorted(ruled, reverse=True):
        lines.insert(place, "-" * (sum(widths) + 2 * len(widths) - 2))
    return "\n".join(lines)
