"""Settings as older versions wrote them into runs, in the words of this one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RENAMED = {"model.align_corners": "model.placement=corners (or areas, where it was False)"}
"""Settings that have another name here, and what to say in place of them."""


def settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """A run's config.json, nested, with every setting by the name and the value that it has here."""
    found = {**config, "model": network(config.get("model", {}))}
    train = config.get("train", {})
    if isinstance(frozen := train.get("freeze_batch_norm"), bool):
        found["train"] = {**train, "freeze_batch_norm": "all" if frozen else ""}
    if "evaluate" in config:
        options = config["evaluate"].get("options", {})
        found["evaluate"] = {**config["evaluate"], "options": _placed(options)}
    return found


def network(model: Mapping[str, Any]) -> dict[str, Any]:
    """The same of a network, "name" and options, as config.json and weights have it."""
    if model.get("name") == "duc":
        return {"placement": "areas", **model}  # there was no choice
    return _placed(model)


def _placed(options):
    """`align_corners` is the `placement` of two kinds."""
    found = {key: value for key, value in options.items() if key != "align_corners"}
    if "align_corners" in options:
        found["placement"] = "corners" if options["align_corners"] else "areas"
    return found
