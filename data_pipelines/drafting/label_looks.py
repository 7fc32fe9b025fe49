"""What labels hold that no dataset.yaml describes yet: ids or colours, and which of them are soft edges."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.drafting.contents import each
from data_pipelines.drafting.soft_edges import MOST_VALUES, classes_among, scattered, shared_out
from data_pipelines.drafting.values import Values, added, as_colours, values_of
from data_pipelines.reading import palettes
from data_pipelines.reading.decoding import is_jpeg, is_tiff, label_values, palette_of
from data_pipelines.reading.labels import opaque, refuse_one_hot
from data_pipelines.spec import IGNORE, LARGEST_ID, DataError

MOST_COLOURS = 2**20  # that are counted
MANY = 2**18  # values of files that are added up at once
PURE = 4
"""JPEG changes 0 and 255 by so much where all around is equal, or less."""
OBJECTS = "each id is an object and not a class, say classes: {0: background, 1: NAME, 255: NAME} and rest: NAME"
"""What makes one class of masks that number their objects, of which 255 is one; behind "if"."""


class LabelFile(NamedTuple):
    """What one label holds.

    Attributes:
      values: of all pixels but those below.
      channels: 1, or 3 of colours; 0 where three equal ones may be either.
      clear: pixels that are transparent, in a picture.
      half: pixels that are half transparent.
      opaque: pixels that are not transparent at all, in a picture that has alpha.
      nothing: pixels that are NaN, transparent in a TIFF, or nothing by the file's own tag or mask.
      tags: the id that is nothing by the file's own tag, if it is there.
      palette: id -> its colour, where a palette gives it one for display.
    """

    values: Values
    channels: int
    clear: int
    half: int
    opaque: int
    nothing: int
    tags: set[float]
    palette: dict[int, tuple[int, ...]]


class Labels(NamedTuple):
    """What all labels hold.

    Attributes:
      colours: whether the values are colours, and not ids.
      counts: {id, or colour (R, G, B): pixels}, sorted; of soft labels, with the pixels for which it is the nearest.
      soft: {value between those: pixels}; empty where labels are not soft.
      scattered: those of counts that are in no block of pixels, where labels are not soft.
      jpeg: whether they are compressed with loss.
      equal: whether ids stand in three equal channels.
      clear, half, nothing: as of `LabelFile`, pixels of all.
      tags: as of `LabelFile`, the whole numbers of all.
      palettes: why palettes were read as their colours, or nothing.
      either: of labels that hold 0, 1 and 255, but none of them both of these: one with 1, one with 255; or nothing.
    """

    colours: bool
    counts: dict[Any, int]
    soft: dict[Any, int]
    scattered: set[Any]
    jpeg: bool
    equal: bool
    clear: int
    half: int
    nothing: int
    tags: set[int]
    palettes: str = ""
    either: tuple[Path, ...] = ()


class Palettes(Exception):
    """Indices of palettes are no ids. The message is a line that says why."""


def labels_of(paths: Sequence[Path]) -> Labels:
    """What the label files hold together.

    Indices of palettes are ids, unless an index has other colours in other files, or there are colours beside.

    Raises:
      DataError: a label can't be read, or together they can't be labels of one data set.
    """
    try:
        return _labels(paths, colours=False)
    except Palettes as reason:
        return _labels(paths, colours=True)._replace(palettes=str(reason))


class _Sum:
    """What several label files hold: `LabelFile`s put together."""

    def __init__(self) -> None:
        self.first: dict[int, Path] = {}
        self.values: dict[int, list[Values]] = {0: [], 1: [], 3: []}
        self.pixels: Counter[str] = Counter()
        self.tags: set[int] = set()
        self.shown: dict[int, tuple[tuple[int, ...], Path]] = {}
        self.either: dict[int, Path] = {}
        self.both = False

    def add(self, path: Path, one: LabelFile) -> None:
        """Adds a file. Raises `Palettes` where an id has another colour there, `DataError` for too many values."""
        self.first.setdefault(one.channels, path)
        self.pixels.update(clear=one.clear, half=one.half, opaque=one.opaque, nothing=one.nothing)
        self.tags |= {int(tag) for tag in one.tags if float(tag).is_integer()}
        if found := palettes.clash(self.shown, path, one.palette):
            index, known, other, colour = found
            raise Palettes(f"index {index} of the palettes is {known} in {other.name}, but {colour} in {path.name}")
        ones = [value for value in (1, IGNORE) if value in one.values.keys]
        self.both |= len(ones) > 1
        self.either.update({value: path for value in ones if value not in self.either})
        parts = self.values[one.channels]
        parts.append(one.values)
        if sum(len(values.keys) for values in parts[1:]) > MANY:
            parts[:] = [added(parts)]
            if len(parts[0].keys) > MOST_COLOURS:
                raise DataError(f"{path}: more than {MOST_COLOURS} ids or colours so far: are these labels?")

    def check(self) -> None:
        """Raises `DataError` where together they can't be labels, `Palettes` where palettes stand beside colours."""
        if self.pixels["half"] and not self.pixels["opaque"]:
            raise DataError(
                f"{next(iter(self.first.values()))} and the others are half transparent wherever they are not clear, "
                "as what is laid over pictures: save the labels themselves, opaque"
            )
        if not {1, 3} <= self.first.keys():
            return
        if self.shown:
            name = next(iter(self.shown.values()))[1].name
            raise Palettes(f"{self.first[3].name} holds colours, and {name} has a palette")
        raise DataError(f"{self.first[3]} holds colours, but {self.first[1]} holds ids: convert one kind to the other")


def _labels(paths, colours):
    """As `labels_of`; with `colours`, palettes become theirs."""
    files = _Sum()
    for path, one in each(functools.partial(_look, colours=colours), paths, "looking at labels"):
        files.add(path, one)
    files.check()
    colours, jpeg = 3 in files.first or colours and 0 in files.first, any(map(is_jpeg, paths))
    equal = [as_colours(values) for values in files.values[0]] if colours else files.values[0]
    values = added([*equal, *files.values[1], *files.values[3]])
    classes = classes_among(values, colours, jpeg)
    counts, soft = shared_out(values, classes, colours)
    _check(counts, colours, jpeg, paths[0], files.pixels["clear"])
    if jpeg:
        counts = {_pure(value): count for value, count in counts.items()}
    return Labels(
        colours=colours,
        counts=counts,
        soft=soft,
        scattered=scattered(values, colours) if classes is None else set(),
        jpeg=jpeg,
        equal=0 in files.first and not colours,
        clear=files.pixels["clear"],
        half=files.pixels["half"],
        nothing=files.pixels["nothing"],
        tags=files.tags,
        either=() if files.both or set(counts) != {0, 1, IGNORE} else (files.either[1], files.either[IGNORE]),
    )


def _pure(value):
    """The id or colour that was saved, if it was of nothing or all of a colour: JPEG is off by a little."""
    if isinstance(value, tuple):
        return tuple(map(_pure, value))
    return 0 if value <= PURE else IGNORE if IGNORE - PURE <= value <= IGNORE else value


def _check(counts, colours, jpeg, path, clear):
    wrong = [] if colours else [value for value in counts if value > LARGEST_ID]
    if len(counts) > MOST_VALUES:
        objects = "" if colours else f" If {OBJECTS} in a dataset.yaml of your own"
        raise DataError(
            f"{path} and the others hold {len(counts)} ids or colours, which are no soft edges of a few: are these "
            f"labels? Of classes there may be {MOST_VALUES - 1} at most.{objects}"
        )
    if jpeg and len(counts) < 2:
        raise DataError(f"{path} and other JPEGs hold nothing that JPEG could keep apart: save the labels as PNG")
    if wrong:
        raise DataError(f"label {path} or another holds {wrong[0]}: ids of classes are 0 to {LARGEST_ID}; change it")
    if set(counts) == {IGNORE} and not clear:
        raise DataError(f"the labels hold {IGNORE} alone, which stands for no class: are these all, such as {path}?")


def _look(path, colours):
    """`LabelFile` of a label; with `colours`, palettes become theirs."""
    stored = label_values(path, colours=colours, lossy=True)
    label, alpha = stored.values, stored.alpha
    refuse_one_hot(path, label)
    there, clear, half, solid, nothing = np.ones(label.shape[:2], bool), 0, 0, 0, 0
    void = None if stored.void is None else stored.void.all(axis=-1)
    tags = set(label[void].ravel()[:1].tolist()) if void is not None and stored.tag and label.shape[2] == 1 else set()
    if alpha and label.shape[2] in (2, 4):
        label, strength, most = label[..., :-1], label[..., -1], opaque(label)
        there = strength >= most / 2
        half = int(np.count_nonzero((strength > 0) & (strength < most)))
        clear, solid = int(np.count_nonzero(~there)), int(np.count_nonzero(strength == most))
        clear, nothing = (0, clear) if is_tiff(path) else (clear, 0)
    if void is not None:
        there, nothing = there & ~void, nothing + int(np.count_nonzero(void & there))
    if label.dtype.kind == "f":
        there, nothing = there & ~np.isnan(label).any(-1), nothing + int(np.isnan(label).any(-1).sum())
        label = _whole(path, np.where(there[..., None], label, 0))
    if label.dtype.kind not in "bui":
        raise DataError(f"label {path} holds {label.dtype.name} values: expected ids or colours")
    if label.shape[2] not in (1, 3):
        raise DataError(f"label {path} has {label.shape[2]} channels: expected one of ids, or three of colours")
    channels = label.shape[2]
    if channels == 3 and (label[..., :1] == label[..., 1:])[there].all():
        label, channels = label[..., :1], 0
    palette = palettes.used(palette_of(path), label) if channels == 1 and not colours else {}
    return LabelFile(values_of(label, there), channels, clear, half, solid, nothing, tags, palette)


def _whole(path, label):
    whole = np.rint(label)
    odd = label[whole != label]
    if odd.size:
        raise DataError(
            f"label {path} holds {odd[0]:g}: ids are whole numbers; convert it, or write a dataset.yaml with the ids "
            "that it lies between and labels_soft: nearest"
        )
    return whole.astype(np.int64)
