"""Trainings that go wrong, as their user meets them."""

import shlex
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tiny
from absl.testing import flagsaver

from did_tf.cluster import places
from did_tf.common.errors import NotFinite
from did_tf.inference.predictor import Predictor
from did_tf.programs import cli, train
from did_tf.runs import checkpoints
from did_tf.runs.run_folder import RunFolder

VAL = 2
"""Images of the validation split."""
TINY = {
    "dataset.options.height": 48,
    "dataset.options.width": 64,
    "dataset.options.sizes": {"train": 4, "val": VAL, "test": 1},
    "model.growth": 4,
    "model.units": "(1,1,1,1)",
    "model.decoder": "plain",
    "model.use_bias": False,
    "data.crop": "(33,33)",
    "schedule.name": "constant",
    "schedule.warmup": 0,
    "optimizer.name": "sgd",
    "train.batch_size": 4,
    "train.steps": 3,
    "train.log_every": 1,
    "train.checkpoint_every": 1,
    "train.validate_every": 1,
    "train.progress": False,
}


@pytest.fixture
def trained(monkeypatch, capsys):
    """Function of command-line arguments that gives (exit status, errors)."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["train", *arguments])
        with flagsaver.flagsaver(), pytest.raises(SystemExit) as caught:
            cli.FLAGS.unparse_flags()
            cli.run(train.main)
            raise SystemExit(0)
        return caught.value.code, [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]

    return run


def arguments(run, **settings):
    chosen = {**TINY, **{key.replace("__", "."): value for key, value in settings.items()}}
    settings = [f"--config.{key}={value}" for key, value in chosen.items()]
    return ["--experiment=did_synthetic", f"--run={run}", *settings]


def check_all_is_finite(folder):
    paths = [*folder.rglob("*.npz")]
    assert paths
    for path in paths:
        with np.load(path) as saved:
            for name in saved.files:
                assert saved[name].dtype.kind != "f" or np.isfinite(saved[name]).all(), (path, name)


def test_a_start_may_be_named_by_a_remote_place(trained, tmp_path, monkeypatch):
    """Which is looked at: it is no setting that must be local."""
    monkeypatch.setenv("DID_TF_CACHE", str(tmp_path / "cache"))
    status, errors = trained(*arguments(tmp_path / "run", train__init=f"file://{tmp_path}/none"))
    assert status == 2 and errors[0].startswith(f"error: train.init: there is no run at file://{tmp_path}/none: ")


@pytest.mark.parametrize("rate, keep", [pytest.param("1e20", 0, marks=pytest.mark.slow), ("1e30", 50)])
def test_a_ruined_training_saves_nothing_and_its_advice_works(trained, tmp_path, rate, keep):
    """Mining passed NaN over and the run ended normally (A1); ruined weights under a finite loss were saved (A2)."""
    run = tmp_path / "my run"
    settings = {"schedule__learning_rate": rate, "loss__ohem_keep": keep, "dataset__val_split": ""}
    status, errors = trained(*arguments(run, **settings))
    assert status == 1 and len(errors) == 1
    assert "at step 1; nothing of it was saved, and there is no checkpoint from before it" in errors[0]
    assert not (run / "best").exists() and not checkpoints.saved_steps(run / "checkpoints")
    _, _, command = errors[0].partition("in another run: ")
    program, name, *advised = shlex.split(command)
    assert (program, name) == ("did_tf", "train")
    assert f"--run={run}_2" in advised
    gentle = [argument for argument in advised if "learning_rate" not in argument]
    assert trained(*gentle, "--config.schedule.learning_rate=0.01") == (0, [])


def test_the_advice_starts_from_the_last_good_checkpoint(trained, tmp_path, monkeypatch):
    """Validation is the first to see probabilities that are not finite: the weights are not kept as the best."""
    run, called = tmp_path / "run", []
    predict = Predictor.__call__

    def ruined_later(self, image):
        called.append(None)
        if len(called) > 2 * VAL:
            raise NotFinite("the network's output main is not finite: its training went wrong")
        return predict(self, image)

    monkeypatch.setattr(Predictor, "__call__", ruined_later)
    status, errors = trained(*arguments(run, schedule__learning_rate=0.01, loss__ohem_keep=50))
    check_all_is_finite(run)
    good = run / "checkpoints" / "step_00000002.npz"
    assert status == 1
    assert f"at step 3; nothing of it was saved, and the last good checkpoint is {good}" in errors[0]
    assert "validation: " in errors[0]
    monkeypatch.setattr(Predictor, "__call__", predict)
    *_, command = errors[0].partition("in another run: ")
    advised = shlex.split(command)[2:]
    assert f"--config.train.init={good}" in advised and "--config.schedule.learning_rate=0.001" in advised
    assert trained(*advised) == (0, [])


def advised(monkeypatch, run, **given):
    """Words of the command that is advised where training has failed, with such flags."""
    monkeypatch.setattr(sys, "argv", ["did_tf train"])
    trainer = SimpleNamespace(run=run, settings={"precision": "float32"})
    with flagsaver.flagsaver(**given):
        return shlex.split(train._gentler(tiny.config(), trainer, None))


def test_the_advice_for_a_planned_run_names_its_plan(monkeypatch, tmp_path):
    """The other run has none, and `auto` would be refused."""
    words = advised(monkeypatch, RunFolder(tmp_path / "auto"), experiment="auto", data="mine")
    assert words[2:5] == [f"--experiment={tmp_path}/auto/plan.py", f"--run={tmp_path}/auto_2", "--data=mine"]


def test_the_advice_has_as_many_workers(monkeypatch, tmp_path):
    run = RunFolder(tmp_path / "run")
    assert not [word for word in advised(monkeypatch, run, experiment="mine") if "workers" in word]
    assert "--workers=slurm" in advised(monkeypatch, run, experiment="mine", workers="slurm")
    monkeypatch.setenv(places.VARIABLE, places.on_this_host([1, 2, 3])[0].text())
    assert "--workers=1" in advised(monkeypatch, run, experiment="mine", workers="1")
    monkeypatch.setenv(train.local.STARTED_BY, "7")
    assert "--workers=3" in advised(monkeypatch, run, experiment="mine", workers="1")


@pytest.mark.slow
def test_float16_that_overflows_for_ever_is_told(trained, tmp_path):
    """Without end every update would be skipped, and the run would end normally with its first weights."""
    settings = {
        "train__precision": "float16",
        "train__steps": 40,
        "train__validate_every": 40,
        "dataset__val_split": "",
    }
    rate = {"schedule__learning_rate": 0.01, "loss__output_weights.main": "1e30"}
    status, errors = trained(*arguments(tmp_path / "run", **settings, **rate))
    assert status == 1
    assert "float16 overflows even without loss scaling" in errors[0] or "is inf" in errors[0]


@pytest.mark.parametrize("given", [["--workers=2"], ["--workers", "2"]])
def test_each_worker_is_started_as_one(monkeypatch, given):
    started = []
    monkeypatch.setattr(train.local, "run", lambda command, count, gpus: started.append((command[3:], count)) or 3)
    monkeypatch.setattr(sys, "argv", ["did_tf", "--experiment=did_synthetic", "--config.train.devices=cpu", *given])
    with pytest.raises(SystemExit) as ended, flagsaver.flagsaver():
        train.launch()
    assert ended.value.code == 3
    assert started == [(["train", *sys.argv[1:], "--workers=1"], 2)]


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "²", "many"])
def test_a_number_of_workers_that_is_none_is_told(monkeypatch, capsys, given):
    monkeypatch.setattr(sys, "argv", ["did_tf", "--experiment=did_synthetic", f"--workers={given}"])
    with pytest.raises(SystemExit) as ended, flagsaver.flagsaver():
        train.launch()
    assert ended.value.code == 2
    assert f"must be a number of 1 or more, or one of slurm, kubernetes, got '{given}'" in capsys.readouterr().err
