"""PASCAL VOC 2012 segmentation: 20 classes and background, 255 along their borders (papers.md section 7)."""

from __future__ import annotations

import io
from pathlib import Path, PureWindowsPath

import numpy as np

from data_pipelines.datasets.files import FileDataset, read_lines
from data_pipelines.spec import IGNORE, AbsentSplit, DataError, DatasetSpec, Sample

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip


def colour(index: int) -> tuple[int, int, int]:
    """(R, G, B) of a class: its bits, the lowest first, go to red, green, blue, red, ... from the highest bit down."""
    red, green, blue = (sum((index >> (3 * bit + band) & 1) << (7 - bit) for bit in range(8)) for band in range(3))
    return red, green, blue


SPEC = DatasetSpec(
    name="pascal_voc",
    classes=CLASSES,
    palette=tuple(map(colour, range(len(CLASSES)))),
    splits={"train": 1464, "trainaug": 10582, "val": 1449, "trainval": 2913, "test": 1456},
    # ImageNet's, for these are photographs of the same kind and most recipes start from its weights.
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
)
LISTS, OWN, AUGMENTED, SBD = "ImageSets/Segmentation", "SegmentationClass", "SegmentationClassAug", "benchmark_RELEASE"
LARGEST_MAT = 2**20
"""Bytes of a file of SBD, which are compressed: they may unpack to a thousand times as much."""


class PascalVOC(FileDataset):
    """PASCAL VOC under `folder`, which is VOCdevkit/VOC2012 of its archives: that of train and val, and that of test.

    "trainaug" is the training set with the annotations of Hariharan et al. (Semantic Boundaries Dataset, SBD), which
    are no part of VOC's archives. They are taken from the first of these that is there:
    - the folder `sbd`, as SBD's archive unpacks: dataset/cls/*.mat, dataset/train.txt and dataset/val.txt;
    - SegmentationClassAug, maps that others have made of them. The images are those of a trainaug.txt beside the
      official lists; without one, all that have a map there and aren't in val;
    - benchmark_RELEASE in `folder`, SBD's archive again.
    Of SBD itself, the split is train of VOC with VOC's own annotations, and then all images of SBD that are neither
    there nor in val of VOC: 1464 and 9118 (6820 of SBD's train, 2298 of its val) of 11355, together 10582. SBD has no
    void border.

    Args:
      folder: holds JPEGImages, SegmentationClass and ImageSets.
      sbd: folder of SBD, benchmark_RELEASE of its archive; empty: see above.
    """

    spec = SPEC
    overlapping = (("train", "trainval"), ("val", "trainval"), ("train", "trainaug"), ("trainval", "trainaug"))
    title = "PASCAL VOC"
    layout = (
        f"JPEGImages/*.jpg {OWN}/*.png {LISTS}/SPLIT.txt, and for trainaug {AUGMENTED}/*.png with "
        f"{LISTS}/trainaug.txt, or {SBD}/dataset of SBD's archive there or in the option sbd"
    )
    parts = ("JPEGImages", OWN, LISTS)

    def __init__(self, folder: str | Path, sbd: str = "") -> None:
        super().__init__(folder)
        self._sbd = Path(sbd or self.folder / SBD, "dataset")
        # Of a list without maps, as projects hand out, nothing can be read.
        self._from_sbd = bool(sbd) or not (self.folder / AUGMENTED).exists() and self._sbd.is_dir()

    def images(self, split: str) -> list[Sample]:
        """Images of the split's list. Of test, `AbsentSplit` where that list isn't there."""
        return self._test() if split == "test" else self.samples(split)

    def read_label(self, sample: Sample) -> np.ndarray:
        """The label [H, W] uint8, from a PNG or from a file of SBD. Raises `DataError`."""
        assert sample.label is not None
        return read_sbd(sample.label) if sample.label.suffix == ".mat" else super().read_label(sample)

    def places(self, split: str) -> list[Path]:
        """List files, and for trainaug what holds its labels. `AbsentSplit` for test, whose labels are not public."""
        if split == "test":
            raise AbsentSplit(
                "pascal_voc split 'test': its labels are not public; use val, or run "
                "`did_tf submit --experiment=...`, which "
                "writes what the benchmark's server scores"
            )
        if split != "trainaug":
            return [self._list(split)]
        if self._from_sbd:
            return [
                *(self._sbd / name for name in ("train.txt", "val.txt", "cls")),
                self._list("train"),
                self._list("val"),
            ]
        maps, listed = self.folder / AUGMENTED, self._list(split)
        return [maps, self._list("val")] if maps.is_dir() and not listed.exists() else [listed, maps]

    def listing(self, split: str) -> list[Sample]:
        """Images in the order of the lists; of SBD and of maps without a list, sorted by name."""
        if split != "trainaug":
            return [self._sample(name, self._own(name)) for name in _names(self._list(split))]
        if self._from_sbd:
            return self._sbd_listing()
        maps, listed = self.folder / AUGMENTED, self._list(split)
        names = _names(listed) if listed.exists() else self._not_in_val(path.stem for path in maps.glob("[!.]*.png"))
        return [self._sample(name, maps / f"{name}.png") for name in names]

    def _sbd_listing(self):
        own = _names(self._list("train"))
        further = [name for part in ("train", "val") for name in _names(self._sbd / f"{part}.txt")]
        further = sorted(set(self._not_in_val(further)) - set(own))
        samples = [self._sample(name, self._own(name)) for name in own]
        return samples + [self._sample(name, self._sbd / "cls" / f"{name}.mat") for name in further]

    def _not_in_val(self, names):
        return sorted(set(names) - set(_names(self._list("val"))))

    def _test(self):
        if not self._list("test").is_file():
            raise AbsentSplit(
                f"pascal_voc split 'test': no file {self._list('test')}; its images are an archive of their own, "
                "VOC2012test.tar, from the benchmark's server"
            )
        names = _names(self._list("test"))
        if not names:
            raise DataError(f"pascal_voc split 'test' is empty: {self._list('test')} lists no images")
        return [self._sample(name, None) for name in names]

    def _list(self, split):
        return self.folder / LISTS / f"{split}.txt"

    def _own(self, name):
        return self.folder / OWN / f"{name}.png"

    def _sample(self, name, label):
        return Sample(name, self.folder / "JPEGImages" / f"{name}.jpg", label)


def read_sbd(path: str | Path) -> np.ndarray:
    """Label map [H, W] uint8 of SBD, a MATLAB file whose struct GTcls has it as Segmentation: 0 to 20.

    Raises:
      DataError: the file is missing or damaged, or has no such map, or one with other ids.
    """
    from scipy.io import loadmat  # takes a third of a second, which few need to wait for

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    if len(data) > LARGEST_MAT:
        raise DataError(f"{path} has {len(data)} bytes, and a map of SBD some thousands: replace it")
    try:
        label = loadmat(io.BytesIO(data), variable_names=("GTcls",))["GTcls"]["Segmentation"][0, 0]
    except Exception:  # damaged files end in errors of every kind
        raise DataError(f"cannot decode {path}: damaged, or no map of SBD (GTcls.Segmentation); replace it") from None
    if label.ndim != 2 or label.dtype.kind not in "ui" or not label.size:
        raise DataError(f"label {path} holds {label.dtype} {label.shape}: expected integers (height, width)")
    unknown = np.unique(label[(label != IGNORE) & (label >= len(CLASSES)) | (label < 0)])
    if unknown.size:
        raise DataError(f"label {path} holds value {unknown[0]}: SBD knows 0 to {len(CLASSES) - 1}")
    return label.astype(np.uint8)


def _names(listing):
    """Names in a list file: a line is one, or in lists of trainaug also paths, of which the first one's stem counts."""
    return [PureWindowsPath(line.split()[0]).stem for line in read_lines(listing)]
