"""ImageNet (ILSVRC 2012), or any images in a folder per class: a data set for classification."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_pipelines.datasets.files import FileDataset
from data_pipelines.reading.images import read_image
from data_pipelines.spec import DTYPES, DataError, DatasetSpec, Sample

SPEC = DatasetSpec(
    name="imagenet",
    classes=tuple(f"class_{number:04d}" for number in range(1000)),
    palette=(),
    splits={"train": 1_281_167, "val": 50_000},
    # The values in use everywhere, (0.485, 0.456, 0.406) and (0.229, 0.224, 0.225) times 255. Not measured here.
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    task="classification",
)
EXTENSIONS = {".jpeg", ".jpg", ".png", ".tif", ".tiff"}


class ImageNet(FileDataset):
    """Images under `folder`; the classes are the folders in train, sorted by name, any number of them.

    `spec.splits` are ImageNet's own numbers, whatever is in the folder.

    Args:
      folder: of the data set.
      bands: names of the images' bands, in their order, where they are not red, green and blue.
      dtype: of their values: "uint8", "uint16" or "float32".
      mean, std: per band, in pixel values; empty: ImageNet's, which are of 8-bit RGB.

    Raises:
      DataError: no such folder, no classes in it, or options that contradict each other.
    """

    spec = SPEC
    counted = False  # any folders will do
    title = "ImageNet"
    layout = "train/CLASS/*.JPEG and val/CLASS/*.JPEG"
    parts = ("train",)

    def __init__(
        self,
        folder: str | Path,
        bands: Sequence[str] = (),
        dtype: str = "uint8",
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> None:
        super().__init__(folder)
        spec = _of_pixels(bands, dtype, mean, std)
        classes = _folders(self.folder / "train")
        if not classes:
            raise DataError(f"no folders of classes in {self.folder / 'train'}: expected {self.layout}")
        self.spec = dataclasses.replace(spec, classes=tuple(classes))

    @classmethod
    def describe(
        cls,
        folder: str | Path,
        bands: Sequence[str] = (),
        dtype: str = "uint8",
        mean: Sequence[float] = (),
        std: Sequence[float] = (),
    ) -> DatasetSpec:
        """Of the classes in the folder; where it isn't there, of ImageNet's 1000, without their names."""
        if Path(folder, "train").is_dir():
            return cls(folder, bands, dtype, mean, std).spec
        return _of_pixels(bands, dtype, mean, std)

    def places(self, split: str) -> list[Path]:
        """Its folder."""
        return [self.folder / split]

    def listing(self, split: str) -> list[Sample]:
        """Images by class, then by name. Raises `DataError` where there is a class that train has not."""
        unknown = sorted(set(_folders(self.folder / split)) - set(self.spec.classes))
        if unknown:
            raise DataError(f"imagenet split {split!r} has the class {unknown[0]!r}, which train has not")
        samples = []
        for class_id, name in enumerate(self.spec.classes):
            folder = self.folder / split / name
            # Strings are ten times as fast as paths here, and there are more than a million files.
            for file in sorted(os.listdir(folder)) if folder.is_dir() else ():
                stem, extension = os.path.splitext(file)
                if extension.lower() in EXTENSIONS and not file.startswith("."):
                    samples.append(Sample(f"{name}/{stem}", folder / file, class_id=class_id))
        return samples

    def read(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """(image [H, W, bands] of `spec.dtype`, class id, an int32 scalar). Raises `DataError`."""
        assert sample.image is not None
        return read_image(sample.image, self.spec), np.array(sample.class_id, np.int32)


def _of_pixels(bands, dtype, mean, std):
    """`SPEC` with what the options say of pixels. Raises `DataError`."""
    for name, given in (("bands", bands), ("mean", mean), ("std", std)):
        if isinstance(given, str):  # its letters would be taken for as many bands
            raise DataError(f"option {name} of imagenet must be a list, got {given!r}; a shell takes quotes away")
    bands, mean, std = tuple(bands), tuple(mean), tuple(std)
    if not (bands or mean or std) and dtype == SPEC.dtype:
        return SPEC
    count = len(bands) or SPEC.bands
    if dtype not in DTYPES:
        raise DataError(f"option dtype of imagenet must be one of {', '.join(DTYPES)}, got {dtype!r}")
    if len(mean) != count or len(std) != count or min(std) <= 0:
        raise DataError(
            f"options mean and std of imagenet must have a number for each of {count} bands, std above 0: got {mean} "
            f"and {std}"
        )
    return dataclasses.replace(SPEC, band_names=bands, dtype=dtype, mean=mean, std=std)


def _folders(parent):
    """Names of the folders in `parent`, sorted, less hidden ones."""
    return sorted(path.name for path in parent.iterdir() if path.is_dir() and not path.name.startswith("."))
