"""COCO: a JSON file for many images; polygons, and run lengths as pycocotools writes them, which are exact.

pycocotools itself rounds the corners of polygons to fifths of a pixel, so that a few pixels of borders differ.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from data_pipelines.own_data.annotations import entries
from data_pipelines.own_data.annotations.entries import Annotations, Entry
from data_pipelines.reading.shapes import Shape, area


def is_one(content: Any) -> bool:
    """Whether a JSON is of COCO."""
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def read(content: dict[str, Any]) -> Annotations:
    """What it says. COCO doesn't say what is in front: crowds lie lowest, then the larger. Raises as damaged values do.

    A crowd (iscrowd) is many objects at once, roughly: void.
    """
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    found: dict[Any, list[list[Shape]]] = {entry["id"]: [] for entry in content["images"]}
    left: Counter[str] = Counter()
    for entry in content["annotations"]:
        outline = entry.get("segmentation")
        if outline:
            found[entry["image_id"]].append(_shapes(entry, str(names[entry["category_id"]]), outline))
        else:
            left["box alone"] += 1
    images = {
        str(entry["file_name"]): Entry(_ordered(found[entry["id"]]), entries.size(entry["height"], entry["width"]))
        for entry in content["images"]
    }
    if len(images) < len(content["images"]):
        raise ValueError("two images have one file_name")
    return Annotations("COCO", images, left)


def _shapes(entry, name, outline):
    crowd = bool(entry.get("iscrowd"))
    if isinstance(outline, dict):
        return [Shape(name, runs={"size": outline["size"], "counts": outline["counts"]}, void=crowd)]
    rings = (np.reshape(np.asarray(corners, np.float64), (-1, 2)) for corners in outline)
    return [Shape(name, (entries.ring(corners),), void=crowd) for corners in rings]


def _ordered(objects):
    """The parts of all objects, the larger below the smaller, and of equals the earlier."""
    objects = sorted(objects, key=lambda parts: (not parts[0].void, -sum(map(area, parts))))
    return tuple(part for parts in objects for part in parts)
