"""What data sets that lie in files have in common: one clear line for whatever isn't there."""

from __future__ import annotations

import abc
from pathlib import Path

from data_pipelines.images import read_image, read_label
from data_pipelines.spec import AbsentSplit, DataError, Dataset, Sample


class FileDataset(Dataset):
    """A data set in files under `folder`.

    Attributes:
      title: its name, as people write it.
      layout: what the folder holds, in words.
      parts: subfolders that all splits need.

    Raises:
      DataError: no such folder, or a part of it is missing.
    """

    title: str
    layout: str
    parts: tuple[str, ...] = ()

    def __init__(self, folder):
        self.folder = Path(folder)
        missing = [part for part in ("", *self.parts) if not (self.folder / part).is_dir()]
        if missing:
            which = f" (it has no folder {missing[0]})" if missing[0] else ""
            raise DataError(
                f"no {self.title} in {self.folder.resolve()}{which}: expected {self.layout}; "
                f"run `make data DATASET={self.spec.name}`, which gets it or says where it is, "
                "pass DATA=dir, or try EXP=did_synthetic, which needs no data"
            )

    def samples(self, split):
        name = self.spec.name
        if split not in self.spec.splits:
            raise DataError(f"{name} has no split {split!r}; known: {', '.join(self.spec.splits)}")
        places = self.places(split)
        missing = [place for place in places if not place.exists()]
        if missing:
            kind = "file" if missing[0].suffix else "folder"
            error = AbsentSplit if len(missing) == len(places) else DataError
            raise error(f"{name} split {split!r}: no {kind} {missing[0]}; expected {self.layout}")
        samples = self.listing(split)
        if not samples:
            raise DataError(f"{name} split {split!r} is empty: no images in {places[0]}; expected {self.layout}")
        return samples

    def read(self, sample):
        image, label = read_image(sample.image), read_label(sample.label, self.spec)
        if image.shape[:2] != label.shape:
            raise DataError(
                f"{sample.image} is {image.shape[0]}x{image.shape[1]} but its label {sample.label} is "
                f"{label.shape[0]}x{label.shape[1]} (height x width): they must be equal"
            )
        return image, label

    @abc.abstractmethod
    def places(self, split: str) -> list[Path]:
        """Folders and list files that belong to `split` alone; where none of them is there, the split is absent."""

    @abc.abstractmethod
    def listing(self, split: str) -> list[Sample]:
        """What `samples` returns, where all `places` are there."""
