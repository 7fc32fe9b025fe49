"""A few seconds of a real training, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

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
        lines = reversed(self.said.splitlines())
        return next((line for line in lines if line.startswith("error:")), self.said.strip()[-200:])


def train(arguments: Sequence[str], folder: Path, start: float, seconds: float) -> Tried:
    """Trains with `arguments` of `did_tf train` into the run folder/run, which then can be thrown away.

    Args:
      arguments: without --run.
      folder: to write to.
      start: seconds within which the first row must be logged.
      seconds: of training from there on.
    """
    run, said = RunFolder(folder / "run"), folder / "said.txt"
    command = [sys.executable, "-m", "did_tf", "train", f"--run={run.folder}", *arguments]
    with said.open("w") as file:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=file, env=local.environment_of_child()
        )
    try:
        _wait(process, run, start, seconds)
        process.terminate()
        status = process.wait(STOP)
    except subprocess.TimeoutExpired:
        status = None
    finally:
        process.kill()
        process.wait()
    return Tried(status, _rows(run), said.read_text(errors="replace"))


def _wait(process, run, start, seconds):
    """Until the training has ended, has made steps for some seconds, or has made none within `start`."""
    until = time.monotonic() + start
    while process.poll() is None and not _rows(run) and time.monotonic() < until:
        time.sleep(0.2)
    if process.poll() is None and _rows(run):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return


def _rows(run):
    try:
        return read_metrics(run.metrics)
    except (ConfigError, OSError):
        return []
