"""All that one training of a config takes."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_pipelines.learnable import check_classes, check_scored
from data_pipelines.memory import free_memory
from data_pipelines.pipeline import Loader, check_apart
from data_pipelines.records import Record
from data_pipelines.spec import IGNORE, Dataset
from did_tf import models
from did_tf.analysis.graph import Graph
from did_tf.analysis.room import Need, check_room, free_on_gpu, largest_batch, of_loss
from did_tf.cluster.workers import Workers
from did_tf.common.errors import ConfigError
from did_tf.common.readout import readout_of
from did_tf.inference.memory import sizes_of
from did_tf.runs.checkpoints import saved_steps
from did_tf.runs.identity import flatten, last_step, may_differ
from did_tf.runs.run_folder import RunFolder
from did_tf.settings import check, check_loss
from did_tf.training import losses, optimizers
from did_tf.training.distribution import (
    check_shares,
    compute_deterministically,
    is_on_cpu,
    make_strategy,
    share_cores,
)
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.origin import check_sources, manifest_of
from did_tf.training.readiness import (
    check_batch_norm,
    check_learnable,
    check_model,
    check_readable,
    tell_absent,
)
from did_tf.training.schedules import Schedule, Timed
from did_tf.training.supervision import Supervision
from did_tf.training.train_step import TrainStep
from did_tf.training.trainer import Trainer
from did_tf.wiring.data import Config, make_augmentation, make_dataset
from did_tf.wiring.networks import make_model, make_validation
from did_tf.wiring.resolved import AUTO, resolved

_ALIKE = ("data", "validation", "class_weights", "network", "draws", "packages", "git_commit")
"""What of a manifest has to be the same for all workers."""
GROWTH = 0.25
"""By how much what other processes hold of the memory may grow beside a batch that is as large as can be."""
NO_LABEL = -1  # classification ignores nothing, and 255 may be one of its classes


def make_trainer(config: Config, run: RunFolder) -> Trainer:
    """The `Trainer` of `config` in a `RunFolder`, which goes on where an earlier process stopped.

    Raises:
      ConfigError, DataError, ValueError: a setting, the data or the folder is no good; nothing has been trained.
    """
    check(config)
    config = resolved(config, run)
    share_cores(config["train"]["parts"])
    if config["train"]["deterministic"]:
        compute_deterministically()
    strategy = make_strategy(config["train"]["devices"])
    workers = Workers(strategy)
    augmentation, dataset = make_augmentation(config), make_dataset(config, training=True)
    augmentation.check(dataset.spec)
    check_classes(dataset.spec)
    check_loss(config["loss"], dataset.spec, config["train"]["batch_size"])
    train_split, val_split = _splits(config, dataset)
    check_sources(config["train"], run)
    check_shares(config["train"], strategy.num_replicas_in_sync)
    keras.utils.set_random_seed(config["seed"])  # of the initial weights
    with strategy.scope():
        model = make_model(config, dataset.spec, config["train"]["precision"])
    check_model(model, config["data"]["crop"], config["optimizer"]["multipliers"])
    tell_absent(model, {key: config["optimizer"][key] for key in ("multipliers", "undecayed")})
    supervision = make_supervision(config, strategy, model)
    samples = sum(len(dataset.samples(part)) for part in train_split.split("+"))
    kept = memory_kept(config, dataset) if is_on_cpu(strategy) else 0
    config = _with_room(config, strategy, supervision, workers.count, samples, kept)
    _check_keep(config, supervision)
    _check_positions(config, strategy, model)
    train = config["train"]
    goes_on = workers.agreed(len(saved_steps(run.checkpoints)))  # others than the chief have no folder
    if val_split:
        check_scored(dataset, val_split)
        if dataset.spec.task == "segmentation" and not goes_on:
            check_readable(dataset, [val_split], train["progress"])
    loader = Loader(dataset, train_split, config["data"]["cache"], train["progress"])
    pixel_loss = make_pixel_loss(config, loader)
    check_learnable(loader, augmentation, config["seed"], supervision, pixel_loss)
    train_step = make_train_step(config, strategy, model, pixel_loss, supervision)
    validation = make_validation(config, model, dataset, workers, run.validated_by())
    network, seed, precision = models.described(config["model"]), config["seed"], train["precision"]
    depends = manifest_of(
        train_step, loader, val_split, validation.protocol, seed, network, precision, train["progress"]
    )
    workers.check_same({**_decisive(config), **{key: depends[key] for key in _ALIKE}})
    return Trainer(run, config, depends, train, seed, train_step, loader, augmentation, validation, val_split)


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
    """The `Schedule` of `config.schedule` over all steps, those of `train.extend` too, `Timed` with `train.hours`.

    Raises ValueError.
    """
    names = ("name", "learning_rate", "steps", "warmup", "boundaries", "divisor", "power", "final")
    settings = {**config["schedule"], "steps": last_step(config["train"])}
    return (Timed if config["train"]["hours"] else Schedule)(*(settings[name] for name in names))


def make_pixel_loss(config: Config, loader: Loader) -> PixelCrossEntropy:
    """The loss of `config.loss`; class weights are measured on `loader` where they are asked for.

    Raises:
      ConfigError: class weights that don't fit the classes, or can't be weights; an option of mining is out of range.
      DataError: weights are asked for, and a file is bad.
    """
    loss, spec = config["loss"], loader.dataset.spec
    check_loss(loss, spec, config["train"]["batch_size"])
    given = losses.class_weights(loss["class_weights"], spec)
    weights = given or _balance(loader, loss["class_balance"], loss["class_frequency"])
    if ignored := [name for name, weight in zip(spec.classes, weights) if not weight]:
        print(f"classes of weight 0, which are not trained: {', '.join(ignored)}")
    ohem = {key: loss[f"ohem_{key}"] for key in ("threshold", "keep", "scope")}
    ignore = NO_LABEL if spec.task == "classification" else IGNORE
    terms = {key: loss[key] for key in ("terms", "label_smoothing", "focal_gamma", "tversky_alpha", "tversky_beta")}
    return PixelCrossEntropy(class_weights=weights or None, ignore=ignore, **ohem, **terms, readout=readout_of(spec))


def memory_needed(config: Config, supervision: Supervision, devices: int) -> Need:
    """What the training of `config` takes of memory that `devices` share."""
    moments = optimizers.moments(config["optimizer"]["name"], config["optimizer"]["options"])
    kept = of_loss(losses.used(config["loss"]["terms"]), config["data"]["mixup"] > 0)
    return Need(supervision.network, config["data"]["crop"], config["train"], moments, devices, kept)


def memory_kept(config: Config, dataset: Dataset) -> int:
    """Bytes of the images and labels that `data.cache` keeps, by the headers of their files; 0 without it.

    Records count as on the disk, compressed ones too little; what is drawn, or can't be read, counts as nothing.
    """
    if not config["data"]["cache"]:
        return 0
    spec, taken = dataset.spec, 0
    pixel = spec.bands * np.dtype(spec.dtype).itemsize + (spec.task == "segmentation")
    for part in config["dataset"]["train_split"].split("+"):
        samples = dataset.samples(part)
        taken += sum(sample.length for sample in samples if isinstance(sample, Record))
        sizes = sizes_of(dataset, [sample for sample in samples if sample.image])
        taken += pixel * sum(height * width for height, width in sizes.values())
    return taken


def _decisive(config):
    """{setting: value} of those that results depend on."""
    return {key: value for key, value in flatten(config).items() if not may_differ(key)}


def _with_room(config, strategy, supervision, workers, samples, kept=0):
    """`config` with a number for the batch size. Raises `ConfigError` where there is no room for the batch.

    On a CPU the images that are `kept`, so many bytes, take of the same memory, and are read later.
    """
    train, devices = config["train"], strategy.num_replicas_in_sync // workers
    if train["batch_size"] == AUTO and workers > 1:
        raise ConfigError("train.batch_size=auto is for one process: set a number, of crops of all workers together")
    on_cpu = is_on_cpu(strategy)
    # Each GPU has a share of the batch, and as much for it as the others.
    free = free_memory() if on_cpu else devices * free_on_gpu()
    if train["batch_size"] == AUTO:
        spared = free - free_memory(GROWTH) if on_cpu else 0
        need = memory_needed(config, supervision, devices)
        size = largest_batch(need, free, not on_cpu, samples, max(0, spared), kept)
        config = {**config, "train": {**train, "batch_size": size}}
        check(config)
    elif not train["shifted_passes"]:  # which take less than their network in one pass
        share = {**train, "batch_size": train["batch_size"] // workers}  # of each, for its own memory
        check_room(memory_needed({**config, "train": share}, supervision, devices), free, not on_cpu, kept)
    return config


def _check_keep(config, supervision):
    """Raises `ConfigError` where mining would leave nothing out of features, which are fewer than the crop's pixels."""
    loss = config["loss"]
    if not loss["ohem_keep"] or loss["resolution"] == "full":
        return
    label = tf.zeros([1, *config["data"]["crop"]], tf.uint8)
    passes = [supervision.labels(label, shift) for shift in supervision.passes]
    labels = max(sum(int(tf.size(of[name])) for of in passes) for name in supervision.weights)
    labels *= config["train"]["batch_size"] if loss["ohem_scope"] == "batch" else 1
    if loss["ohem_keep"] >= labels:
        raise ConfigError(
            f"loss.ohem_keep={loss['ohem_keep']} keeps everything: with loss.resolution=features an output is compared "
            f"with {labels} labels per {loss['ohem_scope']}"
        )


def _check_positions(config, strategy, model):
    """Raises `ConfigError` where batch norm that is trained would see a single position in a pass."""
    train = config["train"]
    apart = 1 if train["sync_batch_norm"] else strategy.num_replicas_in_sync
    images = train["batch_size"] // (apart * train["accumulate"] * train["parts"])
    if images == 1 and (not train["freeze_batch_norm"] or train["freeze_batch_norm_from"]):
        check_batch_norm(model, Graph(model, *config["data"]["crop"]).sizes, images)


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
