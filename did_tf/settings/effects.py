"""What a setting needs to have an effect, where that is another setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from did_tf.runs.identity import PROTOCOLS_WITH
from did_tf.training import losses


def _of_protocols(names):
    """Entry of `EFFECTS` for a setting that protocols `names` use, in testing or in validation."""
    return (
        f"protocol {' or '.join(names)}",
        lambda c: not {*names}.isdisjoint([c["train"]["validation"], *c["evaluate"]["protocols"]]),
    )


def _of_term(name):
    """Entry for a setting of a term of the loss."""
    return f"loss.terms.{name}", lambda c: name in losses.used(c["loss"]["terms"])


EFFECTS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "data.scale": ("an empty data.area", lambda c: not c["data"]["area"]),
    "data.aspect": ("an empty data.area", lambda c: not c["data"]["area"]),
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
    "train.freeze_batch_norm_from": ("train.freeze_batch_norm", lambda c: bool(c["train"]["freeze_batch_norm"])),
    "train.patience": ("dataset.val_split", lambda c: bool(c["dataset"]["val_split"])),
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
