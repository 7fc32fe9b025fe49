"""Weights to use: which file a run has, what they depend on, and how they come into a network."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from did_tf.common import compat
from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints, older
from did_tf.runs.checkpoints import AVERAGE, MODEL
from did_tf.runs.run_folder import read_json, run_of

_KINDS = (MODEL, AVERAGE)


@dataclasses.dataclass(frozen=True)
class Weights:
    """Weights of an earlier run.

    Attributes:
      file: where they are.
      identity: what they depend on, see `identity_of`; None where nothing says it.
      digest: of their arrays, see `digest`; empty before they are loaded.
    """

    file: Path
    identity: Mapping[str, Any] | None
    digest: str = ""

    def loaded_into(self, model: keras.Model) -> Weights:
        """The same with their digest, after they were loaded into `model`, see `load`. Raises `ConfigError`.

        Where a training has written others meanwhile, these are loaded, and the identity is theirs.
        """
        found = dataclasses.replace(self, digest=load(model, self.file))
        now = identity_of(self.file) if self.file.exists() else self.identity  # an old checkpoint may have been deleted
        return found if now == self.identity else dataclasses.replace(self, identity=now).loaded_into(model)

    def recorded(self, run: Path) -> dict[str, Any]:
        """What goes into whatever is made with them, as JSON: "file", "digest", "own" and all of `identity`.

        "own" is whether they are of the run in the folder `run`.
        """
        own = run.resolve() in self.file.resolve().parents
        return {**(self.identity or {}), "file": str(self.file), "digest": self.digest, "own": own}


def together(file: Path, members: Sequence[Weights]) -> Weights:
    """Those of several networks that are used as one; `file` says which they are."""
    digests = [found.digest for found in members]
    return Weights(file, {"members": digests}, hashlib.blake2b("".join(digests).encode(), digest_size=8).hexdigest())


def check_there(source: Path | str) -> None:
    """Raises `ConfigError` where there is neither a file nor a folder `source`."""
    if not Path(source).exists():
        raise ConfigError(f"no run or weights file {source}: train first, or pass --run=dir or --weights=file")


def file_of(source: Path | str) -> Path:
    """The weights file that `source` is, or that it has where it is a run folder. Raises `ConfigError` for none."""
    check_there(source)
    if not Path(source).is_dir():
        return Path(source)
    if file := in_run(source):
        return file
    raise ConfigError(f"no trained weights in {source}: train first, or pass --run=dir or --weights=file")


def in_run(run: Path | str) -> Path | None:
    """The weights to use of a run folder: best/weights.npz, else the newest checkpoint; None where there are none."""
    best = Path(run) / "best" / "weights.npz"
    steps = checkpoints.saved_steps(Path(run) / "checkpoints")
    return best if best.is_file() else steps[-1] if steps else None


def identity_of(file: Path) -> dict[str, Any] | None:
    """What the weights of `file` depend on: "network", "data" and more, as of `manifest.of_weights`.

    For a file that does not say it, settings and manifest of the run folder in which it lies stand in, with as much as
    they have; None where there is no such folder. Raises `ConfigError` where a file is unreadable.
    """
    found = checkpoints.read_identity(file) if file.suffix == ".npz" else None
    folder, run = file.resolve().parent, run_of(file)
    if found:
        return {**found, "network": older.network(found["network"])}
    if folder not in (run.best, run.checkpoints) or not run.config.is_file():
        return None
    manifest = read_json(run.manifest) if run.manifest.is_file() else {}
    return {"network": run.settings().get("model", {}), "data": manifest.get("data", {})}


def load(model: keras.Model, file: Path) -> str:
    """Loads the weights of `model` from a .npz or a Keras .h5 file; moving averages, where a checkpoint has them.

    Returns:
      The `digest` of the file.

    Raises:
      ConfigError: they can't be read, or don't fit the model.
    """
    if file.suffix != ".h5":
        return load_part(model, file, checkpoints.model_state(model))
    try:
        model.load_weights(str(file))
    except Exception as error:  # of damaged files h5py and Keras raise a dozen kinds
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ConfigError(f"cannot load weights {file}: {reason}") from None
    return digest(file)


def load_part(
    model: keras.Model,
    file: Path,
    state: Mapping[str, tf.Variable],
    fit: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = dict,
) -> str:
    """As `load`, from a .npz file, for those weights alone that `state` has, a part of `checkpoints.model_state`.

    `fit` makes of the {name: array} that the file has for the model what is loaded.
    """
    saved = checkpoints.read(file, _KINDS)
    checkpoints.assign(state, fit(_averaged(file, saved, model)), f"checkpoint {file}", checkpoints.ADVICE)
    return checkpoints.digest(saved)


def digest(file: Path) -> str:
    """Digest of a weights file: of the names, shapes and values of weights and averages, or of all bytes of a .h5 file.

    What else a checkpoint holds does not change it. Raises `ConfigError`.
    """
    if file.suffix == ".h5":
        return hashlib.blake2b(file.read_bytes(), digest_size=8).hexdigest()
    return checkpoints.digest(checkpoints.read(file, _KINDS))


def _averaged(file, arrays, model):
    """`arrays` with the averages in place of the weights. Raises `ConfigError` where they can't be told apart."""
    named = checkpoints.name_averages(arrays, _trainable(model, sum(name.startswith(AVERAGE) for name in arrays)))
    averages = {MODEL + name[len(AVERAGE) :]: array for name, array in named.items() if name.startswith(AVERAGE)}
    if not averages.keys() <= arrays.keys():
        raise ConfigError(
            f"{file} numbers the averages of its weights in an order that is not known here: evaluate with the options "
            "that it was trained with, or train on until it is validated, which writes best/weights.npz"
        )
    return {**named, **averages}


def _trainable(model, count):
    """Names of the averages of the trainable weights in their order; none where there are not `count` of them."""
    names = [AVERAGE + compat.path(v) for v in model.trainable_variables]
    without_batch_norm = [name for name in names if not name.endswith(("/gamma", "/beta"))]  # where that is frozen
    return next((found for found in (names, without_batch_norm) if len(found) == count), [])
