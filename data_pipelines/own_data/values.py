"""Single values of a dataset.yaml: each is checked, and returned as it is meant; else `DataError` names its key."""

from __future__ import annotations

import difflib
import math
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence

import numpy as np

from data_pipelines.spec import COLOURS, LARGEST_ID, DataError

NO_TEXT = {"Cc", "Cs", "Zl", "Zp"}
"""Categories of characters that end a line, steer a terminal, or are halves of others ("\\ud83d" in YAML)."""


def check_keys(content: object, known: set[str], needed: Sequence[str], prefix: str = "") -> None:
    """Refuses what is no map, or has an unknown key, or lacks one of `needed`. `prefix` says in messages whose keys."""
    if not isinstance(content, dict):
        where = f"{prefix.rstrip('.')} " if prefix else ""
        raise DataError(f"{where}must be a map of keys to values, got {str(content)[:60]!r}")
    for key in content:
        if key not in known:
            hint = nearest(key, known) or f"; known: {', '.join(sorted(known))}"
            raise DataError(f"unknown key {f'{prefix}{key}'!r:.100}{hint}")
    for key in needed:
        if key not in content:
            raise DataError(f"key '{prefix}{key}' is missing")


def refuse_repeats(values: Sequence[object], key: str) -> None:
    """Refuses values of which two are equal; `key` says in the message what they are."""
    for value in values:
        if values.count(value) > 1:
            raise DataError(f"{key}: {value!r} stands there twice")


def nearest(word: object, known: Iterable[str]) -> str:
    """End of a message: the known word that is most like `word`, or nothing where none is."""
    match = difflib.get_close_matches(str(word), list(known), 1)
    return f", did you mean {match[0]!r}" if match else ""


def text(value: object, key: str) -> str:
    """Text that is not blank."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        # YAML reads true, false and numbers as something else.
        quoted = "; put it in quotes" if isinstance(value, (bool, int, float)) else ""
        raise DataError(f"{key} must be text, got {value!r}{quoted}")
    return value


def path(value: object, key: str) -> str:
    """Text that is a path; one that begins with ~/ is from the user's own folder."""
    found = text(value, key)
    return os.path.expanduser(found) if found.startswith("~/") else found


def name(value: object, key: str) -> str:
    """Text that tables, pictures and files of all kinds can show in a line."""
    found = text(value, key)
    if odd := next((character for character in found if unicodedata.category(character) in NO_TEXT), ""):
        raise DataError(f"{key}: {found!r:.60} has {odd!a}, which can't stand in a line of text: write it without")
    return found


def affix(value: object, key: str) -> str:
    """What begins or ends the names of files: text, maybe none, without a slash."""
    if not isinstance(value, str) or "\0" in value:
        raise DataError(f"{key} must be text, got {value!r}")
    if "/" in value:
        raise DataError(f"{key} must be what begins or ends the names of files, without their folder, got {value!r}")
    return value


def entries(value: object, key: str) -> list:
    """A list of anything."""
    if not isinstance(value, list):
        raise DataError(f"{key} must be a list, got {value!r}")
    return value


def choice(value: object, known: Sequence[str], key: str) -> str:
    """One of the `known` words."""
    if not isinstance(value, str) or value not in known:
        raise DataError(f"{key} must be one of {', '.join(known)}, got {value!r}{nearest(value, known)}")
    return value


def bands(value: object, key: str) -> tuple[str, ...]:
    """Names of bands. Where there is just their number, three are red, green and blue."""
    if isinstance(value, int) and not isinstance(value, bool):
        if value < 1:
            raise DataError(f"{key} must be 1 or more, got {value}")
        return COLOURS if value == len(COLOURS) else tuple(f"band_{number}" for number in range(1, value + 1))
    names = tuple(name(entry, key) for entry in entries(value, key))
    if not names:
        raise DataError(f"{key} is empty: name the bands of the files")
    return names


def label_id(value: object, key: str) -> int:
    """Id in label files, 0 to `LARGEST_ID`, also as text: keys of JSON are always that."""
    number = void_id(value, key)
    if not 0 <= number <= LARGEST_ID:
        raise DataError(f"{key}: id {number} is not in 0..{LARGEST_ID}")
    return number


def void_id(value: object, key: str) -> int:
    """Id in label files that no class has, maybe negative, also as text."""
    if isinstance(value, str) and re.fullmatch(r"-?(0|[1-9]\d*)", value, re.ASCII):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise DataError(f"{key}: {value!r} is no id: expected a whole number")
    return value


def colour(value: object, key: str) -> tuple[int, int, int]:
    """(R, G, B), each 0 to 255."""
    numbers = [v for v in value if isinstance(v, int) and not isinstance(v, bool)] if isinstance(value, list) else []
    if len(numbers) != 3 or numbers != value or not all(0 <= v <= 255 for v in numbers):
        raise DataError(f"{key} must be a colour [red, green, blue] of 0 to 255, got {value!r}")
    red, green, blue = numbers
    return red, green, blue


def nodata(value: object, dtypes: set[str]) -> float:
    """Pixel value that stands for none, maybe NaN; files of one of the `dtypes` can hold it."""
    try:
        # YAML takes nan and 1e38 for text; its own spelling is .nan and 1.0e+38.
        number = float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        number = None
    if number is None:
        raise DataError(f"nodata must be a number, got {value!r}")
    if not any(can_be(number, dtype) for dtype in dtypes):
        raise DataError(f"nodata is {number:g}, but no value of {' or '.join(sorted(dtypes))} is: correct it")
    return number


def can_be(number: float, dtype: str) -> bool:
    """Whether a pixel of that dtype, one of `DTYPES`, can have the value."""
    if dtype == "float32":
        return not math.isfinite(number) or abs(number) <= float(np.finfo(dtype).max)
    return number.is_integer() and 0 <= number <= np.iinfo(dtype).max


def is_number(value: object) -> bool:
    """Whether it is an integer or a float: YAML's yes and no are neither."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)
