"""Kinds of values: what each takes and refuses, and that it says so."""

import math

import pytest

from did_tf.common import kinds
from did_tf.common.errors import ConfigError

CASES = {
    "number": (kinds.number("[0, 1)"), "a number in [0, 1)", (0, 0.5, 0.999), (1, -0.1, math.nan, True, "0", None)),
    "above": (kinds.number("(0, inf)"), "a finite number above 0", (1, 1e30), (0, -1, math.inf, 1e39, 1e-40, 10**400)),
    "whole": (kinds.whole("[1, inf)"), "a whole number, 1 or more", (1, 2**31 - 1), (0, 1.0, True, 2**31, "1")),
    "any whole": (kinds.whole(), "a whole number", (-(2**31) + 1, 0), (-(2**31), 0.5)),
    "flag": (kinds.FLAG, "True or False", (True, False), (0, 1, "True", None)),
    "text": (kinds.TEXT, "a text", ("", "a"), (1, None, ("a",))),
    "choice": (kinds.choice(("a", "b")), "'a' or 'b'", ("a",), ("c", "", 1, None, ["a"])),
    "pattern": (kinds.pattern("a letter", "[a-z]"), "a letter", ("q",), ("qq", "q\n", 1)),
    "sequence": (
        kinds.sequence(kinds.whole(), least=1),
        "a tuple of 1 or more values, each a whole number",
        ((1,), [1, 2], (1, 1)),
        ((), 1, "1", (1.5,), ((1,),), {1: 2}),
    ),
    "distinct": (
        kinds.sequence(kinds.TEXT, distinct=True),
        "a tuple of different values, each a text",
        ((), ("a", "b")),
        ("ab", ("a", "a")),
    ),
    "low, high": (
        kinds.pair(kinds.number("(0, 1]"), "(low, high)"),
        "two values (low, high), each a number in (0, 1], low not above high",
        ((0.5, 0.5), [0.1, 1]),
        ((0.5,), (0.6, 0.5), (0, 1), (math.nan, 1), 0.5, "ab"),
    ),
    "sides": (
        kinds.pair(kinds.whole("[1, 9]"), "(height, width)"),
        "two values (height, width), each a whole number in [1, 9]",
        ((2, 1),),
        ((1, 2, 3), (1.0, 2)),
    ),
    "either": (
        kinds.either(kinds.EMPTY, kinds.FLAG),
        "empty, or True or False",
        ((), [], True),
        ((1,), "", {}, 0),
    ),
    "mapping": (
        kinds.mapping(kinds.whole(), ("a", "b")),
        "a map of a, b to values, each a whole number",
        ({}, {"a": 1}),
        ({"c": 1}, {"a": 1.5}, {1: 1}, (), "a"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_kind_takes_what_it_says_and_refuses_the_rest(name):
    kind, words, right, wrong = CASES[name]
    assert kind.words == words
    for value in right:
        kind.check("a.b", value)
    for value in wrong:
        with pytest.raises(ConfigError) as caught:
            kind.check("a.b", value)
        assert str(caught.value).startswith(f"a.b must be {words}, got ")
