"""From a resolved config (a plain dict) to the parts of a run. The four programs and the trainer meet here."""

import numpy as np

import data_pipelines
from data_pipelines.augment import Augmentation
from did_tf import models
from did_tf.distribution import set_precision
from did_tf.errors import ConfigError
from did_tf.inference import Predictor
from did_tf.losses import PixelCrossEntropy

PROTOCOLS = ("whole", "tiles")


def make_dataset(config):
    """The data set of `config.dataset`. Raises `DataError`."""
    settings = config["dataset"]
    return data_pipelines.load(settings["name"], settings["folder"] or None, **settings["options"])


def make_model(config, spec, precision="float32"):
    """The network of `config.model` for the classes and bands of `spec`, activations in `precision`."""
    set_precision(precision)
    options = {key: value for key, value in config["model"].items() if key != "name"}
    shape = (None, None, spec.bands)
    return models.build(config["model"]["name"], spec.num_classes, shape, mean=spec.mean, std=spec.std, **options)


def make_augmentation(config):
    """The `Augmentation` of `config.data`."""
    return Augmentation(**{key: value for key, value in config["data"].items() if key != "cache"})


def make_pixel_loss(config, loader):
    """The loss of `config.loss`; class weights are measured on `loader` where they are asked for."""
    settings = config["loss"]
    weights = tuple(settings["class_weights"]) or _balance(loader, settings["class_balance"])
    classes = loader.dataset.spec.num_classes
    if weights and len(weights) != classes:
        raise ConfigError(f"loss.class_weights has {len(weights)} entries; the data set has {classes} classes")
    ohem = {key: settings[f"ohem_{key}"] for key in ("threshold", "keep", "scope")}
    return PixelCrossEntropy(class_weights=weights or None, **ohem)


def make_predictor(config, model, protocol="whole"):
    """A `Predictor` for a protocol of `config.evaluate`: "whole" image, or "tiles" of the crop's size at its scales."""
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    settings = config["evaluate"]
    if protocol == "whole":
        return Predictor(model, flip=settings["flip"])
    crop = tuple(config["data"]["crop"])
    return Predictor(model, crop, settings["overlap"], tuple(settings["scales"]), settings["flip"])


def _balance(loader, power):
    """(median frequency / frequency) ** power per class, as SegNet's class balancing; classes never seen weigh 1."""
    if not power:
        return ()
    counts = loader.class_counts().astype(float)
    seen = counts > 0
    weights = np.ones(len(counts))
    weights[seen] = (np.median(counts[seen]) / counts[seen]) ** power
    return tuple(round(float(weight), 4) for weight in weights)
