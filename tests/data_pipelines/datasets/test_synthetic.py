"""Tests of the drawn street scenes."""

import subprocess
import sys
import zlib

import numpy as np
import pytest

from data_pipelines.datasets.camvid_classes import CAR, CLASSES, PALETTE, ROAD, SKY
from data_pipelines.datasets.street.layout import draw_street
from data_pipelines.datasets.street.scene import Pen, Scene
from data_pipelines.datasets.synthetic import Synthetic
from data_pipelines.spec import IGNORE, DataError, Sample


@pytest.fixture(scope="module")
def scenes():
    """(images [40, 180, 240, 3], labels [40, 180, 240])."""
    data = Synthetic()
    pairs = [data.read(sample) for sample in data.samples("train")[:40]]
    return tuple(np.stack(arrays) for arrays in zip(*pairs))


def test_spec_and_samples_describe_the_data_set():
    data = Synthetic(sizes={"train": 3, "val": 1})
    assert (data.spec.name, data.spec.num_classes, data.spec.bands) == ("synthetic", 11, 3)
    assert data.spec.splits == {"train": 3, "val": 1}
    assert [sample.name for sample in data.samples("train")] == ["train_00000", "train_00001", "train_00002"]
    assert [len(Synthetic().samples(split)) for split in ("train", "val", "test")] == [200, 40, 40]


def test_a_sample_is_the_same_in_any_instance_and_order():
    first, second = Synthetic(), Synthetic()
    samples = first.samples("train")[:3]
    forward = [first.read(sample) for sample in samples]
    backward = [second.read(sample) for sample in reversed(samples)][::-1]
    for (image, label), (again, label_again) in zip(forward, backward):
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(label, label_again)


def test_a_sample_is_the_same_in_another_process():
    code = (
        "import zlib; from data_pipelines.datasets.synthetic import Synthetic; data = Synthetic(); "
        "image, label = data.read(data.samples('val')[3]); print(zlib.crc32(image), zlib.crc32(label))"
    )
    # sys.path and not the working directory, so that the test runs from anywhere.
    code = f"import sys; sys.path[:] = {sys.path!r}; " + code
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    data = Synthetic()
    image, label = data.read(data.samples("val")[3])
    assert printed.split() == [str(zlib.crc32(image)), str(zlib.crc32(label))]


def test_scenes_differ_between_splits_numbers_and_seeds():
    data, other = Synthetic(), Synthetic(seed=1)
    train, train_next = data.samples("train")[:2]
    labels = [data.read(train)[1], data.read(train_next)[1], data.read(data.samples("val")[0])[1], other.read(train)[1]]
    for number, label in enumerate(labels):
        for earlier in labels[:number]:
            assert np.mean(label != earlier) > 0.1


def test_labels_are_classes_or_ignore_and_every_class_is_common_enough(scenes):
    _, labels = scenes
    shares = np.bincount(labels[:30].ravel(), minlength=256) / labels[:30].size
    assert shares[len(CLASSES) : IGNORE].sum() == 0
    assert 0 < shares[IGNORE] < 0.03
    for name, share in zip(CLASSES, shares):
        assert share > (0.004 if name in ("pole", "sign") else 0.006), name


def test_a_scene_is_a_street(scenes):
    _, labels = scenes
    rows = np.broadcast_to(np.arange(180)[:, None], labels.shape)
    assert rows[labels == SKY].max() < 0.55 * 180
    assert np.mean(labels[:, 160, 120] == ROAD) > 0.9


@pytest.mark.parametrize("bands", range(1, 8))
def test_any_number_of_bands(bands):
    data = Synthetic(bands=bands)
    image, label = data.read(data.samples("train")[0])
    assert image.shape == (180, 240, bands) and image.dtype == np.uint8
    assert label.shape == (180, 240) and label.dtype == np.uint8
    assert len(data.spec.mean) == len(data.spec.std) == bands
    assert image.std(axis=(0, 1)).min() > 10


def test_mean_and_std_are_those_of_the_images():
    data = Synthetic(bands=5)
    images = np.stack([data.read(sample)[0] for sample in data.samples("train")[:60]]).reshape(-1, 5)
    np.testing.assert_allclose(images.mean(axis=0, dtype=float), data.spec.mean, atol=12)
    np.testing.assert_allclose(images.std(axis=0, dtype=float), data.spec.std, atol=12)


def test_more_bands_leave_the_first_three_and_the_label_alone():
    few, many = Synthetic(bands=3), Synthetic(bands=6)
    sample = few.samples("train")[5]
    np.testing.assert_array_equal(few.read(sample)[0], many.read(sample)[0][..., :3])
    np.testing.assert_array_equal(few.read(sample)[1], many.read(sample)[1])


def test_nearness_is_that_of_the_scene():
    scene = Scene(180, 240, np.random.default_rng(3))
    draw_street(scene)
    assert scene.near[scene.label == SKY].max() == 0
    road = [scene.near[row][scene.label[row] == ROAD].mean() for row in range(110, 180, 10)]
    assert np.all(np.diff(road) > 0)


@pytest.mark.parametrize("height, width", [(32, 32), (33, 47), (400, 32), (32, 400), (361, 481)])
def test_any_size(height, width):
    data = Synthetic(height, width, bands=4)
    for sample in data.samples("train")[:5]:
        image, label = data.read(sample)
        assert image.shape == (height, width, 4) and label.shape == (height, width)
        assert len(np.unique(label)) > 3


@pytest.mark.parametrize("arguments", [{"height": 31}, {"width": 31}, {"bands": 0}])
def test_arguments_out_of_range_are_refused(arguments):
    with pytest.raises(DataError, match="use at least"):
        Synthetic(**arguments)


def test_unknown_and_empty_splits_are_refused():
    data = Synthetic(sizes={"train": 3, "val": 0})
    with pytest.raises(DataError, match="unknown split 'dev'.*train, val"):
        data.samples("dev")
    with pytest.raises(DataError, match="split 'val' is empty"):
        data.samples("val")


@pytest.mark.parametrize("name", ["train_00003", "val_00000", "dev_00000", "train", "train_x", "train_-1"])
def test_a_sample_of_something_else_is_refused(name):
    with pytest.raises(DataError, match="no sample of 'synthetic'"):
        Synthetic(sizes={"train": 3, "val": 0}).read(Sample(name))


def test_a_shape_changes_the_image_and_the_label_at_the_same_pixels():
    scene = Scene(64, 96, np.random.default_rng(0))
    pen = Pen(scene, CAR, 0.5, scene.p_max / 2)
    pen.oval(0, 0.6, 0.8, 0.4, (200.0, 10.0, 300.0))
    pen.limb((-0.5, 0), (0.6, 1.2), 0.2, (200, 10, 255))
    drawn = scene.label == CAR
    assert 0 < drawn.sum() < drawn.size
    np.testing.assert_array_equal(scene.rgb_label[drawn], np.broadcast_to((200, 10, 255, CAR), (drawn.sum(), 4)))
    np.testing.assert_array_equal(scene.near[drawn], 128)
    assert not scene.rgb_label[~drawn].any() and not scene.near[~drawn].any()


def test_a_shadow_changes_the_image_only():
    scene = Scene(64, 96, np.random.default_rng(0))
    scene.rgb_label[:] = (100, 200, 50, ROAD)
    scene.shade([(10, 10), (30, 10), (30, 30), (10, 30)], 0.5)
    assert scene.rgb_label[20, 20].tolist() == [50, 100, 25, ROAD]
    assert scene.rgb_label[40, 40].tolist() == [100, 200, 50, ROAD]
    assert np.all(scene.label == ROAD)


def _colour_miou(images, labels):
    """mIoU on the last 10 scenes of the class that is most frequent for a pixel's colour in the first 30."""
    bins = (images // 32).astype(int) @ np.array([64, 8, 1])
    known = labels != IGNORE
    fit, score = known[:30], known[30:]
    counts = np.bincount(bins[:30][fit] * 11 + labels[:30][fit], minlength=512 * 11).reshape(512, 11)
    predicted, truth = counts.argmax(axis=1)[bins[30:][score]], labels[30:][score]
    confusion = np.bincount(truth * 11 + predicted, minlength=121).reshape(11, 11)
    return np.mean(np.diag(confusion) / (confusion.sum(axis=0) + confusion.sum(axis=1) - np.diag(confusion)))


def test_colour_alone_is_not_enough(scenes):
    images, labels = scenes
    assert _colour_miou(images, labels) < 0.35
    # The same measure on scenes that colour does give away.
    palette = np.zeros((256, 3), np.uint8)
    palette[:11] = PALETTE
    assert _colour_miou(palette[labels], labels) > 0.95
