"""Program: a few updates of an experiment at its full size through the trainer; prints step time and peak memory.

`python -m benchmarks.full_size EXPERIMENT [--config.KEY=VALUE ...]`. A process of its own, or the peak would be
somebody else's. Images are drawn, in place of those of the experiment's data set.
"""

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import sys
import tempfile
import time

import numpy as np
import tensorflow as tf

from data_pipelines import memory
from did_tf import wiring
from did_tf.runs.run_folder import RunFolder

STEPS = 4


def on_drawn_frames(experiment, overrides):
    """Settings of an experiment with two batches of drawn frames of CamVid's size in place of its data."""
    config = cli.resolve(experiment, RunFolder("nowhere"), overrides)
    config["dataset"] = {**config["dataset"], "name": "synthetic", "val_split": ""}
    sizes = {"train": 2 * config["train"]["batch_size"]}
    config["dataset"]["options"] = {"height": 360, "width": 480, "sizes": sizes}
    config["train"]["progress"] = False
    return config


def main():
    experiment, *overrides = sys.argv[1:]
    config = on_drawn_frames(experiment, overrides)
    batch_size = config["train"]["batch_size"]
    with tempfile.TemporaryDirectory() as folder:
        trainer = wiring.make_trainer(config, RunFolder(folder))
        times = []
        for step, batch in zip(range(STEPS), trainer._batches(0)):
            began = time.perf_counter()
            trainer.train_step(batch, tf.constant(step, tf.int32)).numpy()
            times.append(time.perf_counter() - began)
    parameters = sum(int(np.prod(v.shape)) for v in trainer.model.trainable_variables) / 1e6
    peak = memory.peak() / 2**30
    seconds = np.median(times[1:])
    print(f"{parameters:.2f}M, {seconds:.2f} s per step, {batch_size / seconds:.2f} crops/s, peak {peak:.1f} GiB")


if __name__ == "__main__":
    main()
