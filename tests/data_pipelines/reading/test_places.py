"""Where rasters lie, and whether two show one place. What a place is was worked out by hand."""

import numpy as np
import pytest
import rasterio
from own_data import write_tiff
from rasterio.transform import from_origin

from data_pipelines import DataError
from data_pipelines.reading.places import Place, apart, check_places, place_of
from data_pipelines.spec import Window

SIZE = (40, 60)
FAR = (np.inf, np.inf)
UTM, HERE = "EPSG:32633", from_origin(500000, 5000000, 10, 10)


def raster(folder, name, crs=UTM, transform=HERE):
    write_tiff(folder / name, np.ones((*SIZE, 1), np.uint8), crs=crs, transform=transform)
    return folder / name


def test_a_place_is_what_the_tags_say(tmp_path):
    place = place_of(raster(tmp_path, "a.tif"))
    assert place.transform == (10, 0, 500000, 0, -10, 5000000)
    assert rasterio.crs.CRS.from_wkt(place.crs).to_epsg() == 32633
    assert place.of(Window(5, -2, 8, 8)).transform == (10, 0, 499980, 0, -10, 4999950)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_files_that_say_nothing(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(SIZE))
    rasterio.open(tmp_path / "a.png", "w", driver="PNG", height=9, width=9, count=1, dtype="uint8").close()
    bare = raster(tmp_path, "a.tif", None, rasterio.Affine.identity())
    assert [place_of(path) for path in (bare, tmp_path / "a.png", tmp_path / "a.npy")] == [None] * 3
    check_places(raster(tmp_path, "b.tif"), bare)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
@pytest.mark.parametrize(
    "image, world", [("a.png", "a.pgw"), ("a.png", "a.pngw"), ("a.png", "a.wld"), ("a.tif", "a.tfw")]
)
def test_a_world_file_is_a_transform_without_crs(tmp_path, image, world):
    """It gives the middle of the first pixel."""
    driver = {"png": "PNG", "tif": "GTiff"}[image[-3:]]
    with rasterio.open(tmp_path / image, "w", driver=driver, height=40, width=60, count=1, dtype="uint8") as file:
        file.write(np.ones((1, *SIZE), np.uint8))
    (tmp_path / world).write_text("10\n0\n0\n-10\n500005\n4999995\n")
    assert place_of(tmp_path / image) == Place("", (10, 0, 500000, 0, -10, 5000000))
    check_places(raster(tmp_path, "b.tif"), tmp_path / image)


@pytest.mark.parametrize(
    ("crs", "transform", "expected"),
    [
        (UTM, HERE, (0, 0)),
        (UTM, from_origin(500300, 5000400, 10, 10), (30, 40)),
        (UTM, from_origin(500005, 4999995, 10, 10), (0.5, 0.5)),  # a tag that means the middle of a pixel
        (UTM, from_origin(500000, 5000000, 10.1, 10), (0.6, 0)),  # a hundredth of the width
        (None, HERE, (0, 0)),
        (rasterio.crs.CRS.from_string(UTM).to_wkt(version="WKT1_ESRI"), HERE, (0, 0)),
        ("+proj=utm +zone=33 +datum=WGS84", HERE, (0, 0)),
        ("EPSG:25833", HERE, (0, 0)),  # another datum, and less than a metre away
        ("EPSG:32632", HERE, FAR),
        ("EPSG:4326", HERE, FAR),
    ],
)
def test_how_far_two_rasters_are_apart(tmp_path, crs, transform, expected):
    one, other = raster(tmp_path, "a.tif"), raster(tmp_path, "b.tif", crs, transform)
    found = apart(place_of(one), place_of(other), SIZE)
    assert max(found) > 1000 if expected == FAR else found == pytest.approx(expected, abs=1e-4)
    if max(expected) <= 0.5:
        check_places(one, other)
        return
    with pytest.raises(DataError) as error:
        check_places(one, other)
    message = str(error.value)
    assert message.startswith(f"{one} and {other} lie at different places: ") and "\n" not in message
    assert crs in message if expected == FAR else f"{expected[0]} columns and {expected[1]} rows apart" in message


def test_transforms_that_are_none(tmp_path):
    """A pixel of no width has no place; two such files are not told apart."""
    flat = Place("", (0, 0, 5, 0, 0, 5))
    assert apart(flat, flat, SIZE) == (0, 0)
    assert apart(flat, Place("", tuple(HERE)[:6]), SIZE) == FAR


def test_a_damaged_file_is_named(tmp_path):
    (tmp_path / "a.tif").write_bytes(b"II*\0" + bytes(50))
    with pytest.raises(DataError, match="a.tif"):
        place_of(tmp_path / "a.tif")
    with pytest.raises(DataError, match="b.tif"):
        place_of(tmp_path / "b.tif")
