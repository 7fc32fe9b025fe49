"""docs/reference/coverage.md names every table, figure and experiment of the papers, and its commands exist."""

import functools
import itertools
import re
import shlex

import pytest
from program import PROJECT

from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder

PAGE = (PROJECT / "docs" / "reference" / "coverage.md").read_text(encoding="utf-8")
# Highest numbers that r"\bTable (\d+)" and r"\bFig(?:ure|\.)? ?(\d+)" find in the text of each paper; none is left out.
PRINTED = {
    "DID": (6, 4),
    "Ladder DenseNet": (6, 4),
    "ResNet-DUC-HDC": (6, 7),
    "FCRN": (6, 1),
    "SUNet": (7, 5),
}
SPANS = re.compile(r"( to )?`([^`]+)`")
EXPERIMENT = re.compile(r"\bEXP=([\w]+)(?::([\w-]+))?")


def rows(heading):
    """The rows of a section's table, as lists of cells."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def named(cell):
    """Experiments of a cell: `EXP=NAME:row1` to `row3` are three, and `EXP=NAME:row1`, `row3` are two."""
    name, last = "", 0
    for to, span in SPANS.findall(cell):
        if found := EXPERIMENT.search(span):
            name, argument = found.groups()
            yield f"{name}:{argument}" if argument else name
            last = int(argument[3:]) if re.fullmatch(r"row\d+", argument or "") else 0
        elif name and re.fullmatch(r"row\d+", span):
            number = int(span[3:])
            yield from (f"{name}:row{i}" for i in (range(last + 1, number + 1) if to else [number]))


@functools.cache
def known():
    """{experiment: every way to name it with one of its rows}; what takes a run folder stands alone."""
    modules = {name: cli.import_experiment(name) for name in cli.experiment_names()}
    return {f"{name}:{row}" if row else name for name, m in modules.items() for row in getattr(m, "ROWS", [None])}


@pytest.mark.parametrize("paper", PRINTED)
def test_every_table_and_figure_of_a_paper_is_there_once(paper):
    first = " ".join(cells[0] for cells in rows(paper))
    for kind, count in zip(("Table", "Figure"), PRINTED[paper]):
        assert sorted(map(int, re.findall(rf"\b{kind} (\d+)", first))) == [*range(1, count + 1)]


def test_every_experiment_is_there_and_exists():
    found = {name for line in PAGE.splitlines() for name in named(line)}
    assert found == known() | {name for name in found if name in cli.experiment_names()}
    assert known() <= found


def test_every_line_has_a_command_or_says_why_there_is_none():
    for heading in (*PRINTED, "FC-DenseNet"):
        for cells in rows(heading):
            assert len(cells) == 3
            assert "`" in cells[-1] or "none" in cells[-1], cells


def test_commands_are_targets_with_settings_that_exist():
    targets = set(re.findall(r"^([a-z-]+):.*## ", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = itertools.chain(*(span.split(" && ") for _, span in SPANS.findall(PAGE)))
    for command in commands:
        words = shlex.split(command)
        if words[0] == "make":
            assert words[1] in targets, command
        variables = dict(word.split("=", 1) for word in words if re.match(r"[A-Z]+=", word))
        settings = [word for word in shlex.split(variables.get("ARGS", "")) if word.startswith("--config.")]
        if "EXP" in variables and settings:
            cli.resolve(variables["EXP"], RunFolder("/nonexistent"), settings)
        if "TABLE" in variables:
            assert variables["TABLE"] in cli.experiment_names()
