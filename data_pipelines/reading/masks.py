"""Labels that are a mask per class, each in a file of its own."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.reading.decoding import in_rows, is_jpeg, label_values
from data_pipelines.reading.images import read_label, size_of
from data_pipelines.reading.labels import NEAREST, distances
from data_pipelines.reading.several_labels import SeveralLabels
from data_pipelines.spec import IGNORE, LARGEST_ID, DataError, DatasetSpec, Window

NOWHERE = IGNORE  # in no mask so far; which pixels are void is known apart
OUTSIDE, INSIDE = 0, 1  # of the class, as the classes of a mask
ROWS = 1024  # of a large mask that are looked at together


def read_masks(
    masks: Sequence[tuple[Path, int]], spec: DatasetSpec, window: Window | None = None, orientation: str = "stored"
) -> np.ndarray:
    """Label map [H, W] uint8 as of `read_label`, of a mask per class: 0 where it isn't, else 1 or the largest value.

    A pixel in no mask has `spec.rest`; one that is void in a mask is void. What is transparent is outside of the class.
    Where labels are soft, each file tells whether its values lie between 0 and 1, 255 or 65535.

    Args:
      masks: (path, class) of each; where they overlap, the last counts if `spec.masks_overlap` says so, and
        `spec.combinations` which class stands for several.
      spec: of the data set.
      window, orientation: as for `read_label`.

    Raises:
      DataError: an unreadable file, other values than those, masks of different sizes, or that overlap.
    """
    found = _read(masks, spec, window, orientation)
    if not spec.combinations:
        return _above_each_other(found, spec)
    return _all_of(found).label(spec, lambda numbers: " and ".join(str(p) for p, number in masks if number in numbers))


def _read(masks, spec, window, orientation):
    """(path, class, mask) of each, all of one size."""
    first, shape = masks[0][0], ()
    for path, number in masks:
        mask = read_label(path, _spec_of_mask(spec, path), window, orientation, clear=OUTSIDE)
        # A window is as large whatever it is cut from.
        if shape and (mask.shape != shape or window and size_of(path) != size_of(first)):
            raise _different(first, path)
        shape = mask.shape
        yield path, number, mask


def _all_of(found):
    classes = SeveralLabels()
    for _, number, mask in found:
        classes.add(mask == INSIDE, number, void=mask == IGNORE)
    return classes


def _above_each_other(found, spec):
    label, void = np.zeros(0, np.uint8), np.zeros(0, bool)
    for path, number, mask in found:
        if not label.size:
            label, void = np.full(mask.shape, NOWHERE, np.uint8), mask == IGNORE
        inside = mask == INSIDE
        taken = label[inside & (label != NOWHERE) & (label != number)]
        if taken.size and not spec.masks_overlap:
            raise _meeting(path, spec, taken, number)
        label[inside] = number
        void = void | (mask == IGNORE)
    label[label == NOWHERE], label[void] = IGNORE if spec.rest is None else spec.rest, IGNORE
    return label


def _meeting(path, spec, taken, number):
    one, other = spec.classes[taken[0]], spec.classes[number]
    both = "" if spec.rest in (taken[0], number) else f", or what both are (masks_overlap: {{both: [{one}, {other}]}})"
    return DataError(
        f"mask {path} overlaps that of {one!r} in {taken.size} pixels: mend them, or where the last of classes shall "
        f"count, say so in the data set (masks_overlap: last){both}"
    )


def mask_distances(masks: Sequence[tuple[Path, int]], spec: DatasetSpec) -> np.ndarray:
    """The largest of `labels.distances` over the masks of an image, [H, W] float32.

    Raises `DataError` as it does, and where the masks differ in size.
    """
    found = [distances(path, _spec_of_mask(spec, path), clear=OUTSIDE) for path, _ in masks]
    for (path, _), one in zip(masks, found):
        if one.shape != found[0].shape:
            raise _different(masks[0][0], path)
    return np.maximum.reduce(found)


def _different(first, path):
    return DataError(f"masks {first} and {path} differ in size: they must be equal")


def _spec_of_mask(spec, path):
    """Of a file of two values; what is soft lies between 0 and the one that stands for inside in that file."""
    inside, soft = IGNORE, spec.labels_soft
    aliases = () if soft else tuple((value, INSIDE) for value in (1, LARGEST_ID))
    if soft:
        inside = _value_inside(path, path.stat().st_mtime_ns if path.exists() else 0)
        soft = NEAREST if inside == 1 and soft != NEAREST and soft > 1 else soft  # that is for the files of 0 and 255
    facts: dict[str, Any] = {"classes": ("outside", "inside"), "palette": ((0, 0, 0),) * 2, "label_ids": (0, inside)}
    facts |= {"aliases": aliases, "labels_soft": soft}
    facts |= dict.fromkeys(("void_ids", "label_colours", "void_colours", "combinations", "regions"), ())
    return dataclasses.replace(spec, name="a mask", rest=None, **facts)


@functools.lru_cache(maxsize=2**16)
def _value_inside(path, changed):
    """1, 255 or 65535, by the largest value of a soft mask that `changed` then. Raises `DataError`.

    That of the whole file: a window may show the rim of what is inside alone. Resampling may go beyond both ends.
    """
    tops = range(0, size_of(path)[0], ROWS) if in_rows(path) else ()
    windows: list[Window | None] = [Window(top, 0, ROWS, size_of(path)[1]) for top in tops] or [None]
    most = max(_largest(label_values(path, window, lossy=True)) for window in windows)
    return 1 if 0 < most < 2 and not is_jpeg(path) else IGNORE if most <= 2 * IGNORE else LARGEST_ID


def _largest(stored):
    values = stored.values[..., 0] if stored.void is None else stored.values[~stored.void.all(axis=-1)][:, 0]
    return np.fmax.reduce(values, axis=None, initial=0) if values.dtype.kind in "buif" else 0  # others are refused
