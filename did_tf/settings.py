"""What every setting of experiments/base.py may be: its kind and range, what it excludes, and what it needs.

All is checked before data are read or a network is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from data_pipelines.spec import DatasetSpec
from did_tf import models
from did_tf.common.errors import ConfigError, nearest
from did_tf.common.kinds import (
    ANY,
    EMPTY,
    FLAG,
    TEXT,
    Kind,
    by_class,
    choice,
    either,
    mapping,
    number,
    pair,
    pattern,
    sequence,
    whole,
)
from did_tf.runs.identity import PROTOCOLS_WITH, last_step
from did_tf.training import distribution, losses, optimizers, schedules, supervision

Config = Mapping[str, Any]
"""Resolved settings: a plain dict of the sections that experiments/base.py explains."""

PROTOCOLS = ("whole", "scales", "tiles", "tiles_once")
"""How an image goes through the network in testing, see `wiring.make_predictor`."""
FREQUENCIES = ("all", "segnet")
"""What the frequency of a class is its pixels over: those of all images, or those of the images that have the class."""
FREEZES = ("", "statistics", "all")
"""What of batch norm is fixed in training."""
_WEIGHT = number("[0, inf)")
_WIDTH = number("[1, 200]")  # pixels: the CRF's lattice counts in 16 bits; and wider ones make its tiles larger
_SHARE, _RANGE = number("[0, 1)"), pair(number("(0, inf)"), "(low, high)")

KINDS: dict[str, Kind] = {
    "seed": whole("[0, 2147483645]"),  # the augmentation's is the next one
    "dataset.name": pattern("the name of a data set", ".+"),
    "dataset.folder": TEXT,
    "dataset.prepared": TEXT,
    "dataset.options": mapping(ANY),
    "dataset.train_split": pattern("the name of a split, or several joined by +", r"[^+]+(\+[^+]+)*"),
    "dataset.val_split": pattern("the name of one split, or empty for no validation", "[^+]*"),
    "model.name": pattern("the name of a model", ".+"),
    "data.crop": pair(whole("[1, 32768]"), "(height, width)"),
    "data.scale": pair(number("[0.01, 100]"), "(low, high)"),
    "data.aspect": _SHARE,
    "data.flip_horizontal": FLAG,
    "data.flip_vertical": FLAG,
    "data.rotation": number("[0, 180]"),
    "data.balance": number("[0, 1]"),
    "data.brightness": _SHARE,
    "data.contrast": _SHARE,
    "data.light_bands": sequence(TEXT, distinct=True),
    "data.saturation": number("[0, 1]"),
    "data.hue": number("[0, 0.5]"),
    "data.colour_noise": number("[0, 10]"),
    "data.noise": number("[0, 10]"),
    "data.blur": number("[0, 100]"),
    "data.area": either(EMPTY, pair(number("(0, 1]"), "(low, high)")),
    "data.ratio": pair(number("[0.01, 100]"), "(low, high)"),
    "data.cache": FLAG,
    "loss.ohem_threshold": number("[0, 1]"),
    "loss.ohem_keep": whole("[0, inf)"),
    "loss.ohem_scope": choice(losses.SCOPES),
    "loss.class_balance": number("[0, 2]"),
    "loss.class_frequency": choice(FREQUENCIES),
    "loss.class_weights": either(sequence(_WEIGHT), by_class(_WEIGHT)),
    "loss.output_weights": mapping(number("[0, inf)")),
    "loss.resolution": choice(supervision.RESOLUTIONS),
    "optimizer.name": pattern(f"one of {', '.join(optimizers.NAMES)}, tfa.CLASS", ".+"),
    "optimizer.options": mapping(ANY),
    "optimizer.weight_decay": number("[0, 10]"),
    "optimizer.decay": choice(optimizers.DECAYS),
    "optimizer.undecayed": sequence(choice(models.PARTS), distinct=True),
    "optimizer.multipliers": mapping(number("[0, 1000]"), models.PARTS),
    "optimizer.clip_norm": number("[0, inf)"),
    "schedule.name": choice(schedules.NAMES),
    "schedule.learning_rate": number("(0, inf)"),
    "schedule.warmup": whole("[0, inf)"),
    "schedule.boundaries": sequence(number("(0, 1)"), least=1, distinct=True),
    "schedule.divisor": number("[1, inf)"),
    "schedule.power": number("(0, inf)"),
    "schedule.final": number("(0, 1]"),
    "train.steps": whole("[1, inf)"),
    "train.extend": whole("[0, inf)"),
    "train.batch_size": whole("[1, inf)"),
    "train.accumulate": whole("[1, inf)"),
    "train.precision": choice(tuple(distribution.PRECISIONS)),
    "train.devices": pattern("auto, cpu, gpu, gpu:N or cpu*N", r"auto|cpu(\*[1-9]\d*)?|gpu(:\d+)?"),
    "train.sync_batch_norm": FLAG,
    "train.ema": _SHARE,
    "train.freeze_batch_norm": choice(FREEZES),
    "train.freeze_batch_norm_from": whole("[0, inf)"),
    "train.shifted_passes": FLAG,
    "train.init": TEXT,
    "train.init_options": sequence(TEXT, distinct=True),
    "train.encoder": TEXT,
    "train.log_every": whole("[1, inf)"),
    "train.checkpoint_every": whole("[1, inf)"),
    "train.validate_every": whole("[1, inf)"),
    "train.validation": choice(PROTOCOLS),
    "train.keep_checkpoints": whole("[1, inf)"),
    "train.panels": whole("[0, inf)"),
    "train.progress": FLAG,
    "evaluate.protocols": sequence(choice(PROTOCOLS), least=1, distinct=True),
    "evaluate.scales": sequence(number("[0.01, 100]"), least=1, distinct=True),
    "evaluate.overlap": _SHARE,
    "evaluate.flip": FLAG,
    "evaluate.options": mapping(ANY),
    "crf.iterations": whole("[1, 1000]"),
    "crf.appearance_weight": _WEIGHT,
    "crf.appearance_xy": _WIDTH,
    "crf.appearance_colour": number("[1, 255]"),
    "crf.smoothness_weight": _WEIGHT,
    "crf.smoothness_xy": _WIDTH,
    "paper": mapping(ANY),
}
"""The kind of every setting but the options of the model, whose kinds the model says (`models.check_options`)."""

OPEN = ("dataset.options", "loss.output_weights", "optimizer.options", "optimizer.multipliers", "evaluate.options")
"""Settings that take any key: what they are passed to knows which there are."""
_TESTING = ("dataset.", "model.", "data.crop", "evaluate.", "crf.")


def _of_protocols(names):
    """Entry of `EFFECTS` for a setting that protocols `names` use, in testing or in validation."""
    return (
        f"protocol {' or '.join(names)}",
        lambda c: not {*names}.isdisjoint([c["train"]["validation"], *c["evaluate"]["protocols"]]),
    )


EFFECTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "data.scale": ("an empty data.area", lambda c: not c["data"]["area"]),
    "data.aspect": ("an empty data.area", lambda c: not c["data"]["area"]),
    "data.ratio": ("data.area", lambda c: bool(c["data"]["area"])),
    "data.light_bands": (
        "data.brightness or data.contrast",
        lambda c: c["data"]["brightness"] > 0 or c["data"]["contrast"] > 0,
    ),
    "loss.ohem_scope": ("loss.ohem_keep", lambda c: c["loss"]["ohem_keep"] > 0),
    "loss.class_frequency": ("loss.class_balance", lambda c: c["loss"]["class_balance"] > 0),
    "train.freeze_batch_norm_from": ("train.freeze_batch_norm", lambda c: bool(c["train"]["freeze_batch_norm"])),
    "schedule.boundaries": ("schedule.name=step", lambda c: c["schedule"]["name"] == "step"),
    "schedule.divisor": ("schedule.name=step", lambda c: c["schedule"]["name"] == "step"),
    "schedule.power": ("schedule.name=poly", lambda c: c["schedule"]["name"] == "poly"),
    "schedule.final": ("schedule.name=exponential", lambda c: c["schedule"]["name"] == "exponential"),
    **{key: _of_protocols(names) for key, names in PROTOCOLS_WITH.items()},
}
"""{setting: (what it needs to have an effect, function of the config that says whether that is so)}."""


def check(config: Config, training: bool = True) -> None:
    """Raises `ConfigError` for the first setting that is missing, unknown, of another kind, or at odds with another.

    Args:
      config: resolved settings, as plain dicts.
      training: whether it is to be trained with. Else only what testing uses is looked at, and what the settings of an
        older run lack or have besides is nobody's fault.
    """
    if training:
        _check_names(config)
    for key, kind in KINDS.items():
        if training or key.startswith(_TESTING):
            kind.check(key, _value(config, key))
    model = {key: value for key, value in config["model"].items() if key != "name"}
    models.check_options(config["model"]["name"], model)
    models.check_options(config["model"]["name"], config["evaluate"]["options"], "evaluate.options")
    if training:
        models.check_names(config["model"]["name"], config["train"]["init_options"], "train.init_options")
        optimizers.check_options(config["optimizer"]["name"], config["optimizer"]["options"])
        for conflict in _conflicts(config):
            raise ConfigError(conflict)


def check_loss(loss: Mapping[str, Any], spec: DatasetSpec) -> None:
    """Raises `ConfigError` where settings of the section `loss` don't go with the data set."""
    classifies = spec.task == "classification"
    losses.class_weights(loss["class_weights"], spec)
    if classifies and loss["class_balance"] and loss["class_frequency"] == "segnet":
        raise ConfigError(
            f"loss.class_frequency=segnet is for segmentation: {spec.name} has one class per image, which would all "
            "weigh 1; set it to all"
        )
    if classifies and loss["ohem_keep"] and loss["ohem_scope"] == "image":
        raise ConfigError(f"loss.ohem_keep: {spec.name} has one label per image; set loss.ohem_scope=batch")


def without_effect(config: Config, keys: Iterable[str]) -> list[str]:
    """A line for each setting among `keys`, as they were given, that changes nothing in a valid `config`."""
    idle = [key for key in EFFECTS if key in keys and not EFFECTS[key][1](config)]
    return [f"{key}={_value(config, key)} has no effect: it needs {EFFECTS[key][0]}" for key in idle]


def _value(config, key):
    for part in key.split("."):
        if not isinstance(config, dict) or part not in config:
            raise ConfigError(f"the setting {key} is missing")
        config = config[part]
    return config


def _check_names(config):
    """Raises `ConfigError` for a setting that nothing reads, as a slip in an experiment's file is."""
    for key in _keys(config):
        if key not in KINDS and not key.startswith("model."):
            raise ConfigError(f"unknown setting {key!r}{nearest(key, KINDS)}")


def _keys(config, prefix=""):
    for name, value in config.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key not in KINDS:
            yield from _keys(value, f"{key}.")
        else:
            yield key


def _conflicts(config: Config) -> Iterator[str]:
    """What is wrong with settings that are each all right, one by one."""
    yield from _conflicts_of_data(config["dataset"])
    yield from _conflicts_of_loss(config)
    yield from _conflicts_of_schedule(config["schedule"], config["train"]["steps"])
    yield from _conflicts_of_training(config)


def _conflicts_of_data(dataset):
    train, val = dataset["train_split"].split("+"), dataset["val_split"]
    if "test" in train or val == "test":
        yield "the test split is for `evaluate` alone: train on train or train+val, validate on val"
    if len(set(train)) < len(train):
        yield f"dataset.train_split={dataset['train_split']} has a split twice: name each once"


def _conflicts_of_loss(config):
    loss, (height, width) = config["loss"], config["data"]["crop"]
    weights, outputs, keep = loss["class_weights"], loss["output_weights"], loss["ohem_keep"]
    if weights and loss["class_balance"]:
        yield (
            "loss.class_weights and loss.class_balance exclude each other: "
            "set --config.loss.class_balance=0, or leave the weights out"
        )
    if weights and not isinstance(weights, Mapping) and not any(weights):
        yield f"loss.class_weights must have one above 0, got {tuple(weights)}"
    if outputs and not any(outputs.values()):
        yield f"loss.output_weights leaves nothing to train: {dict(outputs)}"
    pixels = height * width * (config["train"]["batch_size"] if loss["ohem_scope"] == "batch" else 1)
    if keep and keep >= pixels:
        yield f"loss.ohem_keep={keep} keeps everything: data.crop has {pixels} pixels per {loss['ohem_scope']}"


def _conflicts_of_schedule(schedule, steps):
    warmup, boundaries = schedule["warmup"], list(schedule["boundaries"])
    if warmup >= steps:
        yield f"schedule.warmup={warmup} must be less than train.steps={steps}"
    if boundaries != sorted(boundaries):
        yield f"schedule.boundaries must rise, got {tuple(boundaries)}"
    if schedule["name"] == "step" and round(boundaries[0] * steps) < warmup:
        yield (
            f"schedule.boundaries begin at step {round(boundaries[0] * steps)} of train.steps={steps}, "
            f"within schedule.warmup={warmup}: shorten that"
        )


def _conflicts_of_training(config):
    train, factors = config["train"], config["optimizer"]["multipliers"]
    if train["batch_size"] % train["accumulate"]:
        yield (
            f"train.batch_size={train['batch_size']} can't be shared by {train['accumulate']} micro-batches: "
            f"use a multiple of {train['accumulate']}"
        )
    if train["init"] and train["encoder"]:
        yield (
            f"train.encoder={train['encoder']} would replace the encoder of train.init={train['init']}: "
            "leave one empty, as --config.train.encoder="
        )
    frozen_from = train["freeze_batch_norm_from"]
    if train["sync_batch_norm"] and train["freeze_batch_norm"] and not frozen_from:
        yield "train.sync_batch_norm has nothing to do where train.freeze_batch_norm is set: choose one"
    if train["freeze_batch_norm"] and frozen_from >= last_step(train):
        yield f"train.freeze_batch_norm_from={frozen_from} must be less than train.steps={train['steps']}"
    if train["shifted_passes"] and config["loss"]["resolution"] != "features":
        yield 'train.shifted_passes needs loss.resolution="features"'
    if all(factors.get(part) == 0 for part in models.PARTS):
        yield f"optimizer.multipliers leaves nothing to train: {dict(factors)}"
