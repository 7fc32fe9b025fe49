"""Classification's scores: ranks, centre crops, the report."""

import json

import cv2
import numpy as np
import pytest
import tensorflow as tf
from folders import make_imagenet
from tensorflow import keras

from data_pipelines import DataError, load
from did_tf.scoring.bootstrap import bounds
from did_tf.scoring.classification import (
    Classification,
    Classifier,
    evaluate,
    table,
    told_interval,
    true_ranks,
    write_report,
)

NAN = float("nan")


class Mean:
    """A stand-in for a network: the logit of class n is how near the image's mean red value is to `centres[n]`."""

    input_shape = (None, None, None, 3)

    def __init__(self, centres):
        self.centres, self.sizes = tf.constant(centres, tf.float32), []

    def __call__(self, images, training):
        assert training is False
        red = tf.reduce_mean(images[..., 0], axis=[1, 2])
        return {"main": -tf.abs(red[:, None] - self.centres)}


@pytest.fixture
def folder(tmp_path):
    """7 classes with 3 images each to evaluate; image k of class n is evenly 20 n + 10 k."""
    make_imagenet(tmp_path, classes=7, splits={"train": 1})
    for cls in range(7):
        for k in range(3):
            path = tmp_path / "val" / f"n{cls:08d}" / f"{k}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imencode(".png", np.full((30 + cls, 50 - k, 3), 20 * cls + 10 * k, np.uint8))[1].tofile(path)
    return tmp_path


def topk_by_sorting(logits, classes, k):
    """Error with Python's sort: descending logits, the lower id first among equals."""
    misses = 0
    for row, cls in zip(logits.tolist(), classes):
        misses += cls not in sorted(range(len(row)), key=lambda n: (-row[n], n))[:k]
    return misses / len(classes)


@pytest.mark.parametrize("levels", [1000, 3, 1])
def test_errors_are_those_of_sorting_also_with_ties(levels):
    rng = np.random.default_rng(levels)
    logits = rng.integers(0, levels, (200, 9)).astype(np.float32)
    classes = rng.integers(0, 9, 200)
    ranks = true_ranks(logits, classes)
    result = Classification([("", int(rank)) for rank in ranks])
    for k in (1, 2, 5, 9):
        assert result.error(k) == topk_by_sorting(logits, classes, k)
    np.testing.assert_array_equal(ranks == 0, logits.argmax(axis=1) == classes)
    best = tf.math.top_k(logits, 5).indices.numpy()
    np.testing.assert_array_equal(ranks < 5, (best == classes[:, None]).any(axis=1))


def test_ranks_worked_out_by_hand():
    logits = [[0.1, 0.7, 0.2], [3, 3, 3], [3, 3, 3], [1, 0, 1], [1, 0, 1], [0, 1, 2]]
    assert true_ranks(logits, [1, 0, 2, 2, 1, 0]).tolist() == [0, 0, 2, 1, 2, 2]


def test_nan_is_never_right():
    logits = [[NAN, NAN, NAN], [5, NAN, 0], [NAN, 5, 0], [NAN, 5, 0]]
    assert true_ranks(logits, [0, 0, 0, 1]).tolist() == [2, 1, 2, 1]


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_evaluate_ranks_every_image(folder, batch_size):
    dataset, centres = load("imagenet", folder), np.arange(7) * 20.0
    result = evaluate(Classifier(Mean(centres), 16, batch_size=batch_size), dataset, "val", progress=False)
    assert [name for name, _ in result.images] == [f"n{cls:08d}/{k}" for cls in range(7) for k in range(3)]
    # Image 0 lies on its class, 1 halfway to the next (the lower id wins), 2 on the next.
    assert [rank for _, rank in result.images] == [0, 0, 1] * 6 + [0, 0, 0]
    assert result.error(1) == 6 / 21 and result.error(2) == 0


def test_evaluate_a_limit(folder):
    result = evaluate(Classifier(Mean([0.0] * 7), 16, batch_size=2), load("imagenet", folder), "val", False, limit=5)
    assert [rank for _, rank in result.images] == [0, 0, 0, 1, 1]


def test_progress_is_shown_on_request(folder, capsys):
    classifier, dataset = Classifier(Mean([0.0] * 7), 16), load("imagenet", folder)
    evaluate(classifier, dataset, "val", progress=False)
    assert capsys.readouterr().err == ""
    evaluate(classifier, dataset, "val")
    assert "val" in capsys.readouterr().err


def test_a_bad_file_is_named(folder):
    (folder / "val" / "n00000003" / "1.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"cannot decode .*n00000003/1\.png"):
        evaluate(Classifier(Mean([0.0] * 7), 16), load("imagenet", folder), "val", progress=False)


@pytest.mark.parametrize(
    "shape, size", [((300, 512, 3), (256, 437)), ((400, 256, 1), (400, 256)), ((90, 60, 5), (384, 256))]
)
def test_the_shorter_side_becomes_256_and_the_centre_is_cut(shape, size):
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    image = np.repeat((rows + 1000 * columns)[..., None], shape[2], axis=2)
    crop = Classifier(Mean([0.0]), 224).prepare(image)
    assert crop.shape == (224, 224, shape[2])
    # Where the crop's pixel centres lie in the image.
    across, down = ((side - 224) // 2 + np.arange(224) + 0.5 for side in (size[1], size[0]))
    expected = down[:, None] * shape[0] / size[0] - 0.5 + 1000 * (across * shape[1] / size[1] - 0.5)
    np.testing.assert_allclose(crop, np.repeat(expected[..., None], shape[2], axis=2), rtol=1e-4, atol=60)


def test_shrinking_averages():
    image = np.zeros((1024, 1024, 3), np.uint8)
    image[::4] = 200
    image[2::4, ::2] = 200
    image[3::4, 1::2] = 200
    np.testing.assert_array_equal(Classifier(Mean([0.0]), 224).prepare(image), 100)


def test_crops_that_are_not_square():
    classifier = Classifier(Mean([0.0]), (21, 28))
    assert classifier.resize == 32
    assert classifier.prepare(np.zeros((500, 400, 3), np.uint8)).shape == (21, 28, 3)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"crop": 224, "resize": 200}, r"resize must be at least the crop \(224, 224\), got 200"),
        ({"crop": (0, 8)}, "crop must be one size"),
        ({"crop": (1, 2, 3)}, "crop must be one size"),
        ({"batch_size": 0}, "batch_size must be at least 1"),
    ],
)
def test_options_out_of_range_are_told(settings, message):
    with pytest.raises(ValueError, match=message):
        Classifier(Mean([0.0]), **settings)


def test_a_keras_model_is_called_for_inference():
    image = keras.Input((None, None, 3))
    pooled = keras.layers.Dropout(0.9)(keras.layers.GlobalAveragePooling2D()(image))
    model = keras.Model(image, {"main": keras.layers.Dense(4, kernel_initializer="ones")(pooled)})
    images = [np.full((40, 30, 3), value, np.uint8) for value in (1, 7)]
    np.testing.assert_allclose(Classifier(model, 8)(images), [[3.0] * 4, [21.0] * 4], rtol=1e-5)


def test_the_report(tmp_path):
    result = Classification([("a", 0), ("b", 3), ("c", 7), ("d", 1)])
    paper = {"top1_error": 29.28, "split": "val"}
    write_report(result, tmp_path / "run" / "evaluation", "val", {"crop": 224}, paper)
    report = json.loads((tmp_path / "run" / "evaluation" / "val.json").read_text())
    assert report == {
        "split": "val",
        "protocol": {"crop": 224},
        "outputs": {"main": {"top1_error": 0.75, "top5_error": 0.25, "images": 4}},
        "interval": None,
        "images": [{"name": name, "rank": rank} for name, rank in zip("abcd", (0, 3, 7, 1))],
        "paper": paper,
    }


def test_errors_have_intervals_of_what_is_drawn(tmp_path):
    ranks = np.array([0] * 40 + [3] * 15 + [9] * 5)
    result = Classification([("", int(rank)) for rank in ranks])
    rng = np.random.default_rng(0)
    drawn = np.array([ranks[rng.integers(60, size=60)] for _ in range(1000)])
    top1, top5 = (bounds((drawn >= k).mean(axis=1), result.error(k)) for k in (1, 5))
    write_report(result, tmp_path, "val", {})
    told = json.loads((tmp_path / "val.json").read_text())["interval"]
    assert told["top1_error"] == pytest.approx(top1) and told["top5_error"] == pytest.approx(top5)
    assert (told["count"], told["too_narrow"]) == (60, False)
    (a, b), (c, d) = 100 * top1, 100 * top5
    line = f"95 % intervals: top-1 {a:.2f} to {b:.2f}, top-5 {c:.2f} to {d:.2f} (bootstrap over 60 images)"
    assert told_interval(result) == line
    assert "they take 5 images" in told_interval(Classification(result.images[:4]))


def test_a_report_of_nothing_is_valid_json(tmp_path):
    write_report(Classification([]), tmp_path, "val", {})
    report = json.loads((tmp_path / "val.json").read_text(), parse_constant=pytest.fail)
    assert report["outputs"]["main"] == {"top1_error": None, "top5_error": None, "images": 0}


def test_the_table():
    result = Classification([("", rank) for rank in [0] * 5 + [4] * 2 + [5]])
    assert table(result, {"top1_error": 29.28, "top5_error": 10.21, "split": "val"}).splitlines() == [
        "error, %   main  paper (val)",
        "top-1     37.50        29.28",
        "top-5     12.50        10.21",
    ]
    assert table(result, {"top1_error": 29.28}).splitlines() == [
        "error, %   main  paper",
        "top-1     37.50  29.28",
        "top-5     12.50",
    ]
    assert table(result, last=Classification([("", 0)])).splitlines() == [
        "error, %   main  last step",
        "top-1     37.50       0.00",
        "top-5     12.50       0.00",
    ]
    assert table(result).splitlines()[0] == "error, %   main"


def test_devices_share_the_batches(folder, monkeypatch):
    """Here under two names of the only one there is."""
    dataset, classifier = load("imagenet", folder), Classifier(Mean([20.0 * n for n in range(7)]), 16, batch_size=4)
    alone, devices = evaluate(classifier, dataset, "val", progress=False), ["/cpu:0", "/device:CPU:0"]
    used, device = set(), tf.device
    monkeypatch.setattr(tf, "device", lambda name: used.add(name) or device(name))
    assert evaluate(classifier, dataset, "val", progress=False, devices=devices) == alone
    assert used == {*devices}
    assert len(alone.images) == 21
