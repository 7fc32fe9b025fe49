"""What ends a training before all of its steps are made: time that is over, validations that give no new best."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

HOUR = 3600.0
TICKS = 2**24
"""Parts of a time, which several workers agree on in whole numbers: as fine as float32 has shares."""


class Ending(NamedTuple):
    """Why a training has ended before its last step, and how it would go on: two texts."""

    reason: str
    way_on: str


class Budget:
    """The time that a training may take, all of its processes together.

    The last validation took some of it; as much is kept free for the one at the end.

    Args:
      hours: 0 for any time.
      clock: gives seconds, whose differences count.

    Attributes:
      ticks: how much of the time for updates is spent, of `TICKS`, as of the last `look`; it never falls.
      saved: [3] float64, the seconds that are spent, those kept free, and `ticks`, as of the last `store`: a variable.
    """

    def __init__(self, hours: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.hours, self.clock = hours, clock
        self.ticks = 0
        self.saved = tf.Variable(tf.zeros([3], tf.float64))
        self._before = self._free = 0.0
        self._since: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is time for no update more."""
        return self.ticks >= TICKS

    def start(self) -> None:
        """Time is spent from here on."""
        self._since = self.clock()

    def spent(self) -> float:
        """Seconds."""
        return self._before + (self.clock() - self._since if self._since is not None else 0.0)

    def left(self) -> float:
        """Seconds for updates, 0 or more."""
        return max(0.0, HOUR * self.hours - self._free - self.spent())

    def look(self) -> int:
        """`ticks` by the clock."""
        left, spent = self.left(), self.spent()
        return max(self.ticks, int(TICKS * spent / (spent + left)) if left else TICKS)

    def keep_free(self, seconds: float) -> None:
        """Says how long a validation took."""
        self._free = seconds

    def allows_validation(self) -> bool:
        """Whether after one more validation than that at the end there is time for updates."""
        return self.left() > self._free

    def store(self) -> None:
        """Gives `saved` what is so now."""
        self.saved.assign(np.array([self.spent(), self._free, self.ticks]))

    def load(self) -> None:
        """Takes all from `saved`, before `start`."""
        self._before, self._free, ticks = map(float, self.saved.numpy())
        self.ticks = int(ticks)


def by_time(hours: float, folder: Path) -> Ending:
    """That of a run in `folder` whose `hours` are over."""
    way_on = f"its weights start another run, --run=dir --config.train.init={folder}"
    return Ending(f"its time is over (train.hours={hours:g})", way_on)


def by_patience(waited: int, steps: int) -> Ending:
    """That of a run of so many `steps` whose last validations, `waited`, gave no new best."""
    way_on = f"with --config.train.patience=0, or a larger one, it goes on to step {steps}"
    return Ending(f"{waited} validations in a row gave no new best (train.patience)", way_on)
