"""Folds: each image is held out once, with its group; a fold is a data set as any other."""

import json
import shutil
from collections import Counter

import own_data
import pytest

from data_pipelines import DataError, load
from data_pipelines.own_data import folds as own_folds
from data_pipelines.own_data.folds import deal, divide_into_folds, write_fold
from data_pipelines.reading.images import read_label

LEARNT = ("train", "val")


@pytest.fixture
def scenes(tmp_path):
    """Twelve images in the folders a (5), b (4), c, d and t (1 each); those of t are the test split."""
    for number, place in enumerate("aaaaabbbbcdt"):
        pixels, label = own_data.scene(number, (16, 24))
        own_data.write_png(tmp_path / "images" / place / f"{number:02d}.png", pixels[..., :3].astype("uint8"))
        own_data.write_png(tmp_path / "labels" / place / f"{number:02d}.png", label)
    content = {"images": "images", "labels": "labels", "classes": list(own_data.CLASSES), "group": "folder"}
    splits = {"train": [f"a/{n:02d}" for n in range(5)] + ["c/09"], "val": [f"b/{n:02d}" for n in range(5, 9)]}
    splits |= {"test": ["t/11"], "more": ["d/10"]}
    (tmp_path / "dataset.yaml").write_text(json.dumps({**content, "splits": splits}))
    return tmp_path


def test_images_are_dealt_alike_and_by_the_seed():
    alone = {f"image{number}": f"image{number}" for number in range(23)}
    dealt = deal(alone, 5, 0)
    assert sorted(Counter(dealt.values()).values()) == [4, 4, 5, 5, 5] and {*dealt.values()} == {1, 2, 3, 4, 5}
    assert dealt == deal(dict(reversed(alone.items())), 5, 0) != deal(alone, 5, 1)


def test_a_group_stays_together_and_the_largest_is_dealt_first():
    sizes = {"small1": 1, "small2": 1, "large": 6, "middle": 3, "small3": 1}
    groups = {f"{group}/{number}": group for group, size in sizes.items() for number in range(size)}
    dealt = deal(groups, 2, 0)
    assert all(len({dealt[name] for name in groups if groups[name] == group}) == 1 for group in sizes)
    assert Counter(dealt.values()) == {1: 6, 2: 6}


def test_each_image_to_learn_from_is_held_out_once_and_the_others_never(scenes, tmp_path):
    folds = divide_into_folds(scenes, LEARNT, 3, 0)
    assert folds == divide_into_folds(scenes, LEARNT, 3, 0)
    assert {name: image.group for name, image in folds.images.items()} == {
        name: name[0] for name in folds.images
    } and folds.grouped
    held_out = []
    for number in (1, 2, 3):
        write_fold(scenes, folds, number, tmp_path / "elsewhere" / str(number))
        fold = load("folders", tmp_path / "elsewhere" / str(number))
        learnt, apart = own_data.names_of(fold, "train"), own_data.names_of(fold, "val")
        assert sorted(learnt + apart) == sorted(folds.images) and own_data.names_of(fold, "test") == ["t/11"]
        assert not {name[0] for name in learnt} & {name[0] for name in apart}
        held_out += apart
    assert (
        sorted(held_out)
        == sorted(folds.images)
        == [f"a/{n:02d}" for n in range(5)]
        + [
            *(f"b/{n:02d}" for n in range(5, 9)),
            "c/09",
        ]
    )


def test_copies_of_an_image_in_several_folds_are_told(tmp_path, capsys):
    data = own_data.make_five_bands(tmp_path, count=4)
    divide_into_folds(data, LEARNT, 4, 0)
    assert "same pixels" not in capsys.readouterr().err
    shutil.copy(data / "images" / "scene00.tif", data / "images" / "scene03.tif")
    divide_into_folds(data, LEARNT, 4, 0)
    assert "2 images hold the same pixels as one that another fold learns from" in capsys.readouterr().err


def test_the_data_of_a_fold_have_the_same_pixels_and_labels_and_their_own_mean(tmp_path):
    data = own_data.make_rgbd(tmp_path / "data", count=4, nodata=0, void=[[9, 9, 9]])
    folds = divide_into_folds(data, LEARNT, 2, 0)
    write_fold(data, folds, 1, tmp_path / "fold")
    whole, fold = load("folders", data), load("folders", tmp_path / "fold")
    names = {sample.name: sample for split in LEARNT for sample in whole.samples(split)}
    for sample in fold.samples("train"):
        for mine, theirs in zip(fold.read(sample), whole.read(names[sample.name])):
            assert mine.dtype == theirs.dtype and (mine == theirs).all()
    assert own_folds.meaning(fold.spec) == own_folds.meaning(whole.spec) == folds.meaning
    assert fold.spec.mean != whole.spec.mean


@pytest.mark.parametrize(("images", "labels"), [("~/photos", "~/mine/labels"), ("../photos", "labels")])
def test_paths_of_a_fold_are_those_that_the_description_means(images, labels, tmp_path, monkeypatch):
    """From the user's own folder; and from where the data lie, not from where a link to them does."""
    home = tmp_path / "far" / "away"
    data = own_data.make_five_bands(home / "mine", count=4, images=images, labels=labels)
    (data / "images").rename(home / "photos")
    monkeypatch.setenv("HOME", str(home))
    (tmp_path / "link").symlink_to(data)
    folds = divide_into_folds(tmp_path / "link", LEARNT, 2, 0)
    write_fold(tmp_path / "link", folds, 1, tmp_path / "fold")
    sample = load("folders", tmp_path / "fold").samples("train")[0]
    assert sample.image.resolve().parent == home.resolve() / "photos"
    assert sample.label.resolve().parent == data.resolve() / "labels"


def test_windows_of_an_image_stay_together(tmp_path):
    data = own_data.make_five_bands(tmp_path / "data", count=4, size=(32, 48), patch=16)
    folds = divide_into_folds(data, LEARNT, 2, 0)
    write_fold(data, folds, 1, tmp_path / "fold")
    held_out = load("folders", tmp_path / "fold").samples("val")
    names = own_folds.names_of_images(tmp_path / "fold")
    assert len(held_out) == 2 * 6
    assert Counter(names[sample.image] for sample in held_out) == {
        name: 6 for name, image in folds.images.items() if image.fold == 1
    }


def test_what_changes_is_seen(scenes):
    before = divide_into_folds(scenes, LEARNT, 2, 0)
    label = scenes / "labels" / "a" / "00.png"
    ids = read_label(label, load("folders", scenes).spec).copy()
    ids[0, 0] = (ids[0, 0] + 1) % 3
    own_data.write_png(label, ids)
    after = divide_into_folds(scenes, LEARNT, 2, 0)
    one, other = before.images["a/00"], after.images["a/00"]
    assert one.pixels == other.pixels and one.content != other.content
    assert {name for name in before.images if before.images[name] != after.images[name]} == {"a/00"}


@pytest.mark.parametrize(
    "count, learnt, changes, told",
    [
        (4, LEARNT, {}, "train and val have 3 groups of images (group: folder), and 4 folds need one each"),
        (2, ("train", "vall"), {}, "has no split 'vall'; it has train, val, test, more"),
        (2, LEARNT, {"group": "region", "patch": 8, "splits": {"train": 0.5, "val": 0.5}}, "group is 'region', by"),
    ],
)
def test_what_can_not_be_divided_is_told(scenes, count, learnt, changes, told):
    own_data.edit(scenes, **changes)
    with pytest.raises(DataError) as error:
        divide_into_folds(scenes, learnt, count, 0)
    assert told in str(error.value) and "\n" not in str(error.value)
