"""Labels that other tools wrote, drawn: by each tool's rules, for whole images and windows."""

import json
import threading
import unicodedata
from collections import Counter
from multiprocessing.pool import ThreadPool
from pathlib import Path
from unittest.mock import Mock

import annotation_files as tools
import numpy as np
import pytest
from annotation_files import square
from own_data import complaint, describe, edit, write_png, write_tiff
from rasterio.transform import Affine
from rasterio.warp import transform

from data_pipelines import IGNORE, DataError, load
from data_pipelines.identity import fingerprint, meaning
from data_pipelines.own_data import shapes
from data_pipelines.own_data.annotations import loading
from data_pipelines.own_data.annotations.entries import Annotations, Entry
from data_pipelines.reading import shapes as drawing

SIZE = (20, 30)
CLASSES = ["car", "road"]


@pytest.fixture
def make(tmp_path):
    """Function that writes images of `names` and a dataset.yaml whose labels are shapes, and loads it."""

    def made(names=("a.png",), **keys):
        for name in names:
            write_png(tmp_path / "images" / name, np.full((*SIZE, 3), 90, np.uint8))
        facts = {"labels_hold": "shapes", "classes": CLASSES, "rest": "background", "splits": {"train": 1.0}}
        told = {key: value for key, value in {**facts, **keys}.items() if value is not None}
        return describe(tmp_path, 1, **told)

    return made


def labels(folder):
    """Name -> label, of all samples."""
    dataset = load("folders", folder)
    return {sample.name: dataset.read(sample)[1] for sample in dataset.samples("train")}


def boxes(*found, rest=0):
    """A label with (value, left, top, width, height) above each other."""
    label = np.full(SIZE, rest, np.uint8)
    for value, left, top, width, height in found:
        label[top : top + height, left : left + width] = value
    return label


def coco(folder, drawn):
    """A file for a.png of (name, corners[, whether it is a crowd])."""
    annotations = [(0, name, [np.ravel(corners).tolist()], *crowd) for name, corners, *crowd in drawn]
    tools.coco(folder / "coco.json", [("a.png", SIZE)], annotations, [*CLASSES, "blurred", "tree"])


# labelme


def some_of_labelme(folder):
    """Draws a polygon, a box, a point and a circle on a.png. Returns the label that they make."""
    shapes = [
        ("road", "polygon", square(2, 2, 10)),
        ("car", "rectangle", [[9, 8], [4, 3]]),
        ("car", "point", [[1, 1]]),
        ("road", "circle", [[20.5, 10.5], [22.5, 10.5]]),
    ]
    tools.labelme(folder / "labels" / "a.json", SIZE, *shapes)
    expected = boxes((2, 2, 2, 10, 10), (1, 4, 3, 5, 5))
    for row, half in zip(range(8, 13), (0, 1, 2, 1, 0)):  # pixels whose centres lie within 2 of (20.5, 10.5)
        expected[row, 20 - half : 21 + half] = 2
    return expected


def test_labelme(make, tmp_path):
    expected = some_of_labelme(tmp_path)
    np.testing.assert_array_equal(labels(make())["a"], expected)


def test_windows_show_of_polygons_and_circles_what_the_image_does(make, tmp_path):
    expected, dataset = some_of_labelme(tmp_path), load("folders", make(patch=[5, 6]))
    for sample in dataset.samples("train"):
        np.testing.assert_array_equal(dataset.read(sample)[1], expected[sample.window.inside(*SIZE)])


def test_rectangles_of_x_anylabeling_have_four_corners(make, tmp_path):
    turned = [[20.2, 2.2], [25.2, 7.2], [20.2, 12.2], [15.2, 7.2]]
    shapes = [("car", "rectangle", square(4, 3, 5)), ("road", "rotation", turned)]
    tools.labelme(tmp_path / "labels" / "a.json", SIZE, *shapes)
    found = labels(make())["a"]
    np.testing.assert_array_equal(found == 1, boxes((1, 4, 3, 5, 5)) == 1)
    assert found[7, 16] == found[7, 23] == found[4, 20] == found[10, 20] == 2 and found[4, 16] == found[10, 24] == 0


@pytest.mark.parametrize(
    ("names", "overlap", "inner"),
    [(["road", "car"], None, "road"), (["road", "car"], "last", "car"), (["car", "road"], "last", "road")],
)
def test_where_shapes_overlap_the_later_lies_above_or_the_last_class(make, tmp_path, names, overlap, inner):
    shapes = [("car", "polygon", square(3, 3, 4)), ("road", "polygon", square(0, 0, 10))]
    tools.labelme(tmp_path / "labels" / "a.json", SIZE, *shapes)
    ids = {name: number for number, name in enumerate(names, start=1)}
    expected = boxes((ids["road"], 0, 0, 10, 10), (ids[inner], 3, 3, 4, 4))
    np.testing.assert_array_equal(labels(make(classes=names, masks_overlap=overlap))["a"], expected)


def test_where_the_last_class_counts_void_lies_above_all_and_crowds_below(make, tmp_path):
    drawn = [
        ("car", square(3, 3, 4)),
        ("road", square(0, 0, 10)),
        ("road", square(8, 0, 6), True),
        ("blurred", square(0, 8, 12)),
    ]
    coco(tmp_path, drawn)
    found = labels(make(labels="coco.json", void=["blurred"], masks_overlap="last"))["a"]
    expected = boxes((IGNORE, 8, 0, 6, 6), (1, 3, 3, 4, 4), (2, 0, 0, 10, 10), (IGNORE, 0, 8, 12, 12))
    np.testing.assert_array_equal(found, expected)


def test_a_pixel_in_shapes_of_several_classes_has_the_class_of_all(make, tmp_path):
    """Whatever lies above; void names hide all, and a crowd what is not surely of its class."""
    drawn = [
        ("car", square(3, 3, 4)),
        ("road", square(0, 0, 10)),
        ("car", square(8, 0, 6), True),
        ("car", square(12, 0, 6)),
        ("blurred", square(0, 8, 12)),
    ]
    coco(tmp_path, drawn)
    folder = make(labels="coco.json", void=["blurred"], masks_overlap={"car on road": ["road", "car"]})
    expected = boxes((2, 0, 0, 10, 10), (3, 3, 3, 4, 4), (IGNORE, 8, 0, 6, 6), (1, 12, 0, 6, 6), (IGNORE, 0, 8, 12, 12))
    np.testing.assert_array_equal(labels(folder)["a"], expected)
    spec = load("folders", folder).spec
    assert spec.classes[3] == "car on road" and spec.regions == (("car", (1, 3)), ("road", (2, 3)))
    edit(folder, patch=8)
    (folder / "statistics.json").unlink()
    windows = load("folders", folder)
    for sample in windows.samples("train"):
        top, left, height, width = sample.window
        np.testing.assert_array_equal(windows.read(sample)[1], expected[top : top + height, left : left + width])
    coco(tmp_path, [*drawn, ("tree", square(12, 0, 2))])
    edit(folder, classes=[*CLASSES, "tree"], patch=None)
    (folder / "statistics.json").unlink()
    with pytest.raises(
        DataError, match=r"coco.json, a.png: masks_overlap doesn't name what are together 'car' and 'tree' \(4 pi"
    ):
        labels(folder)


def test_files_of_labelme_may_lie_beside_the_images(make, tmp_path):
    tools.labelme(tmp_path / "images" / "b" / "a.json", SIZE, ("car", "polygon", square(0, 0, 4)))
    folder = make(["b/a.png", "c.png"], labels="images")
    assert {name: int(label.sum()) for name, label in labels(folder).items()} == {"b/a": 16}


def test_what_gdal_notes_beside_images_is_no_annotation(make, tmp_path, capsys):
    """QGIS writes it where an image was looked at."""
    tools.labelme(tmp_path / "images" / "a.json", SIZE, ("car", "polygon", square(0, 0, 4)))
    (tmp_path / "images" / "a.jpg.aux.xml").write_text("<PAMDataset></PAMDataset>")
    assert labels(make(["a.jpg"], labels="images"))["a"].sum() == 16
    assert "left out" not in capsys.readouterr().err


def test_a_file_of_an_image_of_another_size(make, tmp_path):
    tools.labelme(tmp_path / "labels" / "a.json", (20, 31), ("car", "polygon", square(0, 0, 4)))
    with pytest.raises(DataError, match=r"a.png is 20x30 but .*a.json says that it is 20x31"):
        labels(make())


def test_void_is_a_name_and_what_no_shape_covers(make, tmp_path):
    tools.labelme(
        tmp_path / "labels" / "a.json",
        SIZE,
        ("road", "polygon", square(0, 0, 9)),
        ("blurred", "polygon", square(0, 0, 3)),
        ("lorry", "polygon", square(4, 4, 3)),
    )
    folder = make(classes={"road": "road", "car": "car", "lorry": "car"}, rest=None, void=["blurred", "others"])
    expected = boxes((0, 0, 0, 9, 9), (IGNORE, 0, 0, 3, 3), (1, 4, 4, 3, 3), rest=IGNORE)
    np.testing.assert_array_equal(labels(folder)["a"], expected)


def test_a_name_that_nobody_knows(make, tmp_path):
    tools.labelme(tmp_path / "labels" / "a.json", SIZE, ("raod", "polygon", square(0, 0, 9)))
    with pytest.raises(DataError, match=r"a.json has a shape called 'raod', .* did you mean 'road'$"):
        labels(make())


def test_windows_are_cut_from_the_same_label(make, tmp_path):
    corners = [[1.2, 1.7], [28.3, 4.4], [13.1, 19.9]]
    tools.labelme(tmp_path / "labels" / "a.json", SIZE, ("car", "polygon", corners))
    whole = labels(make())["a"]
    (tmp_path / "statistics.json").unlink()
    dataset = load("folders", make(patch=[7, 8]))
    for sample in dataset.samples("train"):
        expected = whole[sample.window.inside(*SIZE)]
        np.testing.assert_array_equal(dataset.read(sample)[1], expected)


def test_another_shape_or_class_is_other_data(make, tmp_path):
    path = tmp_path / "labels" / "a.json"
    marks = []
    for side in (4, 5):
        tools.labelme(path, SIZE, ("car", "polygon", square(0, 0, side)))
        marks.append(fingerprint(load("folders", make()).samples("train")))
    assert marks[0] != marks[1]
    swapped = load("folders", make(classes={"car": "road", "road": "car"})).spec
    assert meaning(load("folders", make(classes={"road": "road", "car": "car"})).spec) != meaning(swapped)


def test_another_order_of_shapes_that_overlap_is_other_data(make, tmp_path):
    """Also where the classes are as they were."""
    tools.labelme(tmp_path / "labels" / "a.json", SIZE)
    orders = {"a": "x", "b": "y", "c": "x"}, {"a": "x", "c": "x", "b": "y"}
    specs = [load("folders", make(classes=names, masks_overlap="last")).spec for names in orders]
    specs.append(load("folders", make(classes=orders[0])).spec)
    assert {spec.classes for spec in specs} == {("background", "x", "y")}
    assert len({meaning(spec) for spec in specs}) == 3


def test_a_changed_file_is_read_again(make, tmp_path):
    path, sums = tmp_path / "labels" / "a.json", []
    folder = make()
    for side in (4, 15):
        tools.labelme(path, SIZE, ("car", "polygon", square(0, 0, side)))
        sums.append(int(labels(folder)["a"].sum()))
    assert sums == [16, 225]


def test_files_are_parsed_beside_each_other_and_one_file_once(tmp_path, monkeypatch):
    first = tmp_path / "first.json"
    others = (tmp_path / f"{number}.json" for number in range(99))
    paths = [first, next(path for path in others if loading._lock_of(path) is not loading._lock_of(first))]
    met, parse = threading.Barrier(2), Mock(wraps=loading._read)

    def waiting(*arguments):
        met.wait(20)
        return parse(*arguments)

    for path in paths:
        tools.labelme(path, SIZE, ("car", "polygon", square(0, 0, 4)))
    monkeypatch.setattr(loading, "_read", waiting)
    with ThreadPool(4) as pool:
        assert len(pool.map(loading.load, [*paths, *paths], chunksize=1)) == 4
    assert parse.call_count == 2


# COCO


def test_coco(make, tmp_path):
    mask = boxes((1, 3, 3, 5, 2)).astype(bool)
    counts = np.diff([0, *np.flatnonzero(np.diff(mask.T.ravel())) + 1, mask.size]).tolist()
    flat = [np.ravel(square(left, 2, 6)).tolist() for left in (1, 20)]
    crowd = [np.ravel(square(12, 0, 12)).tolist()]
    annotations = [
        (0, "car", {"size": list(SIZE), "counts": counts}),
        (0, "road", flat),
        (0, "road", crowd, True),
        (0, "car", []),
    ]
    tools.coco(tmp_path / "coco.json", [("a.png", SIZE), ("b.png", SIZE), ("gone.png", SIZE)], annotations, CLASSES)
    found = labels(make(["a.png", "b.png"], labels="coco.json"))
    expected = boxes((IGNORE, 12, 0, 12, 12), (2, 1, 2, 6, 6), (2, 20, 2, 6, 6), (1, 3, 3, 5, 2))
    np.testing.assert_array_equal(found["a"], expected)
    assert not found["b"].any()


def test_windows_of_many_polygons_are_those_of_all_and_near_ones_alone_are_drawn(make, tmp_path, monkeypatch):
    rng, annotations = np.random.default_rng(0), []
    for number in range(90):
        rings = [
            np.rint(rng.integers(-8, 38, 2) + rng.uniform(-1, 9, (4, 2))).ravel().tolist()
            for _ in range(1 + number % 2)
        ]
        annotations.append((0, CLASSES[number % 2], rings, *[True] * (number % 7 == 0)))
    counts = np.diff([0, *np.flatnonzero(np.diff(boxes((1, 3, 3, 5, 2)).T.ravel())) + 1, 600]).tolist()
    annotations.append((0, "car", {"size": list(SIZE), "counts": counts}))
    tools.coco(tmp_path / "coco.json", [("a.png", SIZE)], annotations, CLASSES)
    dataset, near = load("folders", make(labels="coco.json", patch=[5, 6])), shapes._near
    monkeypatch.setattr(shapes, "_near", lambda drawn, *_: drawn)
    expected = [dataset.read(sample)[1] for sample in dataset.samples("train")]
    filled = Mock(wraps=drawing.fill_rings)
    monkeypatch.setattr(shapes, "_near", near)
    monkeypatch.setattr(drawing, "fill_rings", filled)
    for sample, label in zip(dataset.samples("train"), expected):
        np.testing.assert_array_equal(dataset.read(sample)[1], label)
    assert len(expected) == 20 and filled.call_count < 20 * 90 / 3
    assert {*np.unique(expected)} == {0, 1, 2, IGNORE}


def test_images_of_many_files_and_of_other_disks(make, tmp_path):
    """Two images of one name in folders of their own, and paths of which only the last part is that of here."""
    box = [np.ravel(square(0, 0, 4)).tolist()]
    tools.coco(tmp_path / "labels" / "one.json", [("x/a.png", SIZE)], [(0, "car", box)], CLASSES)
    tools.coco(tmp_path / "labels" / "two.json", [("C:\\photos\\b.png", SIZE)], [(0, "road", box)], CLASSES)
    found = labels(make(["x/a.png", "y/a.png", "y/b.png"]))
    assert {name: int(label.max()) for name, label in found.items()} == {"x/a": 1, "y/b": 2}


@pytest.mark.parametrize("spelt", [("NFC", "NFC"), ("NFD", "NFD"), ("NFC", "NFD")])
def test_names_with_accents_are_found_however_they_are_spelt(make, tmp_path, spelt, capsys):
    """macOS has e and an accent where others have é, and tools write what they find, or not."""
    box = [np.ravel(square(0, 0, 4)).tolist()]
    names = [unicodedata.normalize(form, name) for form, name in zip(spelt, ("é/ü.png", "è/ñ.png"))]
    tools.coco(tmp_path / "coco.json", [(name, SIZE) for name in names], [(0, "car", box), (1, "road", box)], CLASSES)
    here = [unicodedata.normalize("NFD", name) for name in names]
    found = labels(make(here, labels="coco.json"))
    assert {name: int(label.max()) for name, label in found.items()} == {"é/ü": 1, "è/ñ": 2}
    tools.coco(tmp_path / "coco.json", [(f"/else/{name}", SIZE) for name in ("ü.png", "ñ.png")], [], CLASSES)
    assert len(labels(make(here, labels="coco.json"))) == 2
    assert "left out" not in capsys.readouterr().err


def test_two_images_of_one_name_in_two_spellings(make, tmp_path):
    spelt = [(unicodedata.normalize(form, "é.png"), SIZE) for form in ("NFC", "NFD")]
    tools.coco(tmp_path / "coco.json", spelt, [], CLASSES)
    assert "coco.json: two images are called 'é.png', but for how that is spelt" in complaint(make(labels="coco.json"))


def test_names_are_compared_with_each_other_a_few_times_alone(monkeypatch):
    """Not each with all others: COCO has 120,000 images."""

    class Name(str):
        compared = 0

        def __eq__(self, other):
            Name.compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    names = [Name(f"{number}.png") for number in range(200)]
    entries = dict.fromkeys(names, Entry(()))
    told = Annotations("COCO", entries, Counter(), names={str(name): name for name in names})
    monkeypatch.setattr(shapes, "load", lambda path, by: told)
    images = {str(name): Path("/images", str(name)) for name in names}
    assert len(shapes.of_images({"coco": Path("coco.json")}, True, images, "")) == 200
    assert Name.compared < 2000


def test_two_images_that_one_name_may_mean(make, tmp_path):
    tools.coco(tmp_path / "coco.json", [("a.png", SIZE)], [], CLASSES)
    folder = make(["x/a.png", "y/a.png"], labels="coco.json")
    assert "coco.json has 'a.png', which may be" in complaint(folder)


def test_no_image_is_named(make, tmp_path):
    tools.coco(tmp_path / "coco.json", [("../c.png", SIZE)], [], CLASSES)
    assert "coco.json names no image that is there: it has ../c.png, and there is" in complaint(
        make(labels="coco.json")
    )


# GeoJSON

UTM = "EPSG:32633"
PLACE = Affine(2.0, 0, 400_000, 0, -2.0, 5_800_000)  # of 2 metres a pixel


def on_earth(corners, into=UTM):
    """[x, y] of corners in pixels, as a closed ring."""
    x, y = np.transpose([*corners, corners[0]]) * [[PLACE.a], [PLACE.e]] + [[PLACE.c], [PLACE.f]]
    return np.transpose(transform(UTM, into, x, y)[:2]).tolist()


@pytest.fixture
def rasters(make, tmp_path):
    """As `make`, of one GeoTIFF in UTM."""

    def made(**keys):
        write_tiff(tmp_path / "images" / "a.tif", np.full((*SIZE, 3), 90, np.uint8), crs=UTM, transform=PLACE)
        return make((), **{"label_property": "kind", **keys})

    return made


@pytest.mark.parametrize(
    ("crs", "into"),
    [(None, "EPSG:4326"), ("urn:ogc:def:crs:OGC:1.3:CRS84", "EPSG:4326"), ("urn:ogc:def:crs:EPSG::32633", UTM)],
)
def test_geojson_lies_where_its_crs_says(rasters, tmp_path, crs, into):
    # Away from centres of pixels, which rounding would move over the border.
    outer, hole, others = square(2.2, 3.2, 12), square(5.2, 6.2, 4), [square(20.1, 1.1, 3), square(25.1, 10.1, 3)]
    polygon = [on_earth(outer, into), on_earth(hole, into)]
    features = [
        ({"kind": "road"}, "Polygon", polygon),
        ({"kind": "car"}, "MultiPolygon", [[on_earth(corners, into)] for corners in others]),
        ({}, "Point", on_earth(outer, into)[0]),
    ]
    tools.geojson(tmp_path / "all.geojson", *features, crs=crs)
    expected = boxes((2, 2, 3, 12, 12), (0, 5, 6, 4, 4), (1, 20, 1, 3, 3), (1, 25, 10, 3, 3))
    np.testing.assert_array_equal(labels(rasters(labels="all.geojson"))["a"], expected)


def test_corners_are_projected_once_for_all_windows_of_rasters(rasters, tmp_path, monkeypatch):
    tools.geojson(tmp_path / "all.geojson", ({"kind": "car"}, "Polygon", [on_earth(square(2.2, 3.2, 12))]), crs=UTM)
    counted = Mock(wraps=shapes.transform)
    monkeypatch.setattr(shapes, "transform", counted)
    folder = rasters(labels="all.geojson", classes={"car": "car"}, patch=10)
    assert len(labels(folder)) == 6 and counted.call_count == 1
    tools.geojson(tmp_path / "all.geojson", ({"kind": "car"}, "Polygon", [on_earth(square(1.2, 1.2, 3))]), crs=UTM)
    assert sum(label.sum() for label in labels(folder).values()) == 9, "the file has changed"


def test_of_many_shapes_on_earth_those_near_a_window_are_drawn_and_no_pixel_changes(rasters, tmp_path, monkeypatch):
    features = [({"kind": "car"}, "Polygon", [on_earth(square(left, 2.2, 4), UTM)]) for left in (1.2, 25.2, 50.2)]
    features.append(
        ({"kind": "road"}, "Polygon", [on_earth(square(x, 1.2, side), UTM) for x, side in ((8.2, 9), (90, 5))])
    )
    tools.geojson(tmp_path / "all.geojson", *features, crs=UTM)
    dataset = load("folders", rasters(labels="all.geojson", patch=10))
    filled = Mock(wraps=drawing.fill_rings)
    monkeypatch.setattr(drawing, "fill_rings", filled)
    read = {sample.window[:2]: dataset.read(sample)[1] for sample in dataset.samples("train")}
    assert len(read) == 6 and filled.call_count == 6  # one each, two upper left, none lower right
    expected = boxes((1, 1, 2, 4, 4), (1, 25, 2, 4, 4), (2, 8, 1, 9, 9))
    for (top, left), label in read.items():
        np.testing.assert_array_equal(label, expected[top : top + 10, left : left + 10])


@pytest.mark.parametrize("combined", [False, True])
def test_windows_of_many_shapes_on_earth_are_those_of_all_shapes(rasters, tmp_path, combined):
    """Also of shapes that end at a border of windows, to the last bit."""
    rng, features = np.random.default_rng(0), []
    for number in range(60):
        corners = rng.integers(-8, 38, 2) + rng.uniform(-1, 9, (rng.integers(3, 7), 2))
        corners = np.rint(corners) if number % 2 else corners
        rings = [on_earth(part.tolist(), UTM) for part in (corners, corners + rng.integers(-12, 12, 2))][
            : 1 + number % 3 % 2
        ]
        features.append(({"kind": CLASSES[int(rng.integers(2))]}, "Polygon", rings))
    tools.geojson(tmp_path / "all.geojson", *features, crs=UTM)
    keys = {"masks_overlap": {"car on road": CLASSES}} if combined else {}
    dataset = load("folders", rasters(labels="all.geojson", patch=[5, 6], **keys))
    path, image = tmp_path / "all.geojson", tmp_path / "images" / "a.tif"
    drawn, classes, meant = shapes.drawn_on(path, image, "kind"), dict(dataset.spec.shapes), set()
    for sample in dataset.samples("train"):
        if combined:
            expected = shapes._all_of(drawn, classes, SIZE, sample.window).label(dataset.spec, str)
        else:
            expected = drawing.draw([(one, classes[one.name]) for one in drawn], SIZE, 0, sample.window)
        label = dataset.read(sample)[1]
        np.testing.assert_array_equal(label, expected)
        meant.update(np.unique(label).tolist())
    assert meant == ({0, 1, 2, 3} if combined else {0, 1, 2})


def test_a_name_that_nobody_knows_is_told_wherever_it_lies(rasters, tmp_path):
    tools.geojson(tmp_path / "all.geojson", ({"kind": "raod"}, "Polygon", [on_earth(square(90, 2, 4), UTM)]), crs=UTM)
    with pytest.raises(DataError, match=r"all.geojson has a shape called 'raod', .* did you mean 'road'$"):
        labels(rasters(labels="all.geojson", patch=10))


def test_a_file_for_each_raster(rasters, tmp_path):
    tools.geojson(
        tmp_path / "labels" / "a.json", ({"kind": 7}, "Polygon", [on_earth(square(1.2, 1.2, 3), UTM)]), crs=UTM
    )
    assert labels(rasters(classes={"7": "car"}))["a"].sum() == 9


def test_an_image_that_lies_nowhere(make, tmp_path):
    tools.geojson(tmp_path / "all.geojson", ({"kind": "car"}, "Polygon", [on_earth(square(1, 1, 3))]), crs=UTM)
    with pytest.raises(DataError, match="a.png doesn't say where on earth it lies"):
        labels(make(labels="all.geojson", label_property="kind"))


# VIA and CVAT


@pytest.mark.parametrize("project", [True, False])
def test_via(make, tmp_path, project):
    regions = [
        ({"kind": "road"}, {"name": "rect", "x": 2, "y": 3, "width": 10, "height": 8}),
        ({"kind": "car"}, {"name": "polygon", "all_points_x": [4, 9, 9, 4], "all_points_y": [4, 4, 6, 6]}),
        ({"kind": "car"}, {"name": "ellipse", "cx": 20.5, "cy": 10.5, "rx": 2, "ry": 0.4}),
        ({}, {"name": "point", "cx": 1, "cy": 1}),
    ]
    tools.via(tmp_path / "via.json", {"a.png": regions}, project)
    expected = boxes((2, 2, 3, 10, 8), (1, 4, 4, 5, 2), (1, 18, 10, 5, 1))
    np.testing.assert_array_equal(labels(make(labels="via.json", label_property="kind"))["a"], expected)


def test_cvat(make, tmp_path):
    drawn = (
        '<box label="car" xtl="4" ytl="3" xbr="9" ybr="8" z_order="1"></box>'
        '<polygon label="road" points="2,2;12,2;12,12;2,12" z_order="0"></polygon>'
        '<ellipse label="road" cx="20.5" cy="10.5" rx="0.4" ry="2"></ellipse>'
        '<points label="car" points="1,1"></points>'
    )
    tools.cvat(tmp_path / "annotations.xml", [("a.png", SIZE, drawn)])
    expected = boxes((2, 2, 2, 10, 10), (2, 20, 8, 1, 5), (1, 4, 3, 5, 5))
    np.testing.assert_array_equal(labels(make(labels="annotations.xml"))["a"], expected)


# What is refused

ENTITY = '<!DOCTYPE a [<!ENTITY x "y">]><annotations><image name="a.png" width="30" height="20"/></annotations>'
VIDEO = '<annotations><version>1.1</version><track id="0" label="car"></track></annotations>'


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", "{", "cannot read .*a.json: Expecting property name"),
        ("a.json", "[" * 100_000, "cannot read .*a.json: maximum recursion"),
        ("a.json", '{"a": 1}', "it is none of labelme, COCO, GeoJSON"),
        (
            "a.json",
            '{"images": [], "annotations": [{}], "categories": []}',
            "something in it lacks 'image_id'|names no",
        ),
        ("a.json", '{"images": [{"id": 1}], "annotations": [], "categories": []}', "something in it lacks 'file_name'"),
        ("a.xml", ENTITY, "it has declarations"),
        ("a.xml", "<annotations>", "cannot read .*a.xml: no element found"),
        ("a.xml", "<html></html>", "it begins with <html>"),
        ("a.xml", VIDEO, "cannot read .*a.xml: it is of CVAT for video: export CVAT for images 1.1, or COCO"),
    ],
)
def test_a_file_that_can_not_be_read(make, tmp_path, name, text, told):
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=told) as error:
        load("folders", make(labels=name))
    assert "\n" not in str(error.value)


IMAGE = {"id": 1, "file_name": "a.png", "height": 20, "width": 30}
WHOLE = {"images": [IMAGE], "categories": [{"id": 5, "name": "car"}]}
FINE = {"id": 7, "image_id": 1, "category_id": 5, "segmentation": [[0, 0, 3, 0, 3, 3]]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"category_id": 6}, "annotation 8: names the category_id 6, which is not there"),
        ({"image_id": "1"}, "annotation 8: names the image_id '1', which is not there"),
        ({"segmentation": [[0, 0, 3, 0]]}, "annotation 8: a polygon has 2 corners"),
        ({"segmentation": [[0, 0, 3]]}, "annotation 8: cannot reshape"),
        ({"segmentation": {"size": [20, 30]}}, "annotation 8 lacks 'counts'"),
        ({"id": None, "image_id": []}, "annotation number 2: "),
    ],
)
def test_an_annotation_of_coco_that_can_not_be_read_is_named(make, tmp_path, change, told):
    content = {**WHOLE, "annotations": [FINE, {**FINE, "id": 8, **change}]}
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert f"a.json: {told}" in complaint(make(labels="a.json"))
    content["annotations"][1] = 3
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert "a.json: annotation number 2: 'int' object has no attribute 'get'" in complaint(make(labels="a.json"))


def test_a_shape_of_other_tools_that_can_not_be_read_is_named(make, rasters, tmp_path):
    fine, line = [({"kind": "car"}, "Polygon", [on_earth(square(1, 1, 3))])], [[0, 0], [1, 1]]
    tools.geojson(tmp_path / "all.geojson", *fine, ({"kind": "car"}, "Polygon", [line]), crs=UTM)
    assert "all.geojson: feature 2: a polygon has 2 corners" in complaint(rasters(labels="all.geojson"))
    tools.geojson(tmp_path / "all.geojson", *fine, ({}, "Polygon", [on_earth(square(1, 1, 3))]), crs=UTM)
    with pytest.raises(DataError, match="all.geojson: feature 2: a shape has no 'kind'"):
        labels(rasters(labels="all.geojson"))
    (tmp_path / "images" / "a.tif").unlink()
    tools.via(tmp_path / "via.json", {"a.png": [({}, {"name": "rect", "x": 1, "y": 1, "width": 3})]})
    assert "via.json: region 1 of 'a.png' lacks 'height'" in complaint(make(labels="via.json"))
    tools.cvat(tmp_path / "a.xml", [("a.png", SIZE, '<mask label="car"></mask>')])
    assert "a.xml: image 'a.png': a shape is a mask: draw it" in complaint(make(labels="a.xml"))


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        (("car", "polygon", [[0, 0], [1e308, 0], [1e308, 1e308]]), "a coordinate is no number, or too large"),
        (("car", "polygon", [[0, 0], [float("nan"), 0], [1, 1]]), "a coordinate is no number, or too large"),
        (("car", "circle", [[5, 5], [5, 5]]), "an ellipse has the radii 0 and 0"),
        (("car", "mask", [[5, 5], [7, 7]]), "a shape is a 'mask': draw it as a polygon"),
        ((None, "polygon", square(0, 0, 3)), "a shape is called None"),
    ],
)
def test_a_shape_that_can_not_be_drawn(make, tmp_path, shape, told):
    tools.labelme(tmp_path / "labels" / "a.json", SIZE, shape)
    with pytest.raises(DataError, match=f"cannot read .*a.json: shape 1: {told}"):
        labels(make())


def test_runs_of_another_image(make, tmp_path):
    runs = {"size": list(SIZE), "counts": [1, 2]}
    tools.coco(tmp_path / "coco.json", [("a.png", SIZE)], [(0, "car", runs)], CLASSES)
    with pytest.raises(DataError, match="coco.json, a.png: runs of 3 pixels in an image of 600"):
        labels(make(labels="coco.json"))


def test_a_crs_that_is_an_address_is_not_opened(rasters, tmp_path):
    tools.geojson(tmp_path / "all.geojson", crs="http://127.0.0.1:9/crs")
    assert "the CRS is 'http://127.0.0.1:9/crs': save it in one of EPSG" in complaint(rasters(labels="all.geojson"))


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({"rest": None}, "labels_hold is shapes: say what lies in none of them, a class"),
        ({"labels_soft": "nearest"}, "labels_soft is given, but labels_hold is shapes"),
        ({"void": ["car"]}, "the names of classes and void: 'car' stands there twice"),
        ({"classes": {"1": 5}}, "classes must be text, got 5"),
        (
            {"labels_hold": "ids", "rest": None, "label_property": "a"},
            "label_property is given, but labels_hold is ids",
        ),
    ],
)
def test_a_dataset_yaml_that_is_wrong(make, keys, told):
    assert told in complaint(make(**keys))


def test_files_of_shapes_that_are_read_as_geojson_alone(make, tmp_path):
    (tmp_path / "fields.gpkg").touch()
    path = tmp_path / "fields"
    way = f"; save it as GeoJSON: ogr2ogr -f GeoJSON {path}.geojson {path}.gpkg"
    assert complaint(make(labels="fields.gpkg")).endswith(f"where it is relative to that file{way}")
    path.mkdir()
    for end in ("shp", "dbf"):
        (path / f"a.{end}").touch()
    told = f"and there is .dbf .shp; save it as GeoJSON: ogr2ogr -f GeoJSON {path}/NAME.geojson {path}/NAME.shp"
    assert complaint(make(labels="fields")).endswith(told)
