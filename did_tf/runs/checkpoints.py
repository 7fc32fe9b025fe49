"""Saved state: named arrays in one .npz file, written so that a crash leaves the old file or the new one, whole.

Plain NumPy rather than `tf.train.Checkpoint`: names and shapes can be compared before anything is loaded, the same
file serves both Keras generations, and one `os.replace` makes it atomic.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from did_tf.common import compat
from did_tf.common.errors import ConfigError

_FILE = re.compile(r"step_(\d+)\.npz")


def model_state(model: keras.Model) -> dict[str, tf.Variable]:
    """{name: tf.Variable} of all weights of `model`, batch-norm statistics included."""
    return {f"model/{compat.path(v)}": compat.tf_variable(v) for v in model.weights}


def write(path: Path | str, state: Mapping[str, tf.Variable | np.ndarray]) -> None:
    """Writes {name: variable or array} to `path`, an .npz file, creating the folder. Raises OSError."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    arrays: dict[str, Any] = {name: np.asarray(tf.convert_to_tensor(value)) for name, value in state.items()}
    with open(partial, "wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def restore(path: Path | str, state: Mapping[str, tf.Variable]) -> None:
    """Loads `path`, an .npz file of `write`, into {name: variable}. What else the file has is left alone.

    Raises:
      ConfigError: the file is unreadable, or lacks a variable or has it in another shape (all are compared first,
        so nothing is half loaded).
    """
    try:
        with np.load(path) as saved:
            arrays = {name: saved[name] for name in saved.files if name in state}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"cannot read checkpoint {path}: {reason}") from None
    advice = "Use the experiment and model options that it was trained with, or another RUN"
    assign(state, arrays, f"checkpoint {path}", advice)


def assign(state: Mapping[str, tf.Variable], arrays: Mapping[str, np.ndarray], source: str, advice: str) -> None:
    """Gives each variable of `state`, {name: variable}, its array of `arrays`, {name: array}.

    Raises:
      ConfigError: an array is missing or has another shape (all are compared first, so nothing is half loaded). The
        message says that `source` does not fit, names the first three and ends with `advice`.
    """
    problems = [_mismatch(name, variable, arrays.get(name)) for name, variable in state.items()]
    problems = [problem for problem in problems if problem]
    if problems:
        raise ConfigError(
            f"{source} does not fit this model: {'; '.join(problems[:3])}"
            f"{f'; and {len(problems) - 3} more' if len(problems) > 3 else ''}. {advice}"
        )
    for name, variable in state.items():
        variable.assign(arrays[name])


def load_weights(model: keras.Model, source: Path | str) -> Path:
    """Loads the weights of `model` from a run folder (its best, else its latest), a .npz or a Keras .h5 file.

    Returns:
      The file that they came from.

    Raises:
      ConfigError: there are none, they can't be read, or they don't fit the model.
    """
    source = file_of(source)
    if source.suffix == ".h5":
        try:
            model.load_weights(str(source))
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot load weights {source}: {str(error).splitlines()[0]}") from None
    else:
        restore(source, model_state(model))
    return source


def file_of(source: Path | str) -> Path:
    """The weights file that `source` is, or that it has where it is a run folder. Raises `ConfigError` for none."""
    if not Path(source).exists():
        raise ConfigError(f"no run or weights file {source}: train first, or pass --run=dir or --weights=file")
    return weights_file(source) if Path(source).is_dir() else Path(source)


def weights_file(run: Path | str) -> Path:
    """The weights to use of a run folder: best/weights.npz, else the newest checkpoint. Raises `ConfigError`."""
    best = Path(run) / "best" / "weights.npz"
    candidates = ([best] if best.is_file() else []) + saved_steps(Path(run) / "checkpoints")[::-1]
    if not candidates:
        raise ConfigError(f"no trained weights in {run}: train first, or pass --run=dir or --weights=file")
    return candidates[0]


def saved_steps(folder: Path | str) -> list[Path]:
    """Checkpoint files of `folder`, by their step, oldest first."""
    matches = ((path, _FILE.fullmatch(path.name)) for path in Path(folder).glob("step_*.npz"))
    steps = {path: int(match[1]) for path, match in matches if match}
    return sorted(steps, key=lambda path: steps[path])


def save_step(folder: Path | str, step: int, state: Mapping[str, tf.Variable | np.ndarray], keep: int) -> None:
    """Writes the checkpoint of `step` and deletes all but the newest `keep`, 1 or more."""
    write(Path(folder) / f"step_{step:08d}.npz", state)
    for old in saved_steps(folder)[:-keep]:
        old.unlink()


def _mismatch(name, variable, array):
    shape = tuple(variable.shape)
    if array is None:
        return f"{name} is missing"
    return "" if array.shape == shape else f"{name} is {array.shape}, the model's is {shape}"
