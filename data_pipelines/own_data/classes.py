"""What a dataset.yaml says about labels: labels_hold, classes, label_colours, palette, void, rest, labels_soft.

Where masks or shapes overlap, the last counts; or several classes are one that is added to `classes`:

    masks_overlap: {shaded roof: [roof, shadow]}
"""

from __future__ import annotations

import itertools
import re
from typing import Any

from data_pipelines.datasets.pascal_voc import colour
from data_pipelines.own_data import values
from data_pipelines.spec import IGNORE, DataError

KEYS = (
    *("labels_hold", "classes", "label_colours", "palette", "void", "rest", "labels_soft", "masks_overlap"),
    "label_property",
)
MOST_CLASSES = IGNORE  # ids 0 to 254
IDS, COLOURS, MASKS, SHAPES = HOLDS = ("ids", "colours", "masks", "shapes")
DRAWN = (MASKS, SHAPES)  # in which something may lie in none
OTHERS = "others"  # in `void`: whatever no class has
NEAREST = "nearest"
LAST = "last"


def read_classes(content: dict[str, Any]) -> dict[str, Any]:
    """The entries of a `Description` that come from `KEYS`. Raises `DataError`, which names the key."""
    holds = values.choice(content.get("labels_hold", IDS), HOLDS, "labels_hold")
    keys, named, names = _named(content["classes"], holds, content.get("rest"))
    rest, names = _rest(content, holds, names)
    numbers = [names.index(name) for name in named]
    last, several = _overlap(content, holds)
    drawn, names = names, _few((*names, *several))
    combinations = _combinations(several, drawn, {*numbers}, rest)
    pictures = _colours_of(content, "palette", names)
    known = pictures
    if holds == COLOURS and "label_colours" in content:
        known = _colours_of(content, "label_colours", names, several=True)
    elif "label_colours" in content:
        raise DataError(f"label_colours are given, but labels_hold is {holds}: say labels_hold: {COLOURS}")
    found = {
        "classes": names,
        "palette": _filled(names, {**{name: colours[0] for name, colours in known.items()}, **_first(pictures)}),
        "label_ids": (),
        "label_colours": (),
        "aliases": (),
        "masks": tuple(zip(keys, numbers)) if holds == MASKS else (),
        "shapes": _shapes(content, keys, numbers) if holds == SHAPES else (),
        "label_property": _label_property(content, holds),
        "rest": rest,
        **_void(content, holds),
        "masks_overlap": last,
        "combinations": combinations,
    }
    if holds == IDS:
        found |= _ids(keys or tuple(range(len(names))), numbers, bool(keys))
        values.refuse_repeats([*(keys or numbers), *found["void_ids"]], "the ids of classes and void")
    elif holds == COLOURS:
        found |= _label_colours(names, known, "label_colours" if "label_colours" in content else "palette")
        values.refuse_repeats(
            [colour for colours in known.values() for colour in colours] + list(found["void_colours"]),
            "the colours of palette and void",
        )
    return {**found, "labels_soft": _soft(content, holds, found)}


def _named(classes, holds, rest):
    """(ids or folders in their order, or () where there are none of their own; the class of each; all classes)."""
    if not isinstance(classes, (list, dict)) or not classes:
        raise DataError(f"classes must be a list of names or a map of id to name, got {classes!r}")
    if holds == COLOURS and isinstance(classes, dict):
        raise DataError(f"classes has ids, but labels_hold is {COLOURS}: make it a list of names")
    given = [values.name(name, "classes") for name in (classes.values() if isinstance(classes, dict) else classes)]
    names = _few(tuple(dict.fromkeys(given)))
    if isinstance(classes, list):
        values.refuse_repeats(given, "classes")
        folders = tuple(name for name in names if name != rest)
        return (folders, folders, names) if holds == MASKS else (names if holds == SHAPES else (), names, names)
    keys = tuple(READ_KEY.get(holds, values.label_id)(key, "classes") for key in classes)
    values.refuse_repeats(keys, "the ids of classes")
    return keys, given, names


def _few(names):
    if len(names) > MOST_CLASSES:
        raise DataError(f"{len(names)} classes: there can be {MOST_CLASSES} at most")
    return names


def _mask_key(key, what):
    """A folder of masks; or with a star, what else the names of masks hold."""
    key = values.text(key, what)
    if "*" in key and not re.fullmatch(r"([^*]*/)?(\*/[^*/]+|[^*/]*\*[^*/]*)", key):
        raise DataError(f"classes: {key!r} must be a folder, or have one star for the name, as '*_car' or '*/car'")
    return key


READ_KEY = {MASKS: _mask_key, SHAPES: values.text}


def _ids(ids, numbers, own):
    """label_ids and aliases: the first id of each class, and all further ones."""
    first = {number: value for value, number in reversed(list(zip(ids, numbers)))}
    aliases = tuple((value, number) for value, number in zip(ids, numbers) if first[number] != value)
    return {"label_ids": tuple(first[number] for number in sorted(first)) if own else (), "aliases": aliases}


def _label_colours(names, known, key):
    """label_colours and aliases, likewise."""
    for name in names:
        if name not in known:
            raise DataError(f"class {name!r} has no colour in {key}, and labels_hold is {COLOURS}")
    aliases = tuple((colour, number) for number, name in enumerate(names) for colour in known[name][1:])
    return {"label_colours": tuple(known[name][0] for name in names), "aliases": aliases}


def _colours_of(content, key, names, several=False):
    """Class -> its colours, one or `several`."""
    given = content.get(key, {})
    if not isinstance(given, dict):
        raise DataError(f"{key} must be a map of class to colour, got {given!r}")
    for name in given:
        if name not in names:
            raise DataError(f"{key} names {name!r}, which is no class{values.nearest(name, names)}")
    lists = {
        name: value if several and isinstance(value, list) and value and isinstance(value[0], list) else [value]
        for name, value in given.items()
    }
    return {name: [values.colour(one, f"{key}.{name}") for one in colours] for name, colours in lists.items()}


def _first(colours):
    return {name: found[0] for name, found in colours.items()}


def _filled(names, given):
    """A colour for every class: its own, or one that no other has."""
    free = [value for value in map(colour, range(1, MOST_CLASSES + 1)) if value not in given.values()]
    return tuple(given[name] if name in given else free.pop(0) for name in names)


def _void(content, holds):
    void = _listed_void(content)[0]
    if holds == SHAPES:
        void = [values.text(name, "void") for name in void]
    elif holds == MASKS and void:
        raise DataError(f"void is {void!r}, but labels_hold is {MASKS}: say {OTHERS}, or leave it out")
    return {
        "void_colours": tuple(values.colour(value, "void") for value in void) if holds == COLOURS else (),
        "void_ids": tuple(values.void_id(value, "void") for value in void) if holds == IDS else (),
    }


def _listed_void(content):
    """(ids or colours in void, whether others are void too)."""
    void = content.get("void", [])
    void = [void] if void == OTHERS else void
    if not isinstance(void, list):
        raise DataError(f"void must be a list, or {OTHERS}, got {void!r}")
    return [value for value in void if value != OTHERS], OTHERS in void


def _rest(content, holds, names):
    """(class or `IGNORE` of all that no class has, or None where that is refused; names with that class)."""
    others = _listed_void(content)[1]
    if "rest" not in content:
        if holds in DRAWN and not others:
            raise DataError(
                f"labels_hold is {holds}: say what lies in none of them, a class (rest: background) or void ({OTHERS})"
            )
        return (IGNORE if others else None), names
    if others:
        raise DataError(f"void is {OTHERS}, and rest names a class: others can't be both")
    name = values.name(content["rest"], "rest")
    if name not in names and holds in DRAWN:
        return 0, (name, *names)
    if name not in names:
        raise DataError(f"rest names {name!r}, which is no class{values.nearest(name, names)}")
    return names.index(name), names


def _soft(content, holds, found):
    """ "", `NEAREST` or a threshold."""
    soft = content.get("labels_soft", "")
    if soft and holds == SHAPES:
        raise DataError(f"labels_soft is given, but labels_hold is {SHAPES}, which have sharp edges: leave it out")
    if isinstance(soft, str) and soft in ("", NEAREST):
        return soft
    if not values.is_number(soft):
        raise DataError(
            f"labels_soft must be {NEAREST}, or a number: the lowest value of the upper class; got {soft!r}"
        )
    if holds == COLOURS or holds == IDS and (len(found["classes"]) != 2 or found["aliases"]):
        raise DataError(f"labels_soft is {soft}, which can divide two ids alone: say {NEAREST}")
    return float(soft)


def _overlap(content, holds):
    """(whether the last class counts where masks overlap, {name of a class: those that it stands for} else)."""
    if "masks_overlap" not in content:
        return False, {}
    given = content["masks_overlap"]
    if holds not in DRAWN:
        raise DataError(f"masks_overlap is given, but labels_hold is {holds}: leave it out")
    if given == LAST:
        return True, {}
    if not isinstance(given, dict) or not given:
        raise DataError(
            f"masks_overlap must be {LAST}, or a map of what several classes are together, as {{shaded roof: [roof, "
            f"shadow]}}; got {given!r:.100}"
        )
    return False, {values.name(name, "masks_overlap"): part for name, part in given.items()}


def _combinations(several, names, drawn, rest):
    """`DatasetSpec.combinations` of {name of a class: names of those that it stands for}, which are `drawn`."""
    for name in several:
        if name in names:
            raise DataError(f"masks_overlap names {name!r}, which is a class: give what several are a name of its own")
    known = {names[number]: number for number in sorted(drawn - {rest})}
    found = {name: _members(part, f"masks_overlap.{name}", known, names) for name, part in several.items()}
    for one, other in itertools.combinations(found, 2):
        if found[one] == found[other]:
            raise DataError(f"masks_overlap names {one!r} and {other!r}, which are the same classes: leave one out")
    return tuple(enumerate(found.values(), start=len(names)))


def _members(part, key, known, names):
    """Numbers of two classes or more, of the `known`."""
    given = [values.text(one, key) for one in values.entries(part, key)]
    values.refuse_repeats(given, key)
    for one in given:
        if one not in known:
            why = "rest: what has another label is no rest" if one in names else "no class that masks or shapes have"
            raise DataError(f"{key} names {one!r}, which is {why}{values.nearest(one, known)}")
    if len(given) < 2:
        raise DataError(f"{key} must list two classes or more, got {part!r}")
    return tuple(sorted(known[one] for one in given))


def _shapes(content, keys, numbers):
    """(name in the files, class or `IGNORE`) of all that are known."""
    void = _listed_void(content)[0]
    values.refuse_repeats([*keys, *void], "the names of classes and void")
    return (*zip(keys, numbers), *((name, IGNORE) for name in void))


def _label_property(content, holds):
    if "label_property" in content and holds != SHAPES:
        raise DataError(f"label_property is given, but labels_hold is {holds}: leave it out")
    return values.text(content["label_property"], "label_property") if "label_property" in content else ""
