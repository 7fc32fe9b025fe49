"""The files for those who join in say what is so: CONTRIBUTING.md's examples run, CHANGELOG.md has the version."""

import re

import numpy as np
import pytest
from folders import write_image
from program import PROJECT

import did_tf
from data_pipelines import IGNORE
from did_tf import models
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder

TEXT = (PROJECT / "CONTRIBUTING.md").read_text()
ARCHITECTURE, DATA_SET, EXPERIMENT = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


def executed(text):
    """The names that a piece of code defines."""
    names = {"__name__": "example"}
    exec(compile(text, "CONTRIBUTING.md", "exec"), names)
    return names


@pytest.fixture
def dilated(monkeypatch):
    monkeypatch.setitem(models._BUILDERS, "dilated", executed(ARCHITECTURE)["dilated"])


def test_the_architecture_keeps_the_contract(dilated):
    logits = models.build("dilated", 5, width=8)(np.zeros((2, 33, 40, 3), np.uint8))
    assert {name: tuple(of.shape) for name, of in logits.items()} == {"main": (2, 33, 40, 5)}


def test_the_experiment_resolves(dilated, tmp_path):
    path = tmp_path / "dilated_camvid.py"
    path.write_text(EXPERIMENT)
    config = cli.resolve(str(path), RunFolder("none"), ["--config.model.rates=(1,2)"])
    assert (config["model"]["name"], config["model"]["width"], config["model"]["rates"]) == ("dilated", 64, [1, 2])


def test_the_data_set_reads(tmp_path):
    write_image(tmp_path / "images" / "train" / "a.png", np.zeros((1, 3, 3), np.uint8))
    write_image(tmp_path / "labels" / "train" / "a.png", np.array([[0, 1, 2]], np.uint8))
    dataset = executed(DATA_SET)["Lanes"](tmp_path)
    (sample,) = dataset.samples("train")
    assert dataset.read(sample)[1].tolist() == [[0, 1, IGNORE]]


def test_the_places_it_names_are_there():
    for path in re.findall(r"`((?:did_tf|data_pipelines|experiments|tests|benchmarks)/[\w/.]*)`", TEXT):
        assert (PROJECT / path).exists() or path.endswith(("/dilated.py", "/lanes.py")), path


def test_the_changelog_has_the_version():
    assert re.search(r"^## \[(.*?)\]", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)[1] == did_tf.__version__
