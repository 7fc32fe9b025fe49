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


def write(path: Path, split: str, protocol: str, digest: str, scores: Mapping[str, Any]) -> None:
    """Writes what a calibration has found of the weights with a `digest`. Raises OSError."""
    write_json(path, {"split": split, "protocol": protocol, "weights": digest, **scores})


def read(path: Path, digest: str) -> float:
    """The temperature for the weights with a `digest`.

    Raises:
      ConfigError: there is none, it is of other weights, or the file is damaged.
    """
    again = "`did_tf evaluate --calibration` on the validation split measures it"
    if not path.is_file():
        raise ConfigError(f"there is no temperature of this run, {path}: {again}")
    found = read_json(path, "temperature", "weights")
    if found["weights"] != digest:
        raise ConfigError(f"{path} is of other weights than these: {again} again")
    temperature = found["temperature"]
    if isinstance(temperature, bool) or not isinstance(temperature, (int, float)) or not 0 < temperature < 1e6:
        raise ConfigError(f"{path} is damaged: its temperature is {temperature!r:.50}; {again} again")
    return float(temperature)
