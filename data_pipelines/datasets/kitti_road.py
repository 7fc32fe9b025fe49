"""KITTI road: 289 and 290 frames of about 375x1242 in three kinds of scene, road or not (papers.md section 7).

The benchmark's second task, the ego lane of the "um" frames (um_lane), is left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from data_pipelines.datasets.files import FileDataset
from data_pipelines.reading import images, patches
from data_pipelines.spec import AbsentSplit, DatasetSpec, Sample

# Urban marked (two lanes), urban multiple marked lanes, urban unmarked: how the names of the frames begin.
CATEGORIES = ("um", "umm", "uu")

COLOURS = ((255, 0, 0), (255, 0, 255))

SPEC = DatasetSpec(
    name="kitti_road",
    classes=("not road", "road"),
    palette=COLOURS,
    splits={"train": 232, "val": 57, "trainval": 289, "test": 290},
    # ImageNet's, as of the encoder that the paper starts from.
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    # The benchmark takes the red channel for what is labelled at all and the blue one for road; there is no more.
    label_colours=COLOURS,
    void_colours=((0, 0, 0),),
)
EVERY = 5


class KittiRoad(FileDataset):
    """KITTI road under `folder`, which is data_road of its archive.

    There is no official validation set: "val" is every fifth frame of each category (numbers 4, 9, 14, ...), "train"
    the others, "trainval" all. Frames that follow each other may show the same street.

    Args:
      folder: holds training/image_2, training/gt_image_2 and, for scores and submissions, training/calib,
        testing/image_2 and testing/calib.
      patch: 0, or size in pixels of the windows into which the frames of "train" and "trainval" are cut. "val" and
        `images` are whole all the same.
      stride: distance of the windows in pixels (`patches.strided_starts`); the paper of DUC has 320 every 100.
    """

    spec = SPEC
    overlapping = (("train", "trainval"), ("val", "trainval"))
    title = "KITTI road"
    layout = "training/image_2/{um,umm,uu}_NNNNNN.png, training/gt_image_2/{um,umm,uu}_road_NNNNNN.png, testing/image_2"
    parts = ("training/image_2", "training/gt_image_2")

    def __init__(self, folder: str | Path, patch: int = 0, stride: int = 100) -> None:
        super().__init__(folder)
        self.patch, self.stride = patch, stride

    def samples(self, split: str) -> list[Sample]:
        """Frames, or windows of them. Raises as of `Dataset`; `AbsentSplit` for test, whose labels are not public."""
        if split == "test":
            raise AbsentSplit(
                "kitti_road split 'test': its labels are not public; use val, or run "
                "`did_tf submit --experiment=...` and upload "
                "what it writes"
            )
        frames = super().samples(split)
        if not self.patch or split == "val":
            return frames
        return [piece for frame in frames for piece in self._cut(frame)]

    def images(self, split: str) -> list[Sample]:
        """Whole frames, those of test too."""
        return super().samples(split)

    def places(self, split: str) -> list[Path]:
        """Folders of images and labels, which train, val and trainval share; test has images alone."""
        return [self.folder / "testing" / "image_2"] if split == "test" else [self.folder / part for part in self.parts]

    def listing(self, split: str) -> list[Sample]:
        """Frames in the order of their names."""
        folder, *labels = self.places(split)
        frames = []
        for path in sorted(folder.glob("*.png")):
            name = re.fullmatch(r"(um|umm|uu)_(\d{6})", path.stem)
            if name and (split in ("test", "trainval") or (int(name[2]) % EVERY == EVERY - 1) == (split == "val")):
                label = labels[0] / f"{name[1]}_road_{name[2]}.png" if labels else None
                frames.append(Sample(path.stem, path, label))
        return frames

    def _cut(self, frame):
        rows, columns = (patches.strided_starts(side, self.patch, self.stride) for side in images.size_of(frame.image))
        return patches.cut(frame, rows, columns, self.patch, self.patch)


def category(sample: Sample) -> str:
    """Of `CATEGORIES`, that of a frame, by its file's name."""
    assert sample.image is not None
    return sample.image.stem.split("_")[0]
