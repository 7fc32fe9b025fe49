"""Whether a run is well: the one place that judges what an update has done, before anything of it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from did_tf.common.errors import Failure

SKIPPED = "skipped"
"""Under loss scaling: whether the update overflowed and was left out, 1 or 0."""
VITALS = ("weights_norm", "statistics_norm", "loss_scale")
"""What `vitals` gives, in its order."""


class TrainingFailed(Failure):
    """Training went wrong, and nothing of that was saved.

    Args:
      what: is wrong, in words.
      step: of the update after which it was, from 1.
      checkpoint: the newest one, from before that; None where there is none.
    """

    def __init__(self, what: str, step: int, checkpoint: Path | None) -> None:
        good = f"the last good checkpoint is {checkpoint}" if checkpoint else "there is no checkpoint from before it"
        super().__init__(f"{what} at step {step}; nothing of it was saved, and {good}")
        self.checkpoint = checkpoint


def vitals(weights: Sequence[tf.Tensor], statistics: Sequence[tf.Tensor], loss_scale: tf.Tensor) -> list[tf.Tensor]:
    """Values that are not finite as soon as one of the weights or statistics is not: float32 scalars, as of `VITALS`.

    One pass over them, which costs far less than the update itself (`make bench ARGS=health`).

    Args:
      weights: after the update.
      statistics: moving ones of batch normalisation, likewise; maybe none.
      loss_scale: that the update was computed with.
    """
    return [_norm(weights), _norm(statistics), tf.cast(loss_scale, tf.float32)]


def problem(names: Sequence[str], values: np.ndarray) -> tuple[int, str] | None:
    """The first step that went wrong and what is wrong with it, or None.

    Args:
      names: of the values, those of `VITALS` among them.
      values: [steps, len(names)]: what every step gave.

    Returns:
      (index of the step, words such as "loss/main is nan").
    """
    bad = ~np.isfinite(values)
    scaled = dict(zip(names, values.T))
    floor = (scaled.get(SKIPPED, np.zeros(len(values))) > 0) & (scaled["loss_scale"] <= 1)
    ill = np.flatnonzero(bad.any(axis=1) | floor)
    if not ill.size:
        return None
    step = int(ill[0])
    told = [f"{name} is {value}" for name, value, wrong in zip(names, values[step], bad[step]) if wrong]
    return step, ", ".join(told) or "float16 overflows even without loss scaling"


def _norm(tensors):
    return tf.linalg.global_norm(tensors) if tensors else tf.constant(0.0)
