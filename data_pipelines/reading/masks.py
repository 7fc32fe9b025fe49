"""Labels that are a mask per class, each in a file of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_pipelines.reading.images import read_label, size_of
from data_pipelines.reading.labels import distances
from data_pipelines.spec import IGNORE, LARGEST_ID, DataError, DatasetSpec, Window

NOWHERE = 254  # in no mask so far; there are fewer classes
OUTSIDE, INSIDE = 0, 1  # of the class, as the classes of a mask


def read_masks(
    masks: Sequence[tuple[Path, int]], spec: DatasetSpec, window: Window | None = None, orientation: str = "stored"
) -> np.ndarray:
    """Label map [H, W] uint8 as of `read_label`, of a mask per class: 0 where it isn't, else 1 or the largest value.

    A pixel in no mask has `spec.rest`; one that is void in a mask is void. What is transparent is outside of the class.

    Args:
      masks: (path, class) of each; where they overlap, the last counts if `spec.masks_overlap` says so.
      spec: of the data set.
      window, orientation: as for `read_label`.

    Raises:
      DataError: an unreadable file, other values than those, masks of different sizes, or that overlap.
    """
    label, void = np.zeros(0, np.uint8), np.zeros(0, bool)
    for path, number in masks:
        mask = read_label(path, _spec_of_mask(spec), window, orientation, clear=OUTSIDE)
        if not label.size:
            label, void = np.full(mask.shape, NOWHERE, np.uint8), mask == IGNORE
        # A window is as large whatever it is cut from.
        elif mask.shape != label.shape or window and size_of(path) != size_of(masks[0][0]):
            raise _different(masks[0][0], path)
        inside = mask == INSIDE
        taken = label[inside & (label != NOWHERE) & (label != number)]
        if taken.size and not spec.masks_overlap:
            raise DataError(
                f"mask {path} overlaps that of {spec.classes[taken[0]]!r} in {taken.size} pixels: mend them, or "
                "where the last of classes shall count, say so in the data set (masks_overlap: last)"
            )
        label[inside] = number
        void = void | (mask == IGNORE)
    label[label == NOWHERE], label[void] = IGNORE if spec.rest is None else spec.rest, IGNORE
    return label


def mask_distances(masks: Sequence[tuple[Path, int]], spec: DatasetSpec) -> np.ndarray:
    """The largest of `labels.distances` over the masks of an image, [H, W] float32.

    Raises `DataError` as it does, and where the masks differ in size.
    """
    found = [distances(path, _spec_of_mask(spec), clear=OUTSIDE) for path, _ in masks]
    for (path, _), one in zip(masks, found):
        if one.shape != found[0].shape:
            raise _different(masks[0][0], path)
    return np.maximum.reduce(found)


def _different(first, path):
    return DataError(f"masks {first} and {path} differ in size: they must be equal")


def _spec_of_mask(spec):
    """Of a file of two values; what is soft lies between 0 and 255."""
    aliases = () if spec.labels_soft else tuple((value, INSIDE) for value in (1, LARGEST_ID))
    facts = {"classes": ("outside", "inside"), "palette": ((0, 0, 0),) * 2, "label_ids": (0, 255), "aliases": aliases}
    return dataclasses.replace(spec, name="a mask", void_ids=(), label_colours=(), void_colours=(), rest=None, **facts)
