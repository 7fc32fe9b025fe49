"""Small versions of the published data sets, in their own layouts and file formats."""

import collections
import itertools
import json
import os
from pathlib import Path

import cv2
import numpy as np
import scipy.io
import scipy.sparse
from PIL import Image

from data_pipelines.datasets import cityscapes, pascal_voc

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


def make_cityscapes(folder, splits=None, size=(48, 96), coarse=0):
    """Frames of two cities, `splits` per split (default 4 train, 2 val) and one in test, with the files beside them.

    `coarse`: frames in train_extra; where there are any, all but test have coarse labels, without every third block.
    Every block is a polygon, and an instance where its class has them, but every fifth of these is a group.
    """
    rng = np.random.default_rng(0)
    extra = {"train_extra": coarse} if coarse else {}
    for split, count in {**(splits or {"train": 4, "val": 2}), "test": 1, **extra}.items():
        for number in range(count):
            city = f"{split.replace('_', '')}{'ab'[number % 2]}"
            stem = f"{split}/{city}/{city}_{number:06d}_000019"
            classes = _blocks(rng, size, len(cityscapes.CLASSES))
            colours = np.array(cityscapes.PALETTE, np.uint8)[classes]
            write_image(folder / "leftImg8bit" / f"{stem}_leftImg8bit.png", colours)
            objects = _cityscapes_objects(classes)
            if split != "train_extra":
                # Those of the test split are there too, but say nothing.
                _write_cityscapes_labels(folder / "gtFine" / stem, objects if split != "test" else objects[-1:], size)
            if coarse and split != "test":
                _write_cityscapes_labels(folder / "gtCoarse" / stem, _cityscapes_objects(classes, coarse=True), size)


def _cityscapes_objects(classes, coarse=False):
    """(name, id of class, id of instance, colour, box (top, left, bottom, right)) of every block, in drawing order."""
    height, width = classes.shape
    objects, met, instances = [], 0, collections.Counter()
    corners = itertools.product(range(0, height, BLOCK), range(0, width, BLOCK))
    for top, left in (corner for place, corner in enumerate(corners) if not (coarse and place % 3 == 2)):
        label_id, name, colour = cityscapes.TABLE[classes[top, left]]
        number = label_id
        if label_id >= 24:  # from person on, classes have instances
            met += 1
            if met % 5 == 0:
                name += "group"
            else:
                number = 1000 * label_id + instances[label_id]
                instances[label_id] += 1
        objects.append(
            (name, label_id, number, colour, (top, left, min(top + BLOCK, height), min(left + BLOCK, width)))
        )
    return [*objects, ("out of roi", 3, 3, (0, 0, 0), (0, 0, height // 8, width))]


def _write_cityscapes_labels(path, objects, size):
    """The four files of a frame; `path` is that of its image without what follows the frame's number."""
    ids, instances, colours = np.zeros(size, np.uint8), np.zeros(size, np.uint16), np.zeros((*size, 4), np.uint8)
    colours[..., 3] = 255
    polygons = []
    for name, label_id, instance, colour, (top, left, bottom, right) in objects:
        box = slice(top, bottom), slice(left, right)
        ids[box], instances[box], colours[box] = label_id, instance, (*colour, 255)
        corners = [[left, top], [right - 1, top], [right - 1, bottom - 1], [left, bottom - 1]]
        polygons.append({"label": name, "polygon": corners})
    stem = f"{path}_{path.parents[2].name}"
    write_image(Path(f"{stem}_labelIds.png"), ids)
    write_image(Path(f"{stem}_instanceIds.png"), instances)
    Image.fromarray(colours).save(f"{stem}_color.png")
    text = json.dumps({"imgHeight": size[0], "imgWidth": size[1], "objects": polygons}, indent=4)
    Path(f"{stem}_polygons.json").write_text(text)


def make_pascal_voc(folder, splits=None, size=(48, 64), augmented=True):
    """Images, maps and lists, `splits` per split (default 4 train, 2 val, 2 test); trainaug has 2 more than train."""
    rng, lists = np.random.default_rng(0), {}
    counts = {"train": 4, "val": 2, "test": 2, **(splits or {}), "aug": 2 if augmented else 0}
    for split, count in counts.items():
        lists[split] = [f"20{'07' if split == 'train' else '08'}_{split}{number:02d}" for number in range(count)]
        for name in lists[split]:
            ids = _write_voc_image(folder, rng, name, size)
            ids[:, ::BLOCK] = 255
            if split in ("train", "val"):
                write_palette_png(folder / "SegmentationClass" / f"{name}.png", ids)
            if split in ("train", "aug") and augmented:
                write_image(folder / "SegmentationClassAug" / f"{name}.png", ids)
    lists["trainval"] = sorted(lists["train"] + lists["val"])
    lists["trainaug"] = lists["train"] + lists.pop("aug")
    for split, names in lists.items():
        if augmented or split != "trainaug":
            write_list(folder / "ImageSets" / "Segmentation" / f"{split}.txt", names)


def make_sbd(folder, voc, size=(48, 64)):
    """SBD's archive for PASCAL VOC in `voc`: of its train and val one image each, and three others, written there."""
    rng = np.random.default_rng(1)
    own = ["2007_train00", "2008_val00"]
    names = [*own, *(f"2009_sbd{number:02d}" for number in range(3))]
    for name in names:
        there = name in own
        ids = _blocks(rng, size, len(pascal_voc.CLASSES)) if there else _write_voc_image(voc, rng, name, size)
        write_sbd(folder / "dataset" / "cls" / f"{name}.mat", ids)
    for split, part in {"train": names[::2], "val": names[1::2]}.items():
        write_list(folder / "dataset" / f"{split}.txt", part)


def write_sbd(path, ids):
    """A map [H, W] as SBD has it: a MATLAB file of version 5."""
    present = np.unique(ids[ids > 0])
    boundaries = np.empty((20, 1), object)
    for index in range(20):
        boundaries[index, 0] = scipy.sparse.csc_matrix(ids == index + 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    struct = {"Boundaries": boundaries, "Segmentation": ids, "CategoriesPresent": present.reshape(-1, 1)}
    scipy.io.savemat(path, {"GTcls": struct}, do_compression=True)


def write_list(path, names):
    """A name per line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in names))


def _write_voc_image(folder, rng, name, size):
    """Squares of VOC's classes in their colours; returns the ids [H, W]."""
    ids = _blocks(rng, size, len(pascal_voc.CLASSES))
    write_image(folder / "JPEGImages" / f"{name}.jpg", np.array(pascal_voc.SPEC.palette, np.uint8)[ids])
    return ids


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


def rewrite(path, position=None):
    """Changes a bit of a file (default: in the middle), and puts its time back: only its bytes tell."""
    before, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2 if position is None else position] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
