"""Labels at the points of a grid against brute force over all small sizes; shifted passes against the finer grid."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.common.errors import ConfigError
from did_tf.models.phases import PHASES
from did_tf.training.supervision import Supervision, sample_labels

SIZES = range(1, 41)


def nearest_pixels(points, pixels):
    """With corners aligned, point 0 is pixel 0 and the last the last; of two that are as near, the later."""
    if points == 1:
        return containing_pixels(points, pixels)
    apart = np.abs(np.subtract.outer(np.arange(points) * (pixels - 1), np.arange(pixels) * (points - 1)))
    return pixels - 1 - apart[:, ::-1].argmin(axis=1)


def containing_pixels(points, pixels):
    """The points are centres of equal areas; pixel i reaches from i to i + 1, its end left out."""
    centres, starts = (2 * np.arange(points) + 1) * pixels, np.arange(pixels) * 2 * points
    inside = (starts <= centres[:, None]) & (centres[:, None] < starts + 2 * points)
    assert (inside.sum(axis=1) == 1).all()
    return inside.argmax(axis=1)


@pytest.mark.parametrize("placement, pixels_of", [("corners", nearest_pixels), ("areas", containing_pixels)])
def test_points_of_every_grid_have_the_label_of_their_pixel(placement, pixels_of):
    """Height and width at once, all sizes of both: the label of a pixel is where it is."""
    for height, points in itertools.product(SIZES, SIZES):
        width, columns = 41 - height, 41 - points
        labels = np.arange(height * width).reshape(1, height, width)
        y, x = pixels_of(points, height), pixels_of(columns, width)
        found = sample_labels(tf.constant(labels), (points, columns), placement)
        np.testing.assert_array_equal(found, labels[:, y][:, :, x], err_msg=f"{points} points on {height} pixels")


def test_corners_are_aligned_unless_said_otherwise():
    labels = tf.reshape(tf.range(35), [1, 5, 7])
    np.testing.assert_array_equal(sample_labels(labels, (3, 3))[0], [[0, 3, 6], [14, 17, 20], [28, 31, 34]])


@pytest.mark.parametrize("dtype", [tf.uint8, tf.int32, tf.int64])
def test_labels_keep_their_type_and_the_ignored_one(dtype):
    labels = tf.constant([[[255, 1, 255], [2, 255, 3]]], dtype)
    found = sample_labels(labels, (2, 2))
    assert found.dtype == dtype and found.numpy().tolist() == [[[255, 255], [2, 3]]]


# Settings read from a file are other objects than the texts of the modules.
FEATURES, FULL = "".join([*"features"]), "".join([*"full"])


@functools.cache
def fcrn():
    return models.build("fcrn", 3, (None, None, 3), depth=14, width=4, kernel=3)


@pytest.fixture
def fine():
    return fcrn()


@pytest.mark.parametrize("crop", [(32, 32), (33, 33), (25, 40), (10, 39), (9, 17)], ids=str)
def test_passes_part_the_features_among_them(fine, crop):
    """Every feature in front of the last halving is in one pass, with the label of its place."""
    supervision = Supervision(fine, crop, None, FEATURES, shifted_passes=True)
    grid = tuple(-(-side // 4) for side in crop)
    labels = tf.reshape(tf.range(crop[0] * crop[1]), [1, *crop])
    whole = labels[0, ::4, ::4].numpy()  # the stem is symmetric
    assert whole.shape == grid
    passes = [supervision.labels(labels, shift)["main"][0].numpy() for shift in supervision.passes]
    assert sorted(np.concatenate([part.ravel() for part in passes])) == sorted(whole.ravel())
    for (dy, dx), part in zip(PHASES, passes):
        np.testing.assert_array_equal(part, whole[dy::2, dx::2])


def test_passes_are_the_four_shifts_or_one_without(fine):
    assert tuple(Supervision(fine, (32, 32), None, FEATURES, shifted_passes=True).passes) == PHASES
    assert tuple(Supervision(fine, (32, 32), None, FEATURES).passes) == (None,)
    assert tuple(Supervision(fine, (32, 32)).passes) == (None,)


def test_a_network_that_was_read_has_its_passes_too(fine):
    read = keras.models.model_from_json(fine.to_json())
    assert tuple(Supervision(read, (32, 32), None, FEATURES, shifted_passes=True).passes) == PHASES


def test_at_full_size_labels_and_network_are_as_they_came(fine):
    supervision, labels = Supervision(fine, (32, 32), None, FULL), tf.zeros([2, 32, 32], tf.uint8)
    assert supervision.network is fine
    assert supervision.labels(labels)["main"] is labels


@functools.cache
def classifier():
    image = keras.Input((8, 8, 3))
    logits = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(image))
    return keras.Model(image, {"main": logits})


def test_classifiers_are_compared_with_a_label_per_image():
    supervision, labels = Supervision(classifier(), (8, 8), None, FULL), tf.constant([1, 3])
    assert supervision.weights == {"main": 1.0}
    np.testing.assert_array_equal(supervision.labels(labels)["main"], [1, 3])


@pytest.mark.parametrize(
    "make, arguments, message",
    [
        (fcrn, {"resolution": "half"}, r"loss.resolution must be one of \('full', 'features'\), got 'half'"),
        (fcrn, {"resolution": "futures"}, "loss.resolution must be one of"),
        (fcrn, {"resolution": "a"}, "loss.resolution must be one of"),
        (classifier, {"resolution": FEATURES}, "is for segmentation; this model classifies"),
        (fcrn, {"resolution": FULL, "shifted_passes": True}, 'train.shifted_passes needs loss.resolution="features"'),
        (classifier, {"shifted_passes": True}, "needs a model with a halving to shift"),
        (fcrn, {"weights": {"aux": 1.0}}, "loss.output_weights names aux; the model has main"),
    ],
)
def test_what_cannot_be_compared_is_told(make, arguments, message):
    with pytest.raises(ConfigError, match=message):
        Supervision(make(), (32, 32), **arguments)
