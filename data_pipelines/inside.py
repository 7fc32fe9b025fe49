"""Names of files, which may have anything in them."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any


def is_inside(name: Any) -> bool:
    """Whether a text names something below a folder: no way up, no place of its own."""
    if not isinstance(name, str) or not name.strip() or "\0" in name:
        return False
    return not PurePath(name).anchor and ".." not in PurePath(name).parts
