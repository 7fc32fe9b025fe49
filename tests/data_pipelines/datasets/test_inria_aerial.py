"""Inria Aerial Image Labeling, on a few generated tiles."""

import collections
import shutil

import numpy as np
import pytest
from inria_folder import make_inria, write_tiff

from data_pipelines import IGNORE, DataError, load, spec_of
from data_pipelines.datasets.inria_aerial import CITIES
from data_pipelines.spec import AbsentSplit, Window


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Tiles 1, 2, 6, 7 and 10 of two cities."""
    path = tmp_path_factory.mktemp("inria")
    make_inria(path, tiles=(1, 2, 6, 7, 10), cities=("kitsap", "austin"))
    return path


def names(samples):
    return [sample.name for sample in samples]


def write_pair(folder, image, label, name="austin6"):
    write_tiff(folder / "train" / "images" / f"{name}.tif", image)
    write_tiff(folder / "train" / "gt" / f"{name}.tif", label)


def test_buildings_are_255_and_nothing_is_void(folder):
    dataset = load("inria_aerial", folder)
    for sample in dataset.samples("trainval"):
        image, label = dataset.read(sample)
        assert image.shape == (100, 100, 3) and image.dtype == label.dtype == np.uint8
        assert set(np.unique(label)) == {0, 1}
        # Buildings are the bright parts of what the generator draws.
        np.testing.assert_array_equal(label == 1, image.max(axis=-1) >= 140)


def test_a_value_that_is_neither_is_named(tmp_path):
    write_pair(tmp_path, np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 1, np.uint8))
    dataset = load("inria_aerial", tmp_path)
    with pytest.raises(DataError, match=r"gt/austin6\.tif holds value 1: inria_aerial knows classes 0, 255"):
        dataset.read(dataset.samples("train")[0])


def test_the_first_five_tiles_of_each_city_validate(folder):
    dataset = load("inria_aerial", folder)
    assert names(dataset.samples("val")) == ["austin1", "austin2", "kitsap1", "kitsap2"]
    assert names(dataset.samples("train")) == ["austin6", "austin7", "austin10", "kitsap6", "kitsap7", "kitsap10"]
    assert len(dataset.samples("trainval")) == 10


@pytest.mark.parametrize("validation", ["first_five", "fifth"])
def test_all_180_tiles_are_divided(tmp_path, validation):
    for part in ("images", "gt"):
        (tmp_path / "train" / part).mkdir(parents=True)
    for number in range(1, 37):
        for city in CITIES:
            for part in ("images", "gt"):
                (tmp_path / "train" / part / f"{city}{number}.tif").touch()
    dataset = load("inria_aerial", tmp_path, validation=validation)
    train, val, both = (names(dataset.samples(split)) for split in ("train", "val", "trainval"))
    assert [len(x) for x in (train, val, both)] == [dataset.spec.splits[k] for k in ("train", "val", "trainval")]
    assert sorted(train + val) == sorted(both) and len(set(both)) == 180
    assert both == [f"{city}{number}" for city in CITIES for number in range(1, 37)]
    cities = collections.Counter(name.rstrip("0123456789") for name in val)
    if validation == "fifth":
        assert val == both[4::5] and len(val) == 36 and set(cities.values()) == {7, 8}
    else:
        assert val == [f"{city}{number}" for city in CITIES for number in range(1, 6)]


def test_an_unknown_validation_is_told(folder):
    for call in (load, spec_of):
        with pytest.raises(DataError, match="no validation 'random'; known: first_five, fifth"):
            call("inria_aerial", folder, validation="random")


def test_the_descriptor():
    spec = spec_of("inria_aerial", "nowhere", patch=500)
    assert dict(spec.splits) == {"train": 155, "val": 25, "trainval": 180, "test": 180}
    assert dict(spec_of("inria_aerial", validation="fifth").splits)["train"] == 144
    assert (spec.num_classes, spec.bands, spec.label_ids) == (2, 3, (0, 255))


def test_patches_are_the_parts_of_their_tile(folder):
    whole, cut = load("inria_aerial", folder), load("inria_aerial", folder, patch=40)
    pieces = cut.samples("val")
    assert names(pieces)[:4] == ["austin1_r0_c0", "austin1_r0_c30", "austin1_r0_c60", "austin1_r30_c0"]
    assert len(pieces) == 4 * 9 and len(set(names(pieces))) == len(pieces)
    tiles = {sample.name: whole.read(sample) for sample in whole.samples("val")}
    for piece in pieces:
        image, label = tiles[piece.name.split("_")[0]]
        top, left = piece.window[:2]
        part = np.s_[top : top + 40, left : left + 40]
        for found, expected in zip(cut.read(piece), (image[part], label[part])):
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("compress", [None, "lzw"])
def test_tiles_of_other_sizes_are_cut_for_themselves(tmp_path, compress):
    make_inria(tmp_path, tiles=(6,), cities=("austin",), size=(90, 100), compress=compress)
    make_inria(tmp_path, tiles=(7,), cities=("austin",), size=(30, 61), compress=compress)
    pieces = load("inria_aerial", tmp_path, patch=30).samples("train")
    counts = collections.Counter(piece.name.split("_")[0] for piece in pieces)
    assert counts == {"austin6": 3 * 4, "austin7": 1 * 3}


def test_a_patch_larger_than_the_tile_is_void_beyond(tmp_path):
    write_pair(tmp_path, np.full((20, 30, 3), 7, np.uint8), np.full((20, 30), 255, np.uint8))
    dataset = load("inria_aerial", tmp_path, patch=32)
    (piece,) = dataset.samples("train")
    image, label = dataset.read(piece)
    assert piece.window == Window(0, 0, 32, 32) and image.shape == (32, 32, 3)
    assert (label[:20, :30] == 1).all() and (image[:20, :30] == 7).all()
    assert (label[20:] == IGNORE).all() and (label[:, 30:] == IGNORE).all()
    np.testing.assert_allclose(image[25, 5], dataset.spec.mean, atol=0.51)


def test_images_are_whole_and_those_of_test_have_no_label(folder):
    dataset = load("inria_aerial", folder, patch=50)
    assert names(dataset.images("val")) == names(load("inria_aerial", folder).samples("val"))
    tests = dataset.images("test")
    assert names(tests) == ["bellingham1", "tyrol-e1"]
    assert {sample.label for sample in tests} == {None}
    assert dataset.read_image(tests[0]).shape == (100, 100, 3)


def test_the_test_split_has_no_labels_to_read(folder):
    with pytest.raises(AbsentSplit, match="split 'test': its labels are not public; .*did_tf submit"):
        load("inria_aerial", folder).samples("test")


def test_missing_test_images_are_told(folder, tmp_path):
    shutil.copytree(folder / "train", tmp_path / "train")
    dataset = load("inria_aerial", tmp_path)
    with pytest.raises(AbsentSplit, match=f"split 'test': no folder {tmp_path / 'test' / 'images'}; expected train/"):
        dataset.images("test")


def test_a_file_that_is_no_tile_is_named(folder, tmp_path):
    shutil.copytree(folder / "train", tmp_path / "train")
    (tmp_path / "train" / "images" / "._austin6.tif").touch()  # what macOS leaves
    dataset = load("inria_aerial", tmp_path)
    assert len(dataset.samples("trainval")) == 10
    for name in ("paris1", "austin", "sfo1"):
        path = tmp_path / "train" / "images" / f"{name}.tif"
        path.touch()
        with pytest.raises(DataError, match=f"images/{name}.tif is no tile: expected CITY and number of austin, "):
            dataset.samples("train")
        path.unlink()


def test_a_part_that_was_not_unpacked_is_named(folder, tmp_path):
    shutil.copytree(folder / "train", tmp_path / "train")
    shutil.rmtree(tmp_path / "train" / "gt")
    with pytest.raises(DataError, match=f"no Inria Aerial Image Labeling in {tmp_path} .it has no folder train/gt."):
        load("inria_aerial", tmp_path)


def test_a_tile_without_label_is_named(folder, tmp_path):
    shutil.copytree(folder / "train", tmp_path / "train")
    path = tmp_path / "train" / "gt" / "austin6.tif"
    path.unlink()
    dataset = load("inria_aerial", tmp_path, patch=50)
    with pytest.raises(DataError, match=f"{path}"):
        dataset.read(dataset.samples("train")[0])
