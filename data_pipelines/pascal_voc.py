"""PASCAL VOC 2012 segmentation: 20 classes and background, 255 along their borders (REFERENCE.md section 7)."""

from pathlib import PureWindowsPath

from data_pipelines.files import FileDataset
from data_pipelines.spec import DatasetSpec, Sample

CLASSES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "dining table",
    "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv monitor",
)  # fmt: skip


def colour(index):
    """(R, G, B) of a class: its bits, the lowest first, go to red, green, blue, red, ... from the highest bit down."""
    return tuple(sum((index >> (3 * bit + band) & 1) << (7 - bit) for bit in range(8)) for band in range(3))


SPEC = DatasetSpec(
    name="pascal_voc",
    classes=CLASSES,
    palette=tuple(map(colour, range(len(CLASSES)))),
    splits={"train": 1464, "trainaug": 10582, "val": 1449, "trainval": 2913},
    # ImageNet's, for these are photographs of the same kind and most recipes start from its weights.
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
)


class PascalVOC(FileDataset):
    """PASCAL VOC under `folder`, which is VOCdevkit/VOC2012 of its archive.

    "trainaug" is the training set with the annotations of Hariharan et al. (SBD), as maps in SegmentationClassAug with
    a list beside the official ones; it isn't part of the archive.
    """

    spec = SPEC
    title = "PASCAL VOC"
    layout = (
        "JPEGImages/*.jpg SegmentationClass/*.png ImageSets/Segmentation/SPLIT.txt, "
        "and for trainaug SegmentationClassAug/*.png ImageSets/Segmentation/trainaug.txt"
    )
    parts = ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")

    def places(self, split):
        listing = self.folder / "ImageSets" / "Segmentation" / f"{split}.txt"
        return [listing, self.folder / "SegmentationClassAug"] if split == "trainaug" else [listing]

    def listing(self, split):
        labels = self.folder / ("SegmentationClassAug" if split == "trainaug" else "SegmentationClass")
        # A line is a name, or in lists of trainaug also paths of image and label, of which the base name counts.
        lines = self.places(split)[0].read_text(encoding="utf-8-sig").splitlines()
        names = [PureWindowsPath(line.split()[0]).stem for line in lines if line.strip()]
        return [Sample(name, self.folder / "JPEGImages" / f"{name}.jpg", labels / f"{name}.png") for name in names]
