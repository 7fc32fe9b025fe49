"""From a resolved config (a plain dict) to the parts of a run: the one place that knows its sections by name."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

import data_pipelines
from data_pipelines.augment import Augmentation
from data_pipelines.learnable import check_classes, check_scored
from data_pipelines.own_data.description import read_description
from data_pipelines.own_data.parts import Part
from data_pipelines.pipeline import Loader, check_apart
from data_pipelines.records import Prepared
from data_pipelines.spec import IGNORE, DataError, Dataset, DatasetSpec
from did_tf import models
from did_tf.common.errors import ConfigError
from did_tf.inference import export, inputs, trained
from did_tf.inference.memory import Fitting, sizes_of
from did_tf.inference.predictor import Predictor
from did_tf.runs.identity import PROTOCOLS_WITH, last_step
from did_tf.runs.run_folder import RunFolder
from did_tf.runs.weights import Weights
from did_tf.scoring.classification import Classifier
from did_tf.scoring.evaluation import MAIN
from did_tf.scoring.validation import ClassificationValidation, SegmentationValidation
from did_tf.settings import PROTOCOLS, check, check_loss
from did_tf.training import losses
from did_tf.training.distribution import check_shares, make_strategy, set_precision
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.origin import check_sources, manifest_of
from did_tf.training.readiness import check_learnable, check_model
from did_tf.training.schedules import Schedule
from did_tf.training.supervision import Supervision
from did_tf.training.train_step import TrainStep
from did_tf.training.trainer import Trainer

NO_LABEL = -1  # classification ignores nothing, and 255 may be one of its classes

Config = dict[str, Any]
"""Resolved settings, as in a run's config.json, a plain dict of the sections that experiments/base.py explains."""


def make_dataset(config: Config, training: bool = False) -> Dataset:
    """The data set of `config.dataset`. Raises `DataError`.

    For training (and the validation in it) that is the records of `dataset.prepared` where that is set; and what was
    made from the files, these records or statistics of the bands, must be of the files that are there. Whatever else
    there is to do takes the files, of which benchmarks need more than images and labels.
    """
    settings, progress = config["dataset"], config["train"]["progress"]
    if not (training and settings["prepared"]):
        files = _load(settings)
        if training:
            files.check_statistics(progress)
        return files
    records = Prepared(settings["prepared"])
    records.check_source(settings["name"], settings["options"], make_spec(config))
    try:
        files = _load(settings)
    except DataError as error:
        print(f"note: the records can't be compared with their files: {error}", file=sys.stderr)
        return records
    files.check_statistics(progress)
    splits = f"{settings['train_split']}+{settings['val_split']}".split("+")
    records.check_files(files, filter(None, splits), progress)
    return records


def _load(settings):
    return data_pipelines.load(settings["name"], settings["folder"] or None, **settings["options"])


def make_spec(config: Config) -> DatasetSpec:
    """The `DatasetSpec` of `config.dataset`, whose files need not be there. Raises `DataError`."""
    settings = config["dataset"]
    return data_pipelines.spec_of(settings["name"], settings["folder"] or None, **settings["options"])


def make_model(
    config: Config, spec: DatasetSpec, precision: str = "float32", changes: Mapping[str, Any] | None = None
) -> keras.Model:
    """The network of `config.model`, with new weights.

    Args:
      config: resolved settings.
      spec: whose classes, bands, mean and std the network has.
      precision: of its activations, "float32", "bfloat16" or "float16".
      changes: options of the network in place of those of `config.model`.

    Raises:
      ConfigError: the network is not for the task of `spec`.
      ValueError: unknown name, option or precision, or a bad value.
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


def make_augmentation(config: Config) -> Augmentation:
    """The `Augmentation` of `config.data`. Raises `DataError` for a value out of its range."""
    names = [field.name for field in dataclasses.fields(Augmentation)]
    return Augmentation(**{name: config["data"][name] for name in names})


def make_pixel_loss(config: Config, loader: Loader) -> PixelCrossEntropy:
    """The loss of `config.loss`; class weights are measured on `loader` where they are asked for.

    Raises:
      ConfigError: class weights that don't fit the classes, or can't be weights; an option of mining is out of range.
      DataError: weights are asked for, and a file is bad.
    """
    loss, spec = config["loss"], loader.dataset.spec
    check_loss(loss, spec)
    given = losses.class_weights(loss["class_weights"], spec)
    weights = given or _balance(loader, loss["class_balance"], loss["class_frequency"])
    if ignored := [name for name, weight in zip(spec.classes, weights) if not weight]:
        print(f"classes of weight 0, which are not trained: {', '.join(ignored)}")
    ohem = {key: loss[f"ohem_{key}"] for key in ("threshold", "keep", "scope")}
    ignore = NO_LABEL if spec.task == "classification" else IGNORE
    return PixelCrossEntropy(class_weights=weights or None, ignore=ignore, **ohem)


def make_predictor(
    config: Config, model: keras.Model, protocol: str = "whole", outputs: Sequence[str] | None = None
) -> Predictor:
    """A `Predictor` for a protocol of `config.evaluate`.

    Args:
      config: resolved settings.
      model: the network.
      protocol: of `PROTOCOLS`: the "whole" image, the whole image at the "scales" of the settings, "tiles" of the
        training crop's size at these scales, or "tiles_once", at scale 1 alone.
      outputs: those that are wanted, None for all.

    Raises:
      ConfigError: unknown protocol.
      ValueError: a setting is out of range, or the network doesn't take such tiles.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    settings = config["evaluate"]
    in_tiles, at_scales = (protocol in PROTOCOLS_WITH[f"evaluate.{key}"] for key in ("overlap", "scales"))
    tile = tuple(config["data"]["crop"]) if in_tiles else None
    scales = tuple(settings["scales"]) if at_scales else (1.0,)
    return Predictor(model, tile, settings["overlap"], scales, settings["flip"], outputs=outputs)


def make_fitting(config: Config, model: keras.Model, spec: DatasetSpec, protocol: str, **options: Any) -> Fitting:
    """The `Fitting` of a protocol, with `outputs` as of `make_predictor`, which raises, and further `options`."""
    make = functools.partial(make_predictor, config, model, outputs=options.pop("outputs", None))
    return Fitting(make, protocol, np.dtype(spec.dtype).itemsize, **options)


def make_classifier(config: Config, model: keras.Model) -> Classifier:
    """A `Classifier` of centre crops of the size of the training crops, `config.data.crop`."""
    return Classifier(model, config["data"]["crop"])


def make_validation(
    config: Config, model: keras.Model, dataset: Dataset
) -> SegmentationValidation | ClassificationValidation:
    """What scores `model` during training: as `train.validation`, or on centre crops where images are classified."""
    if dataset.spec.task == "classification":
        return ClassificationValidation(make_classifier(config, model), dataset)
    split, how = config["dataset"]["val_split"], config["train"]["validation"]
    fitting = make_fitting(config, model, dataset.spec, how, outputs=[MAIN])
    predictor = fitting.make(fitting.all(sizes_of(dataset, dataset.samples(split) if split else [])))
    return SegmentationValidation(predictor, dataset, config["train"]["panels"])


def make_supervision(config: Config, strategy: tf.distribute.Strategy, model: keras.Model) -> Supervision:
    """The `Supervision` of `model`, which was made in the scope of `strategy`. Raises `ConfigError`."""
    loss, train = config["loss"], config["train"]
    with strategy.scope():
        weights, resolution = loss["output_weights"], loss["resolution"]
        return Supervision(model, config["data"]["crop"], weights, resolution, train["shifted_passes"])


def make_train_step(
    config: Config,
    strategy: tf.distribute.Strategy,
    model: keras.Model,
    pixel_loss: PixelCrossEntropy,
    supervision: Supervision,
) -> TrainStep:
    """The `TrainStep` of `model`, which was made in the scope of `strategy`. Raises `ConfigError` for a bad setting."""
    optimizer, train, seed = config["optimizer"], config["train"], config["seed"]
    with strategy.scope():
        return TrainStep(strategy, model, pixel_loss, supervision, make_schedule(config), optimizer, train, seed)


def make_schedule(config: Config) -> Schedule:
    """The `Schedule` of `config.schedule` over all steps, those of `train.extend` too. Raises ValueError."""
    names = ("name", "learning_rate", "steps", "warmup", "boundaries", "divisor", "power", "final")
    settings = {**config["schedule"], "steps": last_step(config["train"])}
    return Schedule(*(settings[name] for name in names))


def make_trainer(config: Config, run: RunFolder) -> Trainer:
    """The `Trainer` of `config` in a `RunFolder`, which goes on where an earlier process stopped.

    Raises:
      ConfigError, DataError, ValueError: a setting, the data or the folder is no good; nothing has been trained.
    """
    check(config)
    train = config["train"]
    augmentation, dataset = make_augmentation(config), make_dataset(config, training=True)
    augmentation.check(dataset.spec)
    check_classes(dataset.spec)
    check_loss(config["loss"], dataset.spec)
    train_split, val_split = _splits(config, dataset)
    check_sources(train, run)
    strategy = make_strategy(train["devices"])
    check_shares(train, strategy.num_replicas_in_sync)
    keras.utils.set_random_seed(config["seed"])  # of the initial weights
    with strategy.scope():
        model = make_model(config, dataset.spec, train["precision"])
    check_model(model, config["data"]["crop"], config["optimizer"]["multipliers"])
    supervision = make_supervision(config, strategy, model)
    if val_split:
        check_scored(dataset, val_split)
    loader = Loader(dataset, train_split, config["data"]["cache"], train["progress"])
    pixel_loss = make_pixel_loss(config, loader)
    check_learnable(loader, augmentation, config["seed"], supervision, pixel_loss)
    train_step = make_train_step(config, strategy, model, pixel_loss, supervision)
    validation = make_validation(config, model, dataset)
    network, seed, precision = models.described(config["model"]), config["seed"], train["precision"]
    depends = manifest_of(train_step, loader, val_split, seed, network, precision, train["progress"])
    return Trainer(run, config, depends, train, seed, train_step, loader, augmentation, validation, val_split)


def load_network(config: Config, source: str | Path) -> tuple[keras.Model, DatasetSpec, Weights]:
    """A trained network, in float32 and with the options of `evaluate.options`.

    The files of its data set need not be there.

    Args:
      config: resolved settings.
      source: run folder or weights file, see `weights.file_of`.

    Returns:
      The network; the descriptor of its data set; and the weights.

    Raises:
      ConfigError: there are no such weights, or they don't fit, or are of other things than the settings say; see
        `trained.find`.
      DataError: unknown data set or option.
    """
    spec, changes = make_spec(config), config["evaluate"]["options"]
    found = trained.find(source, config["model"], changes, spec)
    model = make_model(config, spec, changes=changes)
    found = found.loaded_into(model)
    print(f"weights from {found.file}")
    return model, spec, found


def example_images(config: Config, spec: DatasetSpec) -> list[np.ndarray]:
    """Two images to compare on, of the validation or else the training split; noise where there are no data."""
    splits = config["dataset"]["val_split"], config["dataset"]["train_split"].split("+")[0]
    return inputs.first_images(lambda: make_dataset(config), splits, 2) or export.random_images(spec)


def make_parts(config: Config) -> tuple[Part, ...]:
    """The `Part`s of a user's own data, by its dataset.yaml (or `DataError`); none of other data sets."""
    settings = config["dataset"]
    if settings["name"] != "folders":
        return ()
    return read_description(settings["folder"] or "data/folders").parts


def _splits(config, dataset):
    """Names of the splits to train and to validate on, the latter maybe empty. Raises where two share samples."""
    train, val = config["dataset"]["train_split"], config["dataset"]["val_split"]
    check_apart(dataset, train, val)
    return train, val


def _balance(loader, power, frequency):
    """(median frequency / frequency) ** power per class; classes never seen weigh 1. Empty without a power."""
    if not power:
        return ()
    counts = loader.class_counts()
    weights = counts.median_frequency_weights() if frequency == "segnet" else counts.balance_weights()
    return tuple((weights**power).tolist())
