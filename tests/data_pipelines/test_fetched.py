"""Records at a remote place, with a folder as its stand-in, are those of the local folder."""

import os
import time

import numpy as np
import pytest
from noise import SOURCE, Noise, spoil

from data_pipelines import fetched as fetched_module
from data_pipelines import load
from data_pipelines.fetched import written
from data_pipelines.programs.prepare import prepare
from data_pipelines.records import Prepared
from data_pipelines.spec import DataError
from data_pipelines.writing import beside


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where records are, sent there by a machine with another cache folder."""
    monkeypatch.setenv("DID_TF_CACHE", str(tmp_path / "sender"))
    place = f"file://{tmp_path}/bucket/records"
    with written(place, ["train"]) as folder:
        prepare(Noise(), "train", folder, SOURCE, threads=2)
    monkeypatch.setenv("DID_TF_CACHE", str(tmp_path / "cache"))
    return place


def test_records_are_those_that_were_sent(place, tmp_path):
    found, source = Prepared(place), Noise()
    assert not (tmp_path / "cache/records").exists()
    for sample, record in zip(source.samples("train"), found.samples("train"), strict=True):
        for expected, pixels in zip(source.read(sample), found.read(record)):
            np.testing.assert_array_equal(pixels, expected)
    assert len([*(tmp_path / "cache/records").iterdir()]) == 1


def test_a_damaged_shard_is_told_and_not_kept(place, tmp_path):
    spoil(tmp_path / "bucket/records/train-00000.tfrecord", 500)
    with pytest.raises(DataError, match="train-00000.tfrecord is damaged"):
        Prepared(place).samples("train")
    assert not [*(tmp_path / "cache/records").iterdir()]


def test_what_a_killed_fetcher_has_left_is_deleted_when_the_cache_is_used_again(place, tmp_path):
    """Also where nothing is to be fetched; not what another process is fetching now."""
    folder = tmp_path / "cache/records"
    folder.mkdir(parents=True)
    left, fetched = beside(folder / "a.tfrecord"), beside(folder / "b.tfrecord")
    for _ in range(2):
        for path in (left, fetched):
            path.touch()
        os.utime(left, (0, time.time() - fetched_module.IDLE - 1))
        Prepared(place).samples("train")
        assert fetched.exists() and not left.exists()


def test_other_records_are_not_overwritten(place, tmp_path):
    with pytest.raises(DataError, match="is of other records"), written(place, ["train"]) as folder:
        prepare(Noise("uint16"), "train", folder, SOURCE, threads=2)


def test_a_place_without_records_and_one_of_images_are_refused(tmp_path):
    with pytest.raises(DataError, match="no prepared records in file:///"):
        Prepared(f"file://{tmp_path}/nothing")
    with pytest.raises(DataError, match="prepare records on a machine that has the files"):
        load("camvid", "gs://bucket/camvid")
