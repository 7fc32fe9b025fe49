"""Program: a few updates of `did_camvid` at full size through the trainer; prints step time and peak memory.

`python -m benchmarks.full_size PRECISION ACCUMULATE`. A process of its own, or the peak would be somebody else's.
"""

from did_tf import cli  # isort: skip (first, it quietens TensorFlow)

import resource
import sys
import tempfile
import time

import numpy as np
import tensorflow as tf

from did_tf.run_folder import RunFolder
from did_tf.training import Trainer

STEPS = 4


def main():
    precision, accumulate = sys.argv[1:]
    overrides = [f"--config.train.precision={precision}", f"--config.train.accumulate={accumulate}"]
    config = cli.resolve("did_camvid", RunFolder("nowhere"), overrides)
    config["dataset"] = {**config["dataset"], "name": "synthetic", "val_split": ""}
    config["dataset"]["options"] = {"height": 360, "width": 480, "sizes": {"train": 44}}
    config["train"]["progress"] = False
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, RunFolder(folder))
        times = []
        for step, batch in zip(range(STEPS), trainer._batches(0)):
            began = time.perf_counter()
            trainer.train_step(batch, tf.constant(step, tf.int32)).numpy()
            times.append(time.perf_counter() - began)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{np.median(times[1:]):.1f} s per step, {22 / np.median(times[1:]):.2f} crops/s, peak {peak:.1f} GiB")


if __name__ == "__main__":
    main()
