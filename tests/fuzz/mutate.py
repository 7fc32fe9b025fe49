"""Inputs that nobody means: bytes, texts and values, changed a little, or replaced by what programs trip over."""

import string

NAMES = (
    "", ".", "..", "../x", "../../x", "/x", "a/../../x", "a\\..\\..\\x", "C:\\x", "~", "~root", "-rf", "--help", "a\nb",
    "a\rb", "\x1b[31mred", "a'b", 'a"b', "a b", " a", "{a,b}", "*", "?", "[a-z]", "%s", "$HOME", "a;b", "a|b", "\0",
    "a\0b", "\udcff", "\u202egnp", "\ufeff", "ä", "a\u0308", "x" * 255, "x" * 300,
    "y/" * 300, "con", "nul.png",
    ".hidden", "/dev/zero", "/dev/stdin", "/proc/self/mem", "/vsicurl/http://x/a.tif", "zip://a.zip!b.tif", "a.tif:1",
    "self", "<<",
)  # fmt: skip
"""Names of files, keys and classes."""
NUMBERS = (
    0, 1, 2, 3, 7, -1, -2, 127, 128, 255, 256, 257, 32767, 65535, 65536, 2**31 - 1, 2**31, 2**32, 2**53, 2**63 - 1,
    2**63, 2**64, 10**30, 10**400, -(2**31), -(2**63), -(10**30), 0.0, -0.0, 0.5, 1.5, 1e-320, 1e-40, 1e39, 1e308,
    float("inf"), float("-inf"), float("nan"),
)  # fmt: skip
WORDS = (
    *NAMES, "null", "true", "False", "yes", "010", "1:30", "0x10", "1e5", ".nan", ".inf", "2024-01-31",
    "!!python/object",
    "others", "nearest", "last", "all", "any", "both", "none", "folder", "region", "masks", "colours", "ids", "train",
    "val", "auto", "float32", "uint16", "1" * 5000, "9" * 400, "(((((((((", "a" * 10000,
)  # fmt: skip
CHARACTERS = ("\n", "\t", "\0", "\x1b", "\u2028", "\udcff", "é", "\U0001f600", "&a ", "*a", "<<: ")
SCALARS = (None, True, False, *NUMBERS, *WORDS)
INTEGERS = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1, 100_000)


def of_bytes(rng, data, others=(), changes=6):
    """`data` with up to so many changes; `others` are taken to pieces for it."""
    data = bytearray(data)
    for _ in range(rng.randint(1, changes)):
        data = rng.choice((_flip, _number, _cut, _double, _insert, _truncate, _zeros, _splice))(rng, data, others)
    return bytes(data)


def of_text(rng, text, changes=4):
    """`text` with changes of lines, words and characters."""
    for _ in range(rng.randint(1, changes)):
        text = rng.choice((_line, _line, _word, _word, _character, _cut_text, _repeat))(rng, text)
    return text


def of_value(rng, value, changes=2):
    """Lists, maps and scalars with changes anywhere in them."""
    for _ in range(rng.randint(1, changes)):
        value = _changed(rng, value)
    return value


def any_value(rng, depth=3):
    """A scalar, or lists and maps of some."""
    kind = rng.random() if depth else 1
    if kind < 0.15:
        return [any_value(rng, depth - 1) for _ in range(rng.randint(0, 4))]
    if kind < 0.3:
        return {rng.choice(WORDS): any_value(rng, depth - 1) for _ in range(rng.randint(0, 3))}
    return rng.choice(SCALARS)


def deep_text(rng):
    """JSON or YAML of more levels than a stack has."""
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}")))
    levels = rng.choice((900, 5000, 100_000))
    return opening * levels + "1" + closing * (levels if rng.random() < 0.5 else 0)


def _changed(rng, value):
    if rng.random() < 0.2 or not isinstance(value, (list, dict)) or not value:
        return rng.choice((any_value(rng), [value], {"a": value}, [value] * 3, _deep(rng, value)))
    if isinstance(value, list):
        place = rng.randrange(len(value))
        how = rng.random()
        if how < 0.15:
            return value[:place] + value[place + 1 :]
        if how < 0.3:
            return [*value, value[place]]
        return [*value[:place], _changed(rng, value[place]), *value[place + 1 :]]
    key = rng.choice(list(value))
    how = rng.random()
    if how < 0.15:
        return {name: item for name, item in value.items() if name != key}
    if how < 0.25:
        return {rng.choice(WORDS) if name == key else name: item for name, item in value.items()}
    return {**value, key: _changed(rng, value[key])}


def _deep(rng, value):
    for _ in range(rng.choice((10, 50, 200))):
        value = [value]
    return value


def _place(rng, data):
    # Headers decide most: half of the changes are in the first bytes.
    return rng.randrange(min(len(data), 64) if rng.random() < 0.5 else len(data)) if data else 0


def _flip(rng, data, others):
    if data:
        data[_place(rng, data)] ^= 1 << rng.randrange(8)
    return data


def _number(rng, data, others):
    size, place = rng.choice((1, 2, 4, 8)), _place(rng, data)
    number = rng.choice(INTEGERS) & (2 ** (8 * size) - 1)
    data[place : place + size] = number.to_bytes(size, rng.choice(("little", "big")))
    return data


def _cut(rng, data, others):
    place = _place(rng, data)
    del data[place : place + rng.choice((1, 2, 4, 16, 64, 1000))]
    return data


def _double(rng, data, others):
    place = _place(rng, data)
    part = data[place : place + rng.choice((1, 4, 16, 64, 1000))]
    data[place:place] = part * rng.choice((1, 1, 2, 50))
    return data


def _insert(rng, data, others):
    place = _place(rng, data)
    data[place:place] = rng.randbytes(rng.choice((1, 4, 16, 100)))
    return data


def _truncate(rng, data, others):
    return data[: _place(rng, data)] if rng.random() < 0.5 else data


def _zeros(rng, data, others):
    place, size = _place(rng, data), rng.choice((1, 4, 64, 1000))
    data[place : place + size] = bytes(len(data[place : place + size]))
    return data


def _splice(rng, data, others):
    if not others:
        return data
    other = rng.choice(others)
    place, there = _place(rng, data), rng.randrange(len(other) + 1)
    return data[:place] + bytearray(other[there:])


def _line(rng, text):
    lines = text.splitlines() or [""]
    place = rng.randrange(len(lines))
    how = rng.random()
    if how < 0.2:
        del lines[place]
    elif how < 0.4:
        lines.insert(place, rng.choice(lines))
    elif how < 0.6:
        lines[place] = rng.choice(("  ", "\t", "- ", "? ", "&a ", "*a", "#", "")) + lines[place]
    else:
        key, colon, _ = lines[place].partition(":")
        value = any_value(rng)
        lines[place] = f"{key}{colon or ':'} {rng.choice((repr, str))(value)}"
    return "\n".join(lines)


def _word(rng, text):
    words = text.split(" ")
    words[rng.randrange(len(words))] = str(rng.choice(SCALARS))
    return " ".join(words)


def _character(rng, text):
    place = rng.randrange(len(text) + 1)
    new = rng.choice((*string.punctuation, *CHARACTERS))
    return text[:place] + new + text[place + rng.randint(0, 2) :]


def _cut_text(rng, text):
    place = rng.randrange(len(text) + 1)
    return text[:place] + text[place + rng.choice((1, 3, 10, 50)) :]


def _repeat(rng, text):
    place = rng.randrange(len(text) + 1)
    return text[:place] + text[place : place + rng.choice((1, 5, 20))] * rng.choice((2, 10, 1000)) + text[place:]
