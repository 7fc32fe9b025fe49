"""The audit finds everything that is wrong, and its figures are right."""

import dataclasses
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from folders import make_cityscapes, make_imagenet, make_pascal_voc
from inria_folder import make_inria
from own_data import describe, make_five_bands, make_rgbd, scene, write_tiff
from rasterio.transform import from_origin

from data_pipelines import DataError, load
from data_pipelines.audit.survey import survey
from data_pipelines.datasets.camvid import CamVid
from data_pipelines.programs import command
from data_pipelines.programs.audit import main

PLACE = {"crs": "EPSG:32633", "transform": from_origin(500000, 5000000, 10, 10)}
ELSEWHERE = {"crs": "EPSG:32633", "transform": from_origin(500300, 5000400, 10, 10)}


def write_png(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(".png", pixels)[1].tofile(path)


def write_split(folder, split, count, label=None):
    rng = np.random.default_rng(len(split))
    for index in range(count):
        name = f"{split}_{index:03d}.png"
        write_png(folder / split / name, rng.integers(0, 256, (2, 4, 3)).astype(np.uint8))
        write_png(folder / f"{split}annot" / name, np.array(label or [[0, 0, 0, 1], [3, 3, 11, 11]], np.uint8))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A train and a val split of CamVid, as if it had so few frames."""
    monkeypatch.setattr(CamVid, "spec", dataclasses.replace(CamVid.spec, splits={"train": 30, "val": 11, "test": 9}))
    write_split(tmp_path, "train", 30)
    write_split(tmp_path, "val", 11)
    return tmp_path


def run(capsys, folder, *args):
    """(exit status, stdout, lines of stderr)."""
    status = main(["--dataset", "camvid", "--folder", str(folder), "--output", str(folder / "audit"), *args])
    out, err = capsys.readouterr()
    return status, out, err.splitlines()


def cells(out, heading):
    """Of the line of a table that begins so."""
    (line,) = [line for line in out.splitlines() if line.strip().startswith(f"{heading}  ")]
    return line.strip()[len(heading) :].split()


def test_figures_of_a_split(folder):
    report = survey(load("camvid", folder), "val")
    assert (report.split, report.expected, report.found, report.problems) == ("val", 11, 11, [])
    assert report.sizes == {(2, 4): 11}
    assert report.counts.pixels.tolist() == [33, 11, 0, 22, 0, 0, 0, 0, 0, 0, 0]
    assert report.counts.void == 22
    assert report.counts.void_share == 0.25
    np.testing.assert_allclose(report.counts.shares[:4], [1 / 2, 1 / 6, 0, 1 / 3])


def test_an_absent_split_is_a_note_and_the_rest_is_clean(capsys, folder):
    status, out, err = run(capsys, folder)
    assert (status, err) == (0, [])
    table = out.partition("\n\n")[0]
    rows = {line.rsplit(maxsplit=2)[0].strip(): line.split()[-2:] for line in table.splitlines()}
    assert rows["camvid"] == ["train", "val"]
    assert rows["samples"] == rows["expected"] == rows["of 2x4 pixels"] == ["30", "11"]
    assert rows["problems"] == ["0", "0"]
    assert rows["void, % of pixels"] == ["25.00", "25.00"]
    assert rows["1 building"] == ["16.67", "16.67"]
    assert "note: camvid split 'test': no folder" in out


def spoil(folder):
    """One of every kind of damage."""
    image, label = folder / "val", folder / "valannot"
    (image / "val_000.png").write_bytes(b"")
    (image / "val_001.png").write_bytes((image / "val_001.png").read_bytes()[:-20])
    (label / "val_002.png").unlink()
    write_png(label / "val_003.png", np.array([[12, 77, 0, 0], [0, 0, 0, 0]], np.uint8))
    write_png(label / "val_004.png", np.zeros((4, 2), np.uint8))
    write_png(label / "val_005.png", np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
    (image / "val_006.png").unlink()


def test_all_problems_are_collected(folder):
    spoil(folder)
    report = survey(load("camvid", folder), "val")
    expected = [
        "val has 10 samples, expected 11",
        "valannot/val_006.png has no image",
        "val/val_000.png: the file is damaged",
        "val/val_001.png: the file is damaged",
        "valannot/val_002.png is missing",
        "valannot/val_003.png holds values 12, 77",
        "valannot/val_004.png is 4x2",
        "valannot/val_005.png has 3 channels",
    ]
    assert len(report.problems) == len(expected)
    for problem, part in zip(report.problems, expected):
        assert part in problem
    assert report.sizes == {(2, 4): 4}


def test_problems_make_the_exit_status_2_with_a_line_each(capsys, folder):
    spoil(folder)
    status, out, err = run(capsys, folder)
    assert status == 2
    assert [line for line in out.splitlines() if line.startswith("problems")][0].split() == ["problems", "0", "8"]
    assert len(err) == 8
    assert all(line.startswith("problem: ") for line in err)


def test_many_problems_are_cut_short(capsys, folder):
    for path in (folder / "trainannot").iterdir():
        path.unlink()
    status, _, err = run(capsys, folder)
    assert status == 2
    assert len(err) == 21
    assert err[-1] == "and 10 more problems"


def test_a_split_that_cannot_be_listed_is_a_problem_and_the_rest_is_read(capsys, folder):
    names = [f"val_{index:03d}.png" for index in range(10)] + ["val_000.png"]
    (folder / "val.txt").write_text("\n".join(names))
    status, out, err = run(capsys, folder)
    assert (status, len(err)) == (2, 1)
    assert "'val' has 2 images called 'val_000'" in err[0]
    assert cells(out, "samples") == ["30"]


def test_half_a_split_is_no_absent_split(capsys, folder):
    (folder / "test").mkdir()
    status, _, err = run(capsys, folder)
    assert status == 2
    assert len(err) == 1
    assert "testannot" in err[0]


def test_no_split_at_all(capsys, tmp_path):
    status, out, err = run(capsys, tmp_path)
    assert (status, out, len(err)) == (2, "", 1)
    assert err[0].startswith("error: camvid has none of these splits: ")


def test_no_folder(capsys, tmp_path):
    status, _, err = run(capsys, tmp_path / "nowhere")
    assert (status, len(err)) == (2, 1)
    assert "did_tf data --dataset=camvid" in err[0]


def test_debug_shows_the_traceback(capsys, tmp_path):
    status, _, err = run(capsys, tmp_path / "nowhere", "--debug")
    assert status == 2
    assert err[0].startswith("Traceback")
    assert err[-1].startswith("error: no CamVid in")


def test_unknown_split_raises(folder):
    with pytest.raises(DataError, match="no split 'x'"):
        survey(load("camvid", folder), "x")


def test_only_void_has_shares_of_zero(tmp_path):
    write_split(tmp_path, "val", 1, label=[[11] * 4] * 2)
    report = survey(load("camvid", tmp_path), "val")
    assert report.counts.void_share == 1
    assert not report.counts.shares.any()


def test_synthetic():
    report = survey(load("synthetic", height=32, width=48, sizes={"train": 3}), "train")
    assert (report.found, report.expected, report.problems) == (3, 3, [])
    assert report.sizes == {(32, 48): 3}
    assert report.counts.pixels.sum() + report.counts.void == 3 * 32 * 48


def test_cityscapes_is_counted_by_its_classes_and_has_no_test_labels(tmp_path, capsys):
    make_cityscapes(tmp_path)
    for path in (tmp_path / "leftImg8bit" / "test").rglob("*.png"):
        write_png(path, np.zeros((48, 96, 3), np.uint8))
    report = survey(load("cityscapes", tmp_path), "train")
    assert (report.found, report.expected, report.sizes) == (4, 2975, {(48, 96): 4})
    assert report.problems == ["train has 4 samples, expected 2975"]
    assert report.counts.void_share == 1 / 8 and report.counts.pixels.sum() == 4 * 42 * 96

    assert main(["--dataset", "cityscapes", "--folder", str(tmp_path), "--output", str(tmp_path / "audit")]) == 2
    out, err = capsys.readouterr()
    assert "note: test has no labels: its images alone were checked" in out
    assert "note: test: images without contrast" in out
    assert "test.png, odd.png" in out
    assert cells(out, "samples") == ["4", "2", "1"]
    assert cells(out, "void, % of pixels") == ["12.50", "12.50"]
    assert [line for line in err.splitlines() if "problem" in line] == [
        "problem: train has 4 samples, expected 2975",
        "problem: val has 2 samples, expected 500",
    ]


def test_voc_without_the_augmented_annotations(tmp_path, capsys):
    make_pascal_voc(tmp_path, augmented=False)
    (tmp_path / "JPEGImages" / "2008_val00.jpg").unlink()
    assert main(["--dataset", "pascal_voc", "--folder", str(tmp_path), "--output", str(tmp_path / "audit")]) == 2
    out, err = capsys.readouterr()
    assert "note: pascal_voc split 'trainaug': no file" in out
    assert f"problem: image {tmp_path}/JPEGImages/2008_val00.jpg is missing" in err


def test_an_option_may_be_a_path_below_the_users_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert command.options(["sbd=~/SBD", "prefix=~x"]) == {"sbd": "/home/me/SBD", "prefix": "~x"}


def test_splits_and_options_can_be_chosen(tmp_path, capsys):
    make_inria(tmp_path, size=(60, 60))
    arguments = ["--dataset", "inria_aerial", "--folder", str(tmp_path), "--output", str(tmp_path / "audit")]
    assert main([*arguments, "--splits", "val,test", "--option", "patch=20", "--option", "validation=fifth"]) == 2
    out, err = capsys.readouterr()
    assert cells(out, "inria_aerial") == ["val", "test"]
    assert cells(out, "expected") == ["36", "180"]
    assert cells(out, "samples")[0] == str(9 * int(cells(out, "images they are cut from")[0]))
    assert main([*arguments, "--splits", "nope"]) == 2
    assert "inria_aerial has no split 'nope'" in capsys.readouterr().err
    assert main([*arguments, "--option", "patch"]) == 2
    assert capsys.readouterr().err == "error: option 'patch': expected KEY=VALUE\n"


def audit_imagenet(folder, capsys):
    """(exit status, stdout, lines of stderr, report) of two classes with train and val."""
    status = main(["--dataset", "imagenet", "--folder", str(folder), "--output", str(folder / "audit")])
    out, err = capsys.readouterr()
    return status, out, err.splitlines(), json.loads((folder / "audit" / "audit.json").read_text())


def test_images_in_folders_of_classes(tmp_path, capsys):
    make_imagenet(tmp_path)
    status, out, err, report = audit_imagenet(tmp_path, capsys)
    assert (status, err) == (0, [])
    assert cells(out, "samples") == ["12", "6"] and cells(out, "1 n00000001") == ["33.33", "33.33"]
    assert "equally: --config.loss.class_balance=1\n" in out and "class_weights" not in out
    assert report["splits"]["val"]["class_images"] == dict.fromkeys(("n00000000", "n00000001", "n00000002"), 2)
    assert report["problems"] == []
    assert (tmp_path / "audit" / "train.png").is_file() and (tmp_path / "audit" / "val.png").is_file()


def test_damage_in_folders_of_classes(tmp_path, capsys):
    make_imagenet(tmp_path)
    files = sorted((tmp_path / "train" / "n00000001").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-200])
    (tmp_path / "val" / "n00000002" / "copy.JPEG").write_bytes(files[1].read_bytes())
    (tmp_path / "train" / "n00000003").mkdir()
    status, out, err, report = audit_imagenet(tmp_path, capsys)
    assert status == 2
    assert [line.partition(str(files[0]))[0] for line in err] == [
        "problem: cannot decode ",
        "problem: train has no images of n00000003: add them, or remove the folder",
        "problem: train and val have images of equal pixels: 1 (n00000001/n00000001_train1 = n00000002/copy); "
        "take them out of one",
    ]
    assert report["splits"]["train"]["unusable"] == 1
    assert report["pairs"] == [
        {"splits": ["train", "val"], "images": ["n00000001/n00000001_train1", "n00000002/copy"], "distance": 0}
    ]
    assert (tmp_path / "audit" / "pairs.png").is_file()


def test_many_classes_are_summed_up(tmp_path, capsys):
    make_imagenet(tmp_path, classes=101, splits={"train": 1}, size=(8, 8))
    (tmp_path / "train" / "n00000007" / "more.png").write_bytes(cv2.imencode(".png", np.eye(9))[1].tobytes())
    status, out, err, report = audit_imagenet(tmp_path, capsys)
    assert (status, err) == (0, [])
    figures = [cells(out, f"images of a class, {kind}") for kind in ("fewest", "median", "most")]
    assert figures == [["1"], ["1"], ["2"]]
    assert "n00000100" not in out


def test_report(folder, capsys):
    spoil(folder)
    status, out, err = run(capsys, folder)
    report = json.loads((folder / "audit" / "audit.json").read_text())
    val = report["splits"]["val"]
    assert report["dataset"] == "camvid" and list(report["splits"]) == ["train", "val"]
    assert [f"problem: {problem}" for problem in report["problems"]] == err
    assert [f"note: {note}" for note in report["notes"]] == [line for line in out.splitlines() if "note: " in line]
    assert (val["samples"], val["expected"], val["images"], val["unusable"]) == (10, 11, 10, 6)
    assert val["sizes"] == {"2x4": 4} and val["class_pixels"]["building"] == 4 and val["void_share"] == 0.25
    assert val["images_with_class"]["road"] == 4 and val["class_shares"]["tree"] == 0
    assert report["weights_of"] == "train"
    # Of 8 pixels a frame, 3 are sky, 1 is building and 2 are road.
    assert [report["class_weights"][name] for name in ("sky", "building", "road", "car")] == [2 / 3, 2, 1, 1]
    assert report["class_balance_1"] == report["class_weights"]


def test_pictures(folder, capsys):
    copy = (folder / "train" / "train_007.png").read_bytes()
    (folder / "val" / "val_003.png").write_bytes(copy)
    status, out, err = run(capsys, folder)
    assert (status, err) == (
        2,
        ["problem: train and val have images of equal pixels: 1 (train_007 = val_003); take them out of one"],
    )
    assert f"written to {folder / 'audit'}: audit.json, train.png, val.png, odd.png, pairs.png" in out
    for name in ("train", "val", "odd", "pairs"):
        picture = cv2.imread(str(folder / "audit" / f"{name}.png"))
        assert picture.shape[0] > 150 and len(np.unique(picture @ np.array([1, 256, 65536]))) > 10


def test_pictures_of_an_earlier_run_go(folder, capsys):
    (folder / "val" / "val_003.png").write_bytes((folder / "train" / "train_007.png").read_bytes())
    for splits, there in (("train,val", True), ("train", False)):
        run(capsys, folder, "--splits", splits)
        assert (folder / "audit" / "pairs.png").exists() == there


def test_labels_of_val_alone_have_no_training_weights(tmp_path, capsys):
    write_split(tmp_path, "val", 101, label=[[11] * 4] * 2)
    status, out, err = run(capsys, tmp_path)
    assert status == 2 and "problem: val of camvid has no class in any of its 101 labels, all is void" in err[0]
    assert "class_weights" not in out and "void, % of pixels" in out
    assert "note: val: images with labels of void alone: 101 (val_000, val_001, val_002 and 98 more)" in out


def test_a_folder_that_cannot_be_written(folder, capsys):
    (folder / "file").write_text("")
    status, _, err = run(capsys, folder, "--output", str(folder / "file" / "audit"))
    assert (status, len(err)) == (2, 1)
    assert f"{folder / 'file'} is no folder; pass another --output=dir" in err[0]


@pytest.mark.parametrize("make", [make_five_bands, make_rgbd])
def test_own_data(make, tmp_path, capsys):
    make(tmp_path)
    arguments = ["--dataset", "folders", "--folder", str(tmp_path), "--output", str(tmp_path / "audit")]
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert cells(out, "samples") == ["6", "2"] and cells(out, "of 64x80 pixels") == ["6", "2"]
    assert main([*arguments, "--splits", "train"]) == 0
    assert "pairs.png" not in capsys.readouterr().out


@pytest.mark.parametrize("program", ["check-data", "data"])
@pytest.mark.parametrize(("args", "status"), [(["--help"], 0), ([], 2), (["--dataset", "nope"], 2)])
def test_programs_run_from_the_command_line(program, args, status, pytestconfig):
    done = subprocess.run(
        [sys.executable, "-m", "did_tf", program, *args],
        cwd=pytestconfig.rootpath,
        env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status
    assert done.stderr.count("\n") == (1 if status else 0)
    assert ("--dataset" in done.stdout) == (not status)


def test_nodata_places_and_decoders_of_own_data(tmp_path, capsys):
    """What each takes, and the files that are odd, in the report as on the screen."""
    for number in range(4):
        pixels, label = scene(number)
        pixels = np.maximum(pixels[..., :3], 1).astype(np.uint8)
        pixels[:16] = 0
        write_tiff(tmp_path / "images" / f"{number}.tif", pixels, nodata=[0, 0, 9, 0][number], **PLACE)
        write_tiff(tmp_path / "labels" / f"{number}.tif", label[..., None], **(PLACE if number else ELSEWHERE))
    describe(tmp_path, 4, splits={"train": ["0", "1", "2"], "val": ["3"]})
    output = tmp_path / "audit"
    arguments = ["--dataset", "folders", "--folder", str(tmp_path), "--output", str(output)]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    report = json.loads((output / "audit.json").read_text())
    told = [line for line in err.splitlines() if line.startswith("problem: ")]
    assert len(told) == 1 and "images/0.tif and" in told[0] and "lie at different places: their corners" in told[0]
    assert "note: train: images differ in their own nodata tags: of 2, 1 with 0 (" in out and "1 with 9 (" in out
    label = scene(3)[1]
    shares = [(label[:16] == number).sum() / (label == number).sum() for number in range(3)]
    assert list(report["splits"]["val"]["nodata_shares"].values()) == pytest.approx(shares)
    assert report["splits"]["val"]["nodata_pixels"] == 16 * 80 and cells(out, "nodata, % of pixels")[1] == "25.00"
    for number, name in enumerate(("ground", "water", "metal")):
        if shares[number]:
            assert cells(out, f"takes of {number} {name}")[1] == f"{shares[number]:.2%}"[:-1]


def test_a_jpeg_that_its_decoder_complains_of(tmp_path, capsys):
    for number in range(2):
        pixels, label = scene(number)
        write_png(tmp_path / "labels" / f"{number}.png", label)
        (tmp_path / "images").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.jpg"), pixels[..., :3].astype(np.uint8))
    path = tmp_path / "images" / "1.jpg"
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2] + b"\xff\xd9" + data[len(data) // 2 :])
    describe(tmp_path, 2, splits={"train": ["0"], "val": ["1"]})
    assert main(["--dataset", "folders", "--folder", str(tmp_path), "--output", str(tmp_path / "audit")]) == 2
    assert f"problem: val: {path} is damaged: its decoder says 'Corrupt JPEG data" in capsys.readouterr().err
