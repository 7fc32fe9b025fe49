"""Street scenes drawn at run time, with CamVid's classes: a data set that needs no download."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from data_pipelines.datasets.camvid_classes import CLASSES, PALETTE
from data_pipelines.datasets.street.layout import draw_street
from data_pipelines.datasets.street.photograph import band_kinds, photograph
from data_pipelines.datasets.street.scene import Scene
from data_pipelines.spec import DataError, Dataset, DatasetSpec, Sample

SIZES = {"train": 200, "val": 40, "test": 40}
MIN_SIDE = 32

# Mean and standard deviation of each kind of band over the 200 training scenes at 180 x 240 (seed 0);
# "mix" is the average over the first four such bands.
STATS = {
    "luma": (102.1, 49.2), "red": (104.4, 51.4), "green": (101.6, 50.2), "blue": (97.6, 52.8),
    "near": (97.6, 74.9), "infrared": (77.6, 38.1), "mix": (129.9, 68.2),
}  # fmt: skip


class Synthetic(Dataset):
    """Street scenes; the scene of a sample depends on `seed`, its split and its number only.

    Bands: 1 is luminance; 2 is luminance and nearness; 3 is RGB; 4 adds nearness (noisy inverse depth, 0 in the
    sky); 5 adds a near infrared in which vegetation is bright; every band after that is a fixed nonlinear mix
    of the first five.

    Args:
      height, width: of a scene in pixels, 32 or more.
      bands: how many.
      sizes: split -> number of scenes; default: 200, 40 and 40.
      seed: another one gives other scenes.

    Raises:
      DataError: scenes too small, no bands, a negative seed, or sizes that are none.
    """

    def __init__(
        self,
        height: int = 180,
        width: int = 240,
        bands: int = 3,
        sizes: Mapping[str, int] | None = None,
        seed: int = 0,
    ) -> None:
        if min(height, width) < MIN_SIDE:
            raise DataError(f"scenes of {height} x {width} are too small: use at least {MIN_SIDE} pixels a side")
        if bands < 1:
            raise DataError(f"{bands} bands: use at least 1")
        if seed < 0:
            raise DataError(f"seed {seed}: use 0 or more")
        if sizes is not None and not _are_sizes(sizes):
            raise DataError(f"sizes must be a map from splits to numbers of scenes, got {sizes!r}")
        self._shape, self._seed = (height, width), seed
        stats = [STATS[kind] for kind in band_kinds(bands)]
        self.spec = DatasetSpec(
            name="synthetic",
            classes=CLASSES,
            palette=PALETTE,
            splits=dict(SIZES if sizes is None else sizes),
            mean=tuple(mean for mean, _ in stats),
            std=tuple(std for _, std in stats),
        )

    def samples(self, split: str) -> list[Sample]:
        """One per scene, SPLIT_NNNNN. Raises `DataError` where the split is unknown or of size 0."""
        if split not in self.spec.splits:
            raise DataError(f"unknown split {split!r} of 'synthetic': use one of {', '.join(self.spec.splits)}")
        if self.spec.splits[split] < 1:
            raise DataError(f"split {split!r} is empty: give it a size of at least 1")
        return [Sample(f"{split}_{index:05d}") for index in range(self.spec.splits[split])]

    def read(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """(image [H, W, bands] uint8, label [H, W] uint8), drawn anew. Raises `DataError` where it is no sample."""
        split, _, index = sample.name.rpartition("_")
        if not index.isdecimal() or int(index) >= self.spec.splits.get(split, 0):
            raise DataError(f"{sample.name!r} is no sample of 'synthetic': take one from samples(split)")
        # crc32, because Python's hash of a string differs between processes.
        scene = Scene(*self._shape, np.random.default_rng([self._seed, zlib.crc32(split.encode()), int(index)]))
        draw_street(scene)
        return photograph(scene, self.spec.bands), scene.label


def _are_sizes(sizes):
    return isinstance(sizes, Mapping) and all(type(size) is int and size >= 0 for size in sizes.values())
