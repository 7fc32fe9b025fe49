"""Intervals over images, against loops, against theory, and by what grouping must do."""

import types

import numpy as np
import pytest
from scipy import stats

from did_tf.scoring import bootstrap
from did_tf.scoring.bootstrap import DRAWS, FEW, LEAST, bounds, interval
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
    of_all = sum(matrices, ConfusionMatrix(3))
    assert found.miou == pytest.approx(bounds(np.array(mious), of_all.mean_iou()))
    expected = [bounds(of_class, iou) for of_class, iou in zip(np.array(ious).T, of_all.iou())]
    np.testing.assert_allclose(found.classes, expected)
    assert np.isnan(ious).any(), "some draws lack the rare class"
    assert interval(overlaps(matrices), seed=8).miou != found.miou


@pytest.mark.parametrize("off", [-1.2, 0.0, 0.4])
def test_bounds_are_scipys(off):
    """Bias-corrected and accelerated, of data whose acceleration is 0, as they are symmetric."""
    pytest.importorskip("scipy", minversion="1.10")  # takes draws that were made elsewhere
    rng = np.random.default_rng(0)
    half, draws = rng.normal(size=6), rng.gamma(2, size=999) - 2 + off
    theirs = stats.bootstrap(
        ([*half, *-half],),
        np.mean,
        n_resamples=0,
        bootstrap_result=types.SimpleNamespace(bootstrap_distribution=draws),
        method="BCa",
    )
    assert bounds(draws, 0.0) == pytest.approx(theirs.confidence_interval, rel=1e-9)
    assert bounds(np.array([*draws, np.nan]), 0.0) == pytest.approx(theirs.confidence_interval, rel=1e-9)


def test_bounds_of_draws_that_are_all_on_one_side_are_among_them():
    draws = np.linspace(1, 2, 101)
    for score, end in ((0.0, 1), (3.0, 2)):
        assert bounds(draws, score) == pytest.approx((end, end), abs=0.05)
    assert bounds(np.ones(9), 1.0).tolist() == [1, 1] and np.isnan(bounds(np.full(9, np.nan), np.nan)).all()


@pytest.mark.slow
def test_few_images_hold_the_figure_of_all_more_often_than_by_percentiles():
    """Of images of which classes take very different shares, so that the mIoU of a few is too low as a rule."""
    rng = np.random.default_rng(0)
    area = np.exp(rng.normal(4, 1.5, (4000, 4))) * (rng.random((4000, 4)) < (0.9, 0.6, 0.3, 0.2))
    wrong = rng.poisson(4 * np.sqrt(area) + 1)
    images = np.stack([np.maximum(area - wrong, 0), area + wrong], axis=1).astype(np.int64)
    truth, held = np.mean(bootstrap.pooled(images)), np.zeros(2)
    for _ in range(200):
        drawn = images[rng.integers(4000, size=20)]
        scores = bootstrap.means(bootstrap.resampled(drawn))
        of_all = np.nanmean(bootstrap.pooled(drawn))
        for place, (low, high) in enumerate((np.nanquantile(scores, (0.025, 0.975)), bounds(scores, of_all))):
            held[place] += low <= truth <= high
    assert held[1] > held[0] + 6, held


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


def test_images_without_labels_are_not_drawn():
    """They show no class, so that draws of them alike would pass for images that agree."""
    one, none = np.array([[5, 3], [9, 4]]), np.zeros((2, 2), int)
    assert interval([one] * 4 + [none] * 9) is None and interval([none] * 9) is None
    assert interval([one] * 6 + [none] * 90).count == 6
    images = overlaps(confusions(9))
    void = np.zeros_like(images[0])
    assert interval([void, *images, void]).miou == interval(images).miou
    groups = [0, 0, 1, 2, 3, 4, 5, 6, 7, 0, 8]
    assert interval([void, *images, void], groups=groups).count == 8, "of a group one image is enough"


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
    np.testing.assert_array_equal(bootstrap.resampled(images, 5), bootstrap.resampled(3 * images, 5))
