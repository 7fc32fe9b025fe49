"""A user's own data: splits by shares, by folders, and by lists that are given in place."""

import hashlib

import numpy as np
import pytest
from own_data import complaint, describe, names_of, write_png

from data_pipelines import DataError, load
from data_pipelines.own_data.splits import place, split_of_folder


def test_more_files_move_none_between_the_splits(plain):
    shares = {"train": 0.5, "val": 0.3, "test": 0.2}
    names = [f"{number:03d}" for number in range(60)]
    before = load("folders", plain(names[::2], splits=shares))
    after = load("folders", plain(names, splits=shares))
    counts = [len(names_of(after, split)) for split in shares]
    assert sum(counts) == 60 and counts[0] > counts[1] > 5 and counts[2] > 3
    for split in shares:
        assert names_of(before, split) == [name for name in names_of(after, split) if name in names[::2]]


def test_the_hash_is_the_same_everywhere():
    digest = hashlib.sha256("bü".encode()).hexdigest()
    assert place("bü") == place("bu\u0308") == int(digest[:12], 16) / 16**12
    places = np.sort([place(f"image{number}") for number in range(2000)])
    np.testing.assert_allclose(places, np.linspace(0, 1, 2000), atol=0.04)  # as good as uniform


def test_shares_below_one_leave_images_unused(plain):
    names = [f"{number:03d}" for number in range(40)]
    dataset = load("folders", plain(names, splits={"train": 0.25, "val": 0.25}))
    assert all(place(name) < 0.5 for split in ("train", "val") for name in names_of(dataset, split))
    assert len(names_of(dataset, "train")) + len(names_of(dataset, "val")) < 35


@pytest.mark.parametrize("group", ["folder", "^(.*)/", "^site."])
def test_groups_stay_together(plain, group):
    names = [f"site{site}/frame{number}" for site in range(9) for number in range(4)]
    dataset = load("folders", plain(names, splits={"train": 0.5, "val": 0.5}, group=group))
    sites = [{name.split("/")[0] for name in names_of(dataset, split)} for split in ("train", "val")]
    assert sites[0] and sites[1] and not sites[0] & sites[1] and len(sites[0] | sites[1]) == 9
    together = dataset.together(dataset.samples("val"))
    assert len({*together}) == len(sites[1]) and {together.count(group) for group in together} == {4}


def test_images_without_a_group_are_by_themselves(plain):
    dataset = load("folders", plain(["a", "b"], splits={"val": 1.0}))
    assert dataset.together(dataset.samples("val")) is None


def test_names_without_a_group(plain):
    assert "group is 'folder', but image 'a' is in no subfolder" in complaint(plain("a", group="folder"))
    assert r"group '_(\\d+)' finds nothing in the image name 'a'" in complaint(plain("a", group=r"_(\d+)"))


@pytest.mark.parametrize(
    ("images", "labels", "tree"),
    [
        ("data/images", "data/annotations", "data/{kind}/{split}/{name}.png"),
        ("data/{train,val,test}/images", "data/{train,val,test}/annotations", "data/{split}/{kind}/{name}.png"),
        ("data/{train,val,test}_images", "data/{train,val,test}_annotations", "data/{split}_{kind}/{name}.png"),
        ("data/images", "data/annotations", "data/{kind}/site/{split}/{name}.png"),
        (
            "data/{a,b}/{train,val,test}/images",
            "data/{a,b}/{train,val,test}/annotations",
            "data/a/{split}/{kind}/{name}.png",
        ),
    ],
)
def test_folders_at_any_level_are_the_splits(tmp_path, images, labels, tree):
    given = {"train": ["s0", "s1"], "val": ["s0"], "test": ["s7"]}
    for split, names in given.items():
        for name in names:
            for kind, pixels in (("images", np.ones((4, 4, 3), np.uint8)), ("annotations", np.zeros((4, 4), np.uint8))):
                write_png(tmp_path / tree.format(kind=kind, split=split, name=name), pixels)
    if "{a,b}" in images:
        for split in given:
            write_png(tmp_path / f"data/b/{split}/images/t.png", np.ones((4, 4, 3), np.uint8))
            write_png(tmp_path / f"data/b/{split}/annotations/t.png", np.zeros((4, 4), np.uint8))
        given = {split: [*names, "t"] for split, names in given.items()}
    describe(tmp_path, 1, images=images, labels=labels, splits=dict.fromkeys(given, "folder"))
    dataset = load("folders", tmp_path)
    for split, names in given.items():
        found = dataset.samples(split)
        assert [sample.image.stem for sample in found] == names
        assert all(
            split in str(s.image.relative_to(tmp_path)) and split in str(s.label.relative_to(tmp_path)) for s in found
        )


def test_spellings_of_folders():
    meant = {
        "Train": "train",
        "TRAINING": "train",
        "Valid": "val",
        "validation": "val",
        "val2017": "val",
        "test": "test",
    }
    assert {folder: split_of_folder(folder) for folder in meant} == meant
    assert not any(map(split_of_folder, ("trainval", "site", "2017", "testbed", "images")))


def test_what_lies_in_no_folder_of_a_split_is_left_out_and_told(plain, capsys):
    names = ["Train/a", "valid/b", "more/c", "d"]
    dataset = load("folders", plain(names, splits={"train": "folder", "val": "folder"}))
    assert (names_of(dataset, "train"), names_of(dataset, "val")) == (["Train/a"], ["valid/b"])
    told = "left out, as they lie in no folder named train or val: 2 images (d, more/c)"
    assert told in capsys.readouterr().err


def test_the_rest_is_shared_out_where_test_is_a_folder(plain):
    names = [f"{folder}/{number}" for folder in ("train", "test") for number in range(30)]
    dataset = load("folders", plain(names, splits={"train": 0.7, "val": 0.3, "test": "folder"}))
    found = {split: set(names_of(dataset, split)) for split in ("train", "val", "test")}
    assert found["test"] == {name for name in names if name.startswith("test")}
    assert found["train"] | found["val"] == set(names) - found["test"]
    assert len(found["val"]) > 3 and not found["train"] & found["val"]


@pytest.mark.parametrize(
    ("names", "splits", "told"),
    [
        (
            ["train/a"],
            ["train", "val"],
            "splits.val is 'folder', but no image is in a folder val (or valid, validation, dev)",
        ),
        (["train/test/a"], ["train"], "image 'train/test/a' lies in folders of test and train: which split is it of?"),
    ],
)
def test_folders_that_make_no_splits(plain, names, splits, told):
    assert told in complaint(plain(names, splits=dict.fromkeys(splits, "folder")))


def test_a_folder_in_braces_that_is_not_there(plain):
    folder = plain("a", images="{images,imagse}", splits={"train": 1.0})
    assert "no folder " in complaint(folder) and "imagse: correct it" in complaint(folder)


def test_lists_in_place(plain):
    folder = plain(["a", "b c", "day/a", "night/d"], splits={"train": ["day/a.JPG", "night\\d"], "val": ["b c.png"]})
    dataset = load("folders", folder)
    assert names_of(dataset, "train") == ["day/a", "night/d"]
    assert names_of(dataset, "val") == ["b c"]


@pytest.mark.parametrize("splits", [{"train": ["a"], "val": ["b"]}, {"train": ["a"], "val": ["b"], "test": "folder"}])
def test_labelled_images_that_no_list_has_are_told(plain, splits, capsys):
    """As those that came after lists were drafted."""
    names = ["a", "b"] + ["test/t"] * ("test" in splits)
    load("folders", plain(names, splits=splits))
    assert "in no list" not in capsys.readouterr().err
    folder = plain([*names, "c"], splits=splits)
    load("folders", folder)
    told = f"note: 1 labelled images are in no list of splits of {folder}/dataset.yaml, nor used: c\n"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        ({"train": ["a", "b"], "val": ["c", "b.png"]}, "splits 'train' and 'val' share 1 images: b"),
        ({"train": ["a", "b", "a.png"]}, "splits.train: entry 3 names 'a', as entry 1 does: delete one"),
        (
            {"train": ["a", "x", "night/a"]},
            "splits.train: entry 2 is no image with a label: 'x' (nor are 1 others of 3)",
        ),
        ({"train": "train.txt"}, "splits.train: cannot read "),
        ({"train": "images/a.png"}, "a.png: it is no text in UTF-8; save it"),
    ],
)
def test_bad_lists(plain, splits, told):
    assert told in complaint(plain("abc", splits=splits))


def test_lists_that_tear_a_group(plain):
    splits = {"train": ["v1_0", "v2_0"], "val": ["v1_1"]}
    folder = plain(["v1_0", "v1_1", "v2_0"], splits=splits, group="^v.")
    assert "splits 'train' and 'val' share 1 groups: v1" in complaint(folder)


def test_an_empty_share_and_an_unknown_split(plain):
    (name,) = [letter for letter in "abcdefgh" if place(letter) < 0.3][:1]
    dataset = load("folders", plain(name, splits={"train": 0.5, "val": 0.5}))
    with pytest.raises(DataError, match=r"'val' is empty: none of the images falls into its share; raise that in "):
        dataset.samples("val")
    with pytest.raises(DataError, match="no split 'test'; known: train, val"):
        dataset.samples("test")
