"""A training whose parts no config and no wiring has made: one convolution that tells red."""

import numpy as np
from in_memory import InMemory
from tensorflow import keras

from data_pipelines.augment import Augmentation
from data_pipelines.pipeline import Loader
from did_tf.runs import manifest
from did_tf.runs.run_folder import RunFolder
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
    "hours": 0.0,
    "patience": 0,
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

    def __call__(self, split, progress, between):
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


def train_step(schedule=None):
    strategy = make_strategy("cpu")
    with strategy.scope():
        model = network()
        supervision, schedule = Supervision(model, (SIDE, SIDE)), schedule or Schedule("constant", 0.1, STEPS)
        return TrainStep(strategy, model, PixelCrossEntropy(), supervision, schedule, OPTIMIZER, TRAIN, seed=1)


def loader():
    return Loader(InMemory({"train": [red_or_not(seed) for seed in range(6)]}), "train", progress=False)


def trainer(folder, validation, step, val_split="elsewhere", **train):
    """A `Trainer` of `step`, a `TrainStep`, that scores by `validation`; `train` are changes of `TRAIN`."""
    data, config = loader(), {"made": "by hand"}
    content = {"split": "train", "samples": len(data), "fingerprint": "drawn", "meaning": "red"}
    about = {**content, **manifest.facts(data.dataset.spec)}
    made = manifest.make(1, ["/device:CPU:0"], about, None, None, {"name": "own"}, "float32")
    crop, train = Augmentation((SIDE, SIDE)), {**TRAIN, **train}
    return Trainer(RunFolder(folder), config, made, train, 1, step, data, crop, validation, val_split)
