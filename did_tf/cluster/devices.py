"""Work that is shared by the devices of one process."""

from __future__ import annotations

import queue
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


class Spread:
    """Calls a function on whichever of several devices is free; from as many threads as there are devices.

    Args:
      function: computes with TensorFlow, where it is told to; variables that are mirrored are those of the device.
      devices: TensorFlow's names of them; with one or none the function is called as it is.
    """

    def __init__(self, function: Callable[..., Any], devices: Sequence[str]) -> None:
        self.function, self.several = function, len(devices) > 1
        self._free: queue.SimpleQueue[str] = queue.SimpleQueue()
        for device in devices:
            self._free.put(device)

    def __call__(self, *arguments: Any) -> Any:
        """What the function gives."""
        if not self.several:
            return self.function(*arguments)
        device = self._free.get()
        try:
            with tf.device(device):
                return self.function(*arguments)
        finally:
            self._free.put(device)
