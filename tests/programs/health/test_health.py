"""What `did_tf doctor` finds on good and bad machines: each fault is named, with what to do."""

import collections
import importlib.metadata
import json
import os
from pathlib import Path

import program
import pytest
import tensorflow as tf

from data_pipelines import memory
from did_tf.planning.trying import Tried
from did_tf.programs import doctor
from did_tf.programs.health import findings, machine, software, trial
from did_tf.programs.health.findings import ABSENT, GOOD, NOTE, WRONG, Finding

ROWS = [{"step": "8", "loss": "0.5", "images_per_second": "40"}]


def test_a_table_has_a_line_for_each_and_what_to_do():
    told = findings.table([Finding("memory", GOOD, "much"), Finding("disk", WRONG, "full", "make room")])
    lines = [line.split() for line in told.splitlines()]
    assert lines == [["memory", "ok", "much"], ["disk", "WRONG", "full"], ["what", "to", "do:", "make", "room"]]


def test_a_report_is_json_and_says_whether_all_is_well():
    good, bad = Finding("a", GOOD, "x", facts={"n": 1}), Finding("b", WRONG, "y", "z")
    assert json.loads(json.dumps(findings.report([good], "1.0"))) == {
        "did_tf": "1.0",
        "healthy": True,
        "findings": [{"name": "a", "state": "ok", "told": "x", "mend": "", "facts": {"n": 1}}],
    }
    assert not findings.report([good, bad], "1.0")["healthy"]
    assert findings.healthy([Finding("a", NOTE, "x")])


def test_a_report_does_not_say_where_the_user_lives(monkeypatch, tmp_path):
    monkeypatch.setattr(Path, "home", lambda: Path("/home/ada"))
    monkeypatch.chdir(tmp_path)
    text = f"/home/ada/data {tmp_path}/runs /data"
    assert findings.without_places(text) == "~/data ./runs /data"


# Software


def test_a_package_of_another_version_is_named_with_what_mends_it(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["numpy>=99,<100", "none_such>=1", "pillow>=1"])
    found = software._packages()
    assert found.state == WRONG
    assert "none_such is missing" in found.told and "pillow" not in found.told
    assert "'numpy<100,>=99' 'none_such>=1'" in found.mend


def test_extras_are_not_needed(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ['none_such>=1; extra == "docs"'])
    assert software._packages().state == GOOD


def test_an_extra_that_is_not_installed_says_what_it_is_for_and_how_to_get_it():
    """It is neither all right nor wrong."""
    found = software._extra("x", "none_such", "--y")
    assert (found.state, found.told) == (ABSENT, "not installed (optional): --y; pip install -e '.[x]' brings it")
    assert findings.healthy([found])
    assert software._extra("x", "numpy", "--y").state == GOOD


def test_what_is_not_installed_is_a_note(monkeypatch):
    def fail(_):
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "requires", fail)
    assert software._packages().state == NOTE


# GPUs


@pytest.fixture
def without_gpu(monkeypatch):
    """Sets what a machine says on which TensorFlow sees no GPU."""

    def set_up(driver, device=False, cuda=True, lacking=(), visible=None):
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [])
        monkeypatch.setattr(machine, "_driver", lambda: driver)
        monkeypatch.setattr(machine, "DEVICE", Path("/dev/null" if device else "/nonexistent"))
        monkeypatch.setattr(tf.sysconfig, "get_build_info", lambda: {"is_cuda_build": cuda})
        monkeypatch.setattr(machine, "_is_found", lambda library, _: library not in lacking)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        return machine._gpus()

    return set_up


@pytest.mark.parametrize(
    "facts, state, told, mend",
    [
        ({"driver": ""}, GOOD, "none that TensorFlow can use", ""),
        ({"driver": "", "device": True}, WRONG, "driver does not answer", "install a driver"),
        ({"driver": "550.1", "visible": ""}, NOTE, "hidden", "unset"),
        ({"driver": "550.1", "cuda": False}, WRONG, "built for CPUs alone", ".[gpu]"),
        ({"driver": "550.1", "lacking": ("cudnn",)}, WRONG, "are missing: cudnn", ".[gpu]"),
        ({"driver": "550.1"}, WRONG, "sees no GPU", "TF_CPP_MIN_LOG_LEVEL"),
    ],
)
def test_why_there_is_no_gpu(without_gpu, facts, state, told, mend):
    found = without_gpu(**facts)
    assert (found.state, told in found.told, mend in found.mend) == (state, True, True), found


def test_a_gpu_is_named_with_its_precision(monkeypatch):
    gpu = collections.namedtuple("GPU", "name")("/physical_device:GPU:0")
    details = {"device_name": "NVIDIA H100", "compute_capability": (9, 0)}
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind=None: [gpu])
    monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda _: details)
    monkeypatch.setattr(machine, "_driver", lambda: "550.1")
    found = machine._gpus()
    assert found.state == GOOD and "NVIDIA H100; train.precision=auto is bfloat16" in found.told
    assert found.facts["gpus"] == [{"name": "NVIDIA H100", "compute_capability": "9.0"}]


# Memory and disk


@pytest.mark.parametrize("free, state", [(machine.GIB, WRONG), (3 * machine.GIB, GOOD)])
def test_memory(monkeypatch, free, state):
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    assert machine._memory().state == state


@pytest.mark.parametrize("free, state", [(2**29, WRONG), (5 * 2**30, NOTE), (2**35, GOOD)])
def test_room_on_the_disk_of_a_folder_that_is_not_there_yet(monkeypatch, tmp_path, free, state):
    seen = []
    usage = collections.namedtuple("usage", "free")
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda path: seen.append(path) or usage(free))
    assert machine._disk("disk", tmp_path / "runs" / "x").state == state
    assert seen == [tmp_path]


def test_a_folder_that_can_not_be_written(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "can't be written" in machine._disk("disk", tmp_path).told


# The training


@pytest.mark.parametrize(
    "status, rows, said, state, told",
    [
        (143, ROWS, "", GOOD, "8 steps in float32, 40 images/s"),
        (-15, ROWS, "", GOOD, "8 steps"),
        (2, [], "note: a\nerror: no such GPU\n", WRONG, "no step was made (exit status 2): error: no such GPU"),
        (-11, [], "", WRONG, "no step was made (exit status -11): it said nothing"),
        (None, ROWS, "", WRONG, "it hangs"),
        (1, ROWS, "error: disk full", WRONG, "ended with exit status 1: error: disk full"),
        (143, [{**ROWS[0], "loss": "nan"}], "", WRONG, "the loss is nan"),
    ],
)
def test_a_training_is_judged_by_its_steps_and_its_end(status, rows, said, state, told):
    found = trial._judged("training, cpu", "float32", Tried(status, rows, said))
    assert found.state == state and told in found.told
    assert bool(found.mend) == (state == WRONG)
    json.dumps(found.facts, allow_nan=False)


@pytest.mark.slow
def test_this_machine_trains():
    found = trial.trained("cpu", 1, "float32")
    assert found.state == GOOD, found


@pytest.mark.slow
def test_a_device_that_is_not_there_is_told():
    found = trial.trained("gpu:7", 1, "float32")
    assert found.state == WRONG and "TensorFlow sees" in found.told


# The command


def test_json_is_all_that_is_printed_and_the_status_says_whether_all_is_well(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert program.run(monkeypatch, doctor, "--json", "--seconds=0", "--experiment=did_camvid") == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["findings"] if one["state"] == "WRONG"] == ["data"]
    assert str(tmp_path) not in json.dumps(found)
    assert program.run(monkeypatch, doctor, "--seconds=0", "--experiment=did_synthetic") == 0
    told = capsys.readouterr().out
    assert "samples in train" in told and told.endswith("all is well\n")


@pytest.mark.parametrize("seconds", ["nan", "inf"])
def test_a_time_that_never_ends_is_refused(monkeypatch, capsys, seconds):
    assert program.run(monkeypatch, doctor, f"--seconds={seconds}") == 2
    assert capsys.readouterr().err == f"error: --seconds={seconds}: it must be a number\n"


@pytest.mark.parametrize("given", ["--data=data/mine", "--config.train.steps=5"])
def test_what_needs_an_experiment_is_not_passed_over(monkeypatch, capsys, given):
    assert program.run(monkeypatch, doctor, "--seconds=0", given) == 2
    told = capsys.readouterr()
    assert "give --experiment (make: EXP), did_folders for your own data" in told.err and not told.out


def test_notes_are_no_part_of_the_json(monkeypatch, capsys):
    idle = "--config.evaluate.overlap=0.3"
    assert program.run(monkeypatch, doctor, "--json", "--seconds=0", "--experiment=did_synthetic", idle) == 0
    out, errors = capsys.readouterr()
    assert errors.startswith("note: evaluate.overlap=0.3 has no effect") and json.loads(out)["healthy"]
