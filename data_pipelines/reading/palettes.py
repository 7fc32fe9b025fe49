"""Palettes of label files: which colour an index stands for, and whether that is one in all files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

Colour = tuple[int, ...]
"""(R, G, B) in 0..255."""


def used(palette: tuple[Colour, ...], indices: np.ndarray) -> dict[int, Colour]:
    """Index -> its colour, of those of the `indices`, of any shape, that the palette has."""
    return {index: palette[index] for index in np.unique(indices).tolist() if 0 <= index < len(palette)}


def clash(
    shown: dict[int, tuple[Colour, Path]], path: Path, colours: Mapping[int, Colour]
) -> tuple[int, Colour, Path, Colour] | None:
    """(index, its colour so far, the file that has it so, its other colour) of an index that has two, or None.

    Args:
      shown: index -> (colour, file) of the files before; those of this one are added.
      path: of this file.
      colours: as of `used`.
    """
    for index, colour in colours.items():
        known, other = shown.setdefault(index, (colour, path))
        if known != colour:
            return index, known, other, colour
    return None
