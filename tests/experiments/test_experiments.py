"""Every experiment that comes with the project resolves, says how to run it, and builds the paper's network."""

import ast
import functools
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import experiments
from data_pipelines import spec_of
from did_tf import models, wiring
from did_tf.common.errors import ConfigError
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder
from did_tf.training.schedules import Schedule

MODULES = {name: cli.import_experiment(name) for name in cli.experiment_names()}
FILES = sorted(Path(experiments.__file__).parent.rglob("*.py"))
ALL = [f"{name}:{row}" if row else name for name, module in MODULES.items() for row in getattr(module, "ROWS", [None])]

# Where the layers of a paper's own table do not add up to the figure it prints; the docstrings say so.
EXPLAINED = {
    **{"sunet_imagenet:128": 24.7, "sunet_table2:row7": 24.7, "sunet_table2:row5": 28.7},
    **{"ladder_table2:row1": 44.5, "ladder_table2:row2": 25.6, "ladder_table2:row3": 14.1},
}

every_experiment = pytest.mark.parametrize("name", ALL)


def built_fast(name):
    """DID on CamVid, and the demo; the other large networks, of which tests/models has each kind, are slow."""
    fast = name in ("did_synthetic", "did_camvid")
    return name if fast else pytest.param(name, marks=pytest.mark.slow)


@functools.cache
def built(model, classes, shape):
    """(parameters as the paper counts them, sizes of the outputs); `model` is a hashable config.model."""
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in json.loads(model).items()}
    name = options.pop("name")
    network = models.build(name, classes, shape, **options)
    layers = network.layers
    if name == "did" and options["decoder"] == "plain":
        layers = [layer for layer in layers if not layer.name.startswith("head.")]
    counted = [v for layer in layers for v in (layer.weights if name == "fc_densenet" else layer.trainable_variables)]
    shapes = {tuple(logits.shape[1:]) for logits in network.output.values()}
    return sum(int(np.prod(v.shape)) for v in counted), shapes


@pytest.mark.parametrize("name", MODULES)
def test_an_experiment_says_how_to_run_it(name):
    docstring = MODULES[name].__doc__
    assert f"EXP={name}" in docstring
    assert "make train" in docstring or hasattr(MODULES[name], "ROWS")
    assert "aper" in docstring, "the paper's figure, or that there is none"


def test_args_keep_the_quotes_of_a_setting():
    """The shell takes the outer quotes, and make those within, as `SPLIT_ARGS` in the Makefile does."""
    (text,) = re.findall(r'ARGS=("(?:[^"\\]|\\.)*")', MODULES["duc_table2"].__doc__)
    config = cli.resolve("duc_table2:row4", RunFolder("/nonexistent"), shlex.split(*shlex.split(text)))
    assert config["train"]["init_options"] == ["dilation"]


def test_the_files_are_all_there():
    names = [path.stem for path in FILES if path.stem not in ("__init__", "base")]
    assert sorted(MODULES) == sorted(names), "every name is of one file"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_experiments_import_nothing_of_the_library(path):
    nodes = list(ast.walk(ast.parse(path.read_text())))
    modules = [node.module for node in nodes if isinstance(node, ast.ImportFrom)]
    modules += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    assert {module.split(".")[0] for module in modules} <= {"experiments", "ml_collections", "math"}


@every_experiment
def test_an_experiment_resolves_to_valid_settings(name, capsys):
    config = cli.resolve(name, RunFolder("/nonexistent"), [])
    assert config["model"].keys() == {"name", *models.options(config["model"]["name"])} - {"mean", "std"}
    wiring.make_augmentation(config)
    schedule = config["schedule"]
    Schedule(schedule["name"], schedule["learning_rate"], config["train"]["steps"], schedule["warmup"])
    cli.tell_idle(config, config["evaluate"]["protocols"])
    assert not capsys.readouterr().out, "it sets nothing that its protocols don't use"


@pytest.mark.parametrize("name", [built_fast(name) for name in ALL])
def test_an_experiment_builds_the_papers_network(name):
    config = json.loads(cli.load_experiment(name).to_json())
    dataset, crop = config["dataset"], config["data"]["crop"]
    if dataset["name"] == "folders":  # a user's own: none is here
        dataset = {"name": "camvid", "options": {}}
    spec = spec_of(dataset["name"], **dataset["options"])
    model = json.dumps(config["model"], sort_keys=True)
    count, shapes = built(model, spec.num_classes, (*crop, spec.bands))
    assert shapes == {(*crop, spec.num_classes) if spec.task == "segmentation" else (spec.num_classes,)}
    if "parameters" in config["paper"]:
        # Two papers cut their figures instead of rounding them.
        printed, millions = EXPLAINED.get(name, config["paper"]["parameters"]), count / 1e6
        assert printed in (round(millions, 1), np.floor(millions * 10) / 10)


@every_experiment
def test_crops_of_did_are_16n_plus_1(name):
    config = cli.load_experiment(name)
    if config.model.name == "did" and config.dataset.name != "inria_aerial":  # the paper's own 473
        assert [side % 16 for side in config.data.crop] == [1, 1]


def test_unknown_rows_are_told():
    with pytest.raises(ConfigError, match="unknown row 'row0'; known: row1, "):
        cli.load_experiment("did_table3:row0")
    with pytest.raises(ConfigError, match="no row given, as in EXP=NAME:ROW; known: row1, "):
        cli.load_experiment("did_table3")
    with pytest.raises(ConfigError, match="'did_camvid' takes no argument, got 'row3'"):
        cli.load_experiment("did_camvid:row3")
