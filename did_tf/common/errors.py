"""What a user can do wrong, told in one line (exit status 2)."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A bad setting, experiment, run folder or checkpoint. The message names it and says what to do."""


def nearest(word: str, known: Iterable[str]) -> str:
    """ ", did you mean 'x'" for the known word most like `word`, or nothing."""
    match = difflib.get_close_matches(word, list(known), 1)
    return f", did you mean {match[0]!r}" if match else ""
