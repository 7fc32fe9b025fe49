"""`did_tf search`: trials are runs; it goes on, ends in time and says what was best."""

import json
import os
import signal
import subprocess
import sys
import time

import program
import pytest
from absl.testing import flagsaver

from did_tf.common.files import write_json
from did_tf.runs.run_folder import RunFolder

TINY = (
    "--config.model.units=(1,1,1,1)",
    "--config.data.crop=(33,33)",
    "--config.dataset.options.height=48",
    "--config.dataset.options.width=64",
    "--config.dataset.options.sizes={'train':4,'val':2,'test':2}",
    "--config.train.steps=4",
    "--config.train.validate_every=2",
    "--config.train.batch_size=2",
    "--config.schedule.warmup=0",
)
SEARCH = ("--experiment=did_synthetic", "--over=model.growth=2,4,6", "--hours=0")


@pytest.mark.parametrize(
    "given, told",
    [
        (["--experiment=did_synthetic", "--hours=1"], "--over says what is searched"),
        (["--experiment=did_synthetic", "--over=model.growth=2,4"], "how long do you have"),
        ([*SEARCH, "--over=model.growth=4,8"], "once for each setting"),
        (["--over=model.growth=2,4", "--hours=1"], "no experiment given"),
        (["--experiment=auto", *SEARCH[1:]], "did_tf plan --output=plan.py, and search with --experiment=plan.py"),
        ([*SEARCH[:1], "--over=model.grwth=2,4", "--hours=1"], "model.growth"),
        ([*SEARCH[:1], "--over=train.batch_size=-4..8", "--hours=1"], "train.batch_size"),
        ([*SEARCH, "--config.dataset.val_split="], "goes by validation"),
        ([*SEARCH[:2], "--hours=1", "--trial_hours=2"], "is more than --hours"),
        ([*SEARCH[:1], "--over=train.hours=1,2", "--hours=9", "--trial_hours=2"], "leave out one of them"),
        ([*SEARCH, "--run=gs://bucket/run"], "a search is on this machine"),
        ([*SEARCH, "--run=trained"], "is a run that was trained"),
        ([*SEARCH, "--run=divided"], "is a cross-validation"),
    ],
)
def test_what_is_refused(given, told, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for file in ("trained/config.json", "divided/cross_validation/folds.json"):
        write_json(tmp_path / file, {})
    done = program.launch_here("search", *given)
    assert done.returncode == 2 and told in done.stderr


def test_how_far_a_trial_is_goes_by_its_own_steps(tmp_path):
    program.launch_here("search")  # defines the flags
    search = sys.modules["did_tf.programs.search"]
    run = RunFolder(tmp_path)
    write_json(run.config, {"model": {}, "train": {"steps": 40, "extend": 0}})
    run.metrics.write_text("step,hours,val_miou\n8,0.1,0.5\n")
    with flagsaver.flagsaver(trial_hours=0.0):
        assert [*search._validations(run)] == [(2, 0.5)]


@pytest.mark.parametrize("command", ["train", "cross-validate"])
def test_the_folder_of_a_search_is_no_run(command, tmp_path):
    write_json(tmp_path / "search.json", {})
    done = program.launch_here(command, "--experiment=did_synthetic", f"--run={tmp_path}")
    assert done.returncode == 2 and f"is a search, with which {command} can't go on" in done.stderr


@pytest.mark.slow
def test_killed_and_finished_it_has_the_trials_of_one_that_was_not(tmp_path):
    pytest.importorskip("optuna")
    given = [*SEARCH, *TINY, "--trials=3"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    done = program.launch("search", *given, f"--run={whole}")
    assert done.returncode == 0 and "chosen on val" in done.stdout, done.stderr
    command = [sys.executable, "-m", "did_tf", "search", *given, f"--run={parts}"]
    process = subprocess.Popen(command, cwd=program.PROJECT, env=dict(os.environ), stdout=subprocess.DEVNULL)
    while not (parts / "trial_001" / "config.json").exists():
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert program.launch("search", *given, f"--run={parts}").returncode == 0
    found = [json.loads((folder / "search.json").read_text())["trials"] for folder in (whole, parts)]
    assert found[0] == found[1] and [trial["state"] for trial in found[0]] == ["done"] * 3


@pytest.mark.slow
def test_a_first_trial_that_fails_says_why(tmp_path):
    pytest.importorskip("optuna")
    given = [*SEARCH, *TINY, "--data=/nowhere", f"--run={tmp_path / 'run'}", "--config.dataset.name=camvid"]
    given = [one for one in given if "dataset.options" not in one]
    done = program.launch("search", *given)
    assert done.returncode == 1 and "trial 0 failed" in done.stderr and "/nowhere" in done.stderr
