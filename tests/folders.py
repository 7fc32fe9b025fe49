"""Small versions of the published data sets, in their own layouts and file formats."""

import cv2
import numpy as np
from PIL import Image

from data_pipelines import cityscapes, pascal_voc

BLOCK = 8  # pixels of one class, a side


def write_image(path, pixels):
    """RGB [H, W, 3] or one band [H, W], uint8, in the format that the file's name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = pixels[..., ::-1] if pixels.ndim == 3 else pixels
    cv2.imencode(path.suffix.lower(), pixels)[1].tofile(path)


def write_palette_png(path, ids, bits=8):
    """Indices [H, W] with VOC's colours."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(ids)
    picture.putpalette(np.array([pascal_voc.colour(index) for index in range(2**bits)], np.uint8).tobytes())
    picture.save(path, bits=bits)


def make_cityscapes(folder, splits=None, size=(48, 96)):
    """Frames of two cities, `splits` per split (default 4 train, 2 val) and one in test, with the files beside them."""
    rng = np.random.default_rng(0)
    for split, count in {**(splits or {"train": 4, "val": 2}), "test": 1}.items():
        for number in range(count):
            city = f"{split}{'ab'[number % 2]}"
            stem = f"{city}/{city}_{number:06d}_000019"
            classes = _blocks(rng, size, len(cityscapes.CLASSES))
            ids = np.array(cityscapes.LABEL_IDS, np.uint8)[classes]
            ids[: size[0] // 8] = 3  # out of the region of interest
            colours = np.array(cityscapes.PALETTE, np.uint8)[classes]
            write_image(folder / "leftImg8bit" / split / f"{stem}_leftImg8bit.png", colours)
            write_image(folder / "gtFine" / split / f"{stem}_gtFine_color.png", colours)
            write_image(folder / "gtFine" / split / f"{stem}_gtFine_instanceIds.png", ids.astype(np.uint16) * 1000)
            # Those of the test split are there too, but say nothing.
            write_image(folder / "gtFine" / split / f"{stem}_gtFine_labelIds.png", ids * (split != "test"))


def make_pascal_voc(folder, splits=None, size=(48, 64), augmented=True):
    """Images, maps and lists, `splits` per split (default 4 train, 2 val); trainval has both, trainaug 2 more."""
    rng, lists = np.random.default_rng(0), {}
    for split, count in {**(splits or {"train": 4, "val": 2}), "aug": 2 if augmented else 0}.items():
        lists[split] = [f"20{'07' if split == 'train' else '08'}_{split}{number:02d}" for number in range(count)]
        for name in lists[split]:
            ids = _blocks(rng, size, len(pascal_voc.CLASSES))
            write_image(folder / "JPEGImages" / f"{name}.jpg", np.array(pascal_voc.SPEC.palette, np.uint8)[ids])
            ids[:, ::BLOCK] = 255
            if split != "aug":
                write_palette_png(folder / "SegmentationClass" / f"{name}.png", ids)
            if split != "val" and augmented:
                write_image(folder / "SegmentationClassAug" / f"{name}.png", ids)
    lists["trainval"] = sorted(lists["train"] + lists["val"])
    lists["trainaug"] = lists["train"] + lists.pop("aug")
    for split, names in lists.items():
        if augmented or split != "trainaug":
            path = folder / "ImageSets" / "Segmentation" / f"{split}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{name}\n" for name in names))


def make_imagenet(folder, classes=3, splits=None, size=(40, 56)):
    """JPEGs in a folder per class, `splits` per class and split (default 4 train, 2 val); a class's images are alike.

    Each class is a colour under noise, and sizes differ from image to image.
    """
    rng = np.random.default_rng(0)
    colours = rng.integers(40, 216, (classes, 3))
    for split, count in (splits or {"train": 4, "val": 2}).items():
        for number, colour in enumerate(colours):
            for image in range(count):
                shape = (size[0] + int(rng.integers(0, 9)), size[1] + int(rng.integers(0, 9)), 3)
                pixels = np.clip(colour + rng.normal(0, 25, shape), 0, 255).astype(np.uint8)
                write_image(folder / split / f"n{number:08d}" / f"n{number:08d}_{split}{image}.JPEG", pixels)


def _blocks(rng, size, classes):
    """Label map [H, W] uint8 of squares of random classes."""
    small = rng.integers(0, classes, [-(-side // BLOCK) for side in size]).astype(np.uint8)
    return small.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[: size[0], : size[1]]
