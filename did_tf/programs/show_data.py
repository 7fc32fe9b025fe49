"""What training sees: `did_tf show-data --experiment=did_camvid [--data=dir] [--count=16] [--output=dir]`.

Draws the first crops that training meets with these settings and seed, each beside its label, and a few images beside
draws of their augmentation. Prints how much of each crop is void. No run is needed, and none is started; where there is
one, its data are shown unless others are named.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import dataclasses
import itertools
from pathlib import Path
from typing import NamedTuple, cast

import cv2
import numpy as np
import tensorflow as tf
from absl import flags

from data_pipelines.augment import Augmentation, augment
from data_pipelines.pipeline import Loader, training_batches
from data_pipelines.spec import IGNORE
from did_tf import wiring
from did_tf.common import files, visualize

flags.DEFINE_integer("count", 16, "How many crops are shown.", lower_bound=1)
flags.DEFINE_string("output", None, "Folder of the pictures. Default: RUN/data.")
FLAGS = flags.FLAGS

COLUMNS, ROWS = 3, 4  # of crops on a sheet
IMAGES, DRAWS = 3, 4  # images that are shown beside their augmentation, and how many draws of it
LEAST, MOST = 160, 400  # pixels of a shown crop's longer side
GAP = 12
RANGE = 2.5  # standard deviations from the mean that are shown, where values aren't those of a screen


class Crop(NamedTuple):
    """What training sees.

    Attributes:
      number: of the sample in its split, from 0.
      image: [h, w, bands] float32.
      label: [h, w] uint8, class ids and 255; for classification an int32 scalar.
    """

    number: int
    image: np.ndarray
    label: np.ndarray


def main() -> None:
    """Writes the pictures, and prints where they are and what is void.

    Raises:
      ConfigError, DataError: a setting or the data is no good, or the folder of the pictures can't be written to.
    """
    config, run = cli.chosen()
    _take_data_of(run, config)
    output = Path(FLAGS.output or run.folder / "data")
    dataset = wiring.make_dataset(config, training=True)
    loader = Loader(dataset, config["dataset"]["train_split"], cache=False)
    options = wiring.make_augmentation(config)
    options.check(dataset.spec)
    files.check_output(output)
    crops = first_crops(loader, options, config["seed"], FLAGS.count)
    print(f"the first {len(crops)} crops of training on {len(loader)} samples of {dataset.spec.name}")
    for number, crop in enumerate(crops, start=1):
        print(f"{number:4}  {_told(crop, dataset.spec):12}  {loader.samples[crop.number].name}")
    if dataset.spec.task == "segmentation":
        print(f" all  {_void([crop.label for crop in crops])}")
    for path in (*_write_crops(output, crops, loader), _write_draws(output, crops, loader, config)):
        print(f"picture: {path}")


def _take_data_of(run, config):
    """Where nothing names the data, those that the run was begun with, if it was, with a line that says so."""
    own = config["dataset"]
    if own["folder"] or own["prepared"] or not run.config.is_file():
        return
    was = run.settings().get("dataset", {})
    if was.get("name") == own["name"] and (folder := was.get("folder")):
        print(f"note: data of {run.name}: {folder} (--data=dir shows others)")
        own["folder"] = folder


def first_crops(loader: Loader, options: Augmentation, seed: int, count: int) -> list[Crop]:
    """The first `count` crops that training with this seed meets. Raises `DataError` for settings that don't fit."""
    batches = training_batches(loader, options, 1, seed)
    order = training_batches(cast(Loader, _Order(loader)), Augmentation((1, 1)), 1, seed)
    return [
        Crop(int(place["label"][0]), batch["image"][0].numpy(), batch["label"][0].numpy())
        for batch, place in itertools.islice(zip(batches, order), count)
    ]


class _Order:
    """Stands for a loader of as many samples, each of which says which one it is."""

    def __init__(self, loader: Loader) -> None:
        self.dataset, self._count = self, len(loader)
        self.spec = dataclasses.replace(loader.dataset.spec, task="classification", dtype="uint8")

    def __len__(self) -> int:
        return self._count

    def __call__(self, index: int) -> tuple[np.ndarray, np.int32]:
        return np.zeros((1, 1, self.spec.bands), np.uint8), np.int32(index)


def _told(crop, spec):
    """What is said of a crop: its class, or how much of it is void."""
    if spec.task == "classification":
        return spec.classes[crop.label]
    return _void(crop.label)


def _void(labels):
    return f"void {100 * np.mean(np.equal(labels, IGNORE)):.1f} %"


def _write_crops(output, crops, loader):
    """Writes sheets of crops beside their labels; returns their paths."""
    spec, paths = loader.dataset.spec, []
    for old in output.glob("crops_*-*.png"):  # an earlier call may have shown more
        old.unlink()
    for first in range(0, len(crops), COLUMNS * ROWS):
        part, tiles = crops[first : first + COLUMNS * ROWS], []
        for number, crop in enumerate(part, start=first + 1):
            pictures = _pictures(crop.image, crop.label, spec)
            titles = f"{number}: {_name(loader, crop.number)}", _told(crop, spec)
            # Where there is no label beside it, what is told stands above the image.
            tiles.append(visualize.side_by_side(pictures, titles if len(pictures) > 1 else [f"{number}: {titles[1]}"]))
        rows = [_spaced(tiles[i : i + COLUMNS], axis=1) for i in range(0, len(tiles), COLUMNS)]
        paths.append(output / f"crops_{first + 1}-{first + len(part)}.png")
        _save(paths[-1], rows, spec)
    return paths


def _write_draws(output, crops, loader, config):
    """Writes the first images beside draws of their augmentation, each above its label; returns the path."""
    spec, options, rows = loader.dataset.spec, wiring.make_augmentation(config), []
    for row, index in enumerate(list(dict.fromkeys(crop.number for crop in crops))[:IMAGES]):
        image, label = loader(index)
        columns = [_column(_name(loader, index), image, label, spec)]
        for draw in range(DRAWS):
            # Negative positions: training has none, so these are none of its crops.
            seed = tf.constant([config["seed"] + 1, -1 - row * DRAWS - draw], tf.int64)
            drawn, seen = (part.numpy() for part in augment(image, label, seed, options, spec))
            columns.append(_column(f"draw {draw + 1}", drawn, seen, spec))
        rows.append(_spaced(columns, axis=1))
    _save(output / "draws.png", rows, spec)
    return output / "draws.png"


def _column(title, image, label, spec):
    """The image under its title, and above its label."""
    picture, *label = _pictures(image, label, spec)
    return _spaced([visualize.side_by_side([picture], [title]), *label], axis=0)


def _pictures(image, label, spec):
    """[image] as it is shown, for segmentation with its coloured label; of a size to be looked at."""
    if spec.dtype != "uint8":
        image = 127.5 * (1 + (image - np.float32(spec.mean)) / (RANGE * np.maximum(np.float32(spec.std), 1e-12)))
    rgb = visualize.to_rgb(np.clip(np.round(image), 0, 255).astype(np.uint8), spec.rgb)
    if spec.task == "classification":
        return [_sized(rgb, cv2.INTER_AREA)]
    coloured = visualize.colorize(label, spec.palette, visualize.void_colour(spec))
    return [_sized(rgb, cv2.INTER_AREA), _sized(coloured, cv2.INTER_NEAREST)]


def _sized(picture, interpolation):
    """The picture reduced to `MOST` pixels, or enlarged by a whole factor to some `LEAST`."""
    height, width = picture.shape[:2]
    side = max(height, width)
    if side > MOST:
        size = max(1, round(width * MOST / side)), max(1, round(height * MOST / side))
        return cv2.resize(picture, size, interpolation=interpolation)
    factor = -(-LEAST // side)
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def _name(loader, index):
    return Path(loader.samples[index].name).name


def _spaced(pictures, axis):
    """Pictures one below the other (axis 0) or beside each other (axis 1), `GAP` apart, filled up with white."""
    room = max(picture.shape[1 - axis] for picture in pictures)
    joined = []
    for picture in pictures:
        margins = [[0, 0], [0, 0], [0, 0]]
        margins[axis][1], margins[1 - axis][1] = GAP, room - picture.shape[1 - axis]
        joined.append(np.pad(picture, margins, constant_values=255))
    return np.delete(np.concatenate(joined, axis), np.s_[-GAP:], axis)


def _save(path, rows, spec):
    """Writes rows of pictures as one, with the colours of the classes."""
    sheet = _spaced(rows, axis=0)
    if spec.task == "segmentation":
        colours = visualize.legend((*spec.classes, "void"), (*spec.palette, visualize.void_colour(spec)))
        sheet = visualize.side_by_side([sheet, colours], gap=GAP)
    visualize.save_png(path, np.pad(sheet, [[GAP, GAP], [GAP, GAP], [0, 0]], constant_values=255))


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
