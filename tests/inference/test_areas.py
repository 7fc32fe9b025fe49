import numpy as np
import pytest
import rasterio

from data_pipelines import DatasetSpec
from data_pipelines.reading.places import Place
from did_tf.inference import areas

PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
SPEC = DatasetSpec(
    "own", ("wood", "sea", "ice"), PALETTE, {}, (0.0,) * 3, (1.0,) * 3, label_ids=(7, 26, 40), void_ids=(3,)
)
CLASSES = np.array([[0, 0, 1, 255], [0, 1, 255, 255]], np.uint8)
SURE = np.array([[0.5, 0.7, 0.4, np.nan], [0.9, 0.6, np.nan, np.nan]], np.float32)


def place(epsg, transform=(10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0)):
    return Place(rasterio.CRS.from_epsg(epsg).to_wkt() if epsg else "", transform)


def counted(strips, where=None, name="a"):
    found = areas.Areas(3)
    for strip in strips:
        found.add(*strip)
    return [dict(zip(areas.COLUMNS, row)) for row in found.rows(name, SPEC, where)]


def test_pixels_shares_and_square_metres_of_every_class_and_of_void():
    rows = counted([(CLASSES[:1], SURE[:1]), (CLASSES[1:], SURE[1:])], place(32633))
    assert [row["class"] for row in rows] == ["wood", "sea", "ice", "void"]
    assert [row["id"] for row in rows] == ["7", "26", "40", "3"]
    assert [row["pixels"] for row in rows] == ["3", "2", "0", "3"]
    assert sum(int(row["pixels"]) for row in rows) == CLASSES.size
    assert [row["share"] for row in rows] == ["0.600000", "0.400000", "0.000000", ""]
    assert [row["square_metres"] for row in rows] == ["300", "200", "0", "300"]
    assert [row["confidence"] for row in rows] == ["0.7000", "0.5000", "", ""]
    assert {row["image"] for row in rows} == {"a"}


def test_strips_count_as_the_whole_does():
    rows = [(CLASSES[at : at + 1], SURE[at : at + 1]) for at in range(2)]
    assert counted(rows) == counted([(CLASSES, SURE)])


def test_what_is_not_known_is_empty():
    rows = counted([(CLASSES, None)])
    assert {row["square_metres"] for row in rows} == {""} == {row["confidence"] for row in rows}
    assert {row["share"] for row in counted([(np.full((2, 2), 255, np.uint8), None)])} == {""}


@pytest.mark.parametrize(
    "epsg, transform, metres",
    [
        (32633, (0.5, 0, 0, 0, -0.5, 0), 0.25),
        (32633, (3, 4, 0, 4, -3, 0), 25),  # rows that run aslant
        (2263, (1, 0, 0, 0, -1, 0), 0.3048006096**2),  # US survey feet
        (4326, (1e-5, 0, 0, 0, -1e-5, 0), None),
        (3857, (1, 0, 0, 0, -1, 0), None),  # stretched
        (3395, (1, 0, 0, 0, -1, 0), None),  # likewise
        (4087, (1, 0, 0, 0, -1, 0), None),
        (3035, (1, 0, 0, 0, -1, 0), 1),
        (32633, (0, 0, 4e5, 0, 0, 5e6), None),  # no size at all
        (None, (10, 0, 0, 0, -10, 0), None),
    ],
)
def test_size_of_a_pixel(epsg, transform, metres):
    assert areas.pixel_area(place(epsg, transform)) == pytest.approx(metres)
    assert areas.pixel_area(None) is None
