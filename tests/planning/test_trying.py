"""Processes side by side."""

import os
import subprocess
import sys
import time

import pytest

from did_tf.planning import trying
from did_tf.runs.run_folder import RunFolder


class Started:
    """Starts processes that end by themselves after some seconds, with a status; they are kept by their numbers."""

    def __init__(self, seconds=0.0, status=0, of_others=60.0):
        self.first, self.of_others = f"import time; time.sleep({seconds}); raise SystemExit({status})", of_others
        self.processes, self.cores, self.most = {}, [], 0

    def __call__(self, number, cores):
        code = self.first if number == 1 else f"import time; time.sleep({self.of_others})"
        self.processes[number] = subprocess.Popen([sys.executable, "-S", "-c", code])
        self.cores.append(cores)
        self.most = max(self.most, sum(process.poll() is None for process in self.processes.values()))
        return self.processes[number]


def test_so_many_run_at_once_each_on_a_share_of_the_cores(monkeypatch):
    monkeypatch.setattr(trying, "shares_of_cores", lambda count: [[0, 1], [2]])
    monkeypatch.setattr(trying, "_POLL", 0.01)
    started, ended = Started(of_others=0.05), []
    trying.side_by_side(started, [1, 2, 3, 4], 2, lambda *told: ended.append(told))
    assert sorted(ended) == [(number, 0) for number in (1, 2, 3, 4)] and started.most == 2
    assert started.cores[:2] == [[0, 1], [2]] and all(cores in ([0, 1], [2]) for cores in started.cores)


def test_what_one_raises_ends_the_others(monkeypatch):
    monkeypatch.setattr(trying, "_POLL", 0.01)
    started = Started(status=3)

    def ended(number, status):
        raise RuntimeError(f"{number} ended with {status}")

    with pytest.raises(RuntimeError, match="1 ended with 3"):
        trying.side_by_side(started, [1, 2, 3], 2, ended)
    assert [*started.processes] == [1, 2] and started.processes[2].poll() is not None


COUNTING = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print("ready", flush=True)
time.sleep(0.1)
while "asked" not in pathlib.Path(sys.argv[1]).read_text(): time.sleep(0.01)
time.sleep(0.3)
"""


def test_each_is_asked_once_to_stop(monkeypatch, tmp_path):
    """The second signal to a training ends it without a checkpoint: those that take long to stop are waited for."""
    monkeypatch.setattr(trying, "_POLL", 0.01)
    said = {number: tmp_path / f"{number}.txt" for number in (1, 2, 3)}

    def start(number, cores):
        with said[number].open("w") as file:
            command = [sys.executable, "-S", "-c", COUNTING if number > 1 else "", said[number]]
            process = subprocess.Popen(command, stdout=file)
        while number > 1 and "ready" not in said[number].read_text():
            time.sleep(0.01)
        return process

    def ended(number, status):
        raise RuntimeError

    with pytest.raises(RuntimeError):
        trying.side_by_side(start, [2, 3, 1], 3, ended)
    assert [said[number].read_text() for number in (2, 3)] == ["ready\nasked\n"] * 2


def test_cores_are_shared_out(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {7, 1, 2, 3, 9}, raising=False)
    assert trying.shares_of_cores(2) == [[1, 2], [3, 7, 9]]
    assert trying.shares_of_cores(5) == [[1], [2], [3], [7], [9]]
    monkeypatch.delattr(os, "sched_getaffinity")
    assert trying.shares_of_cores(2) == [[], []]


def test_a_training_waits_for_one_that_a_killed_process_has_left(monkeypatch, tmp_path):
    """Which has not come to hold its run yet."""
    monkeypatch.setattr(trying, "_POLL", 0.05)
    run, said = RunFolder(tmp_path / "run"), tmp_path / "run.log"
    with said.open("a") as log:
        trying.wait_for(run, log)
        left = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(0.5)"], stdout=log)
    with said.open("a") as log:
        trying.wait_for(run, log)
        assert left.wait(0.2) == 0
