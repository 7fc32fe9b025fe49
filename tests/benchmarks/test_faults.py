"""What the campaign of faults counts is there to be counted."""

import errno
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.faults import kinds, runs

LAYER = Path(kinds.__file__).parent / "layer"
WRITES = """
import os, sys
sys.modules["did_tf.runs"] = sys
for name in "abc":
    try:
        with open(name, "w") as file:
            os.fsync(file.fileno())
        print(name, "written")
    except OSError as error:
        print(name, error.strerror)
print(open(os.devnull).read(), "read")
"""


def finished(folder, lines=("2,0.5,10", "4,0.4,11"), weights=b"weights"):
    (folder / "best").mkdir(parents=True)
    (folder / "metrics.csv").write_text("\n".join(["step,loss,images_per_second", *lines, ""]))
    (folder / "best" / "weights.npz").write_bytes(weights)
    (folder / "best" / "metrics.json").write_text("{}")
    return folder


@pytest.mark.parametrize(
    "changes, found",
    [
        ({}, []),
        ({"lines": ("2,0.5,99", "4,0.4,98")}, []),  # the clock
        ({"lines": ("2,0.5,10",)}, ["metrics line 4 lost"]),
        ({"lines": ("2,0.5,10", "4,0.4,11", "4,0.4,11")}, ["metrics line 4 doubled"]),
        ({"lines": ("2,0.5,10", "4,0.3,11")}, ["metrics.csv differs"]),
        ({"weights": b"others"}, ["best/weights.npz differs"]),
    ],
)
def test_what_differs_is_found(tmp_path, changes, found):
    reference, run = finished(tmp_path / "reference"), finished(tmp_path / "run", **changes)
    assert runs.differences(run, reference) == [f"{what}, see {run}" for what in found]


@pytest.mark.parametrize(
    "text, status, found",
    [
        ("done", 0, []),
        ("error: the disk is full", 1, []),
        ("", 1, ["0 lines of errors"]),
        ("done", -9, ["exit status -9, not one of (0, 1)"]),
        ("Traceback (most recent call last):\nerror: a", 1, ["traceback"]),
    ],
)
def test_how_a_process_ended_is_judged(text, status, found):
    process = SimpleNamespace(text=lambda: text, log="log")
    assert runs.complaints(process, status, (0, 1)) == [f"{what}, see log" for what in found]


def test_writings_fail_from_a_number_on(tmp_path):
    """Two for each file; reading goes on."""
    environment = {**os.environ, "FAULT_AT": "3", "FAULT_ERRNO": str(errno.ENOSPC), "PYTHONPATH": str(LAYER)}
    command = [sys.executable, "-c", WRITES]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    full = os.strerror(errno.ENOSPC)
    assert done.stdout.splitlines() == ["a written", f"b {full}", f"c {full}", " read"]
