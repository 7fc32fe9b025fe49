"""Measuring in turns, on processes that sleep, are wrong or die; no network is built."""

import pytest

from benchmarks import report, turns
from benchmarks.turns import Case

SLEEPER = """
import json, os, sys, threading, time
from benchmarks import worker

def prepare(told):
    calls = []
    if "dies" in told:
        threading.Timer(told["dies"], os.kill, [os.getpid(), 9]).start()
    def call():
        calls.append(told["sleep"])
        if len(calls) > told.get("last", 99):
            sys.exit("it broke")
        time.sleep(told["sleep"])
    print("no answer")
    return {"parameters": told["sleep"]}, call

worker.serve(prepare)
"""


@pytest.fixture
def case(tmp_path, monkeypatch):
    """Function: the case of a name that sleeps so many seconds a call."""
    (tmp_path / "sleeper.py").write_text(SLEEPER)
    monkeypatch.setattr(turns, "PAUSE", 0.0)
    path = {"PYTHONPATH": f"{tmp_path}:{turns.ROOT}"}
    return lambda name, sleep, **more: Case(name, {"sleep": sleep, **more}, "sleeper", environment=path, images=2)


def test_each_is_measured_and_set_against_the_first(case):
    first, second = turns.measure("group", [case("one", 0.02), case("two", 0.06)], seconds=0, least=3)
    assert (first["group"], first["name"], second["name"], second["images"]) == ("group", "one", "two", 2)
    assert first["parameters"] == 0.02
    assert len(first["seconds"]) == len(second["seconds"]) == 3
    assert first["median"] >= 0.02 and second["median"] >= 0.06
    ratios = sorted(b / a for a, b in zip(first["seconds"], second["seconds"]))
    assert first["ratio"] == 1 and second["ratio"] == pytest.approx(ratios[1])
    assert first["peak"] > 1e6


def test_it_goes_on_for_the_seconds_asked_for(case):
    (found,) = turns.measure("group", [case("one", 0.01)], seconds=0.2, least=1, most=100)
    assert sum(found["seconds"]) >= 0.2 > sum(found["seconds"][:-1])
    (found,) = turns.measure("group", [case("one", 0.001)], seconds=9, least=1, most=4)
    assert len(found["seconds"]) == 4


def test_what_dies_is_told_and_the_others_are_measured(case):
    broken, at_once, whole = turns.measure(
        "group", [case("broken", 0.0, last=3), case("at once", 0.0, last=0), case("whole", 0.01)], seconds=0, least=3
    )
    assert broken["error"] == at_once["error"] == "it broke"
    assert len(whole["seconds"]) == 3 and "error" not in whole


def test_one_that_dies_while_it_waits_is_told_and_nothing_is_set_against_it(case):
    waits, whole = turns.measure("group", [case("waits", 0.0, dies=1.0), case("whole", 0.4)], seconds=0, least=5)
    assert waits["error"] == "ended by SIGKILL"
    assert len(whole["seconds"]) == 5 and "ratio" not in whole
    assert " - " in [*report.rows([waits, whole])][2]


def test_of_processes_side_by_side_the_slowest_counts_and_the_memory_of_all(case):
    told = {"sleep": 0.05}
    pair = Case(**{**vars(case("pair", 0.01)), "others": [told]})
    one, two = turns.measure("group", [case("one", 0.01), pair], seconds=0, least=2)
    assert two["median"] >= 0.05
    assert two["peak"] > 1.5 * one["peak"]


def test_the_spread_is_half_the_distance_between_the_quartiles():
    assert turns.spread([1, 2, 3, 4, 5]) == 1.0
