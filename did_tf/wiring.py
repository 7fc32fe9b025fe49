"""From a resolved config (a plain dict) to the parts of a run. The programs and the trainer meet here."""

import dataclasses

import numpy as np

import data_pipelines
from data_pipelines.augment import Augmentation
from data_pipelines.records import Prepared
from data_pipelines.spec import IGNORE
from did_tf import models
from did_tf.classification import Classifier
from did_tf.distribution import set_precision
from did_tf.errors import ConfigError
from did_tf.inference import Predictor
from did_tf.losses import PixelCrossEntropy
from did_tf.validation import ClassificationValidation, SegmentationValidation

PROTOCOLS = ("whole", "tiles")
NO_LABEL = -1  # classification ignores nothing, and 255 may be one of its classes


def make_dataset(config, training=False):
    """The data set of `config.dataset`. Raises `DataError`.

    For training (and the validation in it) that is the records of `dataset.prepared` where that is set. Whatever else
    there is to do takes the files, of which benchmarks need more than images and labels.
    """
    settings = config["dataset"]
    if not (training and settings["prepared"]):
        return data_pipelines.load(settings["name"], settings["folder"] or None, **settings["options"])
    dataset = Prepared(settings["prepared"])
    dataset.check_source(settings["name"], settings["options"], make_spec(config))
    return dataset


def make_spec(config):
    """The `DatasetSpec` of `config.dataset`, whose files need not be there. Raises `DataError`."""
    settings = config["dataset"]
    return data_pipelines.spec_of(settings["name"], settings["folder"] or None, **settings["options"])


def make_model(config, spec, precision="float32", changes=None):
    """The network of `config.model` with the options `changes`, for the classes and bands of `spec`.

    Activations are in `precision`.
    """
    set_precision(precision)
    options = {key: value for key, value in config["model"].items() if key != "name"}
    options.update(changes or {})
    shape = (None, None, spec.bands)
    model = models.build(config["model"]["name"], spec.num_classes, shape, mean=spec.mean, std=spec.std, **options)
    if (task := models.task(model)) != spec.task:
        raise ConfigError(
            f"the model {config['model']['name']} is for {task}, the data set {spec.name} for {spec.task}"
        )
    return model


def make_augmentation(config):
    """The `Augmentation` of `config.data`."""
    names = [field.name for field in dataclasses.fields(Augmentation)]
    return Augmentation(**{name: config["data"][name] for name in names})


def make_pixel_loss(config, loader):
    """The loss of `config.loss`; class weights are measured on `loader` where they are asked for."""
    settings = config["loss"]
    weights = tuple(settings["class_weights"]) or _balance(loader, settings["class_balance"])
    classes = loader.dataset.spec.num_classes
    if weights and len(weights) != classes:
        raise ConfigError(f"loss.class_weights has {len(weights)} entries; the data set has {classes} classes")
    if weights and (min(weights) < 0 or not max(weights)):
        raise ConfigError(f"loss.class_weights must be 0 or more, and one of them above 0, got {weights}")
    ohem = {key: settings[f"ohem_{key}"] for key in ("threshold", "keep", "scope")}
    ignore = NO_LABEL if loader.dataset.spec.task == "classification" else IGNORE
    return PixelCrossEntropy(class_weights=weights or None, ignore=ignore, **ohem)


def make_predictor(config, model, protocol="whole", outputs=None):
    """A `Predictor` for a protocol of `config.evaluate`: "whole" image, or "tiles" of the crop's size at its scales.

    `outputs` are those that are wanted, None for all.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    settings = config["evaluate"]
    if protocol == "whole":
        return Predictor(model, flip=settings["flip"], outputs=outputs)
    crop = tuple(config["data"]["crop"])
    return Predictor(model, crop, settings["overlap"], tuple(settings["scales"]), settings["flip"], outputs=outputs)


def make_classifier(config, model):
    """A `Classifier` of centre crops of the size of the training crops."""
    return Classifier(model, config["data"]["crop"])


def make_validation(config, model, dataset):
    """What scores `model` during training: on whole images, or on centre crops where images are classified."""
    if dataset.spec.task == "classification":
        return ClassificationValidation(make_classifier(config, model), dataset)
    return SegmentationValidation(make_predictor(config, model), dataset, config["train"]["panels"])


def _balance(loader, power):
    """(median frequency / frequency) ** power per class, as SegNet's class balancing; classes never seen weigh 1."""
    if not power:
        return ()
    counts = loader.class_counts().astype(float)
    seen = counts > 0
    weights = np.ones(len(counts))
    weights[seen] = (np.median(counts[seen]) / counts[seen]) ** power
    return tuple(round(float(weight), 4) for weight in weights)
