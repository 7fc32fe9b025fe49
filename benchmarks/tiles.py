"""Memory and speed with tiles of 5000x5000 pixels: `python -m benchmarks.tiles`.

A few tiles are drawn into a temporary folder. Each figure is the peak of a process of its own, over that of one which
does the same without reading anything (for evaluation: with an image no larger than a patch). 75 MB are a tile.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.arguments import parser_of
from data_pipelines import memory

TILES, SIZE, PATCH, CROP, BATCH, BATCHES = 4, 5000, 500, 473, 10, 30
MEGABYTE = 1e6
TILE = SIZE * SIZE * 3 / MEGABYTE


def main():
    """Prints the figures."""
    parser_of(__name__).parse_args()
    print(f"\ntiles of {SIZE}x{SIZE} ({TILE:.0f} MB), patches of {PATCH}x{PATCH}: peak memory over none being read")
    with tempfile.TemporaryDirectory() as folder:
        for compress in ("none", "lzw"):
            place = Path(folder, compress)
            _child("draw", place, compress)
            for kind in ("cut", "train"):
                base, limit = _child(kind, place, "blank")
                peak, rate = _child(kind, place, "read")
                rates = f"{rate:.1f} patches/s" + (f" ({limit:.1f} without reading)" if kind == "train" else "")
                print(f"  {kind:5} compression {compress:4}  {_told(peak - base)}  {rates}", flush=True)
        base, _ = _child("evaluate", place, "patch")
        peak, rate = _child("evaluate", place, "tile")
        print(f"  evaluate a whole tile   {_told(peak - base)}  {1 / rate:.0f} s per tile, tiny DID", flush=True)


def _told(megabytes):
    return f"{megabytes:5.0f} MB = {megabytes / TILE:4.1f} tiles"


def _child(*arguments):
    """(peak in MB, samples per second) of a program of `PROGRAMS` in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.tiles", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr}")
    return tuple(map(float, done.stdout.split()[-2:]))


# Each imports and builds what it needs, and gives a function of what is timed, which returns how many samples that was.


def draw(folder, compress):
    """Blocks under noise, so that there is something to compress; tiles."""
    return lambda: _drawn(folder, compress)


def _drawn(folder, compress):
    import numpy as np
    import rasterio

    rng = np.random.default_rng(0)
    options = {"driver": "GTiff", "dtype": "uint8", "height": SIZE, "width": SIZE, "interleave": "pixel"}
    for number in range(1, TILES + 1):
        buildings = np.kron(rng.random((100, 100)) < 0.2, np.ones((SIZE // 100, SIZE // 100), bool))
        image = (100 * buildings + rng.integers(40, 56, (3, SIZE, SIZE))).astype(np.uint8)
        for part, pixels in (("images", image), ("gt", buildings[None] * np.uint8(255))):
            path = folder / "train" / part / f"austin{number}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            with rasterio.open(path, "w", count=len(pixels), compress=compress, **options) as file:
                file.write(pixels)
    return TILES


def cut(folder, source):
    """Reads every patch of every tile in turn."""
    dataset = _dataset(folder, source)
    samples = dataset.samples("trainval")

    def read():
        for sample in samples:
            dataset.read(sample)
        return len(samples)

    return read


def train(folder, source):
    """Draws training batches without a network; patches."""
    from data_pipelines.augment import Augmentation
    from data_pipelines.pipeline import Loader, training_batches

    loader = Loader(_dataset(folder, source), "trainval", cache=False)
    options = Augmentation((CROP, CROP), (0.7, 1.5), 0.15, flip_horizontal=True, flip_vertical=True)
    batches = training_batches(loader, options, BATCH, 0)

    def drawn():
        for _, batch in zip(range(BATCHES), batches):
            batch["image"].numpy()
        return BATCHES * BATCH

    return drawn


def evaluate(folder, extent):
    """Scores one whole tile, or one patch of it, in tiles of the crop's size and one scale, as `did_inria` is."""
    from did_tf import models
    from did_tf.inference.predictor import Predictor
    from did_tf.scoring import evaluation

    dataset = _dataset(folder, "read", PATCH if extent == "patch" else 0)
    model = models.build("did", 2, (None, None, 3), growth=4, units=(1, 1, 1, 1))
    predictor = Predictor(model, CROP)
    return lambda: len(evaluation.evaluate(predictor, dataset, "trainval", progress=False, limit=1).images)


def _dataset(folder, source, patch=PATCH):
    import numpy as np

    from data_pipelines.datasets.inria_aerial import InriaAerial

    class Blank(InriaAerial):
        """Of the same patches, all black, without reading a file."""

        def read(self, sample):
            size = sample.window[2:]
            return np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)

    return (Blank if source == "blank" else InriaAerial)(folder, patch)


PROGRAMS = {"draw": draw, "cut": cut, "train": train, "evaluate": evaluate}


def _program(name, folder, argument):
    """What a child does: prints its peak memory (MB) and the samples per second."""
    timed = PROGRAMS[name](Path(folder), argument)
    began = time.perf_counter()
    count = timed()
    seconds = time.perf_counter() - began
    print(memory.peak() / MEGABYTE, count / seconds)


if __name__ == "__main__":
    _program(*sys.argv[1:]) if len(sys.argv) == 4 else main()
