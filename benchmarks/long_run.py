"""Do memory, open files and threads stay as they are in a long training? `make long-run`.

`python -m benchmarks.long_run --steps=20000` trains the smallest network with validation, checkpoints and pictures, as
`did_tf train` does, and looks at the process from outside. It prints what the process held along the way, the slope of
each over the second half with its standard error, and whether it is flat: memory that grows by no more than `GROWTH` in
that half, files and threads that do not grow. Exit status 1 where something grows.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks.arguments import parser_of
from did_tf.runs.run_folder import read_metrics

MIB = 2**20
GROWTH = 0.02
"""Part of its memory that a process may take more in the second half; the allocator's own to and fro is less."""
EVERY = 0.5
"""Seconds between two looks."""
SETTINGS = {
    "dataset.options.height": 48,
    "dataset.options.width": 64,
    "dataset.options.sizes": "{'train':12,'val':3,'test':2}",
    "model.growth": 4,
    "model.units": "(1,1,1,1)",
    "data.crop": "(33,33)",
    "train.batch_size": 2,
    "train.log_every": 20,
    "train.checkpoint_every": 100,
    "train.validate_every": 200,
    "train.keep_checkpoints": 3,
    "train.panels": 2,
    "train.progress": False,
    "seed": 0,
}
HELD = ("MiB", "files", "threads")


def watched(steps, folder):
    """[(step, MiB, files, threads)] of a training in `folder`, one for each look, and its exit status."""
    run = Path(folder, "run")
    command = [sys.executable, "-m", "did_tf", "train", "--experiment=did_synthetic", f"--run={run}"]
    command += [f"--config.{key}={value}" for key, value in {**SETTINGS, "train.steps": steps}.items()]
    process, looks = subprocess.Popen(command, stdout=subprocess.DEVNULL), []
    of_system = psutil.Process(process.pid)
    while process.poll() is None:
        time.sleep(EVERY)
        try:
            made, held = _step(run), (of_system.memory_info().rss / MIB, of_system.num_fds(), of_system.num_threads())
        except psutil.Error:  # it has ended
            break
        if made and held[0]:  # nothing is held by what has just ended
            looks.append((made, *held))
    return np.array(looks, float), process.wait()


def slopes(looks):
    """{what: (growth in 1,000 steps, its standard error, in the whole of the second half)}, by least squares."""
    half = looks[looks[:, 0] >= looks[-1, 0] / 2]
    steps, span = half[:, 0] - half[:, 0].mean(), half[-1, 0] - half[0, 0]
    found = {}
    for column, name in enumerate(HELD, 1):
        values = half[:, column]
        slope = (steps * (values - values.mean())).sum() / max((steps**2).sum(), 1)
        rest = values - values.mean() - slope * steps
        error = np.sqrt((rest**2).sum() / max(len(half) - 2, 1) / max((steps**2).sum(), 1))
        found[name] = (1000 * slope, 1000 * error, slope * span)
    return found


def growing(found, memory):
    """What of `slopes` grows, where the process holds so many MiB."""
    limits = {"MiB": GROWTH * memory, "files": 0.5, "threads": 0.5}
    return [name for name, (slope, error, grown) in found.items() if grown > limits[name] and slope > 2 * error]


def main(argv=None):
    """Trains and prints. Returns the exit status."""
    parser = parser_of(__name__)
    parser.add_argument("--steps", type=int, default=20_000, help="of the training (default: 20000)")
    steps, start = parser.parse_args(argv).steps, time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        looks, status = watched(steps, folder)
    if status or len(looks) < 10:
        print(f"the training ended with status {status} after {len(looks)} looks: more steps are needed for slopes")
        return 1
    print(f"{'step':>8}{'MiB':>10}{'files':>8}{'threads':>9}")
    for place in np.linspace(0, len(looks) - 1, 12).astype(int):
        print(f"{looks[place, 0]:8.0f}{looks[place, 1]:10.1f}{looks[place, 2]:8.0f}{looks[place, 3]:9.0f}")
    found = slopes(looks)
    for name, (slope, error, grown) in found.items():
        print(f"{name}: {slope:+.3f} +- {error:.3f} in 1,000 steps, {grown:+.1f} in the second half")
    grows = growing(found, looks[-1, 1])
    seconds = time.perf_counter() - start
    print(f"{steps} steps, {seconds:.0f} s: {'flat' if not grows else 'GROWING: ' + ', '.join(grows)}")
    return 1 if grows else 0


def _step(run):
    try:
        rows = read_metrics(run / "metrics.csv")
    except OSError:
        return 0
    return int(rows[-1]["step"]) if rows else 0


if __name__ == "__main__":
    sys.exit(main())
