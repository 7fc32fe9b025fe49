"""Gridding: what a chain of dilated convolutions sees, and what falls through its holes (duc_hdc.md section 3.2).

A chain is a list of dilation rates, first layer first, all layers with kernels of the same odd size.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from did_tf.common.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Report:
    """What `check` finds.

    Attributes:
      max_distance: the largest M2 of equation 2 of the chain's `groups`, in pixels.
      passes: whether M2 is at most the kernel's size, the paper's design goal.
      common_factor: greatest common divisor of the rates; above 1 the chain sees one pixel in so many, whatever M2 is.
      increase: pixels that the chain adds to the receptive field along one dimension.
      covered: share of the receptive field's square that reaches the output, in (0, 1].
    """

    max_distance: int
    passes: bool
    common_factor: int
    increase: int
    covered: float


def check(rates: Sequence[int], kernel: int = 3) -> Report:
    """`Report` on a chain of rates whose kernels are `kernel` wide.

    Equation 2 is about one group of a chain that repeats it; common factor, increase and what is covered are about the
    chain as it is. Equation 2 takes the first rate to be 1. A group that starts with 1 and passes leaves no holes; one
    that does not pass may leave none either, and of groups that start otherwise, like [2, 2, 2], it says nothing: see
    `covered`.

    Raises:
      ConfigError: no rates, a rate that is not a positive whole number, or an even kernel.
    """
    distance = max(max_distance(group) for group in groups(rates))
    return Report(
        max_distance=distance,
        passes=distance <= kernel,
        common_factor=functools.reduce(math.gcd, rates),
        increase=increase(rates, kernel),
        covered=float(coverage(rates, kernel).mean()),
    )


def groups(rates: Sequence[int]) -> list[list[int]]:
    """The group that a chain repeats, and what is left at its end; the chain itself where it repeats none.

    "A number of layers are grouped together to form the rising edge of the wave, and the next group repeats the same
    pattern": [1, 2, 5, 1, 2, 5, 1] has the group [1, 2, 5] and [1] left, which is always shorter than the group.
    """
    rates = list(rates)
    for length in range(1, len(rates) // 2 + 1):
        times = len(rates) // length
        if rates[: times * length] == rates[:length] * times:
            rest = rates[times * length :]
            return [rates[:length], *([rest] if rest else [])]
    return [rates]


def max_distance(rates: Sequence[int]) -> int:
    """M2 of equation 2: the largest distance between two taps of the chain from its second layer on; of one layer, M1.

    Raises ConfigError for no rates, or a rate that is not a positive whole number.
    """
    _validate(rates)
    if not rates:
        raise ConfigError("equation 2 needs at least one dilation rate")
    distance = rates[-1]
    for rate in rates[-2:0:-1]:
        distance = max(distance - 2 * rate, distance - 2 * (distance - rate), rate)
    return distance


def increase(rates: Sequence[int], kernel: int = 3) -> int:
    """Pixels that the chain adds to the receptive field along one dimension: the sum of (kernel - 1) * rate.

    Raises ConfigError for a rate that is not a positive whole number, or an even kernel.
    """
    _validate(rates, kernel)
    return sum((kernel - 1) * rate for rate in rates)


def coverage(rates: Sequence[int], kernel: int = 3) -> np.ndarray:
    """Input pixels that reach the centre output (Fig. 2): bool [n, n], n = 1 + `increase`, the output in the middle.

    Raises ConfigError for a rate that is not a positive whole number, or an even kernel.
    """
    # A square kernel's taps are all pairs of those along one axis, and so are those of a chain.
    axis = np.ones(1, bool)
    for rate in rates:
        size = len(axis) + increase([rate], kernel)
        axis = functools.reduce(np.logical_or, (_shifted(axis, tap * rate, size) for tap in range(kernel)))
    return axis[:, None] & axis[None]


def _shifted(axis, by, size):
    return np.pad(axis, (by, size - len(axis) - by))


def _validate(rates, kernel=3):
    for rate in rates:
        if rate != int(rate) or rate < 1:
            raise ConfigError(f"dilation rates must be positive whole numbers, got {rate} in {list(rates)}")
    if kernel % 2 == 0 or kernel < 1:
        raise ConfigError(f"the kernel's size must be odd, got {kernel}")
