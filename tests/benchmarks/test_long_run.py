"""A leak is told from what an allocator does to and fro."""

import numpy as np
import pytest

from benchmarks import long_run


def looks(memory=0.0, files=0.0, start=400.0):
    """A run of 2,000 steps that takes much at first, and then so much more in each 1,000 steps; with noise."""
    steps = np.arange(20.0, 2001, 20)
    noise = np.random.default_rng(0).normal(0, 1, len(steps))
    held = 700 - start * np.exp(-steps / 100) + memory * steps / 1000 + noise
    return np.stack([steps, held, np.floor(40 + files * steps / 1000), np.full(len(steps), 30.0)], 1)


@pytest.mark.parametrize(
    "leak, grows", [({}, []), ({"memory": 5}, []), ({"memory": 40}, ["MiB"]), ({"files": 10}, ["files"])]
)
def test_what_grows_in_the_second_half(leak, grows):
    assert long_run.growing(long_run.slopes(looks(**leak)), 700) == grows


def test_slopes_are_those_of_the_line():
    slope, error, grown = long_run.slopes(looks(memory=40))["MiB"]
    assert abs(slope - 40) < 3 * error and error < 1
    assert grown == pytest.approx(slope, rel=0.05)  # the second half is 1,000 steps
