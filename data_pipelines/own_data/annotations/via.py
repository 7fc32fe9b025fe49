"""VIA (VGG Image Annotator) 2: a JSON project, or what it exports, for many images; whole pixels of its canvas."""

from __future__ import annotations

from collections import Counter
from typing import Any

from data_pipelines.own_data.annotations import entries
from data_pipelines.own_data.annotations.entries import Annotations, Entry
from data_pipelines.reading.shapes import Shape

PROJECT = "_via_img_metadata"
LINES = ("point", "polyline")


def is_one(content: Any) -> bool:
    """Whether a JSON is of VIA."""
    images = content.get(PROJECT, content) if isinstance(content, dict) else None
    return isinstance(images, dict) and bool(images) and all(map(_is_image, images.values()))


def read(content: dict[str, Any], by: str) -> Annotations:
    """What it says, `by` a region's attribute. It says no sizes of images. Raises as damaged values do."""
    left: Counter[str] = Counter()
    found: dict[str, Entry] = {}
    told = []
    for image in content.get(PROJECT, content).values():
        shapes = []
        for number, region in enumerate(image["regions"], start=1):
            with entries.reading(f"region {number} of {image['filename']!r:.80}"):
                attributes, drawn = region["region_attributes"], region["shape_attributes"]
                if drawn["name"] in LINES:
                    left[drawn["name"]] += 1
                    continue
                told.append(attributes)
                shapes.append(_shape(drawn, entries.named(attributes, by)))
        if image["filename"] in found:
            raise ValueError("two images have one filename")
        found[image["filename"]] = Entry(tuple(shapes))
    return Annotations("VIA", found, left, properties=tuple(told))


def _is_image(value):
    return isinstance(value, dict) and isinstance(value.get("regions"), list) and isinstance(value.get("filename"), str)


def _shape(drawn, name):
    kind = drawn["name"]
    if kind == "polygon":
        return Shape(name, (entries.ring(zip(drawn["all_points_x"], drawn["all_points_y"])),))
    if kind == "rect":
        left, top = drawn["x"], drawn["y"]
        return Shape(name, (entries.box(left, top, left + drawn["width"], top + drawn["height"]),))
    if kind == "circle":
        return entries.round_shape(name, drawn["cx"], drawn["cy"], drawn["r"], drawn["r"])
    if kind == "ellipse":
        radii = drawn["rx"], drawn["ry"]
        return entries.round_shape(name, drawn["cx"], drawn["cy"], *radii, drawn.get("theta", 0.0))
    raise ValueError(f"a region is a {kind!r:.40}: draw it as a polygon")
