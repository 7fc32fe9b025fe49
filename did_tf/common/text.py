"""Figures as text for people."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np


def percent(fraction: float) -> str:
    """ "68.3" for 0.683, "-" for NaN."""
    return "-" if np.isnan(fraction) else f"{100 * fraction:.1f}"


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
