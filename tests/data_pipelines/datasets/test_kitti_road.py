"""KITTI road, on a few generated frames."""

import shutil

import numpy as np
import pytest
from folders import write_image
from kitti_folder import OTHER, ROAD, VOID, make_kitti

from data_pipelines import IGNORE, DataError, load, spec_of
from data_pipelines.spec import AbsentSplit


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("kitti")
    make_kitti(path)
    return path


def names(samples):
    return [sample.name for sample in samples]


def write_pair(folder, label, size=None):
    write_image(folder / "training" / "image_2" / "um_000000.png", np.zeros((*(size or label.shape[:2]), 3), np.uint8))
    write_image(folder / "training" / "gt_image_2" / "um_road_000000.png", label)
    dataset = load("kitti_road", folder)
    return dataset, dataset.samples("train")[0]


def test_colours_become_classes(tmp_path):
    dataset, sample = write_pair(tmp_path, np.array([[ROAD, OTHER, VOID]], np.uint8))
    _, label = dataset.read(sample)
    assert label.dtype == np.uint8 and label.tolist() == [[1, 0, IGNORE]]


@pytest.mark.parametrize("colour", [(0, 0, 255), (255, 0, 254), (255, 1, 0), (254, 0, 0), (255, 255, 255), (0, 9, 0)])
def test_another_colour_is_named(tmp_path, colour):
    dataset, sample = write_pair(tmp_path, np.array([[ROAD, colour]], np.uint8))
    with pytest.raises(DataError) as error:
        dataset.read(sample)
    assert f"um_road_000000.png holds the colour {colour} in 1 pixel: kitti_road has neither" in str(error.value)


def test_sizes_that_differ_are_told(tmp_path):
    dataset, sample = write_pair(tmp_path, np.array([[ROAD, ROAD]], np.uint8), size=(3, 2))
    with pytest.raises(DataError, match=r"um_000000\.png is 3x2 but its label .*um_road_000000\.png is 1x2"):
        dataset.read(sample)


def test_frames_have_the_labels_of_the_road_task(folder):
    dataset = load("kitti_road", folder)
    for sample in dataset.samples("trainval"):
        image, label = dataset.read(sample)
        assert image.shape == (94, 310, 3) and label.shape == (94, 310)
        assert (label[:11] == IGNORE).all() and set(np.unique(label[11:])) == {0, 1}
        # The road is grey and the rest green.
        np.testing.assert_array_equal(label[11:] == 1, image[11:, :, 0] >= 120)


def test_every_fifth_frame_of_each_category_validates(folder):
    dataset = load("kitti_road", folder)
    val = [f"{category}_{number:06d}" for category in ("um", "umm", "uu") for number in (4, 9)]
    assert names(dataset.samples("val")) == val
    both = names(dataset.samples("trainval"))
    assert len(both) == 30
    assert names(dataset.samples("train")) == [name for name in both if name not in val]


def test_the_published_frames_are_divided_as_the_descriptor_says(tmp_path):
    for part in ("image_2", "gt_image_2"):
        (tmp_path / "training" / part).mkdir(parents=True)
    for category, count in (("um", 95), ("umm", 96), ("uu", 98)):
        for number in range(count):
            (tmp_path / "training" / "image_2" / f"{category}_{number:06d}.png").touch()
    dataset = load("kitti_road", tmp_path)
    splits = ("train", "val", "trainval")
    assert [len(dataset.samples(split)) for split in splits] == [dataset.spec.splits[split] for split in splits]


def test_the_descriptor():
    spec = spec_of("kitti_road", "nowhere", patch=320)
    assert dict(spec.splits) == {"train": 232, "val": 57, "trainval": 289, "test": 290}
    assert (spec.num_classes, spec.bands) == (2, 3)


def test_training_frames_are_cut_and_validation_is_whole(folder):
    whole, cut = load("kitti_road", folder), load("kitti_road", folder, patch=80, stride=50)
    frames = {sample.name: whole.read(sample) for sample in whole.samples("trainval")}
    for split in ("train", "trainval"):
        pieces = cut.samples(split)
        assert len(pieces) == len(whole.samples(split)) * 2 * 6
        assert len(set(names(pieces))) == len(pieces)
    assert names(cut.samples("train"))[:7] == [
        "um_000000_r0_c0", "um_000000_r0_c50", "um_000000_r0_c100", "um_000000_r0_c150", "um_000000_r0_c200",
        "um_000000_r0_c230", "um_000000_r14_c0",
    ]  # fmt: skip
    for piece in cut.samples("train")[::7]:
        image, label = frames[piece.name[: piece.name.index("_r")]]
        top, left = piece.window[:2]
        part = np.s_[top : top + 80, left : left + 80]
        for found, expected in zip(cut.read(piece), (image[part], label[part])):
            np.testing.assert_array_equal(found, expected)
    assert cut.samples("val") == whole.samples("val")
    assert cut.images("train") == whole.samples("train")


def test_a_patch_larger_than_the_frame_is_void_beyond(folder):
    dataset = load("kitti_road", folder, patch=100)
    piece = dataset.samples("train")[0]
    image, label = dataset.read(piece)
    assert image.shape == (100, 100, 3) and (label[94:] == IGNORE).all() and (label[93] != IGNORE).all()
    np.testing.assert_allclose(image[97, 3], dataset.spec.mean, atol=0.51)


def test_the_test_frames_have_no_labels(folder):
    dataset = load("kitti_road", folder)
    with pytest.raises(AbsentSplit, match="split 'test': its labels are not public; .*did_tf submit"):
        dataset.samples("test")
    tests = dataset.images("test")
    assert len(tests) == 6 and {sample.label for sample in tests} == {None}
    assert dataset.read_image(tests[0]).shape == (94, 310, 3)


def test_missing_parts_are_named(folder, tmp_path):
    shutil.copytree(folder / "training", tmp_path / "training")
    dataset = load("kitti_road", tmp_path)
    with pytest.raises(AbsentSplit, match="split 'test': no folder .*testing/image_2; expected training/image_2"):
        dataset.images("test")
    shutil.rmtree(tmp_path / "training" / "gt_image_2")
    with pytest.raises(DataError, match="no KITTI road in .*it has no folder training/gt_image_2"):
        load("kitti_road", tmp_path)


def test_a_frame_without_label_is_named(folder, tmp_path):
    shutil.copytree(folder / "training", tmp_path / "training")
    path = tmp_path / "training" / "gt_image_2" / "uu_road_000004.png"
    path.unlink()
    dataset = load("kitti_road", tmp_path)
    (sample,) = (sample for sample in dataset.samples("val") if sample.name == "uu_000004")
    with pytest.raises(DataError, match=f"cannot read {path}: No such file"):
        dataset.read(sample)
