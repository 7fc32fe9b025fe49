"""The Dockerfile names files, extras and versions that are there. It is built where there is Docker, not here."""

import re
import runpy
import shlex

import pytest
import setuptools
from program import PROJECT

from did_tf.__main__ import COMMANDS

TEXT = re.sub(r"\\\n|^#.*\n", "", (PROJECT / "Dockerfile").read_text(encoding="utf-8"), flags=re.M)
STEPS = [line.split(None, 1) for line in TEXT.splitlines() if line]
ARGUMENTS = dict(step.split("=") for word, step in STEPS if word == "ARG")
COPIED = [
    name for word, step in STEPS if word == "COPY" and not step.startswith("--from") for name in shlex.split(step)[:-1]
]
IGNORED = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()


@pytest.fixture(scope="module")
def package():
    """What setup.py tells setuptools."""
    told = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(setuptools, "setup", lambda **keywords: told.update(keywords))
        runpy.run_path(str(PROJECT / "setup.py"))
    return told


def test_what_is_copied_is_there_and_nothing_else_is_sent(package):
    assert all((PROJECT / name).exists() for name in COPIED)
    assert {name.split(".")[0] for name in package["packages"]} == {
        name for name in COPIED if (PROJECT / name).is_dir()
    }
    sent = [line.removeprefix("!") for line in IGNORED if line.startswith("!")]
    assert "*" in IGNORED and sorted(sent) == sorted(COPIED)


def test_extras_and_python_are_ones_that_there_are(package):
    page = (PROJECT / "docs" / "how-to" / "container.md").read_text(encoding="utf-8")
    named = {ARGUMENTS["EXTRAS"], *re.findall(r"EXTRAS=([\w,]+)", page), *re.findall(r"`(serve[\w,]+)`", page)}
    assert {extra for names in named for extra in names.split(",")} <= set(package["extras_require"])
    assert any(line.endswith(f":: {ARGUMENTS['PYTHON']}") for line in package["classifiers"])
    for name, default in ARGUMENTS.items():
        assert f"| `{name}` | `{default}` |" in page


def test_opencv_without_windows_has_the_bounds_of_opencv(package):
    (bounds,) = re.findall(r'opencv-python-headless([^"]+)', TEXT)
    assert f"opencv-python{bounds}" in package["install_requires"]


def test_it_runs_did_tf_as_nobody_in_particular():
    last = dict(STEPS)
    assert last["USER"] == "1000:1000" and last["ENTRYPOINT"] == '["did_tf"]'
    serve = (PROJECT / (COMMANDS["serve"][0].replace(".", "/") + ".py")).read_text(encoding="utf-8")
    assert f'"port", {last["EXPOSE"]},' in serve


def test_a_training_goes_on_in_the_next_container():
    """Which tells by the host name that a lock is of a process of its own machine."""
    page = (PROJECT / "docs" / "how-to" / "container.md").read_text(encoding="utf-8").replace("\\\n", " ")
    trainings = [line for line in page.splitlines() if line.startswith("docker run") and "did_tf train" in line]
    assert trainings and all("--hostname=" in line for line in trainings)
