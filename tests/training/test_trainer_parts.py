"""The trainer with parts that no config and no wiring has made."""

import time

import numpy as np
import pytest
import tensorflow as tf
from in_memory import InMemory
from tensorflow import keras

from data_pipelines.augment import Augmentation
from data_pipelines.pipeline import Loader
from did_tf.runs import checkpoints, manifest
from did_tf.runs.run_folder import RunFolder, read_json, read_metrics
from did_tf.training import trainer as trainer_module
from did_tf.training.distribution import make_strategy
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.schedules import Schedule
from did_tf.training.supervision import Supervision
from did_tf.training.train_step import TrainStep
from did_tf.training.trainer import Trainer

SIDE, STEPS = 16, 30
TRAIN = {
    "steps": STEPS,
    "extend": 0,
    "batch_size": 4,
    "accumulate": 1,
    "parts": 1,
    "recompute": False,
    "jit_compile": False,
    "ema": 0.0,
    "precision": "float32",
    "sync_batch_norm": False,
    "freeze_batch_norm": "",
    "freeze_batch_norm_from": 0,
    "log_every": 10,
    "validate_every": 10,
    "checkpoint_every": 10,
    "keep_checkpoints": 3,
    "init": "",
    "init_options": (),
    "encoder": "",
    "progress": False,
}
OPTIMIZER = {
    "name": "adam",
    "options": {},
    "weight_decay": 0.0,
    "decay": "l2",
    "undecayed": (),
    "multipliers": {},
    "clip_norm": 0.0,
}


class Told:
    """Stands for a validation, whose scores are told beforehand."""

    scores, remark = {"told": "what was told"}, ""

    def __init__(self, *values):
        self.values, self.splits = iter(values), []

    def __call__(self, split, progress):
        self.splits.append(split)
        return {"told": next(self.values)}, lambda: None


def red_or_not(seed):
    """A drawn image, and the label that says where it is red."""
    image = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    return image, (image[..., 0] > 127).astype(np.uint8)


def network():
    """One convolution: enough to tell red."""
    image = keras.Input((None, None, 3))
    logits = keras.layers.Conv2D(2, 1, name="head.main")(keras.layers.Rescaling(1 / 127.5, -1)(image))
    return keras.Model(image, {"main": logits})


def train_step():
    strategy = make_strategy("cpu")
    with strategy.scope():
        model = network()
        supervision, schedule = Supervision(model, (SIDE, SIDE)), Schedule("constant", 0.1, STEPS)
        return TrainStep(strategy, model, PixelCrossEntropy(), supervision, schedule, OPTIMIZER, TRAIN, seed=1)


CONFIG = {"made": "by hand"}


def trainer_of(folder, validation):
    keras.utils.set_random_seed(0)
    loader = Loader(InMemory({"train": [red_or_not(seed) for seed in range(6)]}), "train", progress=False)
    data = {"split": "train", **manifest.facts(loader.dataset.spec)}
    made = manifest.make(1, ["/device:CPU:0"], data, None, None, {"name": "own"}, "float32")
    return Trainer(
        RunFolder(folder / "run"),
        CONFIG,
        made,
        TRAIN,
        1,
        train_step(),
        loader,
        Augmentation((SIDE, SIDE)),
        validation,
        "elsewhere",
    )


def test_the_next_batch_is_fetched_while_the_first_is_used(tmp_path, monkeypatch):
    made = []

    def elements():
        for number in range(9):
            made.append(number)
            yield number

    batches = tf.data.Dataset.from_generator(elements, output_signature=tf.TensorSpec([], tf.int32))
    monkeypatch.setattr(trainer_module, "training_batches", lambda *_: batches)
    given = iter(trainer_of(tmp_path, Told())._batches(0))
    assert int(next(given)) == 0
    late = time.monotonic() + 10
    while len(made) < 2 and time.monotonic() < late:
        time.sleep(0.01)
    assert len(made) >= 2


def test_parts_of_ones_own_are_trained_and_scored(tmp_path):
    validation = Told(0.5, 0.9, 0.7)
    trainer = trainer_of(tmp_path, validation)
    assert trainer.fit() == pytest.approx(0.9)
    run = trainer.run
    assert read_json(run.config) == CONFIG
    assert validation.splits == ["elsewhere"] * 3
    assert read_json(run.best / "metrics.json") == {"step": 20, "told": 0.9}
    rows = read_metrics(run.metrics)
    assert [row["val_told"] for row in rows] == ["0.5", "0.9", "0.7"]
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    with np.load(run.best / "weights.npz") as best, np.load(checkpoints.saved_steps(run.checkpoints)[1]) as second:
        assert {*best.files} == {"identity", "model/head.main/kernel", "model/head.main/bias"}
        for name in {*best.files} - {"identity"}:
            np.testing.assert_array_equal(best[name], second[name])
