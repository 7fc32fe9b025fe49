"""Bytes of a request are read as `did_tf predict` reads the same bytes in a file, or refused before they take room."""

import dataclasses
import io
import zlib

import cv2
import numpy as np
import pytest
import rasterio
from fake_model import SPEC
from photos import picture
from PIL import Image
from served import png, tiff

from did_tf.inference import inputs
from did_tf.serving.limits import Limits
from did_tf.serving.refusals import Refused
from did_tf.serving.uploads import Upload


@pytest.fixture
def upload(tmp_path):
    """Function: the `Upload` of bytes."""

    def make(body, spec=SPEC, **limits):
        path = tmp_path / "0"
        path.write_bytes(body)
        return Upload(path, spec, Limits(**limits))

    return make


def jpeg(orientation):
    """Bytes of a JPEG of 20x30 that a camera's mark says to turn."""
    exif, buffer = Image.Exif(), io.BytesIO()
    exif[274] = orientation
    Image.fromarray(picture(20, 30)).save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


CLEAR = np.dstack([picture(20, 30), np.eye(20, 30, dtype=np.uint8)])
HOLE = np.where(np.eye(20, 30, dtype=bool), 7, picture(20, 30).transpose(2, 0, 1)).astype(np.uint8)


@pytest.mark.parametrize(
    "body, shape, void",
    {
        "png": (png(picture(20, 30)), (20, 30), False),
        "turned": (jpeg(6), (30, 20), False),
        "alpha": (cv2.imencode(".png", CLEAR)[1], (20, 30), True),
        "grey": (png(picture(20, 30)[..., 0]), (20, 30), False),
        "nodata": (tiff(HOLE, nodata=7), (20, 30), True),
    }.values(),
)
def test_an_image_is_read_as_from_a_file(upload, tmp_path, body, shape, void):
    image, mask = upload(bytes(body)).read()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.any").write_bytes(bytes(body))
    (file,) = inputs.find_images(tmp_path / "in" / "a.any", tmp_path / "out", SPEC)
    expected, expected_mask = file.read()
    np.testing.assert_array_equal(image, expected)
    assert image.shape == (*shape, 3) and (mask is not None and mask.any()) == void
    assert not void or np.array_equal(mask, expected_mask)


def test_five_bands_of_16_bits_and_their_place(upload):
    spec = dataclasses.replace(SPEC, mean=(1.0,) * 5, std=(1.0,) * 5, dtype="uint16")
    pixels = np.arange(5 * 4 * 6, dtype=np.uint16).reshape(5, 4, 6)
    transform = rasterio.Affine(2, 0, 10, 0, -2, 20)
    found = upload(tiff(pixels, crs="EPSG:32633", transform=transform), spec)
    np.testing.assert_array_equal(found.read()[0], pixels.transpose(1, 2, 0))
    assert found.place().transform == (2, 0, 10, 0, -2, 20) and found.pixels == 24


@pytest.mark.parametrize(
    "body, status, told",
    [
        (b"", 400, "the body is empty"),
        (b"hello", 415, "no PNG, JPEG or TIFF"),
        (b"\x93NUMPY\x01\x00", 415, "no PNG, JPEG or TIFF"),
        (png(picture(20, 30))[:20], 400, "cannot decode the image"),
        (png(picture(20, 30))[:-30], 400, "cannot decode the image"),
        (png(picture(20, 30).astype(np.uint16)), 400, "the image has uint16 values"),
        (tiff(np.zeros((2, 4, 6), np.uint8)), 400, "the image has 2 bands"),
        (tiff(np.zeros((5, 90, 90), np.uint8)), 413, "90x90 pixels of 5 bands, and at most 9000"),
        (png(picture(95, 95)), 413, "95x95 pixels, and at most 9000 are taken: cut it"),
    ],
)
def test_what_is_no_such_image_is_told_without_the_name_of_a_file(upload, tmp_path, body, status, told):
    with pytest.raises(Refused) as caught:
        upload(body, max_pixels=9000).read()
    assert caught.value.status == status and told in caught.value.message
    assert str(tmp_path) not in caught.value.message


def test_a_bomb_is_refused_by_its_header(upload):
    header = png(np.zeros((1, 1, 3), np.uint8))
    claimed = header[:16] + (60_000).to_bytes(4, "big") * 2 + header[24:]
    crc = zlib.crc32(claimed[12:29]).to_bytes(4, "big")
    with pytest.raises(Refused, match="60000x60000 pixels") as caught:
        upload(claimed[:29] + crc + claimed[33:])
    assert caught.value.status == 413
