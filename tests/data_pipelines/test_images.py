"""Every way a file can be wrong ends in one clear line that names it."""

import cv2
import numpy as np
import pytest
from folders import write_palette_png

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


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_a_palette_changes_no_id(bits, tmp_path):
    ids = np.array([[0, 1, 0], [1, 1, 0]], np.uint8)
    write_palette_png(tmp_path / "a.png", ids, bits)
    assert (tmp_path / "a.png").read_bytes()[24:26] == bytes([bits, 3])
    assert read_tiny_label(tmp_path / "a.png").tolist() == ids.tolist()


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_truncated_palette_png(kept, tmp_path):
    write_palette_png(tmp_path / "a.png", noise(40, 40))
    data = (tmp_path / "a.png").read_bytes()
    (tmp_path / "a.png").write_bytes(data[: int(kept * len(data))])
    assert_refused(read_tiny_label, tmp_path / "a.png", "damaged or no image")


def test_unknown_ids_of_a_palette_png_are_named(tmp_path):
    write_palette_png(tmp_path / "a.png", np.array([[0, 1, 7]], np.uint8))
    assert_refused(read_tiny_label, tmp_path / "a.png", "holds value 7:")


def test_label_ids_become_classes_in_their_order(tmp_path):
    spec = DatasetSpec("odd", ("a", "b"), ((0, 0, 0),) * 2, {}, (0.0,), (1.0,), void_ids=(0,), label_ids=(300, 7))
    path = write_png(tmp_path / "a.png", np.array([[300, 7, 0, 255]], np.uint16))
    assert read_label(path, spec).tolist() == [[0, 1, IGNORE, IGNORE]]
    path = write_png(tmp_path / "a.png", np.array([[300, 1]], np.uint16))
    assert_refused(lambda path: read_label(path, spec), path, "value 1: odd knows classes 300, 7 and void 0, 255")


def smooth_jpeg(path):
    picture = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (80, 90, 3)).astype(np.uint8), (0, 0), 3)
    cv2.imencode(".jpg", picture)[1].tofile(path)
    return path.read_bytes()


@pytest.mark.parametrize("kept", [0.5, 0.9, 0.999])
def test_a_truncated_jpeg_is_not_filled_up(kept, tmp_path):
    path = tmp_path / "a.jpg"
    data = smooth_jpeg(path)
    path.write_bytes(data[: int(kept * len(data))])
    assert cv2.imread(str(path)) is not None  # OpenCV fills it up
    assert_refused(read_image, path, "damaged or no image")


def test_what_follows_a_jpeg_does_no_harm(tmp_path):
    path = tmp_path / "a.jpg"
    data = smooth_jpeg(path)
    whole = read_image(path)
    path.write_bytes(data + b"\0 a film of two seconds")
    np.testing.assert_array_equal(read_image(path), whole)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"task": "detection"}, "odd: unknown task 'detection'; known: segmentation, classification"),
        ({"palette": ()}, "odd: 2 classes but 0 palette colours"),
        ({"label_ids": (1, 2, 3)}, "odd: 2 classes but 3 label ids"),
    ],
)
def test_a_descriptor_that_contradicts_itself(facts, message):
    settings = {"palette": ((0, 0, 0),) * 2, "splits": {}, "mean": (0.0,), "std": (1.0,), **facts}
    with pytest.raises(ValueError, match=message):
        DatasetSpec("odd", ("a", "b"), **settings)
