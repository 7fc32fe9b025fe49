"""The classes of a labelled image in strips of rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

Strips = Iterable[tuple[np.ndarray, np.ndarray | None]]
"""Rows from top to bottom: uint8 [rows, W], numbers of classes and 255 where there is no data; and float32 [rows, W],
how sure each pixel is, or None, of all strips or of none."""
PIXELS = 2**21
"""Most that are looked at together, but for a single row. Finding regions takes some 60 bytes for each."""


def parts(height: int, width: int) -> Iterator[slice]:
    """Rows of what has this size, from top to bottom, in parts of `PIXELS` or one row."""
    rows = max(1, PIXELS // width)
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def of_arrays(classes: Any, confidence: Any = None) -> Strips:
    """Strips of arrays [H, W] as of `Strips`: NumPy's, or others that can be sliced by rows."""
    for part in parts(*classes.shape):
        yield np.asarray(classes[part]), None if confidence is None else np.asarray(confidence[part])
