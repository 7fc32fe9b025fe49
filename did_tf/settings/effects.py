"""What a setting needs to have an effect, where that is another setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from did_tf.runs.identity import PROTOCOLS_WITH
from did_tf.training import losses
from did_tf.training.optimizers import is_decoupled


def _of_protocols(names):
    """Entry of `EFFECTS` for a setting that protocols `names` use, in testing or in validation."""
    return f"protocol {' or '.join(names)}", lambda c: not {*names}.isdisjoint(_protocols(c))


def _protocols(config):
    """Names of the protocols that are used: that of validation too, where there is a split for it."""
    validation = [config["train"]["validation"]] if config["dataset"]["val_split"] else []
    return [*validation, *config["evaluate"]["protocols"]]


def _of_term(name):
    """Entry for a setting of a term of the loss."""
    return f"loss.terms.{name}", lambda c: name in losses.used(c["loss"]["terms"])


def _scales_differ(config):
    """Whether height and width may be scaled differently: both stay within `data.scale`."""
    low, high = config["data"]["scale"]
    return low < high and not config["data"]["area"]


def _may_be_decoupled(config):
    """Whether there is a weight decay, and an optimizer that leaves it open how."""
    name, decays = config["optimizer"]["name"], config["optimizer"]["weight_decay"] > 0
    return decays and not is_decoupled(name, "l2")


_OF_VALIDATION = ("train.patience", "train.panels", "train.validation")
EFFECTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "data.scale": ("an empty data.area", lambda c: not c["data"]["area"]),
    "data.aspect": ("a data.scale of two values, and an empty data.area", _scales_differ),
    "data.ratio": ("data.area", lambda c: bool(c["data"]["area"])),
    "data.light_bands": (
        "data.brightness or data.contrast",
        lambda c: c["data"]["brightness"] > 0 or c["data"]["contrast"] > 0,
    ),
    "data.elastic_nodes": ("data.elastic", lambda c: c["data"]["elastic"] > 0),
    "data.erase_area": ("data.erase", lambda c: c["data"]["erase"] > 0),
    "data.paste_classes": ("data.paste", lambda c: c["data"]["paste"] > 0),
    "data.mixup_alpha": ("data.mixup", lambda c: c["data"]["mixup"] > 0),
    "loss.label_smoothing": _of_term("cross_entropy"),
    "loss.focal_gamma": _of_term("focal"),
    "loss.tversky_alpha": _of_term("tversky"),
    "loss.tversky_beta": _of_term("tversky"),
    "loss.ohem_scope": ("loss.ohem_keep", lambda c: c["loss"]["ohem_keep"] > 0),
    "loss.class_frequency": ("loss.class_balance", lambda c: c["loss"]["class_balance"] > 0),
    "optimizer.decay": ("optimizer.weight_decay, and an optimizer.name but adamw and muon", _may_be_decoupled),
    "optimizer.undecayed": ("optimizer.weight_decay", lambda c: c["optimizer"]["weight_decay"] > 0),
    "train.init_options": ("train.init", lambda c: bool(c["train"]["init"])),
    "train.freeze_batch_norm_from": ("train.freeze_batch_norm", lambda c: bool(c["train"]["freeze_batch_norm"])),
    **{key: ("dataset.val_split", lambda c: bool(c["dataset"]["val_split"])) for key in _OF_VALIDATION},
    "schedule.boundaries": ("schedule.name=step", lambda c: c["schedule"]["name"] == "step"),
    "schedule.divisor": ("schedule.name=step", lambda c: c["schedule"]["name"] == "step"),
    "schedule.power": ("schedule.name=poly", lambda c: c["schedule"]["name"] == "poly"),
    "schedule.final": ("schedule.name=exponential", lambda c: c["schedule"]["name"] == "exponential"),
    **{key: _of_protocols(names) for key, names in PROTOCOLS_WITH.items()},
}
"""{setting: (what it needs to have an effect, function of the config that says whether that is so)}."""
OF_SEGMENTATION = (
    "train.validation",
    "train.panels",
    "evaluate.protocols",
    "evaluate.scales",
    "evaluate.overlap",
    "evaluate.flip",
    "evaluate.turns",
    "evaluate.blend",
    "evaluate.average",
)
"""Settings that need data for segmentation: images are classified by their centre crops."""
