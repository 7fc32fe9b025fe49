"""From the values of a label file to class ids, with one clear line for whatever a data set doesn't know.

A value is an id or a colour. Values that stand for nothing have what `DatasetSpec.rest` says, and where a label is soft
(`DatasetSpec.labels_soft`), each stands for the nearest that is known.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from data_pipelines.reading.decoding import is_jpeg, is_tiff, label_values
from data_pipelines.spec import IGNORE, LARGEST_ID, DataError, DatasetSpec

UNKNOWN = -1
NEAREST = "nearest"
SOFT_VALUES = 5  # unknown ones: that many between two classes look like soft edges
GREY = 3  # equal channels that some programs save in place of one


def class_ids(
    path: str | Path, label: np.ndarray, alpha: bool, spec: DatasetSpec, clear: int | None = None
) -> np.ndarray:
    """Class ids [h, w] uint8, and `IGNORE` for void, of what a label file stores. NaN is void.

    Args:
      path: of the file, for messages.
      label: its values [h, w, channels], as of `decoding.label_values`.
      alpha: whether the last channel is alpha.
      spec: of the data set.
      clear: class of what is transparent; None for what `spec` says of it.

    Raises:
      DataError: values that are no ids (or colours), or that `spec` doesn't know.
    """
    clear = spec.rest if clear is None else clear
    values, transparent = _parted(path, label, alpha, spec, clear)
    ids = _of_colours(path, values, spec) if spec.label_colours else _of_ids(path, values, spec)
    if transparent is not None:
        ids = np.where(transparent, np.int16(IGNORE if clear is None else clear), ids)
    if ids.size and ids.min() < 0:
        raise (_unknown_colour if spec.label_colours else _unknown_id)(path, values, ids < 0, spec)
    return ids.astype(np.uint8)


def distances(path: str | Path, spec: DatasetSpec, clear: int | None = None) -> np.ndarray:
    """How far the values of a soft label lie from those that they are taken for, [h, w] float32.

    Of colours it is the root of the sum of the squares; where a pixel is neither clear nor opaque, at least that of
    alpha. `clear` is as of `class_ids`. Raises `DataError` as that does, and where the file can't be read.
    """
    stored = label_values(path, None, bool(spec.label_colours), lossy=True)
    label = stored.values
    values, transparent = _parted(path, label, stored.alpha, spec, spec.rest if clear is None else clear)
    if spec.label_colours:
        packed, places = np.unique(_packed(_three_channels(path, values)), return_inverse=True)
        found = np.sqrt(_nearest_colours(packed, spec)[1])[places.reshape(values.shape[:2])]
    else:
        known = np.array([value for value, _ in _known(spec)], float)
        ids = _one_channel(path, values).astype(float)
        found = np.abs(ids - known[_places(spec, ids)])
    if transparent is not None:
        strength = label[..., -1].astype(np.float32)
        found = np.maximum(np.where(transparent, 0, found), np.minimum(strength, opaque(label) - strength))
    if stored.void is not None:
        found = np.where(stored.void.all(axis=-1), 0, found)
    return np.nan_to_num(found).astype(np.float32)


def refuse_one_hot(path: str | Path, label: np.ndarray) -> None:
    """Raises DataError for a TIFF's values [h, w, 4 or more] of which each pixel has one, so that a band is a class."""
    if label.shape[2] <= GREY or not is_tiff(path):
        return
    there = label != 0
    if (there.sum(axis=-1) == 1).all() and there.any(axis=(0, 1)).sum() > 1:
        raise DataError(
            f"label {path} has {label.shape[2]} bands, one of which is set in each pixel: save the number of that band "
            "as an id, in one band (argmax)"
        )


def _parted(path, label, alpha, spec, clear):
    """(values without alpha, [h, w] bool where they are transparent, which is `clear`, or None without alpha)."""
    refuse_one_hot(path, label)
    if not alpha or label.shape[2] not in (2, 4):
        return label, None
    strength, most = label[..., -1], opaque(label)
    transparent = strength < most / 2 if spec.labels_soft else strength == 0
    half = 0 if spec.labels_soft else np.count_nonzero((strength > 0) & (strength < most))
    if half:
        raise DataError(
            f"label {path} is half transparent in {counted(half, 'pixel')}: save it without alpha; or if these are "
            f"soft edges, say so in the data set (labels_soft: {NEAREST})"
        )
    there = np.count_nonzero(transparent)
    if clear is None and there and not is_tiff(path):
        raise DataError(
            f"label {path} is transparent in {counted(there, 'pixel')}: say in the data set which class that is (rest: "
            "NAME), or that it is none (void: others)"
        )
    return label[..., :-1], transparent


def opaque(label: np.ndarray) -> float:
    """What alpha is where a label is not transparent at all."""
    return np.iinfo(label.dtype).max if label.dtype.kind in "ui" else 1


# Ids


def _of_ids(path, label, spec):
    """[h, w] int16: class id, `IGNORE`, or `UNKNOWN`."""
    label = _one_channel(path, label)
    if spec.labels_soft:
        classes = np.array([number for _, number in _known(spec)], np.int16)
        if label.dtype == np.uint8:
            return cv2.LUT(label, classes[_places(spec, np.arange(256.0))]) if label.size else label.astype(np.int16)
        ids = classes[_places(spec, label.astype(float))]
        return np.where(np.isnan(label), np.int16(IGNORE), ids) if label.dtype.kind == "f" else ids
    if label.dtype.kind == "f":
        return _of_floats(path, label, spec)
    table = _table_of_ids(spec.output_ids, spec.void_ids, spec.aliases, spec.rest)
    if label.dtype == np.uint8 and label.size:
        return cv2.LUT(label, table[:256])
    inside = (label >= 0) & (label <= LARGEST_ID)
    ids = table[np.where(inside, label, 0).astype(np.uint16)]
    beyond = np.int16(UNKNOWN if spec.rest is None else spec.rest)
    return np.where(inside, ids, np.where(np.isin(label, spec.void_ids), np.int16(IGNORE), beyond))


def _of_floats(path, label, spec):
    """As `_of_ids`, for whole numbers that are saved as floats."""
    there = ~np.isnan(label)
    whole = np.rint(np.where(there, label, 0).clip(-(2.0**62), 2.0**62))
    odd = label[there & (whole != label)]
    if odd.size:
        raise DataError(
            f"label {path} holds {odd[0]:g}: ids are whole numbers; convert it, or where values lie between those of "
            f"classes, say so in the data set (labels_soft: {NEAREST})"
        )
    return np.where(there, _of_ids(path, whole.astype(np.int64)[..., None], spec), np.int16(IGNORE))


def _one_channel(path, label):
    """[h, w] of numbers: the one channel that there is, or what three equal ones hold."""
    if label.dtype.kind not in "buif":
        raise DataError(f"label {path} holds {label.dtype.name} values: expected integers")
    if label.shape[2] == GREY and (label[..., :1] == label[..., 1:]).all():
        label = label[..., :1]
    if label.shape[2] != 1:
        raise DataError(
            f"label {path} has {label.shape[2]} channels: expected one channel of class ids, or three equal ones; for "
            "colours, say so in the data set (labels_hold: colours)"
        )
    return label[..., 0]


def _known(spec):
    """[(id, class or `IGNORE`)] of all that have one, by id."""
    own = [(value, number) for number, value in enumerate(spec.output_ids)]
    return sorted([*own, *spec.aliases, *((value, IGNORE) for value in spec.void_ids)])


def _places(spec, values):
    """Places in `_known` of what is nearest to each of `values`, the lower where two are; or by the threshold."""
    known = np.array([value for value, _ in _known(spec)], float)
    if spec.labels_soft == NEAREST:
        return np.searchsorted((known[:-1] + known[1:]) / 2, values)
    low, high = np.searchsorted(known, sorted(spec.output_ids))
    exact = np.searchsorted(known, values).clip(max=len(known) - 1)
    return np.where(known[exact] == values, exact, np.where(values < spec.labels_soft, low, high))


@functools.lru_cache(maxsize=8)
def _table_of_ids(ids, void_ids, aliases, rest):
    """[`LARGEST_ID` + 1] int16: value in a label file -> class id, `IGNORE`, or `UNKNOWN`."""
    table = np.full(LARGEST_ID + 1, UNKNOWN if rest is None else rest, np.int16)
    table[[*(value for value in void_ids if 0 <= value <= LARGEST_ID), IGNORE]] = IGNORE
    table[list(ids)] = np.arange(len(ids))
    for value, number in aliases:
        table[value] = number
    return table


def _unknown_id(path, label, where, spec):
    classes = f"0 to {spec.num_classes - 1}" if not spec.label_ids else ", ".join(map(str, spec.label_ids))
    more = "".join(f", {value}" for value, _ in spec.aliases)
    void = ", ".join(str(value) for value in (*spec.void_ids, IGNORE) if value not in spec.label_ids)
    void = f" and void {void}" if void else ""
    found = sorted(np.unique(label[where][..., 0]).tolist())
    between = min(spec.output_ids) < found[0] and found[-1] < max(spec.output_ids) and len(found) >= SOFT_VALUES
    hint = f"; if these are soft edges, say so in the data set (labels_soft: {NEAREST})" if between else ""
    return DataError(
        f"label {path} holds {'value' if len(found) == 1 else 'values'} {', '.join(map(str, found[:5]))}: "
        f"{spec.name} knows classes {classes}{more}{void}{hint}"
    )


# Colours


def _of_colours(path, label, spec):
    """[h, w] int16: class id, `IGNORE`, or `UNKNOWN`."""
    rest = UNKNOWN if spec.rest is None or spec.labels_soft else spec.rest
    packed = _packed(_three_channels(path, label))
    table = _table_of_colours(_known_colours(spec), rest, bool(spec.labels_soft))
    if spec.labels_soft and (between := table[packed] < 0).any():
        colours = np.unique(packed[between])
        table[colours] = _nearest_colours(colours, spec)[0]  # for all labels to come, too
    return table[packed]


def nearest(points: np.ndarray, known: Iterable[Any]) -> tuple[np.ndarray, np.ndarray]:
    """([n] place among `known`, the first of equals; [n] float64 squared distance) of what is nearest to `points`.

    Args:
      points: [n, channels], signed.
      known: points too, [channels] each.
    """
    places, least = np.zeros(len(points), int), np.full(len(points), np.inf)
    for number, one in enumerate(known):
        distance = ((points - np.asarray(one, points.dtype)) ** 2).sum(-1)
        places, least = np.where(distance < least, number, places), np.minimum(distance, least)
    return places, least


def _nearest_colours(packed, spec):
    """([n] int16 class id or `IGNORE`, [n] squared distance) of the nearest colour, the first of equals."""
    colours, classes = zip(*_known_colours(spec))
    own = np.stack([packed >> shift & 255 for shift in (0, 8, 16)], -1).astype(np.float32)
    places, least = nearest(own, colours)
    return np.array(classes, np.int16)[places], least


def _three_channels(path, label):
    if label.shape[2] != 3 or label.dtype != np.uint8:
        shape = "x".join(map(str, label.shape))
        raise DataError(f"label {path} has {shape} {label.dtype.name} values: expected 8-bit colours in three channels")
    return label


def _known_colours(spec):
    """((colour, class or `IGNORE`), ...) of all that have one, classes first."""
    own = [(tuple(colour), number) for number, colour in enumerate(spec.label_colours)]
    return (*own, *spec.aliases, *((tuple(colour), IGNORE) for colour in spec.void_colours))


def _packed(colours):
    """[h, w] uint32 for [h, w, 3] uint8: red + 256 green + 65536 blue."""
    opaque = np.zeros((*colours.shape[:2], 4), np.uint8)
    opaque[..., :3] = colours
    return opaque.view("<u4")[..., 0]


@functools.lru_cache(maxsize=2)
def _table_of_colours(known, rest, soft):
    """[2 ** 24] int16: colour as of `_packed` -> class id, `IGNORE`, or `UNKNOWN`; of `soft` labels, as yet."""
    table = np.full(2**24, rest, np.int16)
    for colour, number in known:
        table[_packed(np.array([[colour]], np.uint8))] = number
    return table


def _unknown_colour(path, label, where, spec):
    unknown, counts = np.unique(_packed(label)[where], return_counts=True)
    most = unknown[counts.argmax()]
    colour = tuple(int(most) >> shift & 255 for shift in (0, 8, 16))
    more = f", and {counted(len(unknown) - 1, 'further colour')}" if len(unknown) > 1 else ""
    hint = f"; JPEG changes colours: use the original, or labels_soft: {NEAREST}" if is_jpeg(path) else ""
    return DataError(
        f"label {path} holds the colour {colour} in {counted(counts.max(), 'pixel')}{more}: {spec.name} has neither "
        f"a class nor void of that colour{hint}"
    )


def counted(number: Any, what: str) -> str:
    """1 pixel, 2 pixels."""
    return f"{number} {what}{'' if number == 1 else 's'}"
