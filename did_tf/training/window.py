"""What the steps since the last row of the log gave, and how fast they were."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from did_tf.training import health


class Window:
    """Sums over steps. They are added one after the other: the same to the last bit wherever a process was stopped.

    Args:
      names: of what a step gives; `health.VITALS` come after it.

    Attributes:
      saved: [1 + names] float64, the number of steps and the sums, as of the last `store`: a variable.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.saved = tf.Variable(tf.zeros([1 + len(names)], tf.float64))
        self._sums = np.zeros(1 + len(names))
        self._pending: list[tf.Tensor] = []
        self.restart_clock()

    @property
    def steps(self) -> int:
        """How many steps the sums are of."""
        return int(self._sums[0]) + len(self._pending)

    def add(self, values: tf.Tensor, waited: float) -> None:
        """A step: what it gave, and the seconds that its batch was waited for."""
        self._pending.append(values)
        self._made += 1
        self._waited += waited

    def settle(self) -> tuple[int, str] | None:
        """Waits for the steps and sums them up; or tells as `health.problem`, how many before the last one it was."""
        values, self._pending = np.array([value.numpy() for value in self._pending], np.float64), []
        if found := health.problem([*self.names, *health.VITALS], values) if len(values) else None:
            return len(values) - 1 - found[0], found[1]
        for step in values:
            self._sums += [1, *step[: len(self.names)]]
        return None

    def store(self) -> None:
        """Gives `saved` the sums as they are."""
        self.saved.assign(self._sums)

    def load(self) -> None:
        """Takes the sums from `saved`."""
        self._sums = self.saved.numpy()

    def means(self) -> dict[str, float]:
        """{name: mean over the steps}."""
        means = dict(zip(self.names, self._sums[1:] / self._sums[0]))
        if made := 1 - means.get(health.SKIPPED, 0):
            means["gradient_norm"] /= made  # those that were skipped have none
        return means

    def pace(self) -> tuple[float, float] | None:
        """(steps a second, share of the time that batches were waited for) of this process; None where it made none."""
        seconds = time.perf_counter() - self._since
        return (self._made / seconds, self._waited / seconds) if self._made else None

    def restart(self) -> None:
        """Begins anew, with no steps."""
        self._sums = np.zeros_like(self._sums)
        self.restart_clock()

    def restart_clock(self) -> None:
        """What `pace` gives is of the steps from here on."""
        self._made, self._waited, self._since = 0, 0.0, time.perf_counter()
