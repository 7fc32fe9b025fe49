"""Trainings in processes of their own: begun, stopped, read, several side by side; and a few seconds of one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from did_tf.cluster import local
from did_tf.common import stopping
from did_tf.common.errors import ConfigError
from did_tf.runs import lock
from did_tf.runs.run_folder import RunFolder, read_metrics

STOP = 120.0
"""Seconds within which a training that is asked to stop must have stopped."""
_POLL = 0.2


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


def begin(
    arguments: Sequence[str], out: int | IO[str], errors: IO[str], command: str = "train", cores: Collection[int] = ()
) -> subprocess.Popen[bytes]:
    """A process of a command of did_tf that trains, which ends with this one.

    Args:
      arguments: of the command.
      out, errors: take what it says.
      command: its name.
      cores: numbers of those that it may use; none: all that this process may.
    """
    words = [sys.executable, "-m", "did_tf", command, *arguments]
    environment = local.environment_of_child()
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=environment)
    if cores:  # before it has threads
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(process.pid, cores)
    return process


def side_by_side(
    start: Callable[[int, Collection[int]], subprocess.Popen[bytes]],
    numbers: Sequence[int],
    at_once: int,
    ended: Callable[[int, int], None],
) -> None:
    """Has processes run, so many at once, each on its share of the cores. None of them is left at the end.

    Args:
      start: starts the process of a number on some cores, as `begin` takes them.
      numbers: in the order in which they start.
      at_once: how many run at the same time.
      ended: is told the number of each that has ended, and its exit status; what it raises ends all.

    Raises:
      SystemExit: as of `stopping.leaving`.
    """
    running: dict[int, tuple[subprocess.Popen[bytes], Collection[int]]] = {}
    try:
        with stopping.leaving():
            _run_all(start, [*numbers], [*shares_of_cores(at_once)], running, ended)
    finally:
        for process, _ in running.values():
            process.terminate()
        for process, _ in running.values():  # who is asked twice leaves without a checkpoint
            _stopped(process)


def _run_all(start, waiting, free, running, ended):
    while waiting or running:
        while waiting and free:
            number, cores = waiting.pop(0), free.pop(0)
            running[number] = start(number, cores), cores
        for number, (process, cores) in [*running.items()]:
            if process.poll() is not None:
                del running[number]
                free.append(cores)
                ended(number, process.returncode)
        time.sleep(_POLL)


def shares_of_cores(count: int) -> list[list[int]]:
    """Numbers of the cores of this process in as many parts; empty ones where the system can't divide them."""
    own = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    return [own[len(own) * part // count : len(own) * (part + 1) // count] for part in range(count)]


def wait_for(run: RunFolder, log: IO[str]) -> None:
    """Returns when the training has ended that a killed process has left, which has its log locked, and soon its run.

    It ends by itself. From here on the log is locked by whoever has it open: this process, and the training to come.
    """
    end = time.monotonic() + STOP
    while (lock.is_kept(log.fileno()) or _is_held(run.folder)) and time.monotonic() < end:
        time.sleep(_POLL)


def _is_held(folder):
    try:
        with lock.held(folder) if folder.is_dir() else contextlib.nullcontext():
            return False
    except ConfigError:
        return True


def stop(process: subprocess.Popen[bytes]) -> int | None:
    """Asks a training to stop, unless it has ended; gives its exit status, None where it had to be killed."""
    process.terminate()
    return _stopped(process)


def _stopped(process):
    """Exit status of a training that was asked to stop, None where it had to be killed."""
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
        time.sleep(_POLL)
    if process.poll() is None and rows_of(run):
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            return
