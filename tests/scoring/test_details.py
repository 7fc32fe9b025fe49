"""Scores of borders and of objects by size, against definitions written out pixel by pixel."""

from types import SimpleNamespace

import numpy as np
import pytest
from predicted import CLASSES, random_pair

from data_pipelines.spec import IGNORE
from did_tf.scoring.details import SIZES, WIDTH, DetailScores

DATASET = SimpleNamespace(spec=SimpleNamespace(classes=CLASSES, regions=()))


def scored(*pairs):
    """`DetailScores` of pairs (label, prediction)."""
    scores = DetailScores(DATASET)
    for label, prediction in pairs:
        scores.update(None, label, np.eye(len(CLASSES), dtype=np.float32)[prediction])
    return scores


def border_by_hand(mask, width):
    """Pixels of a mask whose square of 2 * width + 1 pixels is not all in it."""
    padded = np.pad(mask, width)
    height, columns = mask.shape
    inner = np.array(
        [[padded[y : y + 2 * width + 1, x : x + 2 * width + 1].all() for x in range(columns)] for y in range(height)]
    )
    return mask & ~inner


def areas_by_hand(mask):
    """Area of the object of each pixel, by flooding."""
    areas, left = np.zeros(mask.shape, int), {tuple(place) for place in np.argwhere(mask)}
    while left:
        todo, seen = [left.pop()], []
        while todo:
            y, x = todo.pop()
            seen.append((y, x))
            near = {(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)} & left
            left -= near
            todo += near
        areas[tuple(zip(*seen))] = len(seen)
    return areas


def by_hand(pairs):
    both = {kind: np.zeros(len(CLASSES)) for kind in ("border", *SIZES)}
    either = {kind: np.zeros(len(CLASSES)) for kind in both}
    for label, prediction in pairs:
        prediction = np.where(label == IGNORE, IGNORE, prediction)
        width = max(1, round(WIDTH * np.hypot(*label.shape)))
        for index in range(len(CLASSES)):
            truth, found = label == index, prediction == index
            edges = [border_by_hand(mask, width) for mask in (truth, found)]
            both["border"][index] += (edges[0] & edges[1]).sum()
            either["border"][index] += (edges[0] | edges[1]).sum()
            truths, finds = areas_by_hand(truth), areas_by_hand(found)
            for size, (low, high) in SIZES.items():
                hit = truth & found & (truths >= low) & (truths < high)
                missed = truth & ~found & (truths >= low) & (truths < high)
                false = found & ~truth & (finds >= low) & (finds < high)
                both[size][index] += hit.sum()
                either[size][index] += (hit | missed | false).sum()
    return {kind: [b / e if e else np.nan for b, e in zip(both[kind], either[kind])] for kind in both}


@pytest.mark.parametrize("shape", [(20, 31), (75, 60)])
def test_against_definitions_written_out(shape):
    pairs = [random_pair(seed, shape, block=1 + 2 * seed) for seed in range(3)]
    expected, found = by_hand(pairs), scored(*pairs).iou()
    assert set(found) == set(expected)
    for kind in expected:
        np.testing.assert_allclose(found[kind], expected[kind], rtol=1e-12)


def test_each_size_is_scored_by_itself():
    label = np.zeros((300, 300), np.uint8)
    label[10:20, 10:20] = 2  # small
    label[50:100, 50:100] = 2  # medium
    label[150:290, 150:290] = 2  # large
    prediction = label.copy()
    prediction[10:20, 10:20] = 0  # the small one is missed
    prediction[50:75, 50:100] = 0  # half of the medium one
    iou = scored((label, prediction)).iou()
    assert [iou[size][2] for size in SIZES] == [0, 0.5, 1]


def test_a_shifted_border_costs_more_than_it_costs_the_iou():
    label = np.zeros((100, 100), np.uint8)
    label[20:80, 20:80] = 1
    shifted = np.roll(label, 2, axis=1)
    iou = scored((label, shifted)).iou()
    plain = (label & shifted).sum() / (label | shifted).sum()
    assert iou["border"][1] < 0.6 < 0.9 < plain


def test_a_perfect_prediction_is_perfect_and_absent_classes_have_no_score():
    label = random_pair(0, (40, 50))[0]
    label[label == 2] = IGNORE
    prediction = np.where(label == IGNORE, 2, label)
    iou = scored((label, prediction)).iou()
    assert iou["border"][:2].tolist() == [1, 1]
    assert np.isnan(iou["border"][2])
    assert all(np.isnan(values[2]) and np.nanmin(values) == 1 for values in iou.values() if not np.isnan(values).all())


def test_scores_and_table_say_the_same():
    scores = scored(random_pair(4, (60, 60)))
    report = scores.scores()
    assert report["border"]["classes"]["road"] == scores.iou()["border"][1]
    assert report["large"]["classes"]["sky"] is None
    row = next(line.split() for line in scores.table().splitlines() if line.startswith("mIoU"))
    assert row[1] == f"{100 * report['border']['miou']:.1f}"
    counts = scores.table().splitlines()[-1].split("  ")[-4:]
    known = [sum(value is not None for value in of["classes"].values()) for of in report.values()]
    assert [cell.strip() for cell in counts] == [f"{number} of {len(report['border']['classes'])}" for number in known]


def test_what_is_only_predicted_counts_against_its_class():
    label = np.zeros((40, 40), np.uint8)
    prediction = label.copy()
    prediction[5:15, 5:15] = 2
    assert scored((label, prediction), (prediction, prediction)).iou()["small"][2] == 0.5
