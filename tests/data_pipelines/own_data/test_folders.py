"""A user's own data: what is read of it."""

import dataclasses

import cv2
import numpy as np
import pytest
from own_data import complaint, edit, make_five_bands, names_of, scene, write_png, write_tiff
from PIL import Image

from data_pipelines import IGNORE, DataError, load
from data_pipelines.spec import Window


def test_five_bands_of_16_bits(tmp_path):
    folder = make_five_bands(tmp_path, count=4)
    dataset = load("folders", folder)
    assert (dataset.spec.bands, dataset.spec.dtype, dataset.spec.rgb) == (5, "uint16", (0, 1, 2))
    assert dataset.spec.band_names == ("red", "green", "blue", "infrared", "thermal")
    assert names_of(dataset, "train") == ["scene00", "scene01", "scene02"] and names_of(dataset, "val") == ["scene03"]
    image, label = dataset.read(dataset.samples("val")[0])
    pixels, expected = scene(3)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, (pixels * 40).astype(np.uint16))
    np.testing.assert_array_equal(label, expected)


def test_depth_stands_behind_the_colours_and_keeps_its_values(rgbd):
    dataset = load("folders", rgbd)
    assert (dataset.spec.bands, dataset.spec.dtype) == (4, "uint16")
    assert dataset.spec.band_names == ("red", "green", "blue", "depth")
    image, label = dataset.read(dataset.samples("train")[2])
    pixels, expected = scene(2)
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image[..., :3], pixels[..., :3].astype(np.uint8))
    np.testing.assert_array_equal(image[..., 3], (pixels[..., 4] * 40).astype(np.uint16))
    np.testing.assert_array_equal(label, expected)


def test_beyond_an_image_every_part_has_its_own_mean(rgbd):
    dataset = load("folders", rgbd)
    sample = dataclasses.replace(dataset.samples("train")[0], window=Window(-3, 70, 20, 20))
    image, label = dataset.read(sample)
    whole = dataset.read_image(dataset.samples("train")[0])
    np.testing.assert_array_equal(image[3:, :10], whole[:17, 70:])
    assert (image[:3] == np.rint(dataset.spec.mean)).all() and (image[:, 10:] == np.rint(dataset.spec.mean)).all()
    assert (label[:3] == IGNORE).all() and (label[3:, :10] != IGNORE).all()


def test_an_extra_of_float_makes_all_of_it_float(rgbd):
    for path in list((rgbd / "depth").iterdir()):
        metres = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / 1000
        np.save(path.with_suffix(".npy"), metres)
        path.unlink()
    edit(rgbd, extras=[{"folder": "depth", "bands": ["depth"], "dtype": "float32"}])
    dataset = load("folders", rgbd)
    image = dataset.read_image(dataset.samples("train")[0])
    pixels, _ = scene(0)
    assert dataset.spec.dtype == "float32" and image.dtype == np.float32
    np.testing.assert_array_equal(image[..., 1], pixels[..., 1].astype(np.uint8))
    np.testing.assert_allclose(image[..., 3], (pixels[..., 4] * 40).astype(np.uint16) / 1000, rtol=1e-6)


def test_files_of_an_image_that_differ_in_size(rgbd):
    write_png(rgbd / "depth" / "scene07.png", np.zeros((64, 79), np.uint16))
    dataset = load("folders", rgbd)
    with pytest.raises(DataError, match=r"rgb/scene07\.png is 64x80 but .*depth/scene07\.png is 64x79 .* be equal"):
        dataset.read(dataset.samples("val")[-1])


def test_ids_of_ones_own_and_void(plain):
    folder = plain("a", classes={"26": "car", "7": "road", "300": "sky"}, void=[0, 9])
    ids = np.array([[26, 7, 300], [0, 9, 255]], np.uint16)
    write_png(folder / "images" / "a.png", np.arange(18, dtype=np.uint8).reshape(2, 3, 3))
    write_png(folder / "labels" / "a.png", ids)
    dataset = load("folders", folder)
    assert dataset.spec.classes == ("car", "road", "sky")
    np.testing.assert_array_equal(dataset.read(dataset.samples("train")[0])[1], [[0, 1, 2], [IGNORE] * 3])


def test_255_can_be_a_class(plain):
    folder = plain("a", classes={"0": "other", "255": "building"})
    write_png(folder / "labels" / "a.png", np.kron([[0, 255]], np.ones((16, 8))).astype(np.uint8))
    dataset = load("folders", folder)
    label = dataset.read(dataset.samples("train")[0])[1]
    assert label[0].tolist() == [0] * 8 + [1] * 8


def test_void_colours(rgbd):
    colours = np.full((64, 80, 3), (0, 0, 255), np.uint8)
    colours[:10] = (255, 0, 255)
    write_png(rgbd / "labels" / "scene00.png", colours)
    edit(rgbd, void=[[255, 0, 255]])
    dataset = load("folders", rgbd)
    label = dataset.read(dataset.samples("train")[0])[1]
    assert (label[:10] == IGNORE).all() and (label[10:] == 1).all()


@pytest.mark.parametrize("rule", ["all", "any"])
def test_where_there_is_no_data_nothing_is_measured_or_learnt(tmp_path, rule):
    folder = make_five_bands(tmp_path, count=4)
    image, label = scene(0)
    pixels = (image * 40 + 1).astype(np.uint16)
    pixels[:20, :, 2], pixels[:8] = 0, 0
    write_tiff(folder / "images" / "scene00.tif", pixels)
    edit(folder, nodata=0, nodata_rule=rule)
    dataset = load("folders", folder)
    first = dataset.samples("train")[0]
    read, ids = dataset.read(first)
    rows = 8 if rule == "all" else 20
    assert (ids[:rows] == IGNORE).all() and (ids[rows:] == label[rows:]).all()
    scenes = [pixels, *((scene(number)[0] * 40).astype(np.uint16) for number in (1, 2))]
    whole = np.concatenate([one.reshape(-1, 5) for one in scenes]).astype(float)
    whole = whole[(whole > 0).any(axis=1) if rule == "all" else (whole > 0).all(axis=1)]
    np.testing.assert_allclose(dataset.spec.mean, whole.mean(0), rtol=1e-13)
    np.testing.assert_array_equal(read[:rows, :, 2], round(dataset.spec.mean[2]))


def test_a_photograph_marked_to_be_turned_is_refused(plain):
    folder = plain([])
    exif = Image.Exif()
    exif[274] = 3
    (folder / "images").mkdir()
    Image.fromarray(scene(0)[0][..., :3].astype(np.uint8)).save(folder / "images" / "a.jpg", exif=exif)
    write_png(folder / "labels" / "a.png", np.zeros((64, 80), np.uint8))
    assert "a.jpg is marked to be turned" in complaint(folder)
