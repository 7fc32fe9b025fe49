"""Images of two splits that show the same ground, by their georeference."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator, Sequence

import numpy as np

from data_pipelines.reading.places import place_of
from data_pipelines.spec import DataError, Sample

LEAST = 1.5
"""Pixels by which images must overlap in both directions: corners are rounded."""


@dataclasses.dataclass(frozen=True, eq=False)
class Ground:
    """Where images lie. Entries of the arrays [N] are of those that say so.

    Attributes:
      names: [N], of the images.
      systems: [N], their coordinate reference systems, as text.
      boxes: [N, 4] float64, lowest x and y and highest x and y of the rectangles around them.
      pixels: [N, 2] float64, size of a pixel in x and y.
    """

    names: np.ndarray
    systems: np.ndarray
    boxes: np.ndarray
    pixels: np.ndarray


def ground_of(images: Sequence[Sample], shapes: np.ndarray) -> Ground:
    """The `Ground` of the images that say where they lie.

    Args:
      images: whole, or windows.
      shapes: [N, 2], height and width of each; 0 of those that can't be read.
    """
    look = functools.cache(place_of)  # windows of a raster are many, and it is opened to see where it lies
    found = [entry for image, shape in zip(images, shapes.tolist()) if (entry := _entry(look, image, *shape))]
    names, systems, boxes, pixels = zip(*found) if found else ((), (), (), ())
    return Ground(
        np.array(names, object), np.array(systems, object), np.reshape(boxes, (-1, 4)), np.reshape(pixels, (-1, 2))
    )


def shared(first: Ground, second: Ground) -> Iterator[tuple[str, str, float]]:
    """(image of `first`, image of `second`, share of the smaller one that both show) of those that overlap."""
    areas = np.prod(second.boxes[:, 2:] - second.boxes[:, :2], axis=1)
    for name, system, box, pixel in zip(first.names, first.systems, first.boxes, first.pixels):
        sides = np.minimum(box[2:], second.boxes[:, 2:]) - np.maximum(box[:2], second.boxes[:, :2])
        met = (sides > LEAST * np.maximum(pixel, second.pixels)).all(axis=1) & (second.systems == system)
        for index in np.flatnonzero(met).tolist():
            yield name, second.names[index], float(sides[index].prod() / min(areas[index], np.prod(box[2:] - box[:2])))


def at_one_place(first: Ground, second: Ground) -> bool:
    """Whether the georeference tells none of the images of two splits from another."""
    boxes = np.concatenate([first.boxes, second.boxes])
    return len(boxes) > 2 and bool((boxes == boxes[0]).all())


def _entry(look, image, height, width):
    """(name, system, box, size of a pixel) of an image, or None where nothing says where it lies."""
    try:
        place = look(image.image) if image.image and height else None
    except DataError:  # which reading tells
        return None
    if not place:
        return None
    place = place.of(image.window) if image.window else place
    corners, (a, b, _, d, e, _) = place.corners(height, width), place.transform
    return image.name, place.crs, [*corners.min(axis=1), *corners.max(axis=1)], np.hypot([a, d], [b, e])
