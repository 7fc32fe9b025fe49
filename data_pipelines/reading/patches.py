"""Cutting an image into windows: the one definition of it, for training on the fly and for prepared files alike."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from data_pipelines.spec import DataError, Sample, Window


def even_starts(size: int, patch: int, count: int | None = None) -> list[int]:
    """First pixels of evenly spread windows of `patch` pixels that cover `size` pixels of one axis.

    Window i of n starts at round(i (size - patch) / (n - 1)): the first at 0, the last so that it ends with the image,
    the distances between them equal to within a pixel. An axis up to the patch has one window, at 0.

    Args:
      size: pixels of the axis.
      patch: pixels of a window.
      count: n; None: the fewest that cover the axis, ceil(size / patch), which overlap least.

    Raises:
      DataError: the patch is no size, or so few windows leave gaps.
    """
    _check(patch, "patch")
    if size <= patch:
        return [0]
    fewest = -(-size // patch)
    if count is not None and count < fewest:
        raise DataError(f"{count} windows of {patch} pixels leave gaps in {size}: take {fewest} or more")
    last = (count or fewest) - 1
    # In integers, where halves are exact: they go up.
    return [(2 * i * (size - patch) + last) // (2 * last) for i in range(last + 1)]


def strided_starts(size: int, patch: int, stride: int) -> list[int]:
    """First pixels of windows of `patch` pixels every `stride` pixels of an axis of `size`.

    The last window ends with the image, wherever that is: nothing of it is left out. An axis up to the patch has one
    window, at 0.

    Raises:
      DataError: the patch or the stride is no size, or the windows would leave gaps.
    """
    _check(patch, "patch")
    _check(stride, "stride")
    if stride > patch:
        raise DataError(f"windows of {patch} pixels every {stride} pixels leave gaps: take a stride up to the patch")
    last = max(size - patch, 0)
    return [*range(0, last, stride), last]


def cut(sample: Sample, rows: Sequence[int], columns: Sequence[int], height: int, width: int) -> list[Sample]:
    """`sample` in windows of `height` x `width` pixels, row by row, named NAME_rROW_cCOLUMN after their first pixels.

    Args:
      sample: a whole image.
      rows: first rows of the windows.
      columns: first columns; there is a window for each with each of `rows`.
      height: pixels of a window.
      width: likewise.
    """
    return [
        dataclasses.replace(sample, name=sample.name + _place(top, left), window=Window(top, left, height, width))
        for top in rows
        for left in columns
    ]


def name_of_image(sample: Sample) -> str:
    """Name of the image that a sample is, or that it is a window of."""
    return sample.name.removesuffix(_place(*sample.window[:2])) if sample.window else sample.name


def _place(top, left):
    return f"_r{top}_c{left}"


def _check(value, name):
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DataError(f"{name} must be a whole number of pixels, 1 or more, got {value!r}")
