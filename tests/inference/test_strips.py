import numpy as np
import pytest

from data_pipelines import DatasetSpec
from did_tf.inference import strips

SPEC = DatasetSpec(
    "own", ("a", "b"), ((1, 2, 3), (4, 5, 6)), {}, (0.0,) * 3, (1.0,) * 3, label_ids=(7, 300), void_ids=(3,)
)
CLASSES = np.array([[0, 1, 255], [1, 1, 0], [255, 0, 0], [1, 0, 1]], np.uint8)
SURE = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)


@pytest.fixture(autouse=True)
def two_rows(monkeypatch):
    monkeypatch.setattr(strips, "PIXELS", 7)


def joined(found):
    classes, sure = zip(*found)
    assert [len(part) for part in classes] == [2, 2] and classes[0].dtype == np.uint8
    return np.concatenate(classes), None if sure[0] is None else np.concatenate(sure)


def test_arrays_in_strips():
    classes, sure = joined(strips.of_arrays(CLASSES, SURE))
    np.testing.assert_array_equal(classes, CLASSES)
    np.testing.assert_array_equal(sure, SURE)
    assert joined(strips.of_arrays(CLASSES))[1] is None
    monstrous = np.zeros((2, 9), np.uint8)  # of which a row is more than a strip
    assert [len(part) for part, _ in strips.of_arrays(monstrous)] == [1, 1]
