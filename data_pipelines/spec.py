"""What a data set is: its descriptor, its samples and how one is read."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

IGNORE = 255
"""The one ignore label in every batch, whatever a data set's own void id is."""


class DataError(ValueError):
    """Bad input data. The message is one line that names the file or value and says what to do."""


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """All facts about a data set.

    Attributes:
      name: registry name.
      classes: class names; a class's id is its position.
      palette: one (R, G, B) in 0..255 per class.
      splits: split name -> number of samples the data set is published with.
      mean: per band, in pixel values (0..255), measured on the training split.
      std: per band, likewise.
      void_ids: ids in the label files that become `IGNORE`.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    splits: Mapping[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    void_ids: tuple[int, ...] = ()

    def __post_init__(self):
        if len(self.palette) != len(self.classes):
            raise ValueError(f"{self.name}: {len(self.classes)} classes but {len(self.palette)} palette colours")
        if len(self.mean) != len(self.std):
            raise ValueError(f"{self.name}: {len(self.mean)} means but {len(self.std)} standard deviations")

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    @property
    def bands(self) -> int:
        return len(self.mean)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One image with its label, not read yet. `image` and `label` are paths, or None where samples are drawn."""

    name: str
    image: Path | None = None
    label: Path | None = None


class Dataset(abc.ABC):
    """A data set: a `spec`, the samples of each split, and how one is read."""

    spec: DatasetSpec

    @abc.abstractmethod
    def samples(self, split: str) -> list[Sample]:
        """Samples of `split` in a fixed order. Raises `DataError` where the split is unknown, absent or empty."""

    @abc.abstractmethod
    def read(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """(image [H, W, bands] uint8, label [H, W] uint8 with class ids and `IGNORE`). Raises `DataError`."""
