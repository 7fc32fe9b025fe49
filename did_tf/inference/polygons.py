"""The regions of an image's classes as polygons: GeoJSON (RFC 7946), written as they are found."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from rasterio.crs import CRS
from rasterio.warp import transform

from data_pipelines.reading.places import Place
from data_pipelines.spec import DataError, DatasetSpec
from data_pipelines.writing import naming, replacing
from did_tf.inference.areas import pixel_area
from did_tf.inference.regions import Regions
from did_tf.inference.simplifying import simplified
from did_tf.inference.strips import Strips

TOLERANCE = 1.0
"""Pixels: the largest at which no outlines cross. Half of it would leave the steps of every slanted line."""
PLACES = {
    "pixels": "pixels of the image: x to the right, y down, from its upper left corner; it has no place on earth",
    "own": "x and y as the image's own transform gives them; it names no coordinate reference system on earth",
    "earth": "longitude and latitude in degrees, WGS 84",
}
"""What coordinates are: what stands as `coordinate_system` in the file."""
_WGS_84 = "EPSG:4326"
_LOCAL = ("LOCAL_CS", "ENGCRS")  # how the WKT of a building site begins, or of what GeoTIFF had no code for
_DECIMALS = 8  # of degrees: a millimetre
_SPAN = 256  # pixels: a longer edge gets points in between, as what is straight in one projection is not in another
_FAR, _FAR_DEGREES = 1e6, 90  # metres and degrees: the ends of a longer edge do not tell which way round it goes


class Written(NamedTuple):
    """What was written.

    Attributes:
      polygons: how many.
      left_out: how many regions were too small.
    """

    polygons: int
    left_out: int


def write(
    path: str | Path,
    strips: Strips,
    spec: DatasetSpec,
    place: Place | None = None,
    *,
    tolerance: float = TOLERANCE,
    minimum: int = 1,
) -> Written:
    """Writes a polygon for each region, which is what pixels of one class make that touch along edges; with its holes.

    Its properties: `class` and `id` of the class; `pixels`, and `square_metres` where the place tells
    (`areas.pixel_area`), both before it was simplified; `confidence`, the mean of its pixels', where that is given.
    Coordinates are longitude and latitude where the image has a place on earth; `coordinate_system` says what they are.
    In memory are a part of a strip and the outlines of the regions that it does not end.

    Args:
      path: of the file, which appears whole or not at all.
      strips: of the image's classes and confidence, from top to bottom; `strips` has those of arrays and files.
      spec: whose classes they are.
      place: where the image lies.
      tolerance: how far, in pixels, an outline may lie from the pixels' edges, along rows or columns, to have fewer
        points. Neighbours stay neighbours, without gaps. Up to 1 polygons are valid and don't overlap; beyond, where
        one is narrower than that, they may. 0 keeps the edges.
      minimum: pixels of the smallest region that is written. Others, which are counted, stay holes.

    Raises:
      OSError: the file can't be written.
      DataError: the place's CRS can't be brought to longitude and latitude, or a region goes round a pole.
      ValueError: strips of several widths.
    """
    if place and place.crs.startswith(_LOCAL):
        place = dataclasses.replace(place, crs="")
    regions, written = Regions(minimum), 0
    system = PLACES["pixels" if place is None else "earth" if place.crs else "own"]
    with naming(path), replacing(path) as partial, open(partial, "w", encoding="utf-8", newline="\n") as file:
        file.write('{"type": "FeatureCollection",\n')
        file.write(f'"coordinate_system": {json.dumps(system)},\n"features": [')
        for properties, rings in _features(regions.of(strips), spec, place, tolerance):
            file.write(f'{"," if written else ""}\n{{"type": "Feature", "properties": {properties}, ')
            file.write('"geometry": {"type": "Polygon", "coordinates": [')
            file.writelines(rings)
            file.write("]}}")
            written += 1
        file.write(f'\n],\n"minimum_pixels": {minimum}, "left_out": {regions.left_out}}}\n')
    return Written(written, regions.left_out)


def _features(found, spec, place, tolerance):
    """Properties of each region, and its rings, one after the other, as JSON."""
    area = pixel_area(place)
    for regions in found:
        rings = simplified([ring for region in regions for ring in region.rings], tolerance)
        left = iter(_placed(rings, place))
        for region in regions:
            outlines = [next(left) for _ in region.rings]
            outlines = _joined(outlines) if place and place.crs else outlines
            closed = (_closed(ring, not at) for at, ring in enumerate(outlines))
            texts = (f"{', ' if at else ''}{json.dumps(ring)}" for at, ring in enumerate(closed))
            yield json.dumps(_properties(region, spec, area), ensure_ascii=False), texts


def _properties(region, spec, area):
    told = {
        "class": spec.classes[region.number],
        "id": spec.output_ids[region.number],
        "pixels": region.pixels,
        "square_metres": None if area is None else float(f"{region.pixels * area:.12g}"),
        "confidence": round(region.confidence, 4) if np.isfinite(region.confidence) else None,
    }
    return {key: value for key, value in told.items() if value is not None}


def _placed(rings, place):
    """Rings [N, 2], all brought to the coordinates of the place at once."""
    if place is None or not rings:
        return rings
    span = _span(place) if place.crs else 0
    rings = [_divided(ring, span) for ring in rings] if span else rings
    a, b, c, d, e, f = place.transform
    x, y = np.concatenate(rings).T.astype(np.float64)
    points = np.stack([a * x + b * y + c, d * x + e * y + f])
    points = _on_earth(points, place.crs) if place.crs else points
    return np.split(points.T, np.cumsum([len(ring) for ring in rings])[:-1])


def _span(place):
    """Pixels of the longest edge: `_SPAN`, or fewer where the image shows much of the earth."""
    crs, (a, b, _, d, e, _) = CRS.from_wkt(place.crs), place.transform
    far = _FAR / crs.linear_units_factor[1] if crs.is_projected else _FAR_DEGREES
    return int(np.clip(far / max(map(abs, (a, b, d, e, 1e-9))), 1, _SPAN))


def _divided(ring, span):
    """A ring with points in between, so that no edge is longer than `span`."""
    ways = np.roll(ring, -1, axis=0) - ring
    counts = -(-np.abs(ways).max(axis=1) // span)
    if (counts == 1).all():
        return ring
    edge = np.repeat(np.arange(len(ring)), counts)
    part = (np.arange(len(edge)) - (np.cumsum(counts) - counts)[edge]) / counts[edge]
    return ring[edge] + part[:, None] * ways[edge]


def _on_earth(points, crs):
    """[2, N] longitude and latitude of points [2, N] of a CRS given as WKT."""
    try:
        degrees = np.array(transform(crs, _WGS_84, *points))
    except Exception as error:  # PROJ has no way between the two, and rasterio raises half a dozen kinds
        raise DataError(f"no polygons: the image's CRS has no longitude and latitude ({error})") from None
    if not np.isfinite(degrees).all():
        raise DataError("no polygons: parts of the image have no longitude and latitude in its CRS")
    degrees[0] -= 360 * np.round(degrees[0] / 360)  # where both are degrees, all are taken as they are
    return np.round(degrees, _DECIMALS)


def _joined(rings):
    """Rings of a region, the outer one first, along whose points longitudes go on where they would jump by 360 degrees.

    The outer one begins in the west, at -180 or more; holes lie within it.
    """
    if np.ptp(rings[0][:, 0]) < 180:
        return rings
    outer, *holes = map(_unwound, rings)
    outer -= (360 * np.floor((outer[:, 0].min() + 180) / 360), 0)
    holes = [hole + (360 * np.round((_middle(outer) - _middle(hole)) / 360), 0) for hole in holes]
    return [np.round(ring, _DECIMALS) for ring in (outer, *holes)]


def _unwound(ring):
    """A ring in which all steps are of less than 180 degrees. Raises `DataError` where they lead round a pole."""
    longitudes = np.unwrap(np.append(ring[:, 0], ring[0, 0]), period=360)
    if abs(longitudes[-1] - longitudes[0]) > 180:
        raise DataError(
            "no polygons: a region goes round a pole, which longitudes and latitudes can't enclose; cut the image "
            "there, or do without polygons"
        )
    return np.stack([longitudes[:-1], ring[:, 1]], axis=1)


def _middle(ring):
    return (ring[:, 0].min() + ring[:, 0].max()) / 2


def _closed(ring, outer):
    """GeoJSON's coordinates: the first point again at the end; outer outlines counterclockwise, holes clockwise."""
    x, y = (ring - ring[0]).T
    counterclockwise = np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) > 0
    ring = ring if counterclockwise == outer else ring[::-1]
    return [*ring.tolist(), ring[0].tolist()]
