"""What settings exclude of each other, though each is all right by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from data_pipelines.augment.options import MIXES
from did_tf import models
from did_tf.runs.identity import last_step
from did_tf.training import losses

Config = Mapping[str, Any]
"""Resolved settings: a plain dict of the sections that experiments/base.py explains."""


def conflicts(config: Config) -> Iterator[str]:
    """What is wrong with settings that are each all right, one by one."""
    yield from _of_data(config["dataset"])
    yield from _of_augmentation(config["data"])
    yield from _of_loss(config)
    yield from _of_schedule(config["schedule"], config["train"]["steps"])
    yield from _of_training(config)


def _of_data(dataset):
    train, val = dataset["train_split"].split("+"), dataset["val_split"]
    if "test" in train or val == "test":
        yield "the test split is for `evaluate` alone: train on train or train+val, validate on val"
    if len(set(train)) < len(train):
        yield f"dataset.train_split={dataset['train_split']} has a split twice: name each once"


def _of_augmentation(data):
    shares, apart = [data[name] for name in MIXES], min(data["crop"]) / data["elastic_nodes"]
    if sum(shares) > 1 + 1e-6:
        names, told = ", ".join(f"data.{name}" for name in MIXES), " + ".join(f"{share:g}" for share in shares)
        yield f"{names}: a crop is mixed in one way, so these shares of the crops are together at most 1, got {told}"
    if data["paste"] and not data["paste_classes"]:
        yield f"data.paste={data['paste']:g} needs data.paste_classes, the names of the classes to paste"
    if data["elastic"] > apart / 8:
        yield (
            f"data.elastic={data['elastic']:g} would fold crops whose data.elastic_nodes are {apart:.4g} pixels apart: "
            f"at most an eighth of that, {apart / 8:.3g}"
        )
    if data["elastic"] and data["area"]:
        yield "data.elastic and data.area exclude each other: boxes of an area are not deformed"


def _of_loss(config):
    loss, (height, width) = config["loss"], config["data"]["crop"]
    weights, outputs, keep = loss["class_weights"], loss["output_weights"], loss["ohem_keep"]
    terms, mines = losses.used(loss["terms"]), keep or loss["ohem_threshold"]
    if not terms:
        yield f"loss.terms leaves nothing to train: {dict(loss['terms'])}"
    elif mines and not {*terms} & {*losses.PIXEL_TERMS}:
        yield (
            f"loss.ohem_keep and loss.ohem_threshold choose pixels, and {' and '.join(terms)} of loss.terms takes "
            f"whole regions: set both to 0, or add one of {', '.join(losses.PIXEL_TERMS)}"
        )
    if weights and loss["class_balance"]:
        yield (
            "loss.class_weights and loss.class_balance exclude each other: "
            "set --config.loss.class_balance=0, or leave the weights out"
        )
    if weights and not isinstance(weights, Mapping) and not any(weights):
        yield f"loss.class_weights must have one above 0, got {tuple(weights)}"
    if outputs and not any(outputs.values()):
        yield f"loss.output_weights leaves nothing to train: {dict(outputs)}"
    if config["data"]["mixup"] and keep and loss["ohem_scope"] == "batch":  # they are ranked without what they weigh
        yield (
            "data.mixup and loss.ohem_scope=batch exclude each other: the hardest pixels of a batch would be those of "
            "the labels that weigh least; set loss.ohem_scope=image, or data.mixup=0"
        )
    images = config["train"]["batch_size"] if loss["ohem_scope"] == "batch" else 1
    if keep and images != "auto" and keep >= (pixels := height * width * images):
        yield f"loss.ohem_keep={keep} keeps everything: data.crop has {pixels} pixels per {loss['ohem_scope']}"


def _of_schedule(schedule, steps):
    warmup, boundaries = schedule["warmup"], list(schedule["boundaries"])
    if warmup >= steps:
        yield (
            f"schedule.warmup={warmup} must be less than train.steps={steps}: "
            f"shorten it too, as --config.schedule.warmup={steps // 10}"
        )
    if boundaries != sorted(boundaries):
        yield f"schedule.boundaries must rise, got {tuple(boundaries)}"
    if schedule["name"] == "step" and round(boundaries[0] * steps) < warmup:
        yield (
            f"schedule.boundaries begin at step {round(boundaries[0] * steps)} of train.steps={steps}, "
            f"within schedule.warmup={warmup}: shorten that"
        )


def _of_training(config):
    train, factors = config["train"], config["optimizer"]["multipliers"]
    if train["batch_size"] != "auto" and train["batch_size"] % (train["accumulate"] * train["parts"]):
        yield (
            f"train.batch_size={train['batch_size']} can't be shared by {train['accumulate']} micro-batches x "
            f"{train['parts']} parts: use a multiple of {train['accumulate'] * train['parts']}"
        )
    if train["init"] and train["encoder"]:
        yield (
            f"train.encoder={train['encoder']} would replace the encoder of train.init={train['init']}: "
            "leave one empty, as --config.train.encoder="
        )
    if train["hours"] and train["deterministic"]:
        yield (
            f"train.hours={train['hours']:g} and train.deterministic exclude each other: a schedule by the clock is "
            "another one in every run"
        )
    if train["jit_compile"] and train["recompute"]:  # it drops the order in which features are to be computed again
        yield (
            "train.jit_compile and train.recompute exclude each other: XLA computes what is equal once, and keeps it"
        )
    if train["jit_compile"] and "boundary" in losses.used(config["loss"]["terms"]):
        yield "train.jit_compile and boundary of loss.terms exclude each other: XLA computes no distances"
    frozen_from = train["freeze_batch_norm_from"]
    if train["sync_batch_norm"] and train["freeze_batch_norm"] and not frozen_from:
        yield "train.sync_batch_norm has nothing to do where train.freeze_batch_norm is set: choose one"
    if train["freeze_batch_norm"] and frozen_from >= last_step(train):
        yield f"train.freeze_batch_norm_from={frozen_from} must be less than train.steps={train['steps']}"
    if train["shifted_passes"] and config["loss"]["resolution"] != "features":
        yield 'train.shifted_passes needs loss.resolution="features"'
    if all(factors.get(part) == 0 for part in models.PARTS):
        yield f"optimizer.multipliers leaves nothing to train: {dict(factors)}"
