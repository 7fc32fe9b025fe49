"""What two workers on this host compute and what they tell each other: `python -m benchmarks.workers [--steps=12]`.

Seconds of a training step of did_synthetic, batches of eight, on the CPU: of one process; of two that know nothing of
each other, with four each, at the same time; and of two workers. The difference of the two latter is what communicating
takes. Medians without the first three steps; on two cores it takes some two minutes.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.arguments import parser_of
from benchmarks.ours import timed_steps
from did_tf.cluster import local, places
from did_tf.cluster.workers import Workers

BATCH, FIRST = 8, 3


def seconds(batch_size, steps):
    """(seconds of each step of a training in this process, bytes of the gradients that a step adds up)."""
    settings = {"train.devices": "cpu", "train.batch_size": batch_size}
    trainer, found = timed_steps("did_synthetic", settings, steps)
    parameters = sum(int(np.prod(v.shape)) for v in trainer.model.trainable_variables)
    Workers(trainer.strategy).agreed(0)  # none leaves before the others are done
    return found, 4 * parameters


def command(batch_size, steps, path):
    return [sys.executable, "-m", "benchmarks.workers", "--one", json.dumps([batch_size, steps]), str(path)]


def measured(steps, folder):
    """Yields (what, seconds of a step, bytes of its gradients)."""
    paths = [Path(folder, name) for name in ("alone", "first", "second", "workers")]
    subprocess.run(command(BATCH, steps, paths[0]), check=True)
    both = [subprocess.Popen(command(BATCH // 2, steps, path)) for path in paths[1:3]]
    statuses = [process.wait() for process in both]
    if any(statuses) or local.run(command(BATCH, steps, paths[3]), 2, 0):
        raise SystemExit(1)
    for what, path in (("one process", paths[0]), ("two, apart", paths[1]), ("two workers", paths[3])):
        found, size = json.loads(path.read_text())
        yield what, float(np.median(found[FIRST:])), size


def main():
    parser = parser_of(__name__)
    parser.add_argument("--steps", type=int, default=12, help="of each training (default: 12)")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        result, place = seconds(*json.loads(given.one[0])), places.of_tensorflow(os.environ)
        if not place or not place.index:
            Path(given.one[1]).write_text(json.dumps(result))
        return
    with tempfile.TemporaryDirectory() as folder:
        (_, alone, size), (_, apart, _), (_, together, _) = measured(given.steps, folder)
    print(f"one process, {BATCH} crops: {alone:.3f} s/step")
    print(f"two processes apart, {BATCH // 2} crops each: {apart:.3f} s/step (computing)")
    print(f"two workers, {BATCH // 2} crops each: {together:.3f} s/step, {together - apart:.3f} s of it communicating")
    print(f"gradients that are added up: {size / 2**20:.1f} MiB a step")


if __name__ == "__main__":
    main()
