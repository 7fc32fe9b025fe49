"""Two runs of one seed, each in a process of its own."""

import sys

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


@pytest.mark.slow
def test_bits_that_differ_are_counted(monkeypatch):
    """Of a seed for each run, or there would be nothing to see."""
    monkeypatch.setitem(determinism.SETTINGS, "seed", 1)
    one, _ = determinism.weights("cpu", False, 1)
    monkeypatch.setitem(determinism.SETTINGS, "seed", 2)
    other, _ = determinism.weights("cpu", False, 1)
    assert len(one) == len(other)
    assert one != other
