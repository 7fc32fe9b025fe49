"""What a run that goes on finds of its checkpoints and of its best weights."""

import json

import numpy as np
import pytest
import tensorflow as tf

from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints
from did_tf.runs.keeping import Keeper
from did_tf.runs.run_folder import RunFolder


def written(path):
    checkpoints.write(path, {"model/kernel": np.ones(3)})
    return path


@pytest.fixture
def run(tmp_path):
    return RunFolder(tmp_path / "run")


@pytest.mark.parametrize(
    "state, kept",
    [
        ("whole", 0.5),
        ("gone", -1.0),
        ("damaged", -1.0),
        ("not scored", -1.0),
        ("scores gone", -1.0),
        ("of a validation after the checkpoint", -1.0),
    ],
)
def test_a_best_score_counts_only_with_its_weights(run, capsys, state, kept):
    """Else no later weights would be kept, unless they are better than those that are lost."""
    best = run.best / "weights.npz"
    checkpoints.write(best, {"model/kernel": np.ones(3)}, {"network": {}, "step": 6 if state == "not scored" else 4})
    (run.best / "metrics.json").write_text('{"step": 4, "miou": 0.5}')
    if state == "scores gone":
        (run.best / "metrics.json").unlink()
    if state == "gone":
        best.unlink()
    if state == "damaged":
        best.write_bytes(best.read_bytes()[:-9])
    if state == "of a validation after the checkpoint":
        (run.best / "metrics.json").write_text('{"step": 4, "miou": 0.6}')
    score = tf.Variable(0.5, dtype=tf.float64)
    Keeper(run, {}, 1).check_best(score)
    assert float(score) == kept
    assert ("those of the next one take their place" in capsys.readouterr().out) == (state != "whole")


def test_where_nothing_was_best_none_is_missed(run, capsys):
    Keeper(run, {}, 1).check_best(tf.Variable(-1.0, dtype=tf.float64))
    assert not capsys.readouterr().out


def test_a_run_whose_checkpoints_are_gone_says_that_it_begins_again(run, capsys):
    run.folder.mkdir()
    assert Keeper(run, {}, 1).newest() is None
    assert not capsys.readouterr().out
    run.metrics.write_text("step,loss\n2,0.5\n")
    assert Keeper(run, {}, 1).newest() is None
    assert capsys.readouterr().out == f"{run.folder} has no checkpoint: it begins again with its first step\n"


@pytest.mark.parametrize("gone", ["config.json", "manifest.json"])
def test_checkpoints_of_which_nothing_says_what_they_are_of_are_not_gone_on_from(run, gone):
    """Any settings, or any data, would be those that it was started with."""
    written(run.checkpoints / "step_00000004.npz")
    for file in {"config.json", "manifest.json"} - {gone}:
        (run.folder / file).write_text(json.dumps({}))
    with pytest.raises(ConfigError, match=f"{gone} is missing.*put it back, .*--config.train.init={run.folder}$"):
        Keeper(run, {}, 1).newest()
