"""A user's own data in small: multi-band TIFFs, or photographs with depth. One class shows in the last band alone."""

import json

import cv2
import numpy as np
import pytest
import rasterio

from data_pipelines import DataError, load

CLASSES = ("ground", "water", "metal")
HIDDEN = 2  # the class that the last band alone tells
LEVELS = {"ground": (80, 110, 70, 120), "water": (30, 50, 120, 20), "metal": (80, 110, 70, 120)}
"""Red, green, blue and infrared, 8 bit; the last band is dark but for metal."""
BLOCK = 16  # pixels of one class, a side


def write_tiff(path, pixels, **options):
    """[H, W, bands] of any dtype."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, bands = pixels.shape
    kind = {"driver": "GTiff", "height": height, "width": width, "count": bands, "dtype": pixels.dtype.name, **options}
    with rasterio.open(path, "w", **kind) as file:
        file.write(np.moveaxis(pixels, -1, 0))


def write_png(path, pixels):
    """[H, W, 3] RGB or [H, W], 8 or 16 bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tofile(path)


def scene(seed, size=(64, 80)):
    """(five bands [H, W, 5] float64 in 8-bit values: red, green, blue, infrared, thermal; label [H, W] uint8)."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, len(CLASSES), [-(-side // BLOCK) for side in size]).astype(np.uint8)
    label = small.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)[: size[0], : size[1]]
    levels = np.array([LEVELS[name] for name in CLASSES], float)[label]
    last = np.where(label == HIDDEN, 150.0, 60.0)[..., None]
    return np.clip(np.concatenate([levels, last], -1) + rng.normal(0, 8, (*size, 5)), 0, 255), label


def make_five_bands(folder, count=8, size=(64, 80), **keys):
    """16-bit TIFFs of five bands in images/, labels/ and dataset.yaml; the last quarter is "val"."""
    for number in range(count):
        pixels, label = scene(number, size)
        write_tiff(folder / "images" / f"scene{number:02d}.tif", (pixels * 40).astype(np.uint16))
        write_png(folder / "labels" / f"scene{number:02d}.png", label)
    bands = ["red", "green", "blue", "infrared", "thermal"]
    return describe(folder, count, **{"bands": bands, "dtype": "uint16", **keys})


def make_rgbd(folder, count=8, size=(64, 80), **keys):
    """Photographs of 8 bits in rgb/, 16 bits of depth in depth/, colours in labels/, and dataset.yaml."""
    palette = {"ground": [10, 20, 30], "water": [0, 0, 255], "metal": [200, 200, 200]}
    for number in range(count):
        pixels, label = scene(number, size)
        write_png(folder / "rgb" / f"scene{number:02d}.png", pixels[..., :3].astype(np.uint8))
        write_png(folder / "depth" / f"scene{number:02d}.png", (pixels[..., 4] * 40).astype(np.uint16))
        write_png(folder / "labels" / f"scene{number:02d}.png", np.array(list(palette.values()), np.uint8)[label])
    extras = [{"folder": "depth", "bands": ["depth"], "dtype": "uint16"}]
    keys = {"images": "rgb", "extras": extras, "labels_hold": "colours", "palette": palette, **keys}
    return describe(folder, count, **keys)


def describe(folder, count, **keys):
    """Writes dataset.yaml with the splits of `count` scenes. Returns the folder."""
    names = [f"scene{number:02d}" for number in range(count)]
    cut = count - max(count // 4, 1)
    content = {"images": "images", "labels": "labels", "classes": list(CLASSES)}
    content.update({"splits": {"train": names[:cut], "val": names[cut:]}, **keys})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dataset.yaml").write_text(json.dumps(content))
    return folder


def edit(folder, **changes):
    """Changes keys of the dataset.yaml; None deletes one."""
    path = folder / "dataset.yaml"
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def complaint(folder):
    """The one line with which `load` refuses."""
    with pytest.raises(DataError) as error:
        load("folders", folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def names_of(dataset, split):
    return [sample.name for sample in dataset.samples(split)]
