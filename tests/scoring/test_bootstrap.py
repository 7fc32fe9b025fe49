"""Intervals over images, against loops, against theory, and by what grouping must do."""

import numpy as np
import pytest

from did_tf.scoring import bootstrap
from did_tf.scoring.bootstrap import DRAWS, FEW, LEAST, interval
from did_tf.scoring.metrics import ConfusionMatrix


def confusions(count, classes=3, seed=0):
    """Matrices of images, of which the last class is in the first alone."""
    counts = np.random.default_rng(seed).integers(0, 50, (count, classes, classes))
    counts[1:, -1], counts[1:, :, -1] = 0, 0
    return [ConfusionMatrix(classes, of_image) for of_image in counts]


def overlaps(matrices):
    return [matrix.overlaps() for matrix in matrices]


def test_overlaps_are_the_two_parts_of_iou():
    both, either = ConfusionMatrix(3, [[6, 2, 0], [1, 11, 0], [0, 0, 0]]).overlaps()
    assert both.tolist() == [6, 11, 0] and either.tolist() == [9, 14, 0]


def test_bounds_are_those_of_matrices_that_are_drawn_and_added_one_by_one():
    matrices, rng = confusions(6), np.random.default_rng(7)
    mious, ious = [], []
    for _ in range(DRAWS):
        drawn = sum((matrices[place] for place in rng.integers(6, size=6)), ConfusionMatrix(3))
        mious.append(drawn.mean_iou())
        ious.append(drawn.iou())
    found = interval(overlaps(matrices), seed=7)
    assert found.miou == pytest.approx(np.percentile(mious, (2.5, 97.5)))
    np.testing.assert_allclose(found.classes, np.nanpercentile(ious, (2.5, 97.5), axis=0).T)
    assert np.isnan(ious).any(), "some draws lack the rare class"
    assert interval(overlaps(matrices), seed=8).miou != found.miou


def test_of_many_images_the_bounds_are_those_of_the_normal_distribution():
    rng = np.random.default_rng(0)
    right = rng.random(2000) < 0.7  # images of one pixel: the IoU of a class is the part of them that are right
    found = interval([[[hit], [1]] for hit in right])
    width = 1.96 * np.sqrt(right.mean() * (1 - right.mean()) / 2000)
    assert found.miou == pytest.approx((right.mean() - width, right.mean() + width), abs=0.1 * width)


def test_copies_of_an_image_say_nothing_new_where_they_are_drawn_together():
    alone = overlaps(confusions(8))
    copies, groups = [image for image in alone for _ in range(4)], [n for n in range(8) for _ in range(4)]
    together, strangers = interval(copies, groups=groups), interval(copies)
    assert together.miou == pytest.approx(interval(alone).miou)
    assert np.ptp(strangers.miou) < 0.7 * np.ptp(together.miou)
    assert (together.count, strangers.count) == (8, 32)
    assert "bootstrap over 8 groups of images; of fewer than 30 it is too narrow" in str(together)
    assert str(strangers).endswith("(bootstrap over 32 images)")


def test_few_images_have_none_or_are_said_to_be_few():
    images = overlaps(confusions(FEW))
    assert interval(images[: LEAST - 1]) is None and interval([]) is None
    assert interval(images, groups=[0, 1, 2, 3] * 7 + [0, 1]) is None
    for count in (LEAST, FEW):
        assert interval(images[:count]).report("abc")["too_narrow"] == (count < FEW)


def test_the_report_is_of_json_and_a_class_that_is_nowhere_has_no_bounds():
    images = overlaps(ConfusionMatrix(2, [[n, 1], [0, 0]]) for n in range(1, 6))
    for image in images:
        image[:, 1] = 0
    told = interval(images, seed=3).report(("sky", "car"))
    assert told["classes"] == {"sky": pytest.approx(told["miou"]), "car": [None, None]}
    assert {key: told[key] for key in ("level", "draws", "seed", "drawn", "count")} == {
        "level": 0.95,
        "draws": 1000,
        "seed": 3,
        "drawn": "images",
        "count": 5,
    }


def test_draws_of_two_networks_are_of_the_same_images():
    images = np.array(overlaps(confusions(9)))
    np.testing.assert_array_equal(bootstrap.resampled(images, 5), bootstrap.resampled(images.copy(), 5))
