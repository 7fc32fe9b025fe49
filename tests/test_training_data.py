"""What was made from files, records or statistics, is of the files that are there, or nothing is trained."""

import shutil

import pytest
from folders import rewrite
from own_data import edit, make_rgbd

from data_pipelines import load
from data_pipelines.programs.prepare import prepare
from data_pipelines.records import Prepared
from data_pipelines.spec import DataError
from did_tf import wiring
from experiments.base import get_config


@pytest.fixture
def config(tmp_path):
    """Of own data in data/, of which train and val are prepared in records/."""
    data = make_rgbd(tmp_path / "data")
    for split in ("train", "val"):
        prepare(load("folders", data), split, tmp_path / "records", {"name": "folders", "options": {}})
    settings = get_config()
    settings.dataset.name, settings.dataset.folder = "folders", str(data)
    settings.train.progress = False
    return settings.to_dict()


@pytest.fixture
def prepared(config, tmp_path):
    config["dataset"]["prepared"] = str(tmp_path / "records")
    return config


def test_records_whose_files_are_as_they_were(prepared):
    assert isinstance(wiring.make_dataset(prepared, training=True), Prepared)


@pytest.mark.parametrize("name", ["scene01", "scene07"])  # of train, of val
def test_records_of_files_with_other_labels_are_refused(prepared, tmp_path, name):
    """In the same size and time, which was not noticed."""
    rewrite(tmp_path / "data" / "labels" / f"{name}.png")
    with pytest.raises(DataError, match="have changed since the records in .* were prepared: prepare them anew"):
        wiring.make_dataset(prepared, training=True)
    assert wiring.make_dataset(prepared).samples("val")  # whatever is no training takes the files


def test_records_of_other_images_are_refused(prepared, tmp_path):
    rewrite(tmp_path / "data" / "depth" / "scene01.png")
    with pytest.raises(DataError, match="statistics.json was measured on other images"):
        wiring.make_dataset(prepared, training=True)


def test_records_stand_alone_where_the_files_are_gone(prepared, tmp_path, capsys):
    for folder in ("rgb", "depth", "labels"):
        shutil.rmtree(tmp_path / "data" / folder)
    assert len(wiring.make_dataset(prepared, training=True).samples("train")) == 6
    assert "records can't be compared with their files: no folder" in capsys.readouterr().err


def test_records_stand_alone_whatever_was_added_to_a_split_that_is_not_measured(config, tmp_path):
    """statistics.json says how many there were when it was measured, and records how many when they were prepared."""
    data = tmp_path / "data"
    names = [f"scene{number:02d}" for number in range(8)]
    edit(data, splits={"train": names[:6], "val": names[6:7]})
    for split in ("train", "val"):
        prepare(load("folders", data), split, tmp_path / "later", {"name": "folders", "options": {}})
    config["dataset"]["prepared"] = str(tmp_path / "later")
    for folder in ("rgb", "depth", "labels"):
        shutil.rmtree(data / folder)
    assert len(wiring.make_dataset(config, training=True).samples("val")) == 1


def test_statistics_are_of_the_images_that_are_trained_on(config, tmp_path):
    wiring.make_dataset(config, training=True)
    rewrite(tmp_path / "data" / "rgb" / "scene01.png")
    with pytest.raises(DataError, match="statistics.json was measured on other images"):
        wiring.make_dataset(config, training=True)
    mean = wiring.make_dataset(config).spec.mean  # of a run that was trained with them
    assert wiring.make_spec(config).mean == mean
    (tmp_path / "data" / "statistics.json").unlink()
    wiring.make_dataset(config, training=True)
