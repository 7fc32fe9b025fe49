import json

import numpy as np
import pytest

from did_tf.scoring.metrics import ConfusionMatrix

# Truth by prediction, worked out by hand below. Class 2 is never true, class 3 neither true nor predicted.
TABLE = [
    [6, 2, 0, 0],
    [1, 9, 2, 0],
    [0, 0, 0, 0],
    [0, 0, 0, 0],
]
NAN = float("nan")


def pixels(seed, classes=5, shape=(2, 17, 23)):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, shape).astype(np.uint8)
    labels[rng.random(shape) < 0.2] = 255
    return labels, rng.integers(0, classes, shape)


def counted_by_hand(labels, predictions, classes):
    counts = [[0] * classes for _ in range(classes)]
    for label, prediction in zip(labels.flat, predictions.flat):
        if label != 255:
            counts[label][prediction] += 1
    return counts


def test_update_counts_pixels_by_true_and_predicted_class():
    first, second = pixels(0), pixels(1)
    matrix = ConfusionMatrix(5)
    matrix.update(*first)
    matrix.update(*second)
    expected = np.add(counted_by_hand(*first, 5), counted_by_hand(*second, 5))
    np.testing.assert_array_equal(matrix.counts, expected)


def test_uint8_does_not_wrap_around_with_many_classes():
    matrix = ConfusionMatrix(200)
    matrix.update(np.array([150, 199], np.uint8), np.array([3, 199], np.uint8))
    assert matrix.counts[150, 3] == matrix.counts[199, 199] == 1
    assert matrix.counts.sum() == 2


def test_figures_of_the_table():
    matrix = ConfusionMatrix(4, TABLE)
    np.testing.assert_allclose(matrix.iou(), [6 / 9, 9 / 14, 0, NAN])
    np.testing.assert_allclose(matrix.precision(), [6 / 7, 9 / 11, 0, NAN])
    np.testing.assert_allclose(matrix.recall(), [6 / 8, 9 / 12, NAN, NAN])
    np.testing.assert_allclose(matrix.share(), [8 / 20, 12 / 20, 0, 0])
    assert matrix.mean_iou() == pytest.approx((6 / 9 + 9 / 14 + 0) / 3)
    assert matrix.mean_accuracy() == pytest.approx(0.75)
    assert matrix.pixel_accuracy() == pytest.approx(15 / 20)
    assert matrix.frequency_weighted_iou() == pytest.approx(0.4 * 6 / 9 + 0.6 * 9 / 14)


def test_iou_is_that_of_sets_of_pixels():
    labels, predictions = pixels(2)
    matrix = ConfusionMatrix(5)
    matrix.update(labels, predictions)
    valid = set(np.flatnonzero(labels != 255))
    for cls, iou in enumerate(matrix.iou()):
        true = set(np.flatnonzero(labels == cls))
        predicted = set(np.flatnonzero(predictions == cls)) & valid
        assert iou == pytest.approx(len(true & predicted) / len(true | predicted))


def test_an_empty_matrix_has_no_figures_and_no_warnings(recwarn):
    report = ConfusionMatrix(2).report(("a", "b"))
    nothing = {"iou": None, "precision": None, "recall": None, "share": None}
    assert report == {
        "miou": None,
        "pixel_accuracy": None,
        "mean_accuracy": None,
        "fw_iou": None,
        "miou_classes": 0,
        "mean_accuracy_classes": 0,
        "pixels": 0,
        "classes": {"a": nothing, "b": nothing},
    }
    assert not recwarn.list


def test_report_survives_strict_json():
    matrix = ConfusionMatrix(4, TABLE)
    report = json.loads(json.dumps(matrix.report("abcd"), allow_nan=False))
    assert report["pixels"] == 20
    assert report["miou"] == pytest.approx(matrix.mean_iou())
    assert report["classes"]["a"] == pytest.approx({"iou": 6 / 9, "precision": 6 / 7, "recall": 0.75, "share": 0.4})
    assert report["classes"]["c"] == {"iou": 0, "precision": 0, "recall": None, "share": 0}
    with pytest.raises(ValueError, match="3 class names for 4 classes"):
        matrix.report("abc")


def test_counts_beyond_32_bits():
    big = 2**33 + 1
    matrix = ConfusionMatrix(2, [[big, 0], [2**31, big]])
    matrix.update([0], [0])
    both = matrix + ConfusionMatrix(2, [[big, 0], [0, 0]])
    np.testing.assert_array_equal(both.counts, [[2 * big + 1, 0], [2**31, big]])
    assert both.recall()[1] == pytest.approx(big / (big + 2**31))


def test_given_counts_are_copied():
    counts = np.zeros((2, 2), np.int64)
    ConfusionMatrix(2, counts).update([1], [0])
    assert not counts.any()


def test_addition_leaves_its_terms_alone():
    first, second = ConfusionMatrix(2, [[1, 2], [3, 4]]), ConfusionMatrix(2, [[5, 0], [0, 5]])
    np.testing.assert_array_equal((first + second).counts, [[6, 2], [3, 9]])
    np.testing.assert_array_equal(first.counts, [[1, 2], [3, 4]])
    with pytest.raises(ValueError, match="2 and 1 classes"):
        first + ConfusionMatrix(1)


@pytest.mark.parametrize(
    "labels, predictions, message",
    [
        ([0, 11], [0, 0], "label 11 is no class: known are 0 to 2"),
        ([0, -1], [0, 0], "label -1 is no class"),
        ([0, 1], [0, 3], "prediction 3 is no class"),
        ([0, 1], [-2, 0], "prediction -2 is no class"),
        ([0, 255], [0, 7], "prediction 7 is no class"),
        ([0, 1], [0, 1, 1], r"labels are \(2,\) but predictions \(3,\)"),
    ],
)
def test_wrong_values_are_named_and_nothing_is_counted(labels, predictions, message):
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match=message):
        matrix.update(labels, predictions)
    assert not matrix.counts.any()


def test_fractions_are_not_truncated_to_classes():
    with pytest.raises(TypeError):
        ConfusionMatrix(3).update([0, 1], [0.0, 1.7])


def test_constructor_rejects_wrong_sizes():
    with pytest.raises(ValueError, match="num_classes must be 1 to 255, got 256"):
        ConfusionMatrix(256)
    with pytest.raises(ValueError, match=r"must be \(3, 3\), got \(2, 2\)"):
        ConfusionMatrix(3, [[1, 2], [3, 4]])
