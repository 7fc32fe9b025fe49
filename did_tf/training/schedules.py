"""Learning-rate schedules by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.errors import ConfigError

NAMES = ("step", "poly", "cosine", "exponential", "constant")


class Schedule(keras.optimizers.schedules.LearningRateSchedule):
    """Learning rate at an update: linear warm-up, then one of the named schedules over what remains of `steps`.

    Args:
      name: "step": divided by `divisor` at each of `boundaries`; "poly": (1 - progress) ** power; "cosine": half a
        cosine to zero; "exponential": by the same factor at every update, down to `final` of the base; "constant".
      base: the rate after warm-up.
      steps: of the whole run; from there on the rate stays at its last value.
      warmup: number of updates over which the rate rises from base / warmup to base.
      boundaries: as shares of the run. The paper's is 2/3 (did.md section 3.3).
      divisor, power: see `name`.
      final: see `name`; in (0, 1]. A decay by 0.995 after each of 750 epochs has 0.995**750.

    Raises:
      ConfigError: an unknown name, a warm-up that is not shorter than the run, or a `final` outside (0, 1].
    """

    def __init__(
        self,
        name: str,
        base: float,
        steps: int,
        warmup: int = 0,
        boundaries: Sequence[float] = (2 / 3,),
        divisor: float = 10.0,
        power: float = 0.9,
        final: float = 0.01,
    ) -> None:
        if name not in NAMES:
            raise ConfigError(f"unknown schedule {name!r}; known: {', '.join(NAMES)}")
        if not 0 <= warmup < steps:
            raise ConfigError(f"schedule.warmup must be in [0, {steps}) for a run of {steps} steps, got {warmup}")
        if not 0 < final <= 1:
            raise ConfigError(f"schedule.final must be in (0, 1], got {final}")
        self.name, self.base, self.steps, self.warmup = name, base, steps, warmup
        self.boundaries, self.divisor, self.power, self.final = tuple(boundaries), divisor, power, final

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """The rate at update `step`, counted from 0: a float32 scalar."""
        count = tf.cast(step, tf.int64)  # what is compared: float32 has no odd numbers above 2**24
        step = tf.cast(step, tf.float32)
        rate = self.base * self._factor(step, count)
        return tf.where(count < self.warmup, self.base * (step + 1) / max(self.warmup, 1), rate)

    def _factor(self, step, count):
        progress = tf.clip_by_value((step - self.warmup) / (self.steps - self.warmup), 0.0, 1.0)
        if self.name == "step":
            passed = sum(tf.cast(count >= round(boundary * self.steps), tf.float32) for boundary in self.boundaries)
            return self.divisor**-passed
        if self.name == "poly":
            return (1 - progress) ** self.power
        if self.name == "cosine":
            return 0.5 * (1 + tf.cos(progress * 3.141592653589793))
        if self.name == "exponential":
            return self.final**progress
        return tf.ones_like(progress)

    def get_config(self) -> dict[str, Any]:
        """The schedule's arguments, for saving."""
        keys = ("name", "base", "steps", "warmup", "boundaries", "divisor", "power", "final")
        return {key: getattr(self, key) for key in keys}


class Timed(Schedule):
    """A `Schedule` that comes to its end with its steps or with a time, whichever is over first.

    It is as far as its updates, or as far as the time, whichever is further on: after warm-up all rates fall, so that
    is the lower one of two. Warm-up is of updates.

    Attributes:
      share: of the time that is spent, in [0, 1]: a float32 variable.
    """

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self.share = tf.Variable(0.0, trainable=False)

    def __call__(self, step: int | tf.Tensor) -> tf.Tensor:
        """The rate at update `step`, counted from 0, by the time that is spent then: a float32 scalar."""
        reached = self.share * self.steps
        return tf.minimum(super().__call__(step), self.base * self._factor(reached, tf.cast(reached, tf.int64)))
