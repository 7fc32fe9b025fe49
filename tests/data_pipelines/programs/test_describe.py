"""The draft of a dataset.yaml."""

import numpy as np
import pytest
from own_data import make_five_bands, names_of, write_png, write_tiff
from PIL import Image

from data_pipelines import load
from data_pipelines.own_data.description import read_description
from data_pipelines.programs import describe as describe_data


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


def negative(labels):
    (labels / "a.png").unlink()
    write_tiff(labels / "a.tif", np.full((9, 9, 1), -1, np.int16))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda f: write_png(f / "images" / "b.png", np.zeros((9, 9), np.uint16)), "b.png of uint16: 1: convert"),
        (lambda f: write_png(f / "labels" / "b.png", np.zeros((9, 9, 3), np.uint8)), "holds ids: convert one kind"),
        (lambda f: (f / "images" / "b.png").write_bytes(b"x"), "images/b.png: the file is damaged"),
        (lambda f: write_png(f / "labels" / "b.png", np.arange(300, dtype=np.uint16)[None]), "are these labels?"),
        (lambda f: negative(f / "labels"), "a.tif holds -1: ids are 0"),
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


def test_a_draft_in_a_linked_folder_with_spaces(plain, tmp_path, capsys, monkeypatch):
    images = plain("ab") / "images"
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "my link").symlink_to(tmp_path / "deep" / "er")
    monkeypatch.chdir(tmp_path)
    arguments = ("--images", "plain/images", "--labels", "plain/labels", "--folder", "my link/data")
    status, out, _ = drafted(capsys, *arguments)
    assert status == 0 and "--data='my link/data'" in out
    assert load("folders", "my link/data").samples("train")[0].image.resolve().parent == images


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


def test_a_draft_of_photographs_marked_to_be_turned(plain, capsys):
    folder = plain("a")
    (folder / "dataset.yaml").unlink()
    exif = Image.Exif()
    exif[274] = 6
    Image.new("RGB", (16, 16)).save(folder / "images" / "a.png", exif=exif)
    arguments = ("--images", folder / "images", "--labels", folder / "labels", "--folder", folder)
    status, _, told = drafted(capsys, *arguments)
    assert status == 2 and "a.png is marked to be turned" in told
