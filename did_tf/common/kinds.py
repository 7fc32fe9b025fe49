"""Kinds of values that settings and options take: each says in words what it is, and refuses what is none of it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection
from typing import Any

from did_tf.common.errors import ConfigError

LARGEST = 2**31 - 1
"""What whole numbers go up to: TensorFlow counts steps, seeds and sizes in int32."""
FLOAT32 = (1e-37, 1e38)
"""What magnitudes numbers other than 0 have: float32, in which networks compute, takes smaller ones for 0."""


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a value must be.

    Attributes:
      words: this in words, "a number in [0, 1)".
      holds: function of any value, of whatever type: whether it is so.
    """

    words: str
    holds: Callable[[Any], bool]

    def check(self, key: str, value: Any) -> None:
        """Raises `ConfigError` where `value`, that of the setting `key`, is not of this kind."""
        if not self.holds(value):
            raise ConfigError(f"{key} must be {self.words}, got {value!r:.200}")


ANY = Kind("any value", lambda value: True)
FLAG = Kind("True or False", lambda value: isinstance(value, bool))
NONE = Kind("None", lambda value: value is None)
EMPTY = Kind("empty", lambda value: isinstance(value, (tuple, list)) and not value)
TEXT = Kind("a text", lambda value: isinstance(value, str))


def number(interval: str = "(-inf, inf)") -> Kind:
    """A number in an interval such as "[0, 1)", finite and of a magnitude that float32 has."""
    low, high, inside = _interval(interval)
    return Kind(
        ("a number" if math.isfinite(high) else "a finite number") + _words(interval, low, high),
        lambda x: _is_number(x) and inside(x),
    )


def whole(interval: str = "(-inf, inf)") -> Kind:
    """A whole number in an interval, of up to `LARGEST`."""
    low, high, inside = _interval(interval)
    words = "a whole number" + _words(interval, low, high)
    return Kind(words, lambda x: isinstance(x, int) and not isinstance(x, bool) and abs(x) <= LARGEST and inside(x))


def choice(names: Collection[str]) -> Kind:
    """One of some texts."""
    return Kind(" or ".join(map(repr, names)), lambda value: isinstance(value, str) and value in names)


def pattern(words: str, expression: str) -> Kind:
    """A text that an expression matches as a whole, called `words`."""
    return Kind(words, lambda value: isinstance(value, str) and bool(re.fullmatch(expression, value)))


def sequence(kind: Kind, least: int = 0, distinct: bool = False) -> Kind:
    """A tuple or list of `least` or more values of a kind, none of them twice where they are `distinct`."""
    many = f"{least} or more " if least else ""
    words = f"a tuple of {many}{'different ' if distinct else ''}values, each {kind.words}"

    def holds(value):
        if not isinstance(value, (tuple, list)) or len(value) < least or not all(map(kind.holds, value)):
            return False
        return not distinct or len(set(value)) == len(value)

    return Kind(words, holds)


def pair(kind: Kind, names: str) -> Kind:
    """Two values of a kind, called `names`; the first is no more than the second where these are "(low, high)"."""
    ordered = names == "(low, high)"
    words = f"two values {names}, each {kind.words}" + (", low not above high" if ordered else "")

    def holds(value):
        two = isinstance(value, (tuple, list)) and len(value) == 2 and all(map(kind.holds, value))
        return two and not (ordered and value[0] > value[1])

    return Kind(words, holds)


def either(*kinds: Kind) -> Kind:
    """What is of one kind or another."""
    return Kind(", or ".join(kind.words for kind in kinds), lambda value: any(kind.holds(value) for kind in kinds))


def mapping(kind: Kind, keys: Collection[str] = ()) -> Kind:
    """A dict from texts, which are among `keys` where there are some, to values of a kind."""
    of = f" of {', '.join(keys)}" if keys else ""

    def holds(value):
        named = isinstance(value, dict) and all(isinstance(key, str) and (not keys or key in keys) for key in value)
        return named and all(map(kind.holds, value.values()))

    return Kind("a map" if kind is ANY else f"a map{of} to values, each {kind.words}", holds)


ANY_MAP = mapping(ANY)
"""A dict from texts to values of any kind."""


def by_class(kind: Kind) -> Kind:
    """A dict from classes, whole numbers or texts, to values of a kind."""

    def holds(value):
        named = isinstance(value, dict) and all(isinstance(key, (int, str)) for key in value)
        return named and all(map(kind.holds, value.values()))

    return Kind(f"a map of classes, by id or name, to values, each {kind.words}", holds)


def _is_number(value):
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return value == 0 or FLOAT32[0] <= abs(value) <= FLOAT32[1]


def _interval(text):
    """(low, high, function that says whether a number is inside) of "[low, high)"."""
    low, high = map(float, text[1:-1].split(","))
    above = (lambda x: x >= low) if text[0] == "[" else (lambda x: x > low)
    below = (lambda x: x <= high) if text[-1] == "]" else (lambda x: x < high)
    return low, high, lambda x: above(x) and below(x)


def _words(interval, low, high):
    if math.isfinite(high):
        return f" in {interval}"
    if math.isfinite(low):
        return f", {low:g} or more" if interval[0] == "[" else f" above {low:g}"
    return ""
