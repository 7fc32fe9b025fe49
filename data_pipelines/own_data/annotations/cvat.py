"""CVAT for images 1.1: an XML file for many images, whose places are counted from the image's upper left corner."""

from __future__ import annotations

import math
from collections import Counter
from xml.etree import ElementTree

from data_pipelines.own_data.annotations import entries
from data_pipelines.own_data.annotations.entries import Annotations, Entry
from data_pipelines.reading.shapes import Shape

LINES = ("points", "polyline", "skeleton", "cuboid", "tag")
AREAS = ("polygon", "box", "ellipse", "mask")


def read(text: str) -> Annotations:
    """What it says; shapes are ordered by z_order. Raises ValueError and as damaged values do."""
    # Entities can stand for gigabytes, or for files; CVAT writes none, and none is there without a declaration.
    if "<!" in text.replace("<!--", ""):
        raise ValueError("it has declarations (<!...>), which CVAT doesn't write")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ValueError(str(error)) from None
    if root.tag != "annotations":
        raise ValueError(f"it begins with <{root.tag[:40]}>, and not with <annotations>")
    left: Counter[str] = Counter()
    found = {}
    for image in root.findall("image"):
        name = image.attrib["name"]
        if name in found:
            raise ValueError("two images have one name")
        with entries.reading(f"image {name!r:.80}"):
            left.update(drawn.tag for drawn in image if drawn.tag in LINES)
            areas = sorted((drawn for drawn in image if drawn.tag in AREAS), key=lambda one: int(one.get("z_order", 0)))
            size = entries.size(image.attrib["height"], image.attrib["width"])
            found[name] = Entry(tuple(map(_shape, areas)), size)
    if not found and root.find("track") is not None:
        raise ValueError("it is of CVAT for video: export CVAT for images 1.1, or COCO")
    return Annotations("CVAT", found, left)


def _shape(drawn):
    said = drawn.attrib
    name = said["label"]
    if drawn.tag == "polygon":
        return Shape(name, (entries.ring(point.split(",") for point in said["points"].split(";")),))
    angle = math.radians(float(said.get("rotation", 0)))
    if drawn.tag == "ellipse":
        x, y, first, second = (float(said[key]) for key in ("cx", "cy", "rx", "ry"))
        return entries.round_shape(name, x, y, first, second, angle)
    if drawn.tag == "box" and not angle:
        return Shape(name, (entries.box(*(float(said[key]) for key in ("xtl", "ytl", "xbr", "ybr"))),))
    what = "turned box" if drawn.tag == "box" else drawn.tag
    raise ValueError(f"a shape is a {what}: draw it as a polygon, or export COCO or masks")
