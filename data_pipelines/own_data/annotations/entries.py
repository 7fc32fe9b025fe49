"""What a file of annotations says, whoever wrote it."""

from __future__ import annotations

import contextlib
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.reading.shapes import Shape

UNNAMED = "shape"
"""Name of a shape that has no property by which shapes are told apart."""
FARTHEST = 2.0**31
"""Of a coordinate; no image has so many pixels a side."""
DAMAGED = (AttributeError, IndexError, OverflowError, RecursionError, TypeError, ValueError)
"""What a file that holds other than it should is told by, beside KeyError."""


class Entry(NamedTuple):
    """What was drawn on an image.

    Attributes:
      shapes: later ones lie above earlier ones.
      size: (height, width) of the image, where the file says so.
    """

    shapes: tuple[Shape, ...]
    size: tuple[int, int] | None = None


class Annotations(NamedTuple):
    """A file of annotations.

    Attributes:
      tool: whose it is.
      entries: name of an image as the file has it -> its `Entry`; that of "" belongs to the image of the file's name.
      left: how many of what is no area the file has, by kind: points, lines.
      crs: in which rings stand, such as EPSG:4326; empty: in pixels.
      properties: of each shape, where one of them says what it shows.
      names: name of an image as of `plain` -> that of its entry.
      last_names: the same without folders, where all images lie in one.
    """

    tool: str
    entries: Mapping[str, Entry]
    left: Counter[str]
    crs: str = ""
    properties: tuple[Mapping[str, Any], ...] = ()
    names: Mapping[str, str] = MappingProxyType({})
    last_names: Mapping[str, str] = MappingProxyType({})


def with_names(told: Annotations) -> Annotations:
    """The same with `names` and `last_names`. Raises ValueError where two images have one."""
    keys = [key for key in told.entries if key]
    names = {plain(key): key for key in keys}
    if len(names) < len(keys):
        first = next(key for key in keys if names[plain(key)] != key)
        raise ValueError(f"two images are called {first!r:.80}, but for how that is spelt")
    together = len({PurePosixPath(name).parent for name in names}) == 1
    last = {PurePosixPath(name).name: key for name, key in names.items()} if together else {}
    return told._replace(names=names, last_names=last)


def plain(name: str) -> str:
    """The name of a file, with slashes and as NFC: systems and tools differ in how they spell folders and accents."""
    return unicodedata.normalize("NFC", name.replace("\\", "/"))


@contextlib.contextmanager
def reading(part: str) -> Iterator[None]:
    """What can't be read within is told with the `part` of the file that it is of. Raises ValueError in place of it."""
    try:
        yield
    except KeyError as error:
        raise ValueError(f"{part} lacks {error}") from None
    except DAMAGED as error:
        raise ValueError(f"{part}: {error}") from None


def ring(points: Iterable[Any]) -> np.ndarray:
    """[N, 2] float64 of points [x, y, ...]. Raises ValueError or TypeError where they are no outline."""
    corners = np.array([(float(x), float(y)) for x, y, *_ in points])
    if len(corners) < 3:
        raise ValueError(f"a polygon has {len(corners)} corners")
    return checked(corners)


def checked(numbers: Any) -> np.ndarray:
    """Float64 numbers that can be places. Raises ValueError where some can't."""
    found = np.asarray(numbers, np.float64)
    if not (np.abs(found) < FARTHEST).all():
        raise ValueError("a coordinate is no number, or too large")
    return found


def box(left: float, top: float, right: float, bottom: float) -> np.ndarray:
    """The outline of an upright rectangle."""
    return ring([(left, top), (right, top), (right, bottom), (left, bottom)])


def round_shape(name: str, x: float, y: float, first: float, second: float, angle: float = 0.0) -> Shape:
    """An ellipse, see `Shape`. Raises ValueError where it has no area."""
    numbers = checked([x, y, first, second, angle]).tolist()
    if min(numbers[2:4]) <= 0:
        raise ValueError(f"an ellipse has the radii {first:g} and {second:g}")
    return Shape(name, ellipse=tuple(numbers))


def size(height: Any, width: Any) -> tuple[int, int]:
    """Of an image. Raises ValueError where none has it."""
    found = int(height), int(width)
    if not all(0 < side < FARTHEST for side in found):
        raise ValueError(f"an image is {height!r:.20}x{width!r:.20}")
    return found


def named(properties: Mapping[str, Any], by: str) -> str:
    """What a shape shows, by its property `by`; `UNNAMED` where that is "". Raises ValueError where it isn't said."""
    if not by:
        return UNNAMED
    value = properties.get(by)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or value == "":
        raise ValueError(f"a shape has no {by!r} (label_property), or {value!r:.60}")
    return f"{value:g}" if isinstance(value, float) else str(value)
