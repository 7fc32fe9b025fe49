"""PASCAL VOC, on a few generated images."""

import shutil

import cv2
import numpy as np
import pytest
import scipy.io
from folders import make_pascal_voc, make_sbd, write_image, write_list, write_palette_png, write_sbd

from data_pipelines import IGNORE, DataError, load, spec_of
from data_pipelines.spec import AbsentSplit

LISTS = "ImageSets/Segmentation"


@pytest.fixture
def folder(tmp_path):
    make_pascal_voc(tmp_path)
    return tmp_path


def names(folder, split):
    return [sample.name for sample in load("pascal_voc", folder).samples(split)]


def test_of_a_palette_png_the_indices_count_and_not_the_colours(folder):
    dataset = load("pascal_voc", folder)
    sample = dataset.samples("train")[0]
    ids = np.array([[*range(21), 255]], np.uint8)
    write_palette_png(sample.label, ids)
    write_image(sample.image, np.zeros((1, 22, 3), np.uint8))
    # OpenCV itself sees colours.
    assert cv2.imread(str(sample.label), cv2.IMREAD_UNCHANGED).ndim == 3
    image, label = dataset.read(sample)
    assert label.dtype == np.uint8 and label[0].tolist() == [*range(21), IGNORE]
    assert image.shape == (1, 22, 3)


def test_splits_are_what_their_lists_say(folder):
    train, val = names(folder, "train"), names(folder, "val")
    assert (len(train), len(val), not set(train) & set(val)) == (4, 2, True)
    assert sorted(names(folder, "trainval")) == sorted(train + val)
    assert names(folder, "trainaug")[:4] == train and len(names(folder, "trainaug")) == 6


@pytest.mark.parametrize("split", ["train", "val", "trainaug"])
def test_image_and_label_belong_together(folder, split):
    dataset = load("pascal_voc", folder)
    palette = np.array(dataset.spec.palette)
    for sample in dataset.samples(split):
        assert sample.label.parent.name == ("SegmentationClassAug" if split == "trainaug" else "SegmentationClass")
        image, label = dataset.read(sample)
        assert (label[:, ::8] == IGNORE).all() and (label != IGNORE).mean() == 7 / 8
        inside = label != IGNORE
        # Within what JPEG does to the edges of the squares.
        assert np.median(np.abs(image[inside].astype(int) - palette[label[inside]])) < 20


def test_lists_of_paths_count_by_their_base_names(folder):
    expected = names(folder, "trainaug")
    lines = [f"/JPEGImages/{name}.jpg /SegmentationClassAug/{name}.png" for name in expected]
    (folder / LISTS / "trainaug.txt").write_text("\n".join(lines) + "\n")
    assert names(folder, "trainaug") == expected


def test_the_descriptor():
    spec = spec_of("pascal_voc", "nowhere")
    assert dict(spec.splits) == {"train": 1464, "trainaug": 10582, "val": 1449, "trainval": 2913, "test": 1456}
    assert (spec.num_classes, spec.bands, spec.task) == (21, 3, "segmentation")
    colours = dict(zip(spec.classes, spec.palette))
    published = {
        "background": (0, 0, 0),
        "aeroplane": (128, 0, 0),
        "bicycle": (0, 128, 0),
        "bird": (128, 128, 0),
        "boat": (0, 0, 128),
        "car": (128, 128, 128),
        "cat": (64, 0, 0),
        "person": (192, 128, 128),
        "potted plant": (0, 64, 0),
        "tv monitor": (0, 64, 128),
    }
    assert {name: colours[name] for name in published} == published


@pytest.mark.parametrize("part", ["JPEGImages", "SegmentationClass", LISTS])
def test_a_missing_part_is_named(folder, part):
    shutil.rmtree(folder / part)
    with pytest.raises(DataError) as error:
        load("pascal_voc", folder)
    for text in (
        f"no PASCAL VOC in {folder} (it has no folder {part})",
        "JPEGImages/*.jpg",
        "did_tf data --dataset=pascal",
    ):
        assert text in str(error.value)
    assert "\n" not in str(error.value)


@pytest.fixture
def with_sbd(tmp_path):
    make_pascal_voc(tmp_path / "voc", augmented=False)
    make_sbd(tmp_path / "voc" / "benchmark_RELEASE", tmp_path / "voc")
    return tmp_path / "voc"


def test_trainaug_is_train_and_what_sbd_adds_to_it_without_val(with_sbd):
    samples = load("pascal_voc", with_sbd).samples("trainaug")
    train = names(with_sbd, "train")
    # SBD also has 2007_train00, of which VOC's own map counts, and 2008_val00, which is no training image.
    assert [sample.name for sample in samples] == [*train, "2009_sbd00", "2009_sbd01", "2009_sbd02"]
    places = [sample.label.relative_to(with_sbd).parts[0] for sample in samples]
    assert places == ["SegmentationClass"] * 4 + ["benchmark_RELEASE"] * 3


def test_a_list_without_maps_does_not_hide_sbd(with_sbd):
    write_list(with_sbd / LISTS / "trainaug.txt", ["2007_train00"])
    assert len(names(with_sbd, "trainaug")) == 7


def test_a_map_of_sbd_is_read_as_it_is(with_sbd):
    dataset = load("pascal_voc", with_sbd)
    sample = dataset.samples("trainaug")[-1]
    ids = np.arange(21, dtype=np.uint8).reshape(3, 7).repeat(16, axis=0).repeat(10, axis=1)[:, :64]
    write_sbd(sample.label, ids)
    image, label = dataset.read(sample)
    assert image.shape == (48, 64, 3) and label.dtype == np.uint8
    np.testing.assert_array_equal(label, ids)


def test_sbd_may_lie_elsewhere_and_then_comes_first(folder, tmp_path):
    make_sbd(tmp_path / "other", folder)
    assert [sample.name for sample in load("pascal_voc", folder).samples("trainaug")][4:] == [
        "2008_aug00", "2008_aug01",
    ]  # fmt: skip
    samples = load("pascal_voc", folder, sbd=str(tmp_path / "other")).samples("trainaug")
    assert [sample.label.suffix for sample in samples] == [".png"] * 4 + [".mat"] * 3
    with pytest.raises(DataError, match="no file .*nowhere/dataset/train.txt; expected .*sbd"):
        load("pascal_voc", folder, sbd=str(tmp_path / "nowhere")).samples("trainaug")


def test_without_a_list_trainaug_is_every_map_that_is_not_in_val(folder):
    listed = names(folder, "trainaug")
    shutil.copy(folder / "SegmentationClass" / "2008_val00.png", folder / "SegmentationClassAug")
    (folder / LISTS / "trainaug.txt").unlink()
    (folder / "SegmentationClassAug" / "._2008_aug00.png").write_bytes(b"a note of macOS")
    assert names(folder, "trainaug") == sorted(listed)


VERSION_7 = b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM" + b"\0" * 99
DAMAGES = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:200]), "cannot decode"),
    "empty": (lambda path: path.write_bytes(b""), "cannot decode"),
    "another kind": (lambda path: path.write_bytes(b"\x89PNG and so on" * 40), "cannot decode"),
    "version 7.3": (lambda path: path.write_bytes(VERSION_7), "cannot decode"),
    "missing": (lambda path: path.unlink(), "cannot read"),
    "no struct": (lambda path: scipy.io.savemat(path, {"x": np.eye(2)}), "cannot decode"),
    "instances": (lambda path: scipy.io.savemat(path, {"GTinst": {"Segmentation": np.eye(2)}}), "GTcls.Segmentation"),
    "no map": (lambda path: scipy.io.savemat(path, {"GTcls": {"Boundaries": np.eye(2)}}), "GTcls.Segmentation"),
    "fractions": (lambda path: scipy.io.savemat(path, {"GTcls": {"Segmentation": np.full((48, 64), 0.5)}}), "float64"),
    "unknown id": (lambda path: write_sbd(path, np.full((48, 64), 21, np.uint8)), "holds value 21: SBD knows 0 to 20"),
    "other size": (lambda path: write_sbd(path, np.ones((64, 48), np.uint8)), "48x64 but its label .* is 64x48"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_map_of_sbd_is_named_in_one_line(with_sbd, damage):
    spoil, message = DAMAGES[damage]
    dataset = load("pascal_voc", with_sbd)
    sample = dataset.samples("trainaug")[-1]
    spoil(sample.label)
    with pytest.raises(DataError, match=message) as error:
        dataset.read(sample)
    assert str(sample.label) in str(error.value) and "\n" not in str(error.value)


def test_test_has_images_but_no_labels(folder):
    dataset = load("pascal_voc", folder)
    samples = dataset.images("test")
    assert [(sample.name, sample.label) for sample in samples] == [("2008_test00", None), ("2008_test01", None)]
    assert dataset.read_image(samples[1]).shape == (48, 64, 3)
    with pytest.raises(AbsentSplit, match="split 'test': its labels are not public; .*did_tf submit"):
        dataset.samples("test")
    assert dataset.images("val") == dataset.samples("val")
    write_list(folder / LISTS / "test.txt", [])
    with pytest.raises(DataError, match="'test' is empty"):
        dataset.images("test")
    (folder / LISTS / "test.txt").unlink()
    with pytest.raises(AbsentSplit, match=r"no file .*test\.txt; .*VOC2012test\.tar"):
        dataset.images("test")


def test_without_the_augmented_annotations_that_split_is_absent(tmp_path):
    make_pascal_voc(tmp_path, augmented=False)
    assert len(names(tmp_path, "train")) == 4
    with pytest.raises(AbsentSplit, match=r"split 'trainaug': no file .*trainaug\.txt; expected"):
        names(tmp_path, "trainaug")
    write_list(tmp_path / LISTS / "trainaug.txt", ["2007_train00"])
    with pytest.raises(DataError, match="split 'trainaug': no folder .*SegmentationClassAug;") as error:
        names(tmp_path, "trainaug")
    assert not isinstance(error.value, AbsentSplit)


def test_a_list_without_names_is_refused(folder):
    (folder / LISTS / "val.txt").write_text("\n")
    with pytest.raises(DataError, match="'val' is empty"):
        names(folder, "val")


def test_a_listed_image_that_is_missing_is_named(folder):
    dataset = load("pascal_voc", folder)
    sample = dataset.samples("val")[0]
    sample.image.unlink()
    with pytest.raises(DataError, match=rf"cannot read .*{sample.name}\.jpg: No such file"):
        dataset.read(sample)
