"""How far scores may be off for want of images: bias-corrected bootstrap intervals over images.

From the images of a split as many are drawn, with replacement, again and again, and scored. Where the score of all is
in the middle of these scores, 95 % of them lie in the interval; else it is moved (Efron and Tibshirani 1993, "An
Introduction to the Bootstrap", section 14.3, without acceleration). It holds what other images of the same kind would
change, and nothing of what another training would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterable, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from did_tf.common.text import percent
from did_tf.scoring.metrics import jsonable, nan_mean, ratio

LEVEL, DRAWS, METHOD = 0.95, 1000, "bias-corrected"
LEAST, FEW = 5, 30
"""Images with labels, or groups of them, of which there is an interval at all; and below which it is too narrow."""
IMAGES, GROUPS = "images", "groups of images"
"""What is drawn."""
TAKES = f"{LEAST} images with labels, or groups"
"""What an interval takes, in words."""


@dataclasses.dataclass(frozen=True)
class Interval:
    """Where 95 % of the draws lie, see `bounds`.

    Attributes:
      miou: (low, high), fractions.
      classes: [C, 2] likewise, of the IoU of each class; NaN where it is in no draw.
      count: how many images with labels, or groups of them, each draw is of.
      drawn: which of the two, `IMAGES` or `GROUPS`.
      seed: of the draws.
    """

    miou: tuple[float, float]
    classes: np.ndarray
    count: int
    drawn: str
    seed: int

    def report(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Everything as a JSON-serialisable dict, None for NaN."""
        return {
            **facts(self.count, self.drawn, self.seed),
            "miou": pair(self.miou),
            "classes": dict(zip(class_names, map(pair, self.classes))),
        }

    def __str__(self) -> str:
        """A line to print, in percent."""
        low, high = map(percent, self.miou)
        return f"95 % interval of the mIoU: {low} to {high} ({source(self.count, self.drawn)})"


def interval(
    overlaps: Sequence[np.ndarray] | np.ndarray, seed: int = 0, groups: Sequence[Hashable] | None = None
) -> Interval | None:
    """The interval of mIoU and IoU over images; None of fewer than `LEAST` images with labels, or groups.

    In each draw the mean is over the classes that it shows, as `ConfusionMatrix.mean_iou` of these images would be.

    Args:
      overlaps: [images, 2, C] pixels, of each image by itself: `ConfusionMatrix.overlaps`.
      seed: of the draws.
      groups: of each image, what it is drawn together with, such as the drive or the patient that it is of: images of
        one are alike, and an interval that takes them for strangers is too narrow. None for every image by itself.
    """
    drawn = units(overlaps, groups)
    if len(drawn) < LEAST:
        return None
    ious, of_all = resampled(drawn, seed), pooled(drawn)
    low, high = bounds(means(ious), nan_mean(of_all))
    classes = np.array([bounds(of_class, iou) for of_class, iou in zip(ious.T, of_all)])
    return Interval((float(low), float(high)), classes, len(drawn), IMAGES if groups is None else GROUPS, seed)


def resampled(drawn: np.ndarray, seed: int = 0) -> np.ndarray:
    """IoU of each class in each draw of `units` [units, 2, C]: [DRAWS, C], NaN where a draw shows none of it.

    Of equal `seed` and number of units the draws are of the same units: two networks' are compared draw by draw.
    """
    rng, count = np.random.default_rng(seed), len(drawn)
    pixels = drawn.reshape(count, -1).astype(np.float64)  # exact up to 2^53, and BLAS multiplies no integers
    sums = [np.bincount(rng.integers(count, size=count), minlength=count) @ pixels for _ in range(DRAWS)]
    both, either = np.moveaxis(np.reshape(sums, (DRAWS, *drawn.shape[1:])), 1, 0)
    return ratio(both, either)


def pooled(drawn: np.ndarray) -> np.ndarray:
    """[C] IoU of each class over all `units` [units, 2, C]; NaN where none shows it."""
    return ratio(*drawn.sum(axis=0))


def means(ious: np.ndarray) -> np.ndarray:
    """[DRAWS] mIoU of `resampled` IoU, NaN where a draw shows no class."""
    return np.array([nan_mean(of_draw) for of_draw in ious])


def bounds(draws: np.ndarray, score: float) -> np.ndarray:
    """[2] low and high of the scores of draws, without those that are NaN.

    Draws are off the `score` of all images as that is off the truth: by how much says the part of them that is below
    it, in standard deviations of a normal distribution, and the bounds are moved by twice that.
    """
    seen = draws[~np.isnan(draws)]
    if not seen.size:
        return np.full(2, np.nan)
    below = (np.mean(seen < score) + np.mean(seen <= score)) / 2
    off = ndtri(np.clip(below, 0.5 / seen.size, 1 - 0.5 / seen.size))
    return np.quantile(seen, ndtr(2 * off + ndtri([(1 - LEVEL) / 2, (1 + LEVEL) / 2])))


def units(overlaps: Sequence[np.ndarray] | np.ndarray, groups: Sequence[Hashable] | None = None) -> np.ndarray:
    """Overlaps of what is drawn: images with a label, or whole groups of them in the order of their first.

    Arguments as of `interval`. Those of two networks on the same images are of the same ones.
    """
    alone = np.array(overlaps)
    if groups is None:
        return _labelled(alone)
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    sums = np.zeros((len(numbers), *alone.shape[1:]), np.int64)
    np.add.at(sums, [numbers[group] for group in groups], alone)
    return _labelled(sums)


def _labelled(drawn):
    """Without those that are void altogether: they change no score, and would pass for images that agree.

    Whatever is predicted, a union has pixels just where labels are.
    """
    return drawn[drawn[:, 1].any(axis=1)] if drawn.size else drawn


def facts(count: int, drawn: str = IMAGES, seed: int = 0) -> dict[str, Any]:
    """What a report says of how an interval came about."""
    return {
        "level": LEVEL,
        "draws": DRAWS,
        "method": METHOD,
        "seed": seed,
        "drawn": drawn,
        "count": count,
        "too_narrow": count < FEW,
    }


def source(count: int, drawn: str = IMAGES) -> str:
    """The same in words."""
    few = f"; of fewer than {FEW} it is too narrow" if count < FEW else ""
    return f"bootstrap over {count} {drawn}{few}"


def pair(bounds: Iterable[float]) -> list[float | None]:
    """Low and high for JSON."""
    return [jsonable(bound) for bound in bounds]
