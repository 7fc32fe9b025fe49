"""did_tf measured: an update of an experiment's training through the trainer, or the labelling of one image.

A process of `benchmarks.turns`. Images are drawn, of CamVid's classes, in place of those of the experiment's data.
"""

import json
import sys

from did_tf.common import processor

if __name__ == "__main__" and json.loads(sys.argv[-1])["kind"] == "training":  # before TensorFlow, as `did_tf train`
    processor.ask_for_onednn()

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import contextlib
import tempfile
import time
from unittest import mock

import numpy as np
import tensorflow as tf
from tensorflow import keras

from benchmarks import worker
from did_tf import wiring
from did_tf.analysis import measures, speed
from did_tf.inference import engines
from did_tf.models import units
from did_tf.models.layers import Dropout
from did_tf.runs.run_folder import RunFolder


def on_drawn_frames(experiment, overrides):
    """Settings of an experiment with two batches of drawn frames, as large as CamVid's or the crop, for its data."""
    config = cli.resolve(experiment, RunFolder("nowhere"), overrides)
    config["dataset"] = {**config["dataset"], "name": "synthetic", "val_split": "", "train_split": "train"}
    sizes = {"train": 2 * config["train"]["batch_size"]}
    height, width = config["data"]["crop"]
    config["dataset"]["options"] = {"height": max(360, height), "width": max(480, width), "sizes": sizes}
    config["train"]["progress"] = False
    return config


def prepare(told):
    """({"parameters": of the network}, function to time).

    Args:
      told: "kind", "training" or "inference"; "experiment"; "settings", {key: value} that differ; for inference "side"
        of the image, "precision", and "engine", without which the model itself is called; and "layers", "keras" for
        Keras' own batch normalisation and dropout in the place of did_tf's, "kernels" for Keras' own convolution.
    """
    overrides = [f"--config.{key}={value}" for key, value in told.get("settings", {}).items()]
    config = on_drawn_frames(told["experiment"], overrides)
    with layers(told.get("layers")):
        model, call = training(config) if told["kind"] == "training" else _inference(config, told)
    return {"parameters": measures.parameters(model)}, call


def timed_steps(experiment, settings, steps):
    """(trainer, seconds of each step) of a training of so many steps in this process, with {key: value} that differ."""
    config = on_drawn_frames(experiment, [f"--config.{key}={value}" for key, value in settings.items()])
    with tempfile.TemporaryDirectory() as folder:
        trainer = wiring.make_trainer(config, RunFolder(folder))
    seconds, batches = [], iter(trainer._batches(0))
    for step in range(steps):
        began = time.perf_counter()
        trainer.train_step(next(batches), step).numpy()
        seconds.append(time.perf_counter() - began)
    return trainer, seconds


def training(config):
    """(network, function that makes an update with resolved settings)."""
    with tempfile.TemporaryDirectory() as folder:
        trainer = wiring.make_trainer(config, RunFolder(folder))
    batch = next(iter(trainer._batches(0)))
    return trainer.model, lambda: trainer.train_step(batch, tf.constant(0, tf.int32)).numpy()


def _inference(config, told):
    spec, precision = wiring.make_spec(config), told["precision"]
    engine = engines.choose(told["engine"], precision) if "engine" in told else None
    precision = engine.precision_of_model if engine else precision
    model = wiring.make_model(config, spec, precision, config["evaluate"]["options"])
    predictor = wiring.make_predictor(config, model, outputs=["main"], engine=engine)
    image = np.random.default_rng(0).integers(0, 256, (told["side"], told["side"], spec.bands), np.uint8)
    return model, lambda: predictor(image)


def _keras_convolution(*arguments, gain=1.0, **options):
    return keras.layers.Conv2D(*arguments, **options)


def _keras_dropout(rate, scaled=False, **options):
    return keras.layers.Dropout(rate, **options)


def _scaling_dropout(rate, scaled=False, **options):
    return Dropout(rate, **options)


_OTHERS = {
    "kernels": {"Convolution": _keras_convolution, "Dropout": _scaling_dropout},
    "keras": {
        "FusedBatchNormalization": keras.layers.BatchNormalization,
        "Dropout": _keras_dropout,
        "gain_of": lambda rate: 1.0,  # which scales by itself
    },
}


@contextlib.contextmanager
def layers(*kinds):
    """Within it networks have other layers: of the kinds "keras" and "kernels", see `prepare`; None is no kind."""
    with contextlib.ExitStack() as stack:
        for name, layer in [item for kind in kinds for item in _OTHERS.get(kind, {}).items()]:
            stack.enter_context(mock.patch.object(units, name, layer))
        yield


if __name__ == "__main__":
    worker.serve(prepare, speed.most_held)
