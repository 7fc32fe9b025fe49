"""Saved state: named arrays in one .npz file, written so that a crash leaves the old file or the new one, whole.

Plain NumPy rather than `tf.train.Checkpoint`: names and shapes can be compared before anything is loaded, the same
file serves both Keras generations, and one `os.replace` makes it atomic. Beside the arrays there is one text,
"identity", JSON of what they depend on.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_pipelines.memory import check_room
from did_tf.common import compat
from did_tf.common.errors import ConfigError

MODEL, AVERAGE = "model/", "average/"
"""What names of weights, and of their moving averages, begin with; the weight's own name follows."""
ADVICE = "Use the experiment and model options that it was trained with, or another RUN"
"""What to do where a file of a run does not fit."""
_FILE = re.compile(r"step_(\d+)\.npz")
_IDENTITY = "identity"


def model_state(model: keras.Model) -> dict[str, tf.Variable]:
    """{name: tf.Variable} of all weights of `model`, batch-norm statistics included."""
    return {f"{MODEL}{compat.path(v)}": compat.tf_variable(v) for v in model.weights}


def write(
    path: Path | str, state: Mapping[str, tf.Variable | np.ndarray], identity: Mapping[str, Any] | None = None
) -> None:
    """Writes {name: variable or array} to `path`, an .npz file, creating the folder.

    Args:
      path: of the file.
      state: what is written.
      identity: what it depends on, see `manifest.of_weights`; None for a file that says nothing of it.

    Raises:
      OSError: it can't be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    arrays: dict[str, Any] = {name: np.asarray(tf.convert_to_tensor(value)) for name, value in state.items()}
    if identity is not None:
        arrays[_IDENTITY] = np.array(json.dumps(identity))
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
    assign(state, read(path), f"checkpoint {path}", ADVICE)


def read(path: Path | str, prefixes: tuple[str, ...] = ("",)) -> dict[str, np.ndarray]:
    """{name: array} of `path`, an .npz file of `write`, of names with one of `prefixes`. Raises `ConfigError`."""
    with _opened(path) as saved:
        names = [name for name in saved.files if name.startswith(prefixes) and name != _IDENTITY]
        return {name: _array(saved, name) for name in names}


def read_identity(path: Path | str) -> dict[str, Any] | None:
    """What the arrays of `path`, an .npz file of `write`, depend on; None where it is silent. Raises `ConfigError`."""
    with _opened(path) as saved:
        found = json.loads(str(saved[_IDENTITY])) if _IDENTITY in saved.files else None
        if found is not None and not (isinstance(found, dict) and isinstance(found.get("network"), dict)):
            raise ValueError("it doesn't say what its weights are of")
        return found


def name_averages(arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """`arrays` with "average/NAME" for "average/0", "average/1", ..., as older checkpoints have them.

    Args:
      arrays: {name: array} of a checkpoint.
      names: "average/NAME" of the trainable weights, in their order.
    """
    numbered = f"{AVERAGE}0" in arrays and f"{AVERAGE}0" not in names
    named = {f"{AVERAGE}{number}": name for number, name in enumerate(names)} if numbered else {}
    return {named.get(name, name): array for name, array in arrays.items()}


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


def saved_steps(folder: Path | str) -> list[Path]:
    """Checkpoint files of `folder`, by their step, oldest first."""
    return sorted((path for path in Path(folder).glob("step_*.npz") if _FILE.fullmatch(path.name)), key=step_of)


def step_of(path: Path) -> int:
    """The step that a checkpoint file is of, by its name."""
    match = _FILE.fullmatch(path.name)
    assert match  # one of `saved_steps`
    return int(match[1])


def save_step(
    folder: Path | str,
    step: int,
    state: Mapping[str, tf.Variable | np.ndarray],
    keep: int,
    identity: Mapping[str, Any] | None = None,
) -> None:
    """Writes the checkpoint of `step`, as `write` does, and deletes all but the newest `keep`, 1 or more."""
    write(Path(folder) / f"step_{step:08d}.npz", state, identity)
    for old in saved_steps(folder)[:-keep]:
        old.unlink()


@contextlib.contextmanager
def _opened(path):
    """The arrays of a file. They are data alone: what only Python's pickle could read is refused."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            check_room(str(path), sum(member.file_size for member in saved.zip.infolist()))
            yield saved
    except (ConfigError, MemoryError):
        raise
    except Exception as error:  # of damaged files NumPy and zipfile raise a dozen kinds
        reason = getattr(error, "strerror", None) or str(error).partition("\n")[0] or type(error).__name__
        raise ConfigError(f"cannot read checkpoint {path}: {reason}") from None


def _array(saved, name):
    array = saved[name]
    if not isinstance(array, np.ndarray):  # of a member that is no array NumPy gives the bytes
        raise ValueError(f"{name} is no array")
    return array


def _mismatch(name, variable, array):
    shape = tuple(variable.shape)
    if array is None:
        return f"{name} is missing"
    return "" if array.shape == shape else f"{name} is {array.shape}, the model's is {shape}"
