"""Random settings: each is refused in one line before data are read, or trains: nothing trains on nonsense."""

import os
import random

import numpy as np
import pytest
import settings_fuzz
import tensorflow as tf

from data_pipelines import DataError
from data_pipelines.datasets.synthetic import Synthetic
from did_tf import settings, wiring
from did_tf.common.errors import ConfigError
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder

LONG = int(os.environ.get("DID_TF_FUZZ", "40"))
"""How many runs the slow test starts."""
LARGEST = 4 * 49 * 49
"""Pixels of a batch that is trained on."""


def test_every_setting_is_drawn():
    """But for the network's name, which is drawn with what makes it small, and maps of any keys, of which some are."""
    drawn = {*settings_fuzz.GOOD}
    others = {"model.name", "paper", "dataset.options", "optimizer.options"}
    assert {*settings.KINDS} - drawn == others
    assert {key.rpartition(".")[0] for key in drawn - {*settings.KINDS}} == {"dataset.options", "optimizer.options"}


def test_settings_are_right_or_refused_in_one_line():
    rng, refused = random.Random(0), 0
    for _ in range(3000):
        changed, config = settings_fuzz.draw(rng)
        try:
            settings.check(config)
        except ConfigError as error:
            refused += 1
            assert "\n" not in str(error), changed
    assert 900 < refused < 2400, "neither all nor none is refused"


def test_whatever_stands_on_the_command_line_is_a_setting_or_refused():
    rng, read = random.Random(1), 0
    for _ in range(150):
        changed, _ = settings_fuzz.draw(rng, nonsense=0.6)
        texts = [f"--config.{key}={value if isinstance(value, str) else repr(value)}" for key, value in changed.items()]
        try:
            cli.resolve("did_synthetic", RunFolder("/nonexistent"), texts)
            read += 1
        except ConfigError:
            pass
    assert 5 < read < 100


def trained(config, folder, monkeypatch):
    """None where the settings are refused before data are read, else what two updates did: (losses, weights)."""
    reads, read = [], Synthetic.read
    monkeypatch.setattr(Synthetic, "read", lambda *arguments: reads.append(1) or read(*arguments))
    try:
        trainer = wiring.make_trainer(config, RunFolder(folder))
    except (ConfigError, DataError) as error:
        assert not reads, f"refused after data were read: {error}"
        assert "\n" not in str(error)
        return None
    before = [v.numpy() for v in trainer.model.trainable_variables]
    batches = iter(trainer._batches(0))
    losses = [trainer.train_step(next(batches), tf.constant(step, tf.int32)).numpy()[0] for step in range(2)]
    after = [v.numpy() for v in trainer.model.trainable_variables]
    return losses, before, after


@pytest.mark.slow
def test_what_is_not_refused_trains(tmp_path, monkeypatch):
    rng, ran = random.Random(int(os.environ.get("DID_TF_FUZZ_SEED", "2"))), 0
    for number in range(LONG):
        changed, config = settings_fuzz.draw(rng, changes=4, nonsense=0.1)
        if excluded(config):
            continue
        with monkeypatch.context() as patch:
            done = trained(config, tmp_path / str(number), patch)
        tf.keras.backend.clear_session()
        if done is None:
            continue
        ran += 1
        losses, before, after = done
        assert np.isfinite(losses).all(), (changed, losses)
        assert all(np.isfinite(v).all() for v in after), changed
        steps = [np.abs(new - old).max() for old, new in zip(before, after)]
        assert 0 < max(steps) < 100, (changed, max(steps))
    assert ran > LONG / 10


def excluded(config):
    """Whether the settings are all right but too large or slow for a test, last for the process, or are extreme."""
    try:
        settings.check(config)
    except ConfigError:
        return False
    height, width = config["data"]["crop"]
    train, rate = config["train"], config["schedule"]["learning_rate"]
    too_large = train["batch_size"] == "auto" or height * width * train["batch_size"] > LARGEST
    lasting = train["jit_compile"] or train["deterministic"]  # XLA takes minutes, and the other is for good
    return too_large or lasting or not 1e-6 < rate <= 0.1 or 0 < config["loss"]["ohem_threshold"] < 0.1
