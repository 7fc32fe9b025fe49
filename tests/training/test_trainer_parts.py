"""The trainer with parts that no config and no wiring has made."""

import time

import by_hand
import numpy as np
import pytest
from tensorflow import keras

from data_pipelines import pipeline
from did_tf.runs import checkpoints
from did_tf.runs.run_folder import read_json, read_metrics


def test_batches_that_wait_are_read_while_the_first_is_used(tmp_path, monkeypatch):
    """Two of them: a batch is of four, and the one thread that reads is at most one sample further."""
    read, call = [], pipeline.Loader.__call__
    monkeypatch.setattr(pipeline.Loader, "__call__", lambda self, index: read.append(index) or call(self, index))
    monkeypatch.setattr(pipeline, "THREADS", 1)
    given = iter(by_hand.trainer(tmp_path / "run", by_hand.Told(), by_hand.train_step())._batches(0))
    next(given)
    late = time.monotonic() + 10
    while len(read) < 12 and time.monotonic() < late:
        time.sleep(0.01)
    assert len(read) >= 12


def test_parts_of_ones_own_are_trained_and_scored(tmp_path):
    keras.utils.set_random_seed(0)
    validation = by_hand.Told(0.5, 0.9, 0.7)
    trainer = by_hand.trainer(tmp_path / "run", validation, by_hand.train_step())
    assert trainer.fit() == pytest.approx(0.9)
    run = trainer.run
    assert read_json(run.config) == {"made": "by hand"}
    assert validation.splits == ["elsewhere"] * 3
    assert read_json(run.best / "metrics.json") == {"step": 20, "told": 0.9}
    rows = read_metrics(run.metrics)
    assert [row["val_told"] for row in rows] == ["0.5", "0.9", "0.7"]
    assert float(rows[-1]["loss"]) < 0.5 * float(rows[0]["loss"])
    with np.load(run.best / "weights.npz") as best, np.load(checkpoints.saved_steps(run.checkpoints)[1]) as second:
        weights = {"model/head.main/kernel", "model/head.main/bias"}
        assert {*best.files} == {"identity", "checksum", *weights}
        for name in weights:
            np.testing.assert_array_equal(best[name], second[name])


def test_without_a_terminal_lines_tell_how_far_it_is(tmp_path, capsys):
    """In the order in which things happen: what takes long is told before it begins."""
    validation = by_hand.Told(0.5, 0.9)
    by_hand.trainer(tmp_path / "run", validation, by_hand.train_step(), steps=2, validate_every=1, progress=True).fit()
    first, *lines = capsys.readouterr().out.splitlines()
    assert first == "step 1 begins: TensorFlow builds the graph first, which may take minutes"
    assert [line.split(" ")[:3] for line in lines] == [
        *(["step", f"{step}:", what] for step in (1, 2) for what in ("loss", "validation"))
    ]
    by_hand.trainer(tmp_path / "run", validation, by_hand.train_step(), steps=2, validate_every=1, progress=True).fit()
    assert "begins" not in capsys.readouterr().out
