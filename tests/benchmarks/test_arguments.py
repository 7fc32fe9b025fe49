"""`--help` of every program says what it does, and docs/reference/commands.md has each."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__"): path.read_text(encoding="utf-8")
    for path in ROOT.glob("benchmarks/**/*.py")
}
PROGRAMS = [name for name, source in SOURCES.items() if "parser_of(__name__" in source]
PEERS = {f"peers.{name}" for name in ("reference", "same", "pytorch", "runtimes", "smp", "nnunet")}
PARTS = {"ours", "faults.layer", *PEERS}
"""Processes that another program starts, and gives what they need."""


def test_every_program_reads_its_command_line_so():
    started = {name for name, source in SOURCES.items() if 'if __name__ == "__main__"' in source}
    assert started - {f"benchmarks.{name}" for name in PARTS} == {*PROGRAMS}


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_says_what_it_does_and_measures_nothing(name, monkeypatch, capsys):
    if name == "benchmarks.mutation":
        pytest.importorskip("cosmic_ray", reason="an extra")
    module = importlib.import_module(f"{name}.__main__" if name == "benchmarks.faults" else name)
    monkeypatch.setattr("sys.argv", [name, "--help"])
    with pytest.raises(SystemExit) as stopped:
        module.main()
    told = capsys.readouterr().out
    assert stopped.value.code in (0, None)
    assert module.__doc__.splitlines()[0] in told
    assert told.startswith(f"usage: python -m {name}")


def test_every_program_is_in_the_reference_once():
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    told = re.findall(r"^\| `python -m (benchmarks\.\S+?)[ `]", page, re.MULTILINE)
    assert sorted(told) == sorted(PROGRAMS)


@pytest.mark.parametrize("minutes", ["nan", "inf", "0", "-3", "ten"])
@pytest.mark.parametrize("name", ["comparison", "more_bands", "augmentations", "pseudo_labels"])
def test_minutes_that_no_training_can_have_are_refused(name, minutes, tmp_path, capsys):
    module = importlib.import_module(f"benchmarks.{name}")
    with pytest.raises(SystemExit) as stopped:
        module.main([str(tmp_path), *([] if name == "more_bands" else ["--data=none"]), f"--minutes={minutes}"])
    assert stopped.value.code == 2 and not [*tmp_path.iterdir()]
    assert f"argument --minutes: {minutes!r}: give 1 or more; to start" in capsys.readouterr().err


def test_names_may_stand_behind_flags(tmp_path, capsys):
    with pytest.raises(SystemExit):
        importlib.import_module("benchmarks.augmentations").main([str(tmp_path), "--data=none", "nothing", "--seeds=2"])
    assert "no augmentation 'nothing'" in capsys.readouterr().err
