"""The programs, run in this process or in one of their own."""

import contextlib
import importlib
import io
import subprocess
import sys
from pathlib import Path

import pytest
from absl.testing import flagsaver

from did_tf.__main__ import COMMANDS
from did_tf.programs import cli

PROJECT = Path(__file__).parents[1]


def run(monkeypatch, module, *arguments):
    """Exit status of `module.main`, a program for `cli.run_bare`, with the command line `arguments`."""
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as caught:
        cli.FLAGS.unparse_flags()
        cli.run_bare(module.main)
        raise SystemExit(0)
    return caught.value.code


def launch(name, *arguments):
    """`subprocess.CompletedProcess` of `did_tf NAME ARGUMENTS`, with its output as text."""
    command = [sys.executable, "-m", "did_tf", name, *map(str, arguments)]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True)


def launch_here(name, *arguments):
    """As `launch`, in this process, which has imported TensorFlow already."""
    module, out, errors = _with_its_flags(COMMANDS[name][0]), io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, flagsaver.flagsaver():
        patch.setattr(sys, "argv", [f"did_tf {name}", *map(str, arguments)])
        cli.FLAGS.unparse_flags()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
            status = _status(module.launch)
        return subprocess.CompletedProcess(sys.argv, status, out.getvalue(), errors.getvalue())


def _with_its_flags(name):
    """A program's module, whose flags take the place of those that another one has defined by the same names."""
    for flag in cli.FLAGS:
        cli.FLAGS[flag].allow_override = True
    known = sys.modules.get(name)
    return importlib.reload(known) if known else importlib.import_module(name)


def _status(launch):
    try:
        launch()
    except SystemExit as end:
        return end.code
    return 0
