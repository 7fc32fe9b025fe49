"""What it costs to judge every step: `make bench ARGS=health`."""

import tempfile
import time

import numpy as np
import tensorflow as tf

from benchmarks.ours import on_drawn_frames
from benchmarks.turns import spread
from did_tf import wiring
from did_tf.runs.run_folder import RunFolder
from did_tf.training import health as training_health

ROUNDS = 9


def health():
    """Prints the seconds of an update of `camvid_budget:did` and of its vitals alone, in turns, and their ratio."""
    config = on_drawn_frames("camvid_budget:did", ["--config.train.precision=float32"])
    with tempfile.TemporaryDirectory() as folder:
        trainer = wiring.make_trainer(config, RunFolder(folder))
        batch, step = next(iter(trainer._batches(0))), tf.constant(0, tf.int32)
    train_step = trainer.train_step
    vitals = tf.function(
        lambda: training_health.vitals(train_step._weights(), train_step._statistics(), train_step.loss_scale.scale)
    )
    calls = (lambda: train_step(batch, step), vitals)
    times = np.array([[_timed(call) for call in calls] for _ in range(ROUNDS + 2)][2:]).T
    print("\ncamvid_budget:did, float32, drawn frames: seconds of an update, and of `health.vitals` alone; their ratio")
    told = "  ".join(f"{name} {np.median(x):.5f} +- {spread(x):.5f}" for name, x in zip(("update", "vitals"), times))
    ratio = times[1] / times[0]
    print(f"  {told}  ratio {np.median(ratio):.5f} +- {spread(ratio):.5f}", flush=True)


def _timed(call):
    began = time.perf_counter()
    tf.nest.map_structure(lambda tensor: tensor.numpy(), call())
    return time.perf_counter() - began
