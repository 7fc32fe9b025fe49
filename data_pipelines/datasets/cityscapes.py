"""Cityscapes: 5000 frames of 1024x2048 with fine labels, 19998 with coarse, 19 classes (papers.md section 7)."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from data_pipelines.datasets.files import FileDataset
from data_pipelines.extras import install
from data_pipelines.memory import check_room
from data_pipelines.reading.images import size_of
from data_pipelines.reading.patches import cut
from data_pipelines.spec import IGNORE, AbsentSplit, DataError, DatasetSpec, Sample

# id in the label files, name and colour of the classes that are scored (the official table, cityscapesScripts). The
# other ids up to 33 are void: ego vehicle, ground, parking, bridge, caravan, ...
TABLE = (
    (7, "road", (128, 64, 128)),
    (8, "sidewalk", (244, 35, 232)),
    (11, "building", (70, 70, 70)),
    (12, "wall", (102, 102, 156)),
    (13, "fence", (190, 153, 153)),
    (17, "pole", (153, 153, 153)),
    (19, "traffic light", (250, 170, 30)),
    (20, "traffic sign", (220, 220, 0)),
    (21, "vegetation", (107, 142, 35)),
    (22, "terrain", (152, 251, 152)),
    (23, "sky", (70, 130, 180)),
    (24, "person", (220, 20, 60)),
    (25, "rider", (255, 0, 0)),
    (26, "car", (0, 0, 142)),
    (27, "truck", (0, 0, 70)),
    (28, "bus", (0, 60, 100)),
    (31, "train", (0, 80, 100)),
    (32, "motorcycle", (0, 0, 230)),
    (33, "bicycle", (119, 11, 32)),
)
LABEL_IDS, CLASSES, PALETTE = zip(*TABLE)

SPEC = DatasetSpec(
    name="cityscapes",
    classes=CLASSES,
    palette=PALETTE,
    splits={"train": 2975, "val": 500, "test": 1525, "train_extra": 19998, "train_coarse": 2975, "val_coarse": 500},
    # Of the training frames, as commonly published: (0.28689554, 0.32513303, 0.28389177) and (0.18696375, 0.19017339,
    # 0.18720214) times 255 (among others in Lightning Bolts' Cityscapes transforms). Not measured here.
    mean=(73.16, 82.91, 72.39),
    std=(47.68, 48.49, 47.74),
    void_ids=tuple(sorted(set(range(34)) - set(LABEL_IDS))),
    label_ids=LABEL_IDS,
)
COARSE = ("train_extra", "train_coarse", "val_coarse")
SIZE = (1024, 2048)
ROWS = slice(30, 900)
HALF = (1024, 448)  # width, height
IMAGE, IDS, INSTANCES, POLYGONS = "_leftImg8bit.png", "_labelIds.png", "_instanceIds.png", "_polygons.json"

# Patches of ResNet-DUC (duc_hdc.md section 4.1): first rows, first columns and side in pixels. Twelve of 800x800 "with
# partial overlapping": 3 rows and 4 columns are the only arrangement that covers a frame in whole and equal steps, of
# 112 and 416. Seven centres, of which a crop of 880x880 is moved by up to 80 pixels: that is a crop anywhere in
# 1040x1040 around it, beyond the frame too.
PATCHES = {
    "twelve": ((0, 112, 224), (0, 416, 832, 1248), 800),
    "seven": ((512 - 520,), tuple(centre - 520 for centre in range(256, 1793, 256)), 1040),
}


class Cityscapes(FileDataset):
    """Cityscapes under `folder`, as its archives unpack.

    Splits train, val and test have fine labels (those of test are not public). "train_extra" are further frames with
    coarse labels; "train_coarse" and "val_coarse" are the frames of train and val with coarse labels instead.

    Where a frame's PNGs of ids are not there, they are drawn from its polygons by the official package
    cityscapesScripts (`pip install -e '.[cityscapes]'`), each time that they are read.

    Args:
      folder: holds leftImg8bit and gtFine, and for coarse labels gtCoarse.
      half: rows 30 to 900 alone, without most of the sky and the car's bonnet, at 448x1024 (Ladder DenseNet's Tables 1
        and 3). Labels shrink with them, and scores are of what is left.
      patches: what the samples of train, train_coarse and train_extra are: "twelve" overlapping patches of 800x800 of
        each frame, "seven" of 1040x1040, or "": whole frames. Those of other splits are whole frames always, so that
        scores are of these.
    """

    spec = SPEC
    overlapping = (("train", "train_coarse"), ("val", "val_coarse"))
    title = "Cityscapes"
    layout = (
        f"leftImg8bit/SPLIT/CITY/*{IMAGE} and gtFine/SPLIT/CITY/*_gtFine{IDS} (or *_gtFine{POLYGONS}), and for coarse "
        f"labels gtCoarse/SPLIT/CITY/*_gtCoarse{IDS}"
    )
    parts = ("leftImg8bit", "gtFine")

    def __init__(self, folder: str | Path, half: bool = False, patches: str = "") -> None:
        super().__init__(folder)
        if patches not in ("", *PATCHES):
            raise DataError(f"cityscapes has no patches {patches!r}; known: {', '.join(PATCHES)}, and '' for none")
        if half and patches:
            raise DataError(f"cityscapes: patches {patches!r} are of frames at full size; leave out half or patches")
        self.half, self.patches = half, patches

    def samples(self, split: str) -> list[Sample]:
        """Frames, or patches of them. Raises as of `Dataset`; `AbsentSplit` for test, whose labels are not public."""
        if split == "test":
            raise AbsentSplit(
                "cityscapes split 'test': its labels are not public; use val, or write the labels of its frames for "
                "the benchmark's server with `did_tf submit --experiment=... --split=test`"
            )
        frames = super().samples(split)
        if not self.patches or not split.startswith("train"):
            return frames
        rows, columns, side = PATCHES[self.patches]
        return [patch for frame in frames for patch in cut(frame, rows, columns, side, side)]

    def images(self, split: str) -> list[Sample]:
        """Whole frames, those of test too. Raises `DataError` with `half`, of which no benchmark has results."""
        if self.half:
            raise DataError(
                "cityscapes at half size: results for the benchmark are of whole frames; add "
                "--config.dataset.options.half=False"
            )
        return super().samples(split)

    def places(self, split: str) -> list[Path]:
        """The folders of images and labels; of a coarse split, those alone that it doesn't share."""
        images, labels = self._folders(split)
        if split == "test":
            return [images]
        # What belongs to a coarse split alone; the rest comes with others.
        own = {"train_extra": images, "train_coarse": labels, "val_coarse": labels}.get(split, images.parent)
        return [images, labels] if own.is_dir() else [own]

    def listing(self, split: str) -> list[Sample]:
        """The frames of all cities, sorted by city and name."""
        images, labels = self._folders(split)
        samples = []
        for path in sorted(images.glob(f"*/[!.]*{IMAGE}")):
            name = path.name[: -len(IMAGE)]
            stem = labels / path.parent.name / f"{name}_{labels.parent.name}"
            samples.append(Sample(name, path, None if split == "test" else _label_file(stem)))
        return samples

    def size(self, sample: Sample) -> tuple[int, int] | None:
        """As of `Dataset`: what `half` makes of every frame."""
        return HALF[::-1] if self.half else None

    def read(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """(image [H, W, 3] uint8, label [H, W] uint8), at half size with `half`. Raises `DataError`."""
        # That the sizes are equal is checked where a label is drawn.
        return (self.read_image(sample), self.read_label(sample)) if _is_drawn(sample) else super().read(sample)

    def read_label(self, sample: Sample) -> np.ndarray:
        """The label [H, W] uint8, from the file of ids or drawn from polygons. Raises `DataError`."""
        label = _drawn_label(sample) if _is_drawn(sample) else super().read_label(sample)
        # The exact kind has pixel centres where INTER_AREA has them.
        return _shrink(label, sample.label, cv2.INTER_NEAREST_EXACT) if self.half else label

    def instances(self, sample: Sample) -> np.ndarray | None:
        """Instances of the whole frame of a sample, or None where there is no file of them.

        Returns:
          [H, W] int32, 1000 times the id of the class plus the number of the instance; the id alone where the class
          has no instances or the pixel is of a group that was not told apart.

        Raises:
          DataError: the file is damaged, or isn't of one band.
        """
        if _is_drawn(sample):
            return _draw(sample.label, "instances")
        assert sample.label is not None
        path = sample.label.with_name(sample.label.name.replace(IDS, INSTANCES))
        if not path.is_file():
            return None
        try:
            with Image.open(path) as image:
                mode, pixels = image.mode, np.asarray(image)
        except (OSError, SyntaxError, ValueError):
            raise DataError(f"cannot decode {path}: the file is damaged or no image") from None
        if mode not in ("I;16", "I", "L"):
            raise DataError(f"{path} has mode {mode}: expected one channel of instance ids, of 16 bits")
        return pixels.astype(np.int32)

    def read_masked(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
        """As of `FileDataset`, shrunk where that is chosen. Raises `DataError`."""
        image, mask = super().read_masked(sample)
        return (_shrink(image, sample.image, cv2.INTER_AREA) if self.half else image), mask

    def _folders(self, split):
        """(folder of the images, folder of the labels) of a split."""
        published = _without(split, "_coarse")
        kind = "gtCoarse" if split in COARSE else "gtFine"
        return self.folder / "leftImg8bit" / published, self.folder / kind / published


def _label_file(stem):
    """The file of ids where it is there or nothing else is, else that of the polygons."""
    ids, polygons = (stem.with_name(stem.name + ending) for ending in (IDS, POLYGONS))
    return polygons if polygons.is_file() and not ids.is_file() else ids


def _shrink(pixels, path, interpolation):
    """Rows 30 to 900 at half size, as `Cityscapes.half` says."""
    if pixels.shape[:2] != SIZE:
        raise DataError(f"{path} is {pixels.shape[0]}x{pixels.shape[1]}: half takes {SIZE[0]}x{SIZE[1]} only")
    return cv2.resize(pixels[ROWS], HALF, interpolation=interpolation)


def _is_drawn(sample):
    return sample.label.name.endswith(POLYGONS)


def _draw(path, what):
    """ "labels" (ids as in *_labelIds.png) or "instances" (*_instanceIds.png) of a file of polygons: [H, W] int32."""
    try:
        from cityscapesscripts.helpers.annotation import Annotation
        from cityscapesscripts.helpers.labels import name2label
        from cityscapesscripts.preparation.json2instanceImg import createInstanceImage
        from cityscapesscripts.preparation.json2labelImg import createLabelImage
    except ImportError:
        raise DataError(
            f"there is no *{IDS} beside {path}, and only cityscapesScripts can draw it from the polygons: "
            f"{install('cityscapes')}"
        ) from None
    annotation, damaged = Annotation(), (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)
    try:
        annotation.fromJsonText(path.read_text(encoding="utf-8"))
    except damaged as error:
        raise DataError(f"cannot read the polygons in {path}: {type(error).__name__}: {error}") from None
    for item in annotation.objects:
        if item.label not in name2label and _without(item.label, "group") not in name2label:
            raise DataError(f"{path} has a polygon of {item.label!r}, which is no class of Cityscapes")
    try:
        # Four times: the labels, the drawing, and what is made of both.
        check_room(str(path), 4 * annotation.imgWidth * annotation.imgHeight)
        create = {"labels": createLabelImage, "instances": createInstanceImage}[what]
        return np.asarray(create(annotation, "ids")).astype(np.int32)
    except damaged as error:
        raise DataError(f"cannot draw the polygons in {path}: {type(error).__name__}: {error}") from None


def _without(text, ending):
    return text[: -len(ending)] if text.endswith(ending) else text


def _drawn_label(sample):
    """Class ids [H, W] uint8 and `IGNORE` of the sample's part of its polygons."""
    ids, size = _draw(sample.label, "labels"), size_of(sample.image)
    if ids.shape != size:
        raise DataError(
            f"{sample.image} is {size[0]}x{size[1]} but its label {sample.label} is {ids.shape[0]}x{ids.shape[1]} "
            "(height x width): they must be equal"
        )
    classes = np.full(IGNORE + 1, IGNORE, np.uint8)
    classes[list(LABEL_IDS)] = np.arange(len(LABEL_IDS))
    if sample.window is None:
        return classes[ids]
    top, left, height, width = sample.window
    rows, columns = sample.window.inside(*size)
    label = np.full((height, width), IGNORE, np.uint8)
    label[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = classes[ids[rows, columns]]
    return label
