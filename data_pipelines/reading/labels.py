"""From the values of a label file to class ids, with one clear line for whatever a data set doesn't know."""

from __future__ import annotations

import functools
from pathlib import Path

import cv2
import numpy as np

from data_pipelines.reading.decoding import is_jpeg
from data_pipelines.spec import IGNORE, DataError, DatasetSpec


def class_ids(path: str | Path, label: np.ndarray, alpha: bool, spec: DatasetSpec) -> np.ndarray:
    """Class ids [h, w] uint8, and `IGNORE` for void, of what a label file stores.

    Args:
      path: of the file, for messages.
      label: its values [h, w, channels], as of `decoding.label_values`.
      alpha: whether the last channel is alpha.
      spec: of the data set.

    Raises:
      DataError: values that are no ids (or colours), or that `spec` doesn't know.
    """
    return _ids_of_colours(path, label, alpha, spec) if spec.label_colours else _ids(path, label, spec)


def _ids(path, label, spec):
    """Class ids [h, w] uint8 for the ids [h, w, 1] of a label file."""
    if label.shape[2] != 1:
        raise DataError(f"label {path} has {label.shape[2]} channels: expected one channel of class ids")
    if label.dtype.kind not in "bui":
        raise DataError(f"label {path} holds {label.dtype.name} values: expected integers")
    label = label[..., 0]
    table = _table_of_ids(spec.num_classes, tuple(spec.label_ids), tuple(spec.void_ids))
    if label.dtype == np.uint8 and label.size:
        ids = cv2.LUT(label, table[:256])
    else:
        inside = (label >= 0) & (label < len(table))
        ids = np.where(inside, table[np.where(inside, label, 0).astype(np.uint16)], np.int16(-1))
    if ids.size and ids.min() < 0:
        classes = ", ".join(map(str, spec.label_ids)) or f"0 to {spec.num_classes - 1}"
        void = ", ".join(str(value) for value in (*spec.void_ids, IGNORE) if value not in spec.label_ids)
        found = sorted(np.unique(label[ids < 0]).tolist())
        raise DataError(
            f"label {path} holds {'value' if len(found) == 1 else 'values'} {', '.join(map(str, found[:5]))}: "
            f"{spec.name} knows classes {classes} and void {void}"
        )
    return ids.astype(np.uint8)


def _ids_of_colours(path, label, alpha, spec):
    """Class ids [h, w] uint8 for the colours [h, w, 3] of a label file, maybe with opaque alpha."""
    if alpha and label.shape[2] == 4 and (label[..., 3] == 255).all():
        label = label[..., :3]
    if label.shape[2] != 3 or label.dtype != np.uint8:
        shape = "x".join(map(str, label.shape))
        raise DataError(f"label {path} has {shape} {label.dtype.name} values: expected 8-bit colours in three channels")
    table = _table_of_colours(tuple(map(tuple, spec.label_colours)), tuple(map(tuple, spec.void_colours)))
    packed = _packed(label)
    ids = table[packed]
    if ids.size and ids.min() < 0:
        unknown, counts = np.unique(packed[ids < 0], return_counts=True)
        most = unknown[counts.argmax()]
        colour = tuple(int(most) >> shift & 255 for shift in (0, 8, 16))
        more = f", and {_count(len(unknown) - 1, 'further colour')}" if len(unknown) > 1 else ""
        hint = "; JPEG changes colours: use the original" if is_jpeg(path) else ""
        raise DataError(
            f"label {path} holds the colour {colour} in {_count(counts.max(), 'pixel')}{more}: {spec.name} has neither "
            f"a class nor void of that colour{hint}"
        )
    return ids.astype(np.uint8)


def _packed(colours):
    """[h, w] uint32 for [h, w, 3] uint8: red + 256 green + 65536 blue."""
    opaque = np.zeros((*colours.shape[:2], 4), np.uint8)
    opaque[..., :3] = colours
    return opaque.view("<u4")[..., 0]


@functools.lru_cache(maxsize=8)
def _table_of_ids(num_classes, label_ids, void_ids):
    """[65536] int16: value in a label file -> class id, `IGNORE`, or -1 where it is unknown."""
    table = np.full(np.iinfo(np.uint16).max + 1, -1, np.int16)
    table[[*void_ids, IGNORE]] = IGNORE
    table[list(label_ids) or slice(num_classes)] = np.arange(num_classes)
    return table


@functools.lru_cache(maxsize=2)
def _table_of_colours(label_colours, void_colours):
    """[2 ** 24] int16: colour as of `_packed` -> class id, `IGNORE`, or -1 where it is unknown."""
    table = np.full(2**24, -1, np.int16)
    for ids, colours in ((np.arange(len(label_colours)), label_colours), (IGNORE, void_colours)):
        table[_packed(np.array(colours, np.uint8).reshape(1, -1, 3))[0]] = ids
    return table


def _count(number, what):
    return f"{number} {what}{'' if number == 1 else 's'}"
