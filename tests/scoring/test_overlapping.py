"""Scores of regions against the pixels that are in them."""

import json

import numpy as np
import pytest

from data_pipelines.spec import DatasetSpec
from did_tf.common.readout import readout_of
from did_tf.scoring.metrics import ConfusionMatrix
from did_tf.scoring.overlapping import RegionScores

REGIONS = {"whole": (1, 2), "core": (2,), "never": (3,)}
SPEC = DatasetSpec(
    "drawn", tuple("abcd"), ((0, 0, 0),) * 4, {}, mean=(0.0,), std=(1.0,), regions=tuple(REGIONS.items())
)


def test_iou_and_dice_are_of_the_pixels_of_all_images():
    rng, matrix, truth, found = np.random.default_rng(0), ConfusionMatrix(4), [], []
    for shape in ((7, 5), (3, 11)):
        label = rng.choice([0, 1, 2, 255], shape).astype(np.uint8)
        probabilities = rng.random((*shape, 3)).astype(np.float32) * (1, 1, 0.4)
        matrix.update(label, readout_of(SPEC).classes(probabilities).astype(np.uint8))
        # Where core is, whole is too, whatever its own probability.
        painted = np.where(probabilities[..., 1] > 0.5, 2, np.where(probabilities[..., 0] > 0.5, 1, 0))
        truth.append(label[label != 255])
        found.append(painted[label != 255])
    truth, found = np.concatenate(truth), np.concatenate(found)
    scores = RegionScores(SPEC, matrix)
    told = scores.scores()
    for name in ("whole", "core"):
        a, b = (np.isin(pixels, REGIONS[name]) for pixels in (truth, found))
        assert told["regions"][name]["iou"] == pytest.approx((a & b).sum() / (a | b).sum())
        assert told["regions"][name]["dice"] == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert told["regions"]["never"] == {"iou": None, "dice": None}
    means = [np.mean([told["regions"][name][key] for name in ("whole", "core")]) for key in ("iou", "dice")]
    assert [told["miou"], told["mean_dice"]] == pytest.approx(means)
    assert json.loads(json.dumps(told)) == told
    rows = scores.table().splitlines()
    assert rows[2].split()[0] == "whole" and f"{100 * told['regions']['whole']['iou']:.1f}" in rows[2]
