"""A CRF over a tiny run of the drawn scenes: evaluate, predict and the search, by the package itself."""

import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
import tiny
from program import PROJECT

from did_tf import wiring
from did_tf.inference import crf
from did_tf.scoring.details import DetailScores
from did_tf.scoring.metrics import ConfusionMatrix

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("pydensecrf"), reason="needs pydensecrf2: pip install -e .[crf]"),
]
COMMANDS = {
    "evaluate": ["--crf", "--nolast_step", "--details", "--config.crf.iterations=3"],
    "predict": ["--crf", "--probabilities"],
    "predict together": ["--crf", "--output=TOGETHER"],
    "search-crf": ["--appearance_weight=0,3", "--appearance_xy=15", "--appearance_colour=3,30", "--limit=2"],
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(settings, model, run folder, {command: what it printed})."""
    config, folder = tiny.config(model__decoder="did"), tmp_path_factory.mktemp("run")
    model = wiring.make_model(config, wiring.make_spec(config))
    run, printed = tiny.save_run(folder, config, model), {}
    for name, more in COMMANDS.items():
        more = [argument.replace("TOGETHER", str(folder / "together")) for argument in more]
        name = name.split()[0]
        command = [sys.executable, "-m", "did_tf", name, "--experiment=did_synthetic", f"--run={folder}", *more]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        printed[name] = done.stdout
    return config, model, run, printed


def refined(config, model, **changes):
    """([label], [refined probabilities]) of val, by calls of the CRF itself."""
    dataset = wiring.make_dataset(config)
    field = crf.make(dataset.spec, {**config["crf"], **changes})
    predictor, pairs = wiring.make_predictor(config, model), map(dataset.read, dataset.samples("val"))
    return [*zip(*((label, field(image, predictor(image)["main"])) for image, label in pairs))]


def matrix_of(labels, probabilities):
    matrix = ConfusionMatrix(probabilities[0].shape[-1])
    for label, values in zip(labels, probabilities):
        matrix.update(label, values.argmax(axis=-1))
    return matrix


def test_the_report_has_a_column_after_the_crf(made):
    config, model, run, printed = made
    report = json.loads((run.evaluation / "val.json").read_text())
    matrix = matrix_of(*refined(config, model, iterations=3))
    assert report["outputs"]["main+crf"] == matrix.report(wiring.make_spec(config).classes)
    assert report["protocol"]["crf"] == {**config["crf"], "iterations": 3}
    heading = next(line for line in printed["evaluate"].splitlines() if line.startswith("IoU, %"))
    assert heading.split()[2:] == ["main", "block2", "block3", "blend", "main+crf"]


def test_predictions_are_what_comes_after(made):
    config, model, run, _ = made
    for number, values in enumerate(refined(config, model)[1]):
        found = np.load(run.folder / "predictions" / f"val_{number:05}_probabilities.npy")
        np.testing.assert_allclose(found, values, atol=1e-5)  # the engine of predict folds batch norms
    assert json.loads((run.folder / "predictions" / "predictions.json").read_text())["depends"]["crf"] == config["crf"]


def test_images_side_by_side_give_what_they_give_one_by_one(made):
    folder = made[2].folder
    files = sorted(path.name for path in (folder / "together").glob("*_label.png"))
    assert len(files) > 1
    for name in files:
        assert (folder / "together" / name).read_bytes() == (folder / "predictions" / name).read_bytes()


def test_details_are_of_what_comes_after(made):
    config, model, run, printed = made
    dataset = wiring.make_dataset(config)
    expected = DetailScores(dataset)
    for label, probabilities in zip(*refined(config, model, iterations=3)):
        expected.update(None, label, probabilities)
    assert json.loads((run.evaluation / "val.json").read_text())["details"] == expected.scores()
    assert f"{expected.title}, after the CRF\n{expected.table()}" in printed["evaluate"]


def test_the_search_scores_every_combination(made):
    config, model, run, printed = made
    searched = json.loads((run.evaluation / "first_2" / "val_crf.json").read_text())["searched"]
    names = [f"appearance_weight={w} appearance_xy=15 appearance_colour={c} smoothness_weight=3 smoothness_xy=1"
             for w in (0, 3) for c in (3, 30)]  # fmt: skip
    assert set(searched) == {"without", *names}
    labels, values = refined(config, model, appearance_colour=30.0)
    assert searched[names[3]] == matrix_of(labels[:2], values[:2]).report(wiring.make_spec(config).classes)
    none_better = all(searched[name]["miou"] <= searched["without"]["miou"] for name in names)
    assert ("none of these has a higher mIoU than the network without" in printed["search-crf"]) is none_better
    best = max(names, key=lambda name: searched[name]["miou"])
    assert f"best: --crf --config.crf.{best.split()[0]} " in printed["search-crf"]
