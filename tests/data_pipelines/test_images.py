"""Every way a file can be wrong ends in one clear line that names it."""

import cv2
import numpy as np
import pytest

from data_pipelines.images import read_image, read_label
from data_pipelines.spec import IGNORE, DataError, DatasetSpec

SPEC = DatasetSpec(
    name="tiny",
    classes=("sky", "road"),
    palette=((0, 0, 0), (9, 9, 9)),
    splits={"train": 1},
    mean=(0.0,) * 3,
    std=(1.0,) * 3,
    void_ids=(11,),
)


def read_tiny_label(path):
    return read_label(path, SPEC)


READERS = pytest.mark.parametrize("read", [read_image, read_tiny_label])


def write_png(path, pixels):
    cv2.imencode(".png", pixels)[1].tofile(path)
    return path


def noise(*shape):
    return np.random.default_rng(0).integers(0, 2, shape).astype(np.uint8)


def assert_refused(read, path, *parts):
    with pytest.raises(DataError) as error:
        read(path)
    for part in (str(path), *parts):
        assert part in str(error.value)
    assert "\n" not in str(error.value)


@READERS
def test_missing_file(read, tmp_path):
    assert_refused(read, tmp_path / "a.png", "No such file")


@READERS
def test_folder_in_place_of_a_file(read, tmp_path):
    assert_refused(read, tmp_path, "directory")


@READERS
def test_zero_bytes(read, tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert_refused(read, tmp_path / "a.png", "damaged or no image")


@READERS
def test_no_image(read, tmp_path):
    (tmp_path / "a.png").write_text("<html>404</html>")
    assert_refused(read, tmp_path / "a.png", "damaged or no image")


@READERS
@pytest.mark.parametrize("kept", [0.05, 0.5, 0.95])
def test_truncated_png(read, kept, tmp_path):
    path = write_png(tmp_path / "a.png", noise(40, 40))
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert_refused(read, path, "damaged or no image")


@READERS
def test_names_beyond_ascii(read, tmp_path):
    path = write_png(tmp_path / "straße 街.png", noise(3, 5))
    assert read(path).shape[:2] == (3, 5)


def test_grey_images_get_three_equal_bands(tmp_path):
    image = read_image(write_png(tmp_path / "a.png", noise(3, 5)))
    assert image.shape == (3, 5, 3)
    assert (image == image[..., :1]).all()


def test_images_are_contiguous_rgb(tmp_path):
    image = read_image(write_png(tmp_path / "a.png", np.full((2, 2, 3), (10, 20, 30), np.uint8)))
    assert image[0, 0].tolist() == [30, 20, 10]
    assert image.flags.c_contiguous


@pytest.mark.parametrize("channels", [3, 4])
def test_label_with_channels(channels, tmp_path):
    path = write_png(tmp_path / "a.png", noise(3, 5, channels))
    assert_refused(read_tiny_label, path, f"{channels} channels", "one channel of class ids")


@pytest.mark.parametrize(
    ("values", "text"),
    [((2,), "holds value 2:"), ((7, 3, 254), "holds values 3, 7, 254:"), (range(2, 11), "values 2, 3, 4, 5, 6:")],
)
def test_unknown_label_values_are_named(values, text, tmp_path):
    path = write_png(tmp_path / "a.png", np.array([[0, 1, 11, *values]], np.uint8))
    assert_refused(read_tiny_label, path, text, "classes 0 to 1 and void 11, 255")


def test_void_and_ignore_become_ignore(tmp_path):
    label = read_tiny_label(write_png(tmp_path / "a.png", np.array([[0, 1, 11, 255]], np.uint8)))
    assert label.tolist() == [[0, 1, IGNORE, IGNORE]]
    assert label.dtype == np.uint8


def test_16_bit_label_with_known_ids_is_read(tmp_path):
    label = read_tiny_label(write_png(tmp_path / "a.png", np.array([[0, 1, 11]], np.uint16)))
    assert label.tolist() == [[0, 1, IGNORE]]
    assert label.dtype == np.uint8


def test_16_bit_label_does_not_wrap_around(tmp_path):
    path = write_png(tmp_path / "a.png", np.array([[0, 256, 65535]], np.uint16))
    assert_refused(read_tiny_label, path, "values 256, 65535")
