import json

import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize
from rasterio.warp import transform_geom

from data_pipelines import DataError, DatasetSpec
from data_pipelines.reading.places import Place
from did_tf.inference import polygons, strips

PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
SPEC = DatasetSpec("own", ("wood", "sea", "straße"), PALETTE, {}, (0.0,) * 3, (1.0,) * 3, label_ids=(7, 26, 40))
NOWHERE = rasterio.Affine.identity()
UTM = Place(rasterio.CRS.from_epsg(32633).to_wkt(), (10.0, 0.0, 500000.0, 0.0, -10.0, 5000000.0))


def noise(height=24, width=30):
    random = np.random.default_rng(0)
    classes = np.kron(random.integers(0, 3, (height // 3, width // 3)), np.ones((3, 3))).astype(np.uint8)
    classes[random.random(classes.shape) < 0.1] = 255
    return classes


def written(folder, classes, place=None, confidence=None, **options):
    path = folder / "out" / "a.geojson"
    told = polygons.write(path, strips.of_arrays(classes, confidence), SPEC, place, **options)
    content = json.loads(path.read_text("utf-8"), parse_constant=pytest.fail)  # no NaN, which is no JSON
    assert [*path.parent.iterdir()] == [path] and told.polygons == len(content["features"])
    return told, content


def drawn(features, size, transform=NOWHERE, crs=None):
    """Ids of the features' classes, 255 elsewhere."""
    shapes = [(feature["geometry"], feature["properties"]["id"]) for feature in features]
    if crs:
        shapes = [(transform_geom("EPSG:4326", crs, shape), number) for shape, number in shapes]
    return rasterize(shapes, size, fill=255, transform=transform, dtype=np.uint8)


def expected(classes):
    return np.array([7, 26, 40, *[255] * 253], np.uint8)[classes]


def test_polygons_drawn_again_give_the_raster(tmp_path):
    classes = noise()
    told, content = written(tmp_path, classes, tolerance=0)
    np.testing.assert_array_equal(drawn(content["features"], classes.shape), expected(classes))
    assert told.left_out == 0 and content["coordinate_system"].startswith("pixels of the image")
    properties = [feature["properties"] for feature in content["features"]]
    assert sum(one["pixels"] for one in properties) == np.sum(classes != 255)
    assert {(one["class"], one["id"]) for one in properties} == {("wood", 7), ("sea", 26), ("straße", 40)}
    assert all(set(one) == {"class", "id", "pixels"} for one in properties)


def test_on_earth_they_are_in_degrees_and_lie_where_the_image_does(tmp_path):
    classes = noise()
    _, content = written(tmp_path, classes, UTM, tolerance=0)
    transform = rasterio.Affine(*UTM.transform)
    np.testing.assert_array_equal(drawn(content["features"], classes.shape, transform, UTM.crs), expected(classes))
    longitude, latitude = content["features"][0]["geometry"]["coordinates"][0][0]
    assert (
        15 <= longitude < 15.01 and 45.1 < latitude < 45.2
    )  # the meridian in the middle of the zone is 15 degrees east
    assert content["coordinate_system"] == "longitude and latitude in degrees, WGS 84"
    for feature in content["features"]:
        assert feature["properties"]["square_metres"] == 100 * feature["properties"]["pixels"]


def test_long_edges_follow_the_projection(tmp_path):
    stripes = np.repeat(np.array([0, 1], np.uint8), 2)[:, None] + np.zeros((1, 20000), np.uint8)
    _, content = written(tmp_path, stripes, UTM)
    for feature in content["features"]:
        (ring,) = feature["geometry"]["coordinates"]
        middles = [(np.add(first, second) / 2).tolist() for first, second in zip(ring, ring[1:])]
        line = transform_geom("EPSG:4326", UTM.crs, {"type": "LineString", "coordinates": [*ring, *middles]})
        rows = (5000000 - np.array(line["coordinates"])[:, 1]) / 10
        assert np.abs(rows - rows.round()).max() < 0.02  # pixels


def test_outer_outlines_are_counterclockwise_and_holes_clockwise(tmp_path):
    classes = np.zeros((7, 7), np.uint8)
    classes[2:5, 2:5] = 1
    for place in (None, UTM, Place("", (2.0, 0, 5, 0, 2.0, 9))):
        _, content = written(tmp_path, classes, place)
        areas = []
        for feature in content["features"]:
            for ring in feature["geometry"]["coordinates"]:
                assert ring[0] == ring[-1]
                x, y = (np.array(ring[:-1]) - ring[0]).T
                areas.append(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
        assert [area > 0 for area in areas] == [True, True, False]  # the square, its surroundings, their hole


def test_a_transform_without_a_crs_gives_its_own_coordinates(tmp_path):
    _, content = written(tmp_path, np.zeros((3, 4), np.uint8), Place("", (2.0, 0.0, 5.0, 0.0, -2.0, 9.0)))
    (feature,) = content["features"]
    assert sorted(feature["geometry"]["coordinates"][0][:4]) == [[5, 3], [5, 9], [13, 3], [13, 9]]
    assert "no coordinate reference system" in content["coordinate_system"]
    assert "square_metres" not in feature["properties"]


def test_a_local_crs_gives_its_own_coordinates(tmp_path):
    site = Place('LOCAL_CS["site",UNIT["metre",1]]', (2.0, 0.0, 100.0, 0.0, -2.0, 50.0))
    _, content = written(tmp_path, np.zeros((3, 4), np.uint8), site)
    assert content["coordinate_system"] == polygons.PLACES["own"]
    assert [100, 50] in content["features"][0]["geometry"]["coordinates"][0]


def test_confidence_is_the_mean_and_small_regions_are_counted(tmp_path):
    classes = np.array([[0, 0, 1], [0, 0, 2], [0, 0, 2]], np.uint8)
    sure = np.array([[0.5, 0.7, 1], [0.5, 0.7, 0.25], [0.5, 0.7, 0.75]], np.float32)
    told, content = written(tmp_path, classes, confidence=sure, minimum=2)
    found = {feature["properties"]["class"]: feature["properties"]["confidence"] for feature in content["features"]}
    assert found == {"wood": 0.6, "straße": 0.5}
    assert told == (2, 1) and content["left_out"] == 1 and content["minimum_pixels"] == 2


def test_over_the_antimeridian_a_polygon_goes_on(tmp_path):
    _, content = written(tmp_path, np.zeros((2, 6), np.uint8), world(0.5, 179.0, 10.0))
    longitudes = [point[0] for point in content["features"][0]["geometry"]["coordinates"][0]]
    assert (min(longitudes), max(longitudes)) == (179, 182)


def world(step, left, top):
    return Place(rasterio.CRS.from_epsg(4326).to_wkt(), (step, 0.0, left, 0.0, -step, top))


def rings_of(content):
    """[N + 1, 2] of each ring of all polygons."""
    return [np.array(ring) for feature in content["features"] for ring in feature["geometry"]["coordinates"]]


@pytest.mark.parametrize(
    "place, size, longitudes",
    [(world(1.0, -100.0, 10.0), (2, 200), (-100, 100)), (world(0.5, -180.0, 90.0), (360, 720), (-180, 180))],
)
def test_a_polygon_may_be_wider_than_half_of_the_earth(tmp_path, place, size, longitudes):
    (ring,) = rings_of(written(tmp_path, np.zeros(size, np.uint8), place)[1])
    (x, y), (height, width) = ring.T, size
    assert (x.min(), x.max()) == longitudes
    area = np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2
    assert area == pytest.approx(height * width * place.transform[0] ** 2)


def test_longitudes_of_a_map_from_0_to_360_are_those_of_others(tmp_path):
    classes = np.array([[0, 0, 255, 1]], np.uint8)
    rings = rings_of(written(tmp_path, classes, world(90.0, 0.0, 45.0), tolerance=0)[1])
    assert sorted((ring[:, 0].min(), ring[:, 0].max()) for ring in rings) == [(-90, 0), (0, 180)]


def test_holes_lie_in_the_polygon_that_goes_on(tmp_path):
    fiji = Place(rasterio.CRS.from_epsg(32601).to_wkt(), (20000.0, 0.0, 100000.0, 0.0, -20000.0, 5000000.0))
    classes = np.zeros((5, 20), np.uint8)
    classes[2, 12:14] = 255
    outer, hole = rings_of(written(tmp_path, classes, fiji)[1])
    assert 177 < outer[:, 0].min() < 180 < hole[:, 0].min() < hole[:, 0].max() < outer[:, 0].max() < 184


def test_about_a_pole(tmp_path):
    polar = Place(rasterio.CRS.from_epsg(3413).to_wkt(), (1e6, 0.0, -2.5e6, 0.0, -1e6, 2.5e6))
    classes = np.zeros((5, 5), np.uint8)
    with pytest.raises(DataError, match="no polygons: a region goes round a pole"):
        written(tmp_path, classes, polar)
    classes[2, 2:] = 255  # open to one side, with the pole
    (ring,) = rings_of(written(tmp_path, classes, polar, tolerance=0)[1])
    assert np.ptp(ring[:, 0]) > 300 and np.abs(np.diff(ring[:, 0])).max() < 180


def test_nothing_is_written_where_the_crs_has_no_degrees(tmp_path):
    far = Place(UTM.crs, (10.0, 0.0, 1e30, 0.0, -10.0, 1e30))
    with pytest.raises(DataError, match="no polygons: .*longitude and latitude"):
        written(tmp_path, np.zeros((2, 2), np.uint8), far)
    assert not [*(tmp_path / "out").iterdir()]


def test_an_image_without_data_has_no_polygons(tmp_path):
    told, content = written(tmp_path, np.full((3, 3), 255, np.uint8), UTM)
    assert told == (0, 0) and content["features"] == []
