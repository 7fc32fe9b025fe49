"""Windows of an image: where they lie, that they cover it, and what they are called."""

from fractions import Fraction
from math import floor
from pathlib import Path

import pytest

from data_pipelines import DataError, Sample
from data_pipelines.reading import patches
from data_pipelines.spec import Window


def covered(starts, patch, size):
    return set().union(*(range(start, start + patch) for start in starts)) >= set(range(size))


@pytest.mark.parametrize("patch", [1, 2, 7, 10, 33, 100])
def test_even_starts_cover_an_axis_with_the_fewest_windows(patch):
    for size in range(1, 101):
        starts = patches.even_starts(size, patch)
        assert starts[0] == 0 and starts[-1] == max(size - patch, 0)
        assert covered(starts, patch, size)
        assert len(starts) == next(n for n in range(1, size + 1) if n * patch >= size)
        steps = [b - a for a, b in zip(starts, starts[1:])]
        assert not steps or max(steps) - min(steps) <= 1
        for i, start in enumerate(starts[1:], 1):
            assert start == floor(Fraction(i * (size - patch), len(starts) - 1) + Fraction(1, 2))


def test_even_starts_of_known_images():
    assert patches.even_starts(5000, 500) == list(range(0, 5000, 500))
    assert patches.even_starts(5000, 512)[:3] == [0, 499, 997] and len(patches.even_starts(5000, 512)) == 10
    # The twelve overlapping patches of 800x800 of a Cityscapes frame.
    assert patches.even_starts(1024, 800, 3) == [0, 112, 224]
    assert patches.even_starts(2048, 800, 4) == [0, 416, 832, 1248]


def test_windows_that_leave_gaps_are_refused():
    with pytest.raises(DataError, match="2 windows of 10 pixels leave gaps in 21: take 3 or more"):
        patches.even_starts(21, 10, 2)
    with pytest.raises(DataError, match="windows of 10 pixels every 11 pixels leave gaps"):
        patches.strided_starts(100, 10, 11)


@pytest.mark.parametrize("value", [0, -1, 2.5, "500", True, None])
def test_sizes_that_are_none_are_refused(value):
    with pytest.raises(DataError, match=f"patch must be a whole number of pixels, 1 or more, got {value!r}"):
        patches.even_starts(100, value)
    with pytest.raises(DataError, match=f"stride must be a whole number of pixels, 1 or more, got {value!r}"):
        patches.strided_starts(100, 10, value)


def test_strided_starts():
    assert patches.strided_starts(1242, 320, 100) == [0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 922]
    assert patches.strided_starts(375, 320, 100) == [0, 55]
    assert patches.strided_starts(420, 320, 100) == [0, 100]
    assert patches.strided_starts(320, 320, 100) == [0]
    assert patches.strided_starts(100, 320, 100) == [0]


def test_cut_names_windows_after_their_first_pixels():
    tile = Sample("austin1", Path("austin1.tif"), Path("gt/austin1.tif"))
    pieces = patches.cut(tile, [0, 50], [0, 30, 60], 50, 40)
    assert [piece.name for piece in pieces] == [
        "austin1_r0_c0", "austin1_r0_c30", "austin1_r0_c60", "austin1_r50_c0", "austin1_r50_c30", "austin1_r50_c60",
    ]  # fmt: skip
    assert pieces[4].window == Window(50, 30, 50, 40)
    assert {(piece.image, piece.label) for piece in pieces} == {(tile.image, tile.label)}
