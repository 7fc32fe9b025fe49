"""What can go wrong by no fault of the program, told in one line."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable, Iterator


class ConfigError(ValueError):
    """A bad setting, experiment, run folder or checkpoint (status 2). The message names it and says what to do."""


class Failure(RuntimeError):
    """A failure while running (status 1). The message says of what, where, and what to do."""


class NotFinite(Failure):
    """A network gives values that are not finite."""


@contextlib.contextmanager
def about(what: str, kind: type[ConfigError | NotFinite] = NotFinite) -> Iterator[None]:
    """Within it, the message of an error of a `kind` begins with `what`, the name of an image or a setting."""
    try:
        yield
    except kind as error:
        raise kind(f"{what}: {error}") from None


def nearest(word: str, known: Iterable[str]) -> str:
    """ ", did you mean 'x'" for the known word most like `word`, or nothing."""
    match = difflib.get_close_matches(word, list(known), 1)
    return f", did you mean {match[0]!r}" if match else ""
