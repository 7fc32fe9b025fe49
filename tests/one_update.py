"""Program: one update of a tiny DID on the devices given, from weights and a batch that depend on the seed alone.

`python one_update.py OUTPUT.npz SETTINGS [FIRST LAST]`, SETTINGS as JSON for `tiny.config`. With plain SGD at rate 1
the change of the weights is the gradient. FIRST and LAST choose a part of the batch. Devices are set once per process,
hence a program.
"""

import json
import sys

import numpy as np
import tensorflow as tf
import tiny

from did_tf import wiring
from did_tf.runs import checkpoints
from did_tf.runs.run_folder import RunFolder

SGD = {
    "optimizer__name": "sgd",
    "schedule__name": "constant",
    "schedule__learning_rate": 1.0,
    "schedule__warmup": 0,
}


def update(trainer, batch):
    """{name: array}: metrics, and every weight's value after the update less before."""
    before = {name: tf.convert_to_tensor(v).numpy() for name, v in checkpoints.model_state(trainer.model).items()}
    values = trainer.train_step(batch, tf.constant(0, tf.int32)).numpy()
    with trainer.train_step.averaged_weights():
        after = {name: tf.convert_to_tensor(v).numpy() for name, v in checkpoints.model_state(trainer.model).items()}
    change = {name: after[name] - before[name] for name in before}
    return {**change, **dict(zip(trainer.train_step.metrics, values))}


def check_fetched(strategy, batch):
    """Asserts that every device has its share of the batch already."""
    for values in batch.values():
        shares = strategy.experimental_local_results(values)
        found = [tf.DeviceSpec.from_string(share.backing_device) for share in shares]
        wanted = [tf.DeviceSpec.from_string(device) for device in strategy.extended.worker_devices]
        assert [(x.device_type, x.device_index) for x in found] == [(x.device_type, x.device_index) for x in wanted]


def write(output, settings, part=()):
    """The update with `settings`, by the part (first, last) of the batch, as a file."""
    config = tiny.config(**{**SGD, **settings})
    trainer = wiring.make_trainer(config, RunFolder(f"{output}.run"))
    batch = next(iter(trainer._batches(0)))
    check_fetched(trainer.strategy, batch)
    if part:
        batch = {key: value[int(part[0]) : int(part[1])] for key, value in batch.items()}
    np.savez(output, **update(trainer, batch))


def main():
    output, settings, *part = sys.argv[1:]
    write(output, json.loads(settings), part)


if __name__ == "__main__":
    main()
