"""What a draft makes of folders and lists that are splits, of large rasters, and of files of several kinds."""

from pathlib import Path

import numpy as np
import pytest
from own_data import names_of, write_png, write_tiff

from data_pipelines import load
from data_pipelines.own_data.description import read_description
from data_pipelines.programs import describe as describe_data

GIVEN = {"train": range(8), "val": range(100, 103), "test": range(200, 203)}


def pair(image, label, number=0):
    write_png(image, np.full((8, 8, 3), 100 + number % 50, np.uint8))
    write_png(label, np.eye(8, dtype=np.uint8))


def drafted(capsys, images, labels, *more, status=0):
    """(dataset of the draft in data/, or None; what was printed)."""
    arguments = ["--images", str(images), "--labels", str(labels), "--folder", "data", *map(str, more)]
    found = describe_data.main(arguments)
    told = "".join(capsys.readouterr())
    assert found == status, told
    return load("folders", "data") if status == 0 else None, told


@pytest.mark.parametrize(
    ("images", "labels", "tree"),
    [
        ("images", "annotations", "{kind}/{split}/s{number:03}.png"),
        (".", ".", "{kind}/{split}/s{number:03}.png"),
        ("train/images", "train/annotations", "{split}/{kind}/s{number:03}.png"),
        ("val/images", "val/annotations", "{split}/{kind}/s{number:03}.png"),
        (".", ".", "{split}/{kind}/s{number:03}.png"),
        ("{train,val,test}/images", "{train,val,test}/annotations", "{split}/{kind}/s{number:03}.png"),
        (".", ".", "{split}_{kind}/s{number:03}.png"),
        ("train_images", "train_annotations", "{split}_{kind}/s{number:03}.png"),
        ("images", "annotations", "{kind}/north/{split}/s{number:03}.png"),
        (".", ".", "{site}/{split}/{kind}/s{number:03}.png"),
        ("{train,val,test}", "{train,val,test}", "{split}/s{number:03}_{kind}.png"),
    ],
)
def test_folders_named_after_splits_are_the_splits(tmp_path, capsys, monkeypatch, images, labels, tree):
    for split, numbers in GIVEN.items():
        for number in numbers:
            site = ("north", "south")[number % 2]
            paths = [
                tree.format(split=split, number=number, kind=kind, site=site) for kind in ("images", "annotations")
            ]
            pair(*(tmp_path / path for path in paths), number)
    monkeypatch.chdir(tmp_path)
    dataset, told = drafted(capsys, images, labels)
    assert "splits are as the folders say: 8 of train, 3 of val, 3 of test" in told
    for split, numbers in GIVEN.items():
        assert sorted(sample.image.stem[:4] for sample in dataset.samples(split)) == [f"s{n:03}" for n in numbers]


def test_other_spellings_and_labels_beside(tmp_path, capsys, monkeypatch):
    for number in range(3):  # as CamVid's authors have them
        pair(tmp_path / f"Train/{number}.png", tmp_path / f"Trainannot/{number}.png")
        pair(tmp_path / f"Validation/{number}.png", tmp_path / f"Validationannot/{number}.png")
    monkeypatch.chdir(tmp_path)
    for images, labels in (("Train", "Trainannot"), (".", ".")):
        dataset, _ = drafted(capsys, images, labels)
        assert names_of(dataset, "val") == ["Validation/0", "Validation/1", "Validation/2"]
        assert names_of(dataset, "train") == ["Train/0", "Train/1", "Train/2"]
        (tmp_path / "data" / "dataset.yaml").unlink()
        (tmp_path / "data" / "statistics.json").unlink(missing_ok=True)


@pytest.mark.parametrize("count", [2, 3, 20])
def test_without_a_folder_of_val_it_is_a_share_and_test_is_never_learnt(tmp_path, capsys, monkeypatch, count):
    for number in range(count):
        pair(tmp_path / f"images/training/{number}.png", tmp_path / f"labels/training/{number}.png")
        pair(tmp_path / f"images/testing/{number}.png", tmp_path / f"labels/testing/{number}.png")
    monkeypatch.chdir(tmp_path)
    dataset, told = drafted(capsys, "images", "labels")
    assert "there is no folder of val: it is a share of what is not in that of test" in told
    learnt = [names_of(dataset, split) for split in ("train", "val")]
    assert all(learnt) and {name.split("/")[0] for names in learnt for name in names} == {"training"}
    assert len(names_of(dataset, "test")) == count and sum(map(len, learnt)) == count


def test_a_test_folder_without_labels_is_left_out_and_told(tmp_path, capsys, monkeypatch):
    for split in ("train", "val"):
        pair(tmp_path / split / "images" / "a.png", tmp_path / split / "masks" / "a.png")
    write_png(tmp_path / "test" / "images" / "b.png", np.zeros((8, 8, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    dataset, told = drafted(capsys, "train/images", "train/masks")
    assert "test/images is left out: it has no labels" in told and set(dataset.spec.splits) == {"train", "val"}


def test_lists_beside_the_images_are_the_splits(tmp_path, capsys, monkeypatch):
    for number in range(6):
        pair(tmp_path / f"JPEGImages/{number}.png", tmp_path / f"SegmentationClass/{number}.png")
    place = tmp_path / "ImageSets" / "Segmentation"
    place.mkdir(parents=True)
    (place / "train.txt").write_text("0\n1\n5\n")
    (place / "val.txt").write_text("2\n")
    (place / "trainval.txt").write_text("0\n1\n5\n2\n")
    (place / "notes.txt").write_text("a list of trains\n")
    monkeypatch.chdir(tmp_path)
    dataset, told = drafted(capsys, "JPEGImages", "SegmentationClass")
    assert "splits are as the lists beside say: ImageSets/Segmentation/train.txt, ImageSets/" in told
    assert (names_of(dataset, "train"), names_of(dataset, "val")) == (["0", "1", "5"], ["2"])
    (place / "val.txt").write_text("2\nx\n")
    (tmp_path / "data" / "dataset.yaml").unlink()
    _, told = drafted(capsys, "JPEGImages", "SegmentationClass")
    assert "val.txt is left out: 1 of its 2 lines are no image with a label" in told


@pytest.mark.parametrize(("sizes", "patch"), [([(300, 220)], 64), ([(1100, 700), (600, 1300)], 256)])
def test_few_large_rasters_are_cut_into_windows(tmp_path, capsys, monkeypatch, sizes, patch):
    for number, size in enumerate(sizes):
        write_tiff(tmp_path / "images" / f"site{number}.tif", np.full((*size, 1), 9, np.uint8))
        write_tiff(
            tmp_path / "labels" / f"site{number}.tif", np.arange(np.prod(size)).reshape(*size, 1).astype(np.uint8) % 2
        )
    monkeypatch.chdir(tmp_path)
    dataset, told = drafted(capsys, "images", "labels")
    found = read_description("data")
    assert (found.patch, found.group) == ((patch, patch), "region")
    counts = {split: len(dataset.samples(split)) for split in ("train", "val")}
    assert counts["train"] >= 16 and counts["val"] >= 2
    assert f"samples are windows of {patch} pixels ({counts['train']} of train, {counts['val']} of val)" in told


def test_scenes_by_names_stay_together(tmp_path, capsys, monkeypatch):
    for scene in range(5):
        for corner in ("x0_y0", "x0_y512", "x512_y0"):
            pair(tmp_path / f"images/scene{scene}_{corner}.png", tmp_path / f"labels/scene{scene}_{corner}.png")
    monkeypatch.chdir(tmp_path)
    dataset, told = drafted(capsys, "images", "labels")
    assert "15 images are of 5 scenes, by their names: those of one are in one split" in told
    scenes = [{name.split("_")[0] for name in names_of(dataset, split)} for split in ("train", "val")]
    assert [len(found) for found in scenes] == [4, 1] and not scenes[0] & scenes[1]
    assert read_description("data").group == r"^(.+)_x\d+_y\d+$"


def test_counts_by_names_are_suggested_alone(tmp_path, capsys, monkeypatch):
    for number in range(10):
        pair(tmp_path / f"images/{'ab'[number % 2]}_{number}.png", tmp_path / f"labels/{'ab'[number % 2]}_{number}.png")
    monkeypatch.chdir(tmp_path)
    _, told = drafted(capsys, "images", "labels")
    assert "images whose names begin alike may be of one scene (2 in all)" in told
    assert r'# group: "^(.+)_\\d+$"' in (tmp_path / "data" / "dataset.yaml").read_text()
    assert not read_description("data").group


def test_few_images_are_listed_and_the_draft_says_so(tmp_path, capsys, monkeypatch):
    for name in "ab":
        pair(tmp_path / f"images/{name}.png", tmp_path / f"labels/{name}.png")
    monkeypatch.chdir(tmp_path)
    drafted(capsys, "images", "labels")
    line = "splits:  # lists, as hashes of so few fall unevenly: enter later images here"
    assert line in Path("data/dataset.yaml").read_text().splitlines()


def test_runs_of_numbered_images_are_suggested_alone(tmp_path, capsys, monkeypatch):
    for number in range(100):
        pair(tmp_path / f"images/f_{number:03}.png", tmp_path / f"labels/f_{number:03}.png", number)
    monkeypatch.chdir(tmp_path)
    _, told = drafted(capsys, "images", "labels")
    assert "images are numbered: if they are frames of a video, use the line of group" in told
    assert r'# group: "^(f_\\d+)\\d$"  # if these are' in Path("data/dataset.yaml").read_text()


def test_a_file_for_each_band(tmp_path, capsys, monkeypatch):
    for number in range(6):
        for band, value in (("B02", 20), ("B03", 30), ("B11", 110)):
            write_tiff(tmp_path / f"bands/T33_{number}_{band}.tif", np.full((8, 8, 1), value + number, np.uint16))
        write_tiff(tmp_path / f"bands/T33_{number}_SCL.tif", np.full((4, 4, 1), 1, np.uint16))
        write_tiff(tmp_path / f"labels/T33_{number}.tif", np.eye(8, dtype=np.uint8)[..., None])
    (tmp_path / "bands" / "T33_0_meta.xml").touch()
    monkeypatch.chdir(tmp_path)
    dataset, told = drafted(capsys, "bands", "labels")
    assert dataset.spec.band_names == ("B02", "B03", "B11")
    sample = dataset.samples("train")[0]
    np.testing.assert_array_equal(np.diff(dataset.read(sample)[0][0, 0].astype(int)), [10, 80])
    assert "bands in files of their own: NAME_B02, NAME_B03, NAME_B11, NAME_SCL of bands" in told
    assert "NAME_SCL of bands is left out: its files have 4x4 pixels, and others 8x8" in told
    assert "left out of bands, as they are no images: 1 .xml" in told
    assert "# NAME_SCL of bands is left out" in (tmp_path / "data" / "dataset.yaml").read_text()


def test_labels_of_several_kinds(tmp_path, capsys, monkeypatch):
    for number in range(6):
        pair(
            tmp_path / f"left/a_{number:06}_leftImg8bit.png", tmp_path / f"gt/a_{number:06}_gtFine_labelIds.png", number
        )
        write_png(tmp_path / f"gt/a_{number:06}_gtFine_color.png", np.zeros((8, 8, 3), np.uint8))
        (tmp_path / f"gt/a_{number:06}_gtFine_polygons.json").touch()
    monkeypatch.chdir(tmp_path)
    dataset, told = drafted(capsys, "left", "gt")
    assert "labels are NAME_gtFine_labelIds of gt; left out: NAME_gtFine_color" in told
    assert "left out of gt, as they are no images: 6 .json" in told
    assert dataset.samples("train")[0].label.name.endswith("_gtFine_labelIds.png")


def test_prefixes_and_extensions(tmp_path, capsys, monkeypatch):
    for number in range(4):
        pair(tmp_path / f"both/img_{number}.png", tmp_path / f"both/mask_{number}.png")
        write_png(tmp_path / f"jpg/{number}.jpg", np.full((8, 8, 3), 90, np.uint8))
        write_png(tmp_path / f"jpg/{number}.png", np.eye(8, dtype=np.uint8))
    monkeypatch.chdir(tmp_path)
    drafted(capsys, "both", "both")
    found = read_description("data")
    assert (found.parts[0].prefix, found.label_prefix) == ("img_", "mask_")
    (tmp_path / "data" / "dataset.yaml").unlink()
    (tmp_path / "data" / "statistics.json").unlink()
    dataset, _ = drafted(capsys, "jpg", "jpg")
    sample = dataset.samples("train")[0]
    assert (sample.image.suffix, sample.label.suffix) == (".jpg", ".png")


def test_further_bands_with_a_beginning_of_their_own(tmp_path, capsys, monkeypatch):
    for number in range(3):
        for kind in ("red", "green"):
            write_tiff(tmp_path / f"{kind}/{kind}_patch_{number}.tif", np.full((8, 8, 1), 7, np.uint16))
        write_tiff(tmp_path / f"gt/gt_patch_{number}.tif", np.eye(8, dtype=np.uint8)[..., None])
    monkeypatch.chdir(tmp_path)
    dataset, _ = drafted(capsys, "red", "gt", "--extras", "green")
    assert dataset.spec.band_names == ("red", "green")
    sample = dataset.samples("val")[0]
    assert sample.extras == (Path("data/../green", f"green_patch_{sample.name.split('_')[-1]}.tif"),)


@pytest.mark.parametrize(
    ("image", "label", "told"),
    [
        (
            "images/valid/a",
            "labels/val/a",
            "images of val lie in folders called valid, and their labels in val:",
        ),
        (
            "images/val/a",
            "labels/a",
            "images lie in folders of splits, and their labels in none: put",
        ),
    ],
)
def test_folders_of_splits_that_do_not_fit(tmp_path, capsys, monkeypatch, image, label, told):
    pair(tmp_path / "images/train/b.png", tmp_path / ("labels/train/b.png" if "val/" in label else "labels/b.png"))
    pair(tmp_path / f"{image}.png", tmp_path / f"{label}.png")
    monkeypatch.chdir(tmp_path)
    assert told in drafted(capsys, "images", "labels", status=2)[1]


def test_folders_in_which_nothing_fits(tmp_path, capsys, monkeypatch):
    write_png(tmp_path / "images" / "cat.png", np.zeros((8, 8, 3), np.uint8))
    write_png(tmp_path / "labels" / "dog.png", np.zeros((8, 8), np.uint8))
    monkeypatch.chdir(tmp_path)
    _, told = drafted(capsys, "images", "labels", status=2)
    assert "the first are 'cat' and 'dog'; rename them alike" in told and "{train,val}" in told
    _, told = drafted(capsys, "images", "images", status=2)
    assert told.startswith("error: in images no label lies beside its image") and told.count("\n") == 1
    _, told = drafted(capsys, "images", "nothing", status=2)
    assert told == "error: no folder nothing\n"
