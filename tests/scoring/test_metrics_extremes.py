"""Figures against exact fractions and pixels one at a time, where numbers, types and layouts are unusual."""

from fractions import Fraction

import numpy as np
import pytest

from did_tf.scoring.metrics import ConfusionMatrix, jsonable, nan_mean, ratio

NAN = float("nan")


def divided(part, whole):
    return float(Fraction(int(part), int(whole))) if whole else NAN


def mean(values):
    known = [value for value in values if value == value]
    return float(sum(map(Fraction, known)) / len(known)) if known else NAN


def by_fractions(counts):
    """{figure: value} as the definitions word them, of whole Python numbers: exact until the last division."""
    counts = [[int(count) for count in row] for row in counts]
    classes = range(len(counts))
    hits = [counts[i][i] for i in classes]
    true, predicted = [sum(counts[i]) for i in classes], [sum(row[i] for row in counts) for i in classes]
    union = [true[i] + predicted[i] - hits[i] for i in classes]
    iou, recall = ([divided(hits[i], whole[i]) for i in classes] for whole in (union, true))
    weighted = sum(Fraction(true[i] * hits[i], union[i]) for i in classes if union[i])
    return {
        "iou": iou,
        "precision": [divided(hits[i], predicted[i]) for i in classes],
        "recall": recall,
        "share": [divided(true[i], sum(true)) for i in classes],
        "mean_iou": mean(iou),
        "mean_accuracy": mean(recall),
        "pixel_accuracy": divided(sum(hits), sum(true)),
        "frequency_weighted_iou": float(weighted / sum(true)) if sum(true) else NAN,
    }


def table(seed, classes, largest, absent=()):
    """Counts up to `largest`, with an empty row, an empty column and neither for the classes of `absent`."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, largest, (classes, classes), endpoint=True)
    if absent:
        never_true, never_predicted, nowhere = absent
        counts[[never_true, nowhere]] = 0
        counts[:, [never_predicted, nowhere]] = 0
    return counts


TABLES = {
    "one class": table(0, 1, 100),
    "one class, empty": np.zeros((1, 1), int),
    "empty": np.zeros((4, 4), int),
    "one pixel, right": np.diag([0, 1, 0]),
    "one pixel, wrong": np.eye(3, k=2, dtype=int),
    "all wrong": table(1, 5, 9) * (1 - np.eye(5, dtype=int)),
    "all right": np.diag(np.arange(6)),
    "around 2**31": 2**31 - 3 + table(2, 4, 6),
    "around 2**53": 2**53 - 3 + table(3, 4, 6),
    "one beside 2**53": np.array([[2**53, 1], [1, 1]]),
    "classes absent": table(4, 7, 1000, (1, 3, 5)),
    "255 classes": table(5, 255, 2**31, (0, 200, 254)),
}


@pytest.mark.parametrize("counts", TABLES.values(), ids=TABLES)
def test_figures_are_those_of_fractions(counts, recwarn):
    matrix = ConfusionMatrix(len(counts), counts)
    for name, expected in by_fractions(counts).items():
        np.testing.assert_allclose(getattr(matrix, name)(), expected, rtol=1e-12, atol=0, err_msg=name)
    assert not recwarn.list


def drawn(classes, shape=(6, 10), dtype=np.int64, ignored=0.3):
    """(labels, predictions), with the first and the last class in both."""
    rng = np.random.default_rng(0)
    labels, predictions = rng.integers(0, classes, (2, *shape))
    labels.flat[:2], predictions.flat[:2] = (0, classes - 1), (classes - 1, 0)
    labels.reshape(-1)[2:][rng.random(labels.size - 2) < ignored] = 255
    return labels.astype(dtype), predictions.astype(dtype)


def one_at_a_time(labels, predictions, classes):
    counts = np.zeros((classes, classes), int)
    for at in np.ndindex(labels.shape):
        if labels[at] != 255:
            counts[int(labels[at]), int(predictions[at])] += 1
    return counts


def assert_counted(labels, predictions, classes):
    matrix = ConfusionMatrix(classes)
    matrix.update(labels, predictions)
    np.testing.assert_array_equal(matrix.counts, one_at_a_time(labels, predictions, classes))
    assert matrix.counts.dtype == np.int64


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", ">i2", "i4", "u4", "i8", ">i8", "u8"])
@pytest.mark.parametrize("classes", [1, 2, 254, 255])
def test_pixels_of_every_integer_type_are_counted(dtype, classes):
    assert_counted(*drawn(classes, dtype=dtype), classes)


@pytest.mark.parametrize("dtype", ["?", "i1"])
def test_types_that_cannot_hold_the_ignored_label(dtype):
    assert_counted(*drawn(2, dtype=dtype, ignored=0), 2)
    assert_counted(*drawn(2, dtype=dtype, ignored=0), 200)


def test_views_of_larger_arrays_are_counted():
    """Transposed, strided and reversed, which isn't how they lie in memory."""
    labels, predictions = drawn(5, (2, 6, 10))
    for view in (np.transpose, lambda x: x[:, ::2, 1::3], lambda x: x[..., ::-1], lambda x: x[0], np.asfortranarray):
        assert_counted(view(labels), view(predictions), 5)
    assert_counted(labels.T, np.ascontiguousarray(predictions.T), 5)
    assert_counted(np.broadcast_to(labels[0, 0], (3, 10)), predictions[0, :3], 5)


@pytest.mark.parametrize("shape", [(), (1,), (1, 1, 1), (0,), (2, 0, 3)])
def test_one_pixel_and_none(shape):
    assert_counted(np.full(shape, 2, np.uint8), np.full(shape, 1, np.uint8), 3)
    assert_counted(np.full(shape, 255, np.uint8), np.full(shape, 1, np.uint8), 3)


def test_ignored_pixels_alone_leave_no_figure(recwarn):
    matrix = ConfusionMatrix(3)
    matrix.update(np.full((4, 4), 255), np.zeros((4, 4), int))
    assert matrix.report("abc")["pixels"] == 0
    assert np.isnan([matrix.mean_iou(), matrix.pixel_accuracy(), matrix.frequency_weighted_iou()]).all()
    assert not recwarn.list


def test_updates_in_any_parts_are_one():
    labels, predictions = drawn(19, (5, 7, 11))
    whole, parts, added = ConfusionMatrix(19), ConfusionMatrix(19), ConfusionMatrix(19)
    whole.update(labels, predictions)
    for label, prediction in zip(labels, predictions):
        parts.update(label, prediction)
        one = ConfusionMatrix(19)
        one.update(label, prediction)
        added = added + one
    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_array_equal(added.counts, whole.counts)


@pytest.mark.parametrize("value", [256, 300, 2**31, -1, -(2**31)])
def test_labels_beyond_the_ignored_one_are_refused(value):
    """255 alone is ignored: what is above it is a fault of the data."""
    matrix = ConfusionMatrix(255)
    with pytest.raises(ValueError, match=f"label {value} is no class: known are 0 to 254, and 255 to ignore"):
        matrix.update([0, value], [0, 0])
    with pytest.raises(ValueError, match=f"prediction {value} is no class: known are 0 to 254$"):
        matrix.update([0, 0], [0, value])
    assert not matrix.counts.any()


def test_the_first_wrong_value_is_told_and_the_last_class():
    with pytest.raises(ValueError, match="label 9 is no class: known are 0 to 3,"):
        ConfusionMatrix(4).update([0, 9, -8, 7], [0, 0, 0, 0])


@pytest.mark.parametrize("shape", [(3,), (1,), (2, 1), (1, 2), ()])
def test_shapes_that_differ_either_way_are_refused(shape):
    for labels, predictions in ((np.zeros(2, int), np.zeros(shape, int)), (np.zeros(shape, int), np.zeros(2, int))):
        with pytest.raises(ValueError, match="they must be equal"):
            ConfusionMatrix(3).update(labels, predictions)


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (3, 2), (3, 3), (2,), (4,)])
def test_counts_of_any_other_shape_are_refused(shape):
    with pytest.raises(ValueError, match="counts of 2 classes must be"):
        ConfusionMatrix(2, np.zeros(shape, int))


@pytest.mark.parametrize("counts", [[[0.5, 1], [1, 1]], [[NAN, 1], [1, 1]], np.zeros((2, 2))])
def test_counts_are_whole_numbers(counts):
    """Half a pixel would be cut off in silence, and NaN become a number."""
    with pytest.raises(TypeError):
        ConfusionMatrix(2, counts)


@pytest.mark.parametrize("classes", [0, -1, 256])
def test_numbers_of_classes_out_of_range(classes):
    with pytest.raises(ValueError, match=f"num_classes must be 1 to 255, got {classes}"):
        ConfusionMatrix(classes)


def test_numbers_of_classes_may_be_numpys():
    first, second = ConfusionMatrix(np.int64(2), [[1, 0], [0, 1]]), ConfusionMatrix(np.int32(2), [[1, 2], [0, 0]])
    assert (first + second).report(["a", "b"])["pixels"] == 5
    with pytest.raises(ValueError, match="5 class names for 2 classes"):
        first.report("abcde")
    for other in (1, 3):
        with pytest.raises(ValueError, match=f"matrices of 2 and {other} classes"):
            first + ConfusionMatrix(other)


def test_reports_hold_every_figure_of_every_class():
    counts = table(6, 9, 50, (2, 4, 6))
    expected, names = by_fractions(counts), [f"class {i}" for i in range(9)]
    report = ConfusionMatrix(9, counts).report(names)
    assert report["pixels"] == counts.sum()
    for key, figure in {
        "miou": "mean_iou",
        "fw_iou": "frequency_weighted_iou",
        "mean_accuracy": "mean_accuracy",
    }.items():
        assert report[key] == pytest.approx(expected[figure], rel=1e-12)
    assert report["pixel_accuracy"] == pytest.approx(expected["pixel_accuracy"], rel=1e-12)
    for i, name in enumerate(names):
        for key, value in report["classes"][name].items():
            number = expected[key][i]
            assert value is None if np.isnan(number) else value == pytest.approx(number, rel=1e-12)


def test_helpers_where_there_is_nothing(recwarn):
    np.testing.assert_array_equal(ratio(np.array([0, 0, 3]), np.array([0, 4, 2])), [NAN, 0, 1.5])
    assert np.isnan(nan_mean(np.array([]))) and np.isnan(nan_mean(np.array([NAN, NAN])))
    assert nan_mean(np.array([NAN, 1.0, NAN, 4.0])) == 2.5
    assert jsonable(NAN) is None and jsonable(np.float32(0.5)) == 0.5 and type(jsonable(np.float32(0.5))) is float
    assert not recwarn.list
