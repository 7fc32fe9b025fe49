"""Where nothing was measured, as files and `DatasetSpec.nodata` say, and what stands there instead.

A band of a pixel is a hole where it is `spec.nodata`, or the file's own word says so: its nodata tag; or, before that,
as GDAL has it, its mask (inside the TIFF, or beside any file as NAME.msk); or alpha of 0, where the data set has one
band less than the file. By the rule "all", a pixel is void where all bands are holes, in all files of an image; by
"any", where one is. In a void pixel holes have the band's mean. In others, of which some bands were measured: in
float32 a hole has the mean too; an integer stays as it is, for 0 in one band of three is mostly a dark pixel, unless
the whole file has nothing there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.spec import NODATA_RULES


class Stored(NamedTuple):
    """What a file stores.

    Attributes:
      values: [h, w, bands], of the window that was asked for.
      size: (height, width) of the whole file.
      alpha: whether the last band is alpha.
      void: [h, w, bands] or [h, w, 1] bool, where the file's own tag or mask says that nothing was measured; None where
        it says nothing of that kind. What alpha says is left to who knows whether the last band is meant.
      tag: whether `void` comes from a nodata tag: the values there are all the same, and may be a class by mistake.
      scale: (scales, offsets), a number per band, that make measurements of values by the file's tags; None where they
        change nothing.
    """

    values: np.ndarray
    size: tuple[int, int]
    alpha: bool
    void: np.ndarray | None = None
    tag: bool = False
    scale: tuple[tuple[float, ...], tuple[float, ...]] | None = None


class Filled(NamedTuple):
    """An image whose holes are filled.

    Attributes:
      image: [h, w, bands].
      filled: [h, w, bands] bool, what is no measurement but the band's mean; None where nothing says so.
      void: [h, w] bool, the pixels that are void by the rule; likewise.
    """

    image: np.ndarray
    filled: np.ndarray | None
    void: np.ndarray | None


def equal(values: np.ndarray, number: float) -> np.ndarray:
    """[...] bool: where `values` are the `number`, to what float32 tells apart; NaN is NaN."""
    if values.dtype.kind != "f":
        return values == number
    if np.isnan(number):
        return np.isnan(values)
    with np.errstate(over="ignore"):
        single = np.float32(number)
        if np.isfinite(single) == np.isfinite(number):
            return values.astype(np.float32, copy=False) == single
    return values == number


def tagged(values: np.ndarray, numbers: Sequence[float | None]) -> np.ndarray | None:
    """[h, w, bands] bool: where `values` are their band's number; None where no band has one."""
    first = numbers[0]
    if first is not None and len(set(map(repr, numbers))) == 1:
        return equal(values, first)
    bands = [np.zeros(values.shape[:2], bool) if n is None else equal(values[..., i], n) for i, n in enumerate(numbers)]
    return None if all(number is None for number in numbers) else np.stack(bands, -1)


def either(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
    """Where one of two masks is True; None is nowhere."""
    if first is None or second is None:
        return second if first is None else first
    return first | second


def fill(pixels: np.ndarray, holes: np.ndarray | None, mean: np.ndarray, rule: str) -> Filled:
    """The `Filled` image of one file.

    Args:
      pixels: [h, w, bands].
      holes: [h, w, bands] or [h, w, 1] bool, or None.
      mean: [bands], what stands in holes.
      rule: one of `NODATA_RULES`.
    """
    if holes is None:
        return Filled(pixels, None, None)
    holes = np.broadcast_to(holes, pixels.shape)
    nothing = np.logical_and.reduce(holes, axis=-1)
    void = nothing if rule == NODATA_RULES[0] else np.logical_or.reduce(holes, axis=-1)
    kept = pixels.dtype.kind != "f" and rule == NODATA_RULES[0]
    filled = np.broadcast_to(nothing[..., None], pixels.shape) if kept else holes
    return Filled(np.where(filled, mean.astype(pixels.dtype), pixels), filled, void)


def joined(parts: Sequence[Filled], rule: str) -> Filled:
    """Bands of several files of one size behind each other."""
    if len(parts) == 1:
        return parts[0]
    image = np.concatenate([part.image for part in parts], axis=-1)
    if all(part.filled is None for part in parts):
        return Filled(image, None, None)
    nowhere = np.zeros(image.shape[:2], bool)
    voids = [nowhere if part.void is None else part.void for part in parts]
    filled = [np.zeros(part.image.shape, bool) if part.filled is None else part.filled for part in parts]
    combine = np.logical_and if rule == NODATA_RULES[0] else np.logical_or
    return Filled(image, np.concatenate(filled, axis=-1), combine.reduce(voids))
