"""Cityscapes, on a few generated frames."""

import shutil

import numpy as np
import pytest
from folders import make_cityscapes, write_image

from data_pipelines import IGNORE, DataError, load, spec_of
from data_pipelines.spec import AbsentSplit

# id in the files -> class, from the benchmark's description.
TRAIN_IDS = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    make_cityscapes(tmp_path)
    return tmp_path


def write_pair(folder, image, label, split="train"):
    write_image(folder / "leftImg8bit" / split / "x" / "x_000000_000019_leftImg8bit.png", image)
    write_image(folder / "gtFine" / split / "x" / "x_000000_000019_gtFine_labelIds.png", label)


def read_only(folder, **options):
    dataset = load("cityscapes", folder, **options)
    (sample,) = dataset.samples("train")
    return dataset.read(sample)


def test_every_id_becomes_its_class_or_is_ignored(tmp_path):
    ids = np.array([[*range(34), 255]], np.uint8)
    write_pair(tmp_path, np.zeros((1, 35, 3), np.uint8), ids)
    _, label = read_only(tmp_path)
    assert label.dtype == np.uint8
    assert label[0].tolist() == [TRAIN_IDS.get(int(number), IGNORE) for number in ids[0]]


def test_an_id_beyond_the_table_is_named(tmp_path):
    write_pair(tmp_path, np.zeros((1, 2, 3), np.uint8), np.array([[7, 34]], np.uint8))
    with pytest.raises(DataError, match=r"_labelIds\.png holds value 34: cityscapes knows classes 7, 8, .*, 33 and"):
        read_only(tmp_path)


def test_frames_of_all_cities_with_their_own_labels(folder):
    dataset = load("cityscapes", folder)
    samples = dataset.samples("train")
    assert [sample.name for sample in samples] == [
        "traina_000000_000019", "traina_000002_000019", "trainb_000001_000019", "trainb_000003_000019",
    ]  # fmt: skip
    assert len(dataset.samples("val")) == 2
    palette = np.array(dataset.spec.palette)
    for sample in samples:
        image, label = dataset.read(sample)
        assert image.shape == (48, 96, 3) and label.shape == (48, 96)
        assert (label[:6] == IGNORE).all()
        np.testing.assert_array_equal(image[6:], palette[label[6:]])


def test_the_descriptor():
    spec = spec_of("cityscapes", "nowhere")
    assert dict(spec.splits) == {"train": 2975, "val": 500, "test": 1525}
    assert (spec.num_classes, spec.bands, spec.task) == (19, 3, "segmentation")
    assert spec.label_ids == tuple(TRAIN_IDS)
    colours = dict(zip(spec.classes, spec.palette))
    assert colours["road"] == (128, 64, 128) and colours["bicycle"] == (119, 11, 32)
    assert len(set(spec.palette)) == 19


def test_the_test_split_has_no_labels_to_read(folder):
    with pytest.raises(AbsentSplit, match="split 'test': its labels are not public; .*leftImg8bit/test"):
        load("cityscapes", folder).samples("test")


@pytest.mark.parametrize("part", ["leftImg8bit", "gtFine"])
def test_a_part_that_was_not_unpacked_is_named(folder, part):
    shutil.rmtree(folder / part)
    with pytest.raises(DataError) as error:
        load("cityscapes", folder)
    for text in (f"no Cityscapes in {folder} (it has no folder {part})", "CITY/*_gtFine_labelIds.png", "make data"):
        assert text in str(error.value)
    assert "\n" not in str(error.value)


def test_a_split_of_which_a_part_is_missing_is_named(folder):
    shutil.rmtree(folder / "gtFine" / "val")
    with pytest.raises(DataError, match=f"split 'val': no folder {folder / 'gtFine' / 'val'};") as error:
        load("cityscapes", folder).samples("val")
    assert not isinstance(error.value, AbsentSplit)


def test_frames_outside_of_city_folders_are_none(folder):
    for path in list((folder / "leftImg8bit" / "val").glob("*/*.png")):
        path.rename(folder / "leftImg8bit" / "val" / path.name)
    with pytest.raises(DataError, match="'val' is empty: no images in .*SPLIT/CITY"):
        load("cityscapes", folder).samples("val")


def test_half_size_is_rows_30_to_900_averaged(tmp_path):
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (1024, 2048, 3)).astype(np.uint8)
    ids = rng.integers(0, 34, (1024, 2048)).astype(np.uint8)
    write_pair(tmp_path, image, ids)
    full, (half, label) = read_only(tmp_path), read_only(tmp_path, half=True)
    assert full[0].shape == (1024, 2048, 3) and half.shape == (448, 1024, 3) and label.shape == (448, 1024)
    assert half.dtype == label.dtype == np.uint8

    # An output row averages 870 / 448 rows, those at its ends in part; a column averages two.
    step = 870 / 448
    for row in (0, 1, 100, 447):
        low, high = 30 + row * step, 30 + (row + 1) * step
        weights = np.clip(np.minimum(np.arange(1024) + 1, high) - np.maximum(np.arange(1024), low), 0, None)
        strip = np.tensordot(weights / step, image.astype(float), axes=1)
        np.testing.assert_allclose(half[row], strip.reshape(1024, 2, 3).mean(axis=1), atol=0.51)
        # The label is that of the pixel under the centre.
        np.testing.assert_array_equal(label[row], full[1][int(30 + (row + 0.5) * step), 1::2])


def test_half_size_of_another_size_is_refused(folder):
    dataset = load("cityscapes", folder, half=True)
    with pytest.raises(DataError, match=r"_leftImg8bit\.png is 48x96: half takes 1024x2048 only"):
        dataset.read(dataset.samples("train")[0])
