"""Tables of experiments as text, Markdown and CSV: what `did_tf table` prints and writes."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from did_tf.common.errors import ConfigError
from did_tf.common.files import check_output, write_file

NAME = "ledger"
SUFFIXES = (".md", ".csv")
NONE = "-"
"""Stands where there is no figure."""

Row = Sequence[tuple[str, str]]
"""(column, text) of each cell. A column named "paper" is the paper's of the column before it."""

_TITLE = """# Ledger

Rows of the papers' tables that an experiment stands for: the paper's figures, what runs have reached, and what the
networks cost. Nothing here is typed by hand: `{command}` writes it anew.
"""


def files(output: str) -> list[Path]:
    """The files that `output` means: it itself where it ends as they do, else ledger.md and ledger.csv in that folder.

    Raises ConfigError where the folder can't be written, before anything is computed.
    """
    path = Path(output)
    if path.suffix and path.suffix not in SUFFIXES and not path.is_dir():
        raise ConfigError(f"--output={output}: a folder, or a file that ends with {' or '.join(SUFFIXES)}")
    named = path.suffix in SUFFIXES and not path.is_dir()
    check_output(path.parent if named else path)
    return [path] if named else [path / f"{NAME}{suffix}" for suffix in SUFFIXES]


def write(paths: Sequence[Path], tables: Mapping[str, Sequence[Row]], notes: str, command: str) -> None:
    """Writes the tables into each file, by what its name ends with; each is there whole or not at all.

    Args:
      paths: as of `files`.
      tables: {title: its rows}.
      notes: what stands below the tables of the Markdown.
      command: that writes them, told there.

    Raises:
      OSError: a file can't be written.
    """
    for path in paths:
        content = _csv(tables) if path.suffix == ".csv" else _markdown(tables, notes, command)
        write_file(path, content.encode())


def text(rows: Sequence[Row], markdown: bool, always: Sequence[str] = ()) -> str:
    """The rows as aligned text, the first column to the left. Columns that no row has are left out, but `always`."""
    kept = _kept(rows, always)
    widths = [max(map(len, column)) for column in kept]
    lines = [[cell.rjust(width) for cell, width in zip(line, widths)] for line in zip(*kept)]
    lines = [[line[0].strip().ljust(widths[0]), *line[1:]] for line in lines]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(f"| {' | '.join(line)} |" if markdown else "  ".join(line) for line in lines)


def _markdown(tables, notes, command):
    """Cells are not padded to the columns' widths: a command would make every line as long as the longest."""
    parts = [_TITLE.format(command=command)]
    parts += [f"## {title}\n\n{_plain(rows)}\n" for title, rows in tables.items()]
    return "\n".join([*parts, "## What the columns are\n", *(f"- {line}" for line in notes.strip().splitlines()), ""])


def _plain(rows):
    columns = [[column[0], *(_code(cell) for cell in column[1:])] for column in _kept(rows)]
    head, *lines = zip(*columns)
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *lines))


def _code(cell):
    """Commands as code."""
    return f"`{cell}`" if cell.startswith("make ") else cell


def _kept(rows, always=()):
    """The columns, each with its name first, without those that no row has, nor its paper."""
    columns = [*zip([column for column, _ in rows[0]], *([cell for _, cell in row] for row in rows))]
    there = [column[0] in always or any(cell != NONE for cell in column[1:]) for column in columns]
    papers = [after[0] == "paper" and is_there for after, is_there in zip(columns[1:], there[1:])]
    return [column for column, *reasons in zip(columns, there, [*papers, False]) if any(reasons)]


def _csv(tables):
    """A line for each row, all with the same columns, "table" first; cells without a figure are empty."""
    found = [{"table": title, **_named(row)} for title, rows in tables.items() for row in rows]
    columns = dict.fromkeys(column for row in found for column in row)
    file = io.StringIO()
    writer = csv.DictWriter(file, list(columns), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({column: "" if cell == NONE else cell for column, cell in row.items()} for row in found)
    return file.getvalue()


def _named(row):
    """{column: text}, every column with a name of its own."""
    before = ["", *(column for column, _ in row)]
    return {f"{last} (paper)" if column == "paper" else column: cell for last, (column, cell) in zip(before, row)}
