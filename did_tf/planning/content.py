"""What a plan has to know of the data: sizes, classes and how rare they are, objects, whether up and down are alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from data_pipelines.spec import IGNORE, Dataset, DatasetSpec, Sample
from did_tf.common.errors import ConfigError

MOST = 200
"""Images to train on that are looked at, evenly over all."""
COINS = 400
"""How often images are turned by chance."""
SMALLEST = 25
"""Pixels of the smallest piece of a class that counts as an object, and not as a speck."""


@dataclasses.dataclass(frozen=True)
class Content:
    """What is in the data.

    Attributes:
      spec: of the data set.
      images: number of those to train on.
      looked_at: how many of them all else is of.
      height, width: medians, in pixels.
      largest: pixels of the largest side.
      shares: {class: share of the pixels that have a class, 0 to 1}.
      objects: {class: median side in pixels, the root of the area, of its connected pieces}; of those that occur.
      uneven: half the sum of the differences of the classes' shares in upper and lower halves of the images: 0 where
        they lie above as often as below, 1 where none does both.
      by_chance: up to which 95 of 100 such numbers are if each image is turned upside down or not by a coin.
      val_images: number of those to validate on.
      val_pixels: of all of these.
    """

    spec: DatasetSpec
    images: int
    looked_at: int
    height: int
    width: int
    largest: int
    shares: Mapping[str, float]
    objects: Mapping[str, float]
    uneven: float
    by_chance: float
    val_images: int
    val_pixels: float

    @property
    def pixels(self) -> int:
        """Of all images to train on, by their medians."""
        return self.images * self.height * self.width

    @property
    def rarest(self) -> tuple[str, float]:
        """The class with the smallest share, of those that occur, and its share."""
        return min(((name, share) for name, share in self.shares.items() if share), key=lambda pair: pair[1])


def look(dataset: Dataset, train_split: str, val_split: str, progress: bool = False) -> Content:
    """The `Content` of a data set, of `MOST` images to train on and the sizes of a few to validate on.

    Args:
      dataset: of segmentation.
      train_split: to train on; several are joined by "+".
      val_split: to validate on; empty for none.
      progress: show a bar, where stderr is a terminal.

    Raises:
      ConfigError: the data set is for classification, or no pixel that was looked at has a class.
      DataError: a split or a file is no good.
    """
    spec = dataset.spec
    if spec.task != "segmentation":
        raise ConfigError(f"{spec.name} is for {spec.task}: plans are for segmentation alone")
    samples, val = _samples(dataset, train_split), _samples(dataset, val_split)
    chosen, sizes = _evenly(samples, MOST), []
    objects: dict[str, list[float]] = {name: [] for name in spec.classes}
    halves: list[np.ndarray] = []  # [upper and lower, classes] pixels of each image
    for sample in tqdm(chosen, "looking", unit="image", disable=None if progress else True):
        image, label = dataset.read(sample)
        sizes.append(image.shape[:2])
        both = [np.bincount(half.ravel(), minlength=IGNORE + 1) for half in np.array_split(label, 2)]
        halves.append(np.stack(both)[:, : spec.num_classes])
        for number in np.unique(label[label != IGNORE]).tolist():
            objects[spec.classes[number]] += _sides(label == number)
    pixels = np.sum(halves, axis=(0, 1))
    if not pixels.any():
        raise ConfigError(f"{spec.name}: no pixel of {len(chosen)} labels of {train_split} has a class")
    return Content(
        spec=spec,
        images=len(samples),
        looked_at=len(chosen),
        height=int(np.median([height for height, _ in sizes])),
        width=int(np.median([width for _, width in sizes])),
        largest=max(map(max, sizes)),
        shares=dict(zip(spec.classes, (pixels / pixels.sum()).tolist())),
        objects={name: float(np.median(sides)) for name, sides in objects.items() if sides},
        uneven=_uneven(np.sum(halves, axis=0)),
        by_chance=_by_chance(np.stack(halves)),
        val_images=len(val),
        val_pixels=_pixels(dataset, val),
    )


def _samples(dataset: Dataset, splits: str) -> list[Sample]:
    return [sample for split in filter(None, splits.split("+")) for sample in dataset.samples(split)]


def _evenly(samples: Sequence[Sample], most: int) -> list[Sample]:
    places = np.linspace(0, len(samples) - 1, min(most, len(samples))).round().astype(int)
    return [samples[place] for place in places]


def _uneven(halves):
    """Half the sum of the differences of shares, of pixels [..., upper and lower, classes] -> [...]."""
    shares = halves / np.maximum(halves.sum(-1, keepdims=True), 1)
    return 0.5 * np.abs(shares[..., 0, :] - shares[..., 1, :]).sum(-1)


def _by_chance(halves):
    turned = np.random.default_rng(0).random((COINS, len(halves), 1, 1)) < 0.5
    return float(np.quantile(_uneven(np.where(turned, halves[:, ::-1], halves).sum(1)), 0.95))


def _sides(mask):
    """Roots of the areas of a mask's connected pieces."""
    _, _, found, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = found[1:, cv2.CC_STAT_AREA]
    return np.sqrt(areas[areas >= SMALLEST]).tolist()


def _pixels(dataset, samples):
    """Of all images of `samples`, by a few of them."""
    few = [dataset.read_image(sample).shape[:2] for sample in _evenly(samples, 8)]
    return float(np.mean([height * width for height, width in few]) * len(samples)) if few else 0.0
