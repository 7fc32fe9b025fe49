"""Settings that are "auto", as what they come to: on this machine, or in the run that goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from did_tf.runs.run_folder import RunFolder
from did_tf.training.distribution import best_precision, emulated
from did_tf.wiring.data import Config

AUTO = "auto"


def resolved(config: Config, run: RunFolder) -> Config:
    """`config` with a value for every setting that is "auto": the run's own where there is one, else the best here.

    A batch size is left as it is where there is no run: how large it may be depends on the network. What was chosen is
    told in a line each, and so is a precision that this machine only emulates.
    """
    train, was = dict(config["train"]), _of_run(run)
    if train["precision"] == AUTO:
        train["precision"], why = _precision(train["devices"], was)
        print(f"train.precision=auto: {train['precision']}, for {why}")
    if train["batch_size"] == AUTO and (size := was.get("batch_size", AUTO)) != AUTO:
        train["batch_size"] = size
        print(f"train.batch_size=auto: {size}, for the run was started so")
    if warning := emulated(train["precision"], train["devices"]):
        print(f"note: train.precision={train['precision']}: {warning}")
    return {**config, "train": train}


def _precision(devices: str, was: Mapping[str, Any]) -> tuple[str, str]:
    best, why = best_precision(devices)
    kept = was.get("precision", AUTO)
    return (best, why) if kept in (AUTO, best) else (kept, f"the run was started so (here it would be {best}: {why})")


def _of_run(run: RunFolder) -> Mapping[str, Any]:
    """The section `train` of a run's settings; empty where it has not been started."""
    return run.settings().get("train", {}) if run.config.is_file() else {}
