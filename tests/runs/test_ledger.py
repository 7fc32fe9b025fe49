"""Tables of experiments as text and as files: which columns stand, what they are called, and that files are whole."""

import csv

import pytest

from did_tf.common.errors import ConfigError
from did_tf.runs import ledger

ROWS = [
    [("experiment", "a:row1"), ("size", "7.60"), ("paper", "-"), ("score", "-"), ("paper", "61.5"), ("note", "-")],
    [("experiment", "b"), ("size", "12.00"), ("paper", "-"), ("score", "-"), ("paper", "-"), ("note", "-")],
]


def test_columns_stand_where_a_row_or_the_paper_has_something():
    """A score stands beside its paper's though no run has one; what nobody has is left out, but what is asked for."""
    assert ledger.text(ROWS, markdown=False).splitlines() == [
        "experiment   size  score  paper",
        "----------  -----  -----  -----",
        "a:row1       7.60      -   61.5",
        "b           12.00      -      -",
    ]
    assert ledger.text(ROWS, False, ["note"]).splitlines()[0].split() == [
        "experiment",
        "size",
        "score",
        "paper",
        "note",
    ]


def test_a_csv_has_every_column_by_a_name_of_its_own(tmp_path):
    paths = ledger.files(str(tmp_path / "new"))
    other = [[("experiment", "c, d"), ("error", "9")]]
    ledger.write(paths, {"One": ROWS, "Two": other}, "one: 1.\ntwo: 2.", "make it")
    with open(paths[1], newline="") as file:
        found = list(csv.DictReader(file))
    columns = ["table", "experiment", "size", "size (paper)", "score", "score (paper)", "note", "error"]
    assert [*found[0]] == columns
    assert [*found[0].values()] == ["One", "a:row1", "7.60", "", "", "61.5", "", ""]
    assert [*found[2].values()] == ["Two", "c, d", "", "", "", "", "", "9"]


def test_markdown_has_a_table_under_each_title_and_the_notes(tmp_path):
    path = tmp_path / "mine.md"
    ledger.write([path], {"One": ROWS, "Two": [[("experiment", "c"), ("command", "make c")]]}, "\none: 1.", "make it")
    lines = path.read_text().splitlines()
    at = lines.index("## Two")
    assert lines[at + 2 : at + 5] == ["| experiment | command |", "| --- | --- |", "| c | `make c` |"]
    assert "| a:row1 | 7.60 | - | 61.5 |" in lines[lines.index("## One") : at]
    assert lines[0] == "# Ledger" and "`make it`" in " ".join(lines[:5]) and lines[-1] == "- one: 1."


def test_files_are_told_before_anything_is_computed(tmp_path):
    assert ledger.files(str(tmp_path / "a.csv")) == [tmp_path / "a.csv"]
    assert ledger.files(str(tmp_path)) == [tmp_path / "ledger.md", tmp_path / "ledger.csv"]
    for output in (tmp_path / "a.txt", tmp_path / "a.md" / "b"):
        (tmp_path / "a.md").touch()
        with pytest.raises(ConfigError, match="--output|cannot write"):
            ledger.files(str(output))
