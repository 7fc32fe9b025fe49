"""How values stand in a dataset.yaml."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def relative(path: Path, folder: Path) -> str:
    """A path as it counts from the dataset.yaml in `folder`; absolute ones stay so."""
    if path.is_absolute():
        return path.as_posix()
    # Through a link, ".." is the parent of what it points to.
    return Path(os.path.relpath(path.parent.resolve() / path.name, folder.resolve())).as_posix()


def quoted(value: Any) -> str:
    """Text, numbers, lists and maps of these as JSON, which YAML reads alike."""
    return json.dumps(value, ensure_ascii=False)


def bare(value: Any) -> str:
    """The same without quotes, of plain words."""
    return quoted(value).replace('"', "")
