"""Values of labels and where they stand, against plain loops."""

import itertools

import numpy as np
import pytest

from data_pipelines.drafting import values


def by_hand(label, there):
    """{value: [pixels, of these in blocks of equal ones, of these between two others]}, by a loop."""
    height, width = there.shape
    found = {}
    for row, column in itertools.product(range(height), range(width)):
        if not there[row, column]:
            continue
        own = tuple(label[row, column])

        def at(down, right, row=row, column=column):
            return tuple(label[np.clip(row + down, 0, height - 1), np.clip(column + right, 0, width - 1)])

        block = any(
            0 <= row + down < height
            and 0 <= column + right < width
            and own == at(down, 0) == at(0, right) == at(down, right)
            for down, right in itertools.product((-1, 1), (-1, 1))
        )
        between = False
        for step in ((0, 1), (1, 0), (1, 1), (1, -1)):
            before, after = at(-step[0], -step[1]), at(*step)
            within = all(min(a, c) <= b <= max(a, c) for a, b, c in zip(before, own, after))
            between |= within and own not in (before, after)
        counts = found.setdefault(own, [0, 0, 0])
        for place, mark in enumerate((True, block, between)):
            counts[place] += mark
    return found


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("pixels", [1, 20, 2**20])
@pytest.mark.parametrize("shape", [(9, 7), (1, 8), (8, 1)])
def test_values_are_counted_whatever_is_looked_at_at_a_time(shape, pixels, channels, monkeypatch):
    monkeypatch.setattr(values, "PIXELS", pixels)
    draw = np.random.default_rng(shape[0])
    label, there = draw.integers(0, 3, (*shape, channels)).astype(np.uint8) * 90, draw.random(shape) < 0.9
    found = values.values_of(label, there)
    told = values.told_of(found, channels == 3)
    expected = by_hand(label.astype(int), there)
    assert {value if channels == 3 else (value,): sums for value, sums in zip(told, found.sums.tolist())} == expected


def test_greys_as_colours():
    label, there = np.array([[[7], [0], [255]]], np.uint8), np.ones((1, 3), bool)
    found = values.as_colours(values.values_of(label, there))
    assert values.told_of(found, True) == [(0, 0, 0), (7, 7, 7), (255, 255, 255)]
