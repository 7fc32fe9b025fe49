"""Programs run in this process."""

import sys

import pytest
from absl.testing import flagsaver

from did_tf import cli


def run(monkeypatch, module, *arguments):
    """Exit status of `module.main`, a program for `cli.run_bare`, with the command line `arguments`."""
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
    with flagsaver.flagsaver(), pytest.raises(SystemExit) as caught:
        cli.FLAGS.unparse_flags()
        cli.run_bare(module.main)
        raise SystemExit(0)
    return caught.value.code
