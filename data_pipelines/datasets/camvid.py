"""CamVid in the SegNet layout: 367/101/233 frames of 360x480, 11 classes and void (papers.md section 7)."""

from __future__ import annotations

import re
from pathlib import Path, PureWindowsPath

from data_pipelines.datasets.camvid_classes import CLASSES, PALETTE
from data_pipelines.datasets.files import FileDataset, is_png, read_lines
from data_pipelines.spec import DataError, DatasetSpec, Sample

SPEC = DatasetSpec(
    name="camvid",
    classes=CLASSES,
    palette=PALETTE,
    splits={"train": 367, "val": 101, "test": 233},
    # Measured on the 367 training frames.
    mean=(105.0, 108.4, 110.3),
    std=(78.3, 79.5, 78.3),
    void_ids=(11,),
)
# Of a line of a list file: up to the first extension, for names may hold spaces; else the first word.
FIRST_PATH = re.compile(r".*?\.png(?=\s|$)|\S+", re.IGNORECASE)


class CamVid(FileDataset):
    """CamVid under `folder`.

    Each split's frames are those its list file names, or all PNGs of its folder where there is none. The published
    lists hold absolute paths of somebody else's disk: only their base names count.
    """

    spec = SPEC
    title = "CamVid"
    layout = "train/ trainannot/ val/ valannot/ (test/ testannot/), and optionally train.txt val.txt test.txt"

    def places(self, split: str) -> list[Path]:
        """Its two folders."""
        return [self.folder / split, self.folder / f"{split}annot"]

    def listing(self, split: str) -> list[Sample]:
        """The frames. Raises `DataError` where another split has one of them too."""
        samples = self._of_split(split)
        names = {sample.name for sample in samples}
        for other in self.spec.splits:
            if other == split or not all(map(Path.is_dir, self.places(other))):
                continue
            shared = sorted(names.intersection(sample.name for sample in self._of_split(other)))
            if shared:
                raise DataError(
                    f"camvid splits {split!r} and {other!r} in {self.folder} share {len(shared)} of {len(names)} "
                    f"frames, such as {shared[0]!r}: remove them from one, for frames that were learnt can't be scored"
                )
        return samples

    def _of_split(self, split):
        images, labels = self.places(split)
        return [Sample(Path(name).stem, images / name, labels / name) for name in self._names(split, images)]

    def _names(self, split, images):
        listing = self.folder / f"{split}.txt"
        if not listing.is_file():
            return sorted(path.name for path in images.iterdir() if is_png(path))
        return [PureWindowsPath(FIRST_PATH.findall(line)[0]).name for line in read_lines(listing)]
