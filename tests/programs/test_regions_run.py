"""Data whose regions overlap, from training to serving: each logit by itself, and classes again at the end."""

import json
import shutil

import cv2
import numpy as np
import own_data
import pytest
import tiny
from program import launch_here
from scipy.special import expit
from served_here import ServedHere
from story import config
from tensorflow import keras

import did_tf
from data_pipelines import load
from did_tf import settings, wiring
from did_tf.common.errors import ConfigError
from did_tf.inference import export, large
from did_tf.runs import manifest
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring.overlapping import RegionScores

REGIONS = {"wet": ["water", "metal"], "metal": ["metal"]}
ALL_KINDS = "label,probabilities,confidence,entropy,margin,polygons,areas,outputs"


def painted(probabilities):
    """Classes by hand: metal over water over ground."""
    wet, metal = np.moveaxis(probabilities > 0.5, -1, 0)
    return np.where(metal, 2, np.where(wet, 1, 0))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return own_data.make_five_bands(tmp_path_factory.mktemp("data"), count=4, size=(40, 48), regions=REGIONS)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return untrained(data, tmp_path_factory.mktemp("runs") / "regions")


def untrained(data, folder):
    """(`RunFolder` of a network that has learnt nothing, but says of each pixel something else; the network)."""
    chosen = config("did_folders", data, {"evaluate.protocols": ["whole"]})
    keras.utils.set_random_seed(3)
    dataset = wiring.make_dataset(chosen)
    model = wiring.make_model(chosen, dataset.spec)
    logits = model(dataset.read(dataset.samples("val")[0])[0][None].astype(np.float32), training=False)["main"].numpy()
    head = model.get_layer("head.main.conv")
    kernel, bias = head.get_weights()
    head.set_weights([kernel / logits.std((0, 1, 2)), (bias - logits.mean((0, 1, 2))) / logits.std((0, 1, 2))])
    assert {name: logits.shape[-1] for name, logits in model.output.items()} == dict.fromkeys(model.output, 2)
    return tiny.save_run(folder, chosen, model), model


@pytest.fixture(scope="module")
def scene(data, run):
    """As of `seen`."""
    pixels, label, probabilities = seen(data, run)
    assert {*np.unique(painted(probabilities))} == {0, 1, 2} and np.abs(probabilities.sum(-1) - 1).max() > 0.1
    return pixels, label, probabilities


def seen(data, run):
    """(pixels of the validation image, its label, the network's probabilities)."""
    dataset = load("folders", data)
    pixels, label = dataset.read(dataset.samples("val")[0])
    return pixels, label, expit(run[1](pixels[None].astype(np.float32), training=False)["main"].numpy()[0])


def arguments(run, data):
    return ["--experiment=did_folders", f"--run={run[0].folder}", f"--data={data}"]


def test_evaluate_scores_classes_as_they_are_painted_and_regions(run, data, scene):
    _, label, probabilities = scene
    told = launch_here("evaluate", *arguments(run, data), "--details")
    assert told.returncode == 0, told.stderr
    report = json.loads((run[0].evaluation / "val.json").read_text())
    counted, found = np.zeros((3, 3), int), painted(probabilities)
    np.add.at(counted, (label, found), 1)
    ious = np.diag(counted) / (counted.sum(0) + counted.sum(1) - np.diag(counted))
    classes = report["outputs"]["main"]["classes"]
    assert [classes[name]["iou"] for name in own_data.CLASSES] == pytest.approx(ious.tolist())
    both, either = ((label > 0) & (found > 0)).sum(), ((label > 0) | (found > 0)).sum()
    assert report["regions"]["regions"]["wet"]["iou"] == pytest.approx(both / either)
    assert report["regions"]["regions"]["metal"]["iou"] == pytest.approx(ious[2])
    assert RegionScores.title in told.stdout and "details" in report


def test_predict_paints_and_says_how_sure_it_is(run, data, scene, tmp_path, monkeypatch):
    """Whole; in rows, as large images are labelled; and from Python."""
    pixels, _, probabilities = scene
    given = [*arguments(run, data), f"--input={data / 'images' / 'scene03.tif'}", f"--write={ALL_KINDS}"]
    told = launch_here("predict", *given, f"--output={tmp_path}")
    assert told.returncode == 0, told.stderr
    written = np.load(tmp_path / "scene03_probabilities.npy")
    np.testing.assert_allclose(written, probabilities, atol=1e-5)
    np.testing.assert_array_equal(cv2.imread(f"{tmp_path}/scene03_label.png", -1), painted(written))
    there = np.array([[0, 0], [1, 0], [1, 1]], bool)[painted(written)]  # in wet, in metal
    sure = np.where(there, written, 1 - written).min(-1)
    np.testing.assert_allclose(np.load(tmp_path / "scene03_confidence.npy"), sure, atol=1e-6)
    metal = (tmp_path / "scene03_areas.csv").read_text().splitlines()[3].split(",")
    assert metal[1] == "metal" and float(metal[-1]) == pytest.approx(sure[painted(written) == 2].mean(), abs=1e-4)
    monkeypatch.setattr(large, "LARGE", 1)
    told = launch_here("predict", *given, f"--output={tmp_path / 'rows'}", "--config.data.crop=(33,33)")
    assert told.returncode == 0, told.stderr
    in_rows = np.load(tmp_path / "rows" / "scene03_probabilities.npy")
    assert in_rows.shape == (40, 48, 2) and in_rows.min() >= 0 and in_rows.max() <= 1
    assert np.abs(in_rows.sum(-1) - 1).max() > 0.1, "each by itself"
    label = cv2.imread(f"{tmp_path}/rows/scene03_label.tif", -1)
    np.testing.assert_array_equal(label, painted(in_rows))
    np.testing.assert_array_equal(did_tf.load(run[0].folder).predict(pixels), painted(written))


def test_pixels_of_several_labels_are_scored_label_by_label(data, tmp_path):
    """A mask for each of two labels, which metal has both of: a logit for each, and a class for both."""
    folder = tmp_path / "data"
    shutil.copytree(data / "images", folder / "images")
    for path in (data / "labels").iterdir():
        label = cv2.imread(str(path), -1)
        for name, numbers in (("dry", (0, 2)), ("wet", (1, 2))):
            own_data.write_png(folder / "labels" / name / path.name, np.isin(label, numbers).astype(np.uint8) * 255)
    shutil.copy(data / "dataset.yaml", folder)
    several = {"classes": ["dry", "wet"], "void": "others", "masks_overlap": {"both": ["dry", "wet"]}, "regions": None}
    own_data.edit(folder, labels_hold="masks", **several)
    run = untrained(folder, tmp_path / "run")
    _, label, probabilities = seen(folder, run)
    np.testing.assert_array_equal(label, seen(data, run)[1])
    dry, wet = np.moveaxis(probabilities, -1, 0)
    expected = np.where((dry > 0.5) & (wet > 0.5), 2, np.where(wet > dry, 1, 0))  # void: others, so nothing is neither
    assert {*np.unique(expected)} == {0, 1, 2}
    told = launch_here("evaluate", *arguments(run, folder))
    assert told.returncode == 0, told.stderr
    report = json.loads((run[0].evaluation / "val.json").read_text())
    for name, numbers in (("dry", (0, 2)), ("wet", (1, 2))):
        true, there = np.isin(label, numbers), np.isin(expected, numbers)
        iou = (true & there).sum() / (true | there).sum()
        assert report["regions"]["regions"][name]["iou"] == pytest.approx(iou)
    given = [*arguments(run, folder), f"--input={folder / 'images' / 'scene03.tif'}", "--write=label,areas"]
    told = launch_here("predict", *given, f"--output={tmp_path}")
    assert told.returncode == 0, told.stderr
    np.testing.assert_array_equal(cv2.imread(f"{tmp_path}/scene03_label.png", -1), expected)
    assert "both" in (tmp_path / "scene03_areas.csv").read_text()


def test_what_takes_classes_to_exclude_each_other_is_refused(run, data):
    for command, flag in (("evaluate", "--calibration"), ("predict", "--calibrated"), ("evaluate", "--crf")):
        told = launch_here(command, *arguments(run, data), flag)
        assert told.returncode == 2 and "folders has regions in its dataset.yaml" in told.stderr
        assert told.stderr.count("\n") == 1


REFUSED = [
    ({"label_smoothing": 0.1}, "loss.label_smoothing is for classes that exclude each other, and folders has regions"),
    ({"terms": {"cross_entropy": 1.0, "lovasz": 1.0}}, "loss.terms: lovasz is for classes that exclude"),
    ({"terms": {"cross_entropy": 1.0, "boundary": 1.0}}, "loss.terms: boundary is for classes that exclude"),
    (
        {"terms": {"dice": 1.0, "tversky": 1.0}},
        "dice and tversky can't teach where a region is not, .* add one of cross",
    ),
    ({"terms": {"focal": 1.0, "dice": 1.0}, "class_balance": 0.5}, "loss.class_balance is of classes, dice of loss"),
    ({"terms": {"focal": 1.0, "dice": 1.0}, "class_weights": {"water": 2.0}}, "loss.class_weights is of classes, dice"),
]


@pytest.mark.parametrize(("changes", "told"), REFUSED)
def test_losses_that_do_not_go_with_regions_are_refused(changes, told, data):
    loss, spec = {**config("did_folders", data)["loss"], "class_balance": 0.0}, load("folders", data).spec
    with pytest.raises(ConfigError, match=told):
        settings.check_loss({**loss, **changes}, spec)
    settings.check_loss({**loss, "terms": {"focal": 1.0, "dice": 1.0}, "ohem_keep": 9}, spec)
    settings.check_loss({**loss, "class_balance": 0.5}, spec)


@pytest.mark.parametrize(
    "other", [{}, {"metal": ["metal"], "wet": ["water", "metal"]}, {"wet": ["water"], "metal": ["metal"]}]
)
def test_weights_of_other_regions_are_not_used(run, data, other, tmp_path):
    """Though there are as many logits: as of the same regions in another order, or of others."""
    chosen = config("did_folders", data)
    facts = manifest.facts(load("folders", data).spec)
    numbers = [[name, list(map(own_data.CLASSES.index, part))] for name, part in other.items()]
    kept = tiny.save_run(tmp_path / "run", chosen, run[1])
    kept.manifest.write_text(json.dumps({"data": {**facts, "regions": numbers}}))
    with pytest.raises(ConfigError, match="trained on other data than folders is: regions are .* and were "):
        wiring.load_network(chosen, kept.folder)


@pytest.mark.slow
def test_it_is_trained_and_what_is_exported_paints_the_same(data, tmp_path, monkeypatch):
    """Two steps, with deep supervision, Dice and mining; then a SavedModel, which says what its logits are of."""
    terms = {"loss.terms": {"cross_entropy": 1.0, "dice": 0.5}, "loss.ohem_keep": 200, "loss.class_balance": 0.0}
    chosen, folder = (
        config("did_folders", data, {**terms, "evaluate.protocols": ["whole"]}),
        RunFolder(tmp_path / "run"),
    )
    wiring.make_trainer(chosen, folder).fit()
    monkeypatch.setattr(export, "Served", ServedHere)
    told = launch_here("export", *arguments((folder,), data))
    assert told.returncode == 0, told.stderr
    trained, alone = did_tf.load(folder.folder), did_tf.load(folder.saved_model)
    pixels = load("folders", data).read_image(load("folders", data).samples("val")[0])
    probabilities = alone.predict(pixels, probabilities=True)
    np.testing.assert_allclose(probabilities, trained.predict(pixels, probabilities=True), atol=1e-4)
    np.testing.assert_array_equal(alone.predict(pixels), painted(probabilities))
    classes, _ = tiny.serve(folder.saved_model, pixels)
    assert (classes == alone.predict(pixels)).mean() > 0.999
    about = json.loads((folder.saved_model / "assets" / "dataset.json").read_text())
    assert about["regions"] == [["wet", [1, 2]], ["metal", [2]]]
    card = (folder.saved_model / "MODEL_CARD.md").read_text()
    assert "of wet, metal, each by itself" in card and "none -> ground, wet -> water, metal -> metal" in card
