"""How a program ends that can't go on: one line on stderr and an exit status."""

from __future__ import annotations

import errno
import os
import re
import sys
import tempfile
import traceback
from pathlib import Path
from typing import NoReturn

import tensorflow as tf
from absl import flags

from data_pipelines import DataError
from did_tf.common.errors import ConfigError, Failure

BAD_INPUT, FAILED = 2, 1
_NO_THREAD = (os.strerror(errno.EAGAIN), "can't start new thread")
"""What a RuntimeError says where the system gives no further thread: C++'s words, and Python's."""
_UNDERSTOOD = (Failure, OSError, MemoryError, tf.errors.ResourceExhaustedError)


def end(error: Exception, run: Path | None) -> NoReturn:
    """Tells of `error` and exits.

    Only what the project itself calls bad input is that. What nobody foresaw is a fault of the program: its traceback
    is kept.

    Args:
      error: that ended it.
      run: folder where the traceback goes, error.log, if it is there; else the system's folder for temporary files.

    Raises:
      SystemExit: 2 for bad input, 1 for a failure.
    """
    if isinstance(error, (ConfigError, DataError, flags.Error)):
        _exit(str(error), BAD_INPUT)
    # TensorFlow wraps what the reading of a sample has raised.
    if inner := re.search(r"DataError: ([^\n]+)", str(error)):
        _exit(inner[1], BAD_INPUT)
    if isinstance(error, RuntimeError) and str(error) in _NO_THREAD:
        _exit(
            f"no further thread can be started: memory, or the number of processes, is at its limit ({error})", FAILED
        )
    if isinstance(error, _UNDERSTOOD):
        _exit(str(error) or type(error).__name__, FAILED)
    what = f"internal error, {type(error).__name__}: {str(error):.300}"
    _exit(f"{what}; its trace is in {keep_trace(error, run)}", FAILED)


def _exit(message: str, status: int) -> NoReturn:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    raise SystemExit(status)


def keep_trace(error: Exception, run: Path | None) -> str | Path:
    """Path of the file that the traceback was written to, or words on why it was not; `run` as of `end`."""
    path = Path(run if run and run.is_dir() else tempfile.gettempdir(), "error.log")
    text = "".join(["\n", " ".join(sys.argv), "\n", *traceback.format_exception(error)])
    try:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:  # names may be no text
            file.write(text)
    except OSError as problem:
        return f"no file ({problem}); --debug shows it"
    return path
