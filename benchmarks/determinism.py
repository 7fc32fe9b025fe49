"""Whether two runs are the same in every bit, and what it costs: `python -m benchmarks.determinism [--steps=10]`.

Trains a small DID twice with train.deterministic and twice without, each in a process of its own, on one device of the
CPU and on two. Prints for each how many of the weights' bytes differ between the two runs, and the median seconds of a
step but for the first two. On two cores it takes about two minutes.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.arguments import parser_of
from benchmarks.ours import timed_steps
from did_tf.runs import checkpoints

SLOW = 2
"""The first steps, in which TensorFlow traces and makes room."""
SETTINGS = {"model.growth": 4, "data.crop": "(97,97)", "train.batch_size": 4, "train.ema": 0.9}


def weights(devices, deterministic, steps):
    """(bytes of all weights after so many steps, seconds of each step), of a training in this process."""
    given = {**SETTINGS, "train.devices": devices, "train.deterministic": deterministic}
    trainer, seconds = timed_steps("did_synthetic", given, steps)
    state = checkpoints.model_state(trainer.model).values()
    return b"".join(tf.convert_to_tensor(variable).numpy().tobytes() for variable in state), seconds


def compare(devices, deterministic, steps, runs=2):
    """{"bytes": of the weights, "differing": those that are not the same in all runs, "seconds": median of a step}."""
    found, seconds = [], []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(runs):
            path = Path(folder, str(number))
            told = json.dumps([devices, deterministic, steps])
            subprocess.run([sys.executable, "-m", "benchmarks.determinism", "--one", told, str(path)], check=True)
            found.append(np.frombuffer(path.read_bytes(), np.uint8))
            seconds += json.loads(path.with_suffix(".json").read_text())[SLOW:]
    differing = sum(found[0] != other for other in found[1:]).astype(bool).sum()
    return {"bytes": found[0].size, "differing": int(differing), "seconds": float(np.median(seconds))}


def main():
    parser = parser_of(__name__)
    parser.add_argument("--steps", type=int, default=10, help="of each run (default: 10)")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.steps <= SLOW:
        parser.error(f"--steps must be more than {SLOW}, of which no time is taken")
    if given.one:
        content, seconds = weights(*json.loads(given.one[0]))
        Path(given.one[1]).write_bytes(content)
        Path(given.one[1]).with_suffix(".json").write_text(json.dumps(seconds))
        return
    print("| train.devices | train.deterministic | bytes that differ | of | s/step |\n|---|---|---|---|---|")
    for devices in ("cpu", "cpu*2"):
        for deterministic in (False, True):
            found = compare(devices, deterministic, given.steps)
            print(f"| {devices} | {deterministic} | {found['differing']} | {found['bytes']} | {found['seconds']:.3f} |")


if __name__ == "__main__":
    main()
