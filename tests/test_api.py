import dataclasses
import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
import rasterio
import tiny
from photos import picture
from tensorflow import keras

import data_pipelines
import did_tf
from data_pipelines import DataError
from did_tf import api, wiring
from did_tf.common.errors import ConfigError
from did_tf.inference import outputs
from did_tf.inference.export import export
from did_tf.inference.memory import IN_TILES, Fitting
from did_tf.inference.predictor import Predictor


def make_run(folder, **options):
    config = tiny.config(**{f"dataset__options__{key}": value for key, value in options.items()})
    network = tiny.network(config)
    return tiny.save_run(folder, config, network), network


def check_labels(found, expected):
    """Several classes, and the same but for ties that rounding decides."""
    assert len(np.unique(expected)) > 1
    assert (found == expected).mean() > 0.999


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run, network = make_run(tmp_path_factory.mktemp("api") / "run")
    return run, network, did_tf.load(run.folder)


def test_what_a_model_says(made):
    model, spec = made[2], data_pipelines.spec_of("synthetic")
    assert (model.classes, model.ids, model.bands, model.dtype) == (spec.classes, spec.output_ids, 3, np.uint8)
    assert model.palette.tolist() == [list(colour) for colour in spec.palette] and model.palette.dtype == np.uint8


@pytest.mark.parametrize("size", [(20, 30), (33, 47)])
def test_an_array_is_labelled_as_the_predictor_does(made, size):
    _, network, model = made
    image = picture(*size, 4)
    expected = Predictor(network)(image)["main"]
    labels = model.predict(image)
    check_labels(labels, np.array(model.ids)[expected.argmax(-1)])
    assert labels.dtype == np.uint8
    np.testing.assert_allclose(model.predict(image, probabilities=True), expected, atol=1e-6)


def test_a_file_is_labelled_as_the_array_and_the_names_are_the_commands(made, tmp_path):
    image = picture(33, 47, 1)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    made[2].predict_file(tmp_path / "a.png", tmp_path / "out")
    names = {f"a_{kind}.png" for kind in outputs.PICTURES} | {"legend.png", "predictions.json"}
    assert {path.name for path in (tmp_path / "out").iterdir() if not path.name.startswith(".")} == names
    written = cv2.imread(str(tmp_path / "out" / "a_label.png"), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(written, made[2].predict(image))


def test_what_is_seen_in_an_image_that_was_read(made):
    image, mask = picture(33, 47, 4), np.eye(33, 47, dtype=bool)
    seen = made[2].see(image, mask)
    assert seen.dtype == np.uint8 and (seen[mask] == 255).all()
    np.testing.assert_array_equal(np.array(made[2].ids)[seen[~mask]], made[2].predict(image)[~mask])


def test_a_file_that_goes_in_tiles_for_want_of_memory_is_noted_once(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(Fitting, "_fits", lambda fitting, size, way: way == IN_TILES)
    cv2.imwrite(str(tmp_path / "a.tif"), picture(40, 47, 1))
    made[2].predict_file(tmp_path / "a.tif", tmp_path / "out", write=["label"])
    assert capsys.readouterr().err.count("go through the network in tiles") == 1
    record = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert record["images"]["a"]["protocol"] == IN_TILES


def test_a_file_that_fits_in_no_way_is_refused_before_the_folder_is_touched(made, tmp_path, monkeypatch):
    monkeypatch.setattr(Fitting, "_fits", lambda fitting, size, way: False)
    cv2.imwrite(str(tmp_path / "a.png"), picture(40, 47, 1))
    with pytest.raises(DataError, match="a .*: cut it into parts"):
        made[2].predict_file(tmp_path / "a.png", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_outputs_are_computed_where_they_are_drawn_alone(tmp_path):
    config = tiny.config(model__decoder="did")
    network = wiring.make_model(config, wiring.make_spec(config))
    model = did_tf.load(tiny.save_run(tmp_path / "run", config, network).folder)
    wanted = [model._labelling(kinds).ways.make("whole").classes for kinds in (["label", "overlay"], ["outputs"])]
    assert [*wanted[0]] == ["main"] and {*wanted[1]} == {*network.output} > {"main"}


def test_what_several_threads_label_together_is_what_each_labels_alone(made):
    model = did_tf.load(made[0].folder, together=4)
    images = [picture(20 + size, 30, size) for size in (0, 0, 0, 0, 1, 1)]
    with ThreadPoolExecutor(6) as threads:
        found = [*threads.map(lambda image: model.predict(image, probabilities=True), images)]
    for image, values in zip(images, found):
        np.testing.assert_allclose(values, made[2].predict(image, probabilities=True), atol=1e-6)


def test_what_tells_a_model_from_others(made, exported, tmp_path):
    again, other = did_tf.load(made[0].folder), did_tf.load(make_run(tmp_path / "run")[0].folder)
    found = [model.identity for model in (made[2], again, other, exported[1])]
    assert found[0] == found[1] and len({*found}) == 3
    assert did_tf.load(made[0].folder, protocol="tiles").identity not in found


def test_five_bands(tmp_path):
    run, network = make_run(tmp_path / "run", bands=5)
    image = np.random.default_rng(0).integers(0, 256, (21, 35, 5), np.uint8)
    expected = Predictor(network)(image)["main"].argmax(-1)
    check_labels(did_tf.load(run.folder).predict(image), expected)


def test_an_image_of_one_band_may_have_no_axis_for_it(tmp_path):
    model = did_tf.load(make_run(tmp_path / "run", bands=1)[0].folder)
    image = picture(20, 30, 1)[..., :1]
    np.testing.assert_array_equal(model.predict(image[..., 0]), model.predict(image))


@pytest.mark.parametrize(
    "image, told",
    [
        ([[1]], "must be a NumPy array .*got list"),
        (np.zeros((9, 9), np.uint8), r"must be \[height, width, 3\] of uint8, got \[9, 9\]"),
        (np.zeros((9, 9, 4), np.uint8), r"got \[9, 9, 4\]"),
        (np.zeros((0, 9, 3), np.uint8), r"got \[0, 9, 3\]"),
        (np.full((9, 9, 3), np.nan), "of float64"),
    ],
)
def test_what_is_no_image(made, image, told):
    with pytest.raises(DataError, match=told):
        made[2].predict(image)


def test_what_is_no_run(made, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text('{"model": ')
    refused = {"file": "is no folder", "empty": "no run folder", "damaged": "config.json", "nowhere": "no folder"}
    for name, told in refused.items():
        with pytest.raises(ConfigError, match=told):
            did_tf.load(tmp_path / name)
    with pytest.raises(ConfigError, match="remote place"):
        did_tf.load("gs://bucket/run")
    with pytest.raises(ConfigError, match="the path is empty: pass a run folder"):
        did_tf.load("")
    with pytest.raises(ConfigError, match="there is no temperature of this run, .*val_calibration.json"):
        did_tf.load(made[0].folder, calibrated=True)
    with pytest.raises(ConfigError, match="unknown protocol"):
        did_tf.load(made[0].folder, protocol="hole")
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        did_tf.lod  # noqa: B018


def test_other_layers_of_the_process_stay_as_they_were(made, monkeypatch):
    """Keras makes them by a policy of all. How products are rounded is of all, too, and known from the first on."""
    monkeypatch.setattr(api.OfRun, "is_fast", None)
    policy = keras.mixed_precision.global_policy().name
    model = did_tf.load(made[0].folder, precision="bfloat16")
    assert keras.mixed_precision.global_policy().name == policy == "float32"
    assert "bfloat16" in {layer.compute_dtype for layer in model._network.layers}
    assert api.OfRun.is_fast is False


@pytest.mark.parametrize("fast", [True, False])
def test_what_is_of_the_whole_process_is_not_mixed(made, monkeypatch, fast):
    monkeypatch.setattr(api.OfRun, "is_fast", fast)
    with pytest.raises(ConfigError, match="precision float32_fast is of the whole process: load others"):
        did_tf.load(made[0].folder, precision="float32" if fast else "float32_fast")


def test_what_is_imported_without_asking():
    told = "import sys, did_tf; print(did_tf.__version__, {'tensorflow', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True)
    assert done.stdout == f"{did_tf.__version__} set()\n"


def test_weights_of_another_network(tmp_path):
    run, _ = make_run(tmp_path / "run")
    settings = tiny.config(model__growth=6)
    tiny.write_json(run.config, settings)
    with pytest.raises(ConfigError, match="weights.npz"):
        did_tf.load(run.folder)


def test_16_bit_with_no_data_and_ids_of_the_users_own(made, tmp_path, monkeypatch):
    spec = wiring.make_spec(tiny.config())
    ids = tuple(range(300, 300 + spec.num_classes))
    spec = dataclasses.replace(spec, dtype="uint16", nodata=0, label_ids=ids, void_ids=(7,))
    monkeypatch.setattr("did_tf.wiring.networks.make_spec", lambda config: spec)
    model = did_tf.load(made[0].folder)
    image = picture(21, 35, 1).astype(np.uint16) * 100 + 1
    image[:5, :9] = 0
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    model.predict_file(tmp_path / "a.png", tmp_path / "out")
    labels = model.predict(image)
    assert labels.dtype == np.uint16 and (labels[:5, :9] == 7).all() and set(labels[5:].flat) <= set(ids)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out" / "a_label.png"), cv2.IMREAD_UNCHANGED), labels)
    assert np.isnan(model.predict(image, probabilities=True)[:5, :9]).all()


def test_damaged_weights_and_what_is_caught(tmp_path):
    run, _ = make_run(tmp_path / "run")
    (run.best / "weights.npz").write_bytes((run.best / "weights.npz").read_bytes()[:300])
    with pytest.raises(did_tf.ConfigError, match="weights.npz"):
        did_tf.load(run.folder)
    assert did_tf.DataError is DataError and issubclass(did_tf.Failure, RuntimeError)


@pytest.fixture(scope="module")
def exported(made, tmp_path_factory):
    """(folder, model) of a SavedModel of the network, whose data has ids of its own and a value for no data."""
    folder = tmp_path_factory.mktemp("exported") / "saved_model"
    spec = data_pipelines.spec_of("synthetic")
    ids = tuple(range(300, 300 + spec.num_classes))
    spec = dataclasses.replace(spec, nodata=0, nodata_tags="none", void_colours=((9, 8, 7),))
    spec = dataclasses.replace(spec, label_ids=ids, void_ids=(7,))
    export(made[1], spec, folder, [picture(20, 30, 0)], {"weights": "of a test"})
    return folder, did_tf.load(folder)


@pytest.mark.parametrize("size", [(20, 30), (33, 47)])
def test_a_saved_model_labels_as_its_run(made, exported, size, tmp_path):
    image = np.maximum(picture(*size, 4), 1)
    labels = exported[1].predict(image)
    check_labels(labels, made[2].predict(image).astype(np.uint16) + 300)
    cv2.imwrite(str(tmp_path / "a.png"), image[..., ::-1])
    exported[1].predict_file(tmp_path / "a.png", tmp_path / "out")
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out" / "a_label.png"), cv2.IMREAD_UNCHANGED), labels)


def test_a_saved_model_knows_where_there_is_no_data(exported):
    image = np.maximum(picture(20, 30, 4), 1)
    image[:5, :9] = 0
    labels, probabilities = exported[1].predict(image), exported[1].predict(image, probabilities=True)
    assert (labels[:5, :9] == 7).all() and 7 not in labels[5:]
    assert np.isnan(probabilities[:5, :9]).all() and np.isfinite(probabilities[5:]).all()
    assert exported[1].void_id == 7 and exported[1].classes == data_pipelines.spec_of("synthetic").classes


def test_a_saved_model_reads_files_and_colours_void_as_its_run(exported, tmp_path):
    image = np.maximum(picture(20, 30, 4), 1)
    image[:5, :9] = 5
    size = {"height": 20, "width": 30, "count": 3, "dtype": "uint8"}
    with rasterio.open(tmp_path / "a.tif", "w", driver="GTiff", nodata=5, **size) as file:
        file.write(image.transpose(2, 0, 1))
    exported[1].predict_file(tmp_path / "a.tif", tmp_path / "out", ["label"])
    (written,) = (tmp_path / "out").glob("a_label.*")
    labels = cv2.imread(str(written), cv2.IMREAD_UNCHANGED)
    assert 7 not in labels, "of whose files no tag counts"
    np.testing.assert_array_equal(labels, exported[1].predict(image))
    assert outputs.legend(exported[1].spec)[-1][2] == (9, 8, 7)


def test_what_is_no_saved_model_of_ours(exported, tmp_path):
    with pytest.raises(ConfigError, match="takes images whole"):
        did_tf.load(exported[0], protocol="tiles")
    with pytest.raises(ConfigError, match="at the temperature that `did_tf export --calibrated` gave it"):
        did_tf.load(exported[0], calibrated=True)
    copy = tmp_path / "copy"
    shutil.copytree(exported[0], copy)
    (copy / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match="can't be loaded as a SavedModel"):
        did_tf.load(copy)
    (copy / "assets" / "dataset.json").write_text('{"name": "a"}')
    with pytest.raises(ConfigError, match="dataset.json is damaged"):
        did_tf.load(copy)
    (copy / "assets" / "dataset.json").unlink()
    with pytest.raises(ConfigError, match="not of `did_tf export`"):
        did_tf.load(copy)


def test_settings_of_testing_are_keywords(made):
    folder, image = made[0].folder, picture(33, 47, 1)
    mirrored = did_tf.load(folder, flip=True).predict(image, probabilities=True)
    plain = made[2].predict(image, probabilities=True)
    np.testing.assert_allclose(
        mirrored, (plain + made[2].predict(image[:, ::-1], probabilities=True)[:, ::-1]) / 2, atol=1e-5
    )
    with pytest.raises(ConfigError, match="load has no keyword 'flips', did you mean 'flip'"):
        did_tf.load(folder, flips=True)
    with pytest.raises(ConfigError, match="load has no keyword 'protocols'"):
        did_tf.load(folder, protocols=("tiles",))
    with pytest.raises(ConfigError, match="scales are of no use to protocol 'whole': they need scales or tiles"):
        did_tf.load(folder, scales=(0.5, 1.0))
    with pytest.raises(ConfigError, match="evaluate.scales"):
        did_tf.load(folder, scales=(0,))
    with pytest.raises(ConfigError, match="write has 'lable'"):
        made[2].predict_file(__file__, "/nonexistent", write=["lable"])
