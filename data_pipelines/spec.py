"""What a data set is: its descriptor, its samples and how one is read."""

from __future__ import annotations

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

IGNORE = 255
"""The one ignore label in every batch, whatever a data set's own void id is."""


TASKS = ("segmentation", "classification")


class DataError(ValueError):
    """Bad input data. The message is one line that names the file or value and says what to do."""


class AbsentSplit(DataError):
    """Nothing of a split is there, which is no fault where nobody needs it."""


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """All facts about a data set.

    Attributes:
      name: registry name.
      classes: class names; a class's id is its position.
      palette: one (R, G, B) in 0..255 per class; empty for classification.
      splits: split name -> number of samples the data set is published with.
      mean: per band, in pixel values (0..255), of the training split unless the data set's file says otherwise.
      std: per band, likewise.
      void_ids: ids in the label files that become `IGNORE`.
      label_ids: id of each class in the label files; empty: the classes' own, 0, 1, 2, ...
      task: "segmentation" (a class per pixel) or "classification" (one per image).
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    splits: Mapping[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    void_ids: tuple[int, ...] = ()
    label_ids: tuple[int, ...] = ()
    task: str = "segmentation"

    def __post_init__(self):
        if self.task not in TASKS:
            raise ValueError(f"{self.name}: unknown task {self.task!r}; known: {', '.join(TASKS)}")
        if len(self.palette) != len(self.classes) and self.task == "segmentation":
            raise ValueError(f"{self.name}: {len(self.classes)} classes but {len(self.palette)} palette colours")
        if len(self.label_ids) not in (0, len(self.classes)):
            raise ValueError(f"{self.name}: {len(self.classes)} classes but {len(self.label_ids)} label ids")
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
    """One image with its label, not read yet.

    Attributes:
      name: of the sample, unique in its split.
      image: path; None where samples are drawn.
      label: path of the label map, likewise; None for classification.
      class_id: of the whole image, for classification.
    """

    name: str
    image: Path | None = None
    label: Path | None = None
    class_id: int | None = None


class Dataset(abc.ABC):
    """A data set: a `spec`, the samples of each split, and how one is read."""

    spec: DatasetSpec

    @classmethod
    def describe(cls, **options) -> DatasetSpec:
        """The `spec` that `cls(**options)` has. Files need not be there, unless the spec is made from them."""
        return getattr(cls, "spec", None) or cls(**options).spec

    @abc.abstractmethod
    def samples(self, split: str) -> list[Sample]:
        """Samples of `split` in a fixed order. Raises `DataError` where the split is unknown, absent or empty."""

    @abc.abstractmethod
    def read(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """(image [H, W, bands] uint8, label). Raises `DataError`.

        The label is [H, W] uint8 with class ids and `IGNORE`, or for classification an int32 scalar, the class id.
        """
