"""Labels that are shapes in files of other tools: which belong to an image, and the label that they make."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from rasterio.crs import CRS
from rasterio.warp import transform

from data_pipelines.own_data.annotations.entries import Annotations, Entry, plain
from data_pipelines.own_data.annotations.loading import load, state_of
from data_pipelines.own_data.messages import some
from data_pipelines.own_data.values import nearest
from data_pipelines.reading.images import size_of
from data_pipelines.reading.places import place_of
from data_pipelines.reading.several_labels import SeveralLabels
from data_pipelines.reading.shapes import Shape, draw
from data_pipelines.spec import IGNORE, DataError, DatasetSpec, Window

OUTSIDE, INSIDE, UNKNOWN = 0, 1, 2  # of one class
PROJECTED = 8
"""Files whose corners are kept as they are in the CRS of rasters, for each window of these needs them."""
AROUND = 2.0
"""Pixels around a window within which shapes are drawn, lest rounding moves one over its border."""
FILES = {".geojson", ".json", ".xml"}
"""Extensions of files of annotations."""


def of_images(files: Mapping[str, Path], single: bool, images: Mapping[str, Path], by: str) -> dict[str, Path]:
    """Name of an image -> the file of annotations that has it.

    A file of a single image (labelme, GeoJSON) has it by its name, and a `single` GeoJSON has all; files of many
    (COCO, VIA, CVAT) have those that they name.

    Args:
      files: name -> path, of the files.
      single: whether there is one alone, which the user named.
      images: name -> path.
      by: property that says what a shape shows, or "".

    Raises:
      DataError: a file can't be read, or two files have one image, or two images are meant by one name.
    """
    first = load(min(files.values()), by)
    if "" in first.entries:
        path = min(files.values())
        return dict.fromkeys(images, path) if single and first.crs else dict(files)
    found: dict[str, Path] = {}
    for path in sorted(files.values()):
        for name in _told(load(path, by), path, images):
            if name in found:
                raise DataError(f"{images[name]} is in {found[name]} and in {path}: name one of them, or delete one")
            found[name] = path
    if not found:
        raise DataError(
            f"{min(files.values())} names no image that is there: it has {some(sorted(first.entries)) or 'none'}, and "
            f"there is {min(images.values())}"
        )
    return found


def read(path: Path, image: Path, spec: DatasetSpec, window: Window | None = None) -> np.ndarray:
    """The label [H, W] uint8 of an image: class ids, and `IGNORE` for void.

    Args:
      path: of the file of annotations.
      image: path; the label has its size, and the names of files in the former are never opened.
      spec: of the data set, by whose `shapes` names become classes, and what lies in none `rest`. With `masks_overlap`
        what has the later of these names lies above, void ones highest and crowds lowest; else later shapes do. With
        `combinations` nothing lies above: a pixel is in all classes that cover it, and void in void ones, or in a crowd
        of what it is not.
      window: part to draw; None for all. Beyond the image lies `IGNORE`.

    Raises:
      DataError: the file can't be read, or says another size than the image has, or a shape has no class.
    """
    size = size_of(image)
    window = window or Window(0, 0, *size)
    entry, shapes = _entry(path, image, spec.label_property, window)
    if entry.size and entry.size != size:
        raise DataError(
            f"{image} is {size[0]}x{size[1]} but {path} says that it is {entry.size[0]}x{entry.size[1]} "
            "(height x width): shapes would lie at other places"
        )
    classes = dict(spec.shapes)
    for shape in entry.shapes:
        if shape.name not in classes:
            hint = nearest(shape.name, classes)
            raise DataError(f"{path} has a shape called {shape.name!r:.100}, which is no name in classes or void{hint}")
    try:
        if spec.combinations:
            return _all_of(shapes, classes, size, window).label(spec, lambda _: f"{path}, {image.name}")
        return draw(_valued(shapes, classes, spec), size, IGNORE if spec.rest is None else spec.rest, window)
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise error if isinstance(error, DataError) else DataError(f"{path}, {image.name}: {error}") from None


def _valued(shapes, classes, spec):
    """Each shape with its value, what lies above others behind them."""
    valued = [(shape, IGNORE if shape.void else classes[shape.name]) for shape in shapes]
    if not spec.masks_overlap:
        return valued
    heights = {name: height for height, name in enumerate(classes)}
    return sorted(valued, key=lambda one: -1 if one[0].void else heights[one[0].name])


def _all_of(shapes, classes, size, window):
    """The `SeveralLabels` of what each class covers."""
    beyond = draw([], size, OUTSIDE, window) != OUTSIDE
    found = SeveralLabels()
    found.add(np.zeros_like(beyond), IGNORE, void=beyond)
    for number in dict.fromkeys(classes[shape.name] for shape in shapes):
        own = [(shape, not shape.void and number != IGNORE) for shape in shapes if classes[shape.name] == number]
        ordered = sorted(own, key=lambda one: one[1])  # crowds lie below
        drawn = draw([(shape, INSIDE if known else UNKNOWN) for shape, known in ordered], size, OUTSIDE, window)
        found.add(drawn == INSIDE, number, void=drawn == UNKNOWN)
    return found


def drawn_on(path: Path, image: Path, by: str) -> tuple[Shape, ...]:
    """What a file has drawn on an image. Raises `DataError`."""
    return _entry(path, image, by)[1]


def _entry(path: Path, image: Path, by: str, window: Window | None = None) -> tuple[Entry, tuple[Shape, ...]]:
    """What a file says of an image, and its shapes in pixels; of a window, those that are near it."""
    told = load(path, by)
    key = _key(told, image)
    if key is None:
        raise DataError(f"{path} says nothing of {image}")
    entry = told.entries[key]
    rings = [ring for shape in entry.shapes for ring in shape.rings]
    if told.crs:
        corners = _placed(len(rings), told.crs, (path, by, key), image)
    elif rings and window:
        corners = np.concatenate(rings)
    else:
        return entry, entry.shapes
    return entry, _near(entry.shapes, np.array([len(ring) for ring in rings], int), corners, window)


def _told(told: Annotations, path: Path, images: Mapping[str, Path]) -> set[str]:
    """Names of the images that a file has, each by a name of its own. Raises `DataError` where one means two."""
    exact = {name: key for name, image in images.items() if (key := _key(told, image, exact=True))}
    taken = {None, *exact.values()}
    shorter = {name: key for name, image in images.items() if (key := _key(told, image)) not in taken}
    found = {**shorter, **exact}
    for key, times in Counter(found.values()).items():
        if times > 1:
            one, other, *_ = (images[name] for name in sorted(found) if found[name] == key)
            raise DataError(f"{path} has {key!r:.100}, which may be {one} or {other}: rename one, or name one's folder")
    return set(found)


def _key(told: Annotations, image: Path, exact: bool = False) -> str | None:
    """By which name a file has an image: the longest end of its path that is one; None where it hasn't.

    If not `exact`, it may be the name of a file in the folder that all have, which may be of another disk.
    """
    if "" in told.entries:
        return ""
    parts = [plain(part) for part in image.absolute().parts[1:]]
    ends = ["/".join(parts[first:]) for first in range(len(parts))]
    known = (told.names[end] for end in ends if end in told.names)
    return next(known, None if exact else told.last_names.get(parts[-1]))


def _placed(rings: int, crs: str, source: tuple[Path, str, str], image: Path) -> np.ndarray:
    """[N, 2] corners of all rings on earth, so many, in the pixels of a raster.

    `source` is what they are of: file, property and name of the entry. Raises `DataError` where nobody knows where the
    raster lies.
    """
    place, path = place_of(image), source[0]
    if place is None or not place.crs:
        raise DataError(f"{image} doesn't say where on earth it lies (CRS and transform), and {path} is in {crs}")
    if not rings:
        return np.zeros((0, 2))
    x, y = _projected(*source, state_of(path), place.crs)
    if not np.isfinite([x, y]).all():
        raise DataError(f"{path} is in {crs}, and has corners that are no places in the CRS of {image}")
    a, b, c, d, e, f = place.transform
    back = np.linalg.inv([[a, b], [d, e]])
    return (back @ [x - c, y - f]).T


def _near(shapes, lengths, corners, window):
    """Shapes of which a ring reaches near a window, or that have none, with rings of these corners, so many of each."""
    ends, rings = lengths.cumsum(), np.array([len(shape.rings) for shape in shapes], int)
    last, near = rings.cumsum(), np.ones(len(lengths), bool)
    if window and len(lengths):
        low, high = (side.reduceat(corners, ends - lengths) for side in (np.minimum, np.maximum))
        first = np.array([window.left, window.top])
        near = ((high > first - AROUND) & (low < first + [window.width, window.height] + AROUND)).all(axis=1)
    drawn = rings == 0
    drawn[np.arange(len(shapes)).repeat(rings)[near]] = True

    def in_pixels(number):
        own = range(last[number] - rings[number], last[number])
        return shapes[number]._replace(rings=tuple(corners[ends[ring] - lengths[ring] : ends[ring]] for ring in own))

    return tuple(in_pixels(number) for number in np.flatnonzero(drawn).tolist())


@functools.lru_cache(maxsize=PROJECTED)
def _projected(path, by, key, state, into):
    """[2, N] corners of all rings of an entry in the CRS `into`, between which sides are straight in it.

    Infinite where it has no such place. `state` tells the file from what it was before.
    """
    told = load(path, by)
    corners = np.concatenate([ring for shape in told.entries[key].shapes for ring in shape.rings]).T
    try:
        return np.array(transform(CRS.from_string(told.crs), CRS.from_wkt(into), *corners)[:2])
    except Exception:  # PROJ has no way between the two, and rasterio raises half a dozen kinds
        return np.full((2, 1), np.inf)
