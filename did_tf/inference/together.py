"""Images of several threads that go through a network together, where they have one size and meet."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from did_tf.inference.frozen import Forward

PIXELS = 2**20
"""That the images of a batch may have in all: larger ones go alone, for memory, and gain nothing."""
WAIT = 0.003
"""Seconds that the first image waits for others."""


class Together:
    """A `Forward` that several threads call: what they bring in one shape at the same time is one batch.

    One batch is computed at a time, and those that come meanwhile make the next. In a batch sums may be rounded in
    another order than alone.

    Args:
      forward: computes a batch.
      most: images of a batch.

    Attributes:
      batches, images: how many there have been.
    """

    def __init__(self, forward: Forward, most: int) -> None:
        self._forward, self._most = forward, most
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._open: dict[tuple[int, ...], _Batch] = {}
        self.batches = self.images = 0

    def __call__(self, images: np.ndarray) -> Mapping[str, Any]:
        """As `Forward`. Raises what computing the batch raises."""
        batch, first = self._join(images)
        if not first:
            batch.full.wait(WAIT)
            self._compute(batch, images.shape[1:])
        batch.done.wait()
        if batch.error:
            raise batch.error
        return {name: values[first : first + len(images)] for name, values in batch.found.items()}

    def _join(self, images):
        """(batch, number of its images before these)."""
        shape = images.shape[1:]
        most = min(self._most, PIXELS // (shape[0] * shape[1]))
        with self._lock:
            batch = self._open.get(shape)
            if batch is None or batch.size + len(images) > most:
                batch = self._open[shape] = _Batch()
            first = batch.add(images)
            if batch.size >= most:
                batch.full.set()
        return batch, first

    def _compute(self, batch, shape):
        with self._turn:
            with self._lock:
                if self._open.get(shape) is batch:
                    del self._open[shape]
                self.batches, self.images = self.batches + 1, self.images + batch.size
            try:
                images = batch.parts[0] if len(batch.parts) == 1 else np.concatenate(batch.parts)
                batch.found = {name: np.asarray(values) for name, values in self._forward(images).items()}
            except Exception as error:
                batch.error = error
            finally:
                batch.done.set()


class _Batch:
    def __init__(self) -> None:
        self.parts: list[np.ndarray] = []
        self.size = 0
        self.full, self.done = threading.Event(), threading.Event()
        self.found: Mapping[str, np.ndarray] = {}
        self.error: Exception | None = None

    def add(self, images: np.ndarray) -> int:
        """Takes images in. Returns how many there were before."""
        self.parts.append(images)
        self.size += len(images)
        return self.size - len(images)
