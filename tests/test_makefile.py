"""What `make TARGET ...` runs: settings and ARGS arrive as they were given. Nothing is set up and nothing runs."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from program import PROJECT

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="needs make")

# target: what it runs by itself, after the Python of the environment.
TARGETS = {
    "demo": ["-m", "did_tf", "demo"],
    "doctor": ["-m", "did_tf", "doctor"],
    "train": ["-m", "did_tf", "train", "--experiment="],
    "cross-validate": ["-m", "did_tf", "cross-validate", "--experiment="],
    "evaluate": ["-m", "did_tf", "evaluate", "--experiment=", "--split=val"],
    "predict": ["-m", "did_tf", "predict", "--experiment="],
    "video": ["-m", "did_tf", "video"],
    "export": ["-m", "did_tf", "export", "--experiment="],
    "serve": ["-m", "did_tf", "serve"],
    "submit": ["-m", "did_tf", "submit", "--experiment="],
    "compare": ["-m", "did_tf", "compare", "--split=val"],
    "search-crf": ["-m", "did_tf", "search-crf", "--experiment="],
    "data": ["-m", "did_tf", "data", "--dataset=camvid"],
    "describe-data": ["-m", "did_tf", "describe-data"],
    "check-data": ["-m", "did_tf", "check-data", "--dataset=camvid"],
    "show-data": ["-m", "did_tf", "show-data", "--experiment="],
    "prepare": ["-m", "did_tf", "prepare", "--dataset=camvid"],
    "receptive-field": ["-m", "did_tf", "receptive-field", "--experiment="],
    "table": ["-m", "did_tf", "table"],
    "tensorboard": ["--logdir", "runs"],
    "test": ["-m", "pytest", "-q", "-n", "2", "--dist=worksteal", "-m", "not slow"],
    "test-slow": ["-m", "pytest", "-q", "-m", "slow"],
    "bench": ["-m", "benchmarks.run"],
    "bench-compare": ["-m", "benchmarks.report", "", ""],
    "bench-peers": ["-m", "benchmarks.comparison", "runs/comparison", "--dataset=camvid"],
    "fuzz-test": ["-m", "tests.fuzz"],
    "long-run": ["-m", "benchmarks.long_run"],
    "fault-test": ["-m", "benchmarks.faults"],
    "mutate": ["-m", "benchmarks.mutation", "did_tf/training/losses.py"],
}
# ARGS: the arguments that they are, quotes read as a shell does.
ARGUMENTS = {
    "--config.data.crop=(65,65) --debug": ["--config.data.crop=(65,65)", "--debug"],
    """--title='two words' "it's" -k "a or (b)" """: ["--title=two words", "it's", "-k", "a or (b)"],
    r"$HOME $(HOME) $$ `ls` ; & | > * ? # ~ ! % \$": [
        *("$HOME", "$(HOME)", "$$", "`ls`", ";", "&", "|", ">", "*", "?", "#", "~", "!", "%", "$"),
    ],
    "": [],
}
AWKWARD = "a 'b' \"c\" $d (e), f;g `h` # é"

RECORDER = """#!{python} -S
import json, os, sys
with open(os.environ["RECORD"], "a") as file:
    print(json.dumps([os.path.basename(sys.argv[0]), sys.argv[1:]]), file=file)
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Function: what `make` runs last with these arguments, (program, its arguments)."""
    for name in ("ARGS", "DATA", "EXP", "FILE", "FORMAT", "INPUT", "MAKEFLAGS", "OUTPUT", "RUN", "SPLIT"):
        monkeypatch.delenv(name, raising=False)
    programs = tmp_path / "venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "tensorboard", "ruff", "lint-imports", "mypy"):
        (programs / name).write_text(RECORDER.format(python=sys.executable))
        (programs / name).chmod(0o755)
    for marker in (".ready", ".mutation"):
        (programs.parent / marker).touch()

    def run(*arguments, **environment):
        record = tmp_path / "record"
        record.unlink(missing_ok=True)
        settings = [f"VENV={programs.parent}", f"PYTHON={sys.executable}"]
        environment = {**os.environ, **environment, "RECORD": str(record)}
        subprocess.run(["make", "-s", *settings, *arguments], cwd=PROJECT, env=environment, check=True)
        return json.loads(record.read_text().splitlines()[-1])

    return run


@pytest.mark.parametrize("target", TARGETS)
def test_args_arrive_as_given(make, target):
    for text, arguments in ARGUMENTS.items():
        program, given = make(target, f"ARGS={text}")
        assert program == ("tensorboard" if target == "tensorboard" else "python")
        assert given == [*TARGETS[target], *arguments]


def test_args_of_the_environment_arrive_as_given(make):
    for text, arguments in ARGUMENTS.items():
        assert make("table", ARGS=text)[1] == [*TARGETS["table"], *arguments]


@pytest.mark.parametrize(
    "target, settings",
    {
        "demo": {"RUN": "--run"},
        "doctor": {"DATA": "--data", "RUN": "--run"},
        "train": {"EXP": "--experiment", "DATA": "--data", "RUN": "--run"},
        "evaluate": {"EXP": "--experiment", "SPLIT": "--split"},
        "predict": {"INPUT": "--input", "OUTPUT": "--output"},
        "export": {"RUN": "--run", "FORMAT": "--format", "OUTPUT": "--output"},
        "serve": {"RUN": "--run"},
        "submit": {"SPLIT": "--split", "OUTPUT": "--output"},
        "data": {"DATASET": "--dataset", "DATA": "--folder"},
        "describe-data": {"IMAGES": "--images", "LABELS": "--labels", "DATA": "--folder"},
        "check-data": {"DATASET": "--dataset", "DATA": "--folder", "OUTPUT": "--output"},
        "show-data": {"OUTPUT": "--output"},
        "prepare": {"DATASET": "--dataset", "DATA": "--folder", "OUTPUT": "--output"},
        "table": {"TABLE": "--tables"},
        "compare": {"RUNS": "--runs", "DATA": "--data", "SPLIT": "--split", "OUTPUT": "--output"},
    }.items(),
)
def test_settings_may_be_of_any_characters(make, target, settings):
    _, given = make(target, *(f"{name}={AWKWARD}" for name in settings))
    assert {f"{flag}={AWKWARD}" for flag in settings.values()} <= {*given}


def test_what_is_left_out_is_not_passed_on(make):
    assert make("train", "EXP=did_camvid", "RUN=")[1] == ["-m", "did_tf", "train", "--experiment=did_camvid"]
    assert make("tensorboard", f"RUN={AWKWARD}")[1] == ["--logdir", AWKWARD]
    assert make("mutate", f"FILE={AWKWARD}")[1] == ["-m", "benchmarks.mutation", AWKWARD]
    of_an_experiment = ["-m", "did_tf", "prepare", "--experiment=did_inria", "--data=there"]
    assert make("prepare", "EXP=did_inria", "DATA=there")[1] == of_an_experiment


def test_what_needs_an_extra_is_what_the_target_for_extras_runs():
    """But for extras that the tests' own environment has, and tensorflow-addons, whose target is another."""
    packages = "ai_edge_litert|cosmic_ray|onnxruntime|openvino|pycocotools|pydensecrf"
    needs = re.compile(rf"(importorskip|find_spec)\(\"({packages})[\".]|^import each_format", re.MULTILINE)
    files = (PROJECT / "tests").rglob("test_*.py")
    found = {path.relative_to(PROJECT).as_posix() for path in files if needs.search(path.read_text())}
    command = ["make", "-n", "-o", ".venv-extras/.ready", "test-extras"]
    told = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout
    assert {*re.findall(r"tests/\S+\.py", told)} == found


def test_a_quote_that_is_left_open_is_told_in_a_line(make, capfd):
    with pytest.raises(subprocess.CalledProcessError) as caught:
        make("train", "ARGS=it's")
    assert caught.value.returncode == 2
    assert capfd.readouterr().err.splitlines()[0] == "error: ARGS=it's: No closing quotation"
