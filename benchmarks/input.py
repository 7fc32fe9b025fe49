"""Program: speed of the input pipeline, `python -m benchmarks.input [FOLDER]` (or `make bench ARGS=input`).

Samples per second of the training batches of did_camvid (crops of 321x321, batches of 22) from CamVid's files, from
prepared records and from memory, beside the limit: OpenCV decoding the same files, images and labels, in as many
threads as there are cores. All are measured in turns. Then the share of time that a training waits for its batches.

FOLDER, or DID_TF_CAMVID, holds CamVid; without it, drawn scenes of CamVid's size are written as PNGs.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import functools
import os
import tempfile
import time
from multiprocessing.pool import ThreadPool
from pathlib import Path

import cv2
import numpy as np
import psutil
from tqdm import tqdm

from benchmarks.arguments import parser_of
from data_pipelines import load
from data_pipelines.augment import Augmentation
from data_pipelines.datasets.synthetic import Synthetic
from data_pipelines.pipeline import Loader, training_batches
from data_pipelines.programs.prepare import prepare
from data_pipelines.records import Prepared
from data_pipelines.spec import IGNORE
from did_tf import wiring
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder, read_metrics

BATCH, CROP = 22, (321, 321)
ROUNDS, BATCHES = 7, 6
DRAWN = 88  # scenes
STEPS = 12  # of the training
LIMIT = "OpenCV, decoding alone"


def main():
    parser = parser_of(__name__)
    parser.add_argument("folder", nargs="?", help="of CamVid; default: that of DID_TF_CAMVID, else drawn scenes")
    folder = parser.parse_args().folder
    print(f"load {psutil.getloadavg()[0]:.1f}")
    input_speed(folder)


def input_speed(folder=None):
    """Prints everything. `folder`: of CamVid; None: that of DID_TF_CAMVID, else drawn scenes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = folder or os.environ.get("DID_TF_CAMVID") or _draw(Path(scratch, "drawn"))
        files = load("camvid", folder)
        prepare(files, "train", Path(scratch, "records"), {"name": "camvid", "options": {}})
        print(f"\ninput: {len(files.samples('train'))} samples of {folder}, {_threads()} threads; samples per second")
        _speeds(files, Prepared(Path(scratch, "records")))
        _waiting(folder, Path(scratch, "run"))


def _speeds(files, prepared):
    recipe = wiring.make_augmentation(cli.resolve("did_camvid", RunFolder("nowhere"), []))
    sources = {
        "files": Loader(files, "train", cache=False),
        "records": Loader(prepared, "train", cache=False),
        "memory": Loader(files, "train", progress=False),
    }
    measures = {LIMIT: functools.partial(_decoding_rate, files.samples("train"))}
    for name, loader in sources.items():
        for kind, options in (("crop alone", Augmentation(CROP)), ("did_camvid", recipe)):
            batches = training_batches(loader, options, BATCH, seed=0)
            measures[f"{name}, {kind}"] = functools.partial(_batch_rate, batches)
    rates = {name: [] for name in measures}
    for _ in tqdm(range(ROUNDS), leave=False, disable=None):
        for name, measure in measures.items():
            rates[name].append(measure())
    limits = np.array(rates[LIMIT])
    for name, found in rates.items():
        low, middle, high = np.percentile(found, (25, 50, 75))
        share = np.median(np.array(found) / limits)
        print(f"  {name:24} {middle:6.0f} +- {(high - low) / 2:3.0f}   {share:5.2f} of the limit", flush=True)


def _decoding_rate(samples):
    """Samples per second that OpenCV decodes, image and label."""
    samples = samples[: BATCH * BATCHES]
    with ThreadPool(_threads()) as pool:
        began = time.perf_counter()
        for _ in pool.imap(_decode, samples):
            pass
        return len(samples) / (time.perf_counter() - began)


def _decode(sample):
    return cv2.imread(str(sample.image)), cv2.imread(str(sample.label), cv2.IMREAD_UNCHANGED)


def _batch_rate(batches):
    """Samples per second from the second batch on. Nothing is made between measurements."""
    elements = iter(batches)
    next(elements)
    began = time.perf_counter()
    for _ in range(BATCHES):
        next(elements)
    return BATCH * BATCHES / (time.perf_counter() - began)


def _waiting(folder, run):
    """Prints the share of a step's time that the smallest training of the benchmarks waits, cached."""
    overrides = {
        "dataset.name": "camvid",
        "dataset.folder": str(folder),
        "dataset.val_split": "",
        "schedule.warmup": 0,
        "train.steps": STEPS,
        "train.log_every": STEPS // 3,
        "train.precision": "float32",  # bfloat16 takes minutes a step where the CPU lacks it
        "train.progress": False,
    }
    arguments = [f"--config.{key}={value}" for key, value in overrides.items()]
    wiring.make_trainer(cli.resolve("camvid_budget:did", RunFolder(run), arguments), RunFolder(run)).fit()
    last = read_metrics(RunFolder(run).metrics)[-1]
    print(
        f"camvid_budget:did from memory, the last {STEPS // 3} of {STEPS} steps: {last['images_per_second']} samples "
        f"per second, {float(last['input_wait']):.2%} of the time waiting for them"
    )


def _draw(folder):
    """Writes drawn scenes as CamVid's files. Returns the folder."""
    scenes = Synthetic(360, 480, sizes={"train": DRAWN})
    for sample in tqdm(scenes.samples("train"), "drawing", leave=False, disable=None):
        image, label = scenes.read(sample)
        for part, pixels in (("train", image[..., ::-1]), ("trainannot", np.where(label == IGNORE, 11, label))):
            path = folder / part / f"{sample.name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), pixels.astype(np.uint8))
    return folder


def _threads():
    return os.cpu_count() or 1


if __name__ == "__main__":
    main()
