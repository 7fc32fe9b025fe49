"""Tests of boxes, and of random erasing by what it changes of the same pairs."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.augment import Augmentation, augment
from data_pipelines.augment.boxes import boxed
from data_pipelines.spec import IGNORE, DatasetSpec

CROP, COUNT = (30, 41), 120
WILD = {"crop": CROP, "scale": (0.8, 1.5), "flip_horizontal": True, "rotation": 20.0, "brightness": 0.3}
MEAN = (90.5, 80.25, 70.0, 60.0, 50.0)
traced = functools.partial(tf.function, autograph=False)  # as the pipeline does it


def pairs(dtype, label, **settings):
    """[(image, label)] of one pair of noise under seeds (5, 0), (5, 1), ..., all crops within the image."""
    image = np.random.default_rng(0).integers(100, 200, (110, 120, 5)).astype(dtype)
    spec = DatasetSpec("five", (), (), {}, MEAN, (10.0,) * 5, dtype=dtype)
    draw = traced(lambda seed: augment(image, label, seed, Augmentation(**{**WILD, **settings}), spec))
    return [tuple(part.numpy() for part in draw(tf.constant((5, number)))) for number in range(COUNT)]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_a_box_of_a_share_of_the_crops_is_hidden_and_keeps_its_label(dtype):
    label = np.random.default_rng(1).choice(np.uint8([0, 1, 2, IGNORE]), (110, 120))
    areas, ratios, places = [], [], []
    for (image, seen), (plain, expected) in zip(pairs(dtype, label, erase=0.5), pairs(dtype, label)):
        np.testing.assert_array_equal(seen, expected)
        rows, columns = np.nonzero((image != plain).any(axis=-1))
        if not rows.size:
            continue
        hidden = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        plain[hidden] = MEAN
        np.testing.assert_array_equal(image, plain)
        height, width = seen[hidden].shape
        areas.append(height * width / np.prod(CROP))
        places.append((rows.min() / max(CROP[0] - height, 1), columns.min() / max(CROP[1] - width, 1)))
        if height < CROP[0] and width < CROP[1]:
            ratios.append(height / width)
    assert abs(len(areas) / COUNT - 0.5) < 4 * 0.5 / np.sqrt(COUNT)
    assert 0.01 < min(areas) < 0.1 and 0.3 < max(areas) < 0.42
    assert 0.25 < min(ratios) < 0.6 and 1.8 < max(ratios) < 4
    assert 0.3 < np.mean(np.log(ratios) > 0) < 0.7
    assert np.min(places) < 0.1 and np.max(places) > 0.9 and np.abs(np.mean(places, axis=0) - 0.5).max() < 0.2


def test_boxes_lie_anywhere_within_the_crop():
    found = {}
    for y, x in np.random.default_rng(0).random((300, 2)):
        box = boxed((4, 5), tf.constant([2.4, 2.6]), (tf.constant(y, tf.float32), tf.constant(x, tf.float32))).numpy()
        rows, columns = np.nonzero(box)
        assert box.sum() == 2 * 3 and (np.ptp(rows), np.ptp(columns)) == (1, 2)
        found[rows[0], columns[0]] = found.get((rows[0], columns[0]), 0) + 1
    assert len(found) == 3 * 3
    assert np.abs(np.array([*found.values()]) - 300 / 9).max() < 4 * np.sqrt(300 / 9)
    assert boxed((4, 5), tf.constant([9.0, 0.0]), (tf.constant(0.9), tf.constant(0.9))).numpy().sum() == 0
    assert boxed((4, 5), tf.constant([9.0, 7.0]), (tf.constant(0.9), tf.constant(0.9))).numpy().all()
