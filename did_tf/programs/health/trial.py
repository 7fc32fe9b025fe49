"""A few seconds of a real training of a small network on drawn data, in a process of its own, on each device."""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from did_tf.common.errors import ConfigError
from did_tf.programs.health.findings import GOOD, WRONG, Finding
from did_tf.runs.run_folder import RunFolder, read_metrics
from did_tf.training.distribution import best_precision

START, STOP = 180.0, 120.0
"""Seconds until the first steps must be made, and until a training that is asked to stop must have stopped."""
STOPPED = (143, -15)  # by its own hand, or where the signal came before it looks for any
SETTINGS = {
    "model.growth": 4,
    "model.units": "(1,1,1,1)",
    "dataset.options.sizes": "{'train':16,'val':2,'test':2}",
    "data.crop": "(65,65)",
    "train.batch_size": 4,
    "train.steps": 1000000,
    "train.log_every": 2,
    "train.checkpoint_every": 1000000,
    "train.validate_every": 1000000,
    "train.progress": False,
}


def look(seconds: float) -> Iterator[Finding]:
    """A finding for each device, after so many seconds of training."""
    gpus = tf.config.list_physical_devices("GPU")
    for device in ["cpu", *(f"gpu:{number}" for number in range(len(gpus)))]:
        yield trained(device, seconds, best_precision(device)[0])


def trained(device: str, seconds: float, precision: str, start: float = START) -> Finding:
    """Whether a training on a device, in a precision, makes steps within `start` seconds and stops when it is asked."""
    name = f"training, {device}"
    with tempfile.TemporaryDirectory(prefix="did_tf_doctor_") as folder:
        run, said = RunFolder(Path(folder, "run")), Path(folder, "said.txt")
        settings = {**SETTINGS, "train.devices": device, "train.precision": precision}
        command = [sys.executable, "-m", "did_tf", "train", "--experiment=did_synthetic", f"--run={run.folder}"]
        command += [f"--config.{key}={value}" for key, value in settings.items()]
        with said.open("w") as file:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file)
        try:
            _wait(process, run, start, seconds)
            process.terminate()
            status = process.wait(STOP)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            process.kill()
            process.wait()
        return _judged(name, precision, status, _rows(run), said.read_text(errors="replace"))


def _wait(process, run, start, seconds):
    """Until the training has ended, has made steps for some seconds, or has made none within `start`."""
    until = time.monotonic() + start
    while process.poll() is None and not _rows(run) and time.monotonic() < until:
        time.sleep(0.2)
    if process.poll() is None and _rows(run):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return


def _rows(run):
    try:
        return read_metrics(run.metrics)
    except (ConfigError, OSError):
        return []


def _judged(name, precision, status, rows, said):
    error = next((line for line in reversed(said.splitlines()) if line.startswith("error:")), said.strip()[-200:])
    facts = {"precision": precision, "status": status, "steps": int(rows[-1]["step"]) if rows else 0, "said": error}
    again = "run `did_tf train --experiment=did_synthetic --debug`, and report what it says"
    if status is None:
        return Finding(name, WRONG, "it hangs: it did not stop when it was asked to", again, facts)
    if not rows:
        told = f"no step was made (exit status {status}): {error or 'it said nothing'}"
        return Finding(name, WRONG, told, again, facts)
    facts |= {"images_per_second": float(rows[-1]["images_per_second"]), "loss": float(rows[-1]["loss"])}
    if not math.isfinite(facts["loss"]):
        told = f"the loss is {facts['loss']} in {precision}"
        facts["loss"] = str(facts["loss"])  # which is no number of JSON
        return Finding(name, WRONG, told, f"train.precision=float32; {again}", facts)
    if status not in STOPPED:
        return Finding(name, WRONG, f"it ended with exit status {status}: {error}", again, facts)
    speed = f"{facts['images_per_second']:.3g} images/s of 65x65"
    told = f"{facts['steps']} steps in {precision}, {speed}, loss {facts['loss']:.2f}"
    return Finding(name, GOOD, told, facts=facts)
