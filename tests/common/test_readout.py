"""Logits of classes and of regions: against each pixel by itself, and against each other in NumPy and TensorFlow."""

import itertools

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
SOME = [(NESTED, 4, (0, 1, 2, 3)), (CROSSING, 4, (3, 0, 1, 2)), (EACH, 4, (0, 0, 1, 2, 3))]
every_kind = pytest.mark.parametrize(("regions", "count", "painting"), SOME)


def spec_of(regions, count=4):
    names = tuple("abcdefgh"[:count])
    return DatasetSpec("drawn", names, ((0, 0, 0),) * count, regions=tuple(regions.items()), **SPEC)


def logits(shape, seed=0):
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


def painted(probabilities, painting):
    """The class of one pixel, as nnU-Net paints it: region after region."""
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
    values[0, 0] = 0  # as likely as not
    probabilities = readout.probabilities(tf.constant(values)).numpy()
    np.testing.assert_allclose(probabilities, scipy.special.expit(values), atol=1e-6)
    np.testing.assert_allclose(readout.probabilities_of(values), probabilities, atol=1e-6)
    expected = [[painted(pixel, painting) for pixel in row] for row in probabilities]
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


def test_regions_that_do_not_tell_the_classes_apart_are_none():
    """Every set of two regions of three classes: they are taken if, and only if, painting gives each class again."""
    sets = [part for size in (1, 2, 3) for part in itertools.combinations(range(3), size)]
    for first, second in itertools.product(sets, sets):
        # A class is told by the last region that it is in.
        last = [2 if number in second else 1 if number in first else 0 for number in range(3)]
        if len({*last}) == 3:
            readout = readout_of(spec_of({"a": first, "b": second}, 3))
            assert readout.classes(readout.targets(tf.range(3), 2).numpy()).tolist() == [0, 1, 2]
        else:
            with pytest.raises(ValueError, match="drawn: the regions don't tell which class a pixel has"):
                spec_of({"a": first, "b": second}, 3)
    with pytest.raises(ValueError, match="the regions don't tell"):
        spec_of({"a": (0, 7)}, 2)
