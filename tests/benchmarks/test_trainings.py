"""Trainings that benchmarks start."""

import signal
import subprocess
import sys
import time

import psutil
import pytest

from benchmarks import trainings

LONG = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
LEAVING = "import subprocess; other = subprocess.Popen(['sleep', '600']); print(other.pid, flush=True)"
WAITING = f"{LEAVING}; other.wait()"
TIMED = """
import subprocess, sys
from pathlib import Path
from benchmarks import trainings

def make(log):
    {run}([sys.executable, "-c", {command!r}], stdout=log)

trainings.has_result("long", Path(sys.argv[1]), make)
"""


@pytest.mark.parametrize("run, command", [("subprocess.run", LONG), ("trainings.run_whole", WAITING)])
def test_a_signal_ends_what_was_started_too(run, command, tmp_path):
    said = tmp_path / "run" / "log.txt"
    timed = subprocess.Popen([sys.executable, "-c", TIMED.format(run=run, command=command), str(tmp_path / "run")])
    _wait(lambda: said.is_file() and said.read_text().endswith("\n"))
    timed.terminate()
    assert timed.wait(30) == 128 + signal.SIGTERM
    _wait(lambda: _has_ended(int(said.read_text())))


def test_what_a_command_leaves_behind_ends_with_it(tmp_path):
    with open(tmp_path / "log.txt", "w") as log:
        trainings.run_whole([sys.executable, "-c", LEAVING], stdout=log)
    _wait(lambda: _has_ended(int((tmp_path / "log.txt").read_text())))


def test_a_command_that_fails_is_told():
    with pytest.raises(subprocess.CalledProcessError):
        trainings.run_whole([sys.executable, "-c", "raise SystemExit(3)"])


def _has_ended(pid):
    """Though nobody may have asked how."""
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def _wait(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
