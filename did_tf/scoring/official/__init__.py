"""Scores and files of results the way a data set's own benchmark wants them: `find(name)`."""

from __future__ import annotations

import abc
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PIL import Image

from data_pipelines.spec import DataError, Dataset, Sample

_BENCHMARKS = {
    "cityscapes": "Cityscapes",
    "inria_aerial": "InriaAerial",
    "kitti_road": "KittiRoad",
    "pascal_voc": "PascalVOC",
}


class Benchmark(abc.ABC):
    """What a benchmark measures, and how it takes results.

    Args:
      dataset: its data set.

    Attributes:
      title: its name, as people write it.
      archive: kind of file that is uploaded, "zip" or "tar.gz".
      dataset: as given.
    """

    title: ClassVar[str]
    archive = "zip"

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    @classmethod
    def scores_samples_of(cls, dataset: Dataset, split: str) -> bool:
        """Whether the samples of a split of `dataset`, with its options, are what the benchmark scores."""
        return not any(sample.window for sample in dataset.samples(split))

    @abc.abstractmethod
    def update(self, sample: Sample, label: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds one image to the scores.

        Args:
          sample: what the label is of.
          label: [H, W] uint8, class ids and 255.
          probabilities: [H, W, num_classes] float32.

        Raises:
          DataError: a file that the scores need besides the label can't be read.
        """

    @abc.abstractmethod
    def scores(self) -> dict[str, Any]:
        """Everything measured as a JSON-serialisable dict: fractions, None where there is nothing to divide by."""

    @abc.abstractmethod
    def table(self, paper: Mapping[str, Any] | None = None) -> str:
        """The scores as text to print, in percent, beside those of them that a paper has (`config.paper`), if given."""

    @abc.abstractmethod
    def place(self, sample: Sample, split: str = "test") -> str:
        """Path of a sample's file of results, relative to the folder that is uploaded. None of a `split` share one."""

    @abc.abstractmethod
    def write(self, path: Path, probabilities: np.ndarray, sample: Sample) -> None:
        """Writes the result of an image, as `files.write_file` does.

        Args:
          path: ends with `place` of its sample.
          probabilities: [H, W, num_classes] float32, at the image's full size.
          sample: what the result is of.

        Raises:
          OSError: the file can't be written.
          DataError: a file that the result needs besides the image can't be read.
        """

    @abc.abstractmethod
    def check(self, path: Path, size: Sequence[int]) -> None:
        """Reads a file of results as the benchmark would.

        Args:
          path: the file.
          size: (height, width) of its image.

        Raises:
          DataError: it isn't what the benchmark takes; file and reason are named.
        """


def read_result(path: Path, kind: Sequence[str], size: Sequence[int]) -> tuple[np.ndarray, list[int] | None]:
    """Reads a file of results.

    Args:
      path: the file.
      kind: what the benchmark takes: format and mode as Pillow calls them, ("PNG", "P"), then the same in words.
      size: (height, width) that it takes.

    Returns:
      Pixels [H, W], or [H, W, bands] of such a mode; and the palette, a flat list of red, green and blue of each colour
      in 0..255, or None.

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


def find(name: str) -> type[Benchmark] | None:
    """The `Benchmark` class of data set `name`, or None where it has none."""
    if name not in _BENCHMARKS:
        return None
    return getattr(importlib.import_module(f"did_tf.scoring.official.{name}"), _BENCHMARKS[name])


def names() -> list[str]:
    """Data sets that have a benchmark."""
    return sorted(_BENCHMARKS)
