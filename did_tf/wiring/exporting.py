"""What an exported network is made of, and judged by."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
from tensorflow import keras

from data_pipelines.pipeline import shared_samples
from data_pipelines.spec import DataError, Dataset, DatasetSpec
from did_tf.inference import inputs
from did_tf.inference.contract import Network
from did_tf.inference.export import random_images
from did_tf.inference.gate import Gate, Score
from did_tf.runs import selection
from did_tf.scoring import classification, evaluation
from did_tf.scoring.classification import Classifier
from did_tf.scoring.evaluation import MAIN
from did_tf.training.distribution import set_precision
from did_tf.wiring.data import Config, make_dataset
from did_tf.wiring.networks import make_model

CALIBRATION = 32
"""Images that ranges of 8-bit features are chosen by."""


def make_network(
    config: Config,
    model: keras.Model,
    spec: DatasetSpec,
    identity: Mapping[str, Any],
    calibrate: bool,
    temperature: float = 1.0,
) -> Network:
    """A trained `Network`.

    Args:
      config: resolved settings.
      model: with its weights, in float32.
      spec: of its data.
      identity: what it depends on.
      calibrate: whether it needs images of the training split; there are none where these can't be read.
      temperature: of its probabilities.
    """

    def rebuilt(precision: str) -> keras.Model:
        try:
            other = make_model(config, spec, precision, config["evaluate"]["options"])
        finally:
            set_precision("float32")
        other.set_weights(model.get_weights())
        return other

    return Network(model, spec, identity, _calibration(config) if calibrate else (), rebuilt, temperature)


def scored_split(config: Config) -> str:
    """The split that exports are scored on: that of validation, or "val" where training had none, as a fold has."""
    return config["dataset"]["val_split"] or "val"


def make_gate(config: Config, network: Network, score: Score | None) -> Gate:
    """The `Gate` of a network: images of the validation or else the training split; noise where there are no data."""
    splits = scored_split(config), config["dataset"]["train_split"].split("+")[0]
    images = inputs.first_images(lambda: make_dataset(config), splits, 2)
    source = "images of the data set" if images else "random images, for there were no others"
    return Gate(network, images or random_images(network.spec), score, source)


def make_score(config: Config, model: keras.Model, limit: int | None) -> Score | None:
    """mIoU of whole images of `scored_split`, or accuracy on centre crops where images are classified.

    None, and a line that says so, where there is no such split that can be read, or the network has learnt from it.

    Args:
      config: resolved settings.
      model: whose probabilities are scored, or those of what it was exported to.
      limit: take the first so many images only.
    """
    split = scored_split(config)
    dataset = _readable(config, split, "nothing is scored", unseen=not config["dataset"]["val_split"])
    if dataset is None:
        return None
    show = sys.stderr.isatty()

    def segmentation(probabilities):
        def predict(image):
            return {MAIN: probabilities(image[None])[0]}

        return evaluation.evaluate(predict, dataset, split, show, limit).matrices[MAIN].mean_iou()

    def classes(probabilities):
        def forward(crops):
            return {MAIN: np.log(np.maximum(probabilities(crops.astype(dataset.spec.dtype)), 1e-30))}

        classifier = Classifier(model, config["data"]["crop"], forward=forward)
        return 1 - classification.evaluate(classifier, dataset, split, show, limit).error(1)

    return classes if dataset.spec.task == "classification" else segmentation


def _readable(config: Config, split: str, otherwise: str, unseen: bool = False) -> Dataset | None:
    """The data set, if it has samples of the split, of which, where that is `unseen`, the network has learnt none."""
    try:
        dataset = make_dataset(config)
        samples = dataset.samples(split)
        learnt = selection.sharing(dataset, config["dataset"]["train_split"], split) if unseen else []
        if shared_samples(learnt, samples):
            raise DataError(f"no split is held out for validation, and the network has learnt from {split}")
        return dataset
    except DataError as error:
        print(f"{otherwise}: {error}")
        return None


def _calibration(config):
    """Centres, of the size of training crops, of images from all over the training split."""
    split = config["dataset"]["train_split"].split("+")[0]
    dataset = _readable(config, split, "no ranges can be chosen for int8")
    if dataset is None:
        return ()
    samples = dataset.samples(split)
    chosen = samples[:: max(1, len(samples) // CALIBRATION)][:CALIBRATION]
    return [_centre(dataset.read_image(sample), config["data"]["crop"]) for sample in chosen]


def _centre(image, size):
    top, left = (max(0, (side - wanted) // 2) for side, wanted in zip(image.shape, size))
    return image[top : top + size[0], left : left + size[1]]
