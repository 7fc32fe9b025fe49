"""The audit finds everything that is wrong, and its figures are right."""

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
from folders import make_cityscapes, make_imagenet, make_pascal_voc

from data_pipelines import IGNORE, DataError, Dataset, DatasetSpec, Sample, load
from data_pipelines.audit import audit, main


def write_png(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imencode(".png", pixels)[1].tofile(path)


def write_split(folder, split, count, label=None):
    for index in range(count):
        name = f"{split}_{index:03d}.png"
        write_png(folder / split / name, np.zeros((2, 4, 3), np.uint8))
        write_png(folder / f"{split}annot" / name, np.array(label or [[0, 0, 0, 1], [3, 3, 11, 11]], np.uint8))


@pytest.fixture
def folder(tmp_path):
    """A train and a val split with as many (tiny) frames as the real ones."""
    write_split(tmp_path, "train", 367)
    write_split(tmp_path, "val", 101)
    return tmp_path


def run(capsys, folder, *args):
    """(exit status, stdout, lines of stderr)."""
    status = main(["--dataset", "camvid", "--folder", str(folder), *args])
    out, err = capsys.readouterr()
    return status, out, err.splitlines()


def test_figures_of_a_split(folder):
    report = audit(load("camvid", folder), "val")
    assert (report.split, report.expected, report.found, report.problems) == ("val", 101, 101, ())
    assert report.sizes == {(2, 4): 101}
    assert report.class_pixels.tolist() == [303, 101, 0, 202, 0, 0, 0, 0, 0, 0, 0]
    assert report.void_pixels == 202
    assert report.void_share == 0.25
    np.testing.assert_allclose(report.class_shares[:4], [1 / 2, 1 / 6, 0, 1 / 3])


def test_an_absent_split_is_a_note_and_the_rest_is_clean(capsys, folder):
    status, out, err = run(capsys, folder)
    assert (status, err) == (0, [])
    rows = {line.rsplit(maxsplit=2)[0].strip(): line.split()[-2:] for line in out.splitlines()[:-1]}
    assert rows["camvid"] == ["train", "val"]
    assert rows["samples"] == rows["expected"] == rows["of 2x4 pixels"] == ["367", "101"]
    assert rows["problems"] == ["0", "0"]
    assert rows["void, % of pixels"] == ["25.00", "25.00"]
    assert rows["1 building"] == ["16.67", "16.67"]
    assert out.splitlines()[-1].startswith("note: camvid split 'test': no folder")


def spoil(folder):
    """One of every kind of damage."""
    image, label = folder / "val", folder / "valannot"
    (image / "val_000.png").write_bytes(b"")
    (image / "val_001.png").write_bytes((image / "val_001.png").read_bytes()[:-20])
    (label / "val_002.png").unlink()
    write_png(label / "val_003.png", np.array([[12, 77, 0, 0], [0, 0, 0, 0]], np.uint8))
    write_png(label / "val_004.png", np.zeros((4, 2), np.uint8))
    write_png(label / "val_005.png", np.zeros((2, 4, 3), np.uint8))
    (image / "val_006.png").unlink()


def test_all_problems_are_collected(folder):
    spoil(folder)
    report = audit(load("camvid", folder), "val")
    expected = [
        "val has 100 samples, expected 101",
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
    assert report.sizes == {(2, 4): 94}


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
    assert err[-1] == "and 347 more problems"


def test_a_list_that_repeats_a_frame(folder):
    names = [f"val_{index:03d}.png" for index in range(100)] + ["val_000.png"]
    (folder / "val.txt").write_text("\n".join(names))
    assert audit(load("camvid", folder), "val").problems == ("val has sample val_000 2 times",)


def test_half_a_split_is_no_absent_split(capsys, folder):
    (folder / "test").mkdir()
    status, _, err = run(capsys, folder)
    assert status == 2
    assert len(err) == 1
    assert "testannot" in err[0]


def test_no_split_at_all(capsys, tmp_path):
    status, out, err = run(capsys, tmp_path)
    assert (status, out, len(err)) == (2, "", 1)
    assert err[0].startswith("error: camvid has none of its splits: ")


def test_no_folder(capsys, tmp_path):
    status, _, err = run(capsys, tmp_path / "nowhere")
    assert (status, len(err)) == (2, 1)
    assert "make data DATASET=camvid" in err[0]


def test_debug_shows_the_traceback(capsys, tmp_path):
    status, _, err = run(capsys, tmp_path / "nowhere", "--debug")
    assert status == 2
    assert err[0].startswith("Traceback")
    assert err[-1].startswith("error: no CamVid in")


def test_unknown_split_raises(folder):
    with pytest.raises(DataError, match="no split 'x'"):
        audit(load("camvid", folder), "x")


def test_only_void_has_shares_of_zero(tmp_path):
    write_split(tmp_path, "val", 1, label=[[11] * 4] * 2)
    report = audit(load("camvid", tmp_path), "val")
    assert report.void_share == 1
    assert not report.class_shares.any()


def test_synthetic():
    report = audit(load("synthetic", height=32, width=48, sizes={"train": 3}), "train")
    assert (report.found, report.expected, report.problems) == (3, 3, ())
    assert report.sizes == {(32, 48): 3}
    assert report.class_pixels.sum() + report.void_pixels == 3 * 32 * 48


def test_cityscapes_is_counted_by_its_classes_and_has_no_test_labels(tmp_path, capsys):
    make_cityscapes(tmp_path)
    report = audit(load("cityscapes", tmp_path), "train")
    assert (report.found, report.expected, report.sizes) == (4, 2975, {(48, 96): 4})
    assert report.problems == ("train has 4 samples, expected 2975",)
    assert report.void_share == 1 / 8 and report.class_pixels.sum() == 4 * 42 * 96

    assert main(["--dataset", "cityscapes", "--folder", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert "note: cityscapes split 'test': its labels are not public" in out
    assert [line for line in err.splitlines() if "problem" in line] == [
        "problem: train has 4 samples, expected 2975",
        "problem: val has 2 samples, expected 500",
    ]


def test_voc_without_the_augmented_annotations(tmp_path, capsys):
    make_pascal_voc(tmp_path, augmented=False)
    (tmp_path / "JPEGImages" / "2008_val00.jpg").unlink()
    assert main(["--dataset", "pascal_voc", "--folder", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert "note: pascal_voc split 'trainaug': no file" in out
    assert f"problem: image {tmp_path}/JPEGImages/2008_val00.jpg is missing" in err


def test_classification_is_politely_refused(tmp_path, capsys):
    make_imagenet(tmp_path)
    assert main(["--dataset", "imagenet", "--folder", str(tmp_path)]) == 2
    assert capsys.readouterr() == ("", "error: imagenet is for classification: it has no label maps to check\n")


class Careless(Dataset):
    """Its reader doesn't keep what it promises."""

    spec = DatasetSpec("careless", ("a", "b"), ((0, 0, 0), (1, 1, 1)), {"train": 2}, mean=(0.0,), std=(1.0,))

    def samples(self, split):
        return [Sample("bands"), Sample("ids")]

    def read(self, sample):
        bands, label = (3, 0) if sample.name == "bands" else (1, 2)
        return np.zeros((2, 2, bands), np.uint8), np.array([[label, 5 if label else 1], [1, IGNORE]], np.uint8)


def test_readers_that_break_their_promise_are_found():
    report = audit(Careless(), "train")
    assert report.problems == (
        "bands: image (2, 2, 3) does not fit label (2, 2) and 1 bands",
        "ids: unknown class ids [2, 5]",
    )


@pytest.mark.parametrize("program", ["audit", "fetch"])
@pytest.mark.parametrize(("args", "status"), [(["--help"], 0), ([], 2), (["--dataset", "nope"], 2)])
def test_programs_run_from_the_command_line(program, args, status, pytestconfig):
    done = subprocess.run(
        [sys.executable, "-m", f"data_pipelines.{program}", *args],
        cwd=pytestconfig.rootpath,
        env={**os.environ, "PYTHONPATH": str(pytestconfig.rootpath)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == status
    assert done.stderr.count("\n") == (1 if status else 0)
    assert ("--dataset" in done.stdout) == (not status)
