"""What the campaign of faults counts is there to be counted."""

import errno
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.faults import __main__ as faults
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
    "changes, same",
    [
        ({"a/moving_mean": [1.0, 2e-7]}, True),
        ({"a/moving_mean": [1.0, 2e-5]}, False),
        ({"a/kernel": [1.0, 2e-7]}, False),
        ({"identity": "other"}, False),
    ],
)
def test_batch_statistics_of_several_workers_may_be_rounded_otherwise(tmp_path, monkeypatch, changes, same):
    monkeypatch.setattr(runs, "WORKERS", [2])
    arrays = {"a/kernel": [1.0, 0.0], "a/moving_mean": [1.0, 0.0], "identity": "one"}
    for name, values, checksum in (("reference", arrays, "a"), ("run", {**arrays, **changes}, "b")):
        np.savez(finished(tmp_path / name) / "best" / "weights.npz", **values, checksum=checksum)
    assert (not runs.differences(tmp_path / "run", tmp_path / "reference")) is same


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
    process = SimpleNamespace(text=lambda: text, log="log", outlived_by=list)
    assert runs.complaints(process, status, (0, 1)) == [f"{what}, see log" for what in found]


STARTS = """
import subprocess, sys
worker = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(60)"], start_new_session=True)
print(worker.pid, flush=True)
worker.wait()
"""


def test_a_worker_that_outlives_its_starter_is_counted_and_killed(monkeypatch, tmp_path):
    monkeypatch.setattr(runs, "OUTLIVE", 0.3)
    process = runs.Process.__new__(runs.Process)
    process.log = tmp_path / "log"
    process.log.touch()
    process.process = starter(3)
    process.process.stdout.readline()
    assert [*runs.workers(process.process.pid)] == [3]
    assert process.kill_after(0, signal.SIGKILL) == (True, -signal.SIGKILL)
    assert runs.complaints(process, -9, (-9,)) == [f"worker 3 outlived it by 0.3 s, see {process.log}"]
    assert not runs.workers(process.process.pid)


def test_a_signal_may_be_for_one_worker(monkeypatch):
    process = runs.Process.__new__(runs.Process)
    process.process = starter(1)
    process.process.stdout.readline()
    assert process.kill_after(0, signal.SIGKILL, worker=1) == (True, 0)  # its starter waits for it, and no more


def starter(index):
    """A process that has a worker of this index."""
    code = f"import os; os.environ.update(DID_TF_STARTED_BY=str(os.getpid()), TF_CONFIG={place(index)!r})" + STARTS
    return subprocess.Popen([sys.executable, "-S", "-c", code], stdout=subprocess.PIPE)


def place(index):
    return json.dumps({"task": {"index": index}})


@pytest.mark.parametrize("count", ["0", "-1"])
def test_a_campaign_without_a_case_is_refused(tmp_path, monkeypatch, capsys, count):
    """It would have lost nothing."""
    monkeypatch.setattr(sys, "argv", ["faults", str(tmp_path / "out"), *(f"--{kind}={count}" for kind in kinds.KINDS)])
    with pytest.raises(SystemExit, match="2"):
        faults.main()
    assert capsys.readouterr().err.endswith(
        "error: no case of any kind is to be done: give one of --kills, --disk, --damaged, --configs\n"
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", [{"commit": "b"}, {"seed": 1}, {"workers": 2}])
def test_a_campaign_goes_on_as_it_was_begun(tmp_path, change):
    facts = {"commit": "a", "seed": 0, "workers": 1}
    name, value = next(iter(change.items()))
    refusal = f"{tmp_path} was begun with {name} {facts[name]} (now {value})"
    assert [faults.begin(tmp_path, each) for each in (facts, facts, {**facts, **change})] == ["", "", refusal]


def test_a_campaign_that_says_not_how_it_was_begun_is_refused(tmp_path):
    (tmp_path / "ready").touch()
    assert faults.begin(tmp_path, {"commit": "a"}) == f"{tmp_path} was begun with commit None (now a)"


def test_a_run_with_another_end_is_counted_once():
    """Though several of its files differ; and a folder may be called by any word."""
    differing = [f"{file} differs, see /lost/run" for file in ("metrics.csv", "best/weights.npz", "best/metrics.json")]
    cases = [
        {"wrong": differing},
        {"wrong": [*differing[:1], "metrics line 4 lost, see /lost/run", "metrics line 6 lost, see /lost/run"]},
        {"wrong": ["traceback, see log", "0 lines of errors, see /doubled/log"]},
        {"wrong": []},
    ]
    assert faults.faults(cases) == (2, 2, 0, 1, 1)
    assert faults.faults(cases[-1:]) == (0, 0, 0, 0, 0)


def test_writings_fail_from_a_number_on(tmp_path):
    """Two for each file; reading goes on."""
    environment = {**os.environ, "FAULT_AT": "3", "FAULT_ERRNO": str(errno.ENOSPC), "PYTHONPATH": str(LAYER)}
    command = [sys.executable, "-c", WRITES]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    full = os.strerror(errno.ENOSPC)
    assert done.stdout.splitlines() == ["a written", f"b {full}", f"c {full}", " read"]
