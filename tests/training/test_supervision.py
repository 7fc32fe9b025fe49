"""Which labels an output is compared with."""

import numpy as np
import pytest
import tensorflow as tf

from did_tf import models
from did_tf.training.supervision import Supervision, sample_labels

ROW = tf.constant([[[0, 1, 2, 3, 4, 5, 6, 7, 8]]])


@pytest.mark.parametrize(
    "points, placement, expected",
    [
        (9, "corners", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (5, "corners", [0, 2, 4, 6, 8]),
        (3, "corners", [0, 4, 8]),
        (2, "corners", [0, 8]),
        (1, "corners", [4]),
        (9, "areas", [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        (3, "areas", [1, 4, 7]),
        (1, "areas", [4]),
    ],
)
def test_labels_are_those_of_the_pixels_under_the_points(points, placement, expected):
    assert sample_labels(ROW, (1, points), placement)[0, 0].numpy().tolist() == expected
    columns = tf.transpose(ROW, [0, 2, 1])
    assert sample_labels(columns, (points, 1), placement)[0, :, 0].numpy().tolist() == expected


def test_half_pixel_points_are_the_middles_of_areas():
    """Of two pixels the second: with an even factor the centre lies between two."""
    assert sample_labels(ROW[..., :8], (1, 4), "areas")[0, 0].numpy().tolist() == [1, 3, 5, 7]


def did(size=(33, 49), **options):
    return models.build("did", 5, (*size, 3), growth=4, units=(1, 1, 1, 1), dropout=0.0, **options)


def test_features_are_what_is_resized():
    model = did()
    features = Supervision(model, (33, 49), resolution="features")
    x = np.random.default_rng(0).uniform(0, 255, (1, 33, 49, 3)).astype(np.float32)
    own, full = features.network(x), model(x)
    assert {output: tuple(own[output].shape[1:3]) for output in own} == {
        "main": (9, 13),
        "block2": (5, 7),
        "block3": (3, 4),
    }
    np.testing.assert_allclose(own["main"], full["main"][:, ::4, ::4], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(own["block2"], full["block2"][:, ::8, ::8], rtol=1e-4, atol=1e-5)
    labels = features.labels(tf.reshape(tf.range(33 * 49), [1, 33, 49]))
    np.testing.assert_array_equal(labels["block2"][0], np.arange(33 * 49).reshape(33, 49)[::8, ::8])


def test_exact_placement_takes_labels_where_features_stand():
    """Rows of an even size, which "same" padding moves, columns of an odd one; the pools add half of a cell."""
    supervision = Supervision(did((40, 31), placement="exact"), (40, 31), resolution="features")
    pixels = np.arange(40 * 31).reshape(1, 40, 31)
    labels = supervision.labels(tf.constant(pixels))
    for output, rows, columns in (
        ("main", range(3, 40, 4), range(2, 31, 4)),
        ("block2", range(5, 40, 8), range(4, 31, 8)),
        ("block3", [9, 25, 39], [8, 24]),
    ):
        np.testing.assert_array_equal(labels[output][0], pixels[0][np.ix_(rows, columns)])


def test_outputs_without_weight_are_left_out():
    supervision = Supervision(did(), (33, 49), {"main": 1.0, "block2": 0.0}, "features")
    assert supervision.weights == {"main": 1.0}
    assert list(supervision.labels(tf.zeros([1, 33, 49], tf.int32))) == ["main"]


def test_shifted_labels_are_a_quarter_of_the_finer_grid():
    model = models.build("fcrn", 5, (None, None, 3), depth=14, width=4)
    supervision = Supervision(model, (33, 25), None, "features", shifted_passes=True)
    pixels = np.arange(33 * 25).reshape(1, 33, 25)
    seen = np.zeros(pixels.shape, int)
    for shift in supervision.passes:
        labels = supervision.labels(tf.constant(pixels), shift)["main"].numpy()
        np.testing.assert_array_equal(labels, pixels[:, 4 * shift[0] :: 8, 4 * shift[1] :: 8])
        with supervision.within(shift):
            assert supervision.network(np.zeros((1, 33, 25, 3), np.float32))["main"].shape[1:3] == labels.shape[1:]
        seen[:, 4 * shift[0] :: 8, 4 * shift[1] :: 8] += 1
    assert seen.sum() == 9 * 7 and seen.max() == 1
