"""How equal updates are, however they are shared: `python -m benchmarks.equivalence [ROW ...]`, some minutes.

A small DID makes three updates of the same batches of eight: as one process on one device of the CPU, on two devices,
and as two processes. Prints the largest differences of the two latter from the first, each divided by the largest
value: of the losses of all steps, of the first gradient, of batch norm's statistics, of the weights and of their
averages after the last step. Parts of the labels are void, more in some images than in others, but for the first row.
In "accumulate" statistics are fixed: micro-batches of two devices hold other images than those of one.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
import tensorflow as tf

from benchmarks.arguments import parser_of
from benchmarks.ours import on_drawn_frames
from data_pipelines.pipeline import training_batches
from data_pipelines.spec import IGNORE
from did_tf import wiring
from did_tf.cluster import local, places
from did_tf.runs import checkpoints
from did_tf.runs.run_folder import RunFolder
from did_tf.training.distribution import distributed, make_strategy

STEPS, ALL_LABELLED = 3, "cross entropy, all labelled"
SETTINGS = {
    "model.growth": 4,
    "model.units": "(1,1,1,1)",
    "model.dropout": 0,
    "data.crop": "(33,33)",
    "train.batch_size": 8,
    "train.sync_batch_norm": True,
    "optimizer.name": "sgd",
    "optimizer.weight_decay": 0,
    "schedule.name": "constant",
    "schedule.learning_rate": 1e-3,
    "schedule.warmup": 0,
}
MOVED = {
    "optimizer.clip_norm": 0.5,
    "train.ema": 0.9,
    "optimizer.weight_decay": 1e-3,
    "optimizer.options.momentum": 0.9,
}
WEIGHTED = {"loss.class_weights": "{'sky': 3, 'car': 0}"}
PER_BATCH = {"loss.ohem_keep": 2000, "loss.ohem_scope": "batch", "loss.ohem_threshold": 0.05}
REGIONS = {"loss.terms.dice": 1, "loss.terms.lovasz": 1, "loss.terms.focal": 0.5, "loss.ohem_keep": 200}
ROWS = {
    ALL_LABELLED: {},
    "cross entropy": {},
    "OHEM per image": {"loss.ohem_keep": 200},
    "OHEM per batch": PER_BATCH,
    "class weights": WEIGHTED,
    "Dice, Lovasz and mined focal loss": REGIONS,
    "deep supervision": {"loss.output_weights.main": 1, "loss.output_weights.block2": 0.3},
    "recompute": {"train.recompute": True},
    "clipping, decay, momentum, EMA": MOVED,
    "accumulate": {"train.accumulate": 2, "train.sync_batch_norm": False, "train.freeze_batch_norm": "statistics"},
    "all but accumulate": {**WEIGHTED, **PER_BATCH, **MOVED, "train.recompute": True},
}
WAYS = {"one device": ("cpu", 1), "two devices": ("cpu*2", 1), "two processes": ("cpu", 2)}
COLUMNS = ("losses", "gradient", "statistics", "weights", "averages")


def voided(batch):
    """A batch with a band of void at the top of each label, whose height its content says: 0 to 4 fifths."""
    label = batch["label"]
    height = tf.shape(label)[1]
    rows = tf.reduce_sum(tf.cast(label, tf.int32), [1, 2]) % 5 * height // 5
    void = tf.range(height)[None] < rows[:, None]
    return {**batch, "label": tf.where(void[..., None], tf.constant(IGNORE, tf.uint8), label)}


def measured(row, devices):
    """{column: {name: array}} of a row, by this process or by the workers of which it is one."""
    given = {**SETTINGS, **ROWS[row], "train.devices": devices}
    config = on_drawn_frames("did_synthetic", [f"--config.{key}={value}" for key, value in given.items()])
    with tempfile.TemporaryDirectory() as folder:
        trainer = wiring.make_trainer(config, RunFolder(folder))
    size = config["train"]["batch_size"]

    def batches(share):
        mine = training_batches(trainer.loader, trainer.augmentation, size, trainer.seed, 0, share)
        return mine if row == ALL_LABELLED else mine.map(voided)

    step, losses, elements = trainer.train_step, {}, iter(distributed(trainer.strategy, batches, size))
    before = values_of(step.state(), checkpoints.MODEL)
    for number in range(STEPS):
        values = step(next(elements), number).numpy()
        losses.update({f"{number}/{name}": v for name, v in zip(step.metrics, values) if name.startswith("loss")})
        if not number:
            after = values_of(step.state(), checkpoints.MODEL)
    step.average_batch_norm()
    state = step.state()
    trained = {name: value for name, value in values_of(state, checkpoints.MODEL).items() if "moving" not in name}
    return {
        "losses": losses,
        "gradient": {name: after[name] - before[name] for name in trained},
        "statistics": {name: v for name, v in values_of(state, checkpoints.MODEL).items() if "moving" in name},
        "weights": trained,
        "averages": values_of(state, checkpoints.AVERAGE),
    }


def differences(expected, found):
    """{column: largest difference, divided by the largest value of its array (of losses its own)}; none for nothing."""
    return {
        column: max(_difference(column, value, expected[column], found[column][name]) for name, value in values.items())
        for column, values in expected.items()
        if values
    }


def all_measured(rows, folder):
    """{way: {row: what `measured` gives}}, each way in processes of its own."""
    found = {}
    for way, (devices, workers) in WAYS.items():
        path = Path(folder, way.replace(" ", "_") + ".npz")
        command = [sys.executable, "-m", "benchmarks.equivalence", "--measure", devices, str(path), json.dumps(rows)]
        status = local.run(command, workers, 0) if workers > 1 else subprocess.run(command).returncode
        if status:
            raise SystemExit(status)
        found[way] = _unpacked(np.load(path))
    return found


def table(rows):
    """The lines of the table."""
    with tempfile.TemporaryDirectory() as folder:
        found = all_measured(rows, folder)
    first, *others = WAYS
    heads = [f"{way}: {column}" for way in others for column in COLUMNS]
    yield "| | " + " | ".join(heads) + " |"
    yield "|---" * (1 + len(heads)) + "|"
    for row in rows:
        cells = [differences(found[first][row], found[way][row]) for way in others]
        shown = [f"{cell[column]:.0e}" if column in cell else "" for cell in cells for column in COLUMNS]
        yield f"| {row} | {' | '.join(shown)} |"


def _difference(column, expected, all_expected, found):
    scale = (
        np.abs(expected).max() if column == "losses" else max(np.abs(value).max() for value in all_expected.values())
    )
    return float(np.abs(found - expected).max() / scale) if scale else float(np.abs(found).max())


def values_of(state, prefix=""):
    """{name: array} of what begins so."""
    return {name: tf.convert_to_tensor(v).numpy() for name, v in state.items() if name.startswith(prefix)}


def _unpacked(arrays):
    found = {}
    for key in arrays.files:
        row, column, name = key.split("|")
        found.setdefault(row, {name: {} for name in COLUMNS})[column][name] = arrays[key]
    return found


def _measure(devices, path, rows):
    tf.get_logger().setLevel("ERROR")  # each row is traced anew, which is meant
    one = functools.cache(make_strategy)  # two of them in one process take each other's messages
    with mock.patch.object(wiring.training, "make_strategy", one):
        found = {row: measured(row, devices) for row in rows}
    packed = {
        f"{r}|{c}|{n}": v for r, columns in found.items() for c, values in columns.items() for n, v in values.items()
    }
    place = places.of_tensorflow(os.environ)
    if not place or not place.index:
        np.savez(path, **packed)


def main():
    if sys.argv[1:2] == ["--measure"]:
        _measure(*sys.argv[2:4], json.loads(sys.argv[4]))
        return
    parser = parser_of(__name__)
    parser.add_argument("rows", nargs="*", default=[*ROWS], metavar="ROW", help=f"of {'; '.join(ROWS)} (default: all)")
    rows = parser.parse_args().rows
    unknown = {*rows} - {*ROWS}
    if unknown:
        raise SystemExit(f"no row {', '.join(unknown)}; there are: {'; '.join(ROWS)}")
    for line in table(rows):
        print(line, flush=True)


if __name__ == "__main__":
    main()
