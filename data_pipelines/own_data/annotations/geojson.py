"""GeoJSON, as QGIS writes it: polygons on earth, for one raster or for all."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from data_pipelines.own_data.annotations import entries
from data_pipelines.own_data.annotations.entries import Annotations, Entry
from data_pipelines.reading.shapes import Shape

LINES = ("Point", "MultiPoint", "LineString", "MultiLineString")
DEGREES = "EPSG:4326"
"""Of a file that doesn't say: longitude and latitude (RFC 7946)."""
NAMES = re.compile(r"(?:urn:ogc:def:crs:)?(?:(EPSG):(?:[\w.]*:)?(\d+)|OGC:(?:[\d.]*:)?CRS84)", re.IGNORECASE)
"""CRS of GeoJSON of 2008, which QGIS still writes. Others might be files or addresses, which nobody is to open."""


def is_one(content: Any) -> bool:
    """Whether a JSON is GeoJSON with features."""
    return isinstance(content, dict) and content.get("type") == "FeatureCollection" and "features" in content


def read(content: dict[str, Any], by: str) -> Annotations:
    """What it says, `by` a property of features. Raises as damaged values do."""
    left: Counter[str] = Counter()
    shapes, told = [], []
    for number, feature in enumerate(content["features"], start=1):
        with entries.reading(f"feature {number}"):
            geometry, properties = feature["geometry"] or {"type": "nothing"}, feature["properties"] or {}
            kind = geometry["type"]
            if kind in LINES or kind == "nothing":
                left[kind] += 1
                continue
            told.append(properties)
            shapes += [Shape(entries.named(properties, by), rings) for rings in _polygons(kind, geometry)]
    return Annotations("GeoJSON", {"": Entry(tuple(shapes))}, left, _crs(content), tuple(told))


def _polygons(kind, geometry):
    """The rings of each, the outer one first."""
    if kind not in ("Polygon", "MultiPolygon"):
        raise ValueError(f"a geometry is a {kind!r:.40}: expected Polygon or MultiPolygon")
    polygons = [geometry["coordinates"]] if kind == "Polygon" else geometry["coordinates"]
    return [tuple(entries.ring(points) for points in polygon) for polygon in polygons if polygon]


def _crs(content):
    if not content.get("crs"):
        return DEGREES
    name = content["crs"]["properties"]["name"]
    match = NAMES.fullmatch(name)
    if not match:
        raise ValueError(f"the CRS is {name!r:.60}: save it in one of EPSG")
    return f"EPSG:{match[2]}" if match[1] else DEGREES
