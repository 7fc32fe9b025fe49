"""Figures as text for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np


def percent(fraction: float) -> str:
    """ "68.3" for 0.683, "-" for NaN."""
    return "-" if np.isnan(fraction) else f"{100 * fraction:.1f}"


def of_paper(paper: Mapping[str, Any]) -> str:
    """Heading of a paper's figures: "paper (test)", by the split that they are of."""
    return f"paper ({paper['split']})" if "split" in paper else "paper"


def beside(cells: Sequence[Sequence[str]], heading: str, figures: Sequence[float | None]) -> list[list[str]]:
    """Rows of text with a column of a paper's figures, or as they are where it has none of them.

    Args:
      cells: the rows, headings first.
      heading: of the new column.
      figures: percent, one for each row below the headings; None for nothing.
    """
    if all(figure is None for figure in figures):
        return [[*row] for row in cells]
    texts = [heading, *("" if figure is None else f"{figure:.1f}" for figure in figures)]
    return [[*row, text] for row, text in zip(cells, texts)]


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


def listed(text: str) -> list[str]:
    """What a text lists: names between commas where it has any, for then they may have spaces; else between spaces."""
    return [name for part in text.split("," if "," in text else None) if (name := part.strip())]


def span(numbers: Collection[int]) -> str:
    """Whole numbers as text: "0 to 10" where none between is missing, "0, 255" where they are few."""
    least, largest = min(numbers), max(numbers)
    if largest - least == len(numbers) - 1:
        return f"{least} to {largest}"
    return ", ".join(map(str, sorted(numbers))) if len(numbers) <= 5 else f"{len(numbers)} from {least} to {largest}"
