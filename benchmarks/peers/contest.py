"""What the programs that train without did_tf, for `benchmarks.comparison`, have in common: time and files.

They are told, as JSON:
  data: folder of `neutral.export`.
  run: folder of what they leave: their weights, trained.json, and labels/NAME.png of the images of val.
  began, until: of the training, in seconds as of time.time().
  cores: how many threads.
  precision: "float32", or "bfloat16" where the processor multiplies in it.
  seed: of all that is drawn.
and what else a contestant has for itself.
"""

import json
import math
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

IGNORE = 255


def main(**parts):
    """Does the part that the command line names, `python -m benchmarks.peers.PROGRAM PART JSON`."""
    part, told = sys.argv[1:]
    parts[part](json.loads(told))


def shares(began, until, clock=time.time):
    """Before each step yields how much of the time from `began` to `until` is spent, 0 to 1, as long as one more fits.

    A step is taken to need what the last one did; the first has none.
    """
    before, step = clock(), 0.0
    while before + step < until:
        yield (before - began) / (until - began)
        now = clock()
        before, step = now, now - before


def cosine(share, warmup=0.05):
    """Part of the highest rate when a `share` of the time is spent: it rises in the first `warmup`, then falls to 0."""
    if share < warmup:
        return share / warmup
    return (1 + math.cos(math.pi * (share - warmup) / (1 - warmup))) / 2


def poly(share):
    """Likewise as nnU-Net has it: it falls as the power 0.9."""
    return (1 - share) ** 0.9


def facts(data):
    """Of the data in that folder: {"classes": names, "bands", "mean", "std"}, see `neutral.export`."""
    return json.loads(Path(data, "facts.json").read_text())


def files(data, split, part):
    """Paths of the "images" or "labels" of a split, in order."""
    return sorted(Path(data, split, part).glob("*.png"))


def read(path):
    """[H, W] or [H, W, 3] uint8."""
    with Image.open(path) as picture:
        return np.array(picture)


def write(path, pixels):
    """[H, W] or [H, W, 3] uint8 as PNG, creating the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, compress_level=1)


def write_labels(told, label):
    """Classes of the images of val, [H, W] uint8, as `label(path)` gives them."""
    for path in files(told["data"], "val", "images"):
        write(Path(told["run"], "labels", path.name), label(path))


def write_trained(told, steps, batch, crop, network, versions):
    """What a training was: `network` is PyTorch's, `crop` (height, width), `versions` {package: version}."""
    content = {
        "steps": steps,
        "crops": steps * batch,
        "crop": [int(side) for side in crop],
        "parameters": sum(value.numel() for value in network.parameters()),
        "versions": versions,
    }
    Path(told["run"], "trained.json").write_text(json.dumps(content))
