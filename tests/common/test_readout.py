"""Logits of classes and of regions: against each pixel by itself, and against each other in NumPy and TensorFlow."""

import itertools
import math

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from data_pipelines.spec import DatasetSpec
from did_tf.common.readout import CLASSES, ZERO, readout_of

SPEC = {"splits": {}, "mean": (0.0,), "std": (1.0,)}
NESTED = {"whole": (1, 2, 3), "core": (2, 3), "active": (3,)}
CROSSING = {"wet": (0, 2), "built": (1, 2), "bridge": (2,)}
EACH = {name: (number,) for number, name in enumerate("abcd")}
LABELS = {"roof": (0, 4, 6, 7), "shadow": (1, 4, 5, 7), "snow": (2, 5, 6, 7)}  # a class for each set of several
SOME = [
    (NESTED, 4, (0, 1, 2, 3)),
    (CROSSING, 4, (3, 0, 1, 2)),
    (EACH, 4, (0, 0, 1, 2, 3)),
    (LABELS, 8, (3, 0, 1, 2)),
    ({"roof": (0, 4, 5), "shadow": (1, 4), "snow": (2, 5)}, 6, (3, 0, 1, 2)),  # for two sets of several alone
]
every_kind = pytest.mark.parametrize(("regions", "count", "painting"), SOME)


def spec_of(regions, count=4):
    names = tuple("abcdefgh"[:count])
    return DatasetSpec("drawn", names, ((0, 0, 0),) * count, regions=tuple(regions.items()), **SPEC)


def logits(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


def class_of(probabilities, painting, regions, count):
    """Of one pixel: the likeliest, where not all classes are painted; else as nnU-Net paints them, one by one."""
    if len({*painting}) < count:
        of = [
            math.prod(p if n in part else 1 - p for p, part in zip(probabilities.astype(float), regions.values()))
            for n in range(count)
        ]
        return of.index(max(of))
    found = painting[0]
    for number, p in enumerate(probabilities):
        found = painting[number + 1] if p > 0.5 else found
    return found


@every_kind
def test_labels_are_painted_back_as_they_were(regions, count, painting):
    spec = spec_of(regions, count)
    assert spec.painting == painting and spec.logits == tuple(regions)
    readout = readout_of(spec)
    targets = readout.targets(tf.range(count), len(regions)).numpy()
    np.testing.assert_array_equal(targets, [[n in part for part in regions.values()] for n in range(count)])
    np.testing.assert_array_equal(readout.classes(targets), range(count))
    assert not readout.targets(tf.constant([255]), len(regions)).numpy().any()  # void is in none


@every_kind
def test_what_is_likelier_than_not_is_painted_in_order(regions, count, painting):
    readout, values = readout_of(spec_of(regions, count)), logits((5, 7, len(regions)))
    values[0, 0] = 0 if len({*painting}) == count else -1  # as likely as not
    probabilities = readout.probabilities(tf.constant(values)).numpy()
    np.testing.assert_allclose(probabilities, scipy.special.expit(values), atol=1e-6)
    np.testing.assert_allclose(readout.probabilities_of(values), probabilities, atol=1e-6)
    expected = [[class_of(pixel, painting, regions, count) for pixel in row] for row in probabilities]
    np.testing.assert_array_equal(readout.classes(probabilities), expected)
    np.testing.assert_array_equal(readout.classes(values, ZERO), expected)
    found = readout.classes_of(tf.constant(values))
    assert found.dtype == tf.int32 and found.shape == (5, 7)
    np.testing.assert_array_equal(found, expected)


def test_without_regions_it_is_softmax_and_the_largest():
    values = logits((5, 7, 4))
    assert readout_of(spec_of({})) is CLASSES and spec_of({}).logits == tuple("abcd")
    np.testing.assert_array_equal(CLASSES.probabilities(values), tf.nn.softmax(values))
    np.testing.assert_allclose(CLASSES.probabilities_of(values), scipy.special.softmax(values, -1), atol=1e-6)
    for found in (CLASSES.classes(values), CLASSES.classes_of(tf.constant(values)).numpy()):
        np.testing.assert_array_equal(found, values.argmax(-1))
    np.testing.assert_array_equal(CLASSES.targets(tf.constant([2, 0]), 3), [[0, 0, 1], [1, 0, 0]])


@pytest.mark.parametrize("regions", [{}, NESTED])
def test_the_mean_of_networks_is_that_of_their_probabilities(regions):
    readout = readout_of(spec_of(regions))
    several = [logits((6, len(regions) or 4), seed) for seed in range(3)] + [np.full((6, len(regions) or 4), 80.0, "f")]
    expected = np.mean([readout.probabilities_of(values.astype(float)) for values in several], axis=0)
    found = readout.mean([tf.constant(values) for values in several])
    np.testing.assert_allclose(readout.probabilities(found), expected, atol=1e-6)


def test_other_classes_are_as_far_off_as_the_nearest_decision():
    readout = readout_of(spec_of(NESTED))
    values = np.array([[0.9, 0.5001, 0.1], [0.9, 0.6, 0.1]], np.float32)
    assert readout.classes(values).tolist() == [2, 2]
    assert readout.lead(values, np.array([2, 2])).tolist() == [0, 0]
    np.testing.assert_allclose(readout.lead(values, np.array([1, 1])), [1e-4, 0.1], atol=1e-6)
    np.testing.assert_allclose(CLASSES.lead(values, np.array([0, 1])), [0, 0.3], atol=1e-6)


def test_a_set_that_no_class_has_is_the_likeliest_class():
    """Of two labels that have no class together; sure values too, and sums of several outputs."""
    readout = readout_of(spec_of({"roof": (0, 4), "shadow": (1, 4), "snow": (2,)}, 5))
    values = np.array([[0.9, 0.6, 0.8], [0.6, 0.9, 0.95], [1, 1, 0], [0, 0, 0], [1, 0, 1], [0.9, 0.1, 0.4]], np.float32)
    assert readout.classes(values).tolist() == [4, 2, 4, 3, 0, 0]
    assert readout.classes(3 * values, 1.5).tolist() == [4, 2, 4, 3, 0, 0]
    logits = np.log(values.clip(1e-6, 1 - 1e-6) / (1 - values.clip(1e-6, 1 - 1e-6)))
    assert readout.classes_of(tf.constant(logits)).numpy().tolist() == [4, 2, 4, 3, 0, 0]
    near = np.array([[0.7, 0.3, 0.7001]], np.float32)
    assert readout.classes(near).tolist() == [2]
    assert readout.lead(near, np.array([2])).tolist() == [0]
    np.testing.assert_allclose(readout.lead(near, np.array([0])), [1e-4 / 0.21], rtol=1e-2)
    np.testing.assert_allclose(readout.lead(near, np.array([4])), [0.2], rtol=1e-2)


def test_regions_that_do_not_tell_the_classes_apart_are_none():
    """Every set of two regions of three classes: they are taken if, and only if, they give each class again.

    That is where no two classes are in the same of them, and neither has no class but those of later ones.
    """
    sets = [part for size in (1, 2, 3) for part in itertools.combinations(range(3), size)]
    for first, second in itertools.product(sets, sets):
        regions_of = {(number in first, number in second) for number in range(3)}
        if len(regions_of) == 3 and {*first} - {*second}:
            readout = readout_of(spec_of({"a": first, "b": second}, 3))
            assert readout.classes(readout.targets(tf.range(3), 2).numpy()).tolist() == [0, 1, 2]
        else:
            with pytest.raises(ValueError, match="drawn: the regions don't tell which class a pixel has"):
                spec_of({"a": first, "b": second}, 3)
    with pytest.raises(ValueError, match="the regions don't tell"):
        spec_of({"a": (0, 7)}, 2)
