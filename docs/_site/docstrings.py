"""Docstrings are Markdown with Google's sections; Sphinx reads reStructuredText, which differs from it in little."""

import re

LITERAL = re.compile(r"(?<=\n\n)((?: {4}.*\n|\n)+)")
"""An indented block after an empty line."""
CODE = re.compile(r"`([^`]+)`")
MARKUP = re.compile(r"(\*\*[^*]+\*\*)|([*|]|(?<=\w)_(?!\w))")
"""What is bold, or a character that would be markup."""
LIST_BEGINS = re.compile(r"^(?! *- )(.+)\n(?= *- )", re.MULTILINE)
LIST_ENDS = re.compile(r"^( *)(- .+(?:\n\1  .+)*)\n(?=\1[^ \n-])", re.MULTILINE)


def to_rst(lines: list[str]) -> None:
    """Changes the lines of a docstring from Markdown to reStructuredText, in place."""
    parts = LITERAL.split("\n".join(lines) + "\n")
    parts[::2] = map(_prose, parts[::2])
    parts[1::2] = [f"::\n\n{part}\n" for part in parts[1::2]]
    lines[:] = "".join(parts).splitlines()


def _prose(text):
    parts = CODE.split(text)
    parts[::2] = [MARKUP.sub(lambda found: found[1] or "\\" + found[2], part) for part in parts[::2]]
    # Code ends at its backticks only where no letter follows.
    parts[1::2] = [f"``{code}``" + r"\ " * after[:1].isalnum() for code, after in zip(parts[1::2], parts[2::2])]
    text = LIST_BEGINS.sub(r"\1\n\n", "".join(parts))
    return LIST_ENDS.sub(r"\1\2\n\n", text)
