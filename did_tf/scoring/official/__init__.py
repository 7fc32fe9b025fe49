"""Scores and files of results the way a data set's own benchmark wants them: `find(dataset)`."""

import abc
import importlib

import numpy as np
from PIL import Image

from data_pipelines import DataError

_BENCHMARKS = {
    "cityscapes": "Cityscapes",
    "inria_aerial": "InriaAerial",
    "kitti_road": "KittiRoad",
    "pascal_voc": "PascalVOC",
}


class Benchmark(abc.ABC):
    """What a benchmark measures, and how it takes results.

    Args:
      dataset: its data set, a data_pipelines.Dataset.

    Attributes:
      title: its name, as people write it.
      archive: kind of file that is uploaded, "zip" or "tar.gz".
    """

    title: str
    archive = "zip"

    def __init__(self, dataset):
        self.dataset = dataset

    @classmethod
    def scores_samples_of(cls, dataset, split):
        """Whether the samples of a split of `dataset`, with its options, are what the benchmark scores."""
        return not any(sample.window for sample in dataset.samples(split))

    @abc.abstractmethod
    def update(self, sample, label, probabilities):
        """Adds one image to the scores.

        Args:
          sample: its data_pipelines.Sample.
          label: [H, W] uint8, class ids and 255.
          probabilities: [H, W, num_classes] float32.

        Raises:
          DataError: a file that the scores need besides the label can't be read.
        """

    @abc.abstractmethod
    def scores(self):
        """Everything measured as a JSON-serialisable dict: fractions, None where there is nothing to divide by."""

    @abc.abstractmethod
    def table(self):
        """The scores as text to print, in percent."""

    @abc.abstractmethod
    def place(self, sample):
        """Path of a sample's file of results, relative to the folder that is uploaded. No two samples share one."""

    @abc.abstractmethod
    def write(self, path, probabilities, sample):
        """Writes the result of an image, as `files.write_file` does.

        Args:
          path: ends with `place` of its sample.
          probabilities: [H, W, num_classes] float32, at the image's full size.
          sample: its data_pipelines.Sample.

        Raises:
          DataError: a file that the result needs besides the image can't be read.
        """

    @abc.abstractmethod
    def check(self, path, size):
        """Reads a file of results as the benchmark would.

        Args:
          path: the file.
          size: (height, width) of its image.

        Raises:
          DataError: it isn't what the benchmark takes; file and reason are named.
        """


def read_result(path, kind, size):
    """Reads a file of results.

    Args:
      path: the file.
      kind: what the benchmark takes: format and mode as Pillow calls them, ("PNG", "P"), then the same in words.
      size: (height, width) that it takes.

    Returns:
      (pixels [H, W], palette as a list of 3 * colours numbers or None).

    Raises:
      DataError: the file can't be decoded, or is of another kind or size.
    """
    try:
        with Image.open(path) as image:
            found, palette, pixels = (image.format, image.mode), image.getpalette(), np.asarray(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise DataError(f"cannot decode {path}: the file is damaged or no image") from None
    *expected, words = kind
    if found != tuple(expected):
        raise DataError(f"{path} is {found[0]} of mode {found[1]}: the benchmark takes {words}")
    if pixels.shape != tuple(size):
        raise DataError(f"{path} is {pixels.shape[0]}x{pixels.shape[1]}: the benchmark takes {size[0]}x{size[1]}")
    return pixels, palette


def find(name):
    """The `Benchmark` class of data set `name`, or None where it has none."""
    if name not in _BENCHMARKS:
        return None
    return getattr(importlib.import_module(f"did_tf.scoring.official.{name}"), _BENCHMARKS[name])


def names():
    """Data sets that have a benchmark."""
    return sorted(_BENCHMARKS)
