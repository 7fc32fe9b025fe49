"""What was found, as a table for people and as JSON for a bug report, without the user's own places."""

from __future__ import annotations

import dataclasses
import os
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

GOOD, ABSENT, NOTE, WRONG = "ok", "-", "note", "WRONG"
WIDTH, NAMES = 100, 18
"""Columns of a terminal whose width nobody knows, and of the names in a table."""


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
      name: what it is.
      state: `GOOD`, `ABSENT` (not there, and not needed), `NOTE` (works, and could be better) or `WRONG` (does not
        work).
      told: what was found, in words.
      mend: what to do, where it is not good.
      facts: the same for machines, JSON-serialisable.
    """

    name: str
    state: str
    told: str
    mend: str = ""
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def table(findings: Sequence[Finding]) -> str:
    """A line or more for each, as wide as the terminal."""
    indent = " " * (NAMES + 9)
    lines = []
    for one in findings:
        lines += _wrapped(f"{one.name:{NAMES}}  {one.state:5}  {one.told}", indent)
        lines += _wrapped(f"{indent}what to do: {one.mend}", indent) if one.mend else []
    return "\n".join(lines)


def report(findings: Sequence[Finding], version: str) -> dict[str, Any]:
    """{"did_tf", "healthy", "findings"} as JSON has it."""
    return {
        "did_tf": version,
        "healthy": healthy(findings),
        "findings": [dataclasses.asdict(finding) for finding in findings],
    }


def healthy(findings: Sequence[Finding]) -> bool:
    """Whether nothing is `WRONG`."""
    return all(finding.state != WRONG for finding in findings)


def without_places(text: str) -> str:
    """`text` with "." and "~" for the current folder and the user's home, whose names are nobody's business."""
    for place, short in ((os.getcwd(), "."), (str(Path.home()), "~")):
        if len(place) > 1:
            text = text.replace(place, short)
    return text


def _wrapped(text, indent):
    columns = max(shutil.get_terminal_size((WIDTH, 24)).columns, 60)
    return textwrap.wrap(text, min(columns, 160), subsequent_indent=indent, break_long_words=False)
