"""Scores of a cross-validation, against what loops give."""

import json
import math

import numpy as np
import pytest

from did_tf.scoring.metrics import ConfusionMatrix
from did_tf.scoring.out_of_fold import HeldOut, OutOfFold, bootstrap

CLASSES = ("a", "b", "c")


def matrices(count, seed=0):
    """Of images that differ much; class c is in every third alone."""
    rng = np.random.default_rng(seed)
    found = [rng.integers(0, 50, (3, 3)) + np.diag(rng.integers(0, 300, 3)) for _ in range(count)]
    for number, counts in enumerate(found):
        if number % 3:
            counts[2], counts[:, 2] = 0, 0
    return [ConfusionMatrix(3, counts) for counts in found]


def brute_force(each, seed, resamples):
    draws = np.random.default_rng(seed).integers(0, len(each), (resamples, len(each)))
    scores = []
    for draw in draws:
        total = ConfusionMatrix(3)
        for number in draw:
            total += each[number]
        scores.append(total.mean_iou())
    scores = sorted(score for score in scores if not math.isnan(score))
    return [np.interp(q * (len(scores) - 1), range(len(scores)), scores) for q in (0.025, 0.975)]


def test_the_interval_is_that_of_a_loop_over_draws():
    each = matrices(7)
    found = bootstrap([matrix.counts for matrix in each], 3, 200)
    np.testing.assert_allclose(found, brute_force(each, 3, 200), rtol=1e-12)
    assert found[0] < sum(each, ConfusionMatrix(3)).mean_iou() < found[1]
    assert found == bootstrap([matrix.counts for matrix in each], 3, 200)
    assert found != bootstrap([matrix.counts for matrix in each], 4, 200)


def test_images_without_labels_say_nothing():
    each = [*matrices(2), ConfusionMatrix(3)]
    np.testing.assert_allclose(
        bootstrap([matrix.counts for matrix in each], 0, 300), brute_force(each, 0, 300), rtol=1e-12
    )


@pytest.fixture
def images():
    names = ["a1", "a2", "b1", "c1", "c2", "c3"]
    folds = [1, 1, 2, 2, 2, 2]
    return [HeldOut(name, fold, name[0], matrix) for name, fold, matrix in zip(names, folds, matrices(6))]


def test_figures_of_folds_and_of_all(images):
    found = OutOfFold(images, CLASSES, grouped=False, seed=0)
    ones, twos = (sum(image.matrix.counts for image in images if image.fold == fold) for fold in (1, 2))
    assert (found.folds[1].counts == ones).all() and (found.folds[2].counts == twos).all()
    assert (found.pooled.counts == ones + twos).all()
    report = json.loads(json.dumps(found.report()))["miou"]
    first, second = (ConfusionMatrix(3, counts).mean_iou() for counts in (ones, twos))
    assert report["folds"] == [first, second] and report["mean"] == pytest.approx((first + second) / 2)
    assert report["std"] == pytest.approx(abs(first - second) / math.sqrt(2))
    assert report["pooled"] == ConfusionMatrix(3, ones + twos).mean_iou()


def test_groups_are_drawn_whole(images):
    alone = [image._replace(group=image.name) for image in images]
    by_image, by_group = OutOfFold(alone, CLASSES, False, seed=0), OutOfFold(images, CLASSES, True, seed=0)
    assert (by_image.units, by_group.units) == (6, 3)
    groups = [sum((i.matrix for i in images if i.group == group), ConfusionMatrix(3)) for group in "abc"]
    assert by_group.interval == bootstrap([matrix.counts for matrix in groups], 0) != by_image.interval
    assert by_group.report()["miou"]["interval"]["unit"] == "group"


def test_the_table_has_a_column_for_each_fold(images):
    lines = OutOfFold(images, CLASSES, grouped=True, seed=0).table().splitlines()
    assert lines[0].split() == ["IoU,", "%", "fold", "1", "fold", "2", "all"]
    assert ["images", "2", "4", "6"] in [line.split() for line in lines]
    assert "95 % interval" in lines[-1] and lines[-1].endswith("(bootstrap over 3 groups)")
