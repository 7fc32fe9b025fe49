"""Two runs of one seed, each in a process of its own."""

import pytest

from benchmarks import determinism


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
