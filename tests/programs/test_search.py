"""`did_tf search`: trials are runs; it goes on, ends in time and says what was best."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types

import program
import pytest
from absl.testing import flagsaver

from did_tf.common.files import write_json
from did_tf.planning import trying
from did_tf.runs.run_folder import RunFolder
from did_tf.search import space
from did_tf.search.study import DONE, PRUNED, RUNNING, Study, Trial

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
        ([*SEARCH[:1], "--over=schedule.power=1,2", "--hours=1"], "schedule.power=2.0 has no effect: it needs"),
        ([*SEARCH[:1], "--over=evaluate.overlap=0.1..0.5", "--hours=1"], "it needs protocol tiles or tiles_once"),
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
    assert [*search._validations(run)] == [(2, 0.5)]


def test_how_far_a_trial_is_goes_by_its_time_where_that_is_over_sooner(tmp_path):
    """As of a plan, whose steps are twice those that it expects."""
    program.launch_here("search")  # defines the flags
    run = RunFolder(tmp_path)
    write_json(run.config, {"model": {}, "train": {"steps": 1000, "extend": 0, "hours": 1.0}})
    run.metrics.write_text("step,hours,val_miou\n100,0.8,0.5\n960,0.9,0.75\n")
    assert [*sys.modules["did_tf.programs.search"]._validations(run)] == [(8, 0.5), (10, 0.75)]


EXPERIMENT = """
from experiments.did import did_synthetic

def get_config():
    c = did_synthetic.get_config()
    %s
    return c
"""


@pytest.fixture
def edited(monkeypatch, tmp_path):
    """Searches by an experiment of the user's with a line of settings; all is recorded, and nothing is trained."""
    pytest.importorskip("optuna")
    monkeypatch.setattr(Study, "is_exhausted", lambda study: study.write() or True)
    file = tmp_path / "e.py"

    def search(line, *given):
        file.write_text(EXPERIMENT % line)
        given = (f"--experiment={file}", f"--run={tmp_path / 'run'}", *SEARCH[1:], *given)
        return program.launch_here("search", *given)

    return search


@pytest.mark.parametrize(
    "line, told",
    [
        ("c.optimizer.name = 'muon'", "optimizer.name (adam, now muon)"),
        ("c.optimizer.options.epsilon = 0.1", "optimizer.options.epsilon (None, now 0.1)"),
        ("c.train.patience = 3", "train.patience (0, now 3)"),
        ("c.train.devices = 'cpu*2'", "train.devices (auto, now cpu*2)"),
        ("c.train.recompute = True", "train.recompute (False, now True)"),
        ("c.dataset.folder = '/elsewhere'", "dataset.folder (, now /elsewhere)"),
        ("c.train.validation = 'scales'; c.evaluate.scales = (1.0,)", "evaluate.scales ([0.5"),
    ],
)
def test_an_experiment_that_was_edited_is_refused(edited, tmp_path, line, told):
    assert edited("c.train.validation = 'scales'").returncode == 0
    done = edited(f"c.train.validation = 'scales'; {line}")
    assert done.returncode == 2 and "is of a search with other settings: " in done.stderr and told in done.stderr
    assert done.stderr.count("\n") == 1 and str(tmp_path / "run" / "search.json") in done.stderr


def test_what_changes_no_trial_may_be_edited(edited):
    """What is searched, and what no training uses."""
    assert edited("").returncode == 0
    done = edited("c.model.growth = 12; c.train.keep_checkpoints = 5; c.evaluate.scales = (1.0,)")
    assert done.returncode == 0, done.stderr


def test_what_changes_no_trial_is_told(edited):
    """Of what is searched beside others, and of what is given."""
    given = "--config.schedule.final=0.5", "--config.schedule.divisor=2", "--over=schedule.power=1.0,2.0"
    done = edited("", *given, "--config.train.batch_size=auto")
    notes = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert done.returncode == 0 and [note.partition("=")[0] for note in notes] == [
        "note: schedule.power",
        "note: schedule.final",
        "note: schedule.divisor",
        "note: train.batch_size",
    ], done.stderr


def test_what_another_searched_setting_makes_count_is_not_told(edited):
    given = "--over=schedule.name=cosine,poly", "--over=schedule.power=1.0,2.0", "--config.schedule.final=0.5"
    done = edited("", *given)
    assert done.returncode == 0 and done.stdout.count("note: ") == 1 and "note: schedule.final=0.5" in done.stdout


def test_a_setting_that_a_record_is_too_old_to_have_had_its_default(edited, tmp_path):
    record = tmp_path / "run" / "search.json"
    assert edited("").returncode == 0
    found = json.loads(record.read_text())
    del found["resolved"]["train.ema"]
    write_json(record, found)
    assert edited("").returncode == 0
    write_json(record, found)
    assert "train.ema (0.0, now 0.9)" in edited("c.train.ema = 0.9").stderr


def test_a_record_without_settings_goes_on_with_a_note(edited, tmp_path):
    record = tmp_path / "run" / "search.json"
    assert "note:" not in edited("").stdout
    found = json.loads(record.read_text())
    write_json(record, {key: value for key, value in found.items() if key != "resolved"})
    done = edited("c.train.ema = 0.9")
    assert done.returncode == 0 and f"note: {record} is of a version that recorded no settings" in done.stdout
    assert "note:" not in edited("c.train.ema = 0.9").stdout


def test_an_experiment_that_is_edited_while_it_searches_is_refused(monkeypatch, tmp_path):
    pytest.importorskip("optuna")
    file, runs = tmp_path / "e.py", []

    def begin(arguments, out, errors):
        """Stands for a training, within which the file is edited."""
        (folder,) = (one.partition("=")[2] for one in arguments if one.startswith("--run="))
        runs.append(RunFolder(folder))
        write_json(runs[-1].config, {"model": {}, "train": {"steps": 4, "extend": 0}})
        runs[-1].metrics.write_text("step,val_miou\n4,0.5\n")
        file.write_text(EXPERIMENT % "c.train.ema = 0.9")
        return types.SimpleNamespace(poll=lambda: 0, returncode=0)

    monkeypatch.setattr(trying, "begin", begin)
    monkeypatch.setattr(trying, "stop", lambda process: None)
    file.write_text(EXPERIMENT % "")
    done = program.launch_here("search", f"--experiment={file}", f"--run={tmp_path / 'run'}", *SEARCH[1:])
    assert done.returncode == 2 and "of a search with other settings: train.ema (0.0, now 0.9)" in done.stderr
    assert len(runs) == 1 and "trial 0: done, 50.0" in done.stdout


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Searches by trainings of which each leaves a manifest, as a function of its number gives it."""
    pytest.importorskip("optuna")
    monkeypatch.setattr(trying, "stop", lambda process: None)

    def search(manifest, *given):
        runs = []

        def begin(arguments, out, errors):
            (folder,) = (one.partition("=")[2] for one in arguments if one.startswith("--run="))
            run = RunFolder(folder)
            write_json(run.config, {"model": {}, "train": {"steps": 4, "extend": 0}})
            write_json(run.manifest, manifest(len(runs)))
            run.metrics.write_text("step,val_miou\n4,0.5\n")
            runs.append(run)
            return types.SimpleNamespace(poll=lambda: 0, returncode=0)

        monkeypatch.setattr(trying, "begin", begin)
        return program.launch_here("search", f"--run={tmp_path / 'run'}", *SEARCH[:1], *given, "--hours=0")

    return search


@pytest.mark.parametrize("part, what", [("data", "training"), ("validation", "validation")])
@pytest.mark.parametrize("fact", ["fingerprint", "meaning"])
def test_trials_of_other_data_are_not_compared(trained, tmp_path, part, what, fact):
    data = {"fingerprint": "f", "meaning": "m", "samples": 4}

    def manifest(number):
        return {"data": data, "validation": data, part: {**data, fact: str(number)}}

    done = trained(manifest, SEARCH[1])
    assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
    assert f"trial_001: the {what} data are not those of {tmp_path / 'run' / 'trial_000'}" in done.stderr
    record = json.loads((tmp_path / "run" / "search.json").read_text())
    assert [(trial["state"], trial["value"]) for trial in record["trials"]] == [("done", 0.5), ("running", None)]
    shutil.rmtree(tmp_path / "run" / "trial_001")
    done = trained(lambda number: manifest(0), SEARCH[1])
    assert done.returncode == 0 and "3 trials" in done.stdout and "trained by" not in done.stdout, "they were put back"


def test_searched_settings_may_say_that_the_data_are_others(trained):
    over = "--over=dataset.options.sizes={'train':4,'val':2,'test':2},{'train':2,'val':2,'test':2}"
    done = trained(lambda number: {"data": {"fingerprint": str(number)}}, over)
    assert done.returncode == 0 and "2 trials" in done.stdout, done.stderr


def test_trials_of_several_versions_are_told(trained):
    by = {"packages": {"did_tf": "0.2.0"}}

    def manifest(number):
        return {"packages": {"did_tf": "0.1.0"}, "git_commit": "abc", "continued": [by] if number == 1 else []}

    done = trained(manifest, SEARCH[1])
    assert "note: trials were trained by did_tf 0.1.0 (abc) and 0.2.0, which may" in done.stdout, done.stderr


@pytest.fixture
def killed(monkeypatch, tmp_path):
    """Gives the record of a search that is killed in its first trial, whose training is never told to have ended."""
    pytest.importorskip("optuna")
    program.launch_here("search")  # defines the flags
    search = sys.modules["did_tf.programs.search"]

    def kill(*given):
        raise KeyboardInterrupt

    def record(**parts):
        study = Study(tmp_path / "search.json", [space.parse("model.growth=2,4")], {"seed": 0}, {}, {})
        process = types.SimpleNamespace(poll=lambda: None)
        given = {"POLL": 0.0, "_study": lambda *given: None, "_process": lambda *given: contextlib.nullcontext(process)}
        for name, value in {**given, **parts}.items():
            monkeypatch.setattr(search, name, value)
        monkeypatch.setattr(search.cli, "resolve", lambda *given: {})
        monkeypatch.setattr(trying, "stop", kill)
        with flagsaver.flagsaver(hours=0.0, trial_hours=0.0), pytest.raises(KeyboardInterrupt):
            search._search(study)
        return json.loads(study.path.read_text())

    return record


def test_a_trial_that_is_ended_early_is_recorded_before_it_stops(killed, monkeypatch):
    """Which takes a while: whoever goes on after a kill would train it on."""
    monkeypatch.setattr(Study, "is_hopeless", lambda study, trial: True)
    (trial,) = killed(_validations=lambda run: [(2, 0.125), (3, 0.25)])["trials"]
    assert (trial["state"], trial["value"]) == (PRUNED, 0.25)


def test_time_is_recorded_within_a_trial(killed):
    """Also where no validation comes for long."""

    def ticks():
        yield from (0.0, 30.0, 70.0)
        raise KeyboardInterrupt

    time = types.SimpleNamespace(monotonic=ticks().__next__, sleep=lambda seconds: None)
    found = killed(_validations=lambda run: [], time=time)
    assert found["seconds"] == 70.0 and found["trials"][0]["state"] == RUNNING


@pytest.mark.parametrize(
    "hours, trial_hours, seconds, goes_on",
    [
        (1, 1, 0, True),
        (1, 1, 1, False),
        (1, 0.5, 1800, True),
        (1, 0, 3599, True),
        (1, 0, 3600, False),
        (0, 1, 9e9, True),
    ],
)
def test_a_trial_begins_where_its_time_is_left(hours, trial_hours, seconds, goes_on):
    program.launch_here("search")  # defines the flags
    study = types.SimpleNamespace(trials=[], seconds=seconds, is_exhausted=lambda: False)
    with flagsaver.flagsaver(hours=hours, trial_hours=trial_hours):
        assert sys.modules["did_tf.programs.search"]._goes_on(study) == goes_on
        study.trials = [types.SimpleNamespace(state=RUNNING)]
        assert sys.modules["did_tf.programs.search"]._goes_on(study)


def test_a_trial_that_fails_after_a_validation_says_why(monkeypatch, capsys):
    program.launch_here("search")  # defines the flags
    search = sys.modules["did_tf.programs.search"]
    monkeypatch.setattr(search, "_last_line", lambda run, status: "error: no space left (exit status 1)")
    monkeypatch.setattr(search, "_show_in_tensorboard", lambda *given: None)
    search._conclude(types.SimpleNamespace(write=lambda: None), Trial(3, {}, scores={1: 0.582}), None, 1)
    assert capsys.readouterr().out == "trial 3: failed, error: no space left (exit status 1)\n"


def test_the_split_that_the_best_is_chosen_on_is_told(capsys, tmp_path):
    program.launch_here("search")  # defines the flags
    best = Trial(0, {}, DONE, value=0.5)
    study = types.SimpleNamespace(ranges=[], trials=[best], seconds=0, path=tmp_path / "search.json")
    study.settings, study.ranked, study.texts = {"dataset.val_split": "fifth"}, lambda: [best], lambda trial: {}
    with flagsaver.flagsaver(experiment="did_synthetic", data=None):
        sys.modules["did_tf.programs.search"]._tell(study)
    assert "the best of 1, chosen on fifth, whose score" in capsys.readouterr().out


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
