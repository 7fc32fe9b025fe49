"""Paths as they stand in a dataset.yaml."""

from __future__ import annotations

import os
from pathlib import Path


def relative(path: Path, folder: Path) -> str:
    """A path as it counts from the dataset.yaml in `folder`; absolute ones stay so."""
    if path.is_absolute():
        return path.as_posix()
    # Through a link, ".." is the parent of what it points to.
    return Path(os.path.relpath(path.parent.resolve() / path.name, folder.resolve())).as_posix()
