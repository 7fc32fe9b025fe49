"""Two runs of one seed, each in a process of its own."""

import sys
from pathlib import Path

import pytest

from benchmarks import determinism


def test_so_few_steps_that_none_is_timed_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["determinism", "--steps=2"])
    with pytest.raises(SystemExit, match="2"):
        determinism.main()
    assert "--steps must be more than 2" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("devices", ["cpu", "cpu*2"])
def test_two_deterministic_runs_have_the_same_bits(devices):
    found = determinism.compare(devices, True, steps=3)
    assert found["bytes"] > 10_000
    assert found["differing"] == 0


def test_bytes_that_are_not_the_same_in_all_runs_are_counted(monkeypatch):
    contents = iter([b"abcd", b"abXY", b"aBcZ"])

    def run(command, check):
        path = Path(command[-1])
        path.write_bytes(next(contents))
        path.with_suffix(".json").write_text("[9, 9, 1, 2]")

    monkeypatch.setattr(determinism.subprocess, "run", run)
    assert determinism.compare("cpu", False, 4, runs=3) == {"bytes": 4, "differing": 3, "seconds": 1.5}


@pytest.mark.slow
def test_weights_of_other_seeds_differ(monkeypatch):
    """Or runs of one seed would show nothing by being the same."""
    monkeypatch.setitem(determinism.SETTINGS, "seed", 1)
    one, _ = determinism.weights("cpu", False, 1)
    monkeypatch.setitem(determinism.SETTINGS, "seed", 2)
    other, _ = determinism.weights("cpu", False, 1)
    assert len(one) == len(other)
    assert one != other
