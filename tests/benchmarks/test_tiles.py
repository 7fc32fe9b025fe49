"""What is timed of tiles, on small ones."""

import time

import pytest

from benchmarks import tiles


def test_what_a_child_needs_is_there_before_it_is_timed(monkeypatch, capsys):
    def slow_to_build(folder, argument):
        time.sleep(0.3)
        return lambda: 1

    monkeypatch.setitem(tiles.PROGRAMS, "slow", slow_to_build)
    tiles._program("slow", "nowhere", "")
    peak, rate = map(float, capsys.readouterr().out.split())
    assert peak > 0 and rate > 10


@pytest.mark.parametrize("name, source, samples", [("cut", "read", 16), ("cut", "blank", 16), ("evaluate", "patch", 1)])
def test_what_is_timed_counts_its_samples(monkeypatch, tmp_path, name, source, samples):
    monkeypatch.setattr(tiles, "SIZE", 1000)
    assert tiles.PROGRAMS["draw"](tmp_path, "none")() == 4
    assert tiles.PROGRAMS[name](tmp_path, source)() == samples
