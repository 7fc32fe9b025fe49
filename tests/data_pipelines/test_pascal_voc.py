"""PASCAL VOC, on a few generated images."""

import shutil

import cv2
import numpy as np
import pytest
from folders import make_pascal_voc, write_image, write_palette_png

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
    assert dict(spec.splits) == {"train": 1464, "trainaug": 10582, "val": 1449, "trainval": 2913}
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
        "make data DATASET=pascal",
    ):
        assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_without_the_augmented_annotations_that_split_is_absent(tmp_path):
    make_pascal_voc(tmp_path, augmented=False)
    assert len(names(tmp_path, "train")) == 4
    with pytest.raises(AbsentSplit, match=r"split 'trainaug': no file .*trainaug\.txt; expected"):
        names(tmp_path, "trainaug")
    (tmp_path / LISTS / "trainaug.txt").write_text("2007_train00\n")
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
