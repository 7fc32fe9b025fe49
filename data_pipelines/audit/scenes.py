"""Which images are of one scene, as their names tell: tiles of a raster, frames of a video."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

TOGETHER = (
    r"[-_.]?(?:x|y|r|c|row|col|tile|patch|window)[-_]?\d+(?:[-_.]*(?:x|y|r|c|row|col)?[-_]?\d+)?",
    r"[-_.]?(?:frame|frm|fr|f)[-_]?\d+",
)
"""What ends the names of tiles and frames of one scene."""
COUNTED = r"[-_]\d+"
OFFSETS = r"[-_]\d+[-_]\d+"
DIGITS = r"\d+"
STEP = 16
"""Two numbers are a place in a raster where all are multiples of so many pixels or more."""
RUNS = 10
"""Of numbered images, so many can be shared out."""


class Scenes(NamedTuple):
    """What images of one scene have in common.

    Attributes:
      pattern: regular expression that finds it, in its first group.
      number: how many there are.
      sure: whether the names say tile or frame; else it may be a mere count.
    """

    pattern: str
    number: int
    sure: bool

    def of(self, names: Iterable[str]) -> dict[str, str]:
        """Name -> its scene."""
        return {name: match[1] for name in names if (match := re.search(self.pattern, name))}


def find_scenes(names: Sequence[str]) -> Scenes | None:
    """The `Scenes` that names tell, of which there are several with several images each; None where they tell none."""
    for ending in TOGETHER:
        if found := _group(names, ending, True):
            return found
    if _are_offsets(names) and (found := _group(names, OFFSETS, True)):
        return found
    return _group(names, COUNTED, False) or _of_pattern(names, "^(.+)/", False)


def find_runs(names: Sequence[str]) -> Scenes | None:
    """The longest runs of 10, 100, ... images of which there are `RUNS`, where names are one word and a number.

    None where they are not, or are too few. All numbers must have as many digits.
    """
    matches = [match for name in names if (match := re.fullmatch(r"(.*?)(\d+)", name))]
    kinds = {(match[1], len(match[2])) for match in matches}
    if len(matches) < len(names) or len(kinds) != 1:
        return None
    word, digits = kinds.pop()
    for last in range(digits - 1, 0, -1):
        behind = r"\d" * last
        runs = _of_pattern(names, f"^({re.escape(word)}{DIGITS}){behind}$", False)
        if runs and runs.number >= RUNS:
            return runs
    return None


def _group(names, ending, sure):
    match = re.search(f"{ending}$", names[0], re.IGNORECASE)
    if not match or not match.start():
        return None
    text = re.escape(match[0]).replace(r"\-", "-")
    return _of_pattern(names, f"^(.+){re.sub('[0-9]+', lambda _: DIGITS, text)}$", sure)


def _of_pattern(names, pattern, sure):
    found = [re.search(pattern, name) for name in names]
    scenes = {match[1] for match in found if match}
    if None in found or not 2 <= len(scenes) <= len(names) / 2:
        return None
    return Scenes(pattern, len(scenes), sure)


def _are_offsets(names):
    found = [re.search(r"[-_](\d+)[-_](\d+)$", name) for name in names]
    if None in found:
        return False
    steps = [math.gcd(*(int(match[number]) for match in found if match)) for number in (1, 2)]
    return all(step == 0 or step >= STEP for step in steps) and any(steps)
