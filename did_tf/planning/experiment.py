"""A plan as an experiment file: what a person reads, changes, and trains."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from did_tf.planning.choices import Choice

WIDTH = 116


def text(title: str, facts: Sequence[str], hours: float, choices: Sequence[Choice]) -> str:
    """Python text of an experiment.

    Args:
      title: first line of its docstring.
      facts: further lines of it.
      hours: that were asked for.
      choices: settings; a comment above each says why it is so.
    """
    told = "\n".join(line for fact in facts for line in textwrap.wrap(fact, WIDTH, subsequent_indent="  "))
    lines = [f'"""{_plain(title)}\n\n{_plain(told)}\n"""', "", "from experiments import base", ""]
    lines += [f"HOURS = {hours!r}", "", "", "def get_config():", "    c = base.get_config()"]
    for choice in choices:
        lines += textwrap.wrap(choice.why, WIDTH, initial_indent="    # ", subsequent_indent="    # ")
        lines.append(f"    c.{choice.key} = {choice.value!r}")
    return "\n".join([*lines, "    return c", ""])


def table(choices: Sequence[Choice]) -> str:
    """The same for a terminal: a line for each setting, and why below it."""
    lines = []
    for choice in choices:
        lines.append(f"{choice.key} = {choice.value!r}")
        lines += textwrap.wrap(choice.why, 96, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def _plain(words):
    """That can stand in a docstring."""
    return words.replace("\\", "\\\\").replace('"""', "'''")
