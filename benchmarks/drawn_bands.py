"""Two data sets, drawn as users have theirs, of which each has a class that red, green and blue can't tell.

`FIELDS`, from above: TIFFs of five bands of 16 bits, reflectance times 10,000, some with a corner where nothing was
measured. Turf, which is artificial, has the colours, sizes and shapes of meadows, and their short-wave infrared; it
lacks their near infrared, as plastic does. `BENCH`, a bench from above: JPEGs, and PNGs of 16 bits with the distance in
millimetres, 0 where the sensor saw none. Boxes have the colours, sizes and shapes of mats; they are higher.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import rasterio

from data_pipelines.datasets.street.colours import GROUNDS, METALS, jitter
from data_pipelines.datasets.street.scene import CIRCLE, rectangle, smooth_noise

SIZE, COUNT = (128, 160), 200
LABELS, ALL, RGB = "labels", "all", "rgb"


class Way(NamedTuple):
    """How a data set is learnt: which bands, in words, and the folders of its images and of further bands."""

    bands: str
    images: str
    extras: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A data set.

    Attributes:
      name: of its folder.
      classes: names of ids 0, 1, ...
      bands: names of those in the files of images, which describe-data can't know where there are more than three.
      telling: the class that one band alone tells.
      alike: the class that it else looks like.
      band: which one.
      draw: function of a generator and a size (height, width) that gives ({"folder/ending": pixels}, label [H, W]).
      ways: `Way` of `ALL` bands, and of red, green and blue alone, `RGB`.
    """

    name: str
    classes: tuple[str, ...]
    bands: tuple[str, ...]
    telling: str
    alike: str
    band: str
    draw: Callable
    ways: Mapping[str, Way]


def write(drawn, folder, count=None, size=None):
    """Writes so many scenes (None: `COUNT`), of a `SIZE`, unless they are there: PART/NUMBER.ENDING, labels/NUMBER.png.

    A scene depends on its number and the size alone.
    """
    for number in range(count or COUNT):
        label_file = Path(folder, LABELS, f"{number:03}.png")
        if label_file.is_file():
            continue
        files, label = drawn.draw(np.random.default_rng(number), size or SIZE)
        for place, pixels in files.items():
            part, ending = place.split("/")
            _write_file(Path(folder, part, f"{number:03}.{ending}"), pixels)
        _write_file(label_file, label)  # last: what was stopped is drawn anew


def _write_file(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        height, width, bands = pixels.shape
        kind = {"driver": "GTiff", "height": height, "width": width, "count": bands, "dtype": pixels.dtype.name}
        with rasterio.open(path, "w", **kind, nodata=0, compress="deflate") as file:
            file.write(np.moveaxis(pixels, -1, 0))
        return
    cv2.imencode(path.suffix, pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tofile(path)


class Canvas:
    """Values [H, W, N] float and class ids [H, W] of a scene, whose ground is of class 0 and has some `values` [N]."""

    def __init__(self, rng, size, values):
        self.rng, self.size = rng, size
        self.values, self.label = np.tile(np.asarray(values, float), (*size, 1)), np.zeros(size, np.uint8)

    def inside(self, outline):
        """[H, W] bool of an outline [N, 2] of (column, row)."""
        return cv2.fillPoly(np.zeros(self.size, np.uint8), [np.round(outline).astype(np.int32)], 1) > 0

    def fill(self, outline, class_id, values):
        """Fills an outline."""
        inside = self.inside(outline)
        self.values[inside], self.label[inside] = values, class_id

    def anywhere(self, outline):
        """An outline about (0, 0), turned and moved to some place of the scene."""
        turn, (height, width) = self.rng.uniform(0, np.pi), self.size
        cos, sin = np.cos(turn), np.sin(turn)
        return np.asarray(outline) @ [[cos, sin], [-sin, cos]] + self.rng.uniform((0, 0), (width, height))

    def block(self, low, high):
        """A rectangle somewhere, each side of `low` to `high` pixels."""
        x, y = self.rng.uniform(low, high, 2) / 2
        return self.anywhere(rectangle(-x, -y, x, y))

    def disc(self, low, high):
        """A disc somewhere, of such a radius."""
        return self.anywhere(CIRCLE * self.rng.uniform(low, high))

    def bar(self, low, high):
        """Across the scene, so wide."""
        half = self.rng.uniform(low, high) / 2
        return self.anywhere(rectangle(-sum(self.size), -half, sum(self.size), half))

    def light(self, change):
        """[H, W, 1] of about 1: that of the scene, and how it differs from place to place."""
        return (self.rng.uniform(0.8, 1.2) * (1 + change * smooth_noise(self.rng, *self.size, 6)))[..., None]

    def noise(self, *shape):
        """[H, W, *shape] of deviation 1."""
        return self.rng.standard_normal((*self.size, *shape))


REFLECTANCE = {  # red, green, blue, near infrared, short-wave infrared
    "soil": (0.20, 0.15, 0.11, 0.28, 0.36),
    "meadow": (0.06, 0.10, 0.04, 0.45, 0.20),
    "turf": (0.06, 0.10, 0.04, 0.10, 0.20),
    "road": (0.13, 0.13, 0.12, 0.17, 0.21),
    "roof": (0.32, 0.22, 0.17, 0.36, 0.42),
    "tree": (0.035, 0.055, 0.03, 0.38, 0.13),
}
SCALE, CUT = 10_000, 0.2
"""Of reflectances in files; share of the scenes with a corner where nothing was measured."""


def _fields(rng, size):
    kinds = [*REFLECTANCE]
    canvas = Canvas(rng, size, _reflectance(rng, "soil"))

    def fill(outline, kind):
        canvas.fill(outline, kinds.index(kind), _reflectance(rng, kind))

    for _ in range(rng.integers(4, 7)):
        fill(canvas.block(25, 70), ("meadow", "turf")[rng.integers(2)])
    fill(canvas.bar(7, 12), "road")
    for _ in range(rng.integers(3, 6)):
        fill(canvas.block(12, 24), "roof")
    for _ in range(rng.integers(4, 9)):
        fill(canvas.disc(4, 9), "tree")
    seen = canvas.values * canvas.light(0.08) + 0.006 * canvas.noise(5)
    bands = np.clip(SCALE * seen, 1, 65535).astype(np.uint16)
    if rng.random() < CUT:
        rows, columns = np.indices(size)
        bands[columns + rows * rng.uniform(0.3, 1) < rng.uniform(0.1, 0.4) * size[1]] = 0
    return {"images/tif": bands, "visible/tif": bands[..., :3]}, canvas.label


def _reflectance(rng, kind):
    """[5] of something of a kind: brighter or darker, and of a little other colour."""
    return np.array(REFLECTANCE[kind]) * rng.normal(1, 0.1) * rng.normal(1, 0.05, 5)


FAR, HEIGHTS, FLAT = (950, 1050), (60, 200), 2
"""Millimetres: from the camera to the bench, of boxes, of mats."""
TAPES, BLOCKS = ((230, 190, 40),), ((60, 90, 160), (160, 60, 60), (60, 140, 80))
"""Colours; those of mats are those of boxes."""


def _bench(rng, size):
    kinds = [*BENCH.classes]
    canvas = Canvas(rng, size, (*jitter(rng, GROUNDS), 0))

    def fill(outline, kind, colour, height):
        if not canvas.values[canvas.inside(outline), 3].any():  # nothing lies there
            canvas.fill(outline, kinds.index(kind), (*colour, height))

    fill(canvas.bar(5, 9), "tape", jitter(rng, TAPES), 0)
    for _ in range(rng.integers(8, 14)):
        kind = ("mat", "box")[rng.integers(2)]
        fill(canvas.block(20, 50), kind, jitter(rng, BLOCKS), FLAT if kind == "mat" else rng.uniform(*HEIGHTS))
    for _ in range(rng.integers(3, 8)):
        fill(canvas.disc(6, 10), "cup", jitter(rng, METALS), rng.uniform(80, 110))
    photo = canvas.values[..., :3] * canvas.light(0.05) + 5 * canvas.noise(3)
    return {"images/jpg": np.clip(photo, 0, 255).astype(np.uint8), "depth/png": _depth(canvas)}, canvas.label


def _depth(canvas):
    """[H, W] uint16: the bench lies a little askew."""
    rng, (height, width) = canvas.rng, canvas.size
    across, along = rng.uniform(-15, 15, 2)
    tilt = across * np.linspace(-1, 1, width) + along * np.linspace(-1, 1, height)[:, None]
    depth = rng.uniform(*FAR) + tilt - canvas.values[..., 3] + 4 * canvas.noise()
    depth[rng.random(canvas.size) < 0.01] = 0
    return depth.astype(np.uint16)


FIELDS = Drawn(
    name="fields",
    classes=(*REFLECTANCE,),
    bands=("red", "green", "blue", "near_infrared", "shortwave_infrared"),
    telling="turf",
    alike="meadow",
    band="near infrared",
    draw=_fields,
    ways={
        ALL: Way("red, green, blue, near and short-wave infrared, uint16", "images"),
        RGB: Way("red, green, blue, uint16", "visible"),
    },
)
BENCH = Drawn(
    name="bench",
    classes=("bench", "mat", "box", "cup", "tape"),
    bands=("red", "green", "blue"),
    telling="box",
    alike="mat",
    band="depth",
    draw=_bench,
    ways={
        ALL: Way("red, green, blue, uint8, and depth, uint16", "images", ("depth",)),
        RGB: Way("red, green, blue, uint8", "images"),
    },
)
SETS = {drawn.name: drawn for drawn in (FIELDS, BENCH)}
