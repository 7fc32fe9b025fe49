"""A user's own data: splits by shares and by lists."""

import hashlib

import numpy as np
import pytest
from own_data import complaint, names_of

from data_pipelines import DataError, load
from data_pipelines.own_data.splits import place


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


def test_names_without_a_group(plain):
    assert "group is 'folder', but image 'a' is in no subfolder" in complaint(plain("a", group="folder"))
    assert r"group '_(\\d+)' finds nothing in the image name 'a'" in complaint(plain("a", group=r"_(\d+)"))


def test_lists_in_files_and_in_place(plain):
    folder = plain(["a", "b c", "day/a", "night/d"], splits={"train": "lists/train.txt", "val": ["b c.png"]})
    (folder / "lists").mkdir()
    lines = "\ufeffnight/d\n\n/home/someone/project/images/day/a.png\nC:\\data\\a.JPG\n"
    (folder / "lists" / "train.txt").write_text(lines, encoding="utf-8")
    dataset = load("folders", folder)
    assert names_of(dataset, "train") == ["night/d", "day/a", "a"]
    assert names_of(dataset, "val") == ["b c"]


@pytest.mark.parametrize(
    ("splits", "told"),
    [
        ({"train": ["a", "b"], "val": ["c", "b.png"]}, "splits 'train' and 'val' share 1 images: b"),
        ({"train": ["a", "a.png"]}, "splits.train names twice: a"),
        ({"train": ["a", "x", "night/a"]}, "splits.train names 2 of 3 that are no image with a label: x, night/a"),
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
    with pytest.raises(DataError, match=r"'val' is empty: none of 1 images falls into its share; raise that in "):
        dataset.samples("val")
    with pytest.raises(DataError, match="no split 'test'; known: train, val"):
        dataset.samples("test")
