"""Distances of borders, against all pairs of points of contours."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from predicted import CLASSES, random_pair

from data_pipelines.spec import IGNORE
from did_tf.common.errors import ConfigError

SPEC = SimpleNamespace(classes=CLASSES, regions=())

pytest.importorskip("surface_distance", reason="an extra")

from did_tf.scoring.surfaces import SurfaceScores  # noqa: E402


def contour(mask):
    """[(corner of pixels, length of the contour there)] of a mask, by the pixels about each corner."""
    padded, found = np.pad(mask, 1), []
    for y in range(mask.shape[0] + 1):
        for x in range(mask.shape[1] + 1):
            (a, b), (c, d) = padded[y : y + 2, x : x + 2]
            inside = int(a) + b + c + d
            if inside in (1, 3):
                found.append(((y, x), np.sqrt(0.5)))
            elif inside == 2:
                found.append(((y, x), np.sqrt(2) if a == d else 1.0))
    return found


def to_other(one, other):
    """Sorted [(distance to the nearest point of the other contour, length)]."""
    return sorted((min(np.hypot(y - v, x - u) for (v, u), _ in other), length) for (y, x), length in one)


def by_hand(truth, found, tolerance):
    """(Hausdorff-95, normalised surface distance) of two masks."""
    lines = [contour(mask) for mask in (truth, found)]
    distances = [to_other(*lines), to_other(*lines[::-1])]
    farthest = []
    for pairs in distances:
        total, so_far = sum(length for _, length in pairs), 0.0
        for distance, length in pairs:
            so_far += length
            if so_far >= 0.95 * total:
                farthest.append(distance)
                break
    both = [pair for pairs in distances for pair in pairs]
    near = sum(length for distance, length in both if distance <= tolerance)
    return max(farthest), near / sum(length for _, length in both)


def scored(pairs, tolerance=2.0):
    scores = SurfaceScores(SPEC, tolerance)
    for label, prediction in pairs:
        scores.update(None, label, np.eye(len(CLASSES), dtype=np.float32)[prediction])
    return scores


@pytest.mark.parametrize("tolerance", [0.0, 1.5])
def test_distances_are_those_of_all_pairs_of_points(tolerance):
    pairs = [random_pair(seed, (15, 18)) for seed in range(3)]
    told = scored(pairs, tolerance).scores()
    for index, name in enumerate(CLASSES):
        masks = [(label == index, (prediction == index) & (label != IGNORE)) for label, prediction in pairs]
        distance, part = np.mean([by_hand(*of_image, tolerance) for of_image in masks], axis=0)
        row = told["classes"][name]
        assert (row["hausdorff95"], row["surface_distance"]) == (pytest.approx(distance), pytest.approx(part))
        assert (row["both"], row["missed"], row["invented"]) == (3, 0, 0)
    assert told["hausdorff95"] == pytest.approx(np.mean([row["hausdorff95"] for row in told["classes"].values()]))
    assert told["tolerance"] == tolerance


def test_a_square_that_is_off_by_three_columns():
    label, prediction = np.zeros((2, 20, 20), np.uint8)
    label[5:15, 4:12], prediction[5:15, 7:15] = 1, 1
    row = scored([(label, prediction)], 3.0).scores()["classes"]["road"]
    assert (row["hausdorff95"], row["surface_distance"]) == (3.0, 1.0)
    assert scored([(label, prediction)], 2.9).scores()["classes"]["road"]["surface_distance"] < 1


def test_a_class_that_one_of_the_two_lacks_is_counted_and_has_no_distance():
    nothing, something = np.zeros((2, 10, 10), np.uint8)
    something[2:5, 2:5] = 2
    scores = scored([(something, nothing), (nothing, something), (nothing, something)])
    told = scores.scores()
    assert told["classes"]["car"] == {
        "hausdorff95": None,
        "surface_distance": None,
        "both": 0,
        "missed": 1,
        "invented": 2,
    }
    assert told["classes"]["road"] == {**told["classes"]["car"], "missed": 0, "invented": 0}
    assert told["hausdorff95"] == told["classes"]["sky"]["hausdorff95"] > 0
    json.dumps(told, allow_nan=False)
    (row,) = [line.split() for line in scores.table().splitlines() if line.startswith("car")]
    assert row == ["car", "-", "-", "0", "1", "2"]


def test_ignored_pixels_are_of_no_class():
    label, prediction = random_pair(7, (12, 12))
    label[label == IGNORE] = 0
    prediction = label.copy()
    label[:, :5] = IGNORE
    prediction[:, :5] = 1
    told = scored([(label, prediction)]).scores()
    assert (told["hausdorff95"], told["surface_distance"]) == (0, 1)


def test_without_the_package_it_is_said_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "surface_distance", None)
    with pytest.raises(ConfigError, match=r"needs the package surface-distance .*pip install .*\[surfaces\]"):
        SurfaceScores(SPEC, 2.0)
