"""Cityscapes, fine annotations: 2975/500/1525 frames of 1024x2048, 19 classes (REFERENCE.md section 7)."""

import cv2

from data_pipelines.files import FileDataset
from data_pipelines.spec import AbsentSplit, DataError, DatasetSpec, Sample

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
    splits={"train": 2975, "val": 500, "test": 1525},
    # Of the training frames, as commonly published: (0.28689554, 0.32513303, 0.28389177) and (0.18696375, 0.19017339,
    # 0.18720214) times 255 (among others in Lightning Bolts' Cityscapes transforms). Not measured here.
    mean=(73.16, 82.91, 72.39),
    std=(47.68, 48.49, 47.74),
    void_ids=tuple(sorted(set(range(34)) - set(LABEL_IDS))),
    label_ids=LABEL_IDS,
)
SIZE = (1024, 2048)
ROWS = slice(30, 900)
HALF = (1024, 448)  # width, height
IMAGE, LABEL = "_leftImg8bit.png", "_gtFine_labelIds.png"


class Cityscapes(FileDataset):
    """Cityscapes under `folder`, as its archives unpack.

    Args:
      folder: holds leftImg8bit and gtFine.
      half: rows 30 to 900 alone, without most of the sky and the car's bonnet, at 448x1024 (Ladder DenseNet's Tables 1
        and 3). Labels shrink with them, and scores are of what is left.
    """

    spec = SPEC
    title = "Cityscapes"
    layout = f"leftImg8bit/SPLIT/CITY/*{IMAGE} and gtFine/SPLIT/CITY/*{LABEL}"
    parts = ("leftImg8bit", "gtFine")

    def __init__(self, folder, half=False):
        super().__init__(folder)
        self.half = half

    def places(self, split):
        if split == "test":
            raise AbsentSplit(
                "cityscapes split 'test': its labels are not public; use val, or run `make predict EXP=... "
                f"INPUT={self.folder / 'leftImg8bit' / 'test'}` and send NAME_label.png to the benchmark's server, the "
                "class ids turned to label ids (TABLE in data_pipelines/cityscapes.py)"
            )
        return [self.folder / part / split for part in self.parts]

    def listing(self, split):
        images, labels = self.places(split)
        samples = []
        for path in sorted(images.glob(f"*/*{IMAGE}")):
            name = path.name[: -len(IMAGE)]
            samples.append(Sample(name, path, labels / path.parent.name / f"{name}{LABEL}"))
        return samples

    def read(self, sample):
        image, label = super().read(sample)
        if not self.half:
            return image, label
        if label.shape != SIZE:
            raise DataError(f"{sample.image} is {label.shape[0]}x{label.shape[1]}: half takes {SIZE[0]}x{SIZE[1]} only")
        # The exact kind has pixel centres where INTER_AREA has them.
        kinds = (image, cv2.INTER_AREA), (label, cv2.INTER_NEAREST_EXACT)
        return tuple(cv2.resize(pixels[ROWS], HALF, interpolation=kind) for pixels, kind in kinds)
