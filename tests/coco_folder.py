"""A small MS-COCO, in its own layout and file format."""

import json

import numpy as np
from folders import write_image

GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # numbers up to 90 that are no category's
NAMES = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag,
tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard,
tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote, keyboard,
cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear, hair drier,
toothbrush
"""
CATEGORIES = dict(zip(sorted(set(range(1, 91)) - GAPS), (name.strip() for name in NAMES.split(","))))


class CocoFolder:
    """Writes images and annotations/instances_SPLIT.json of one split under `folder`."""

    def __init__(self, folder, split="train2017"):
        self.folder, self.split = folder, split
        self.images, self.annotations = [], []
        self._numbers = {name: number for number, name in CATEGORIES.items()}

    def image(self, size=(48, 64), colour=(90, 120, 60)):
        """Adds an image of (height, width); returns its number."""
        number = len(self.images) + 1
        file = f"{number:012d}.jpg"
        if "2014" in self.split:
            file = f"COCO_{self.split}_{file}"
        write_image(self.folder / self.split / file, np.full((*size, 3), colour, np.uint8))
        self.images.append({"id": number, "file_name": file, "height": size[0], "width": size[1], "license": 1})
        return number

    def add(self, image, name, segmentation, area, iscrowd=0):
        """Adds an object: polygons [[x, y, ...], ...], or {"size", "counts"}."""
        self.annotations.append(
            {
                "id": 1000 + len(self.annotations),
                "image_id": image,
                "category_id": self._numbers[name],
                "segmentation": segmentation,
                "area": area,
                "iscrowd": iscrowd,
                "bbox": [0, 0, 1, 1],
            }
        )

    def box(self, image, name, left, top, width, height, iscrowd=0):
        """Adds an upright rectangle."""
        right, bottom = left + width, top + height
        corners = [left, top, right, top, right, bottom, left, bottom]
        self.add(image, name, [corners], width * height, iscrowd)

    def write(self, **changes):
        """Writes the file of annotations; `changes` replace parts of it. Returns its path."""
        categories = [{"id": number, "name": name, "supercategory": "x"} for number, name in CATEGORIES.items()]
        content = {"info": {}, "images": self.images, "annotations": self.annotations, "categories": categories}
        path = self.folder / "annotations" / f"instances_{self.split}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**content, **changes}))
        return path


def make_coco(folder, splits=None):
    """`splits` images per split (default 4 in train2017, 2 in val2017): a dog or a couch, and a pizza."""
    for split, count in (splits or {"train2017": 4, "val2017": 2}).items():
        coco = CocoFolder(folder, split)
        for number in range(count):
            image = coco.image()
            coco.box(image, ("dog", "couch")[number % 2], 2, 2, 40, 30)
            coco.box(image, "pizza", 45, 35, 10, 10)
        coco.write()
