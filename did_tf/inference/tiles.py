"""Tiles that cover an image: where they lie, and how much of each counts where several cover a pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

BLENDS = ("uniform", "gaussian")
"""How tiles are averaged: all of a tile equally, as in the papers, or less towards its border."""
WIDTH = 1 / 8
"""Standard deviation of "gaussian", as a fraction of the tile."""


def tile_stride(tile: int, overlap: float) -> int:
    """Distance in pixels between tiles of `tile` pixels: ceil((1 - overlap) * tile)."""
    # Rounded, for in floating point (1 - 1/3) * 321 is just above 214, and its ceiling 215.
    return math.ceil(round((1 - overlap) * tile, 6))


def tile_starts(size: int, tile: int, stride: int) -> list[int]:
    """First pixels of the tiles that cover `size` pixels of one axis; the last tile is shifted back to end at `size`.

    A size up to that of the tile gives [0]. Raises ValueError where the stride is not in 1..tile.
    """
    if not 1 <= stride <= tile:
        raise ValueError(f"stride must be 1 to {tile}, the size of the tile, got {stride}")
    last = max(size - tile, 0)
    return [*range(0, last, stride), last]


def profile(tile: int, blend: str) -> np.ndarray:
    """[tile] float32 in (0, 1]: how much each pixel of a tile counts along one axis, by one of `BLENDS`."""
    if blend == BLENDS[0]:
        return np.ones(tile, np.float32)
    distance = np.arange(tile) - (tile - 1) / 2
    return np.exp(-0.5 * (distance / (WIDTH * tile)) ** 2).astype(np.float32)


def cover(size: int, profile: np.ndarray, starts: Sequence[int]) -> np.ndarray:
    """[size] float32: the sum of the profiles of the tiles along one axis that hold each pixel."""
    total = np.zeros(size, np.float32)
    for start in starts:
        inside = total[start : start + len(profile)]
        inside += profile[: len(inside)]
    return total
