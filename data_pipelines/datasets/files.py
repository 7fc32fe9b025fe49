"""What data sets that lie in files have in common: one clear line for whatever isn't there."""

from __future__ import annotations

import abc
from collections import Counter
from pathlib import Path, PurePath

import numpy as np

from data_pipelines.reading.images import check_sizes, read_label, read_masked
from data_pipelines.reading.labels import distances
from data_pipelines.reading.masks import mask_distances, read_masks
from data_pipelines.reading.places import check_places
from data_pipelines.spec import AbsentSplit, DataError, Dataset, Sample, voided


class FileDataset(Dataset):
    """A data set in files under `folder`.

    Attributes:
      title: its name, as people write it.
      layout: what the folder holds, in words.
      parts: subfolders that all splits need.
      orientation: what to do about images that a camera marked to be turned, as for `images.read_image`. Published data
        sets are defined by their pixels as they are stored.

    Raises:
      DataError: no such folder, or a part of it is missing.
    """

    title: str
    layout: str
    parts: tuple[str, ...] = ()
    orientation = "stored"

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        missing = [part for part in ("", *self.parts) if not (self.folder / part).is_dir()]
        if missing:
            which = f" (it has no folder {missing[0]})" if missing[0] else ""
            raise DataError(
                f"no {self.title} in {self.folder.resolve()}{which}: expected {self.layout}; "
                f"run `did_tf data --dataset={self.spec.name}`, which gets it or says where it is, "
                "name its folder (--data=dir; for data commands --folder=dir), "
                "or try --experiment=did_synthetic, which needs no data"
            )

    def samples(self, split: str) -> list[Sample]:
        """Samples of `split`, in a fixed order.

        Raises:
          AbsentSplit: nothing of it is there.
          DataError: it is unknown, incomplete or empty, or two samples have one name.
        """
        name = self.spec.name
        if split not in self.spec.splits:
            raise DataError(f"{name} has no split {split!r}; known: {', '.join(self.spec.splits)}")
        places = self.places(split)
        missing = [place for place in places if not place.exists()]
        if missing:
            kind = "file" if missing[0].suffix else "folder"
            error = AbsentSplit if len(missing) == len(places) else DataError
            raise error(f"{name} split {split!r}: no {kind} {missing[0]}; expected {self.layout}")
        try:
            samples = self.listing(split)
        except OSError as error:
            raise DataError(f"cannot read {error.filename}: {error.strerror}") from None
        if not samples:
            raise DataError(f"{name} split {split!r} is empty: no images in {places[0]}; expected {self.layout}")
        (repeated, count), *_ = Counter(sample.name for sample in samples).most_common(1)
        if count > 1:
            raise DataError(f"{name} split {split!r} has {count} images called {repeated!r}: leave one, or rename them")
        return samples

    def read(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """(image [H, W, bands] of `spec.dtype`, label [H, W] uint8). Raises `DataError`, also where files don't fit."""
        image, label, void = self._read_unmasked(sample)
        return image, voided(label, void)

    def read_image(self, sample: Sample) -> np.ndarray:
        """The image [H, W, bands] of `spec.dtype` alone. Raises `DataError`."""
        return self.read_masked(sample)[0]

    def read_masked(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
        """(image as of `read_image`, where it has no data or None), as `images.read_masked`. Raises `DataError`."""
        assert sample.image is not None
        return read_masked(sample.image, self.spec, sample.window, self.orientation)

    def read_label(self, sample: Sample) -> np.ndarray:
        """The label [H, W] uint8 alone, but for what void pixels of the image change in it. Raises `DataError`."""
        assert sample.label is not None
        if sample.masks:
            return read_masks(sample.masks, self.spec, sample.window, self.orientation)
        return read_label(sample.label, self.spec, sample.window, self.orientation)

    def moved(self, sample: Sample) -> np.ndarray | None:
        """As of `Dataset`: [H, W] float32 where `spec.labels_soft`, or None. Raises `DataError`."""
        if not self.spec.labels_soft or sample.label is None:
            return None
        found = mask_distances(sample.masks, self.spec) if sample.masks else distances(sample.label, self.spec)
        return found[sample.window.inside(*found.shape)] if sample.window else found

    @abc.abstractmethod
    def places(self, split: str) -> list[Path]:
        """Folders and list files that belong to `split` alone; where none of them is there, the split is absent."""

    @abc.abstractmethod
    def listing(self, split: str) -> list[Sample]:
        """What `samples` returns, where all `places` are there."""

    def _read_unmasked(self, sample):
        """As of `Dataset.read_unmasked`."""
        (image, void), label = self.read_masked(sample), self.read_label(sample)
        check_sizes(sample.image, image, sample.label, label, sample.window, "its label ")
        for path in (sample.label, *(mask for mask, _ in sample.masks[1:])):
            check_places(sample.image, path)
        return image, label, void


def read_lines(path: Path) -> list[str]:
    """Lines of a list file in UTF-8, but for empty ones, without what is white around them. Raises `DataError`."""
    return [line for _, line in numbered_lines(path)]


def numbered_lines(path: Path) -> list[tuple[int, str]]:
    """(number from 1, line) of those that `read_lines` gives. Raises `DataError`."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"cannot read {path}: it is no text in UTF-8; save it as such") from None
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def is_png(path: PurePath) -> bool:
    """By the ending of its name, in either case; what begins with a dot, as macOS' notes beside files, is none."""
    return path.suffix.lower() == ".png" and not path.name.startswith(".")
