"""The command line as a user meets it: overrides, one-line errors, exit statuses, kill -9."""

import json
import os
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import tensorflow as tf
import tiny
from program import PROJECT, launch_here

import data_pipelines
from data_pipelines import DataError
from did_tf import models
from did_tf.common import processor
from did_tf.common.errors import ConfigError, Failure
from did_tf.programs import cli, train
from did_tf.runs.run_folder import MetricsFile, RunFolder, default_run, read_json, read_metrics, split_name

TINY = [
    "--config.dataset.options.height=48",
    "--config.dataset.options.width=64",
    "--config.dataset.options.sizes={'train': 12, 'val': 1, 'test': 1}",
    "--config.model.growth=4",
    "--config.model.units=(1,1,1,1)",
    "--config.model.decoder=plain",
    "--config.model.use_bias=False",
    "--config.data.crop=(33,33)",
    "--config.optimizer.name=sgd",
    "--config.optimizer.options.momentum=0.9",
    "--config.schedule.warmup=2",
    "--config.train.batch_size=4",
    "--config.train.log_every=4",
    "--config.train.checkpoint_every=6",
    "--config.dataset.val_split=",
]


def start(*arguments, program="train", **more):
    command = [sys.executable, "-m", "did_tf", program, *map(str, arguments)]
    environment = {**more, **os.environ, "PYTHONPATH": str(PROJECT)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def resolve(*overrides, experiment="did_synthetic", run="/nonexistent", training=True):
    return cli.resolve(experiment, RunFolder(run), list(overrides), training)


def in_process(monkeypatch, capsys, *arguments, program=None):
    """(exit status, last line on stderr) of a program run in this process."""
    from did_tf.programs.train import main

    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
    cli.FLAGS.unparse_flags()
    for name in ("experiment", "run", "data"):
        cli.FLAGS[name].value = None
    with pytest.raises(SystemExit) as caught:
        cli.run(program or main)
        raise SystemExit(0)
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    return caught.value.code, errors


def test_a_run_whose_name_is_no_text_is_refused(monkeypatch, capsys, tmp_path):
    given = "--experiment=did_synthetic", f"--run={tmp_path}/r\udcfe", *TINY
    status, (told,) = in_process(monkeypatch, capsys, *given)
    assert status == 2 and told.startswith(f"error: --run='{tmp_path}/r\\udcfe': its name is no text in UTF-8, and")
    assert not [*tmp_path.iterdir()]


def test_what_was_written_goes_to_a_remote_run_though_an_error_ends_the_command(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("DID_TF_CACHE", str(tmp_path / "cache"))

    def program(config, run):
        run.folder.mkdir()
        (run.folder / "report.csv").write_text("of the others")
        raise DataError("a photo is damaged")

    given = "--experiment=did_synthetic", f"--run=file://{tmp_path}/run", *TINY
    status, told = in_process(monkeypatch, capsys, *given, program=program)
    assert (status, told) == (2, ["error: a photo is damaged"])
    assert (tmp_path / "run" / "report.csv").read_text() == "of the others"


@pytest.mark.parametrize("program", ["evaluate", "predict", "export", "search-crf"])
def test_a_run_that_is_not_there_is_told_before_its_data(program, tmp_path):
    """Whose description would be missed else, by a user who has mistyped the name of the run alone."""
    given = "--experiment=did_folders", f"--run={tmp_path / 'tpyo'}", f"--data={tmp_path}"
    refused = launch_here(program, *given)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"error: no run or weights file {tmp_path / 'tpyo'}: train first, or pass --run")


def test_overrides():
    config = resolve("--config.train.batch_size=3", "--config.data.crop=(65,97)", "--config.model.growth=7")
    assert config["train"]["batch_size"] == 3
    assert tuple(config["data"]["crop"]) == (65, 97)
    assert config["model"]["growth"] == 7
    assert config["model"]["smoothing"] == 1, "options left out have the model's defaults"


def test_run_folder_settings_win_when_not_training(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(resolve("--config.model.growth=7")))
    assert resolve(run=tmp_path, training=False)["model"]["growth"] == 7
    assert resolve("--config.model.growth=9", run=tmp_path, training=False)["model"]["growth"] == 9
    assert resolve(run=tmp_path)["model"]["growth"] == 16


def test_an_experiment_that_a_run_names_is_not_executed(tmp_path):
    """Nor its plan: whoever has made the run has written them."""
    theirs, run, executed = tmp_path / "theirs.py", RunFolder(tmp_path / "run"), tmp_path / "executed"
    RunFolder(run.folder, str(theirs)).start(resolve("--config.model.growth=7"), {})
    for file in (theirs, run.plan):
        file.write_text(f"open({str(executed)!r}, 'w').close()")
    assert run.trained_by() == str(theirs)
    for name in (str(theirs), cli.AUTO):
        assert cli.resolve(name, run, [], training=False)["model"]["growth"] == 7
    assert not executed.exists()
    theirs.unlink()
    assert cli.resolve(str(theirs), run, [], training=False)["model"]["growth"] == 7


@pytest.mark.parametrize(
    "name, told", [("did_canvid", "did you mean 'did_camvid'"), ("did_table3:row99", "row3, row4")]
)
def test_a_mistyped_experiment_is_told_where_the_settings_are_the_runs(monkeypatch, capsys, tmp_path, name, told):
    RunFolder(tmp_path, "did_synthetic").start(resolve(), {})
    monkeypatch.setattr(sys, "argv", ["evaluate", f"--experiment={name}", f"--run={tmp_path}"])
    cli.FLAGS.unparse_flags()
    with pytest.raises(SystemExit, match="2"):
        cli.run(lambda settings, run: None, training=False)
    assert told in capsys.readouterr().err


def test_settings_of_a_run_that_are_nested_deeper_than_python_goes(tmp_path):
    text = json.dumps({**resolve(), "more": 0})
    (tmp_path / "config.json").write_text(text.replace('"more": 0', '"more": ' + '{"a": ' * 700 + "1" + "}" * 700))
    with pytest.raises(ConfigError, match="hold what a config.json can't"):
        resolve(run=tmp_path, training=False)


@pytest.mark.parametrize(
    "key, nearest", [("train.batchsize", "train.batch_size"), ("model.grwth", "model.growth"), ("seeed", "seed")]
)
def test_unknown_setting_names_the_nearest(key, nearest):
    with pytest.raises(ConfigError, match=f"unknown setting '{key}', did you mean '{nearest}'"):
        resolve(f"--config.{key}=1")


def test_a_setting_of_older_versions_names_what_it_is():
    with pytest.raises(ConfigError, match=r"setting 'model.align_corners' is --config.model.placement=corners"):
        resolve("--config.model.align_corners=True")


def test_settings_of_another_experiments_run_are_announced(monkeypatch, capsys, tmp_path):
    config = resolve("--config.model.growth=7")
    RunFolder(tmp_path, "did_synthetic").start(config, {})
    for experiment, told in (("did_camvid", True), ("did_synthetic", False)):
        monkeypatch.setattr(sys, "argv", ["evaluate", f"--experiment={experiment}", f"--run={tmp_path}"])
        cli.FLAGS.unparse_flags()
        cli.run(lambda settings, run: print(settings["model"]["growth"]), training=False)
        output = capsys.readouterr().out
        assert output.endswith("7\n") and ("is of experiment did_synthetic" in output) == told


def test_another_model_has_its_own_options():
    model = resolve("--config.model.depth=14", "--config.model.name=duc")["model"]
    defaults = {key: value for key, value in models.options("duc").items() if key not in ("mean", "std")}
    assert model == {**defaults, "name": "duc", "depth": 14}
    assert resolve("--config.model.name=did")["model"]["growth"] == 16, "the experiment's own model stays as it is"
    with pytest.raises(ConfigError, match="unknown setting 'model.growth'"):
        resolve("--config.model.growth=8", "--config.model.name=duc")


def test_another_data_set_has_its_own_options():
    assert resolve("--config.dataset.name=camvid")["dataset"]["options"] == {}
    options = resolve("--config.dataset.name=cityscapes", "--config.dataset.options.half=True")["dataset"]["options"]
    assert options == {"half": True}


@pytest.mark.parametrize(
    "override, value",
    [
        ("evaluate.options.smoothing=3", 3),
        ("evaluate.options.use_bias=false", False),
        ("loss.output_weights.main=0.5", 0.5),
        ("optimizer.multipliers.decoder=10", 10),
        ("dataset.options.bands=4", 4),
    ],
)
def test_groups_without_keys_of_their_own_take_new_ones(override, value):
    group, name, option = override.partition("=")[0].split(".")
    assert resolve(f"--config.{override}")[group][name][option] == value


def test_a_setting_that_is_none_takes_a_value():
    assert resolve("--config.model.units=(1,2,3,4)", experiment="ladder121_camvid")["model"]["units"] == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["did_camvid_abblations:row7", "nothing"])
def test_unknown_experiment_lists_the_known(name):
    with pytest.raises(ConfigError, match="known: .*did_camvid"):
        cli.load_experiment(name)


def test_unknown_row():
    with pytest.raises(ConfigError, match="row3, row4"):
        cli.load_experiment("did_table3:row99")


def test_own_experiment_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("from experiments import base\n\ndef get_config(arg=None):\n    return base.get_config()\n")
    assert cli.load_experiment(str(path)).model.name == "did"
    with pytest.raises(ConfigError, match="no experiment file"):
        cli.load_experiment(str(tmp_path / "other.py"))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("HOURS = 2", "has no function get_config"),
        ("steps = missing", "NameError: name 'missing'"),
        ("from experiments import base\ndef get_config():\n  c = base.get_config()\n  c.tain.steps = 1", "tain"),
        ("def get_config():\n  return {}['a']", "KeyError: 'a'"),
    ],
)
def test_an_experiment_file_that_gives_no_settings_is_told(tmp_path, text, told):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=rf"experiment .*mine\.py.*{told}"):
        cli.load_experiment(str(tmp_path / "mine.py"))


@pytest.mark.parametrize("text", ["from experiments import did_camvid", "import no_such_module", "def get_config("])
def test_an_experiment_file_that_cannot_be_imported_is_told(tmp_path, text):
    (tmp_path / "mine.py").write_text(text)
    with pytest.raises(ConfigError, match=r"experiment .*mine\.py: "):
        cli.load_experiment(str(tmp_path / "mine.py"))


@pytest.mark.parametrize(
    "name, folder",
    [
        ("did_camvid", "runs/did_camvid"),
        ("did_table3:row7", "runs/did_table3_row7"),
        ("did_camvid_finetune:runs/other", "runs/did_camvid_finetune_other"),
        ("my/own.py", "runs/own"),
    ],
)
def test_default_run_folder(name, folder):
    assert str(default_run(name)) == folder


@pytest.mark.parametrize("path", ["my\\own.py", "C:\\my\\own.py", "runs/2026-11-30T02:00/plan.py", "a:b/c.pyd/e.py"])
def test_a_path_may_have_colons_and_an_argument(path):
    assert split_name(path) == (path, "")
    assert split_name(f"{path}:row7") == (path, "row7")


def test_metrics_of_classes_in_any_language(tmp_path):
    """Windows' own encoding has no such letters."""
    MetricsFile(tmp_path / "metrics.csv", ["step", "iou/街"], 0).write({"step": 1, "iou/街": 0.5})
    assert "街".encode() in (tmp_path / "metrics.csv").read_bytes()
    assert read_metrics(tmp_path / "metrics.csv") == [{"step": "1", "iou/街": "0.5"}]


def camvid(folder, image=None, label=None, size=(40, 48)):
    """A CamVid of two frames under `folder`; `image` and `label` replace the files of the first training frame."""
    for split in ("train", "val"):
        for kind, pixels in (("", np.zeros((*size, 3), np.uint8)), ("annot", np.zeros(size, np.uint8))):
            (folder / f"{split}{kind}").mkdir(parents=True)
            for name in ("a.png", "b.png") if split == "train" else ("c.png", "d.png"):
                (folder / f"{split}{kind}" / name).write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    for kind, replacement in (("", image), ("annot", label)):
        if replacement is not None:
            (folder / f"train{kind}" / "a.png").write_bytes(replacement)
    return folder


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


BAD_DATA = {
    "unreadable image": ({"image": b"no picture"}, "cannot decode", "train/a.png"),
    "label out of range": ({"label": png(np.full((40, 48), 77, np.uint8))}, "holds value 77", "trainannot/a.png"),
    "different sizes": ({"label": png(np.zeros((40, 47), np.uint8))}, "40x48", "40x47"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_one_line_and_status_2(monkeypatch, capsys, tmp_path, case):
    files, *expected = BAD_DATA[case]
    arguments = ("--experiment=did_camvid_quick", f"--data={camvid(tmp_path / 'data', **files)}", f"--run={tmp_path}")
    status, errors = in_process(monkeypatch, capsys, *arguments)
    assert status == 2
    assert len(errors) == 1 and all(part in errors[0] for part in expected)


@pytest.mark.parametrize(
    "arguments, expected",
    [
        (["--experiment=did_camvid", "--data=/nowhere"], "did_tf data --dataset=camvid"),
        (["--experiment=did_camvid", "--data=/nowhere"], "--experiment=did_synthetic"),
        (["--experiment=did_canvid"], "did you mean 'did_camvid'"),
        ([], "no experiment given"),
        (["--experiment=did_synthetic", "--config.train.stepz=1"], "did you mean 'train.steps'"),
        (["--experiment=did_synthetic", "--config.train.steps=many"], "many"),
        (["--experiment=did_synthetic", "--config.data.crop=(16,16)"], "data.crop=(16, 16)"),
        (["--experiment=did_synthetic", "--config.model.name=dod"], "unknown model 'dod'"),
        (["--experiment=did_synthetic", "stray"], "unexpected argument 'stray'"),
        (["--experimnt=did_synthetic"], "experimnt"),
        (["--experiment=did_synthetic", *TINY, "--run=/proc/run"], "cannot write to run folder /proc/run"),
        (
            ["--experiment=did_synthetic", *TINY, f"--config.loss.class_weights={(0,) * 11}"],
            "must have one above 0",
        ),
        (
            ["--experiment=did_synthetic", *TINY, f"--config.loss.class_weights={(1,) * 10 + (-1,)}"],
            "each a finite number, 0 or more",
        ),
        (["--experiment=did_synthetic", "--config.dataset.options.bands=2", "--config.data.hue=0.1"], "data.hue"),
    ],
)
def test_bad_command_line_is_one_line_and_status_2(monkeypatch, capsys, arguments, expected):
    status, errors = in_process(monkeypatch, capsys, *arguments)
    assert status == 2
    assert len(errors) == 1 and expected in errors[0]


@pytest.mark.parametrize(
    "error, status, told",
    [
        (Failure("the disk\nis full"), 1, "error: the disk is full"),
        (OSError(28, "No space left on device", "weights.npz"), 1, "No space left on device: 'weights.npz'"),
        (MemoryError(), 1, "error: MemoryError"),
        (ConfigError("train.steps is no number"), 2, "error: train.steps is no number"),
        (DataError("a.png is damaged"), 2, "error: a.png is damaged"),
        (tf.errors.UnknownError(None, None, "in map: DataError: a.png is damaged\nmore"), 2, "error: a.png is damaged"),
        (ValueError("shapes (3,) and (4,)"), 1, "error: internal error, ValueError: shapes (3,) and (4,); its trace"),
        (KeyError("train"), 1, "error: internal error, KeyError: 'train'; its trace is in"),
        (RuntimeError("what is this"), 1, "error: internal error, RuntimeError: what is this; its trace is in"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_only_what_the_project_calls_bad_input_is(monkeypatch, capsys, tmp_path, error, status, told):
    """Any ValueError within used to end as bad input, without a trace (A13)."""

    def main(config, run):
        raise error

    arguments = ("--experiment=did_synthetic", f"--run={tmp_path}")
    found, errors = in_process(monkeypatch, capsys, *arguments, program=main)
    assert found == status
    assert len(errors) == 1 and told in errors[0]
    kept = tmp_path / "error.log"
    assert kept.is_file() == ("internal" in told)
    if kept.is_file():
        assert str(kept) in errors[0]
        assert "raise error" in kept.read_text() and type(error).__name__ in kept.read_text()


def test_the_trace_of_a_run_that_is_not_there_does_not_make_it(monkeypatch, capsys, tmp_path):
    def main(config, run):
        raise TypeError("unexpected")

    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    arguments = ("--experiment=did_synthetic", f"--run={tmp_path / 'run'}")
    status, errors = in_process(monkeypatch, capsys, *arguments, program=main)
    assert status == 1 and str(tmp_path / "error.log") in errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ["error.log"]


@pytest.mark.parametrize("here", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_killed_run_continues_with_the_same_values(monkeypatch, capsys, tmp_path, here):
    """kill -9 in the middle, then the same command: metrics.csv as if nothing had happened.

    What is not killed runs in this process, whose TensorFlow has no oneDNN unless it takes it by itself; or as a user
    runs it.
    """
    arguments = ["--experiment=did_synthetic", *TINY, "--config.train.steps=40"]
    plain = {"TF_ENABLE_ONEDNN_OPTS": "0"} if here and processor.is_avx2_alone() else {}

    def finish(run):
        if here:
            assert in_process(monkeypatch, capsys, *arguments, f"--run={run}") == (0, [])
        else:
            assert start(*arguments, f"--run={run}").wait(300) == 0

    finish(tmp_path / "whole")
    killed = start(*arguments, f"--run={tmp_path / 'killed'}", **plain)
    deadline = time.time() + 300
    while not (tmp_path / "killed" / "checkpoints" / "step_00000006.npz").exists() and time.time() < deadline:
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL, "it ended before it could be killed"

    finish(tmp_path / "killed")
    assert read_json(tmp_path / "killed" / "manifest.json")["continued"][-1]["step"] >= 6
    runs = [read_metrics(tmp_path / name / "metrics.csv") for name in ("whole", "killed")]
    untimed = {"images_per_second": "", "input_wait": ""}
    for one, other in zip(*runs):
        assert {**one, **untimed} == {**other, **untimed}
    assert len(runs[0]) == len(runs[1]) == 10


def test_help_helps(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "--help"])
    cli.FLAGS.unparse_flags()
    cli.run(train.main)
    output = capsys.readouterr().out
    assert "--experiment" in output and "debug" in output and "Trains an experiment" in output
    assert "duc_table1:ROW " in output and "--config.optimizer.multipliers.KEY=VALUE" in output
    assert all(f"  {name}: " in output for name in models.names())


def test_help_on_an_experiment(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train", "--experiment=fcrn_table3:row2", "--help"])
    cli.FLAGS.unparse_flags()
    cli.run(train.main)
    output = capsys.readouterr().out
    assert "--config.model.output_stride=16\n" in output and "--config.evaluate.options.simulation=True\n" in output
    assert "model.growth" not in output and "config.paper" not in output


def test_help_on_what_is_planned_has_the_settings_of_all():
    """No plan is there yet: this was an unknown experiment."""
    told = launch_here("train", "--experiment=auto:camvid", "--help")
    assert told.returncode == 0 and "--config.model.name=did\n" in told.stdout


@pytest.mark.parametrize("name", ["plan", "serve", "table", "video"])
def test_the_help_of_what_takes_no_settings_has_none(name):
    told = launch_here(name, "--help")
    assert told.returncode == 0 and ("--output" in told.stdout or "--port" in told.stdout)
    assert "did_synthetic" not in told.stdout and "--config." not in told.stdout


def test_settings_of_the_crf_without_it_are_told_and_it_is_not_for_classification(monkeypatch, capsys):
    config, spec = tiny.config(), data_pipelines.spec_of("synthetic")
    monkeypatch.setattr(sys, "argv", ["did_tf", "--config.crf.iterations=5", "--config.evaluate.flip=True"])
    assert cli.make_refiner(config, spec, wanted=False) is None
    assert capsys.readouterr().out == "note: crf.iterations has no effect: it needs --crf\n"
    with pytest.raises(ConfigError, match="imagenet is for classification: no --crf"):
        cli.make_refiner(config, data_pipelines.spec_of("imagenet"), wanted=True)
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    with pytest.raises(ConfigError, match="pip install .*.crf.'"):
        cli.make_refiner(config, spec, wanted=True)
