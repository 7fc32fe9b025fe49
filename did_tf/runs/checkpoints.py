"""Saved state: named arrays in one .npz file, written so that a crash leaves the old file or the new one, whole.

Plain NumPy rather than `tf.train.Checkpoint`: names and shapes can be compared before anything is loaded, the same
file serves both Keras generations, and one `os.replace` makes it atomic. Beside the arrays there are two texts:
"identity", JSON of what they depend on, and "checksum", the `digest` of all else. Whoever reads the arrays compares it;
the CRC of each member, which is compared first, tells a flipped bit, but not a member of another file.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_pipelines.memory import check_room
from data_pipelines.writing import naming, replacing, settle
from did_tf.common import compat
from did_tf.common.errors import ConfigError

MODEL, AVERAGE = "model/", "average/"
"""What names of weights, and of their moving averages, begin with; the weight's own name follows."""
ADVICE = "Use the experiment and model options that it was trained with, or another RUN"
"""What to do where a file of a run does not fit."""
_FILE = re.compile(r"step_(\d+)\.npz")
_IDENTITY, _CHECKSUM = "identity", "checksum"
_FULL = (errno.ENOSPC, errno.EDQUOT)


class Damaged(ConfigError):
    """A file that can't be read, or does not hold what was written. The message names it and says what is wrong."""


def model_state(model: keras.Model) -> dict[str, tf.Variable]:
    """{name: tf.Variable} of all weights of `model`, batch-norm statistics included."""
    return {f"{MODEL}{compat.path(v)}": compat.tf_variable(v) for v in model.weights}


def write(
    path: Path | str, state: Mapping[str, tf.Variable | np.ndarray], identity: Mapping[str, Any] | None = None
) -> None:
    """Writes {name: variable or array} to `path`, an .npz file, creating the folder. It is read again before it counts.

    Args:
      path: of the file.
      state: what is written.
      identity: what it depends on, see `manifest.of_weights`; None for a file that says nothing of it.

    Raises:
      OSError: it can't be written, or is not what was written when it is read again. An older file stays then.
    """
    path = Path(path)
    arrays: dict[str, Any] = {name: np.asarray(tf.convert_to_tensor(v), order="C") for name, v in state.items()}
    if identity is not None:
        arrays[_IDENTITY] = np.array(json.dumps(identity))
    arrays[_CHECKSUM] = np.array(digest(arrays))
    with naming(path):
        with replacing(path) as part:
            _write_arrays(part, arrays)
            _check_written(part, arrays)
        settle(path.parent)


def restore(path: Path | str, state: Mapping[str, tf.Variable]) -> None:
    """Loads `path`, an .npz file of `write`, into {name: variable}. What else the file has is left alone.

    Raises:
      ConfigError: the file is unreadable, or lacks a variable or has it in another shape (all are compared first,
        so nothing is half loaded).
    """
    assign(state, read(path), f"checkpoint {path}", ADVICE)


def read(path: Path | str, prefixes: tuple[str, ...] = ("",)) -> dict[str, np.ndarray]:
    """{name: array} of `path`, an .npz file of `write`, of names with one of `prefixes`.

    All that the file holds is compared with its checksum; files of versions before 0.7 have none. Raises `Damaged`.
    """
    with _opened(path) as saved:
        if bad := saved.zip.testzip():
            raise Damaged(f"checkpoint {path} is damaged: the CRC of {bad} is another")
        arrays = {name: _array(saved, name) for name in saved.files}
        expected = arrays.pop(_CHECKSUM, None)
        if expected is not None and str(expected) != digest(arrays):
            raise Damaged(f"checkpoint {path} is damaged: its checksum is another")
    return {name: array for name, array in arrays.items() if name.startswith(prefixes) and name != _IDENTITY}


def read_identity(path: Path | str) -> dict[str, Any] | None:
    """What the arrays of `path`, an .npz file of `write`, depend on; None where it is silent. Raises `Damaged`."""
    with _opened(path) as saved:
        found = json.loads(str(saved[_IDENTITY])) if _IDENTITY in saved.files else None
        if found is not None and not (isinstance(found, dict) and isinstance(found.get("network"), dict)):
            raise ValueError("it doesn't say what its weights are of")
        return found


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Digest of {name: array}: of the names, types, shapes and values."""
    found = hashlib.blake2b(digest_size=8)
    for name, array in sorted(arrays.items()):
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


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
    """Writes the checkpoint of `step`, as `write` does, and deletes all but the newest `keep`, 1 or more.

    On a full disk the oldest of several makes room for it.
    """
    path = Path(folder) / f"step_{step:08d}.npz"
    try:
        write(path, state, identity)
    except OSError as error:
        older = [saved for saved in saved_steps(folder) if saved != path]
        if error.errno not in _FULL or len(older) < 2:
            raise
        older[0].unlink()
        print(f"{error.strerror}: {older[0]} is deleted to make room", flush=True)
        save_step(folder, step, state, keep, identity)
    for old in saved_steps(folder)[:-keep]:
        old.unlink()


def _write_arrays(path, arrays):
    """Raises OSError, also where the archive can't be closed for it."""
    try:
        with open(path, "wb") as file:
            np.savez(file, **arrays)
    except ValueError as error:
        cause = error.__context__
        while cause and not isinstance(cause, OSError):
            cause = cause.__context__
        raise cause or error from None


def _check_written(path, arrays):
    """Raises OSError where the members of the archive are not `arrays`.

    NumPy is not asked: it parses headers by `ast`, which fails at times in Python 3.11 where two threads do so.
    """
    try:
        with zipfile.ZipFile(path) as saved:
            for name, array in arrays.items():
                stored = saved.read(f"{name}.npy")
                if stored[len(stored) - array.nbytes :] != array.tobytes():
                    raise zipfile.BadZipFile(f"{name} is another")
    except (zipfile.BadZipFile, KeyError) as error:
        raise OSError(errno.EIO, f"what was written can't be read again: {error}") from None


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
        if "pickle" in reason:  # NumPy's advice is to trust it
            reason = "it is no .npz file of arrays"
        raise Damaged(f"cannot read checkpoint {path}: {reason}") from None


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
