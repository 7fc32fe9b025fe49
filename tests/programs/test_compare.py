"""`did_tf compare` of two runs of the drawn scenes, and what it refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tiny
from program import PROJECT, launch_here

from did_tf import models, wiring
from did_tf.common.files import write_json
from did_tf.runs import checkpoints
from did_tf.scoring import evaluation

# One process, for each import of TensorFlow takes seconds.
STORY = """
import sys
from did_tf.programs import cli, compare

def compared(*more):
    sys.argv = [sys.argv[0], *more]
    cli.FLAGS.unparse_flags()
    try:
        cli.run_bare(compare.main)
        print("status 0")
    except SystemExit as end:
        print("status", end.code)

a, b, other, tall = sys.argv[1:]
compared(f"--runs={a},{b}", "--pictures=2", "--limit=2")
compared(f"--runs={a}")
compared(f"--runs={a},{a}/../{a.split('/')[-1]}")
compared(f"--runs={a},{b}", "--split=test")
compared(f"--runs={a},{other}", "--split=val")
compared(f"--runs={a},{a}/best", "--split=val")
compared(f"--runs={a},{b}", f"--run={a}")
compared(f"--runs={a},{tall}")
compared(f"--runs={a},{b}", "--pictures=1")
"""


@pytest.mark.slow
def test_runs_are_compared_and_those_of_other_data_refused(tmp_path):
    config, other = tiny.config(), tiny.config(dataset__options={**tiny.config()["dataset"]["options"], "bands": 5})
    models = [wiring.make_model(config, wiring.make_spec(config)) for _ in range(2)]
    runs = [tiny.save_run(tmp_path / name, config, model) for name, model in zip(("a", "b ü"), models)]
    runs.append(tiny.save_run(tmp_path / "other", other, wiring.make_model(other, wiring.make_spec(other))))
    tall = tiny.config(dataset__options={**config["dataset"]["options"], "height": 90})
    runs.append(tiny.save_run(tmp_path / "tall", tall, models[0]))
    for run in runs:
        write_json(run.manifest, {"experiment": "did_synthetic"})
    command = [sys.executable, "-c", STORY, *(str(run.folder) for run in runs)]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("status")] == [
        "status 0",
        *["status 2"] * 7,
        "status 0",
    ]
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    for error, words in zip(
        errors,
        (
            "compare takes two or more run folders",
            "a run is given twice",
            "the test split is for `evaluate` and `submit` alone",
            f"{runs[2].folder} is of other data than {runs[0].folder}: its bands 5, there 3",
            f"{runs[0].folder}/best is no run that was trained",
            "compare takes --runs, and no --experiment or --run",
            f"{runs[3].folder} is of other data than {runs[0].folder}: its options {{'height': 90",
        ),
        strict=True,
    ):
        assert words in error
    whole = runs[0].folder / "comparison" / "b ü"
    assert not (whole / "val_2.png").exists() and (whole / "val_1.png").is_file()
    output = whole / "first_2"
    names = {path.name for path in output.iterdir()}
    assert {"val.txt", "val.json", "val_gains.png", "legend.png", "val_1.png"} <= names
    report = json.loads((output / "val.json").read_text())
    dataset, ious = wiring.make_dataset(config), []
    for name, model in zip(("a", "b ü"), models):
        scored = evaluation.evaluate(wiring.make_predictor(config, model), dataset, "val", progress=False, limit=2)
        ious.append(scored.matrices["main"].iou())
        assert report["networks"][name] == scored.matrices["main"].report(dataset.spec.classes)
    expected = [None if np.isnan(gain) else pytest.approx(gain) for gain in ious[1] - ious[0]]
    assert list(report["gains"]["b ü"].values()) == expected
    assert (output / "val.txt").read_text().strip() in done.stdout


def test_pictures_of_another_split_stay(tmp_path):
    launch_here("compare")  # defines the flags
    own, others = ["val_1.png", "val_12.png"], ["val_2_1.png", "val_2_gains.png", "val_gains.png", "legend.png"]
    for name in (*own, *others):
        (tmp_path / name).touch()
    sys.modules["did_tf.programs.compare"]._delete_pictures(tmp_path, "val")
    assert {path.name for path in tmp_path.iterdir()} == {*others}


def test_what_runs_are_tested_by_and_what_they_have_learnt_is_told(tmp_path):
    config = tiny.config()
    model = wiring.make_model(config, wiring.make_spec(config))
    a, b = (
        tiny.save_run(tmp_path / name, tiny.config(evaluate__flip=flip), model)
        for name, flip in (("a", False), ("b", True))
    )
    learnt = {"network": models.described(config["model"]), "data": {"split": "train+val"}}
    checkpoints.write(b.best / "weights.npz", checkpoints.model_state(model), learnt)
    for run in (a, b):
        write_json(run.manifest, {"experiment": "did_synthetic"})
    done = launch_here("compare", f"--runs={a.folder},{b.folder}", "--pictures=0", "--limit=1")
    assert done.returncode == 0, done.stderr
    notes = [line for line in done.stdout.splitlines() if line.startswith("note: ")]
    assert notes == [
        f"note: {b.folder} has learnt 1 of the 1 images: its figures are favourable",
        "note: b is tested with evaluate.flip=True (a: False): its gain is of that too",
    ]
    report = a.folder / "comparison" / "b" / "first_1" / "val"
    assert notes[1] in report.with_suffix(".txt").read_text()
    of_runs = json.loads(report.with_suffix(".json").read_text())["runs"]
    assert [of_runs[name]["settings"]["evaluate.flip"] for name in "ab"] == [False, True]


def test_each_of_the_runs_may_be_below_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert f"error: {tmp_path}/a is no run that was trained" in launch_here("compare", "--runs=~/a ~/b").stderr
