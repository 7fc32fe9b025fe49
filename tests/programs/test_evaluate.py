import json
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from did_tf import wiring
from did_tf.runs import manifest, weights
from did_tf.scoring import evaluation
from did_tf.scoring.details import DetailScores

# One process, for each import of TensorFlow takes seconds.
TWICE = """
import sys
from did_tf.programs import cli, evaluate
cli.run(evaluate.main, training=False)
sys.argv += ["--protocol=tiles", "--limit=2", "--split=test"]
cli.run(evaluate.main, training=False)
"""


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """(config, model, run folder, what was printed) after the program has scored val, then two images of test."""
    protocols = {"evaluate__protocols": ("whole", "tiles"), "evaluate__scales": (0.75, 1.0)}
    config = tiny.config(**protocols, paper={"split": "val", "miou": 68.3, "accuracy": 92.6})
    model = wiring.make_model(config, wiring.make_dataset(config).spec)
    run = tiny.save_run(tmp_path_factory.mktemp("run"), config, model)
    arguments = ["--experiment=did_synthetic", f"--run={run.folder}", "--baselines", "--details"]
    command = [sys.executable, "-c", TWICE, *arguments]
    done = subprocess.run(command, cwd=Path(evaluation.__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return config, model, run, done.stdout


def read(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize(("protocol", "folder"), [("whole", "."), ("tiles", "tiles")])
def test_report_of_each_protocol(evaluated, protocol, folder):
    config, model, run, printed = evaluated
    dataset = wiring.make_dataset(config)
    predictor = wiring.make_predictor(config, model, protocol)
    expected = evaluation.evaluate(predictor, dataset, "val", progress=False)
    report = read(run.evaluation / folder / "val.json")
    assert report["outputs"]["main"] == expected.matrices["main"].report(dataset.spec.classes)
    assert report["paper"] == config["paper"]
    assert report["protocol"] == {
        "name": protocol,
        "tile": [33, 33] if protocol == "tiles" else None,
        "overlap": predictor.overlap,
        "scales": [0.75, 1.0] if protocol == "tiles" else [1.0],
        "flip": False,
        "images": 3,
        "weights": str(run.best / "weights.npz"),
        "model": json.loads(json.dumps(config["model"])),
    }
    recorded, dataset_identity = report["identity"], manifest.content(dataset, dataset.samples("val"), "val")
    assert recorded["weights"]["digest"] == weights.digest(run.best / "weights.npz") and recorded["weights"]["own"]
    assert recorded["data"] == dataset_identity
    assert recorded["settings"] == json.loads(json.dumps(config))
    assert (recorded["did_tf"], recorded["git_commit"]) == tuple(manifest.version().values())
    assert (run.evaluation / folder / "val_confusion.png").is_file()
    assert f"synthetic val, 3 images, protocol '{protocol}'" in printed
    assert evaluation.table(expected, dataset.spec.classes, config["paper"]) in printed


def test_partial_report_of_another_split_has_its_own_place_and_no_paper(evaluated):
    _, _, run, printed = evaluated
    report = read(run.evaluation / "tiles" / "first_2" / "test.json")
    assert report["paper"] is None
    assert [image["name"] for image in report["images"]] == ["test_00000", "test_00001"]
    assert report["identity"]["data"]["samples"] == 2
    assert "paper" not in printed[printed.index("synthetic test, 2 images") :]
    assert not (run.evaluation / "test.json").exists()


def test_baselines_are_printed(evaluated):
    config, _, _, printed = evaluated
    for name, miou in evaluation.baselines(wiring.make_dataset(config), "train", "val").items():
        assert f"{name}: mIoU {100 * miou:.1f} %" in printed


def test_details_are_printed_and_reported(evaluated):
    config, model, run, printed = evaluated
    dataset = wiring.make_dataset(config)
    scores = DetailScores(dataset)
    for sample in dataset.samples("val"):
        image, label = dataset.read(sample)
        scores.update(sample, label, wiring.make_predictor(config, model)(image)["main"])
    assert read(run.evaluation / "val.json")["details"] == scores.scores()
    assert f"{scores.title}\n{scores.table()}" in printed
