"""labelme: a JSON file for each image, whose places are counted from the image's upper left corner.

labelme itself draws as PIL does: also what an outline touches, half a pixel more on all sides.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from data_pipelines.own_data.annotations import entries
from data_pipelines.own_data.annotations.entries import Annotations, Entry
from data_pipelines.reading.shapes import Shape

LINES = ("line", "linestrip", "point", "points")
POLYGONS = ("polygon", "oriented_rectangle", "rotation")
"""The last is X-AnyLabeling's, which writes labelme's files and gives all four corners of rectangles too."""


def is_one(content: Any) -> bool:
    """Whether a JSON is of labelme."""
    return isinstance(content, dict) and "shapes" in content and "imagePath" in content


def read(content: dict[str, Any]) -> Annotations:
    """What it says. The picture in it, and where it was taken from, don't count. Raises as damaged values do."""
    left: Counter[str] = Counter()
    shapes = []
    for number, shape in enumerate(content["shapes"], start=1):
        with entries.reading(f"shape {number}"):
            kind, points = shape.get("shape_type") or "polygon", shape["points"]
            if kind in LINES or kind == "polygon" and len(points) < 3:
                left[kind] += 1
            else:
                shapes.append(_shape(kind, shape["label"], points))
    size = entries.size(content["imageHeight"], content["imageWidth"])
    return Annotations("labelme", {"": Entry(tuple(shapes), size)}, left)


def _shape(kind, name, points):
    if not isinstance(name, str):
        raise ValueError(f"a shape is called {name!r:.60}")
    if kind in POLYGONS or kind == "rectangle" and len(points) == 4:
        return Shape(name, (entries.ring(points),))
    if kind == "rectangle":
        (left, top), (right, bottom) = points
        return Shape(name, (entries.box(left, top, right, bottom),))
    if kind == "circle":
        (x, y), beside = points
        radius = math.dist((x, y), beside)
        return entries.round_shape(name, x, y, radius, radius)
    raise ValueError(f"a shape is a {kind!r:.40}: draw it as a polygon")
