"""How values stand in a dataset.yaml."""

from __future__ import annotations

import json
import os
import re
import unicodedata
from pathlib import Path
from typing import Any

from data_pipelines.own_data.values import NO_TEXT

_PLAIN = re.compile(r'"([A-Za-z][\w./-]*)"', re.ASCII)
_WORDS = ("null", "true", "false")
"""What YAML takes for something else without quotes."""


def relative(path: Path, folder: Path) -> str:
    """A path as it counts from the dataset.yaml in `folder`; absolute ones stay so."""
    if path.is_absolute():
        return path.as_posix()
    # Through a link, ".." is the parent of what it points to.
    return Path(os.path.relpath(path.parent.resolve() / path.name, folder.resolve())).as_posix()


def written_out(line: str) -> str:
    """A line with what YAML takes for the end of one, or for nothing, as it is written between double quotes.

    Names of files may have such characters, also those that stand in comments.
    """
    return "".join(char if char.isprintable() or ord(char) > 0xFFFF else f"\\u{ord(char):04x}" for char in line)


def quoted(value: Any) -> str:
    """Text, numbers, lists and maps of these as JSON, which YAML reads alike."""
    return json.dumps(value, ensure_ascii=False)


def bare(value: Any) -> str:
    """The same, plain words in it without quotes."""
    return _PLAIN.sub(lambda found: found[0] if found[1].lower() in _WORDS else found[1], quoted(value))


def as_name(text: str) -> str:
    """A text of a user's files as dataset.yaml takes it for a name: what can't stand in a line is written out."""
    return "".join(f"\\u{ord(char):04x}" if unicodedata.category(char) in NO_TEXT else char for char in text)
