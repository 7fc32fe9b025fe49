"""SPLIT_calibration.json in a run: the temperature by which `predict` and `export` tell how sure the network is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json
from did_tf.runs.run_folder import RunFolder, apart, read_json


def file_of(run: RunFolder, protocol: str, split: str) -> Path:
    """Where the temperature of a run is, by a protocol, fitted on a split."""
    return apart(run.evaluation, protocol, None) / name_of(split)


def name_of(split: str) -> str:
    """Name of the file."""
    return f"{split}_calibration.json"


def write(
    path: Path, split: str, protocol: str, digest: str, scores: Mapping[str, Any], settings: Mapping[str, Any] = {}
) -> None:
    """Writes what a calibration has found of the weights with a `digest`, by `settings` of testing. Raises OSError."""
    write_json(path, {"split": split, "protocol": protocol, "weights": digest, "settings": settings, **scores})


def read(
    path: Path, digest: str, settings: Mapping[str, Any] = {}, alone: bool = False, protocol: str = "whole"
) -> float:
    """The temperature for the weights with a `digest`, by `settings` of testing, {name: value} as from JSON.

    Of a network `alone`, as it is exported, these can't be others, and the message says so. It names the `protocol`.

    Raises:
      ConfigError: there is none, it is of other weights or settings, or the file is damaged. Older files don't tell
        settings.
    """
    again = f"`did_tf evaluate --calibration --protocol={protocol}` on the validation split measures it"
    if not path.is_file():
        raise ConfigError(f"there is no temperature of this run, {path}: {again}")
    found = read_json(path, "temperature", "weights")
    if found["weights"] != digest:
        raise ConfigError(f"{path} is of other weights than these: {again} again")
    was = found.get("settings", {})
    if not isinstance(was, dict):
        raise ConfigError(f"{path} is damaged: its settings are {was!r:.50}; {again} again")
    if others := [key for key in settings if was.get(key, settings[key]) != settings[key]]:
        key, where = others[0], "what is exported has" if alone else "here it is"
        told = f"{path} is of {key} {was[key]}, and {where} {settings[key]}"
        with_it = f"with --config.{key}={settings[key]}" if alone else "put that back; or, with it,"
        raise ConfigError(f"{told}: {with_it} {again} anew")
    temperature = found["temperature"]
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not 0 < temperature < 1e6:
        raise ConfigError(f"{path} is damaged: its temperature is {temperature!r:.50}; {again} again")
    return float(temperature)
