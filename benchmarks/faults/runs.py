"""Processes that a fault is done to, and what has to come out of them."""

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil

from did_tf.cluster import local, places

ROOT = Path(__file__).parents[2]
CLOCKED = ("images_per_second", "input_wait")
SETTINGS = {
    "dataset.options.height": 48,
    "dataset.options.width": 64,
    "dataset.options.sizes": '{"train":12,"val":6,"test":2}',
    "model.growth": 4,
    "model.units": "(1,1,1,1)",
    "data.crop": "(33,33)",
    "schedule.warmup": 2,
    "train.steps": 60,
    "train.batch_size": 4,
    "train.log_every": 2,
    "train.checkpoint_every": 5,
    "train.validate_every": 15,
    "train.progress": False,
}
"""Of the smallest training that logs, validates and saves all the time."""


WORKERS = [1]
"""How many processes train together; the campaign sets it."""
ROUNDED = 1e-6
"""How far statistics may be off, in relation to the largest."""
END, OUTLIVE = 280, 60
"""Seconds after which a command counts as hung, and a worker as one that outlives what started it."""


def training(run):
    """The command line of the training, into the folder `run`."""
    settings = [f"--config.{key}={value}" for key, value in SETTINGS.items()]
    return ["train", "--experiment=did_synthetic", f"--run={run}", f"--workers={WORKERS[0]}", *settings]


def workers(starter):
    """{index: psutil.Process} of the workers that the process of this number has started, also once it is gone."""
    found = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            if environment.get(local.STARTED_BY) == str(starter) and process.status() != psutil.STATUS_ZOMBIE:
                found[json.loads(environment[places.VARIABLE])["task"]["index"]] = process
    return found


class Process:
    """`did_tf` with a command line, under way. `log` is the file that both its outputs go to."""

    def __init__(self, command, log, environment=()):
        self.log = Path(log)
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "did_tf", *command],
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.STDOUT,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", **dict(environment)},
            )

    def started(self, file, before):
        """Waits until `file` is another than `before`, as `state` gives it, or the process has ended."""
        while self.process.poll() is None and state(file) == before:
            time.sleep(0.02)

    def kill_after(self, seconds, number, worker=None):
        """Sends a signal after `seconds` to it, or to one of its workers. Returns whether it came, and the exit status.

        It does not come where the process has ended, or the worker is not there.
        """
        came = False
        with contextlib.suppress(subprocess.TimeoutExpired):
            return came, self.process.wait(seconds)
        with contextlib.suppress(psutil.NoSuchProcess, KeyError):
            (self.process if worker is None else workers(self.process.pid)[worker]).send_signal(number)
            came = True
        return came, self.end()

    def end(self):
        """Exit status; None where it hangs, and is killed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.process.wait(END)
        self.process.kill()
        self.process.wait()
        return None

    def outlived_by(self):
        """Numbers of the workers that are there long after it has ended; they are killed then."""
        until = time.monotonic() + OUTLIVE
        while (left := workers(self.process.pid)) and time.monotonic() < until:
            time.sleep(0.2)
        for process in left.values():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait()
        return [*left]

    def text(self):
        return self.log.read_text(errors="replace")


def state(file):
    return file.stat().st_mtime_ns if file.exists() else 0


def complaints(process, status, expected):
    """What is wrong with how a process ended, a line each: its status, tracebacks, and workers that did not end."""
    found = [f"worker {index} outlived it by {OUTLIVE} s" for index in process.outlived_by()]
    found += [f"exit status {status}, not one of {expected}"] if status not in expected else []
    if "Traceback (most recent call last)" in process.text():
        found.append("traceback")
    errors = [line for line in process.text().splitlines() if line.startswith("error:")]
    if status in (1, 2) and len(errors) != 1:
        found.append(f"{len(errors)} lines of errors")
    return [f"{line}, see {process.log}" for line in found]


def stopped_by(number, worker=None):
    """Exit statuses of a process that got a signal: its own, or the system's where it came before that was ready.

    Where a `worker` got it, what started that ends as it did; or well, where the worker was about to end.
    """
    if worker is not None:
        return (128 + number, 0)
    return (-number,) if number == signal.SIGKILL else (128 + number, -number, 0)


def differences(run, reference):
    """What differs between two finished runs, a line each: rows lost or doubled, weights, scores."""
    rows, expected = ([_row(row) for row in _rows(folder)] for folder in (run, reference))
    steps, wanted = [row["step"] for row in rows], [row["step"] for row in expected]
    found = [f"metrics line {step} lost" for step in wanted if step not in steps]
    found += [f"metrics line {step} doubled" for step in {*steps} if steps.count(step) > 1]
    if not found and rows != expected:
        found.append("metrics.csv differs")
    for file, same in (("best/weights.npz", _same_weights), ("best/metrics.json", _same_bytes)):
        if not (run / file).is_file() or not same(run / file, reference / file):
            found.append(f"{file} differs")
    return [f"{line}, see {run}" for line in found]


def _same_bytes(file, expected):
    return file.read_bytes() == expected.read_bytes()


def _same_weights(file, expected):
    """Of one process to the last byte. Several average their batch statistics wherever they stop, which rounds them."""
    if WORKERS[0] == 1:
        return _same_bytes(file, expected)
    arrays, wanted = dict(np.load(file)), dict(np.load(expected))
    for name in ("checksum", *(name for name in wanted if "/moving_" in name)):
        found, other = arrays.pop(name), wanted.pop(name)
        if name != "checksum" and not np.allclose(found, other, ROUNDED, ROUNDED * np.abs(other).max()):
            return False
    return arrays.keys() == wanted.keys() and all(np.array_equal(arrays[name], wanted[name]) for name in wanted)


def _rows(run):
    with open(run / "metrics.csv", newline="") as file:
        return list(csv.DictReader(file))


def _row(row):
    return {key: value for key, value in row.items() if key not in CLOCKED}


def tail(run):
    """The step of the newest checkpoint of a run; 0 without."""
    saved = sorted((run / "checkpoints").glob("step_*.npz"))
    return int(saved[-1].stem[-8:]) if saved else 0


def read_lines(path):
    """Objects of a file with a line of JSON for each."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
