"""Speed and memory of did_tf on this machine: `make bench`, or `make bench ARGS="batch_norm memory"` for some.

Everything that is compared is measured in one process, in turns, so that what else the machine does hits all alike.
Times are medians; the spread is half the distance between the quartiles. `did_camvid` is measured at its full size.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from unittest import mock

import numpy as np
import psutil
import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from benchmarks.full_size import on_drawn_frames
from benchmarks.input import input_speed
from benchmarks.predicting import predict
from did_tf import models, wiring
from did_tf.models import units
from did_tf.models.layers import FusedBatchNormalization
from did_tf.runs.run_folder import RunFolder
from did_tf.training import health as training_health
from did_tf.training.distribution import set_precision
from did_tf.training.losses import PixelCrossEntropy
from experiments import camvid_budget

CROP, BATCH, CLASSES, ROUNDS = 321, 8, 11, 9


def batch_norm():
    """Fused batch normalisation against Keras' own: a training step and inference of the paper's DID."""
    print(f"\nDID (growth 48), crop {CROP}, batch {BATCH}, dropout 0.2; seconds, then the ratio to Keras' layer")
    for precision in ("float32", "bfloat16"):
        for kind, make in (("training step", _training_step), ("inference", _inference)):
            calls = {name: make(precision, layer) for name, layer in _LAYERS.items()}
            times = _measure(calls)
            fused, keras_own = (times[name] for name in _LAYERS)
            told = "  ".join(f"{name} {_told(seconds)}" for name, seconds in times.items())
            ratio = f"{np.median(fused) / np.median(keras_own):.2f} +- {_ratio_spread(fused, keras_own):.2f}"
            print(f"  {precision:9} {kind:14} {told}  ratio {ratio}", flush=True)


def memory():
    """Step time and peak memory of `did_camvid` at its full size: 22 crops of 321x321, each in its own process."""
    print("\ndid_camvid, 22 crops of 321x321: parameters, seconds per step (median of 3), peak memory of the process")
    for precision in ("float32", "bfloat16"):
        for accumulate in (1, 2):
            overrides = [f"--config.train.precision={precision}", f"--config.train.accumulate={accumulate}"]
            print(f"  {precision:9} accumulate {accumulate}: {_full_size('did_camvid', *overrides)}", flush=True)


def systems():
    """The same for all systems at the equal budget of `camvid_budget`."""
    print("\ncamvid_budget, 4 crops of 193x193, bfloat16: as above")
    for system in camvid_budget.ROWS:
        print(f"  {system:13} {_full_size(f'camvid_budget:{system}')}", flush=True)


def health():
    """What it costs to judge every step: an update of `camvid_budget:did`, and its vitals by themselves, in turns."""
    print("\ncamvid_budget:did, float32, drawn frames: seconds of an update, and of `health.vitals` alone; their ratio")
    config = on_drawn_frames("camvid_budget:did", ["--config.train.precision=float32"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = wiring.make_trainer(config, RunFolder(folder))
        batch, step = next(iter(trainer._batches(0))), tf.constant(0, tf.int32)
    train_step = trainer.train_step
    vitals = tf.function(
        lambda: training_health.vitals(train_step._weights(), train_step._statistics(), train_step.loss_scale.scale)
    )
    times = _measure({"update": lambda: train_step(batch, step), "vitals": vitals})
    told = "  ".join(f"{name} {_told(seconds, 5)}" for name, seconds in times.items())
    ratio = np.median(times["vitals"]) / np.median(times["update"])
    print(f"  {told}  ratio {ratio:.5f} +- {_ratio_spread(times['vitals'], times['update']):.5f}", flush=True)


def _full_size(*arguments):
    command = [sys.executable, "-m", "benchmarks.full_size", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip().splitlines()[-1]


PARTS = {
    "batch_norm": batch_norm,
    "memory": memory,
    "systems": systems,
    "input": input_speed,
    "health": health,
    "predict": predict,
}
_LAYERS = {"fused": FusedBatchNormalization, "Keras": keras.layers.BatchNormalization}


@contextlib.contextmanager
def _network(precision, layer):
    set_precision(precision)
    with mock.patch.object(units, "FusedBatchNormalization", layer):
        yield models.build("did", CLASSES, (CROP, CROP, 3))


def _training_step(precision, layer):
    """A call that does one update, the trainer's arithmetic without its input."""
    with _network(precision, layer) as model:
        optimizer, loss = keras.optimizers.Adam(1e-3), PixelCrossEntropy()
    image = tf.random.uniform((BATCH, CROP, CROP, 3), maxval=255)
    label = tf.random.uniform((BATCH, CROP, CROP), maxval=CLASSES, dtype=tf.int32)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            losses = [tf.reduce_mean(loss(logits, label)) for logits in model(image, training=True).values()]
            total = tf.add_n(losses) / len(losses)
        optimizer.apply_gradients(zip(tape.gradient(total, model.trainable_variables), model.trainable_variables))
        return total

    return step


def _inference(precision, layer):
    with _network(precision, layer) as model:
        image = tf.random.uniform((BATCH, CROP, CROP, 3), maxval=255)
        return tf.function(lambda: model(image, training=False)["main"])


def _measure(calls):
    for call in calls.values():
        call(), call()
    times = {name: [] for name in calls}
    for _ in tqdm(range(ROUNDS), leave=False, disable=None):
        for name, call in calls.items():
            times[name].append(_timed(call))
    return times


def _timed(call):
    began = time.perf_counter()
    tf.nest.map_structure(lambda tensor: tensor.numpy(), call())
    return time.perf_counter() - began


def _told(times, digits=3):
    low, high = np.percentile(times, (25, 75))
    return f"{np.median(times):.{digits}f} +- {(high - low) / 2:.{digits}f}"


def _ratio_spread(times, others):
    """Half the distance between the quartiles of the ratios within each round."""
    low, high = np.percentile(np.array(times) / np.array(others), (25, 75))
    return (high - low) / 2


def _machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = {line.split(":")[1].strip() for line in lines if line.startswith("model name")}
    flags = {flag for line in lines if line.startswith("flags") for flag in line.split()}
    return f"{', '.join(names) or 'unknown CPU'}, {os.cpu_count()} cores, " + (
        "bfloat16 in hardware" if flags & {"avx512_bf16", "amx_bf16"} else "no bfloat16 in hardware"
    )


def main():
    chosen = sys.argv[1:] or list(PARTS)
    if unknown := [name for name in chosen if name not in PARTS]:
        print(f"error: unknown part {unknown[0]!r}; known: {', '.join(PARTS)}", file=sys.stderr)
        raise SystemExit(2)
    print(f"TensorFlow {tf.__version__}, Keras {keras.__version__}, {_machine()}, load {psutil.getloadavg()[0]:.1f}")
    for name in chosen:
        PARTS[name]()


if __name__ == "__main__":
    main()
