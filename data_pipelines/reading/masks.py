"""Labels that are a mask per class, each in a file of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from data_pipelines.reading.images import read_label
from data_pipelines.reading.labels import distances
from data_pipelines.spec import IGNORE, LARGEST_ID, DataError, DatasetSpec, Window

NOWHERE = 254  # in no mask so far; there are fewer classes


def read_masks(masks: Sequence[tuple[Path, int]], spec: DatasetSpec, window: Window | None = None) -> np.ndarray:
    """Label map [H, W] uint8 as of `read_label`, of a mask per class: 0 where it isn't, else 1 or the largest value.

    A pixel in no mask has `spec.rest`; one that is void in a mask is void.

    Args:
      masks: (path, class) of each; where they overlap, the last counts if `spec.masks_overlap` says so.
      spec: of the data set.
      window: as for `read_label`.

    Raises:
      DataError: an unreadable file, other values than those, masks of different sizes, or that overlap.
    """
    label, void = np.zeros(0, np.uint8), np.zeros(0, bool)
    for path, number in masks:
        mask = read_label(path, _spec_of_mask(spec), window)
        if not label.size:
            label, void = np.full(mask.shape, NOWHERE, np.uint8), mask == IGNORE
        if mask.shape != label.shape:
            raise DataError(f"masks {masks[0][0]} and {path} differ in size: they must be equal")
        inside = mask == 1
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
    """The largest of `labels.distances` over the masks of an image, [H, W] float32. Raises `DataError` as it does."""
    return np.maximum.reduce([distances(path, _spec_of_mask(spec)) for path, _ in masks])


def _spec_of_mask(spec):
    """Of a file of two values; what is soft lies between 0 and 255."""
    aliases = () if spec.labels_soft else tuple((value, 1) for value in (1, LARGEST_ID))
    facts = {"classes": ("outside", "inside"), "palette": ((0, 0, 0),) * 2, "label_ids": (0, 255), "aliases": aliases}
    return dataclasses.replace(spec, name="a mask", void_ids=(), label_colours=(), void_colours=(), rest=None, **facts)
