"""docs/reference says what the code says: every command, flag, setting, option and key, with its default."""

import argparse
import ast
import functools
import importlib
import importlib.util
import inspect
import re
from pathlib import Path

import pytest
import yaml

import data_pipelines
from data_pipelines import DataError
from data_pipelines.own_data.description import read_description
from did_tf import models, settings
from did_tf.__main__ import COMMANDS
from did_tf.programs import cli
from did_tf.runs.identity import MAY_DIFFER, flatten
from did_tf.scoring import official
from did_tf.settings import PROTOCOLS
from did_tf.training import distribution, losses, optimizers, schedules, supervision
from experiments import base

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
CHOICES = {
    "schedule.name": schedules.NAMES,
    "optimizer.name": (*optimizers.NAMES, "tfa.CLASS"),
    "optimizer.decay": optimizers.DECAYS,
    "optimizer.undecayed": models.PARTS,
    "loss.terms": losses.TERMS,
    "loss.ohem_scope": losses.SCOPES,
    "loss.resolution": supervision.RESOLUTIONS,
    "train.precision": distribution.PRECISIONS,
    "evaluate.protocols": PROTOCOLS,
}
OPTION_CHOICES = {
    "classifier": {"encoder": "DENSENETS RESNETS"},
    "did": {"task": "TASKS", "stem": "STEMS", "decoder": "DECODERS"},
    "duc": {"dilation": "DILATIONS", "upsampling": "UPSAMPLINGS"},
    "fcrn": {"kernel": "KERNELS", "output_stride": "STRIDES"},
    "ladder": {"encoder": "DENSENETS RESNETS", "context": "CONTEXTS", "decoder": "DECODERS"},
    "sunet": {"task": "TASKS", "output_stride": "STRIDES"},
}
"""Names of what the modules of models say can be chosen."""


def text(page):
    return (REFERENCE / page).read_text(encoding="utf-8")


def section(page, heading):
    """What stands below a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text(page), re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no heading {heading!r}"
    return found[1]


def rows(markdown, column=""):
    """{first cell, without its backticks and its link: the other cells} of the tables whose first column is that."""
    found = {}
    for table in re.findall(rf"^\| {column}.*\n\|[-|]+\|\n((?:\|.*\n)+)", markdown, re.MULTILINE):
        for line in table.splitlines():
            first, *others = [cell.strip() for cell in line.strip("|").split(" | ")]
            name = re.search(r"`([^`]+)`", first)
            found[name[1] if name else first] = [*others, line]
    return found


def value(cell):
    """The Python value of `1/3` and the like; `{}` of settings is a group that takes any key."""
    return eval(cell.strip("`"), {"__builtins__": {}})


# Settings, and options of models and data sets


def test_settings_are_all_there_with_their_defaults_and_types():
    told = rows(text("settings.md"), "setting")
    config = base.get_config().to_dict()
    paper = config.pop("paper")
    listed = {**{name: {} for name in settings.OPEN}, **flatten(config)}
    assert not paper
    assert {name: value(cells[0]) for name, cells in told.items()} == listed
    kinds = {name: "map" if default == {} else type(default).__name__ for name, default in listed.items()}
    assert {name: cells[1] for name, cells in told.items()} == kinds
    assert {name: cells[2] for name, cells in told.items()} == {name: settings.KINDS[name].words for name in listed}


@pytest.mark.parametrize("name", CHOICES)
def test_a_setting_names_its_choices(name):
    assert_named(rows(text("settings.md"), "setting")[name], CHOICES[name])


def test_settings_that_exclude_each_other_are_told():
    told = re.search(r"against the other settings:\n\n(.*?)\n\n", text("settings.md"), re.DOTALL)[1]
    tree = ast.parse(inspect.getsource(importlib.import_module("did_tf.settings.conflicts")))
    words = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    keys = {key for word in words for key in re.findall(r"\b[a-z]+\.[a-z_]+\b", word)} & settings.KINDS.keys()
    assert len(keys) > 25 and not [key for key in keys if not re.search(rf"`{re.escape(key)}[`=]", told)]


@pytest.mark.parametrize("name", models.names())
def test_options_of_a_model_are_all_there_with_their_defaults(name):
    told = rows(section("settings.md", name), "option")
    options = {key: default for key, default in models.options(name).items() if key not in ("mean", "std")}
    assert {key: value(cells[0]) for key, cells in told.items()} == options
    module = importlib.import_module(f"did_tf.models.{name}")
    for option, choices in OPTION_CHOICES.get(name, {}).items():
        assert_named(told[option], [choice for names in choices.split() for choice in getattr(module, names)])


def assert_named(cells, choices):
    assert not [choice for choice in choices if not re.search(rf"\b{re.escape(str(choice))}\b", cells[-1])]


@pytest.mark.parametrize("name", data_pipelines.names())
def test_a_data_set_has_its_options_and_splits(name):
    assert name in rows(text("datasets.md"), "data set")
    markdown = section("datasets.md", name)
    parameters = inspect.signature(data_pipelines._DATASETS[name]).parameters.values()
    options = {parameter.name: parameter.default for parameter in parameters if parameter.name != "folder"}
    assert {key: value(cells[0]) for key, cells in rows(markdown, "option").items()} == options
    if name != "folders":
        splits = {split: int(cells[0]) for split, cells in rows(markdown, "split").items()}
        assert splits == data_pipelines.spec_of(name).splits


def test_nothing_else_is_called_a_data_set_or_a_model():
    assert set(rows(text("datasets.md"), "data set")) == set(data_pipelines.names())
    after = text("settings.md").split("## Options of the models")[1]
    assert set(re.findall(r"^### (\w+)$", after, re.MULTILINE)) == set(models.names())
    assert all(f"`{name}`" in section("commands.md", "submit") for name in official.names())


def test_what_may_differ_when_a_run_goes_on_is_told_with_its_reason():
    told = {name: cells[0] for name, cells in rows(text("run-folder.md"), "may differ").items()}
    assert told == MAY_DIFFER


# Commands


class Parsed(Exception):
    """Carries the parser of a program in place of its arguments."""


def flags_of(module, monkeypatch):
    """{flag: default as the page has it} of a program, which is not run."""
    path = Path(importlib.util.find_spec(module).origin)
    defined = absl_flags(path)
    if "cli." in path.read_text(encoding="utf-8") or defined:
        return defined

    def give(parser, *_):
        raise Parsed(parser)

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", give)
    with pytest.raises(Parsed) as caught:
        importlib.import_module(module).main()
    actions = [action for action in caught.value.args[0]._actions if action.dest != "help"]
    return {action.option_strings[-1]: told(action.default, action.required) for action in actions}


@functools.cache
def absl_flags(path):
    """Read and not imported: a process can define a flag once, and several programs have a --split."""
    calls = [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)]
    defined = [call.args for call in calls if ast.unparse(call.func).startswith("flags.DEFINE_")]
    return {f"--{name.value}": told(ast.literal_eval(default)) for name, default, *_ in defined}


def told(default, required=False):
    if required:
        return "required"
    return {None: "-", False: "off", "[]": "-"}.get(default if default != [] else "[]", f"`{default}`")


def test_commands_are_all_there():
    assert set(rows(text("commands.md"), "command")) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_flags_of_a_command_are_all_there_with_their_defaults(name, monkeypatch):
    tables = section("commands.md", name).split("With a data set")
    assert {flag: cells[0] for flag, cells in rows(tables[0], "flag").items()} == flags_of(
        COMMANDS[name][0], monkeypatch
    )
    if name == "prepare":
        expected = flags_of("data_pipelines.programs.prepare", monkeypatch)
        assert {flag: cells[0] for flag, cells in rows(tables[1], "flag").items()} == expected


def test_flags_of_every_experiment_are_all_there():
    found = rows(section("commands.md", "Flags of every experiment"), "flag")
    assert {flag: cells[0] for flag, cells in found.items()} == absl_flags(Path(cli.__file__))


def test_targets_and_variables_of_make_are_all_there():
    makefile, page = (ROOT / "Makefile").read_text(encoding="utf-8"), text("commands.md")
    targets = set(re.findall(r"^([a-z-]+):.*## ", makefile, re.MULTILINE))
    further = {name.removeprefix("make ") for name in rows(section("commands.md", "Further targets of make"), "target")}
    assert {*COMMANDS, *further} == targets
    assert all(f"`make {target}" in page for target in targets)
    variables = dict(re.findall(r"^([A-Z_]+) \?= ?(.*)$", makefile, re.MULTILINE))
    found = {name: cells[0] for name, cells in rows(section("commands.md", "Variables of make"), "variable").items()}
    plain = {name: f"`{default}`" if default and "$" not in default else "-" for name, default in variables.items()}
    assert found == plain


# Experiments


def test_experiments_are_all_there_with_their_rows_and_files():
    table = rows(text("experiments.md"), "EXP")
    assert set(table) == set(cli.experiment_names())
    for name, module in cli.experiment_modules().items():
        line = table[name][-1]
        assert f"(../../{module.replace('.', '/')}.py)" in line, name
        arguments = list(getattr(cli.import_experiment(name), "ROWS", ()))
        numbered = all(re.fullmatch(r"row\d+", argument) for argument in arguments)
        shown = {arguments[0], arguments[-1]} if arguments and numbered else {*arguments}
        assert shown <= {*re.findall(r"`:?([^`]+)`", line)}, name


@pytest.mark.parametrize("name", [name for name in cli.experiment_names() if "_table" not in name])
def test_an_experiment_has_its_papers_figures(name):
    line = rows(text("experiments.md"), "EXP")[name][-1]
    module = cli.import_experiment(name)
    for argument in getattr(module, "ROWS", [""]):
        paper = cli.load_experiment(f"{name}:{argument}" if argument else name).paper
        for figure in ("miou", "top1_error", "maxf", "building_iou"):
            assert str(paper.get(figure, "")) in line


# dataset.yaml


def description(tmp_path, content):
    (tmp_path / "dataset.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return read_description(tmp_path)


def keys_of(tmp_path, content):
    with pytest.raises(DataError) as caught:
        description(tmp_path, content)
    return set(re.search(r"known: (.*)$", str(caught.value))[1].split(", "))


def tables_of_keys():
    keys, extras = section("dataset-yaml.md", "Keys").split("Each entry of `extras`")
    return rows(keys, "key"), rows(extras, "key")


def test_keys_of_dataset_yaml_are_all_there(tmp_path):
    keys, extras = tables_of_keys()
    needed = {"images": "a", "labels": "b", "classes": ["c"]}
    assert set(keys) == keys_of(tmp_path, {"?": 1})
    assert set(extras) == keys_of(tmp_path, {**needed, "extras": [{"?": 1}]})
    for key in needed:
        assert keys.pop(key)[0] == "required"
    defaults = {key: yaml.safe_load(cells[0].strip("`")) for key, cells in keys.items() if cells[0] != "-"}
    assert description(tmp_path, {**needed, **defaults}) == description(tmp_path, needed)


def test_keys_of_extras_have_their_defaults(tmp_path):
    _, extras = tables_of_keys()
    needed = {"images": "a", "labels": "b", "classes": ["c"]}
    entry = {"folder": "d", "bands": ["depth"]}
    assert [key for key, cells in extras.items() if cells[0] == "required"] == list(entry)
    defaults = {key: yaml.safe_load(cells[0].strip("`")) for key, cells in extras.items() if key not in entry}
    short, long = ({**needed, "extras": [part]} for part in (entry, {**entry, **defaults}))
    assert description(tmp_path, long) == description(tmp_path, short)


def test_the_example_of_dataset_yaml_is_valid(tmp_path):
    example = re.search(r"```yaml\n(.*?)```", text("dataset-yaml.md"), re.DOTALL)[1]
    assert description(tmp_path, example).bands == ("red", "green", "blue", "depth")
