import numpy as np

from data_pipelines.spec import IGNORE
from did_tf.inference import strips
from did_tf.inference.sure import Sure


def test_a_pixel_keeps_its_class_where_that_is_as_probable_as_it_must_be():
    classes = np.array([[0, 1, 2, IGNORE], [0, 1, 2, 2]], np.uint8)
    confidence = np.array([[0.9, 0.89, 1, np.nan], [0.5, 0.95, 0.9, 0.1]], np.float32)
    sure = Sure(classes, confidence, 0.9)
    np.testing.assert_array_equal(sure[0:1], [[0, IGNORE, 2, IGNORE]])
    np.testing.assert_array_equal(sure[:], [[0, IGNORE, 2, IGNORE], [IGNORE, 1, 2, IGNORE]])
    assert sure.counts(4) == [[2, 2, 3, 0], [1, 1, 2, 0]]


def test_it_is_counted_in_strips_as_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    classes, confidence = rng.integers(0, 3, (50, 7), np.uint8), rng.random((50, 7), np.float32)
    expected = [np.bincount(classes[there], minlength=3).tolist() for there in (confidence >= 0, confidence >= 0.5)]
    monkeypatch.setattr(strips, "PIXELS", 7 * 8)
    assert Sure(classes, confidence, 0.5).counts(3) == expected
