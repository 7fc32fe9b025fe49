import dataclasses
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tiny
from program import launch_here
from served_here import ServedHere

from data_pipelines import DatasetSpec
from did_tf import models, wiring
from did_tf.common.errors import ConfigError
from did_tf.inference import alone, export, formats, inputs
from did_tf.inference.contract import Network
from did_tf.inference.formats import tensorflow_model
from did_tf.inference.gate import Gate
from did_tf.inference.predictor import Predictor
from did_tf.runs import manifest, temperature, weights
from did_tf.scoring.calibration import at_temperature


@pytest.fixture(scope="module")
def network():
    """(config, model with random weights, spec)."""
    config = tiny.config()
    spec = wiring.make_dataset(config).spec
    model = wiring.make_model(config, spec)
    # Each class is as likely as another on average, so that they differ from place to place.
    image = wiring.example_images(config, spec)[0]
    logits = model(image[None].astype(np.float32))["main"].numpy()
    head = model.get_layer("head.main.conv")
    head.set_weights([head.get_weights()[0], -logits.mean((0, 1, 2))])
    return config, model, spec


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """(run folder, what `export_model` printed) after the program has run."""
    config, model, _ = network
    run = tiny.save_run(tmp_path_factory.mktemp("run"), config, model)
    done = launch_here("export", "--experiment=did_synthetic", f"--run={run.folder}")
    assert done.returncode == 0, done.stderr
    return run, done.stdout


@pytest.fixture
def old(tmp_path):
    """What looks like a SavedModel of before."""
    folder = tmp_path / "saved_model"
    folder.mkdir()
    (folder / "saved_model.pb").write_text("old")
    return folder


@pytest.fixture
def images(network):
    config, _, spec = network
    return wiring.example_images(config, spec)


@pytest.fixture
def served_here(monkeypatch):
    """Serves in this process, and lets tests spoil the outputs: {output: function}."""
    spoil = {}
    monkeypatch.setattr(ServedHere, "spoil", spoil)
    monkeypatch.setattr(export, "Served", ServedHere)
    return spoil


def content(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_program_exports_and_checks(exported):
    run, printed = exported
    size = sum(os.path.getsize(path) for path in run.saved_model.rglob("*") if path.is_file())
    assert f"{run.saved_model}: {size / 1e6:.1f} MB, within" in printed
    assert "random images" not in printed
    assert {path.name for path in run.folder.iterdir()} == {"best", "config.json", "saved_model"}


def test_signature_takes_any_batch_and_size(exported, network):
    _, model, spec = network
    serve = tf.saved_model.load(str(exported[0].saved_model)).signatures[export.SIGNATURE]
    assert serve.structured_input_signature[1]["image"].shape.as_list() == [None, None, None, 3]
    predictor, rng = Predictor(model), np.random.default_rng(0)
    for shape in ((1, 17, 17), (3, 40, 33), (2, 5, 70), (1, 1, 1)):
        batch = rng.integers(0, 256, (*shape, 3), np.uint8)
        outputs = serve(image=tf.constant(batch))
        assert set(outputs) == {"classes", "probabilities"}
        classes, probabilities = outputs["classes"].numpy(), outputs["probabilities"].numpy()
        assert classes.dtype == np.uint8 and classes.shape == shape
        assert probabilities.dtype == np.float32 and probabilities.shape == (*shape, spec.num_classes)
        expected = np.stack([predictor(image)["main"] for image in batch])
        np.testing.assert_allclose(probabilities, expected, rtol=0, atol=1e-5)
        np.testing.assert_array_equal(classes, probabilities.argmax(-1))


def test_a_served_image_has_several_classes(exported, images):
    classes, probabilities = tiny.serve(exported[0].saved_model, images[0])
    assert classes.shape == images[0].shape[:2] and len(np.unique(classes)) > 3
    np.testing.assert_allclose(probabilities.sum(-1), 1, atol=1e-5)


def test_assets_name_the_classes_and_their_colours(exported, network):
    spec = network[2]
    asset = tf.saved_model.load(str(exported[0].saved_model)).dataset.asset_path.numpy().decode()
    assert Path(asset) == exported[0].saved_model / "assets" / "dataset.json"
    told = json.loads(Path(asset).read_text())
    assert told["name"] == "synthetic" and tuple(told["classes"]) == spec.classes
    assert [tuple(colour) for colour in told["palette"]] == list(spec.palette)
    assert (told["dtype"], told["bands"], told["mean"], told["std"]) == ("uint8", 3, [*spec.mean], [*spec.std])
    assert told["nodata"] is None and told["ids"] == list(range(11))


def test_assets_have_the_ids_of_the_users_own(network):
    spec = dataclasses.replace(network[2], label_ids=tuple(range(7, 304, 27)), void_ids=(5,), nodata=float("nan"))
    told = json.loads(json.dumps(Network(network[1], spec).about()), parse_constant=pytest.fail)
    assert told["ids"] == [7, 34, 61, 88, 115, 142, 169, 196, 223, 250, 277]
    assert (told["void_id"], told["void_class"], told["nodata"], told["nodata_rule"]) == (5, 255, "nan", "all")


def test_assets_say_what_the_network_depends_on(exported, network):
    run, config = exported[0], network[0]
    told = json.loads((run.saved_model / "assets" / "dataset.json").read_text())["identity"]
    assert told["weights"]["digest"] == weights.digest(run.best / "weights.npz")
    assert told["network"] == models.described(config["model"])
    assert {key: told[key] for key in ("did_tf", "git_commit")} == manifest.version()


@pytest.mark.parametrize(
    ("dtype", "nodata", "rule"),
    [
        ("uint8", 0.0, "all"),
        pytest.param("uint8", 0.0, "any", marks=pytest.mark.slow),
        ("float32", float("nan"), "all"),
        pytest.param("float32", -0.1, "any", marks=pytest.mark.slow),
    ],
)
def test_what_has_no_data_is_served_as_it_is_trained(dtype, nodata, rule, network, images, served_here, tmp_path):
    """A pixel without one band, and one without any."""
    _, model, spec = network
    spec = dataclasses.replace(spec, dtype=dtype, nodata=nodata, nodata_rule=rule)
    image = np.maximum(images[0], 1).astype(dtype)
    holes, filled, void = image.copy(), image.copy(), np.zeros(image.shape[:2], bool)
    mean = np.array(np.rint(spec.mean) if dtype == "uint8" else spec.mean, dtype)
    holes[5:20, 7:30, 1] = nodata
    holes[25:30, 7:30] = nodata
    filled[25:30, 7:30] = mean
    void[25:30, 7:30] = True
    if rule == "any":
        void[5:20, 7:30] = True
    if rule == "any" or dtype == "float32":
        filled[5:20, 7:30, 1] = mean[1]
    else:
        filled[5:20, 7:30, 1] = 0  # dark in one band
    path = export.export(model, spec, tmp_path / "saved_model", [image]).path
    classes, probabilities = tiny.serve(path, holes)
    expected = Predictor(model)(filled)["main"]
    np.testing.assert_allclose(probabilities, np.where(void[..., None], 0, expected), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(classes == 255, void)
    assert (classes == probabilities.argmax(-1))[~void].all()


def test_a_temperature_changes_the_probabilities_and_no_class(network, images, served_here, tmp_path):
    _, model, spec = network
    tempered = Network(model, spec, {}, temperature=0.1)
    export.write(formats.SAVED_MODEL, Gate(tempered, images[:1]), tmp_path / "saved_model")
    classes, probabilities = tiny.serve(tmp_path / "saved_model", images[0])
    plain = Predictor(model)(images[0])["main"]
    np.testing.assert_array_equal(classes, plain.argmax(axis=-1))
    np.testing.assert_allclose(probabilities, at_temperature(plain, 0.1), atol=1e-5)
    assert np.abs(probabilities - plain).max() > 0.01


def test_the_programs_temperature_is_of_the_weights_that_it_exports(exported):
    run, _ = exported
    temperature.write(run.evaluation / "val_calibration.json", "val", "whole", "others", {"temperature": 2.0})
    done = launch_here("export", "--experiment=did_synthetic", f"--run={run.folder}", "--calibrated")
    assert done.returncode == 2 and "val_calibration.json is of other weights than these" in done.stderr
    of_these = (weights.digest(run.best / "weights.npz"), {"temperature": 2.0}, {"evaluate.flip": True})
    temperature.write(run.evaluation / "val_calibration.json", "val", "whole", *of_these)
    done = launch_here(
        "export", "--experiment=did_synthetic", f"--run={run.folder}", "--calibrated", "--config.evaluate.flip=True"
    )
    shutil.rmtree(run.evaluation)
    assert done.returncode == 2 and "of evaluate.flip True, and what is exported has False: with --conf" in done.stderr


def test_one_that_is_there_is_replaced(network, images, served_here, old):
    _, model, spec = network
    (old / "stale").touch()
    result = export.export(model, spec, str(old), images[:1])
    assert result.path == old and result.difference < 1e-5 and result.bytes > 10_000
    assert {path.name for path in old.iterdir()} >= {"assets", "saved_model.pb", "variables"}
    assert not (old / "stale").exists() and [path.name for path in old.parent.iterdir()] == ["saved_model"]


@pytest.mark.parametrize(
    ("output", "spoil"),
    [
        ("probabilities", lambda values: values + 2e-3),
        pytest.param("probabilities", lambda values: values * np.nan, marks=pytest.mark.slow),
        ("classes", lambda values: (values + 1) % 11),
    ],
)
def test_disagreement_keeps_the_old_one(output, spoil, network, images, served_here, old):
    served_here[output] = spoil
    with pytest.raises(export.ExportFailed, match="differs from the model on image0_whole, 48x64 pixels"):
        export.export(*network[1:], old, images[:1])
    assert content(old.parent) == {"saved_model", "saved_model/saved_model.pb"}
    assert (old / "saved_model.pb").read_text() == "old"


def test_one_that_does_not_run_alone_is_not_written(network, images, monkeypatch, tmp_path):
    script = tmp_path / "script.py"
    script.write_text("raise ImportError('no such layer')")
    monkeypatch.setattr(alone, "__file__", str(script))
    with pytest.raises(export.ExportFailed, match="with TensorFlow alone: ImportError: no such layer"):
        export.export(*network[1:], tmp_path / "saved_model", images[:1])
    assert content(tmp_path) == {"script.py"}


def test_encoded_images_are_labelled_as_their_pixels(exported, images, tmp_path):
    signatures = tf.saved_model.load(str(exported[0].saved_model)).signatures
    image = images[0]
    files = [cv2.imencode(ending, image[..., ::-1])[1].tobytes() for ending in (".png", ".jpg")]
    decoded = cv2.imdecode(np.frombuffer(files[1], np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    found = signatures["encoded"](image_bytes=tf.constant(files))
    expected = signatures[export.SIGNATURE](image=tf.constant(np.stack([image, decoded])))
    np.testing.assert_array_equal(found["classes"], expected["classes"])
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("bands", "dtype", "takes"), [(3, "uint8", True), (1, "uint8", True), (3, "uint16", False)])
def test_images_that_are_no_png_have_no_such_signature(bands, dtype, takes, network):
    spec = dataclasses.replace(network[2], mean=(1.0,) * bands, std=(1.0,) * bands, dtype=dtype)
    assert tensorflow_model.takes_files(Network(network[1], spec)) == takes


def test_failed_move_puts_the_old_one_back(network, images, served_here, monkeypatch, old):
    replace = os.replace

    def full_disk(source, target):
        if str(source).endswith(".partial"):
            raise OSError(28, "No space left on device", str(target))
        replace(source, target)

    monkeypatch.setattr(export.os, "replace", full_disk)
    with pytest.raises(export.ExportFailed, match="No space left"):
        export.export(*network[1:], old, images[:1])
    assert content(old.parent) == {"saved_model", "saved_model/saved_model.pb"}
    assert (old / "saved_model.pb").read_text() == "old"


def test_one_that_a_killed_process_had_moved_away_is_put_back(network, images, monkeypatch, old):
    """Between its two renames; the next one fails."""

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    old.rename(old.with_name(".saved_model.old"))
    monkeypatch.setattr(export, "_convert", full_disk)
    with pytest.raises(export.ExportFailed, match="No space left"):
        export.export(*network[1:], old, images[:1])
    assert content(old.parent) == {"saved_model", "saved_model/saved_model.pb"}
    assert (old / "saved_model.pb").read_text() == "old"


def test_other_folders_are_left_alone(network, images, tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"is no SavedModel: delete it or pass another --output"):
        export.export(*network[1:], tmp_path, images)
    assert content(tmp_path) == {"thesis.tex"}


def test_a_path_that_can_not_be_made(network, images, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(export.ExportFailed, match="cannot export to .*file"):
        export.export(*network[1:], tmp_path / "file" / "saved_model", images)


def test_example_images_are_of_the_validation_split(network):
    config, _, spec = network
    expected = [image.read()[0] for image in inputs.split_images(wiring.make_dataset(config), "val", 2)]
    np.testing.assert_array_equal(wiring.example_images(config, spec), expected)


def test_example_images_without_validation_are_of_training(network):
    _, _, spec = network
    config = tiny.config(dataset__val_split="", dataset__train_split="train+val")
    expected = [image.read()[0] for image in inputs.split_images(wiring.make_dataset(config), "train", 2)]
    np.testing.assert_array_equal(wiring.example_images(config, spec), expected)


@pytest.mark.parametrize(("dtype", "mean"), [("uint8", 250.0), ("uint16", 60000.0), ("float32", -7.5)])
def test_random_images_are_like_those_of_the_data(dtype, mean):
    config = tiny.config(dataset__name="camvid", dataset__folder="/nonexistent", dataset__options={})
    spec = DatasetSpec("mine", ("a",), ((0, 0, 0),), {}, (mean,) * 2, (abs(mean) / 50,) * 2, dtype=dtype)
    image, _ = wiring.example_images(config, spec)
    assert image.dtype == dtype and image.shape[2] == 2
    np.testing.assert_allclose(image.astype(float).mean((0, 1)), mean, rtol=0.01)
    np.testing.assert_allclose(image.astype(float).std((0, 1)), abs(mean) / 50, rtol=0.25)


def test_example_images_without_data_are_random(network, capsys):
    config = tiny.config(dataset__name="camvid", dataset__folder="/nonexistent", dataset__options={})
    first, second = wiring.example_images(config, network[2])
    assert first.dtype == np.uint8 and first.shape[2] == 3 and (first != second).any()
    assert "random images, for there are no others: no CamVid in /nonexistent" in capsys.readouterr().out
