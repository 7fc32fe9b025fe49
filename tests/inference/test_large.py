import csv
import json

import cv2
import numpy as np
import pytest
import rasterio
from tensorflow import keras

from data_pipelines.spec import DataError, DatasetSpec
from did_tf.inference import inputs, large, outputs, strips
from did_tf.inference.folder import Predictions
from did_tf.inference.labelling import Labelling
from did_tf.inference.large import RowsFile
from did_tf.inference.predictor import Predictor
from did_tf.models.layers import Normalize
from did_tf.scoring.calibration import at_temperature
from did_tf.scoring.evaluation import MAIN

SPEC = DatasetSpec(
    "three",
    ("a", "b", "c"),
    ((9, 9, 9), (200, 0, 0), (0, 200, 0)),
    {},
    mean=(100.0,) * 3,
    std=(50.0,) * 3,
    void_ids=(7,),
    label_ids=(4, 5, 6),
    nodata=0,
)
UTM = {"crs": "EPSG:32633", "transform": rasterio.Affine(10, 0, 500000, 0, -10, 5000000)}


@pytest.fixture(scope="module")
def model():
    image = keras.Input((None, None, 3))
    x = Normalize(SPEC.mean, SPEC.std, name="normalize")(image)
    model = keras.Model(image, {MAIN: keras.layers.Conv2D(3, 3, padding="same", name="main")(x)})
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 1, weights.shape) for weights in model.get_weights()])
    return model


@pytest.fixture(scope="module")
def predictor(model):
    return Predictor(model, 16)


@pytest.fixture(scope="module")
def pixels():
    found = np.random.default_rng(1).integers(1, 256, (90, 70, 3), np.uint8)
    found[30:50, 20:40] = 0  # nobody was there
    return found


@pytest.fixture
def scene(tmp_path, pixels):
    path, size = tmp_path / "scene.tif", {"height": 90, "width": 70, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", driver="GTiff", compress="deflate", blockysize=8, **size, **UTM) as file:
        file.write(pixels.transpose(2, 0, 1))
    return path


def label(path, output, predictor, kinds, depends=(), temperature=1.0):
    (image,) = inputs.find_images(path, output, SPEC)
    with Predictions(output, {"all": depends}, SPEC, [image.name]) as folder:
        large.label(image, image.content(), predictor, SPEC, folder, kinds, "tiles_once", temperature)


def test_a_large_image_is_labelled_as_one_that_fits(tmp_path, scene, pixels, predictor):
    (image,) = inputs.find_images(scene, tmp_path / "out", SPEC)
    (tmp_path / "out").mkdir()
    label(scene, tmp_path / "out", predictor, outputs.KINDS)
    whole, mask = image.read()
    measured, keep = outputs.measuring(whole.shape[:2], outputs.measures_for(outputs.KINDS))
    seen = outputs.see(predictor, whole, mask, keep)
    outputs.write_results(tmp_path / "small", "scene", whole, seen, SPEC, image.place(), outputs.KINDS, measured)
    for name in ("label.tif", "color.tif", "confidence.tif", "entropy.tif", "margin.tif"):
        with (
            rasterio.open(tmp_path / "out" / f"scene_{name}") as one,
            rasterio.open(tmp_path / "small" / f"scene_{name}") as other,
        ):
            np.testing.assert_allclose(one.read(), other.read(), atol=1e-6)
            assert (one.crs, one.transform, str(one.nodata)) == (other.crs, other.transform, str(other.nodata))
            assert one.crs.to_epsg() == 32633
    for name in ("overlay.png", "outputs.png", "polygons.geojson", "areas.csv"):
        ours, theirs = (tmp_path / folder / f"scene_{name}" for folder in ("out", "small"))
        assert ours.read_bytes() == theirs.read_bytes(), name
    with rasterio.open(tmp_path / "out" / "scene_probabilities.tif") as file:
        found = file.read().transpose(1, 2, 0)
    assert np.isnan(found[30:50, 20:40]).all() and np.isnan(found).sum() == 20 * 20 * 3
    np.testing.assert_array_equal(np.argmax(found[:30], -1), seen[MAIN][:30])
    with rasterio.open(tmp_path / "out" / "scene_label.tif") as file:
        assert (file.read(1)[30:50, 20:40] == 7).all() and {*np.unique(file.read(1))} == {4, 5, 6, 7}


def test_a_temperature_changes_how_sure_the_network_is_and_no_label(tmp_path, scene, predictor):
    found = []
    for temperature in (1.0, 2.5):
        output = tmp_path / str(temperature)
        output.mkdir()
        label(scene, output, predictor, ("label", "confidence", "probabilities"), temperature=temperature)
        files = [output / f"scene_{kind}.tif" for kind in ("label", "confidence", "probabilities")]
        found.append([rasterio.open(file).read().transpose(1, 2, 0) for file in files])
    (plain, _, probabilities), (labels, sure, tempered) = found
    np.testing.assert_array_equal(plain, labels)
    np.testing.assert_array_equal(tempered, at_temperature(probabilities, 2.5))
    np.testing.assert_array_equal(sure[..., 0], tempered.max(axis=-1))


class OneWay:
    """Stands for a `memory.Fitting`: all images go by one predictor."""

    def __init__(self, predictor):
        self.predictor = predictor

    def make(self, way):
        return self.predictor

    def check(self, way, name, size):
        pass


@pytest.mark.parametrize("way", ["whole", "tiles", "rows"])
@pytest.mark.parametrize("kinds", [("label", "color", "overlay"), ("label", "probabilities")])
def test_what_is_not_sure_has_no_class_whichever_way_an_image_goes(tmp_path, scene, model, predictor, way, kinds):
    seeing = Predictor(model) if way == "whole" else predictor
    in_rows = ("tiles_once", lambda: seeing) if way == "rows" else None
    how = Labelling(OneWay(seeing), SPEC, kinds, in_rows, temperature=1.5, least=0.8)
    (image,) = inputs.find_images(scene, tmp_path / "out", SPEC)
    (tmp_path / "out").mkdir()
    with Predictions(tmp_path / "out", {}, SPEC, [image.name]) as folder:
        task = how.task(image, image.content(), image.size(), "" if in_rows else way)
        assert task.is_large == (way == "rows")
        task.write(folder, task.see())

    pixels, void = image.read()
    probabilities = at_temperature(seeing(pixels)[MAIN], 1.5)
    classes, sure = probabilities.argmax(axis=-1), probabilities.max(axis=-1) >= np.float32(0.8)
    with rasterio.open(tmp_path / "out" / "scene_label.tif") as file:
        np.testing.assert_array_equal(file.read(1), np.where(void | ~sure, 7, np.array([4, 5, 6])[classes]))
    if "overlay" in kinds:
        overlay = cv2.imread(str(tmp_path / "out" / "scene_overlay.png"))[..., ::-1]
        alone = outputs.shown(pixels, np.where(void, np.uint8(255), 0), SPEC)
        np.testing.assert_array_equal(overlay[~sure | void], alone[~sure | void])
    counts = [np.bincount(classes[there], minlength=3) for there in (~void, ~void & sure)]
    assert (np.array(counts[1]) < counts[0]).all() and (counts[1] > 0).all()
    again = Predictions(tmp_path / "out", {}, SPEC, [image.name])  # of another process
    np.testing.assert_array_equal(again.counted(["scene", "other"], 3), counts)


def test_areas_are_those_of_the_label(tmp_path, scene, predictor):
    (tmp_path / "out").mkdir()
    label(scene, tmp_path / "out", predictor, ("label", "areas"))
    with rasterio.open(tmp_path / "out" / "scene_label.tif") as file:
        counts = dict(zip(*np.unique(file.read(1), return_counts=True)))
    with open(tmp_path / "out" / "scene_areas.csv", newline="") as file:
        rows = [*csv.DictReader(file)]
    assert {int(row["id"]): int(row["pixels"]) for row in rows} == counts
    assert float(rows[0]["square_metres"]) == counts[4] * 100


class Killed(Exception):
    pass


def killed_after(predictor, rows):
    """The predictor, of which the process is killed once it has come to a row."""

    class Dying:
        tile = predictor.tile

        def strips(self, image, begin=0):
            for part, values in predictor.strips(image, begin):
                if part.start >= rows:
                    raise Killed
                yield part, values

    return Dying()


def test_a_killed_command_goes_on_within_an_image(tmp_path, scene, predictor):
    output = tmp_path / "out"
    output.mkdir()
    with pytest.raises(Killed):
        label(scene, output, killed_after(predictor, 40), ("label", "confidence"))
    state = json.loads((output / ".unfinished" / "scene" / "state.json").read_text())
    assert 30 <= state["rows"] <= 50 and not (output / "scene_label.tif").exists()
    begun = []

    class Watched:
        tile = predictor.tile

        def strips(self, image, begin=0):
            begun.append(begin)
            return predictor.strips(image, begin)

    label(scene, output, Watched(), ("label", "confidence"))
    assert begun == [state["rows"]]
    (tmp_path / "once").mkdir()
    label(scene, tmp_path / "once", predictor, ("label", "confidence"))
    for name in ("label", "confidence"):
        with (
            rasterio.open(output / f"scene_{name}.tif") as one,
            rasterio.open(tmp_path / "once" / f"scene_{name}.tif") as other,
        ):
            np.testing.assert_allclose(one.read(), other.read(), atol=1e-6)
    assert not (output / ".unfinished").exists()


@pytest.mark.parametrize("other", ["depends", "content", "kinds", "tile"])
def test_rows_of_something_else_are_done_anew(tmp_path, scene, pixels, model, predictor, other):
    output = tmp_path / "out"
    output.mkdir()
    with pytest.raises(Killed):
        label(scene, output, killed_after(predictor, 40), ("label",))
    if other == "content":
        with rasterio.open(scene, "r+") as file:
            file.write(255 - pixels.transpose(2, 0, 1))
    kinds = ("label", "margin") if other == "kinds" else ("label",)
    now = Predictor(model, 32) if other == "tile" else predictor
    with pytest.raises(Killed):
        label(scene, output, killed_after(now, 0), kinds, depends=["other"] if other == "depends" else ())
    assert json.loads((output / ".unfinished" / "scene" / "state.json").read_text())["rows"] == 0


@pytest.mark.parametrize("damage", ["short file", "no JSON", "no number", "too many", "none left"])
def test_rows_that_are_damaged_are_done_anew(tmp_path, scene, predictor, damage):
    output = tmp_path / "out"
    output.mkdir()
    with pytest.raises(Killed):
        label(scene, output, killed_after(predictor, 40), ("label",))
    main, state = (output / ".unfinished" / "scene" / name for name in ("main", "state.json"))
    rows = {"no number": "3", "too many": 91, "none left": -1}.get(damage)
    if damage == "short file":
        main.write_bytes(main.read_bytes()[:100])
    else:
        state.write_text(json.dumps({**json.loads(state.read_text()), "rows": rows}) if rows else "{")
    with pytest.raises(Killed):
        label(scene, output, killed_after(predictor, 0), ("label",))
    assert json.loads(state.read_text())["rows"] == 0


def test_an_image_without_a_place_is_written_without_one(tmp_path, pixels, predictor):
    np.save(tmp_path / "scene.npy", pixels)
    (tmp_path / "out").mkdir()
    label(tmp_path / "scene.npy", tmp_path / "out", predictor, ("label", "probabilities", "margin"))
    with rasterio.open(tmp_path / "out" / "scene_label.tif") as file:
        assert file.crs is None and file.shape == (90, 70)
    assert np.load(tmp_path / "out" / "scene_probabilities.npy").shape == (90, 70, 3)
    assert np.load(tmp_path / "out" / "scene_margin.npy").shape == (90, 70)


def test_pictures_of_a_large_image_are_thinned_out(tmp_path, scene, pixels, predictor, monkeypatch):
    monkeypatch.setattr(outputs, "SHOWN", 31)
    monkeypatch.setattr(strips, "PIXELS", 1)
    monkeypatch.setattr(outputs, "BLOCK", 16)  # rows at a time, of which every third is shown
    (tmp_path / "out").mkdir()
    label(scene, tmp_path / "out", predictor, ("label", "overlay"))
    shown = cv2.imread(str(tmp_path / "out" / "scene_overlay.png"))[..., ::-1]
    with rasterio.open(tmp_path / "out" / "scene_label.tif") as file:
        classes = file.read(1)[::3, ::3]
    colours = np.array([*SPEC.palette, (0, 0, 0)])[classes - 4]
    expected = np.where((classes == 7)[..., None], 0, (pixels[::3, ::3] + colours) / 2)
    assert shown.shape == (30, 24, 3) and abs(shown - expected).max() <= 1


@pytest.mark.parametrize(("width", "rows"), [(4000, 512), (700, 2560)])
def test_pictures_take_each_block_of_a_file_once(width, rows):
    pixels, read = np.arange(3000 * width, dtype=np.int32).reshape(3000, width), []

    class Recorded:
        shape = pixels.shape

        def __getitem__(self, part):
            read.append((part.start, part.stop))
            return pixels[part]

    np.testing.assert_array_equal(outputs._thinned(Recorded(), 7), pixels[::7, ::7])
    assert read == [(top, top + rows) for top in range(0, 3000, rows)]


# Which


def tiff(path, height=90, **options):
    with rasterio.open(path, "w", driver="GTiff", height=height, width=70, count=3, dtype="uint8", **options) as file:
        file.write(np.ones((3, height, 70), np.uint8))
    return path


@pytest.mark.parametrize(
    "options, in_rows",
    [
        ({}, True),
        ({"compress": "deflate", "blockysize": 16}, True),
        ({"height": 2000, "compress": "deflate", "blockysize": 2000}, False),
        ({"tiled": True, "blockxsize": 64, "blockysize": 64}, True),
    ],
)
def test_files_that_are_read_in_rows(tmp_path, options, in_rows):
    (image,) = inputs.find_images(tiff(tmp_path / "a.tif", **options), tmp_path / "out", SPEC)
    assert (image.rows() is not None) == in_rows
    assert large.is_large(image, image.size(), fits=False) == in_rows
    assert not large.is_large(image, image.size(), fits=True), "it is small"


def test_a_picture_is_read_whole(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.ones((9, 9, 3), np.uint8))
    (image,) = inputs.find_images(tmp_path / "a.png", tmp_path / "out", SPEC)
    assert image.rows() is None and not large.is_large(image, (10**6, 10**6), fits=False)


def test_an_image_whose_rows_do_not_fit_is_refused(monkeypatch, predictor):
    monkeypatch.setattr(large, "free_memory", lambda: 4e8)
    large.check_room("a", (10**6, 100), predictor, SPEC)
    with pytest.raises(DataError, match=r"a \(100x1000000\) would take .* GB of memory row by row"):
        large.check_room("a", (100, 10**6), predictor, SPEC)


def test_rows_in_a_file_are_put_and_read(tmp_path):
    array, expected = RowsFile(tmp_path / "a", (7, 5, 2), np.float32), np.zeros((7, 5, 2), np.float32)
    for rows in (slice(0, 3), slice(3, 7), slice(2, 4)):
        expected[rows] = np.random.default_rng(rows.stop).random(expected[rows].shape)
        array[rows] = expected[rows]
    np.testing.assert_array_equal(array[0:7], expected)
    np.testing.assert_array_equal(array[2:99], expected[2:])
    array.close()
    np.testing.assert_array_equal(RowsFile(tmp_path / "a", (7, 5, 2), np.float32)[1:3], expected[1:3])
