"""What every setting of experiments/base.py may be: its kind and range, what it excludes, and what it needs.

All is checked before data are read or a network is built.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from data_pipelines.spec import DatasetSpec
from did_tf import models
from did_tf.common.errors import ConfigError, nearest
from did_tf.common.kinds import ANY, ANY_MAP
from did_tf.runs.identity import flatten
from did_tf.settings.conflicts import Config, conflicts
from did_tf.settings.effects import EFFECTS, OF_SEGMENTATION
from did_tf.settings.kinds import KINDS, OPEN, PROTOCOLS
from did_tf.training import losses, optimizers

__all__ = [
    "KINDS",
    "OF_SEGMENTATION",
    "OPEN",
    "PROTOCOLS",
    "check",
    "check_each",
    "check_kinds",
    "check_loss",
    "may_be",
    "without_effect",
]

_TESTING = ("dataset.", "model.", "data.crop", "evaluate.", "crf.")


def check(config: Config, training: bool = True) -> None:
    """Raises `ConfigError` for the first setting that is missing, unknown, of another kind, or at odds with another.

    Args:
      config: resolved settings, as plain dicts.
      training: whether it is to be trained with. Else only what testing uses is looked at, and what the settings of an
        older run lack or have besides is nobody's fault.
    """
    check_each(config, training)
    if training:
        for conflict in conflicts(config):
            raise ConfigError(conflict)


def check_each(config: Config, training: bool = True) -> None:
    """As `check`, but for what settings exclude of each other: each is looked at by itself."""
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


def check_kinds(config: Config, section: str) -> None:
    """Raises `ConfigError` for the first setting of a section that is of another kind, whatever it is for."""
    for key, kind in KINDS.items():
        if key.startswith(f"{section}."):
            kind.check(key, _value(config, key))


def check_loss(loss: Mapping[str, Any], spec: DatasetSpec, images: int | str = "auto") -> None:
    """Raises `ConfigError` where settings of the section `loss` don't go with the data set.

    `images` is `train.batch_size`.
    """
    classifies = spec.task == "classification"
    losses.class_weights(loss["class_weights"], spec)
    if classifies and loss["class_balance"] and loss["class_frequency"] == "segnet":
        raise ConfigError(
            f"loss.class_frequency=segnet is for segmentation: {spec.name} has one class per image, which would all "
            "weigh 1; set it to all"
        )
    regions = [name for name in losses.used(loss["terms"]) if name in losses.REGION_TERMS]
    if classifies and regions:
        raise ConfigError(
            f"loss.terms: {' and '.join(regions)} need regions, and {spec.name} has one label per image; use "
            f"{' or '.join(losses.PIXEL_TERMS)}"
        )
    if spec.regions:
        _check_loss_of_regions(loss, spec)
    if classifies and loss["ohem_keep"] and loss["ohem_scope"] == "image":
        raise ConfigError(f"loss.ohem_keep: {spec.name} has one label per image; set loss.ohem_scope=batch")
    if classifies and images != "auto" and loss["ohem_keep"] >= images:
        raise ConfigError(
            f"loss.ohem_keep={loss['ohem_keep']} keeps everything: {spec.name} has one label per image, and "
            f"train.batch_size={images}"
        )


def _check_loss_of_regions(loss, spec):
    """Raises `ConfigError` where `loss` takes each pixel to be of one thing alone, and `spec` has regions."""
    terms, has = losses.used(loss["terms"]), f"{spec.name} has regions in its dataset.yaml"
    overlaps = [name for name in terms if name in losses.REGION_TERMS]
    if loss["label_smoothing"]:
        raise ConfigError(f"loss.label_smoothing is for classes that exclude each other, and {has}: set it to 0")
    if alone := [name for name in overlaps if name in losses.EXCLUSIVE_TERMS]:
        raise ConfigError(f"loss.terms: {alone[0]} is for classes that exclude each other, and {has}: leave it out")
    if overlaps and not {*terms} & {*losses.PIXEL_TERMS}:
        raise ConfigError(
            f"loss.terms: {' and '.join(overlaps)} can't teach where a region is not, and {has}: add one of "
            f"{', '.join(losses.PIXEL_TERMS)}"
        )
    for key in ("class_weights", "class_balance"):
        if overlaps and loss[key]:
            nothing = "()" if key == "class_weights" else "0"
            raise ConfigError(
                f"loss.{key} is of classes, {' and '.join(overlaps)} of loss.terms is of regions, and {has}: set "
                f"--config.loss.{key}={nothing}, or leave the terms of regions out"
            )


def may_be(config: Config, key: str, value: Any) -> bool:
    """Whether a setting may have a value, by its kind; where it may have any, whether it has one of its type now."""
    group, _, name = key.rpartition(".")
    options = models.option_kinds(config["model"]["name"])
    kind = options.get(name, ANY) if group == "model" else KINDS.get(key, ANY)
    if kind is not ANY:
        return kind.holds(value)
    if group in OPEN and KINDS[group] is not ANY_MAP:
        return KINDS[group].holds({name: value})
    return type(flatten(config).get(key)) is type(value)


def without_effect(config: Config, keys: Iterable[str], task: str = "segmentation") -> list[str]:
    """A line for each setting among `keys`, as they were given, that changes nothing in a valid `config`.

    `task` is that of the data set.
    """
    keys = [*keys]
    needs = {key: need for key, (need, is_there) in EFFECTS.items() if key in keys and not is_there(config)}
    if task == "classification":
        needs.update({key: "data for segmentation" for key in OF_SEGMENTATION if key in keys})
    return [f"{key}={_value(config, key)} has no effect: it needs {need}" for key, need in needs.items()]


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
