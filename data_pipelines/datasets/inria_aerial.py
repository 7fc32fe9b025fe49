"""Inria Aerial Image Labeling: tiles of 5000x5000 pixels (0.3 m) of ten cities, buildings or not (project.inria.fr).

Five cities have labels (36 tiles each), the five others are the test set (papers.md section 7).
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from pathlib import Path

from data_pipelines.datasets.files import FileDataset
from data_pipelines.reading import images, patches
from data_pipelines.spec import AbsentSplit, DataError, DatasetSpec, Sample

CITIES = ("austin", "chicago", "kitsap", "tyrol-w", "vienna")
TEST_CITIES = ("bellingham", "bloomington", "innsbruck", "sfo", "tyrol-e")
TILES = 36  # of a city
SIZE = 5000  # pixels a side of a tile

# Which tiles are held out, by city (its place in CITIES) and number in it.
VALIDATION = {
    "first_five": lambda city, number: number <= 5,
    "fifth": lambda city, number: (TILES * city + number) % 5 == 0,
}

SPEC = DatasetSpec(
    name="inria_aerial",
    classes=("not building", "building"),
    palette=((0, 0, 0), (255, 255, 255)),
    splits={"train": 155, "val": 25, "trainval": 180, "test": 180},
    # Not measured here. As in public code for this data set, beside figures per city that agree with them.
    mean=(103.25, 108.97, 100.16),
    std=(51.35, 46.8, 44.93),
    label_ids=(0, 255),
)


class InriaAerial(FileDataset):
    """Inria Aerial Image Labeling under `folder`, which is AerialImageDataset of its archives.

    Args:
      folder: holds train/images, train/gt and test/images.
      patch: 0 for whole tiles, or size in pixels of the windows into which tiles with labels are cut evenly, with the
        least overlap (`patches.even_starts`): 500 gives 100 that don't overlap. `images` are whole all the same.
      validation: "first_five": tiles 1 to 5 of each city, the benchmark's advice; "fifth": every fifth of the 180
        tiles in the order of city and number, which is 20 % of them. The others are train.

    `spec.splits` counts whole tiles.
    """

    spec = SPEC
    overlapping = (("train", "trainval"), ("val", "trainval"))
    title = "Inria Aerial Image Labeling"
    layout = "train/images/CITY1.tif to CITY36.tif, train/gt/ with the same names, and test/images/ for a submission"
    parts = ("train/images", "train/gt")

    def __init__(self, folder: str | Path, patch: int = 0, validation: str = "first_five") -> None:
        super().__init__(folder)
        self.spec = self.describe(validation=validation)
        self.patch, self.validation = patch, validation

    @classmethod
    def describe(cls, folder: str | Path | None = None, patch: int = 0, validation: str = "first_five") -> DatasetSpec:
        """Depends on `validation` alone. Raises `DataError` where that is unknown."""
        if validation not in VALIDATION:
            raise DataError(f"{SPEC.name} has no validation {validation!r}; known: {', '.join(VALIDATION)}")
        tiles = itertools.product(range(len(CITIES)), range(1, TILES + 1))
        val = sum(VALIDATION[validation](city, number) for city, number in tiles)
        return dataclasses.replace(SPEC, splits={**SPEC.splits, "train": SPEC.splits["trainval"] - val, "val": val})

    def samples(self, split: str) -> list[Sample]:
        """Tiles, or windows of them. Raises as of `Dataset`; `AbsentSplit` for test, whose labels are not public."""
        if split == "test":
            raise AbsentSplit(
                "inria_aerial split 'test': its labels are not public; use val, or run "
                "`did_tf submit --experiment=...` and "
                "upload what it writes"
            )
        return [piece for tile in super().samples(split) for piece in self._cut(tile)]

    def images(self, split: str) -> list[Sample]:
        """Whole tiles, those of test too."""
        return super().samples(split)

    def places(self, split: str) -> list[Path]:
        """Folders of images and labels, which train, val and trainval share; test has images alone."""
        return [self.folder / "test" / "images"] if split == "test" else [self.folder / part for part in self.parts]

    def listing(self, split: str) -> list[Sample]:
        """Tiles in the order of city and number. Raises `DataError` for a file of another name."""
        folder, *labels = self.places(split)
        tiles = [
            Sample(path.stem, path, labels[0] / path.name if labels else None)
            for path in folder.iterdir()
            if path.suffix.lower() == ".tif" and not path.name.startswith(".")
        ]
        cities = TEST_CITIES if split == "test" else CITIES
        for tile in tiles:
            if number(tile)[0] not in cities:
                raise DataError(f"{tile.image} is no tile: expected CITY and number of {', '.join(cities)}; move it")
        return [tile for tile in sorted(tiles, key=number) if self._belongs(tile, split)]

    def _belongs(self, tile, split):
        if split not in ("train", "val"):
            return True
        city, own = number(tile)
        return VALIDATION[self.validation](CITIES.index(city), own) == (split == "val")

    def _cut(self, tile):
        if not self.patch:
            return [tile]
        rows, columns = (patches.even_starts(side, self.patch) for side in images.size_of(tile.image))
        return patches.cut(tile, rows, columns, self.patch, self.patch)


def number(tile: Sample) -> tuple[str, int]:
    """(city, number in it) of a tile, by its file's name; ("", 0) where that is of another kind."""
    assert tile.image is not None
    name = re.fullmatch(r"(.+?)(\d+)", tile.image.stem)
    return (name[1], int(name[2])) if name else ("", 0)
