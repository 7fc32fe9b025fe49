"""MS-COCO with the classes of PASCAL VOC: what networks for VOC are pretrained on (sunet.md section 7.3)."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import re
import threading
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data_pipelines.datasets import pascal_voc
from data_pipelines.datasets.files import FileDataset
from data_pipelines.inside import is_inside
from data_pipelines.memory import check_room
from data_pipelines.reading.shapes import decode_runs, fill_rings
from data_pipelines.spec import IGNORE, AbsentSplit, DataError, Sample

# COCO's names of VOC's classes, where they differ. The other 60 of its 80 classes are background.
RENAMED = {
    "airplane": "aeroplane",
    "couch": "sofa",
    "motorcycle": "motorbike",
    "tv": "tv monitor",
}
LEAST = 1000
"""Images with fewer pixels of VOC's classes are left out."""
PUBLISHED = re.compile(r"(?:COCO_(?:train|val)2014_)?(\d{12})\.jpg")  # of 2014 and of 2017, with the image's number

SPEC = dataclasses.replace(
    pascal_voc.SPEC,
    name="coco_for_voc",
    # Of COCO's, the images that are published, which is more than have VOC's classes.
    splits={"train2014": 82783, "val2014": 40504, "train2017": 118287, "val2017": 5000, **pascal_voc.SPEC.splits},
)


class Region(NamedTuple):
    """One annotation.

    Attributes:
      number: its id in the file.
      value: class id, or `IGNORE` for a crowd.
      area: pixels, as the file says.
      polygons: corners, a list of float32 [x, y, x, y, ...] in pixels; (0, 0) is the image's upper left corner.
      runs: or run lengths down its columns, not decoded yet: {"size": [height, width], "counts": list or string}.
    """

    number: int
    value: int
    area: float
    polygons: tuple[np.ndarray, ...]
    runs: dict | None


class Picture(NamedTuple):
    """An image's entry: its size, and each `Region` of VOC's classes, later ones over earlier ones."""

    height: int
    width: int
    regions: tuple[Region, ...]


class CocoForVOC(FileDataset):
    """MS-COCO of 2014 or 2017 under `folder`, as its archives unpack; its 80 classes become VOC's 21.

    - The twenty classes that are VOC's too keep their name; all others are background, as in sunet.md section 7.3.
      They are not drawn, so that of a cup on a dining table the table is left.
    - Where objects overlap, the smaller one is seen: COCO doesn't say which is in front.
    - Crowds (iscrowd) are rough outlines of many objects at once: what of them no object covers is ignored. Crowds of
      other classes are background.
    - Images with fewer than 1000 pixels of VOC's classes are left out: by the areas that the file gives for its
      objects, and where these leave it open, because several small ones may overlap, by what is drawn.
    - A polygon has the pixels whose centres are inside. COCO's own tools round outlines to fifths of a pixel before, so
      that a few pixels of borders differ.

    A split's file is read when it is first needed (half a minute and 3 GB of memory for train2017), and what of it is
    VOC's is kept. 2014 and 2017 hold the same 123,287 images, divided otherwise; by their numbers, splits that share
    some are told and not trained on together, but for prepared records, which don't know them.

    Args:
      folder: holds annotations/instances_SPLIT.json, and the images in SPLIT.
      voc: folder of PASCAL VOC. Its splits are then splits of this data set too: to validate on val, or to train on
        "train2017+trainaug".
      sbd: as for `PascalVOC`.
    """

    spec = SPEC
    # val2017 is of val2014, whose others are in train2017.
    overlapping = (
        ("train2014", "train2017"),
        ("val2014", "train2017"),
        ("val2014", "val2017"),
        *pascal_voc.PascalVOC.overlapping,
    )
    counted = False  # images that show little of VOC are left out
    title = "MS-COCO"
    layout = "annotations/instances_SPLIT.json and SPLIT/*.jpg, for train2017 and val2017 or those of 2014"
    parts = ("annotations",)

    def __init__(self, folder: str | Path, voc: str = "", sbd: str = "") -> None:
        super().__init__(folder)
        self._voc = pascal_voc.PascalVOC(voc, sbd) if voc else None
        self._pictures: dict[Path, dict[str, Picture]] = {}
        self._lock = threading.Lock()

    def samples(self, split: str) -> list[Sample]:
        """Images that show enough of VOC's classes; or a split of VOC. `AbsentSplit` where that has no folder."""
        return self._of_voc(split).samples(split) if split in pascal_voc.SPEC.splits else super().samples(split)

    def images(self, split: str) -> list[Sample]:
        """The same images: COCO's benchmark has no task of VOC's classes. Of VOC, also those of test."""
        return self._of_voc(split).images(split) if split in pascal_voc.SPEC.splits else super().images(split)

    def read_label(self, sample: Sample) -> np.ndarray:
        """The label [H, W] uint8: drawn from the annotations, or VOC's own. Raises `DataError`."""
        assert sample.image is not None and sample.label is not None
        if sample.label.suffix != ".json":
            assert self._voc is not None  # it has the sample from there
            return self._voc.read_label(sample)
        return self._draw(sample.label, sample.image.name)

    def places(self, split: str) -> list[Path]:
        """The file of annotations and the folder of images."""
        return [self._annotations(split), self.folder / split]

    def listing(self, split: str) -> list[Sample]:
        """Images in the order of their names, less those that show little of VOC's classes."""
        path = self._annotations(split)
        files = [file for file, picture in self._read(path).items() if self._suffices(path, file, picture)]
        return [self._sample(split, file, path) for file in files]

    def _sample(self, split, file, annotations):
        number = PUBLISHED.fullmatch(file)
        original = f"COCO {number[1]}" if number else ""
        return Sample(os.path.splitext(file)[0], self.folder / split / file, annotations, original=original)

    def _of_voc(self, split):
        if self._voc is None:
            raise AbsentSplit(
                f"coco_for_voc split {split!r} is PASCAL VOC's: say where that is, "
                "--config.dataset.options.voc=data/pascal_voc"
            )
        return self._voc

    def _annotations(self, split):
        return self.folder / "annotations" / f"instances_{split}.json"

    def _read(self, path):
        with self._lock:  # images are read in threads
            if path not in self._pictures:
                self._pictures[path] = read_annotations(path)
            return self._pictures[path]

    def _suffices(self, path, file, picture):
        areas = [region.area for region in picture.regions if region.value != IGNORE]
        if sum(areas) < LEAST or max(areas) >= LEAST:
            return sum(areas) >= LEAST
        label = self._draw(path, file)
        return np.count_nonzero((label != 0) & (label != IGNORE)) >= LEAST

    def _draw(self, path, file):
        picture = self._read(path)[file]
        check_room(f"{file} of {path}", picture.height * picture.width)
        label = np.zeros((picture.height, picture.width), np.uint8)
        for region in picture.regions:
            try:
                draw(region, label)
            except (OverflowError, TypeError, ValueError) as error:
                raise DataError(f"{path}, annotation {region.number} of {file}: {error}") from None
        return label


def read_annotations(path: Path) -> dict[str, Picture]:
    """Of COCO's file of objects, what is of VOC's classes.

    Returns:
      A dict from an image's file name to its `Picture`, in the order of the names.

    Raises:
      DataError: unreadable or no such file, or an entry lacks something.
    """
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"cannot read {path}: it is damaged or no JSON ({error})") from None
    try:
        classes = _class_ids(content["categories"])
        regions: dict[int, list[Region]] = {entry["id"]: [] for entry in content["images"]}
        for entry in content["annotations"]:
            if entry["category_id"] in classes:
                regions[entry["image_id"]].append(_region(entry, classes[entry["category_id"]]))
        pictures = {
            _file(entry): Picture(**_size(entry), regions=_ordered(regions[entry["id"]]))
            for entry in sorted(content["images"], key=lambda entry: entry["file_name"])
        }
    except KeyError as error:
        raise DataError(f"{path} is no file of COCO's objects, or is incomplete: something lacks {error}") from None
    except (AttributeError, OverflowError, TypeError, ValueError) as error:
        raise DataError(f"{path} is no file of COCO's objects: {error}") from None
    if set(classes.values()) != set(range(1, SPEC.num_classes)):
        missing = sorted(set(range(1, SPEC.num_classes)) - set(classes.values()))
        raise DataError(f"{path} has no category for {SPEC.classes[missing[0]]}: expected COCO's 80 names")
    return pictures


def draw(region: Region, label: np.ndarray) -> None:
    """Fills a `Region` into `label` [H, W]. Raises ValueError where it can't be of such an image."""
    if region.runs is not None:
        label[decode_runs(region.runs, label.shape)] = region.value
        return
    for corners in region.polygons:
        if len(corners) < 6 or len(corners) % 2 or not np.isfinite(corners).all():
            raise ValueError(f"a polygon of {len(corners)} coordinates is none")
        fill_rings([corners.reshape(-1, 2)], label, region.value)


def _file(entry):
    """The name of an image's file. Raises ValueError where that is not in the folder of the split."""
    if not is_inside(entry["file_name"]):
        raise ValueError(f"the file name {entry['file_name']!r:.100} is none")
    return entry["file_name"]


def _size(entry):
    """{"height", "width"} of an image. Raises ValueError where it can't be of that size."""
    size = entry["height"], entry["width"]
    if not all(isinstance(side, int) and 0 < side < 2**31 for side in size):
        raise ValueError(f"an image of {size!r:.100} (height, width)")
    return dict(zip(("height", "width"), size))


def _class_ids(categories):
    """{category id: VOC's class id}, of those that are VOC's."""
    names = {entry["id"]: RENAMED.get(entry["name"], entry["name"]) for entry in categories}
    return {number: SPEC.classes.index(name) for number, name in names.items() if name in SPEC.classes}


def _region(entry, class_id):
    outline, value = entry["segmentation"], IGNORE if entry["iscrowd"] else class_id
    is_runs = isinstance(outline, dict)
    polygons = () if is_runs else tuple(np.array(corners, np.float32) for corners in outline)
    return Region(entry["id"], value, float(entry["area"]), polygons, outline if is_runs else None)


def _ordered(regions):
    """Crowds first, then the objects from the largest to the smallest."""
    crowds, objects = ([r for r in regions if (r.value == IGNORE) is crowd] for crowd in (True, False))
    return tuple(itertools.chain(crowds, sorted(objects, key=lambda region: -region.area)))
