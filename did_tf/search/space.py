"""What is searched: settings and their ranges, as the command line has them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from did_tf.common.errors import ConfigError

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_RANGE = re.compile(rf"(log:)?({_NUMBER})\.\.({_NUMBER})")
FORM = "KEY=A,B,C or KEY=LOW..HIGH or KEY=log:LOW..HIGH"


class Range(NamedTuple):
    """One setting.

    Attributes:
      key: its name.
      choices: the texts that it may be; empty for a range of numbers.
      low, high: of the range, both in it.
      log: whether its logarithm is what is even.
      whole: whether it has whole numbers.
    """

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def text(self, value: Any) -> str:
        """A value as the command line has it."""
        return str(int(value)) if self.whole else str(value)

    def fitted(self, fraction: Callable[[float], bool]) -> Range:
        """The same, of whole numbers only where the setting takes no others, as `fraction` says of one within it."""
        return self._replace(whole=self.whole and not fraction(self.low + 0.5))

    def values(self) -> Sequence[Any]:
        """All that it may be; empty where it has fractions, of which there is no end."""
        return range(int(self.low), int(self.high) + 1) if self.whole else self.choices

    def ends(self) -> list[str]:
        """Texts of which all others are in between; or all choices."""
        return list(self.choices) or [self.text(self.low), self.text(self.high)]


def parse(text: str) -> Range:
    """A `Range` of `FORM`. Raises `ConfigError` where it is of another."""
    key, equals, values = text.partition("=")
    key = key.removeprefix("--").removeprefix("config.")
    if not equals or not key or not values:
        raise ConfigError(f"--over={text}: it must be {FORM}")
    if found := _RANGE.fullmatch(values.strip()):
        return _of_numbers(text, key, bool(found[1]), found[2], found[3])
    choices = tuple(_parted(values))
    if len(choices) < 2 or len({*choices}) < len(choices):
        raise ConfigError(f"--over={text}: at least two choices, each once: {FORM}")
    return Range(key, choices)


def _of_numbers(text, key, log, low, high):
    whole = all(re.fullmatch(r"[-+]?\d+", end) for end in (low, high))
    lower, upper = (int(low), int(high)) if whole else (float(low), float(high))
    if not lower < upper or not math.isfinite(upper - lower):
        raise ConfigError(f"--over={text}: {low} must be below {high}")
    if log and lower <= 0:
        raise ConfigError(f"--over={text}: a log range must be above 0")
    return Range(key, (), lower, upper, log, whole)


def _parted(values):
    """At commas that stand in no brackets."""
    depth, part = 0, ""
    for letter in values:
        depth += (letter in "([{") - (letter in ")]}")
        if letter == "," and not depth:
            yield part.strip()
            part = ""
        else:
            part += letter
    yield part.strip()
