"""Class frequencies and weights, by hand and against pixel-by-pixel loops."""

import numpy as np
import pytest

from data_pipelines import frequencies
from data_pipelines.frequencies import ClassCounts, difference
from data_pipelines.spec import IGNORE


def counted(labels, num_classes):
    counts = ClassCounts(num_classes)
    for label in labels:
        counts.add(np.bincount(label.ravel(), minlength=256))
    return counts


def test_by_hand():
    # Class 0: 4 of the 12 pixels of two images. Class 1: 2 of the 8 of the second. Class 2: never. Void: 2.
    first, second = np.array([[0, 0], [255, 255]], np.uint8), np.array([[0, 0, 1, 1], [3, 3, 3, 3]], np.uint8)
    counts = counted([first, second], 4)
    assert counts.pixels.tolist() == [4, 2, 0, 4]
    assert counts.images.tolist() == [2, 1, 0, 1]
    assert counts.around.tolist() == [12, 8, 0, 8]
    assert counts.shares.tolist() == [0.4, 0.2, 0, 0.4]
    assert counts.void_share == 2 / 12
    # Frequencies 1/3, 1/4, -, 1/2, of which 1/3 is the median.
    np.testing.assert_allclose(counts.median_frequency_weights(), [1, 4 / 3, 1, 2 / 3])
    np.testing.assert_allclose(counts.balance_weights(), [1, 2, 1, 1])


def test_weights_equal_those_of_loops_over_pixels():
    rng = np.random.default_rng(0)
    labels = []
    for _ in range(9):
        shape, shown = rng.integers(5, 12, 2), rng.choice(7, 3, replace=False)
        labels.append(rng.choice([*shown, IGNORE], shape, p=(0.5, 0.2, 0.1, 0.2)).astype(np.uint8))
    counts = counted(labels, 8)

    frequencies = {}
    for class_id in range(8):
        of_class = of_images = 0
        for label in labels:
            values = label.ravel().tolist()
            if class_id in values:
                of_class += values.count(class_id)
                of_images += len(values)
        if of_images:
            frequencies[class_id] = of_class / of_images
    median = sorted(frequencies.values())
    median = (median[(len(median) - 1) // 2] + median[len(median) // 2]) / 2
    expected = [median / frequencies[class_id] if class_id in frequencies else 1 for class_id in range(8)]
    assert 1 < len(frequencies) < 8
    np.testing.assert_allclose(counts.median_frequency_weights(), expected)


def test_images_of_one_class_each():
    counts = ClassCounts(300)
    for class_id in (0, 0, 0, 255, 299, 299):
        counts.add_image(class_id)
    assert counts.pixels[[0, 255, 299]].tolist() == [3, 1, 2]
    assert counts.pixels.sum() == 6 and counts.void == 0
    np.testing.assert_allclose(counts.balance_weights()[[0, 1, 255, 299]], [2 / 3, 1, 2, 1])


def test_values_are_counted_by_strips(monkeypatch):
    """So that memory for eight bytes a pixel is taken of a strip alone."""
    rng, largest = np.random.default_rng(0), []
    labels = [rng.integers(0, 256, shape).astype(np.uint8) for shape in ((7, 9), (10, 10), (1, 1), (0, 5))]
    labels += [labels[1].T, labels[0][::2, 1:4], np.int32(3), np.int32(999), rng.integers(0, 900, (9, 9))]
    expected = [np.bincount(np.ravel(label), minlength=256) for label in labels]
    bincount = np.bincount
    monkeypatch.setattr(frequencies, "STRIP", 10)
    monkeypatch.setattr(np, "bincount", lambda x, **options: [largest.append(x.size), bincount(x, **options)][1])
    for label, values in zip(labels, expected):
        found = frequencies.values_of(label)
        np.testing.assert_array_equal(found, values)
        assert found.dtype == np.int64
    assert max(largest) == 10


@pytest.mark.parametrize(("pixels", "expected"), [((2, 2, 0), 0), ((0, 0, 9), 1), ((4, 0, 0), 0.5), ((3, 1, 4), 0.5)])
def test_difference(pixels, expected):
    first, second = ClassCounts(3), ClassCounts(3)
    first.pixels[:], second.pixels[:] = (5, 5, 0), pixels
    assert difference(first, second) == difference(second, first) == expected


def test_nothing_labelled():
    counts = counted([np.full((2, 2), IGNORE, np.uint8)], 2)
    assert counts.void_share == 1 and not counts.shares.any()
    assert counts.median_frequency_weights().tolist() == counts.balance_weights().tolist() == [1, 1]
