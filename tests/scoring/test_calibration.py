"""Calibration error against loops, temperatures against a closed form and a grid."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest
from in_memory import InMemory, halves, noise
from scipy.special import log_softmax, softmax

from data_pipelines.spec import IGNORE, DataError
from did_tf.scoring import calibration
from did_tf.scoring.calibration import Calibration, Pixels, at_temperature, fit, reliability


def pixels(seed=0, count=4000, classes=5, spread=3.0, temperature=1.0, weighted=False):
    """Pixels whose labels are drawn by the softmax of their logits; and these, times `temperature`."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (count, classes))
    labels = np.array([rng.choice(classes, p=p) for p in softmax(logits, axis=1)], np.uint8)
    logits *= temperature
    weights = rng.integers(1, 9, count).astype(float) if weighted else np.ones(count)
    return Pixels(softmax(logits, axis=1).astype(np.float32), labels, weights), logits


def ece_by_hand(found):
    """Sums over pixels, one by one."""
    sums = [[0.0, 0.0, 0.0] for _ in range(15)]
    for row, label, weight in zip(found.probabilities.astype(float).tolist(), found.labels, found.weights):
        sure = max(row)
        place = next(m for m in range(15) if sure <= (m + 1) / 15 or m == 14)
        for number, value in enumerate((1, sure, row.index(sure) == label)):
            sums[place][number] += weight * value
    return sum(abs(hits - sure) for _, sure, hits in sums) / sum(count for count, *_ in sums)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 4.0])
def test_calibration_error_is_that_of_loops_over_pixels(temperature):
    found, _ = pixels(1, 600, temperature=temperature, weighted=True)
    assert reliability(found).error() == pytest.approx(ece_by_hand(found), rel=1e-6)


def test_bins_end_with_their_upper_edge_and_empty_ones_have_no_figures():
    found = reliability(
        Pixels(np.array([[0.6, 0.4], [0.61, 0.39], [0, 1]], np.float64), np.array([0, 1, 1]), np.ones(3))
    )
    assert found.share.tolist() == pytest.approx([0] * 8 + [1 / 3, 1 / 3] + [0] * 4 + [1 / 3])
    assert found.accuracy[[8, 9, 14]].tolist() == [1, 0, 1] and np.isnan(found.accuracy[0])
    assert found.error() == pytest.approx((0.4 + 0.61) / 3)
    assert found.report()["confidence"][0] is None


def test_the_temperature_is_that_of_the_closed_form_of_two_classes():
    """Where all logits are +-a and a part of the pixels is right, that is the probability: 2 a / T = logit(part)."""
    part, a, count = 0.8, 3.0, 1000
    labels = (np.arange(count) >= part * count).astype(np.uint8)  # 0 is what all pixels say
    probabilities = np.tile(softmax([a, -a]), (count, 1)).astype(np.float32)
    found = Pixels(probabilities, labels, np.ones(count))
    assert fit(found) == pytest.approx(2 * a / np.log(part / (1 - part)), rel=1e-4)
    assert reliability(found).error() == pytest.approx(softmax([a, -a])[0] - part, abs=1e-6)
    assert reliability(found.at(fit(found))).error() == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("temperature", [0.5, 2.5])
def test_the_temperature_is_that_of_a_grid_and_follows_that_of_the_logits(temperature):
    found, logits = pixels(2, weighted=True, temperature=temperature)
    grid = np.geomspace(0.2, 5, 1500)
    losses = [
        np.average(-log_softmax(logits / t, axis=1)[np.arange(len(logits)), found.labels], weights=found.weights)
        for t in grid
    ]
    best = int(np.argmin(losses))
    assert fit(found) == pytest.approx(grid[best], rel=3e-3)
    assert found.at(fit(found)).nll() == pytest.approx(losses[best], abs=1e-5)
    assert fit(found) == pytest.approx(temperature, rel=0.05), "labels are drawn at temperature 1"


def test_a_network_that_is_never_wrong_and_one_that_knows_nothing_have_the_ends_of_the_range():
    sure, logits = pixels(3, 200)
    right = dataclasses.replace(sure, labels=logits.argmax(axis=1))
    assert fit(right) == calibration.COOLEST
    assert fit(dataclasses.replace(sure, labels=logits.argmin(axis=1))) == calibration.HOTTEST


@pytest.mark.parametrize("temperature", [0.05, 0.7, 1.0, 3.0, 20.0])
def test_probabilities_at_a_temperature_are_those_of_the_logits_and_keep_their_order(temperature):
    found, logits = pixels(4, 500, classes=11, spread=6)
    before = found.probabilities.copy()
    tempered = at_temperature(found.probabilities, temperature)
    np.testing.assert_allclose(tempered, softmax(logits / temperature, axis=1), atol=2e-6)
    np.testing.assert_array_equal(tempered.argmax(axis=1), before.argmax(axis=1))
    np.testing.assert_array_equal(found.probabilities, before)
    assert tempered.dtype == np.float32
    hard = np.array([[0, 1, 0], [np.nan] * 3], np.float32)
    np.testing.assert_array_equal(at_temperature(hard, temperature), hard)


def images(count=4, size=(20, 30), temperature=3.0):
    """[(label, probabilities)] of images that get harder, some void."""
    found = []
    for number in range(count):
        drawn, _ = pixels(10 + number, size[0] * size[1], classes=3, spread=2 + number, temperature=temperature)
        label = drawn.labels.reshape(size).copy()
        label[: 1 + number] = IGNORE
        found.append((label, drawn.probabilities.reshape(*size, 3)))
    return found


def measured(scenes, **options):
    found = Calibration(SimpleNamespace(num_classes=3), len(scenes), **options)
    for label, probabilities in scenes:
        found.update(None, label, probabilities)
    return found


def of(scenes):
    """All their labelled pixels."""
    labels = np.concatenate([label[label != IGNORE] for label, _ in scenes])
    return Pixels(np.concatenate([p[label != IGNORE] for label, p in scenes]), labels, np.ones(len(labels)))


def test_each_half_of_the_images_is_looked_at_at_the_temperature_of_the_other():
    scenes = images()
    found, told = measured(scenes), measured(scenes).scores()
    first, second = of(scenes[:2]), of(scenes[2:])
    assert told["halves"] == [fit(first), fit(second)] and told["temperature"] == fit(of(scenes))
    assert told["halves"][0] != told["halves"][1]
    assert told["pixels"] == told["of"] == len(of(scenes).labels)
    assert told["before"]["ece"] == pytest.approx(ece_by_hand(of(scenes)), rel=1e-6)
    ones, others = first.at(fit(second)), second.at(fit(first))
    after = Pixels(*(np.concatenate(x) for x in zip(*((p.probabilities, p.labels, p.weights) for p in (ones, others)))))
    assert told["after"]["ece"] == pytest.approx(ece_by_hand(after), rel=1e-5)
    assert told["after"]["ece"] < told["before"]["ece"] and told["after"]["nll"] < told["before"]["nll"]
    json.dumps(told, allow_nan=False)
    assert f"{100 * told['after']['ece']:.2f}" in found.table() and "that of the other half" in found.table()


def test_a_temperature_that_is_given_is_looked_at_and_none_fitted():
    scenes = images()
    told = measured(scenes, given=3.0).scores()
    assert (told["temperature"], told["halves"]) == (3.0, [])
    assert told["after"]["ece"] == pytest.approx(ece_by_hand(of(scenes).at(3.0)), rel=1e-5)
    assert "temperature 3.000, fitted before" in measured(scenes, given=3.0).table()


def test_pixels_that_are_drawn_stand_for_all_of_their_image():
    scenes = images(size=(60, 80))
    drawn, whole = (measured(scenes, room=room).scores() for room in (3 * 4 * 1000, 10**9))
    assert drawn["pixels"] == 4000 and drawn["of"] == whole["of"] == whole["pixels"]
    assert drawn["temperature"] == pytest.approx(whole["temperature"], rel=0.05)
    assert drawn["before"]["ece"] == pytest.approx(whole["before"]["ece"], abs=0.02)


def test_one_image_has_no_temperature_that_another_could_look_at():
    with pytest.raises(DataError, match="two images with labels"):
        measured(images(1))
    nothing = [(np.full_like(label, IGNORE), p) for label, p in images(3)]
    with pytest.raises(DataError, match="two images with labels"):
        measured([*images(1), *nothing]).scores()
    assert measured(images(1), given=2.0).scores()["temperature"] == 2.0


def test_labels_are_read_up_to_the_second_that_a_temperature_could_be_fitted_on():
    void, read = np.full((24, 32), IGNORE, np.uint8), []
    data = InMemory({"val": [(noise(n), label) for n, label in enumerate([void, halves(), void, halves(), halves()])]})
    whole, samples = data.read, data.samples("val")
    data.read = lambda sample: read.append(sample.name) or whole(sample)
    calibration.check_labelled(data, samples)
    assert read == ["val_0", "val_1", "val_2", "val_3"]
    for few in (samples[:3], samples[4:], []):
        with pytest.raises(DataError, match="two images with labels"):
            calibration.check_labelled(data, few)


def test_the_picture_has_a_bar_for_each_bin():
    figure = measured(images()).figure()
    assert [len(axes.patches) for axes in figure.axes] == [15, 15]
