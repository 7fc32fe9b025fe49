"""What a terminal may be shown of texts from outside, such as names of files, which may have anything in them."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator

_KEPT = "\n\t\r"  # lines, columns, and progress bars
_SHOWN = {
    code: f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
    for code in (*range(32), *range(127, 160), *range(0x200E, 0x2010), *range(0x2028, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in _KEPT
}
"""Control characters, line separators and changes of the direction of writing, as Python writes them in a text."""


def shown(text: str) -> str:
    r"""`text` with what a terminal would act on written out: "\x1b[2J" for what would clear the screen."""
    return text.translate(_SHOWN)


def tame_output() -> None:
    """Has stdout and stderr write everything as of `shown`; and what their encoding lacks, likewise written out."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:  # not what a test or a notebook has put in its place
            lines, through, encoding = stream.line_buffering, stream.write_through, stream.encoding
            setattr(sys, name, _Tame(stream.detach(), encoding, "backslashreplace", None, lines, through))


@contextlib.contextmanager
def silent_stderr() -> Iterator[None]:
    """Within it nothing reaches stderr, of libraries in C either: of the whole process, so for moments alone."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _Tame(io.TextIOWrapper):
    def write(self, text: str) -> int:
        return super().write(shown(text))
