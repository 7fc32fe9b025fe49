"""COCO: a JSON file for many images; polygons, and run lengths as pycocotools writes them, which are exact.

pycocotools itself rounds the corners of polygons to fifths of a pixel, so that a few pixels of borders differ.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.own_data.annotations import entries
from data_pipelines.own_data.annotations.entries import Annotations, Entry
from data_pipelines.reading.shapes import Shape, area


class _Object(NamedTuple):
    """A crowd or an object: by what it is ordered, and its parts."""

    above_crowds: bool
    size: float
    parts: list[Shape]


def is_one(content: Any) -> bool:
    """Whether a JSON is of COCO."""
    return isinstance(content, dict) and {"images", "annotations", "categories"} <= content.keys()


def read(content: dict[str, Any]) -> Annotations:
    """What it says. COCO doesn't say what is in front: crowds lie lowest, then the larger. Raises as damaged values do.

    A crowd (iscrowd) is many objects at once, roughly: void.
    """
    names = {entry["id"]: entry["name"] for entry in content["categories"]}
    found: dict[Any, list[_Object]] = {entry["id"]: [] for entry in content["images"]}
    left: Counter[str] = Counter()
    for number, entry in enumerate(content["annotations"], start=1):
        with entries.reading(_called(entry, number)):
            if outline := entry.get("segmentation"):
                name, objects = _of(names, entry, "category_id"), _of(found, entry, "image_id")
                objects.append(_object(entry, str(name), outline))
            else:
                left["box alone"] += 1
    images = {
        str(entry["file_name"]): Entry(_ordered(found[entry["id"]]), entries.size(entry["height"], entry["width"]))
        for entry in content["images"]
    }
    if len(images) < len(content["images"]):
        raise ValueError("two images have one file_name")
    return Annotations("COCO", images, left)


def _called(entry, number):
    """By its id, or the `number` of the annotation where it has none."""
    own = entry.get("id") if isinstance(entry, dict) else None
    return f"annotation {own!r:.40}" if own is not None else f"annotation number {number}"


def _of(known, entry, key):
    """What the id that an annotation has under `key` is of. Raises ValueError where nothing has it."""
    number = entry[key]
    if number not in known:
        raise ValueError(f"names the {key} {number!r:.40}, which is not there")
    return known[number]


def _object(entry, name, outline):
    crowd = bool(entry.get("iscrowd"))
    if isinstance(outline, dict):
        parts = [Shape(name, runs={"size": outline["size"], "counts": outline["counts"]}, void=crowd)]
    else:
        rings = (np.reshape(np.asarray(corners, np.float64), (-1, 2)) for corners in outline)
        parts = [Shape(name, (entries.ring(corners),), void=crowd) for corners in rings]
    return _Object(not crowd, -sum(map(area, parts)), parts)


def _ordered(objects):
    """The parts of all objects, the larger below the smaller, and of equals the earlier."""
    objects = sorted(objects, key=lambda one: one[:2])
    return tuple(part for one in objects for part in one.parts)
