"""docs/reference/ledger.md and ledger.csv are what `make table OUTPUT=docs/reference ARGS=--runs=none` writes."""

import csv

import program
import pytest
from program import PROJECT

from did_tf.programs.networks import table

FOLDER = PROJECT / "docs" / "reference"
COUNTED = ("parameters, M", "multiply-adds, G", "field, px", "view, px", "inference, MB", "training, MB")
"""Columns of what is computed from the networks."""
AGAIN = "write it anew: make table OUTPUT=docs/reference ARGS=--runs=none"


def rows(folder):
    """The rows of a folder's ledger.csv, without their empty cells."""
    with open(folder / "ledger.csv", newline="", encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if value} for row in csv.DictReader(file)]


def test_the_ledger_has_every_row_with_the_papers_figures_and_its_command(monkeypatch, tmp_path):
    """Without the networks' own figures, for which all of them are built: the slow test below."""
    networks = {"parameters": 0, "multiply_adds": 0, "field": (1, 1), "features": {}}
    monkeypatch.setattr(table, "_compute", lambda configs: dict.fromkeys(configs, networks))
    assert program.run(monkeypatch, table, "--runs=none", f"--output={tmp_path / 'ledger.csv'}") == 0
    assert [uncounted(row) for row in rows(FOLDER)] == [uncounted(row) for row in rows(tmp_path)], AGAIN


def uncounted(row):
    return {column: cell for column, cell in row.items() if column not in COUNTED}


def test_both_files_have_the_same_rows():
    lines = [line for line in (FOLDER / "ledger.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    names = [line.split(" | ")[0].strip("| ") for line in lines]
    assert [name for name in names if name not in ("experiment", "---")] == [row["experiment"] for row in rows(FOLDER)]


@pytest.mark.slow
def test_the_ledger_is_up_to_date(monkeypatch, tmp_path):
    assert program.run(monkeypatch, table, "--runs=none", f"--output={tmp_path}") == 0
    for name in ("ledger.md", "ledger.csv"):
        new, old = ((folder / name).read_text(encoding="utf-8") for folder in (tmp_path, FOLDER))
        assert new.replace(str(tmp_path), "docs/reference") == old, AGAIN
