"""A user's own data: a folder of masks for each class, and labels that are soft, as data sets and in the audit."""

import json
import shutil
from unittest.mock import Mock

import numpy as np
import pytest
from own_data import complaint, edit, scene, write_png
from PIL import Image

from data_pipelines import DataError, load
from data_pipelines.identity import fingerprint
from data_pipelines.own_data import matching
from data_pipelines.own_data.description import read_description
from data_pipelines.programs import audit

CLASSES = ("ground", "water", "metal")


@pytest.fixture
def masks(plain):
    """Six images with masks of water and metal; ground is what is in none."""
    folder = plain("abcdef", labels="", labels_hold="masks", classes=["water", "metal"], rest="ground")
    for number, name in enumerate("abcdef"):
        _, label = scene(number, (16, 16))
        label[:4, :4], label[8:, :4] = 1, 2
        for kind in ("water", "metal"):
            write_png(folder / "labels" / kind / f"{name}.png", np.uint8(label == CLASSES.index(kind)) * 255)
    return folder


def checked(folder, capsys):
    status = audit.main(["--dataset", "folders", "--folder", str(folder), "--output", str(folder / "audit")])
    return status, *capsys.readouterr()


def test_a_folder_of_masks_per_class(masks, capsys):
    dataset = load("folders", masks)
    assert dataset.spec.classes == CLASSES and capsys.readouterr().err == ""
    sample = dataset.samples("train")[1]
    _, expected = scene(1, (16, 16))
    expected[:4, :4], expected[8:, :4] = 1, 2
    np.testing.assert_array_equal(dataset.read(sample)[1], expected)
    assert checked(masks, capsys)[0] == 0


def test_an_image_without_a_mask_shows_none_of_that_class(masks, capsys):
    for kind, name in (("water", "b"), ("water", "c"), ("metal", "c")):
        (masks / "labels" / kind / f"{name}.png").unlink()
    dataset = load("folders", masks)
    told = capsys.readouterr().err
    assert "left out, as the other file of the pair is missing: 1 of" in told and "(c)" in told
    assert "1 of 5 images have no mask in" in told and "labels/water, and count as showing no water: b" in told
    assert [sample.name for sample in dataset.samples("train")] == list("abdef")
    label = dataset.read(dataset.samples("train")[1])[1]
    assert not (label == 1).any() and (label == 2).any()


def test_windows_are_cut_from_masks_of_one_size_alone(masks):
    write_png(masks / "labels" / "metal" / "b.png", np.zeros((16, 20), np.uint8))
    edit(masks, patch=8)
    dataset = load("folders", masks)
    fine, odd = ([one for one in dataset.samples("train") if one.name.startswith(name)] for name in ("a_", "b_"))
    assert len(fine) == len(odd) == 4 and dataset.read(fine[0])[1].shape == (8, 8)
    for sample in odd:
        with pytest.raises(DataError, match=r"water/b.png and .*metal/b.png differ in size: they must be equal"):
            dataset.read(sample)


def test_a_changed_mask_is_another_data_set(masks):
    before = fingerprint(load("folders", masks).samples("train"))
    write_png(masks / "labels" / "metal" / "e.png", np.zeros((16, 16), np.uint8))
    assert fingerprint(load("folders", masks).samples("train")) != before


def test_masks_that_overlap_are_a_problem_unless_the_last_counts(masks, capsys):
    shutil.copy(masks / "labels" / "water" / "a.png", masks / "labels" / "metal" / "a.png")
    status, _, told = checked(masks, capsys)
    assert status == 2 and "metal/a.png overlaps that of 'water'" in told and "(masks_overlap: last)" in told
    edit(masks, masks_overlap="last")
    label = load("folders", masks).read(load("folders", masks).samples("train")[0])[1]
    assert not (label == 1).any() and (label == 2).any()


def test_a_class_without_a_folder(masks):
    edit(masks, classes=["water", "metall"])
    assert "labels/metall" in complaint(masks)


def test_the_audit_says_how_many_pixels_are_soft_and_by_how_much(plain, capsys):
    folder = plain("ab", classes={"0": "ground", "255": "metal"}, labels_soft="nearest")
    soft = np.zeros((16, 16), np.uint8)
    soft[:, 8:], soft[:, 7], soft[0, 8] = 255, 20, 155
    write_png(folder / "labels" / "a.png", soft)
    status, out, _ = checked(folder, capsys)
    share, mean = 17 / 512, (16 * 20 + 100) / 17
    assert status == 0 and f"train: {share:.2%} of the labels' pixels have the value of no class" in out
    assert f"nearest (labels_soft), by {mean:.3g} in the mean and 100 at most" in out
    report = json.loads((folder / "audit" / "audit.json").read_text())["splits"]["train"]
    assert report["taken_for_the_nearest"] == pytest.approx(share)
    edit(folder, labels_soft=None)
    status, _, told = checked(folder, capsys)
    assert status == 2 and "labels/a.png holds values 20, 155" in told


def test_white_that_is_taken_for_void_is_told(plain, capsys):
    """Masks of 0 and 255 whose user wrote a list of two names."""
    folder = plain("ab", classes=["ground", "metal"])
    for name in "ab":
        write_png(folder / "labels" / f"{name}.png", np.eye(16, dtype=np.uint8) * 255)
    _, out, _ = checked(folder, capsys)
    assert "no split shows metal; if that is 255 in the labels, say so: classes: {0: ground, 255: metal}" in out
    edit(folder, void=[255])
    assert "if that is 255" not in checked(folder, capsys)[1]


def test_labels_in_jpeg_are_found_where_they_are_soft(plain, capsys):
    folder = plain("ab", labels="", classes={"0": "ground", "255": "metal"}, labels_soft="nearest")
    expected = np.zeros((16, 16), np.uint8)
    expected[:, 9:] = 255
    (folder / "labels").mkdir()
    for name in "ab":
        Image.fromarray(expected).save(folder / "labels" / f"{name}.jpg", quality=70)
    dataset = load("folders", folder)
    np.testing.assert_array_equal(dataset.read(dataset.samples("train")[0])[1], expected > 0)
    edit(folder, labels_soft=None)
    assert "no files in" in complaint(folder) and "there is .jpg" in complaint(folder)


def test_previews_in_jpeg_beside_soft_labels_are_none(plain):
    folder = plain("ab", classes={"0": "ground", "255": "metal"}, labels_soft="nearest")
    Image.new("L", (16, 16), 255).save(folder / "labels" / "a.jpg")
    assert not load("folders", folder).read(load("folders", folder).samples("train")[0])[1].any()


def test_masks_may_lie_in_each_other_and_be_regions(masks):
    """A mask is a file of two values, whatever regions the data have."""
    edit(masks, regions={"wet": ["water", "metal"], "metal": ["metal"]}, masks_overlap="last")
    dataset = load("folders", masks)
    label = dataset.read(dataset.samples("train")[0])[1]
    assert dataset.spec.logits == ("wet", "metal") and {*np.unique(label)} == {1, 2}


@pytest.mark.parametrize("pattern", ["a{}_c{:02d}", "a{}/c{:02d}"])
def test_a_folder_of_the_masks_of_all_classes_is_walked_once(plain, monkeypatch, pattern):
    """Keys that end like others are rivals: of *_c1 and *1, the longer has the files."""
    key = "*/c{:02d}" if "/" in pattern else "*_c{:02d}"
    folder = plain(
        [], labels="", labels_hold="masks", rest="others", classes={key.format(n): f"c{n}" for n in range(20)}
    )
    names = [f"a{number}" for number in range(20)]
    for number, name in enumerate(names):
        write_png(folder / "images" / f"{name}.png", np.zeros((2, 20, 3), np.uint8))
        for mask in range(20):
            write_png(
                folder / "labels" / f"{pattern.format(number, mask)}.png",
                np.uint8(np.arange(40).reshape(2, 20) == mask),
            )
    walk, compare = Mock(wraps=matching._walk), Mock(wraps=matching.affixed)
    monkeypatch.setattr(matching, "_walk", walk)
    monkeypatch.setattr(matching, "affixed", compare)
    samples = matching.find_samples(read_description(folder))
    assert walk.call_count == 2 and compare.call_count < 20 * 400 * 3
    assert {one.name for one in samples} == {*names}
    for one in samples:
        paths = [folder / "labels" / f"{pattern.format(int(one.name[1:]), mask)}.png" for mask in range(20)]
        assert [path for path, _ in one.masks] == paths


def test_of_masks_in_one_folder_the_longer_suffix_has_the_file(plain):
    folder = plain([], labels="", labels_hold="masks", rest="others", classes={"*_b": "b", "*_a_b": "a"})
    write_png(folder / "images" / "x.png", np.zeros((4, 4, 3), np.uint8))
    for suffix in ("_b", "_a_b"):
        write_png(folder / "labels" / f"x{suffix}.png", np.zeros((4, 4), np.uint8))
    (sample,) = matching.find_samples(read_description(folder))
    assert [path.name for path, _ in sample.masks] == ["x_b.png", "x_a_b.png"]


def test_there_may_be_as_many_masks_as_classes(plain):
    """255: the last is a class like the others."""
    names = [f"c{number:03d}" for number in range(255)]
    folder = plain("a", labels="", labels_hold="masks", classes=names, void="others")
    label = np.arange(256).reshape(16, 16)
    for number, name in enumerate(names):
        write_png(folder / "labels" / name / "a.png", np.uint8(label == number) * 255)
    dataset = load("folders", folder)
    np.testing.assert_array_equal(dataset.read(dataset.samples("train")[0])[1], label)
