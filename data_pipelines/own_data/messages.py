"""Lines for the user about his files."""

from __future__ import annotations

import sys
from collections.abc import Sequence

SHOWN = 3  # names in a message


def some(names: Sequence[str]) -> str:
    """The first names, and dots where there are more."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def note(text: str) -> None:
    """Prints a line on stderr."""
    print("note:", *text.splitlines(), file=sys.stderr)
