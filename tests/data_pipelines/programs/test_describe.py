"""The draft of a dataset.yaml."""

import shutil
import sys

import cv2
import numpy as np
import pytest
from own_data import make_five_bands, names_of, write_png, write_tiff
from PIL import Image
from rasterio.transform import from_origin

from data_pipelines import IGNORE, DataError, load
from data_pipelines.own_data.description import read_description
from data_pipelines.own_data.folds import divide_into_folds, write_fold
from data_pipelines.programs import describe as describe_data

BEYOND = np.full((16, 16, 1), 70000)  # of all ids


def drafted(capsys, *arguments):
    """(exit status, what was printed, error) of the program."""
    status = describe_data.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def test_a_draft_works_as_it_is(rgbd, tmp_path, capsys):
    folder = tmp_path / "new" / "place"
    arguments = ("--images", rgbd / "rgb", "--labels", rgbd / "labels", "--extras", rgbd / "depth", "--folder", folder)
    status, out, _ = drafted(capsys, *arguments)
    assert status == 0 and "8 pairs; 4 bands of uint8, uint16; 3 colours" in out
    assert f"did_tf check-data --dataset=folders --folder={folder}" in out
    dataset, original = load("folders", folder), load("folders", rgbd)
    assert dataset.spec.classes == ("class_0", "class_1", "class_2")
    assert set(dataset.spec.label_colours) == set(original.spec.label_colours)
    assert (dataset.spec.dtype, dataset.spec.band_names) == ("uint16", ("red", "green", "blue", "depth"))
    train, val = (set(names_of(dataset, split)) for split in ("train", "val"))
    assert len(train | val) == 8 and len(val) in (1, 2)
    text = (folder / "dataset.yaml").read_text()
    labels = np.concatenate(
        [original.read(s)[1].ravel() for split in ("train", "val") for s in original.samples(split)]
    )
    assert f"[0, 0, 255]  # {np.mean(labels == 1):.2%} of the pixels" in text

    status, _, error = drafted(capsys, *arguments)
    assert status == 2 and "dataset.yaml is there already: edit it" in error
    assert (folder / "dataset.yaml").read_text() == text


def test_a_draft_of_many_bands_and_ids(tmp_path, capsys, monkeypatch):
    make_five_bands(tmp_path, count=30)
    (tmp_path / "dataset.yaml").unlink()
    ids = np.array([[7, 7, 26, 255]], np.uint8).repeat(64, 0).repeat(20, 1)
    write_png(tmp_path / "labels" / "scene05.png", ids)
    monkeypatch.chdir(tmp_path)
    assert drafted(capsys, "--images", "images", "--labels", "labels", "--folder", ".")[0] == 0
    found = read_description(tmp_path)
    assert (found.bands, found.dtype) == (("band_1", "band_2", "band_3", "band_4", "band_5"), "uint16")
    assert found.label_ids == (0, 1, 2, 7, 26) and found.void_ids == (255,)
    assert dict(found.splits) == {"train": 0.8, "val": 0.2}
    assert (found.parts[0].folder, found.labels) == (tmp_path / "images", tmp_path / "labels")


@pytest.mark.parametrize(
    ("images", "labels", "suffixes"),
    [
        (("a", "b"), ("a", "b"), ("", "")),
        (("a1", "a10"), ("a1_mask", "a10_mask"), ("", "_mask")),
        (("x/a_rgb", "x/b_rgb"), ("x/a", "x/b"), ("_rgb", "")),
        (("a_left", "b_left"), ("a_ids", "b_ids"), ("_left", "_ids")),
    ],
)
def test_a_draft_finds_the_endings_of_names(plain, capsys, images, labels, suffixes):
    folder = plain(images, labels=labels)
    (folder / "dataset.yaml").unlink()
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    assert drafted(capsys, *arguments)[0] == 0
    found = read_description(folder)
    assert (found.parts[0].suffix, found.label_suffix) == suffixes


def test_a_draft_of_one_folder_with_black_and_white_masks(plain, capsys):
    folder = plain(["a", "b"])
    for path in list((folder / "labels").iterdir()):
        write_png(folder / "images" / f"{path.stem}-gt.png", np.eye(16, dtype=np.uint8) * 255)
    (folder / "dataset.yaml").unlink()
    arguments = ("--images", folder / "images", "--labels", folder / "images", "--folder", folder)
    assert drafted(capsys, *arguments)[0] == 0
    found = read_description(folder)
    assert (found.label_ids, found.void_ids, found.label_suffix) == ((0, 255), (), "-gt")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: write_png(f / "images" / "b.png", np.zeros((9, 9), np.uint16)), "b.png of uint16: 1: convert"),
        (lambda f: write_png(f / "labels" / "b.png", np.eye(3, dtype=np.uint8)[None]), "holds ids: convert one kind"),
        (lambda f: (f / "images" / "b.png").write_bytes(b"x"), "images/b.png: the file is damaged"),
        (lambda f: write_png(f / "labels" / "b.png", np.arange(300, dtype=np.uint16)[None]), "are these labels?"),
        (lambda f: write_tiff((f / "labels" / "b.png").rename(f / "labels" / "b.tif"), BEYOND), "holds 70000: ids of"),
        (lambda f: [write_png(p, np.full((9, 9), 255, np.uint8)) for p in (f / "labels").iterdir()], "hold 255 alone"),
        (lambda f: [p.rename(p.with_name(f"x{p.name}y.png")) for p in (f / "labels").iterdir()], "rename them alike"),
    ],
)
def test_a_draft_of_what_does_not_fit(plain, capsys, change, told):
    folder = plain(["a", "b", "c"])
    (folder / "dataset.yaml").unlink()
    change(folder)
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    status, _, error = drafted(capsys, *arguments)
    assert status == 2 and told in error and error.count("\n") == 1
    assert not (folder / "dataset.yaml").exists()


def test_a_draft_where_there_can_be_none(plain, capsys):
    folder = plain(["a"])
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder")
    place = folder / "images" / "a.png" / "x"
    status, _, error = drafted(capsys, *arguments, place)
    assert status == 2 and error.count("\n") == 1
    assert f"cannot write to {place}: {place.parent} is no folder; name another --folder=dir" in error


@pytest.mark.parametrize("flag", ["--images", "--labels"])
def test_a_flag_that_is_there_twice_is_refused(flag, tmp_path, capsys):
    """What a shell makes of --images=data/{north,south}/img without quotes."""
    given = ["--images=a", "--labels=b", f"{flag}=c", "--folder", tmp_path]
    told = f"error: {flag} is there 2 times: give it once, braces in quotes\n"
    assert drafted(capsys, *given) == (2, "", told)


def test_further_bands_may_be_named_one_by_one(rgbd, tmp_path, capsys):
    (rgbd / "depth").rename(rgbd / "b")
    shutil.copytree(rgbd / "b", rgbd / "a")
    given = ["--images", rgbd / "rgb", "--labels", rgbd / "labels", "--extras", rgbd / "a", "--extras", rgbd / "b"]
    status, _, _ = drafted(capsys, *given, "--folder", tmp_path / "new")
    assert status == 0 and len(read_description(tmp_path / "new").parts) == 3


def test_a_draft_in_a_linked_folder_with_spaces(plain, tmp_path, capsys, monkeypatch):
    images = plain("ab") / "images"
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "my link").symlink_to(tmp_path / "deep" / "er")
    monkeypatch.chdir(tmp_path)
    arguments = ("--images", "plain/images", "--labels", "plain/labels", "--folder", "my link/data")
    status, out, _ = drafted(capsys, *arguments)
    assert status == 0 and "--data='my link/data'" in out
    assert load("folders", "my link/data").samples("train")[0].image.resolve().parent == images


@pytest.mark.skipif(sys.platform == "win32", reason="has no such names")
def test_a_draft_of_names_that_mean_something_elsewhere(plain, tmp_path, capsys):
    """To YAML, in paths of Windows, to a shell or a terminal."""
    names = ["a:1", "b\\c", "#d", "e: f", "g\nh", "i\u2028j", "k\x7fl", "--help", "%s{}", "'\""]
    folder = plain(names)
    (folder / "dataset.yaml").unlink()
    folder = folder.rename(tmp_path / "images: x\nlabels: y")
    (folder / "images" / "notes.\nclasses: []").touch()
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    status, _, error = drafted(capsys, *arguments)
    assert status == 0, error
    dataset = load("folders", folder)
    found = [name for split in dataset.spec.splits for name in names_of(dataset, split)]
    assert sorted(found) == sorted(names)
    folds = divide_into_folds(folder, dataset.spec.splits, 2, 0)
    write_fold(folder, folds, 1, tmp_path / "fold")
    held_out = names_of(load("folders", tmp_path / "fold"), "val")
    assert sorted(held_out) == sorted(name for name in names if folds.images[name].fold == 1)


@pytest.mark.skipif(sys.platform == "win32", reason="has no such names")
def test_a_draft_of_bands_in_folders_whose_names_are_no_words(tmp_path, capsys):
    names = ["2024_1", "null", "a, b: c", "d\ne"]
    for name in ("x", "y"):
        write_png(tmp_path / "labels" / f"{name}.png", np.zeros((16, 16), np.uint8))
        for band, folder in enumerate(names):
            write_png(tmp_path / folder / f"{name}.png", np.full((16, 16), band, np.uint8))
    images, *extras = (tmp_path / name for name in names)
    arguments = ("--images", images, "--labels", tmp_path / "labels", "--extras", *extras, "--folder", tmp_path)
    status, _, error = drafted(capsys, *arguments)
    assert status == 0, error
    assert read_description(tmp_path).bands == ("2024_1", "null", "a, b: c", "d\\u000ae")


def test_a_draft_says_what_is_left_out_and_what_stands_for_no_data(plain, capsys):
    folder = plain("abc", labels="abx")
    (folder / "dataset.yaml").unlink()
    for name in "abc":
        (folder / "images" / f"{name}.png").unlink()
        write_tiff(folder / "images" / f"{name}.tif", np.ones((16, 16, 2), np.float32), nodata=-9999)
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    status, _, told = drafted(capsys, *arguments)
    assert status == 0 and "left out, as the other file of the pair is missing: 1 of" in told and "(x)" in told
    assert read_description(folder).nodata == -9999


def describe_tiffs(folder, images, labels, capsys):
    """The drafted text, and what `load` makes of it: of images and labels [(pixels [H, W, bands], nodata)]."""
    for name, files in (("images", images), ("labels", labels)):
        for number, (pixels, nodata) in enumerate(files):
            write_tiff(folder / name / f"{number}.tif", pixels, nodata=nodata)
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder / "data")
    status, _, told = drafted(capsys, *arguments)
    assert status == 0, told
    return (folder / "data" / "dataset.yaml").read_text(), load("folders", folder / "data")


def test_a_draft_of_labels_that_lie_elsewhere(tmp_path, capsys):
    """It is written all the same, and says what check-data and training will say."""
    for number in range(2):
        for name, pixels, left in (("images", np.ones((16, 16, 3), np.uint8), 0), ("labels", halves(), 30 * number)):
            place = {"crs": "EPSG:32633", "transform": from_origin(left, 0, 1, 1)}
            write_tiff(tmp_path / name / f"{number}.tif", pixels, **place)
    arguments = ("--images", tmp_path / "images", "--labels", tmp_path / "labels", "--folder", tmp_path / "data")
    status, out, _ = drafted(capsys, *arguments)
    assert status == 0 and "1 of 2 pairs are not of one place (1), and are refused: " in out
    assert "labels/1.tif lie at different places: their corners are 30 columns and 0 rows apart" in out


def halves(value=1):
    label = np.zeros((16, 16, 1), np.uint8)
    label[8:] = value
    return label


def test_a_draft_takes_the_nodata_of_any_file(tmp_path, capsys):
    """Also where the first has no tag, and its share of training."""
    heights = np.full((16, 16, 1), 80, np.float32)
    holed = np.where(np.arange(16)[:, None, None] < 4, np.float32(-9999), heights)
    images = [(heights, None)] + [(holed, -9999)] * 5
    text, dataset = describe_tiffs(tmp_path, images, [(halves(), None)] * 6, capsys)
    assert "# nodata is -9999 by the tags of 5 files, but not of 1 (0.tif): where all bands are that" in text
    assert "\nnodata: -9999\n" in text
    assert dataset.spec.nodata == -9999 and dataset.spec.mean == (80,)
    assert "tags" not in capsys.readouterr().err


def test_a_draft_where_files_call_different_values_nodata(tmp_path, capsys):
    values = np.full((16, 16, 1), 7, np.uint8)
    text, dataset = describe_tiffs(tmp_path, [(values, 0), (values, 9)], [(halves(), None)] * 2, capsys)
    assert "# no nodata for all, as the files' own tags say 0, 9: each counts for its file" in text
    assert dataset.spec.nodata is None


def test_a_draft_where_there_is_nan_without_a_tag(tmp_path, capsys):
    heights = np.full((16, 16, 1), 80, np.float32)
    heights[:4] = np.nan
    text, dataset = describe_tiffs(tmp_path, [(heights, None)] * 2, [(halves(), None)] * 2, capsys)
    assert "# nodata is NaN, which is there" in text and "\nnodata: .nan\n" in text and np.isnan(dataset.spec.nodata)


def test_a_draft_where_labels_call_an_id_nodata(tmp_path, capsys):
    """Some of them by their tag, others hold it without."""
    values, label = np.full((16, 16, 1), 7, np.uint8), halves()
    label[:3] = 9
    text, dataset = describe_tiffs(tmp_path, [(values, None)] * 2, [(label, 9), (label, None)], capsys)
    assert "void: [9]" in text and "9 by the labels' own nodata tags" in text
    assert dataset.spec.classes == ("class_0", "class_1") and dataset.spec.void_ids == (9,)
    for split in dataset.spec.splits:
        assert (dataset.read(dataset.samples(split)[0])[1][:3] == 255).all()


def test_a_draft_where_all_but_one_class_is_nodata_by_the_labels_own_tag(tmp_path, capsys):
    values, label = np.full((16, 16, 1), 7, np.uint8), halves()
    text, dataset = describe_tiffs(tmp_path, [(values, None)] * 2, [(label, 0)] * 2, capsys)
    assert "# 0 is nodata by the labels' own tags, but without it there is one class alone" in text
    assert "\nnodata_tags: images\n" in text and "0: class_0  # 50.00% of the pixels" in text
    assert (dataset.read(dataset.samples("train")[0])[1] == label[..., 0]).all()


@pytest.mark.parametrize(("dtype", "value"), [("uint16", 65535), ("float32", -9999), ("uint8", 0)])
def test_a_draft_asks_whether_edges_were_measured(dtype, value, tmp_path, capsys):
    values = np.full((16, 16, 3), 7, dtype)
    values[:, :9] = value
    text, dataset = describe_tiffs(tmp_path, [(values, None)] * 2, [(halves(), None)] * 2, capsys)
    assert f"# some images are {value} in all bands along their edges" in text and f"say nodata: {value}" in text
    assert dataset.spec.nodata is None


def test_a_draft_does_not_ask_about_edges_of_one_band_or_with_a_tag(tmp_path, capsys):
    dark, tagged = np.zeros((16, 16, 1), np.uint8), np.zeros((16, 16, 3), np.uint16)
    assert "edges" not in describe_tiffs(tmp_path / "a", [(dark, None)] * 2, [(halves(), None)] * 2, capsys)[0]
    tagged[4:] = 5
    assert "edges" not in describe_tiffs(tmp_path / "b", [(tagged, 0)] * 2, [(halves(), None)] * 2, capsys)[0]


def test_a_draft_of_images_with_clear_corners(tmp_path, capsys):
    """Alpha of 0 and 255 alone is a mask and no band."""
    pixels = np.full((16, 16, 4), 255, np.uint8)
    pixels[:5, :5, 3] = 0
    for number in range(2):
        write_png(tmp_path / "labels" / f"{number}.png", halves()[..., 0])
        (tmp_path / "images").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
    arguments = ("--images", tmp_path / "images", "--labels", tmp_path / "labels", "--folder", tmp_path / "data")
    assert drafted(capsys, *arguments)[0] == 0
    assert "# masks (or alpha) say where nothing was measured" in (tmp_path / "data" / "dataset.yaml").read_text()
    dataset = load("folders", tmp_path / "data")
    assert dataset.spec.bands == 3
    assert (dataset.read(dataset.samples("train")[0])[1][:5, :5] == 255).all()


def test_a_draft_of_photographs_marked_to_be_turned(plain, capsys):
    folder = plain("a")
    (folder / "dataset.yaml").unlink()
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (16, 16)).save(folder / "images" / "a.png", exif=exif)
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    status, _, told = drafted(capsys, *arguments)
    assert status == 2 and "a.png is marked to be turned" in told


def labels_and_draft(folder, capsys, labels):
    """(what was printed, error, the data set or None), after the labels [name -> pixels] are written."""
    for name, pixels in labels.items():
        path = folder / "labels" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.with_suffix(".png").unlink(missing_ok=True)
        np.save(path, pixels) if path.suffix == ".npy" else Image.fromarray(pixels).save(path)
    (folder / "dataset.yaml").unlink()
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    status, out, told = drafted(capsys, *arguments)
    return out, told, load("folders", folder) if status == 0 else None


def disc(value=255):
    rows, columns = np.mgrid[:16, :16]
    return ((rows - 7) ** 2 + (columns - 8) ** 2 < 30).astype(np.uint8) * np.uint8(value)


def label_of(dataset, name):
    samples = [sample for split in dataset.spec.splits for sample in dataset.samples(split)]
    return dataset.read(next(sample for sample in samples if sample.name == name))[1]


def test_a_draft_of_soft_edges(plain, capsys):
    soft = cv2.GaussianBlur(disc(), (3, 3), 0)
    out, _, dataset = labels_and_draft(plain("ab"), capsys, {"a.png": soft, "b.png": disc()})
    between = soft[(soft > 0) & (soft < 255)]
    line = (
        f"{len(set(between.tolist()))} further values between 0 and 255 look like soft edges, {len(between) / 512:.2%}"
    )
    assert line in out
    text = (dataset.folder / "dataset.yaml").read_text()
    assert f"# {line}" in text and "labels_soft: nearest\n" in text
    np.testing.assert_array_equal(label_of(dataset, "a"), soft >= 128)


def test_a_draft_of_jpeg_masks(plain, capsys):
    out, told, dataset = labels_and_draft(plain("ab", labels=""), capsys, {"a.jpg": disc(), "b.jpg": disc()})
    assert "look like soft edges" in out and "JPEG changes values" in out, told
    assert dataset.spec.label_ids == (0, 255) and dataset.spec.labels_soft == "nearest"
    np.testing.assert_array_equal(label_of(dataset, "a"), disc(1))


def test_a_draft_of_a_transparent_background(plain, capsys):
    label = np.dstack([disc(), np.zeros((16, 16, 2), np.uint8), disc()])
    out, _, dataset = labels_and_draft(plain("ab"), capsys, {"a.png": label, "b.png": label})
    assert f"{(disc() == 0).mean():.2%} of the pixels are transparent: a class of their own, background" in out
    assert dataset.spec.classes == ("background", "class_0")
    np.testing.assert_array_equal(label_of(dataset, "a"), disc(1))


def test_a_draft_of_masks_per_class_with_endings(plain, capsys):
    masks = {f"{kind}/{name}_mask.png": disc() // share for kind, share in (("x", 1), ("y", 255)) for name in "ab"}
    masks.update({name: masks[name].max() - mask for name, mask in masks.items() if name.startswith("y")})
    del masks["y/b_mask.png"]
    out, _, dataset = labels_and_draft(plain("ab", labels=""), capsys, masks)
    assert "a mask per class: x, y;" in out
    text = (dataset.folder / "dataset.yaml").read_text()
    assert 'label_suffix: "_mask"' in text and "rest: background" in text
    np.testing.assert_array_equal(label_of(dataset, "a"), 2 - disc(1))
    np.testing.assert_array_equal(label_of(dataset, "b"), disc(1))


@pytest.mark.parametrize("name", ["{image}_{kind}", "{kind}-{image}", "{image}/{kind}"])
def test_a_draft_of_masks_that_lie_beside_each_other(name, plain, capsys):
    kinds = {"red": disc(), "blue": np.where(np.arange(16) == 0, 255, 0).astype(np.uint8).repeat(16).reshape(16, 16)}
    masks = {f"{name.format(image=i, kind=kind)}.png": mask for i in ("s1", "s2") for kind, mask in kinds.items()}
    out, _, dataset = labels_and_draft(plain(["s1", "s2"], labels=""), capsys, masks)
    assert "masks of 2 classes" in out and "left out" not in out
    assert dataset.spec.classes == ("background", "blue", "red")
    np.testing.assert_array_equal(label_of(dataset, "s1"), 2 * disc(1) + (kinds["blue"] > 0))


def test_files_beside_labels_that_overlap_are_no_masks_of_classes(plain, capsys):
    masks = {f"{image}_{kind}.png": disc() for image in ("s1", "s2") for kind in ("first", "second")}
    out, _, dataset = labels_and_draft(plain(["s1", "s2"], labels=""), capsys, masks)
    assert "labels are NAME_first of" in out and "left out: NAME_second" in out
    assert dataset.spec.label_ids == (0, 255)


@pytest.mark.parametrize("half", [False, True])
def test_a_draft_of_masks_that_are_clear_outside_of_their_class(half, plain, capsys):
    inside = {"x": disc(), "y": np.where(np.arange(16) == 0, 255, 0).astype(np.uint8).repeat(16).reshape(16, 16)}
    inside["y"][1, 0] = 100 * half
    masks = {
        f"{kind}/{name}.png": np.dstack([np.full((16, 16, 3), 255, np.uint8), alpha])
        for kind, alpha in inside.items()
        for name in "ab"
    }
    out, _, dataset = labels_and_draft(plain("ab", labels=""), capsys, masks)
    expected = disc(1) + 2 * (inside["y"] > 127)
    assert f"a mask per class: x, y; {np.mean(expected == 0):.2%} of the pixels are in none of them" in out
    assert ("2 pixels are half transparent: soft edges" in out) == half and "overlap" not in out
    assert dataset.spec.classes == ("background", "x", "y") and bool(dataset.spec.labels_soft) == half
    np.testing.assert_array_equal(label_of(dataset, "a"), expected)


def test_a_draft_of_masks_that_cover_all(plain, capsys):
    masks = {f"{kind}/{name}.png": disc() if kind == "x" else 255 - disc() for kind in "xy" for name in "ab"}
    _, _, dataset = labels_and_draft(plain("ab", labels=""), capsys, masks)
    assert dataset.spec.classes == ("x", "y") and dataset.spec.rest == IGNORE


def test_a_draft_of_masks_of_0_and_1_beside_soft_ones(plain, capsys):
    """The reader takes for inside what the draft has counted."""
    soft = cv2.GaussianBlur(disc(), (3, 3), 0)
    masks = {"x/a.png": (soft < 128).astype(np.uint8), "x/b.png": 1 - disc(1), "y/a.png": soft, "y/b.png": disc()}
    out, _, dataset = labels_and_draft(plain("ab", labels=""), capsys, masks)
    assert "look like soft edges" in out and "0.00% of the pixels are in none of them" in out
    assert dataset.spec.labels_soft == "nearest" and dataset.spec.classes == ("x", "y")
    np.testing.assert_array_equal(label_of(dataset, "a"), soft >= 128)
    np.testing.assert_array_equal(label_of(dataset, "b"), disc(1))


def test_a_draft_of_masks_per_class_in_folders_of_splits(plain, capsys):
    folder = plain("ab", labels="")
    for split in ("train", "val"):
        for name in "ab":
            write_png(folder / split / "images" / f"{name}.png", np.zeros((16, 16, 3), np.uint8))
            for kind in ("x", "y"):
                write_png(folder / split / "masks" / kind / f"{name}.png", disc() if kind == "x" else 255 - disc())
    (folder / "dataset.yaml").unlink()
    places = ("--images", folder / "train" / "images", "--labels", folder / "train" / "masks", "--folder", folder)
    assert drafted(capsys, *places)[0] == 0
    dataset = load("folders", folder)
    assert names_of(dataset, "val") == ["val/a", "val/b"]
    np.testing.assert_array_equal(label_of(dataset, "val/a"), 1 - disc(1))


def test_a_draft_asks_what_thin_lines_are(plain, capsys):
    label = disc(1)
    label[7] = 2
    out, _, dataset = labels_and_draft(plain("ab"), capsys, {"a.png": label, "b.png": label})
    assert f"2 is in thin lines or single pixels alone, {(label == 2).mean():.2%} of all: a class, or borders" in out
    assert dataset.spec.label_ids == (0, 1, 2)


def test_a_draft_of_masks_per_class(plain, capsys):
    masks = {
        f"{kind}/{name}.png": disc() if kind == "one" else 255 - disc() for kind in ("one", "two") for name in "ab"
    }
    masks["one/a.png"][:2, :2] = 255
    out, _, dataset = labels_and_draft(plain("ab", labels=""), capsys, masks)
    assert "masks of 2 classes" in out and "a mask per class: two, one; 0.00% of the pixels" in out
    assert "masks overlap in 4 pixels: there the last in classes counts, as yet the smallest" in out
    assert dataset.spec.classes == ("two", "one")
    np.testing.assert_array_equal(label_of(dataset, "a"), masks["one/a.png"] > 0)


def test_a_draft_of_masks_says_how_both_may_count(plain, capsys):
    """Its comment in place of the line above it: one set of masks is a class for each, and they are learnt apart."""
    whole, none = np.full((16, 16), 255, np.uint8), np.zeros((16, 16), np.uint8)
    whole[0, 0] = 0
    masks = {"one/a.png": disc(), "two/a.png": whole, "six/a.png": whole, "one/b.png": disc(), "two/b.png": none}
    folder = plain("ab", labels="")
    labels_and_draft(folder, capsys, {**masks, "six/b.png": whole})
    path = folder / "dataset.yaml"
    lines = path.read_text().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("# or, where a pixel may be all"))
    assert lines[at - 1] == "masks_overlap: last"
    path.write_text("\n".join([*lines[: at - 1], lines[at + 1].removeprefix("# "), *lines[at + 2 :]]))
    dataset = load("folders", folder)
    assert dataset.spec.logits == ("six", "two", "one")
    for name in "ab":
        label = label_of(dataset, name)
        for part, classes in dataset.spec.regions:
            np.testing.assert_array_equal(np.isin(label, classes), masks.get(f"{part}/{name}.png", whole) > 0)


@pytest.mark.parametrize(
    "names", [("background", "one", "two"), ("_red", "red-", "blue"), ('quo"te', "it's: so", "ö {x}")]
)
def test_what_a_draft_says_of_masks_that_meet_can_be_put_into_it(names, plain, capsys):
    """Whatever folders are called: what is background has no other label, and two folders may be one class."""
    masks = {
        f"{kind}/{name}.png": np.maximum(disc(), 255 * (n == k))
        for n, name in enumerate("abc")
        for k, kind in enumerate(names)
    }
    for pixels in masks.values():
        pixels[0, 0] = 0
    folder = plain("abc", labels="")
    labels_and_draft(folder, capsys, {name: np.uint8(pixels) for name, pixels in masks.items()})
    text = (folder / "dataset.yaml").read_text()
    line = next(line for line in text.splitlines() if line.startswith("# masks_overlap: "))
    (folder / "dataset.yaml").write_text(text.replace("masks_overlap: last", line.removeprefix("# "), 1))
    spec = load("folders", folder).spec
    assert len(spec.combinations) == 1 and len(spec.regions) == len(spec.combinations[0][1])


@pytest.mark.parametrize("shape", [(16, 16), (1, 16, 16)])
def test_a_draft_says_that_channels_come_first(shape, plain, capsys):
    folder = plain("ab", labels="")
    for name in "ab":
        (folder / "images" / f"{name}.png").unlink()
        np.save(folder / "images" / f"{name}.npy", np.zeros((4, 16, 16), np.uint8))
    _, told, dataset = labels_and_draft(folder, capsys, dict.fromkeys(("a.npy", "b.npy"), np.zeros(shape, np.uint8)))
    assert dataset is None and told.count("\n") == 1
    assert "a.npy is an array of 4x16x16" in told and "channels first? Save arrays as [height, width, channels]" in told


@pytest.mark.parametrize(("channels", "way"), [(1, "array[0]"), (3, "array.argmax(0)")])
def test_a_draft_says_that_channels_of_labels_come_first(channels, way, plain, capsys):
    labels = dict.fromkeys(("a.npy", "b.npy"), np.zeros((channels, 16, 16), np.uint8))
    _, told, dataset = labels_and_draft(plain("ab", labels=""), capsys, labels)
    assert dataset is None and f"a.npy is an array of {channels}x16x16" in told
    assert f"channels first? Save arrays as [height, width] of ids: {way}" in told


def test_an_array_with_its_channels_first_is_told(plain):
    folder = plain("a", bands=4)
    (folder / "images" / "a.png").unlink()
    np.save(folder / "images" / "a.npy", np.zeros((4, 16, 16), np.uint8))
    with pytest.raises(DataError, match=r"a.npy has 16 bands, but folders has 4: .* channels first\? An array is \["):
        load("folders", folder)


def test_a_draft_says_which_sizes_differ(plain, capsys):
    folder = plain("ab")
    out, _, _ = labels_and_draft(folder, capsys, {"a.png": np.eye(8, 16, dtype=np.uint8)})
    assert "1 of 2 pairs differ in size (a): " in out and "a.png is 16x16 but" in out and "a.png is 8x16" in out
    (folder / "dataset.yaml").touch()
    _, told, _ = labels_and_draft(folder, capsys, {"b.png": np.eye(8, 16, dtype=np.uint8)})
    assert "labels/a.png is 8x16 (height x width), and no pair is equal in size" in told
