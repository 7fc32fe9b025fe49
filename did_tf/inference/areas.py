"""How much each class covers: pixels, shares and square metres, counted strip by strip and written as CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from rasterio.crs import CRS

from data_pipelines.reading.places import Place
from data_pipelines.spec import IGNORE, DatasetSpec
from did_tf.common.files import write_file

COLUMNS = ("image", "class", "id", "pixels", "share", "square_metres", "confidence")
"""Of the table. A share is of the pixels that have a class; what is not known is empty."""
VOID = "void"
"""What stands as the class of pixels that have none: those without data."""
_STRETCHED = re.compile(r'(PROJECTION|METHOD)\["(Mercator|Popular|Equirect|Equidistant Cylindrical|Miller)')
"""In the WKT of what shows the world as a rectangle, Web Mercator among others, whose metres are none on the ground: at
48 degrees areas are more than twice too large."""


class Areas:
    """Counts the pixels of each class, and adds up their confidence, of one image in strips.

    Args:
      num_classes: how many there are.
    """

    def __init__(self, num_classes: int) -> None:
        self._classes = num_classes
        self._pixels = np.zeros(IGNORE + 1, np.int64)
        self._confidence: np.ndarray | None = None

    def add(self, classes: np.ndarray, confidence: np.ndarray | None = None) -> None:
        """Counts further pixels.

        Args:
          classes: uint8 of any shape, numbers of classes, 255 where there is no data.
          confidence: float32 of the same shape, of all strips or of none.
        """
        numbers = classes.ravel()
        self._pixels += np.bincount(numbers, minlength=IGNORE + 1)
        if confidence is not None:
            found = np.bincount(numbers, confidence.ravel(), IGNORE + 1)
            self._confidence = found if self._confidence is None else self._confidence + found

    def rows(self, image: str, spec: DatasetSpec, place: Place | None = None) -> list[list[str]]:
        """Cells under `COLUMNS`: a row per class in their order, also of those that cover nothing, then one of void.

        Args:
          image: its name.
          spec: whose classes and ids they are.
          place: where the image lies, which tells the size of a pixel; see `pixel_area`.
        """
        area, measured = pixel_area(place), int(self._pixels[: self._classes].sum())
        named = [*zip(range(self._classes), spec.classes, spec.output_ids), (IGNORE, VOID, spec.void_id)]
        return [
            [image, name, str(identity), str(self._pixels[number]), *self._figures(number, measured, area)]
            for number, name, identity in named
        ]

    def _figures(self, number, measured, area):
        """Share, square metres and mean confidence as text."""
        pixels = self._pixels[number]
        share = "" if number == IGNORE or not measured else f"{pixels / measured:.6f}"
        metres = "" if area is None else f"{pixels * area:.12g}"
        if self._confidence is None or number == IGNORE or not pixels:
            return share, metres, ""
        return share, metres, f"{self._confidence[number] / pixels:.4f}"


def pixel_area(place: Place | None) -> float | None:
    """Square metres that a pixel covers in the plane of the place's CRS.

    None where that is not known: there is no place or no CRS, or the CRS counts in degrees, or is one of those whose
    metres grow away from the equator, such as Web Mercator; and where all pixels lie on a line.
    """
    if place is None or not place.crs:
        return None
    crs = CRS.from_wkt(place.crs)
    if not crs.is_projected or _STRETCHED.search(crs.to_wkt()):
        return None
    a, b, _, d, e, _ = place.transform
    return abs(a * e - b * d) * crs.linear_units_factor[1] ** 2 or None


def write(path: str | Path, rows: Iterable[Sequence[str]]) -> None:
    """Writes a CSV file (RFC 4180, UTF-8) of rows under `COLUMNS`, whole or not at all. Raises OSError."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([COLUMNS, *rows])
    write_file(path, text.getvalue().encode())
