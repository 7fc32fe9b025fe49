"""Trainings that benchmarks start."""

import signal
import subprocess
import sys
import time

import psutil

LONG = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
TIMED = f"""
import subprocess, sys
from pathlib import Path
from benchmarks import trainings

def make(log):
    subprocess.run([sys.executable, "-c", {LONG!r}], stdout=log, check=True)

trainings.has_result("long", Path(sys.argv[1]), make)
"""


def test_a_signal_ends_what_was_started_too(tmp_path):
    said = tmp_path / "run" / "log.txt"
    timed = subprocess.Popen([sys.executable, "-c", TIMED, str(tmp_path / "run")])
    _wait(lambda: said.is_file() and said.read_text().endswith("\n"))
    timed.terminate()
    assert timed.wait(30) == 128 + signal.SIGTERM
    _wait(lambda: not psutil.pid_exists(int(said.read_text())))


def _wait(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)
