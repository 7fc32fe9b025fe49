"""How long a call takes and how much memory, measured on the device at hand."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import psutil
import tensorflow as tf
from tqdm import tqdm

from data_pipelines.memory import cores, peak
from did_tf.common import processor

LEAST, MOST = 3, 200
"""How often a call is measured."""


class Measured(NamedTuple):
    """What calls took.

    Attributes:
      seconds: of one, the median.
      spread: of these, half the distance between their quartiles.
      calls: how many were measured.
      memory: bytes held at most beside those held before.
    """

    seconds: float
    spread: float
    calls: int
    memory: int


def measure(call: Callable[[], tf.Tensor], held: int, seconds: float, what: str, progress: bool = True) -> Measured:
    """`Measured` calls, the first of which is not timed: it traces, and finds the fastest kernels.

    Args:
      call: whose result is waited for: an element of it is fetched, not all of it.
      held: bytes held before, see `memory_held`.
      seconds: to go on for; at least `LEAST` calls and at most `MOST` are made.
      what: for the progress bar.
      progress: whether to show one, on terminals.
    """
    _wait(call())
    times: list[float] = []
    with tqdm(total=seconds, desc=what, unit="s", leave=False, disable=None if progress else True) as bar:
        while len(times) < LEAST or (sum(times) < seconds and len(times) < MOST):
            began = time.perf_counter()
            _wait(call())
            times.append(time.perf_counter() - began)
            bar.update(min(times[-1], seconds - bar.n))
    low, high = np.percentile(times, (25, 75))
    return Measured(float(np.median(times)), float(high - low) / 2, len(times), max(most_held() - held, 0))


def memory_held() -> int:
    """Bytes that are held, of the first GPU or, without one, of the machine by this process."""
    if _on_gpu():
        tf.config.experimental.reset_memory_stats("GPU:0")
        return tf.config.experimental.get_memory_info("GPU:0")["current"]
    return psutil.Process().memory_info().rss


def most_held() -> int:
    """Bytes that were held at most so far, of what `memory_held` counts."""
    return tf.config.experimental.get_memory_info("GPU:0")["peak"] if _on_gpu() else peak()


def machine() -> dict[str, Any]:
    """Processor or GPU, cores, and versions, for the record. A process that sees no GPU tells the processor."""
    gpus = tf.config.get_visible_devices("GPU")
    names = [tf.config.experimental.get_device_details(gpu).get("device_name", "GPU") for gpu in gpus]
    return {
        "device": ", ".join(names) or processor.name(platform.processor() or platform.machine()),
        "cores": cores(),
        "load": psutil.getloadavg()[0],
        "tensorflow": tf.__version__,
        "keras": importlib.metadata.version("keras"),
    }


def _on_gpu():
    return bool(tf.config.list_logical_devices("GPU"))


def _wait(result):
    tf.reshape(result, [-1])[:1].numpy()
