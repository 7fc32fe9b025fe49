"""The weights that the audit suggests are those that training then has."""

import re
import shlex

import numpy as np
import pytest
from folders import write_image
from in_memory import noise

from data_pipelines import load
from data_pipelines.audit.survey import survey
from data_pipelines.pipeline import Loader
from data_pipelines.programs import audit
from did_tf import wiring
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    """CamVid with four of its classes, rare ones and void among them."""
    rng = np.random.default_rng(0)
    for number in range(5):
        label = rng.choice([0, 3, 8, 10, 11], (24, 32), p=(0.5, 0.3, 0.15, 0.01, 0.04) if number else (1, 0, 0, 0, 0))
        write_image(tmp_path / "train" / f"{number}.png", noise(number))
        write_image(tmp_path / "trainannot" / f"{number}.png", label.astype(np.uint8))
    return tmp_path


def weights_of(folder, arguments):
    """Those of the trainer's loss with `arguments` on the command line."""
    config = cli.resolve("did_camvid", RunFolder("/nonexistent"), arguments)
    loader = Loader(load("camvid", folder), "train", cache=False)
    return np.array(wiring.make_pixel_loss(config, loader).class_weights)


def test_the_lines_that_are_printed_can_be_used(folder, capsys):
    audit.main(["--dataset", "camvid", "--folder", str(folder), "--output", str(folder / "audit")])
    lines = re.findall(r'ARGS="(.*)"', capsys.readouterr().out)
    counts = survey(load("camvid", folder), "train").counts
    given, balance = (weights_of(folder, shlex.split(line)) for line in lines)
    np.testing.assert_allclose(given, counts.median_frequency_weights(), rtol=1e-6)
    np.testing.assert_allclose(balance, counts.balance_weights(), rtol=1e-6)
    assert np.abs(given / balance - 1).max() > 0.1
