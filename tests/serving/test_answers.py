"""Every form of answer has the labels of the model; a client gets the form that it asks for."""

import io
import json

import cv2
import numpy as np
import pytest
import rasterio
from fake_model import SPEC
from photos import picture

from data_pipelines.reading.places import Place
from data_pipelines.spec import IGNORE
from did_tf.common import visualize
from did_tf.inference import outputs
from did_tf.serving.answers import FORMS, Seen, chosen
from did_tf.serving.refusals import Refused

PLACE = Place(rasterio.crs.CRS.from_epsg(32633).to_wkt(), (0.5, 0.0, 4e5, 0.0, -0.5, 5e6))


@pytest.fixture
def seen():
    image = picture(20, 30)
    classes = (image[..., 0] % 3).astype(np.uint8)
    classes[:2] = IGNORE
    return Seen(image, classes, PLACE, SPEC, "me")


def decoded(form, seen):
    pixels = cv2.imdecode(np.frombuffer(FORMS[form].encode(seen), np.uint8), cv2.IMREAD_UNCHANGED)
    return pixels[..., ::-1] if pixels.ndim == 3 else pixels


def test_pictures_are_those_that_predict_writes(seen, tmp_path):
    outputs.write_results(tmp_path, "a", seen.image, {"main": seen.classes}, SPEC)
    for form in ("label", "color", "overlay"):
        written = cv2.imread(str(tmp_path / f"a_{form}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded(form, seen), written[..., ::-1] if written.ndim == 3 else written)


def test_the_image_is_shown_as_it_was_read_with_void_where_there_is_no_data(seen):
    shown = decoded("image", seen)
    np.testing.assert_array_equal(shown[2:], seen.image[2:])
    assert (shown[:2] == visualize.void_colour(SPEC)).all()


def test_a_geotiff_lies_where_the_image_does_and_knows_void(seen):
    with rasterio.io.MemoryFile(FORMS["tiff"].encode(seen)) as memory, memory.open() as file:
        np.testing.assert_array_equal(file.read(1), outputs.own_ids(seen.classes, SPEC))
        assert (tuple(file.transform)[:6], file.crs.to_epsg(), file.nodata) == (PLACE.transform, 32633, SPEC.void_id)
        assert file.colormap(1)[7][:3] == SPEC.palette[1]


def test_json_counts_the_pixels_of_each_class(seen):
    told = json.loads(FORMS["json"].encode(seen))
    assert (told["height"], told["width"], told["model"]) == (20, 30, "me")
    assert [one["id"] for one in told["classes"]] == [4, 7, 9]
    assert [one["pixels"] for one in told["classes"]] == [np.count_nonzero(seen.classes == n) for n in range(3)]
    assert told["void"]["pixels"] == 60 and told["void"]["share"] == 0.1


def test_an_array_has_the_numbers_of_the_classes(seen):
    np.testing.assert_array_equal(np.load(io.BytesIO(FORMS["npy"].encode(seen))), seen.classes)


@pytest.mark.parametrize(
    "name, accept, expected",
    [
        (None, "", "label"),
        (None, "text/html, */*;q=0.8", "label"),
        (None, "image/tiff", "tiff"),
        (None, "application/json;q=0.5, image/tiff;q=0.4", "json"),
        (None, "image/png;q=0, application/json", "json"),
        ("overlay", "application/json", "overlay"),
    ],
)
def test_a_format_by_name_or_by_what_is_accepted(name, accept, expected):
    assert chosen(name, accept) is FORMS[expected]


@pytest.mark.parametrize(
    "name, accept, status", [("bmp", "", 400), (None, "text/html", 406), (None, "image/png;q=0", 406)]
)
def test_what_there_is_not_is_refused(name, accept, status):
    with pytest.raises(Refused) as caught:
        chosen(name, accept)
    assert caught.value.status == status
