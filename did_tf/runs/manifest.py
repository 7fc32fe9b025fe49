"""What manifest.json and weights files say of how they came to be."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import did_tf
from data_pipelines.augment import DRAWS
from data_pipelines.identity import identity
from data_pipelines.memory import cores
from data_pipelines.spec import Dataset, DatasetSpec, Sample

_PACKAGES = ("tensorflow", "tensorflow-cpu", "keras", "tensorflow-addons", "numpy", "opencv-python")
_FACTS = ("classes", "regions", "dtype", "bands", "band_names", "mean", "std")


def make(
    seed: int,
    devices: Sequence[str],
    data: Mapping[str, Any],
    validation: Mapping[str, Any] | None,
    class_weights: Sequence[float] | None,
    network: Mapping[str, Any],
    precision: str,
) -> dict[str, Any]:
    """What a run is made with, as from JSON: command, versions, commit and machine, found here, and the arguments.

    Args:
      seed: of the whole run.
      devices: TensorFlow's names of those that compute, the replicas.
      data: what the run is trained on: "split", the identity of its samples (`data_pipelines.identity`), and `facts`.
      validation: the same of what it is scored on, without the facts; None without.
      class_weights: one per class; None without.
      network: "name" of the model and every option.
      precision: of its activations.
    """
    return json.loads(
        json.dumps(
            {
                **here(devices),
                "replicas": len(devices),
                "seed": seed,
                "draws": DRAWS,
                "data": data,
                "validation": validation,
                "class_weights": class_weights,
                "network": network,
                "precision": precision,
            }
        )
    )


def here(devices: Sequence[str]) -> dict[str, Any]:
    """What of a run is of this process alone: command, versions, commit, machine and `devices`."""
    packages = {name: version for name in _PACKAGES if (version := _version(name))}
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "packages": {"did_tf": did_tf.__version__, **packages},  # a checkout was installed as an older version
        "git_commit": git_commit(),
        "machine": {"system": platform.platform(), "cores": cores()},
        "devices": devices,
    }


def continuation(manifest: Mapping[str, Any], step: int) -> dict[str, Any]:
    """What of the `manifest` of a process that goes on at `step` is recorded beside the run's own."""
    return {
        "step": step,
        **{key: manifest[key] for key in here([]) if key in manifest},
        "data": {key: value for key, value in manifest.get("data", {}).items() if key not in _FACTS},
        "validation": manifest.get("validation"),
    }


def of_weights(manifest: Mapping[str, Any], step: int) -> dict[str, Any]:
    """What weights of `step` depend on, which goes into their file: part of what `make` gave."""
    kept = {key: manifest[key] for key in ("network", "data", "precision", "seed")}
    return {**kept, "step": step, **version()}


def version() -> dict[str, str | None]:
    """{"did_tf": its version, "git_commit": its commit, None where it is installed}."""
    return {"did_tf": did_tf.__version__, "git_commit": git_commit()}


def facts(spec: DatasetSpec) -> dict[str, Any]:
    """What a network depends on of a data set, as from JSON: classes, type and bands of pixels, mean and deviation.

    Regions are told where there are some.
    """
    told = {key: getattr(spec, key) for key in _FACTS}
    return json.loads(json.dumps({key: value for key, value in told.items() if key != "regions" or value}))


def content(dataset: Dataset, samples: Sequence[Sample], split: str, progress: bool = True) -> dict[str, Any]:
    """What samples of a split are: its name and their identity, see `data_pipelines.identity`.

    Args:
      dataset: the data set.
      samples: of it.
      split: their split.
      progress: show a bar on terminals where it takes long.

    Raises:
      DataError: a file is missing.
    """
    return {"split": split, **identity(dataset, samples, progress)}


@functools.cache
def git_commit() -> str | None:
    """Commit of this project, with "-dirty" where files differ from it; None where it is no repository of its own."""
    git = ["git", "-C", str(Path(__file__).parent)]
    describe = ["describe", "--always", "--dirty", "--abbrev=40"]
    try:
        # Installed, this file may lie in somebody else's repository.
        subprocess.run([*git, "ls-files", "--error-unmatch", __file__], capture_output=True, check=True)
        return subprocess.run([*git, *describe], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
