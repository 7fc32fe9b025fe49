"""README and how-to guides print commands that exist, with flags and settings that exist, and link to what is there."""

import inspect
import re
import shlex

import pytest
import tutorials
from program import PROJECT

from did_tf.__main__ import COMMANDS
from did_tf.programs import cli
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring import official

PAGES = [PROJECT / "README.md", PROJECT / "docs" / "index.md", *sorted((PROJECT / "docs").glob("[ht]*/*.md"))]
LINKING = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").glob("[ehrt]*/*.md"))]
BLOCK = re.compile(r"^```\w*\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)")
SHARED = {"dataset", "folder", "debug"}  # arguments of data_pipelines' programs, by data_pipelines.programs.command


def printed(page):
    """The did_tf commands of a page, as words."""
    lines = (line for block in BLOCK.findall(page.read_text()) for line in tutorials.lines(block))
    return [shlex.split(line) for line in lines if line.startswith("did_tf ")]


def source(command):
    """Text of the module that defines the command's flags; that isn't imported, as flags can be defined only once."""
    module = COMMANDS[command][0].replace(".", "/")
    return (PROJECT / f"{module}.py").read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_printed_commands(page):
    for _, command, *arguments in printed(page):
        known = source(command) + inspect.getsource(cli)
        for argument in arguments:
            name = re.match(r"--(?:no)?([\w-]+)", argument)
            if name and name[1] not in {"config", *SHARED}:
                assert f'"{name[1]}"' in known or f'"--{name[1]}"' in known, f"did_tf {command} {argument}"
        settings = [argument for argument in arguments if argument.startswith("--config.")]
        experiment = next((a.partition("=")[2] for a in arguments if a.startswith("--experiment=")), "")
        if experiment and not experiment.startswith(("mine.py", "plan.py", cli.AUTO)):  # which are written or planned
            cli.resolve(experiment, RunFolder("/nonexistent"), settings)


@pytest.mark.parametrize(
    "page", [*PROJECT.glob("*.md"), *PROJECT.glob("docs/[ehrt]*/*.md")], ids=lambda page: page.stem
)
def test_links(page):
    links = LINK.findall(re.sub("`[^`]*`", "", page.read_text()))
    missing = [path for path in links if not (page.parent / path).exists()]
    assert not missing


def test_more_steps_are_told_of_as_many_as_the_experiment_has():
    text = (PROJECT / "docs" / "how-to" / "stop-and-resume.md").read_text()
    told = re.search(r"over all steps, ([\d,]+) and (\d+): .*?run of ([\d,]+) steps.*?step ([\d,]+),", text, re.S)
    steps, more, both, at = (int(number.replace(",", "")) for number in told.groups())
    assert steps == at == cli.load_experiment("did_camvid_quick").train.steps and both == steps + more


@pytest.mark.parametrize("page", [*PAGES, *PROJECT.glob("docs/reference/*.md")], ids=lambda page: page.stem)
def test_what_is_submitted_has_a_benchmark(page):
    for experiment in re.findall(r"make submit EXP=([\w:-]+)", page.read_text(encoding="utf-8")):
        assert official.find(cli.load_experiment(experiment).dataset.name), experiment


def test_programs_are_commands():
    """`did_tf NAME` in a sentence too."""
    for page in LINKING:
        named = re.findall(r"`did_tf ([a-z][a-z-]+)[ `]", page.read_text(encoding="utf-8"))
        assert {*named} <= {*COMMANDS, "help"}, page
