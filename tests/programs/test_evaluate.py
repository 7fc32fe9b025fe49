import importlib.util
import json

import numpy as np
import pytest
import tiny
from absl.testing import flagsaver
from in_memory import InMemory, halves, noise
from pretended import pretend_openvino
from program import launch_here
from tensorflow import keras

from data_pipelines.spec import DataError
from did_tf import models, wiring
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json
from did_tf.inference.engines import Engine
from did_tf.programs import evaluate
from did_tf.runs import checkpoints, manifest, weights
from did_tf.runs.run_folder import RunFolder
from did_tf.runs.selection import Selection
from did_tf.runs.weights import Weights
from did_tf.scoring import baselines, evaluation
from did_tf.scoring.calibration import Calibration
from did_tf.scoring.details import DetailScores
from did_tf.scoring.surfaces import SurfaceScores

HAS_SURFACES = importlib.util.find_spec("surface_distance") is not None


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory):
    """(config, model, run folder, what was printed) after the program has scored val, then two images of test."""
    protocols = {"evaluate__protocols": ("whole", "tiles"), "evaluate__scales": (0.75, 1.0)}
    paper = {"split": "val", "miou": 68.3, "accuracy": 92.6, "mean_accuracy": 76.2, "classes": {"sky": 93.8}}
    config = tiny.config(**protocols, paper=paper)
    model, last = (wiring.make_model(config, wiring.make_dataset(config).spec) for _ in range(2))
    run = tiny.save_run(tmp_path_factory.mktemp("run"), config, model)
    # As if the weights of step 12 had been better than those of the last step, 20.
    write_json(run.best / "metrics.json", {"step": 12, "miou": 0.5, "accuracy": 0.6})
    run.metrics.write_text("step,val_miou\n4,\n12,0.5\n20,0.4\n")
    checkpoints.save_step(run.checkpoints, 20, checkpoints.model_state(last), 1)
    arguments, printed = ["--experiment=did_synthetic", f"--run={run.folder}", "--baselines", "--details"], ""
    arguments += ["--calibration", *(["--surfaces", "--tolerance=1.5"] if HAS_SURFACES else [])]
    for more in ([], ["--protocol=tiles", "--limit=2", "--split=test"], ["--precision=bfloat16", "--limit=1"]):
        arguments += more
        with pytest.MonkeyPatch.context() as patch:
            if arguments[-1] == "--split=test":
                pretend_openvino(patch)
            done = launch_here("evaluate", *arguments)
        assert done.returncode == 0, done.stderr
        printed += done.stdout
    return config, (model, last), run, printed


def read(path):
    return json.loads(path.read_text())


@pytest.mark.parametrize(("protocol", "folder"), [("whole", "."), ("tiles", "tiles")])
def test_report_of_each_protocol(evaluated, protocol, folder):
    config, (model, last), run, printed = evaluated
    dataset = wiring.make_dataset(config)
    predictor = wiring.make_predictor(config, model, protocol, engine=Engine())
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
        "engine": "tensorflow",
        "precision": "float32",
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
    of_last = evaluation.evaluate(
        wiring.make_predictor(config, last, protocol, engine=Engine()), dataset, "val", progress=False
    )
    matrix = of_last.matrices["main"]
    assert matrix.mean_iou() != expected.matrices["main"].mean_iou()
    selection = report["selection"]
    assert selection["last"].pop("weights") == weights.digest(run.checkpoints / "step_00000020.npz")
    assert selection["last"] == matrix.report(dataset.spec.classes)
    assert {**selection, "last": None} == {"split": "val", "validations": 2, "step": 12, "last_step": 20, "last": None}
    assert evaluation.table(expected, dataset.spec.classes, config["paper"], matrix) in printed
    assert "weights of step 12, the best of 2 validations on val: slightly favourable; the last step is 20" in printed


def test_images_that_the_network_has_learnt_from_are_told(evaluated, tmp_path):
    config, (model, _), _, printed = evaluated
    assert "has learnt" not in printed
    run = tiny.save_run(tmp_path / "run", config, model)
    learnt = {"network": models.described(config["model"]), "data": {"split": "train+val"}}
    checkpoints.write(run.best / "weights.npz", checkpoints.model_state(model), learnt)
    given = "--experiment=did_synthetic", f"--run={run.folder}", "--protocol=whole", "--limit=2"
    done = launch_here("evaluate", *given)
    told = f"note: {run.best / 'weights.npz'} has learnt 2 of the 2 images: its figures are favourable\n"
    assert done.returncode == 0 and told in done.stdout, done.stderr


def test_auto_tells_what_it_takes_and_the_report_what_has_computed(evaluated):
    _, _, run, printed = evaluated
    told = read(run.evaluation / "tiles" / "first_2" / "test.json")["protocol"]
    assert (told["engine"], told["precision"], told["openvino"]) == ("openvino", "float32", "9.9")
    assert "synthetic test, 2 images, protocol 'tiles', openvino\n" in printed
    chosen = [line.split()[1] for line in printed.splitlines() if line.startswith("--engine=auto: ")]
    assert chosen == ["tensorflow,", "openvino,", "tensorflow,"]


def test_figures_in_bfloat16_are_kept_apart_and_say_so(evaluated):
    _, _, run, printed = evaluated
    report = read(run.evaluation / "tiles_bfloat16" / "first_1" / "test.json")
    assert (report["protocol"]["name"], report["protocol"]["precision"]) == ("tiles", "bfloat16")
    assert "synthetic test, 1 images, protocol 'tiles', bfloat16\n" in printed
    assert not (run.evaluation / "tiles" / "first_1").exists()


def test_partial_report_of_another_split_has_its_own_place_and_says_what_the_paper_is_of(evaluated):
    config, _, run, printed = evaluated
    report = read(run.evaluation / "tiles" / "first_2" / "test.json")
    assert report["paper"] == config["paper"] and report["selection"] is None
    assert [image["name"] for image in report["images"]] == ["test_00000", "test_00001"]
    assert report["identity"]["data"]["samples"] == 2
    of_test = printed[printed.index("synthetic test, 2 images") :]
    assert "the paper's figures are of val, which has other images than test" in of_test
    assert "paper (val)" in of_test and evaluation.LAST not in of_test and "favourable" not in of_test
    assert not (run.evaluation / "test.json").exists()


def test_baselines_are_printed(evaluated):
    config, _, _, printed = evaluated
    for name, miou in baselines.baselines(wiring.make_dataset(config), "train", "val").items():
        assert f"{name}: mIoU {100 * miou:.1f} %" in printed


def test_details_are_printed_and_reported(evaluated):
    config, (model, _), run, printed = evaluated
    dataset = wiring.make_dataset(config)
    scores = DetailScores(dataset)
    for sample in dataset.samples("val"):
        image, label = dataset.read(sample)
        scores.update(sample, label, wiring.make_predictor(config, model)(image)["main"])
    assert read(run.evaluation / "val.json")["details"] == scores.scores()
    assert f"{scores.title}\n{scores.table()}" in printed


def scored_by(scores, config, model, protocol):
    """The same after it was given val, image by image."""
    dataset = wiring.make_dataset(config)
    predictor = wiring.make_predictor(config, model, protocol, engine=Engine())
    for sample in dataset.samples("val"):
        image, label = dataset.read(sample)
        scores.update(sample, label, predictor(image)["main"])
    return scores


@pytest.mark.parametrize(("protocol", "folder"), [("whole", "."), ("tiles", "tiles")])
def test_a_temperature_is_fitted_on_val_and_kept_with_what_it_is_of(evaluated, protocol, folder):
    config, (model, _), run, printed = evaluated
    expected = scored_by(Calibration(wiring.make_spec(config), 3), config, model, protocol).scores()
    path = run.evaluation / folder / "val_calibration.json"
    found = read(path.with_name("val.json"))["calibration"]
    assert found["temperature"] == pytest.approx(expected["temperature"], rel=1e-4)
    for when in ("before", "after"):
        assert found[when]["ece"] == pytest.approx(expected[when]["ece"], abs=1e-5)
    digest = weights.digest(run.best / "weights.npz")
    settings = {f"evaluate.{key}": config["evaluate"][key] for key in ("flip", "turns", "average", "options")}
    of_tiles = ("scales", "overlap", "blend") if protocol == "tiles" else ()
    settings |= json.loads(json.dumps({f"evaluate.{key}": config["evaluate"][key] for key in of_tiles}))
    settings |= {"data.crop": [*config["data"]["crop"]]} if protocol == "tiles" else {}
    assert read(path) == {"split": "val", "protocol": protocol, "weights": digest, "settings": settings, **found}
    taken = {
        "whole": "`predict`, `serve` and `export` take it with --calibrated\n",
        "tiles": "`predict` and `serve` take it with --calibrated --protocol=tiles\n",
    }
    assert path.with_suffix(".png").is_file() and f"temperature: {path}; {taken[protocol]}" in printed
    assert f"temperature {found['temperature']:.3f}, fitted on all images" in printed


@pytest.mark.parametrize(("program", "flag"), [("evaluate", "--calibration"), ("predict", "--calibrated")])
def test_a_temperature_is_not_of_what_a_crf_makes(evaluated, program, flag):
    done = launch_here(program, "--experiment=did_synthetic", f"--run={evaluated[2].folder}", "--crf", flag)
    assert done.returncode == 2 and f"the network's own probabilities: {flag} goes without --crf" in done.stderr


def test_a_picture_of_the_calibration_of_other_weights_does_not_stay_beside_a_report(tmp_path):
    picture = tmp_path / "val_calibration.png"
    for written, stays in (("same", True), ("other", False), (None, False)):
        picture.touch()
        if written:
            write_json(tmp_path / "val_calibration.json", {"weights": written})
        else:
            (tmp_path / "val_calibration.json").unlink()
        with flagsaver.flagsaver(split="val"):
            evaluate.FLAGS.mark_as_parsed()
            evaluate._sweep_calibration(tmp_path, Weights(tmp_path / "w.npz", None, "same"))
        assert picture.is_file() == stays


def test_nothing_is_built_where_no_temperature_can_be_fitted(monkeypatch):
    """All was scored, and lost, where one image alone had labels."""
    void, config = np.full((24, 32), 255, np.uint8), tiny.config()
    data = InMemory({"val": [(noise(n), label) for n, label in enumerate([void, halves(), void])]})
    monkeypatch.setattr(evaluate.wiring, "weights_of", lambda *of: None)
    monkeypatch.setattr(evaluate.wiring, "make_dataset", lambda config: data)
    monkeypatch.setattr(evaluate.wiring, "make_engine", None)
    monkeypatch.setattr(evaluate.folds, "check_unseen", lambda *of: None)
    with flagsaver.flagsaver(calibration=True, split="val"):
        evaluate.FLAGS.mark_as_parsed()
        with pytest.raises(DataError, match="two images with labels"):
            evaluate.main(config, None)


def test_on_another_split_the_temperature_of_val_is_looked_at(evaluated):
    _, _, run, _ = evaluated
    looked_at = read(run.evaluation / "tiles" / "first_2" / "test.json")["calibration"]
    fitted = read(run.evaluation / "tiles" / "val_calibration.json")
    assert (looked_at["temperature"], looked_at["halves"]) == (fitted["temperature"], [])
    assert not (run.evaluation / "tiles" / "first_2" / "test_calibration.json").exists()


@pytest.mark.skipif(not HAS_SURFACES, reason="an extra")
def test_surfaces_are_printed_and_reported(evaluated):
    config, (model, _), run, printed = evaluated
    expected = scored_by(SurfaceScores(wiring.make_spec(config), 1.5), config, model, "whole")
    assert read(run.evaluation / "val.json")["surfaces"] == expected.scores()
    assert f"{expected.title}\n{expected.table()}" in printed


def test_of_three_images_there_is_no_interval_and_that_is_said(evaluated):
    _, _, run, printed = evaluated
    assert read(run.evaluation / "val.json")["interval"] is None
    assert "no 95 % interval of the mIoU: it takes 5 images with labels, or groups\n" in printed


@pytest.mark.parametrize("file", ["", "damaged.npz"])
def test_without_weights_of_the_last_step_the_others_are_scored_all_the_same(file, tmp_path, capsys):
    (tmp_path / "damaged.npz").write_bytes(b"nothing")
    subject = evaluate.Subject("synthetic", None, tiny_model(), None, Engine())
    subject.selection = Selection("val", 2, 10, 20, tmp_path / file if file else None)
    with flagsaver.flagsaver():
        evaluate.FLAGS.mark_as_parsed()
        last, entry = evaluate._of_last_step(subject, pytest.fail, pytest.fail)
    assert last is None and entry == {"split": "val", "validations": 2, "step": 10, "last_step": 20, "last": None}
    told = "the weights of the last step have no scores: cannot read checkpoint" in capsys.readouterr().out
    assert told == bool(file)


def test_weights_that_a_training_replaces_while_they_are_scored_are_not_told_as_its_best(tmp_path, capsys):
    run = RunFolder(tmp_path / "run")
    write_json(run.config, {"train": {"steps": 20, "extend": 0}, "dataset": {"name": "synthetic", "val_split": "val"}})
    run.metrics.write_text("step,val_miou\n4,0.5\n12,0.6\n")

    def selection(scored, best):
        """How weights of step `scored` were chosen, while those in best/ are of step `best`."""
        checkpoints.write(run.best / "weights.npz", {"model/kernel": np.ones(2)}, {"network": {}, "step": best})
        write_json(run.best / "metrics.json", {"step": best, "miou": 0.5})
        source = Weights(run.best / "weights.npz", scored and {"step": scored})
        subject = evaluate.Subject("synthetic", None, None, source, Engine())
        subject.content = {"split": "val", "fingerprint": "abc"}
        return subject.selection

    with flagsaver.flagsaver():
        evaluate.FLAGS.mark_as_parsed()
        assert selection(4, 4).step == 4 and selection(None, 12).step == 12 and not capsys.readouterr().out
        assert selection(4, 12) is None
    assert "is of step 12 meanwhile: how the weights of step 4, " in capsys.readouterr().out


def tiny_model():
    image = keras.Input((2,))
    return keras.Model(image, {"main": keras.layers.Dense(1)(image)})


def test_a_papers_figure_of_a_class_that_there_is_not():
    config = tiny.config(paper={"split": "val", "classes": {"sky": 90.0, "skyy": 91.0}})
    with pytest.raises(ConfigError, match="'skyy', which is no class of synthetic, did you mean 'sky'"):
        evaluate._check_paper(config, wiring.make_dataset(config))
