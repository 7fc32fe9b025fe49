"""Batches from prepared records equal those from the files, for every kind of data; damage is told."""

import dataclasses
import itertools
import json
import shutil
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from folders import make_imagenet, rewrite
from kitti_folder import make_kitti
from noise import COUNT, SOURCE, Noise, spoil
from own_data import make_five_bands, make_rgbd

from data_pipelines import load, records
from data_pipelines.augment import Augmentation
from data_pipelines.identity import LATER, fingerprint, identity
from data_pipelines.pipeline import Loader, training_batches
from data_pipelines.programs.prepare import prepare
from data_pipelines.records import Prepared
from data_pipelines.spec import DataError

CROP = Augmentation((9, 9), (0.7, 1.5), 0.15, True, True)


def prepared(dataset, folder, split="train", **settings):
    prepare(dataset, split, folder, SOURCE, threads=2, **settings)
    return Prepared(folder)


def batches(dataset, options=CROP, split="train"):
    source = Loader(dataset, split, cache=False)
    return itertools.islice(training_batches(source, options, 4, seed=3), 6)


def assert_same_batches(one, other, **settings):
    for first, second in itertools.zip_longest(batches(one, **settings), batches(other, **settings)):
        for key in ("image", "label"):
            assert first[key].dtype == second[key].dtype
            np.testing.assert_array_equal(first[key], second[key])


@pytest.mark.parametrize("encoding", records.ENCODINGS)
@pytest.mark.parametrize("dtype, bands", [("uint8", 3), ("uint16", 5), ("float32", 1)])
def test_samples_are_those_of_the_source(tmp_path, dtype, bands, encoding):
    source = Noise(dtype, bands)
    copy = prepared(source, tmp_path, encoding=encoding)
    assert copy.spec == source.spec
    assert len(copy.samples("train")) == 2 * COUNT
    for sample, record in zip(source.samples("train"), copy.samples("train")):
        assert (record.name, record.window) == (sample.name, sample.window)
        assert records._features(record)["encoding"].bytes_list.value[0].decode() == encoding
        for expected, found in zip(source.read(sample), copy.read(record)):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_batches_are_those_of_the_source(tmp_path, dtype):
    source = Noise(dtype, 3)
    assert_same_batches(source, prepared(source, tmp_path))


def test_classification(tmp_path):
    make_imagenet(tmp_path / "files")
    source = load("imagenet", tmp_path / "files")
    for split in ("train", "val"):
        prepare(source, split, tmp_path / "records", {"name": "imagenet", "options": {}})
    copy = Prepared(tmp_path / "records")
    copy.check_source("imagenet", {}, source.spec)
    boxes = Augmentation((16, 20), flip_horizontal=True, area=(0.3, 1.0))
    assert_same_batches(source, copy, options=boxes, split="train+val")
    assert Loader(copy, "train+val", cache=False).class_counts().pixels.tolist() == [6, 6, 6]
    assert fingerprint(copy.samples("val")) == fingerprint(source.samples("val"))
    assert fingerprint(copy.samples("val")) != fingerprint(copy.samples("train"))


def test_their_identity_is_that_of_the_files(tmp_path):
    make_kitti(tmp_path / "files")
    source = load("kitti_road", tmp_path / "files", patch=64, stride=64)
    copy = prepared(source, tmp_path / "records")
    samples = copy.samples("train")
    assert identity(copy, samples) == identity(source, source.samples("train"))
    frames = {sample.image for sample in source.samples("train")}
    assert len({sample.content for sample in samples}) == len(frames) < len(samples)
    drawn = load("synthetic", height=32, width=32)
    copy = prepared(drawn, tmp_path / "drawn", split="val")
    assert identity(copy, copy.samples("val")) == identity(drawn, drawn.samples("val"))


@pytest.mark.parametrize("keys", [{}, {"patch": 32}])
def test_windows_of_one_image_are_drawn_together_as_those_of_files_are(tmp_path, keys):
    source = load("folders", make_five_bands(tmp_path / "data", count=3, splits={"train": 1.0}, **keys))
    copy = prepared(source, tmp_path / "records")
    images = source.together(source.samples("train"))
    assert copy.together(copy.samples("train")) == (images and [path.stem for path in images])
    assert not images or len(set(images)) == 3 < len(images)


def test_files_that_changed_since(tmp_path):
    """In the same size and time. Splits that were not prepared, or whose files are gone, are not compared."""
    files = load("folders", make_rgbd(tmp_path / "data"))
    copy = prepared(files, tmp_path / "records")
    copy.check_files(files, ["train"])
    rewrite(tmp_path / "data" / "labels" / "scene01.png")
    with pytest.raises(DataError, match="the files of train have changed since the records in .* anew into another"):
        copy.check_files(files, ["train"])
    for folder in ("rgb", "depth", "labels"):
        (tmp_path / "data" / folder).rename(tmp_path / folder)
    copy.check_files(files, ["train"])


def test_files_that_are_half_there(tmp_path):
    make_imagenet(tmp_path / "files")
    source = load("imagenet", tmp_path / "files")
    copy = prepared(source, tmp_path / "records")
    copy.check_files(source, ["train"])
    for path in sorted((tmp_path / "files" / "train").rglob("*.JPEG"))[1:]:
        path.unlink()
    with pytest.raises(DataError, match="the files of train have changed"):
        copy.check_files(source, ["train"])
    shutil.rmtree(tmp_path / "files" / "train")
    copy.check_files(source, ["train"])


def test_files_that_are_in_disorder(tmp_path):
    def samples(split):
        raise DataError("two files have one name")

    copy, files = prepared(Noise(), tmp_path), Noise()
    copy.check_files(files, ["train"])
    files.samples = samples
    with pytest.raises(DataError, match="are not as they were: two files have one name; put them back"):
        copy.check_files(files, ["train"])


def test_tensorflow_reads_the_records(tmp_path):
    """The format is the public one: names and pixels by TensorFlow's own reader and parser."""
    source = Noise("uint16", 2)
    copy = prepared(source, tmp_path)
    features = {key: tf.io.FixedLenFeature([], tf.string) for key in ("name", "image", "label")}
    features["shape"] = tf.io.FixedLenFeature([3], tf.int64)
    files = sorted(map(str, tmp_path.glob("*.tfrecord")))
    found = [tf.io.parse_single_example(record, features) for record in tf.data.TFRecordDataset(files)]
    assert len(found) == 2 * COUNT
    for sample, one in zip(copy.samples("train"), found):
        image, label = source.read(sample)
        assert one["name"].numpy().decode() == sample.name
        np.testing.assert_array_equal(tf.reshape(tf.io.decode_raw(one["image"], tf.uint16), one["shape"]), image)
        np.testing.assert_array_equal(tf.reshape(tf.io.decode_raw(one["label"], tf.uint8), one["shape"][:2]), label)


def test_many_threads_read_at_random(tmp_path, monkeypatch):
    monkeypatch.setattr("data_pipelines.programs.prepare.MEGABYTE", 3000)
    source = Noise()
    copy = prepared(source, tmp_path, shard_megabytes=1)
    assert len(list(tmp_path.glob("*.tfrecord"))) > 3
    samples = copy.samples("train")

    def read(seed):
        for index in np.random.default_rng(seed).integers(0, len(samples), 60):
            np.testing.assert_array_equal(copy.read(samples[index])[0], source.read(samples[index])[0])

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(read, range(4)))


@pytest.mark.parametrize("position", [200, -40])
def test_a_changed_bit_is_found_where_it_is_read(tmp_path, position):
    copy = prepared(Noise(), tmp_path)
    first, *_, last = copy.samples("train")
    spoil(first.shard, position)
    sample, other = (first, last) if position > 0 else (last, first)
    with pytest.raises(DataError, match=rf"{first.shard.name} is damaged \(record {sample.name}.*delete it and run"):
        copy.read(sample)
    assert copy.read(other)


def test_records_that_changed_places_are_found(tmp_path):
    """Whole records with right CRCs, of equal length, but not those that the manifest knows."""
    copy = prepared(Noise(), tmp_path)
    samples = copy.samples("train")
    data = samples[0].shard.read_bytes()
    length = struct.unpack("<Q", data[:8])[0] + records.FRAME
    first, at = data[:length], next(s.offset - 12 for s in samples[1:] if s.length == samples[0].length)
    swapped = data[at : at + length] + data[length:at] + first + data[at + length :]
    assert len(swapped) == len(data) and swapped != data
    samples[0].shard.write_bytes(swapped)
    with pytest.raises(DataError, match="damaged .record train0/é left"):
        Prepared(tmp_path).read(samples[0])


@pytest.mark.parametrize("change", ["delete", "cut"])
def test_missing_and_cut_shards_are_found_at_once(tmp_path, change):
    shard = prepared(Noise(), tmp_path).samples("train")[0].shard
    shard.unlink() if change == "delete" else shard.write_bytes(shard.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"train-00000.tfrecord is damaged \(not there with its \d+ bytes\)"):
        Prepared(tmp_path)


def test_folders_without_records(tmp_path):
    with pytest.raises(DataError, match="no prepared records in .*nowhere"):
        Prepared(tmp_path / "nowhere")
    (tmp_path / "other.json").write_text("[1]")
    with pytest.raises(DataError, match="other.json is no manifest"):
        Prepared(tmp_path)
    (tmp_path / "other.json").write_text("{")
    with pytest.raises(DataError, match="cannot read .*other.json"):
        Prepared(tmp_path)


def test_a_split_that_was_not_prepared(tmp_path):
    with pytest.raises(DataError, match="no complete records of split 'val', but of train"):
        prepared(Noise(), tmp_path).samples("val")


def test_records_of_an_earlier_version(tmp_path):
    """They are what they were: a pixel was void where one band had no data, and no file was asked."""
    source = dataclasses.replace(Noise().spec, nodata=0.0)
    prepared(Noise(), tmp_path)
    path = tmp_path / "train.json"
    content = json.loads(path.read_text())
    content["spec"] = {key: content["spec"][key] for key in content["spec"] if key not in LATER}
    path.write_text(json.dumps(content))
    Prepared(tmp_path).check_source("noise", {}, Noise().spec)
    content["spec"]["nodata"] = 0.0
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="nodata_rule was 'any' and is 'all'"):
        Prepared(tmp_path).check_source("noise", {}, source)
    content["dataset"]["name"] = "folders"
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="nodata_tags was 'none' and is 'both'"):
        Prepared(tmp_path).check_source("folders", {}, dataclasses.replace(source, nodata_rule="any"))


def test_splits_of_other_data_do_not_mix(tmp_path):
    prepare(Noise(), "train", tmp_path, SOURCE)
    prepare(Noise("uint16"), "val", tmp_path, SOURCE)
    with pytest.raises(DataError, match="splits train and val were prepared with different.*dtype was 'uint8' and is"):
        Prepared(tmp_path)


def test_a_split_that_has_grown_since_the_others_were_prepared(tmp_path):
    """But for pseudo-labels: an image that had one may be in that split now, by another name."""
    grown = Noise()
    grown.spec = dataclasses.replace(grown.spec, splits={"train": 14, "val": 3})
    prepare(Noise(), "train", tmp_path, SOURCE)
    prepare(grown, "val", tmp_path, SOURCE)
    copy = Prepared(tmp_path)
    assert len(copy.samples("train")) == len(copy.samples("val")) == 2 * COUNT
    path = tmp_path / "train.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "pseudo": [copy.samples("train")[0].name]}))
    with pytest.raises(DataError, match="prepared with different settings .val was None and is 3."):
        Prepared(tmp_path)


def test_records_of_another_data_set_or_options(tmp_path):
    copy, spec = prepared(Noise(), tmp_path), Noise().spec
    copy.check_source("noise", {}, spec)
    copy.check_source("noise", {}, dataclasses.replace(spec, splits={"train": 15, "val": 3}))
    for name, options, other, message in (
        ("noises", {}, spec, "name was 'noise' and is 'noises'"),
        ("noise", {"patch": 500}, spec, "patch was None and is 500"),
        ("noise", {}, Noise(bands=4).spec, r"mean was \[100.0, 100.0, 100.0\] and is"),
    ):
        with pytest.raises(DataError, match=message):
            copy.check_source(name, options, other)
