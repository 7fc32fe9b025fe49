"""Cross-validation: each image scored by the fold that has not learnt it, stopped and gone on with, and used as one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import own_data
import pytest
import tensorflow as tf
import tiny
from program import PROJECT, launch_here
from served_here import ServedHere
from tensorflow import keras

import did_tf
from data_pipelines import load, memory
from data_pipelines.own_data.folds import divide_into_folds
from data_pipelines.writing import beside
from did_tf import wiring
from did_tf.common.files import write_json
from did_tf.inference import export, outputs
from did_tf.inference.memory import Fitting
from did_tf.planning import trying
from did_tf.runs.folds import CrossValidation, FoldRun
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring import bootstrap
from did_tf.scoring.metrics import ConfusionMatrix
from did_tf.scoring.overlapping import RegionScores

FOLDS = 2
SMALL = {
    "model.growth": 4,
    "model.units": "(1,1,1,1)",
    "model.decoder": "plain",
    "data.crop": "(33,33)",
    "schedule.warmup": 1,
    "train.steps": 6,
    "train.batch_size": 2,
    "train.checkpoint_every": 2,
    "train.log_every": 1,
    "train.progress": False,
    "train.precision": "float32",
}


def arguments(run, data, **settings):
    chosen = {**SMALL, **{key.replace("__", "."): value for key, value in settings.items()}}
    given = [f"--config.{key}={value}" for key, value in chosen.items()]
    return ["--experiment=did_folders", f"--run={run}", f"--data={data}", *given]


class Untrained:
    """Stands for a trainer: its weights are drawn, by the fold's folder."""

    fitted: list[str] = []
    killed_at = ""

    def __init__(self, config, run):
        self.config, self.run = config, run

    def fit(self):
        if self.run.folder.name == self.killed_at:
            raise KeyboardInterrupt
        self.fitted.append(self.run.folder.name)
        spec = wiring.make_spec(self.config)
        keras.utils.set_random_seed(int(self.run.folder.name[-1]))
        tiny.save_run(self.run.folder, self.config, wiring.make_model(self.config, spec))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Seven scenes, of which the last is the test split."""
    names = [f"scene{number:02d}" for number in range(7)]
    splits = {"train": names[:4], "val": names[4:6], "test": names[6:]}
    return own_data.make_five_bands(tmp_path_factory.mktemp("data"), count=7, size=(40, 48), splits=splits)


@pytest.fixture(scope="module")
def done(data, tmp_path_factory):
    """(the cross-validation of networks that have learnt nothing, what the command said), killed once in between."""
    run = tmp_path_factory.mktemp("runs") / "folds"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wiring, "make_trainer", Untrained)
        patch.setattr(Untrained, "fitted", [])
        patch.setattr(Untrained, "killed_at", "fold-2")
        assert launch_here("cross-validate", *arguments(run, data), f"--folds={FOLDS}").returncode == 130
        assert Untrained.fitted == ["fold-1"]
        with pytest.raises(did_tf.ConfigError, match="fold 2 is not finished: run `did_tf cross-validate` again"):
            did_tf.load(run)
        patch.setattr(Untrained, "killed_at", "")
        told = launch_here("cross-validate", *arguments(run, data), f"--folds={FOLDS}")
        assert told.returncode == 0, told.stderr
        assert Untrained.fitted == ["fold-1", "fold-2"]
    return CrossValidation(run), told.stdout


@pytest.fixture(scope="module")
def folds(done):
    """[the network of each fold], as `did_tf.load` gives it."""
    return [did_tf.load(done[0].run(number)) for number in (1, 2)]


@pytest.fixture(scope="module")
def unseen(data, folds):
    """(pixels of an image that no fold has met, the mean of the folds' probabilities)."""
    files, samples = scenes(data)
    pixels = files.read_image(samples["scene06"])
    return pixels, np.mean([fold.predict(pixels, probabilities=True) for fold in folds], axis=0)


def scenes(data):
    found = load("folders", data)
    return found, {sample.name: sample for split in found.spec.splits for sample in found.samples(split)}


def test_each_image_is_scored_by_the_fold_that_has_not_learnt_it(done, data, folds):
    found, told = done
    files, samples = scenes(data)
    report = json.loads(found.report.read_text())
    assert sorted(image["name"] for image in report["images"]) == [f"scene{number:02d}" for number in range(6)]
    by_image, by_fold = {}, {number: ConfusionMatrix(3) for number in (1, 2)}
    for image in report["images"]:
        pixels, label = files.read(samples[image["name"]])
        written = cv2.imread(f"{found.predictions / image['name']}_label.png", cv2.IMREAD_UNCHANGED)
        assert (written == folds[image["fold"] - 1].predict(pixels)).all()
        by_image[image["name"]] = ConfusionMatrix(3)
        by_image[image["name"]].update(label, written)
        by_fold[image["fold"]] += by_image[image["name"]]
    pooled = sum(by_image.values(), ConfusionMatrix(3))
    assert report["pooled"] == json.loads(json.dumps(pooled.report(own_data.CLASSES)))
    assert report["miou"]["pooled"] == pooled.mean_iou()
    assert report["miou"]["folds"] == [matrix.mean_iou() for matrix in by_fold.values()]
    overlaps = [by_image[image["name"]].overlaps() for image in report["images"]]
    assert report["interval"]["miou"] == list(bootstrap.interval(overlaps, 0).miou)
    assert f"mIoU over all images: {100 * pooled.mean_iou():.1f} %" in told and "fold 2 of 2" in told


def test_regions_of_the_data_are_scored_too(tmp_path, monkeypatch):
    regions = {"wet": ["water", "metal"], "metal": ["metal"]}
    data = own_data.make_five_bands(tmp_path / "data", count=2, size=(33, 40), regions=regions)
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    told = launch_here("cross-validate", *arguments(tmp_path / "run", data), "--folds=2", "--protocol=whole")
    assert told.returncode == 0, told.stderr
    found = CrossValidation(tmp_path / "run")
    files, samples = scenes(data)
    truth, seen = [], []
    for image in json.loads(found.report.read_text())["images"]:
        truth.append(files.read(samples[image["name"]])[1])
        seen.append(cv2.imread(f"{found.predictions / image['name']}_label.png", cv2.IMREAD_UNCHANGED))
    truth, seen = (np.stack(pixels) for pixels in (truth, seen))
    scores = json.loads(found.report.read_text())["regions"]
    wet = scores["pooled"]["regions"]["wet"]["iou"]
    assert wet == pytest.approx(((truth > 0) & (seen > 0)).sum() / ((truth > 0) | (seen > 0)).sum())
    assert len(scores["folds"]) == 2 and RegionScores.title in told.stdout


def test_a_fold_is_a_run_that_has_not_seen_what_it_is_scored_on(done):
    found, _ = done
    config = json.loads((found.run(1) / "config.json").read_text())
    assert config["dataset"]["val_split"] == ""  # no weights are chosen by what is held out
    learnt = wiring.make_dataset(config).samples("train")
    held_out = {name for name, image in found.read().images.items() if image.fold == 1}
    assert not held_out & {sample.name for sample in learnt} and len(learnt) == 3


def test_the_folds_are_one_network_the_mean_of_their_probabilities(done, unseen):
    pixels, mean = unseen
    model = did_tf.load(done[0].folder)
    np.testing.assert_allclose(model.predict(pixels, probabilities=True), mean, atol=1e-5)
    assert (model.predict(pixels) == mean.argmax(-1)).mean() > 0.999


@pytest.mark.slow
def test_they_are_exported_as_one_saved_model(done, unseen, monkeypatch, tmp_path):
    found, (pixels, mean) = done[0], unseen
    monkeypatch.setattr(export, "Served", ServedHere)
    ended = launch_here("export", "--experiment=did_folders", f"--run={found.folder}", f"--output={tmp_path / 'one'}")
    assert ended.returncode == 0, ended.stderr
    alone = did_tf.load(tmp_path / "one")
    np.testing.assert_allclose(alone.predict(pixels, probabilities=True), mean, atol=1e-5)
    taken = tf.saved_model.load(str(tmp_path / "one")).signatures[export.SIGNATURE].structured_input_signature[1]
    assert taken["image"].dtype == tf.uint16


def test_exports_of_a_fold_are_scored_on_what_it_holds_out(done):
    config = RunFolder(done[0].run(1)).settings()
    assert wiring.scored_split(config) == "val" and wiring.make_score(config, None, None) is not None
    learnt = {**config, "dataset": {**config["dataset"], "train_split": "train+val"}}
    assert wiring.make_score(learnt, None, None) is None


def test_what_the_folds_have_learnt_scores_nothing(done):
    found, _ = done
    given = "--experiment=did_folders", f"--run={found.folder}"
    ended = launch_here("evaluate", *given)
    assert ended.returncode == 2 and "2 of the 2 images of val were learnt by folds of" in ended.stderr
    assert launch_here("export", *given, "--format=all").stderr.endswith("such as --format=saved_model\n")
    ended = launch_here("evaluate", *given, "--split=test", "--protocol=whole")
    assert ended.returncode == 0, ended.stderr
    report = json.loads((found.folder / "evaluation" / "test.json").read_text())
    assert report["identity"]["weights"]["members"] == json.loads(found.report.read_text())["weights"]


def test_it_goes_on_with_the_same_alone(done, data, tmp_path, monkeypatch):
    """Refused in one line each; of a finished one nothing is done again."""
    found, told = done
    monkeypatch.setattr(wiring, "make_trainer", None)
    shutil.copytree(found.folder, tmp_path / "run")
    shutil.copytree(data, tmp_path / "data")
    here = tmp_path / "run", tmp_path / "data"
    given = [*arguments(*here), f"--folds={FOLDS}"]
    left = beside(CrossValidation(here[0]).predictions / "scene00_label.png")
    left.touch()  # as a process leaves it that is killed while it writes
    assert launch_here("cross-validate", *given).stdout.splitlines()[-9:-1] == told.splitlines()[-9:-1]
    assert not left.exists() and CrossValidation(here[0]).report.exists()

    def refused(*given, command="cross-validate"):
        ended = launch_here(command, *given)
        lines = [line for line in ended.stderr.splitlines() if not line.startswith("note: ")]
        assert ended.returncode == 2 and len(lines) == 1
        return ended.stderr

    assert "with 2 folds, and here are 3" in refused(*arguments(*here), "--folds=3")
    other = refused(*arguments(*here, train__steps=7), given[-1])
    assert "other settings: train.steps (6, now 7); put them back, or use another --run=dir" in other
    other = refused(*arguments(*here, dataset__val_split="none"), given[-1])
    assert "no split 'none'; it has" in other and other.endswith("without a val split: --config.dataset.val_split=\n")
    assert "of several networks: pass one, " in refused(*arguments(*here), command="draw")
    other = refused(f"--runs={here[0]} {here[0]}/fold-1", command="compare")
    assert "is a cross-validation" in other and "compare folds that hold out the same ones" in other
    assert "train.patience=2 would choose" in refused(*arguments(*here, train__patience=2), given[-1])
    assert "published" in refused("--experiment=did_synthetic", f"--run={tmp_path / 'other'}")
    assert "is a cross-validation, with which train can't go on" in refused(*arguments(*here), command="train")
    (tmp_path / "data" / "images" / "scene06.tif").unlink()  # of test
    (tmp_path / "data" / "labels" / "scene06.png").unlink()
    own_data.edit(tmp_path / "data", splits={"train": [f"scene{n:02d}" for n in range(4)], "val": ["scene04"]})
    assert "with 6 images, and here are 5: 'scene05' is in one of both" in refused(*given)
    assert not (tmp_path / "other").exists()
    CrossValidation(tmp_path / "run").file.unlink()
    assert "folds.json is missing, which says how images were dealt" in refused(*given)


def test_how_it_is_scored_may_change(done, data, tmp_path, monkeypatch):
    """The folds have made all of their steps, and are scored again."""
    copy = CrossValidation(shutil.copytree(done[0].folder, tmp_path / "run"))
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    monkeypatch.setattr(Untrained, "fitted", [])
    ended = launch_here("cross-validate", *arguments(copy.folder, data, evaluate__flip=True), f"--folds={FOLDS}")
    assert ended.returncode == 0, ended.stderr
    assert Untrained.fitted == ["fold-1", "fold-2"] and copy.counts(1)["way"]["flip"]
    model = did_tf.load(copy.run(1), flip=True)
    files, samples = scenes(data)
    name = next(name for name, image in copy.read().images.items() if image.fold == 1)
    written = cv2.imread(f"{copy.predictions / name}_label.png", cv2.IMREAD_UNCHANGED)
    assert (written == model.predict(files.read_image(samples[name]))).all()


def test_what_is_auto_is_what_it_came_to_in_the_first_fold(done, data, tmp_path, monkeypatch):
    """Another batch, by the memory that is free, or another precision, by the machine, would be another training."""
    copy = CrossValidation(shutil.copytree(done[0].folder, tmp_path / "run"))
    asked, begun = ("batch_size", "precision"), []
    shutil.rmtree(copy.run(2))
    settings = RunFolder(copy.folder).settings()
    settings["train"].update(dict.fromkeys(asked, "auto"))
    write_json(copy.folder / "config.json", settings)

    class Asked(Untrained):
        def fit(self):
            begun.append([self.config["train"][key] for key in asked])
            raise KeyboardInterrupt

    monkeypatch.setattr(wiring, "make_trainer", Asked)
    given = arguments(copy.folder, data, train__batch_size="auto", train__precision="auto")
    ended = launch_here("cross-validate", *given, f"--folds={FOLDS}")
    assert ended.returncode == 130 and begun == [[2, "float32"]], ended.stderr
    assert f"train.batch_size=auto: 2, as in {copy.run(1)}\n" in ended.stdout


def test_folds_are_trained_on_as_many_devices(tmp_path):
    first = RunFolder(tmp_path / "fold-1")
    fold = FoldRun(tmp_path / "fold-2", None, {}, first)
    assert fold.check({}, {"replicas": 2}) == []
    write_json(first.manifest, {"replicas": 1})
    assert fold.check({}, {"replicas": 1}) == []
    with pytest.raises(did_tf.ConfigError, match="fold-1 was trained on 1 devices, here are 2: .* to as many, or use"):
        fold.check({}, {"replicas": 2})


def test_folds_that_memory_has_scored_by_two_protocols_say_so(done, data, tmp_path, monkeypatch):
    copy = CrossValidation(shutil.copytree(done[0].folder, tmp_path / "run"))
    chosen, asked = ["whole", "tiles_once"], []
    for number in (1, 2):
        copy.held_out(number).unlink()
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    monkeypatch.setattr(Untrained, "fit", lambda trainer: None)
    monkeypatch.setattr(Fitting, "all", lambda fitting, sizes: asked.append({*sizes}) or chosen[len(asked) - 1])
    ended = launch_here("cross-validate", *arguments(copy.folder, data), f"--folds={FOLDS}")
    assert ended.returncode == 0, ended.stderr
    assert "folds, protocol 'whole' (fold 1), 'tiles_once' (fold 2): each" in ended.stdout
    assert json.loads(copy.report.read_text())["protocol"] == chosen
    assert asked[0] == asked[1] and len(asked[0]) == 6  # the largest image of all folds decides in each


def test_show_data_takes_the_data_that_it_was_begun_with(done, data, tmp_path):
    given = "--experiment=did_folders", f"--run={done[0].folder}", f"--output={tmp_path}", "--count=1"
    ended = launch_here("show-data", *given, "--config.data.crop=(33,33)")
    assert ended.returncode == 0 and f"data of {done[0].folder}: {data} " in ended.stdout, ended.stderr


def test_a_fold_is_compared_with_one_that_has_learnt_what_it_holds_out(done, tmp_path):
    """Which is told."""
    runs = [RunFolder(shutil.copytree(done[0].run(number), tmp_path / str(number))) for number in (1, 2)]
    for run in runs:
        write_json(run.manifest, {"experiment": "did_folders"})
    ended = launch_here("compare", f"--runs={runs[0].folder} {runs[1].folder}", "--pictures=0")
    notes = [line for line in ended.stdout.splitlines() if "has learnt" in line]
    assert notes == [f"note: {runs[1].folder} has learnt 3 of the 3 images: its figures are favourable"], ended.stderr


def test_stopped_while_they_are_scored_again_folds_have_no_figures_of_before(done, data, tmp_path, monkeypatch):
    """Their labels are in part of another way already."""
    copy = CrossValidation(shutil.copytree(done[0].folder, tmp_path / "run"))
    write, written = outputs.write_results, []

    def stopped(folder, name, *given, **more):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(name)
        write(folder, name, *given, **more)

    monkeypatch.setattr(outputs, "write_results", stopped)
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    monkeypatch.setattr(Untrained, "fitted", [])
    ended = launch_here("cross-validate", *arguments(copy.folder, data, evaluate__flip=True), f"--folds={FOLDS}")
    assert ended.returncode == 130
    assert copy.counts(1)["way"]["flip"] and not copy.held_out(2).exists() and not copy.report.exists()


def test_a_cross_validation_has_no_temperature(done):
    with pytest.raises(did_tf.ConfigError, match="its folds have learnt what a temperature is fitted on"):
        did_tf.load(done[0].folder, calibrated=True)


def test_one_fold_alone_is_what_a_process_of_its_own_does(done, data, tmp_path, monkeypatch):
    copy = CrossValidation(shutil.copytree(done[0].folder, tmp_path / "run"))
    scored = copy.held_out(2).read_text()
    copy.held_out(2).unlink()
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    monkeypatch.setattr(Untrained, "fitted", [])
    given = [*arguments(copy.folder, data), f"--folds={FOLDS}"]
    others = arguments(copy.folder, data, train__steps=7)
    edited = launch_here("cross-validate", *others, f"--folds={FOLDS}", "--fold=2")
    assert edited.returncode == 2 and "other settings: train.steps (6, now 7)" in edited.stderr and not Untrained.fitted
    assert launch_here("cross-validate", *given, "--fold=2").returncode == 0
    assert Untrained.fitted == ["fold-2"] and copy.held_out(2).read_text() == scored
    ended = launch_here("cross-validate", *given, "--fold=3")
    assert ended.returncode == 2 and "--fold=3: " in ended.stderr and "has no such fold" in ended.stderr


@pytest.mark.parametrize(
    ("free", "settings", "flag", "told"),
    [
        (2**35, {}, "--at_once=5", "--at_once=5: each fold takes a core, and there are 4"),
        (2**35, {"train__batch_size": "auto"}, "--at_once=2", "--at_once=2: give train.batch_size a number"),
        (2**31, {}, "--at_once=3", "GiB, and 2.0 GiB are free: 1 fit"),
        (2**31, {}, "--at_once=0", ""),  # one, in turn
    ],
)
def test_folds_are_side_by_side_where_there_is_room(data, tmp_path, monkeypatch, free, settings, flag, told):
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    monkeypatch.setattr(memory, "cores", lambda: 4)
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    monkeypatch.setattr(Untrained, "killed_at", "fold-1")
    given = [*arguments(tmp_path, data, **settings), f"--folds={FOLDS}", flag]
    ended = launch_here("cross-validate", *given)
    assert ended.returncode == (2 if told else 130) and told in ended.stderr


@pytest.mark.parametrize(("flag", "status"), [("--at_once=2", 2), ("--at_once=0", 130)])
def test_folds_of_the_same_time_have_as_many_cores_each(data, tmp_path, monkeypatch, flag, status):
    """Or one makes twice the steps of another: of three cores, one fold after the other has all."""
    monkeypatch.setattr(memory, "free_memory", lambda: 2**35)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2}, raising=False)
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    monkeypatch.setattr(Untrained, "killed_at", "fold-1")
    ended = launch_here("cross-validate", *arguments(tmp_path, data, train__hours=1.0), f"--folds={FOLDS}", flag)
    told = f"{flag}: 3 cores can't be shared evenly by 2 folds, of which one on more cores learns more within"
    assert ended.returncode == status and told in ended.stdout + ended.stderr


def test_folds_that_made_other_numbers_of_steps_are_told(done, data, tmp_path, monkeypatch):
    """As on another number of cores, in the same time."""
    found, told = done
    assert json.loads(found.report.read_text())["steps"] == [6, 6] and "steps in their time" not in told
    copy = CrossValidation(shutil.copytree(found.folder, tmp_path / "run"))
    write_json(copy.run(2) / "manifest.json", {"ended": {"step": 3, "reason": "its time is over"}})
    monkeypatch.setattr(wiring, "make_trainer", None)
    ended = launch_here("cross-validate", *arguments(copy.folder, data), f"--folds={FOLDS}")
    assert "note: folds made 3 to 6 steps in their time" in ended.stdout, ended.stderr
    assert json.loads(copy.report.read_text())["steps"] == [6, 3]


def test_folds_of_several_versions_are_told(done, data, tmp_path, monkeypatch):
    found, told = done
    assert json.loads(found.report.read_text())["versions"] == [[], []] and "trained by" not in told
    copy = CrossValidation(shutil.copytree(found.folder, tmp_path / "run"))
    for number in (1, 2):
        write_json(copy.run(number) / "manifest.json", {"packages": {"did_tf": f"0.{number}.0"}, "git_commit": None})
    monkeypatch.setattr(wiring, "make_trainer", None)
    ended = launch_here("cross-validate", *arguments(copy.folder, data), f"--folds={FOLDS}")
    assert "note: folds were trained by did_tf 0.1.0 and 0.2.0, which may learn" in ended.stdout, ended.stderr
    assert json.loads(copy.report.read_text())["versions"] == [["0.1.0"], ["0.2.0"]]


@pytest.mark.parametrize(
    ("status", "told"), [(2, "no such band"), (1, "no such band"), (-9, "it ended with status -9")]
)
def test_a_fold_that_fails_is_told_as_it_says(data, tmp_path, monkeypatch, status, told):
    end = f"print('error: {told}'); raise SystemExit({status})" if status > 0 else "import os; os.kill(os.getpid(), 9)"

    def begin(arguments, out, errors, command, share):
        assert command == "cross-validate" and arguments[-1] == "--fold=1"
        return subprocess.Popen([sys.executable, "-S", "-c", end], stdout=out)

    monkeypatch.setattr(memory, "free_memory", lambda: 2**35)
    monkeypatch.setattr(memory, "cores", lambda: 4)
    monkeypatch.setattr(trying, "begin", begin)
    monkeypatch.setattr(trying, "shares_of_cores", lambda count: [[]])
    ended = launch_here("cross-validate", *arguments(tmp_path, data), f"--folds={FOLDS}", "--at_once=2")
    assert ended.returncode == (2 if status == 2 else 1)
    assert ended.stderr == f"error: fold 1: {told}; {tmp_path / 'fold-1.log'} has all\n"


def test_settings_that_folds_do_not_use_are_told(data, tmp_path, monkeypatch):
    """They are not validated, and scored by the protocol of the flag."""
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    monkeypatch.setattr(Untrained, "killed_at", "fold-1")
    changes = {"train__panels": 9, "train__validation": "tiles", "evaluate__overlap": 0.5, "evaluate__scales": "(1.0,)"}
    for protocol, idle in (("tiles_once", ["evaluate.scales"]), ("scales", ["evaluate.overlap"])):
        given = [*arguments(tmp_path, data, **changes), f"--folds={FOLDS}", f"--protocol={protocol}"]
        told = launch_here("cross-validate", *given).stdout.splitlines()
        notes = sorted(line.partition("=")[0] for line in told if " has no effect: " in line)
        assert notes == sorted(f"note: {key}" for key in ["train.panels", "train.validation", *idle])


def test_before_a_fold_has_begun_all_may_be_chosen_anew(data, tmp_path, monkeypatch):
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    monkeypatch.setattr(Untrained, "killed_at", "fold-1")
    for folds in (2, 3):
        ended = launch_here("cross-validate", *arguments(tmp_path, data, train__steps=folds), f"--folds={folds}")
        assert ended.returncode == 130
    assert CrossValidation(tmp_path).read().count == 3
    (tmp_path / "manifest.json").write_text("{}")
    ended = launch_here("cross-validate", *arguments(tmp_path, data))
    assert ended.returncode == 2 and "is a run that was trained: pass another --run=dir" in ended.stderr


def test_what_an_attempt_before_has_measured_is_measured_anew(data, tmp_path, monkeypatch):
    """It was of the images of other folds."""

    class Opening(Untrained):
        def fit(self):
            wiring.make_dataset(self.config, training=True)
            raise KeyboardInterrupt

    monkeypatch.setattr(wiring, "make_trainer", Opening)
    for folds in (2, 3):
        ended = launch_here("cross-validate", *arguments(tmp_path, data), f"--folds={folds}")
        assert ended.returncode == 130, ended.stderr
    assert (CrossValidation(tmp_path).data(1) / "statistics.json").is_file()


@pytest.mark.parametrize(("cache", "unreadable"), [(True, 1), (False, 1), (False, 2)])
def test_a_label_that_can_not_be_read_is_told_before_a_fold_has_learnt(data, tmp_path, monkeypatch, cache, unreadable):
    """Once one has, it can't be mended any more, for other content is refused. What is kept is read by the training."""
    copy = shutil.copytree(data, tmp_path / "data")
    images = divide_into_folds(copy, ("train", "val"), FOLDS, 0).images
    name = next(name for name, image in images.items() if image.fold == unreadable)
    own_data.write_png(copy / "labels" / f"{name}.png", np.full((40, 48), 77, np.uint8))
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    monkeypatch.setattr(Untrained, "fitted", [])
    given = [*arguments(tmp_path / "run", copy, data__cache=cache), f"--folds={FOLDS}"]
    ended = launch_here("cross-validate", *given)
    assert ended.returncode == 2 and f"{name}: " in ended.stderr and "mend it, or take it out" in ended.stderr
    assert Untrained.fitted == [] and not CrossValidation(tmp_path / "run").begun


def test_weights_of_another_training_are_refused_until_they_are_scored(done, data, tmp_path, monkeypatch):
    found, _ = done
    copy = CrossValidation(shutil.copytree(found.folder, tmp_path / "run"))
    shutil.copy(copy.run(1) / "best" / "weights.npz", copy.run(2) / "best" / "weights.npz")
    with pytest.raises(did_tf.ConfigError, match="fold-2 has other weights than held_out.json there is of"):
        did_tf.load(copy.folder)
    monkeypatch.setattr(wiring, "make_trainer", Untrained)
    monkeypatch.setattr(Untrained, "fit", lambda trainer: None)
    ended = launch_here("cross-validate", *arguments(copy.folder, data), f"--folds={FOLDS}")
    assert ended.returncode == 0 and ended.stdout.count("it is finished") == 1, ended.stderr
    digests = json.loads(copy.report.read_text())["weights"]
    assert digests == [copy.counts(1)["weights"]] * 2
    did_tf.load(copy.folder)
    copy.file.write_text('{"count": 3}')
    with pytest.raises(did_tf.ConfigError, match="folds.json is damaged: it has no 'seed'"):
        did_tf.load(copy.folder)


def test_folds_learn_from_windows_of_one_size(tmp_path):
    """Of one patch and overlap, of which the images themselves say nothing."""
    data = own_data.make_five_bands(tmp_path / "data", count=2, size=(32, 32), patch=16)
    found = CrossValidation(tmp_path / "run")
    found.write(divide_into_folds(data, ("train", "val"), 2, 0))
    (data / "statistics.json").unlink()
    own_data.edit(data, patch=8)
    other = divide_into_folds(data, ("train", "val"), 2, 0)
    with pytest.raises(did_tf.ConfigError, match=r"another patch or overlap: windows 16x16\+0, and here 8x8\+0; put"):
        found.check(other)
    told = json.loads(found.file.read_text())
    del told["windows"]  # as of a version before
    write_json(found.file, told)
    found.check(other)


@pytest.mark.slow
@pytest.mark.skipif(memory.cores() < 2, reason="two folds take a core each")
def test_side_by_side_it_gives_the_figures_of_one_after_the_other_on_as_many_cores(data, tmp_path):
    def begin(run, *more):
        command = [sys.executable, "-m", "did_tf", "cross-validate", "--folds=2", *more]
        given = arguments(run, data, train__steps=12)
        return subprocess.Popen([*command, *given], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    both = sorted(os.sched_getaffinity(0))[:2]
    alone, together = CrossValidation(tmp_path / "alone"), CrossValidation(tmp_path / "together")
    with begin(alone.folder) as process:
        os.sched_setaffinity(process.pid, both[:1])
        assert process.wait() == 0, process.stdout.read().decode()
    with begin(together.folder, "--at_once=2") as process:
        os.sched_setaffinity(process.pid, both)
        while not (together.run(2) / "checkpoints" / "step_00000004.npz").exists():
            assert process.poll() is None, process.stdout.read().decode()
            time.sleep(0.01)
        process.kill()
    with begin(together.folder, "--at_once=2") as process:
        os.sched_setaffinity(process.pid, both)
        said = process.stdout.read().decode()
        assert process.wait() == 0, said
    assert "fold 2 of 2: finished" in said and "on 1 of 2 cores" in said  # the first may have been done before the kill
    for number in (1, 2):
        assert (together.run(number) / "best/weights.npz").read_bytes() == (
            alone.run(number) / "best/weights.npz"
        ).read_bytes()
    one, other = (json.loads(found.report.read_text()) for found in (alone, together))
    assert one["miou"] == other["miou"] and one["images"] == other["images"]


@pytest.mark.slow
def test_killed_twice_it_ends_with_the_same_figures(data, tmp_path):
    def command(run):
        program = [sys.executable, "-m", "did_tf", "cross-validate", "--folds=3"]
        return [*program, *arguments(run, data, train__steps=12)]

    def kill(run, seen):
        """SIGKILL, as soon as a file is there."""
        process = subprocess.Popen(command(run), cwd=PROJECT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not seen.exists():
            assert process.poll() is None, process.stderr.read().decode()
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stderr.close()

    whole, killed = CrossValidation(tmp_path / "whole"), CrossValidation(tmp_path / "killed")
    subprocess.run(command(whole.folder), cwd=PROJECT, check=True, capture_output=True)
    kill(killed.folder, killed.run(1) / "checkpoints" / "step_00000004.npz")
    kill(killed.folder, killed.run(3) / "checkpoints" / "step_00000002.npz")
    first = killed.held_out(1).stat().st_mtime_ns
    subprocess.run(command(killed.folder), cwd=PROJECT, check=True, capture_output=True)
    assert killed.held_out(1).stat().st_mtime_ns == first
    one, other = (json.loads(found.report.read_text()) for found in (whole, killed))
    assert {key: value for key, value in one.items() if key != "settings"} == {
        key: value for key, value in other.items() if key != "settings"
    }
    for number in (1, 2, 3):
        assert (whole.run(number) / "best/weights.npz").read_bytes() == (
            killed.run(number) / "best/weights.npz"
        ).read_bytes()
