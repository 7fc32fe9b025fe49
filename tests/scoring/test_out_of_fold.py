"""Scores of a cross-validation, against what loops give."""

import dataclasses
import json
import math

import numpy as np
import pytest

from data_pipelines.spec import DatasetSpec
from did_tf.scoring.bootstrap import DRAWS, bounds
from did_tf.scoring.metrics import ConfusionMatrix
from did_tf.scoring.out_of_fold import HeldOut, OutOfFold

SPEC = DatasetSpec("drawn", ("a", "b", "c"), ((0, 0, 0),) * 3, {}, mean=(0.0,), std=(1.0,))


def matrices(count, seed=0):
    """Of images that differ much; class c is in every third alone."""
    rng = np.random.default_rng(seed)
    found = [rng.integers(0, 50, (3, 3)) + np.diag(rng.integers(0, 300, 3)) for _ in range(count)]
    for number, counts in enumerate(found):
        if number % 3:
            counts[2], counts[:, 2] = 0, 0
    return [ConfusionMatrix(3, counts) for counts in found]


def brute_force(each, seed):
    rng, scores = np.random.default_rng(seed), []
    for _ in range(DRAWS):
        total = ConfusionMatrix(3)
        for number in rng.integers(len(each), size=len(each)):
            total += each[number]
        scores.append(total.mean_iou())
    return bounds(np.array(scores), sum(each, ConfusionMatrix(3)).mean_iou())


@pytest.fixture
def images():
    names = ["a1", "a2", "b1", "c1", "c2", "c3"]
    folds = [1, 1, 2, 2, 2, 2]
    return [HeldOut(name, fold, name[0], matrix) for name, fold, matrix in zip(names, folds, matrices(6))]


def test_figures_of_folds_and_of_all(images):
    found = OutOfFold(images, SPEC, grouped=False, seed=0)
    ones, twos = (sum(image.matrix.counts for image in images if image.fold == fold) for fold in (1, 2))
    assert (found.folds[1].counts == ones).all() and (found.folds[2].counts == twos).all()
    assert (found.pooled.counts == ones + twos).all()
    report = json.loads(json.dumps(found.report()))["miou"]
    first, second = (ConfusionMatrix(3, counts).mean_iou() for counts in (ones, twos))
    assert report["folds"] == [first, second] and report["mean"] == pytest.approx((first + second) / 2)
    assert report["std"] == pytest.approx(abs(first - second) / math.sqrt(2))
    assert report["pooled"] == ConfusionMatrix(3, ones + twos).mean_iou()


def test_the_interval_is_that_of_a_loop_over_draws_of_images(images):
    found = OutOfFold(images, SPEC, grouped=False, seed=3)
    expected = brute_force([image.matrix for image in images], 3)
    np.testing.assert_allclose(found.interval.miou, expected, rtol=1e-12)
    np.testing.assert_allclose(found.report()["interval"]["miou"], expected, rtol=1e-12)
    assert found.interval.miou[0] < found.pooled.mean_iou() < found.interval.miou[1]


def test_groups_are_drawn_whole(images):
    pairs = [image._replace(group=str(number // 2)) for number, image in enumerate([*images, *images[:4]])]
    found = OutOfFold(pairs, SPEC, grouped=True, seed=0)
    groups = [one.matrix + other.matrix for one, other in zip(pairs[::2], pairs[1::2])]
    np.testing.assert_allclose(found.interval.miou, brute_force(groups, 0), rtol=1e-12)
    assert found.report()["interval"]["drawn"] == "groups of images"


def test_the_table_has_a_column_for_each_fold(images):
    lines = OutOfFold(images, SPEC, grouped=True, seed=0).table().splitlines()
    assert lines[0].split() == ["IoU,", "%", "fold", "1", "fold", "2", "all"]
    assert ["images", "2", "4", "6"] in [line.split() for line in lines]
    assert lines[-1] == "no interval: there are fewer than 5 groups of images with labels"
    assert OutOfFold(images, SPEC, False, 0).table().splitlines()[-1].startswith("95 % interval of the mIoU: ")


def test_regions_are_scored_of_each_fold_and_of_all(images):
    """By hand: a pixel is in `wide` where its class is b or c."""
    spec = dataclasses.replace(SPEC, regions=(("wide", (1, 2)), ("c", (2,))))
    found = OutOfFold(images, spec, grouped=False, seed=0)
    told = json.loads(json.dumps(found.report()["regions"]))
    assert "regions" not in OutOfFold(images, SPEC, grouped=False, seed=0).report()
    for scores, chosen in ((told["folds"]["1"], [1]), (told["folds"]["2"], [2]), (told["pooled"], [1, 2])):
        counts = sum(image.matrix.counts for image in images if image.fold in chosen)
        both, either = counts[1:, 1:].sum(), counts.sum() - counts[0, 0]
        assert scores["regions"]["wide"] == pytest.approx({"iou": both / either, "dice": 2 * both / (both + either)})
        assert scores["miou"] == pytest.approx((both / either + scores["regions"]["c"]["iou"]) / 2)
    lines = [line.split() for line in found.table().splitlines()]
    for key in ("iou", "dice"):
        each = [*told["folds"].values(), told["pooled"]]
        assert ["wide", *(f"{100 * scores['regions']['wide'][key]:.1f}" for scores in each)] in lines
    assert ["Dice,", "%", "fold", "1", "fold", "2", "all"] in lines
