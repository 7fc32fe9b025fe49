import numpy as np
import pytest
import rasterio

from data_pipelines import DataError, DatasetSpec
from data_pipelines.reading.places import Place
from did_tf.common import visualize
from did_tf.inference import outputs, strips

SPEC = DatasetSpec(
    "own", ("a", "b"), ((1, 2, 3), (4, 5, 6)), {}, (0.0,) * 3, (1.0,) * 3, label_ids=(7, 300), void_ids=(3,)
)
CLASSES = np.array([[0, 1, 255], [1, 1, 0], [255, 0, 0], [1, 0, 1]], np.uint8)
SURE = np.linspace(0, 1, 12, dtype=np.float32).reshape(4, 3)
UTM = Place(rasterio.CRS.from_epsg(32633).to_wkt(), (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))


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


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_what_was_written_is_read_as_the_classes(ending, tmp_path):
    label, sure = tmp_path / f"a_label.{ending}", tmp_path / "a_confidence.tif"
    written = outputs.own_ids(CLASSES, SPEC)
    for path, values in ((label, written), (sure, SURE)):
        if path.suffix == ".png":
            visualize.save_png(path, values)
        else:
            outputs._write_rows(str(path), values, lambda rows: rows[..., None], UTM)
    np.save(tmp_path / "a_confidence.npy", SURE)
    np.testing.assert_array_equal(joined(strips.of_files(label, SPEC))[0], CLASSES)
    for path in (sure, tmp_path / "a_confidence.npy"):
        classes, found = joined(strips.of_files(label, SPEC, path))
        np.testing.assert_array_equal(classes, CLASSES)
        np.testing.assert_array_equal(found, SURE)


def test_files_that_do_not_fit_or_are_no_rasters(tmp_path):
    visualize.save_png(tmp_path / "a_label.png", outputs.own_ids(CLASSES, SPEC))
    np.save(tmp_path / "small.npy", SURE[:2])
    (tmp_path / "text.tif").write_text("no raster")
    for name, told in {
        "small.npy": "small.npy is of another size",
        "text.tif": "not recognized",
        "no.npy": "No such",
    }.items():
        with pytest.raises(DataError, match=f"cannot read what was written of .*a_label.png: .*{told}"):
            list(strips.of_files(tmp_path / "a_label.png", SPEC, tmp_path / name))
