"""A user's own data: mean and deviation of its bands."""

import json
import pickle
from unittest.mock import Mock

import numpy as np
import pytest
from folders import rewrite
from own_data import complaint, edit, make_five_bands, write_png, write_tiff

from data_pipelines import load, spec_of
from data_pipelines.identity import meaning
from data_pipelines.manifests import described
from data_pipelines.own_data import band_statistics, folders
from data_pipelines.spec import DataError


def test_mean_and_deviation_are_those_of_all_training_pixels(tmp_path):
    folder = make_five_bands(tmp_path, count=5)
    write_tiff(folder / "images" / "scene01.tif", np.full((7, 3, 5), 65535, np.uint16))  # images count by their pixels
    dataset = load("folders", folder)
    images = [dataset.read_image(sample) for sample in dataset.samples("train")]
    pixels = np.concatenate([image.reshape(-1, 5) for image in images]).astype(np.longdouble)
    np.testing.assert_allclose(dataset.spec.mean, pixels.mean(0).astype(float), rtol=1e-13)
    np.testing.assert_allclose(dataset.spec.std, pixels.std(0).astype(float), rtol=1e-13)
    stored = json.loads((folder / "statistics.json").read_text())
    assert stored["images"] == 4 and tuple(stored["mean"]) == dataset.spec.mean


def test_large_values_that_hardly_change_lose_no_digits(plain, monkeypatch):
    monkeypatch.setattr("data_pipelines.own_data.band_statistics.CHUNK", 50)
    folder = plain([], bands=["height"], dtype="float32")
    values = np.float32(1e5) + np.random.default_rng(0).integers(-8, 9, (3, 20, 21, 1)) / np.float32(64)
    for number, image in enumerate(values.astype(np.float32)):
        write_tiff(folder / "images" / f"{number}.tif", image)
        write_png(folder / "labels" / f"{number}.png", np.zeros((20, 21), np.uint8))
    spec = load("folders", folder).spec
    np.testing.assert_allclose(spec.mean, values.astype(np.longdouble).mean().astype(float), rtol=1e-13)
    np.testing.assert_allclose(spec.std, values.astype(np.longdouble).std().astype(float), rtol=1e-6)


def test_they_are_measured_once_and_need_no_images_then(rgbd, monkeypatch):
    first = load("folders", rgbd).spec
    monkeypatch.setattr("data_pipelines.own_data.band_statistics.measure", None)
    assert load("folders", rgbd).spec == first
    for name in ("rgb", "depth", "labels"):
        (rgbd / name).rename(rgbd / f"{name}_gone")
    spec = spec_of("folders", rgbd)
    assert spec == first


CHANGED = "statistics.json was measured on other images than the .* of split 'train': put them back as they were"


def test_statistics_of_another_split_apply_to_what_was_trained_with_them_alone(rgbd):
    first = load("folders", rgbd).spec
    edit(rgbd, splits={"train": ["scene00", "scene07"]})
    dataset = load("folders", rgbd)
    assert dataset.spec.mean == first.mean
    assert spec_of("folders", rgbd) == dataset.spec and spec_of("folders", rgbd).splits == {"train": 2}
    with pytest.raises(DataError, match=CHANGED):
        dataset.check_statistics()
    (rgbd / "statistics.json").unlink()
    again = load("folders", rgbd)
    again.check_statistics()
    assert again.spec.mean != first.mean


@pytest.mark.parametrize("folder", ["rgb", "depth"])
def test_statistics_of_images_that_changed_in_the_same_size(rgbd, folder):
    first = load("folders", rgbd)
    first.check_statistics()
    rewrite(rgbd / folder / "scene02.png")
    with pytest.raises(DataError, match=f"{CHANGED}; or move it away, and it is measured anew"):
        load("folders", rgbd).check_statistics()
    assert load("folders", rgbd).spec == spec_of("folders", rgbd) == first.spec


def test_labels_and_other_splits_do_not_change_statistics(rgbd):
    load("folders", rgbd)
    rewrite(rgbd / "labels" / "scene02.png")
    rewrite(rgbd / "rgb" / "scene07.png")
    load("folders", rgbd).check_statistics()


def test_statistics_of_an_earlier_version_are_compared_by_names(rgbd, capsys):
    load("folders", rgbd)
    path = rgbd / "statistics.json"
    content = json.loads(path.read_text())
    del content["content"]
    path.write_text(json.dumps(content))
    rewrite(rgbd / "rgb" / "scene02.png")
    load("folders", rgbd).check_statistics()
    assert "is of an earlier version: it says the names of the images" in capsys.readouterr().err
    edit(rgbd, splits={"train": ["scene00", "scene07"]})
    with pytest.raises(DataError, match=CHANGED):
        load("folders", rgbd).check_statistics()


def test_an_image_that_changes_while_it_is_measured_is_noticed(rgbd, monkeypatch):
    measure = band_statistics.measure

    def changing(*arguments):
        write_png(rgbd / "rgb" / "scene02.png", np.zeros((64, 80, 3), np.uint8))
        return measure(*arguments)

    monkeypatch.setattr(band_statistics, "measure", changing)
    load("folders", rgbd)
    with pytest.raises(DataError, match=CHANGED):
        load("folders", rgbd).check_statistics()


def test_statistics_of_other_bands(rgbd):
    load("folders", rgbd)
    edit(rgbd, extras=None)
    assert "is of bands red, green, blue, depth, but" in complaint(rgbd)
    edit(rgbd, extras=[{"folder": "depth", "bands": ["depth"], "dtype": "uint16"}], nodata=0)
    assert "is of nodata None, but" in complaint(rgbd)
    (rgbd / "statistics.json").unlink()
    load("folders", rgbd)
    load("folders", rgbd)
    edit(rgbd, nodata=1)
    assert "is of nodata 0.0, but" in complaint(rgbd) and "says 1.0: correct that, or delete" in complaint(rgbd)
    whole = (rgbd / "statistics.json").read_text()
    for damaged in ('{"mean": [1, 2', whole.replace('"mean": [', '"mean": [1' + "0" * 400 + ", ")):
        (rgbd / "statistics.json").write_text(damaged)
        assert "statistics.json is damaged: delete it" in complaint(rgbd)


def test_damaged_images_do_not_keep_the_others_from_being_checked(rgbd, capsys):
    (rgbd / "rgb" / "scene01.png").write_bytes(b"")
    dataset = load("folders", rgbd)
    assert "1 of 6 images can't be measured, such as: " in capsys.readouterr().err
    assert not (rgbd / "statistics.json").exists()
    pixels = [dataset.read_image(sample) for sample in dataset.samples("train") if sample.name != "scene01"]
    np.testing.assert_allclose(dataset.spec.mean, np.mean(pixels, (0, 1, 2)))


def test_a_folder_that_can_not_be_written_is_told_before_all_is_read(rgbd, monkeypatch):
    monkeypatch.setattr("data_pipelines.own_data.band_statistics.measure", None)
    monkeypatch.setattr("data_pipelines.identity.content", None)
    monkeypatch.setattr("data_pipelines.writing.os.access", lambda *_: False)
    told = complaint(rgbd)
    assert told.startswith(
        f"cannot write to {rgbd}: permission denied; statistics.json is kept there: make it writable"
    )


@pytest.mark.parametrize("patch", [None, 32])
def test_what_is_known_of_data_that_were_measured_needs_no_look_at_the_files(rgbd, monkeypatch, patch):
    edit(rgbd, patch=patch)
    dataset = load("folders", rgbd)
    looked = Mock(wraps=folders.find_samples)
    monkeypatch.setattr(folders, "find_samples", looked)
    spec = spec_of("folders", rgbd)
    assert meaning(spec) == meaning(dataset.spec) and spec.logits == dataset.spec.logits and not looked.called
    assert {**spec.splits} == spec.splits == dataset.spec.splits == spec_of("folders", rgbd).splits
    assert spec == dataset.spec and repr(spec) == repr(dataset.spec) and looked.call_count == 2
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert described("folders", {}, spec) == described("folders", {}, dataset.spec)


def test_a_band_that_says_nothing(plain, capsys):
    folder = plain("a")
    write_png(
        folder / "images" / "a.png",
        np.dstack([np.arange(256).reshape(16, 16)] * 2 + [np.full((16, 16), 9)]).astype(np.uint8),
    )
    assert load("folders", folder).spec.std[2] == 1
    assert "band 'blue' is 9 everywhere" in capsys.readouterr().err
