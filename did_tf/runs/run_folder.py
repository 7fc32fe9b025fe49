"""The folder of one run: config.json, manifest.json, metrics.csv, checkpoints/, best/, tensorboard/, evaluation/."""

from __future__ import annotations

import csv
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.spec import DatasetSpec
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json

_PACKAGES = ("did_tf", "tensorflow", "tensorflow-cpu", "keras", "tensorflow-addons", "numpy", "opencv-python")
# What may change between the start of a run and its continuation: none of it changes the batches or the arithmetic.
_FREE = ("dataset.folder", "dataset.prepared", "paper", "evaluate") + tuple(
    f"train.{name}" for name in ("devices", "progress", "checkpoint_every", "keep_checkpoints", "panels")
)


class RunFolder:
    """Paths and files of a run. Nothing is made before `start`.

    Args:
      folder: its path.
      experiment: name of the experiment, for the manifest; None where it has none.

    Attributes:
      checkpoints: folder of the newest states of training, step_STEP.npz.
      best: folder of the weights to use, weights.npz, and their scores, metrics.json.
      tensorboard: folder of TensorBoard's event files.
      evaluation: folder of reports, SPLIT.json or PROTOCOL/SPLIT.json.
      saved_model: folder of the exported network.
      metrics: metrics.csv, a row per logged step.
      config: config.json, all settings.
      manifest: manifest.json, see `make_manifest`.
    """

    def __init__(self, folder: Path | str, experiment: str | None = None) -> None:
        self.folder, self.experiment = Path(folder), experiment
        self.checkpoints = self.folder / "checkpoints"
        self.best = self.folder / "best"
        self.tensorboard = self.folder / "tensorboard"
        self.evaluation = self.folder / "evaluation"
        self.saved_model = self.folder / "saved_model"
        self.metrics = self.folder / "metrics.csv"
        self.config = self.folder / "config.json"
        self.manifest = self.folder / "manifest.json"

    def trained_by(self) -> str | None:
        """Name of the experiment that the run is of, or None where nothing says it. Raises `ConfigError`."""
        return read_json(self.manifest).get("experiment") if self.manifest.is_file() else None

    def check_trained_on(self, spec: DatasetSpec) -> None:
        """Raises `ConfigError` where the run was trained on other classes or pixels than those of a `DatasetSpec`."""
        was = read_json(self.manifest).get("data", {}) if self.manifest.is_file() else {}
        for key, now in json.loads(json.dumps(facts(spec))).items():  # where tuples are lists
            if was.get(key, now) != now:
                raise ConfigError(
                    f"{self.folder} was trained with {key} {str(was[key]):.60}, but {spec.name} has {str(now):.60} "
                    "now: put the data's description back as it was, or train anew"
                )

    def start(self, config: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
        """Creates the folder, or checks that it was started with the same settings, and records them.

        Args:
          config: all settings, nested, of JSON's types and tuples.
          manifest: see `make_manifest`.

        Raises:
          ConfigError: the settings are others (see `changed`), or the folder can't be made or written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if self.config.is_file():
                self._check_same(config)
            write_json(self.config, config)
            write_json(self.manifest, {"experiment": self.experiment, **manifest})
        except OSError as error:
            raise ConfigError(f"cannot write to run folder {self.folder}: {error.strerror}; pass --run=dir") from None

    def _check_same(self, config):
        # Through JSON, where tuples are lists.
        old, new = flatten(read_json(self.config)), flatten(json.loads(json.dumps(config)))
        keys = changed(old, new)
        if keys:
            told = ", ".join(f"{key} ({old.get(key)}, now {new.get(key)})" for key in keys[:3])
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise ConfigError(f"{self.folder} was started with other settings: {told}{more}; use another --run=dir")


def default_run(experiment: str) -> Path:
    """Run folder of experiment NAME[:ARG] where none is given: "did_table3:row7" -> runs/did_table3_row7."""
    module, argument = split_name(experiment)
    return Path("runs") / "_".join(part for part in (Path(module).stem, Path(argument).name) if part)


def split_name(experiment: str) -> tuple[str, str]:
    """(name or path, argument or "") of an experiment: "did_table3:row7" -> ("did_table3", "row7")."""
    drive, rest = os.path.splitdrive(experiment)  # the colon of Windows' C:
    name, _, argument = rest.partition(":")
    return drive + name, argument


class MetricsFile:
    """metrics.csv: a row per logged step.

    Args:
      path: of the file, which may be there already.
      columns: their names, "step" among them.
      step: that the run goes on from. Rows beyond it, left by a run that was killed, are dropped.

    Raises:
      OSError: the file can't be read or written.
    """

    def __init__(self, path: Path | str, columns: Sequence[str], step: int) -> None:
        self.path, self.columns = Path(path), columns
        rows = [row for row in read_metrics(path) if int(row["step"]) <= step] if self.path.is_file() else []
        partial = self.path.with_suffix(".partial")
        with open(partial, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(partial, self.path)

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends `row` {column: value}; columns it lacks stay empty. Raises ValueError for others."""
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns).writerow(row)


def read_metrics(path: Path | str) -> list[dict[str, str]]:
    """Rows of a metrics.csv, as {column: text}; a last line that was cut short is left out."""
    with open(path, newline="", encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if None not in row.values() and (row["step"] or "").isdigit()]


def make_manifest(
    seed: int, devices: Sequence[str], data: Mapping[str, Any], class_weights: Sequence[float] | None
) -> dict[str, Any]:
    """What a run was made with: command, versions, commit and machine, which are found here, and the arguments.

    Args:
      seed: of the whole run.
      devices: TensorFlow's names of those that compute.
      data: what the run is trained on: split, number of samples, fingerprint and `facts`.
      class_weights: one per class; None without.
    """
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
        "git_commit": _git_commit(),
        "machine": {"system": platform.platform(), "cores": os.cpu_count()},
        "devices": devices,
        "seed": seed,
        "data": data,
        "class_weights": class_weights,
    }


def facts(spec: DatasetSpec) -> dict[str, Any]:
    """What a network depends on of a data set, for the manifest: classes, type of pixels, mean and deviation."""
    return {key: getattr(spec, key) for key in ("classes", "dtype", "mean", "std")}


def read_json(path: Path | str) -> Any:
    """Content of a JSON file. Raises `ConfigError` where it is no JSON, OSError where it can't be read."""
    try:
        return json.loads(Path(path).read_text())
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is no valid JSON ({error}); delete it or use another --run=dir") from None


def changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Settings that differ between two configs, as from JSON, nested or flat, and may not differ within a run."""
    old, new = flatten(old), flatten(new)
    return [key for key in sorted({*old, *new}) if old.get(key) != new.get(key) and not key.startswith(_FREE)]


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} -> {"a.b": 1}, every key with `prefix` before it."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_commit():
    git = ["git", "-C", str(Path(__file__).parent)]
    describe = ["describe", "--always", "--dirty", "--abbrev=40"]
    try:
        # Installed, this file may lie in somebody else's repository.
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        return subprocess.run([*git, *describe], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
