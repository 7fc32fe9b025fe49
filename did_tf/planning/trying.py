"""Trainings in processes of their own: begun, stopped, read; and a few seconds of one, to see how it goes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from did_tf.cluster import local
from did_tf.common.errors import ConfigError
from did_tf.runs.run_folder import RunFolder, read_metrics

STOP = 120.0
"""Seconds within which a training that is asked to stop must have stopped."""


class Tried(NamedTuple):
    """What became of it.

    Attributes:
      status: of its exit; None where it did not stop when it was asked to.
      rows: of its metrics.csv.
      said: on stderr.
    """

    status: int | None
    rows: list[dict[str, str]]
    said: str

    @property
    def error(self) -> str:
        """The line that says what went wrong, else the end of what was said."""
        return error_line(self.said) or self.said.strip()[-200:]


def train(arguments: Sequence[str], folder: Path, start: float, seconds: float) -> Tried:
    """Trains with `arguments` of `did_tf train` into the run folder/run, which then can be thrown away.

    Args:
      arguments: without --run.
      folder: to write to.
      start: seconds within which the first row must be logged.
      seconds: of training from there on.
    """
    run, said = RunFolder(folder / "run"), folder / "said.txt"
    with said.open("w") as file:
        process = begin([f"--run={run.folder}", *arguments], subprocess.DEVNULL, file)
    try:
        _wait(process, run, start, seconds)
        status = stop(process)
    finally:
        process.kill()
        process.wait()
    return Tried(status, rows_of(run), said.read_text(errors="replace"))


def begin(arguments: Sequence[str], out: int | IO[str], errors: IO[str]) -> subprocess.Popen[bytes]:
    """A process of `did_tf train` with `arguments`, which ends with this one; `out` and `errors` take what it says."""
    command = [sys.executable, "-m", "did_tf", "train", *arguments]
    environment = local.environment_of_child()
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=environment)


def stop(process: subprocess.Popen[bytes]) -> int | None:
    """Asks a training to stop, unless it has ended; gives its exit status, None where it had to be killed."""
    process.terminate()
    try:
        return process.wait(STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def error_line(said: str) -> str:
    """The last line that tells an error, of what a program said; empty where none does."""
    return next((line for line in reversed(said.splitlines()) if line.startswith("error:")), "")


def rows_of(run: RunFolder) -> list[dict[str, str]]:
    """Rows of a run's metrics.csv; none while it is not there, or is just being written."""
    try:
        return read_metrics(run.metrics)
    except (ConfigError, OSError):
        return []


def _wait(process, run, start, seconds):
    """Until the training has ended, has made steps for some seconds, or has made none within `start`."""
    until = time.monotonic() + start
    while process.poll() is None and not rows_of(run) and time.monotonic() < until:
        time.sleep(0.2)
    if process.poll() is None and rows_of(run):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
