"""Images in folders of classes, on a few generated ones."""

import shutil

import numpy as np
import pytest
from folders import make_imagenet, write_image
from own_data import write_tiff

from data_pipelines import DataError, load, spec_of
from data_pipelines.spec import AbsentSplit

CLASSES = ("n00000000", "n00000001", "n00000002")


@pytest.fixture
def folder(tmp_path):
    make_imagenet(tmp_path)
    return tmp_path


def test_classes_are_the_folders_of_train_in_sorted_order(folder):
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / "a note.txt").write_text("")
    spec = load("imagenet", folder).spec
    assert (spec.classes, spec.task, spec.palette) == (CLASSES, "classification", ())


def test_samples_say_their_class(folder):
    dataset = load("imagenet", folder)
    for split, count in (("train", 4), ("val", 2)):
        samples = dataset.samples(split)
        assert [sample.class_id for sample in samples] == [number for number in range(3) for _ in range(count)]
        for sample in samples:
            assert sample.image.parent.name == CLASSES[sample.class_id] and sample.label is None
        assert len({sample.name for sample in samples}) == 3 * count


def test_an_image_is_read_with_its_class(folder):
    dataset = load("imagenet", folder)
    means = []
    for sample in dataset.samples("train"):
        image, label = dataset.read(sample)
        assert image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3
        assert (label.dtype, label.shape, int(label)) == (np.int32, (), sample.class_id)
        means.append(image.mean(axis=(0, 1)))
    # Images of a class have one colour.
    within = np.reshape(means, (3, 4, 3))
    assert np.ptp(within, axis=1).max() < 5 < np.ptp(within.mean(axis=1), axis=0).min()


def test_without_files_it_is_imagenet_itself(tmp_path):
    spec = spec_of("imagenet", tmp_path / "nowhere")
    assert spec.num_classes == 1000 and (spec.classes[0], spec.classes[-1]) == ("class_0000", "class_0999")
    assert dict(spec.splits) == {"train": 1281167, "val": 50000}
    assert spec_of("imagenet", tmp_path) == spec  # a folder without train


def test_with_files_it_has_their_classes(folder):
    assert spec_of("imagenet", folder).classes == CLASSES


@pytest.mark.parametrize("suffix", [".JPEG", ".jpg", ".png", ".PNG"])
def test_formats_that_count(folder, suffix):
    write_image(folder / "val" / CLASSES[1] / f"extra{suffix}", np.zeros((3, 4, 3), np.uint8))
    (folder / "val" / CLASSES[1] / f"._extra{suffix}").write_bytes(b"")
    (folder / "val" / CLASSES[1] / "Thumbs.db").write_bytes(b"")
    extra = [sample for sample in load("imagenet", folder).samples("val") if "extra" in sample.name]
    assert [(sample.name, sample.class_id) for sample in extra] == [(f"{CLASSES[1]}/extra", 1)]


def test_a_class_without_validation_images_changes_no_other_id(folder):
    shutil.rmtree(folder / "val" / CLASSES[0])
    assert [sample.class_id for sample in load("imagenet", folder).samples("val")] == [1, 1, 2, 2]


def test_a_class_that_train_has_not_is_named(folder):
    (folder / "val" / "zebra").mkdir()
    with pytest.raises(DataError, match="split 'val' has the class 'zebra', which train has not"):
        load("imagenet", folder).samples("val")


def test_images_outside_of_class_folders_are_none(folder):
    for path in list((folder / "val").glob("*/*")):
        path.rename(folder / "val" / path.name)
    with pytest.raises(DataError, match=r"'val' is empty: no images in .*val/CLASS/\*\.JPEG"):
        load("imagenet", folder).samples("val")


def test_missing_folders_are_named(folder):
    shutil.rmtree(folder / "val")
    with pytest.raises(AbsentSplit, match=f"split 'val': no folder {folder / 'val'};"):
        load("imagenet", folder).samples("val")
    with pytest.raises(DataError, match="no split 'test'; known: train, val"):
        load("imagenet", folder).samples("test")
    for path in (folder / "train").iterdir():
        shutil.rmtree(path)
    with pytest.raises(DataError, match=f"no folders of classes in {folder / 'train'}: expected train/CLASS"):
        load("imagenet", folder)
    shutil.rmtree(folder / "train")
    with pytest.raises(
        DataError, match=r"no ImageNet in .* \(it has no folder train\).*did_tf data --dataset=imagenet"
    ):
        load("imagenet", folder)


FOUR = {"bands": ("red", "green", "blue", "nir"), "dtype": "uint16", "mean": (1.0, 2.0, 3.0, 4.0), "std": (5.0,) * 4}


def test_images_of_other_bands(folder):
    pixels = np.arange(4 * 6 * 7, dtype=np.uint16).reshape(6, 7, 4) * 50
    path = folder / "val" / CLASSES[2] / "own.tif"
    write_tiff(path, pixels)
    dataset = load("imagenet", folder, **FOUR)
    spec = dataset.spec
    assert (spec.bands, spec.dtype, spec.rgb, spec.mean) == (4, "uint16", (0, 1, 2), FOUR["mean"])
    image, label = dataset.read(dataset.samples("val")[-1])
    np.testing.assert_array_equal(image, pixels)
    assert label == 2
    with pytest.raises(DataError, match="has 3 bands, but imagenet has 4"):
        dataset.read(dataset.samples("val")[0])
    without = spec_of("imagenet", folder / "nowhere", **FOUR)
    assert (without.num_classes, without.std) == (1000, FOUR["std"])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"bands": ("a", "b")}, r"mean and std of imagenet must have a number for each of 2 bands, .*got \(\) and"),
        ({"bands": "(red,nir)"}, r"option bands of imagenet must be a list, got '\(red,nir\)'"),
        ({"dtype": "uint16"}, "mean and std of imagenet must have a number for each of 3 bands"),
        ({**FOUR, "std": (5.0, 5.0, 5.0, 0.0)}, "std above 0"),
        ({**FOUR, "dtype": "int8"}, "dtype of imagenet must be one of uint8, uint16, float32, got 'int8'"),
    ],
)
def test_options_that_do_not_say_what_pixels_are(folder, options, message):
    for where in (folder, folder / "nowhere"):
        with pytest.raises(DataError, match=message):
            spec_of("imagenet", where, **options)
