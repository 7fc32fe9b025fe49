"""Windows of rasters as samples: where they lie, of which split they are, and what is read of them."""

import numpy as np
import pytest
from own_data import complaint, describe, edit, names_of, write_tiff

from data_pipelines import DataError, load
from data_pipelines.own_data import band_statistics


@pytest.fixture
def rasters(tmp_path):
    """Function that writes rasters of these sizes, in which every pixel has a value of its own, and dataset.yaml."""

    def make(*sizes, **keys):
        for number, (height, width) in enumerate(sizes):
            pixels = np.arange(height * width, dtype=np.uint16).reshape(height, width, 1) + 10_000 * number
            tiles = {"tiled": True, "blockxsize": 16, "blockysize": 16}
            write_tiff(tmp_path / "images" / f"site{number}.tif", pixels, **tiles)
            write_tiff(tmp_path / "labels" / f"site{number}.tif", (pixels % 3).astype(np.uint8), **tiles)
        return describe(tmp_path, 1, **{"bands": 1, "dtype": "uint16", "splits": {"train": 0.7, "val": 0.3}, **keys})

    return make


def pixels_of(dataset, split):
    """(values of all pixels of a split's windows, sizes of these)."""
    read = [(sample.window, *dataset.read(sample)) for sample in dataset.samples(split)]
    for window, image, label in read:
        assert image.shape[:2] == label.shape == (window.height, window.width)
        np.testing.assert_array_equal(image[..., 0] % 3, label)
    return np.concatenate([image.ravel() for _, image, _ in read]), {(w.height, w.width) for w, *_ in read}


@pytest.mark.parametrize(
    ("size", "val"),
    [
        ((40, 100), [row * 100 + column for row in range(40) for column in range(70, 100)]),
        ((100, 40), range(70 * 40, 100 * 40)),
    ],
)
def test_no_pixel_of_a_raster_is_in_two_splits_and_none_is_left_out(rasters, size, val):
    dataset = load("folders", rasters(size, patch=24, overlap=8))
    train, _ = pixels_of(dataset, "train")
    scored, sizes = pixels_of(dataset, "val")
    assert sorted(scored) == list(val)  # each once
    assert set(train) == set(range(4000)) - set(val)
    assert max(max(size) for size in sizes) <= 24


def test_windows_of_train_overlap_as_much_as_asked_and_the_last_ends_with_the_raster(rasters):
    dataset = load("folders", rasters((24, 80), patch=24, overlap=8, splits={"train": 1.0}))
    assert [tuple(sample.window) for sample in dataset.samples("train")] == [
        (0, left, 24, 24) for left in (0, 16, 32, 48, 56)
    ]
    assert names_of(dataset, "train")[:2] == ["site0_r0_c0", "site0_r0_c16"]


def test_several_rasters_are_split_whole_unless_regions_are_asked_for(rasters):
    folder = rasters(*[(20, 30)] * 3, patch=[10, 15], splits={"train": ["site0", "site2"], "val": ["site1"]})
    dataset = load("folders", folder)
    train = dataset.samples("train")
    assert len(train) == 8
    images = [folder / "images" / f"site{number}.tif" for number in (0, 2)]
    assert dataset.together(train) == [image for image in images for _ in range(4)]
    edit(folder, group="^site(.)")
    assert load("folders", folder).together(train) == ["0"] * 4 + ["2"] * 4
    assert sorted(pixels_of(dataset, "val")[0]) == list(range(10_000, 10_600))
    edit(folder, splits={"val": 0.2, "train": 0.8}, group="region")
    dataset = load("folders", folder)
    found = {split: pixels_of(dataset, split)[0] for split in ("train", "val")}
    assert set(found["train"]) | set(found["val"]) == {n * 10_000 + pixel for n in range(3) for pixel in range(600)}
    assert set(found["val"]) == {n * 10_000 + r * 30 + c for n in range(3) for r in range(20) for c in range(6)}
    assert not set(found["train"]) & set(found["val"])


def test_rasters_of_different_size_and_one_below_the_patch(rasters, capsys):
    dataset = load("folders", rasters((50, 30), (10, 12), patch=24, splits={"train": ["site0", "site1"]}))
    assert set(pixels_of(dataset, "train")[0]) == {*range(1500), *range(10_000, 10_120)}
    assert pixels_of(dataset, "train")[1] == {(24, 24), (10, 12)}
    told = "note: 1 of 2 images, or of their regions, are smaller than patch 24x24: so are the windows of these"
    assert told in capsys.readouterr().err


def test_test_folders_keep_their_rasters_whole_where_the_rest_is_shared_out(rasters):
    folder = rasters((20, 30))
    for kind in ("images", "labels"):
        (folder / kind / "test").mkdir()
        (folder / kind / "test" / "last.tif").write_bytes((folder / kind / "site0.tif").read_bytes())
    edit(folder, patch=10, splits={"train": 0.5, "val": 0.5, "test": "folder"})
    dataset = load("folders", folder)
    assert [len(dataset.samples(split)) for split in ("train", "val", "test")] == [4, 4, 6]


def test_windows_are_measured_as_train_alone_and_the_statistics_know_them(rasters):
    folder = rasters((40, 100), patch=20)
    dataset = load("folders", folder)
    train, _ = pixels_of(dataset, "train")
    stored = band_statistics.read(folder)
    np.testing.assert_allclose(stored.mean[0], np.unique(train).mean(), rtol=0.05)
    np.testing.assert_allclose(stored.mean[0], train.mean())
    assert (stored.patch, stored.overlap, stored.splits) == ((20, 20), 0, {"train": 8, "val": 4})
    edit(folder, patch=10)
    assert "statistics.json is of patch 20, 20, but " in complaint(folder)
    edit(folder, patch=20, overlap=4)
    assert "statistics.json is of overlap 0, but " in complaint(folder)
    edit(folder, overlap=None, splits={"train": 0.5, "val": 0.5})
    with pytest.raises(DataError, match="measured on other images than the 6 of split 'train'"):
        load("folders", folder).check_statistics()


def test_files_that_differ_are_counted_once_whatever_their_windows(rasters, capsys):
    folder = rasters((20, 30), (20, 30), patch=10, group="region")
    pixels = np.arange(600, dtype=np.uint16).reshape(20, 30, 1)
    write_tiff(folder / "images" / "site0.tif", pixels, nodata=9)
    load("folders", folder)
    told = capsys.readouterr().err
    assert "nodata tags: of 2, 1 with 9 (" in told and "site0.tif), 1 with none (" in told


def test_a_raster_that_can_not_be_shared_out(rasters):
    folder = rasters((3, 4), patch=8, splits={"train": 0.95, "val": 0.05})
    assert "the share of split 'val', 0.05, of 3x4 pixels is less than one" in complaint(folder)
    edit(folder, splits={"train": ["site0"]}, group="region")
    assert "group is 'region', which needs shares in splits" in complaint(folder)
    for changes, way in (
        (
            {"group": "^site", "splits": {"train": 0.5, "val": 0.5}},
            "give each split a region of every image (group: region)",
        ),
        ({"group": None, "patch": None}, "cut them into windows (patch)"),
    ):
        edit(folder, **changes)
        with pytest.raises(DataError) as error:
            [load("folders", folder).samples(split) for split in ("train", "val")]
        assert str(error.value).endswith(f", or list the images of each split there, or {way}")
        (folder / "statistics.json").unlink(missing_ok=True)
