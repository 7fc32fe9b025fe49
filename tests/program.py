"""The programs, run in this process or in one of their own."""

import subprocess
import sys
from pathlib import Path

import pytest
from absl.testing import flagsaver

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
