"""A few seconds of a real training of a small network on drawn data, in a process of its own, on each device."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from did_tf.planning import trying
from did_tf.programs.health.findings import GOOD, WRONG, Finding
from did_tf.training.distribution import best_precision

START = 180.0
"""Seconds until the first steps must be made."""
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
    settings = {**SETTINGS, "train.devices": device, "train.precision": precision}
    arguments = ["--experiment=did_synthetic", *(f"--config.{key}={value}" for key, value in settings.items())]
    with tempfile.TemporaryDirectory(prefix="did_tf_doctor_") as folder:
        tried = trying.train(arguments, Path(folder), start, seconds)
    return _judged(name, precision, tried)


def _judged(name, precision, tried):
    status, rows, error = tried.status, tried.rows, tried.error
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
