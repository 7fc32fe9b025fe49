"""What a plan has to know of the machine: this one, or one that is described in a few words."""

from __future__ import annotations

import math
from typing import NamedTuple

import tensorflow as tf

from data_pipelines.memory import cores, free_memory
from did_tf.analysis.room import free_on_gpu
from did_tf.common import processor
from did_tf.common.errors import ConfigError, nearest
from did_tf.training.distribution import PRECISIONS, best_precision

GIB = 2**30
CORE = {"float32": 8e9, "float32_fast": 1.2e10, "bfloat16": 2.4e10, "float16": 8e9}
GPU = {"float32": 5e11, "float32_fast": 1e12, "bfloat16": 1.5e12, "float16": 1.5e12}
"""Multiply-adds of a network's forward pass a second, in training, where nothing was measured: of a core, and of a GPU.

That of a core was measured on a Xeon with AMX (`did_camvid_quick`); those of GPUs are guesses on the low side.
"""
LOADED = 0.7 * GIB
"""What Python and TensorFlow take before there is a network."""
_KEYS = ("cores", "gpus", "memory", "precision")


class Machine(NamedTuple):
    """Where a training computes.

    Attributes:
      name: of its processor or GPUs.
      cores: of the CPU.
      gpus: how many; 0 for the CPU.
      memory: bytes that are free: of the machine, or of each GPU.
      precision: fastest one there, of `PRECISIONS`.
      why: it is.
      is_here: whether it is the machine that this process runs on.
      host: bytes of the machine that are free for what is not on its GPUs; more than anything takes, if not known.
    """

    name: str
    cores: int
    gpus: int
    memory: float
    precision: str
    why: str
    is_here: bool
    host: float = math.inf

    @property
    def devices(self) -> int:
        """That share a batch."""
        return max(1, self.gpus)

    @property
    def rate(self) -> float:
        """Multiply-adds of a forward pass a second in training, assumed."""
        return self.gpus * GPU[self.precision] if self.gpus else self.cores * CORE[self.precision]

    @property
    def in_float32(self) -> float:
        """How many times as long it takes in float32, which evaluations are in."""
        rates = GPU if self.gpus else CORE
        return rates[self.precision] / rates["float32"]

    def told(self) -> str:
        """In words."""
        parts = f"{self.gpus} GPU{'s' * (self.gpus > 1)}" if self.gpus else f"{self.cores} cores"
        each = " each" if self.gpus > 1 else ""
        return f"{self.name}: {parts}, {self.memory / GIB:.0f} GiB{each}, {self.precision} ({self.why})"


def here() -> Machine:
    """This one."""
    gpus = len(tf.config.list_physical_devices("GPU"))
    precision, why = best_precision("auto")
    host = free_memory()
    free = free_on_gpu() if gpus else host
    return Machine(processor.name(), cores(), gpus, free, precision, why, True, host)


def described(text: str) -> Machine:
    """One that is not at hand: "cores:8,memory:32" (GiB), or "gpus:8,memory:80" (GiB each).

    A precision can be added, "precision:bfloat16"; else it is float32 on a CPU and bfloat16 on GPUs.

    Raises:
      ConfigError: `text` is of another form, or a number is not above 0.
    """
    given: dict[str, str] = {}
    for part in text.split(","):
        key, colon, value = part.partition(":")
        if not colon or key not in _KEYS or key in given:
            raise ConfigError(
                f"--machine={text}: {part!r} is not KEY:VALUE of {', '.join(_KEYS)}{nearest(key, _KEYS)}, each once; "
                "as in cores:8,memory:32 or gpus:1,memory:24"
            )
        given[key] = value
    gpus = _number(text, given, "gpus") if "gpus" in given else 0
    own = _number(text, given, "cores") if "cores" in given or not gpus else 8
    precision = given.get("precision", "bfloat16" if gpus else "float32")
    if precision not in PRECISIONS:
        raise ConfigError(f"--machine={text}: precision must be one of {', '.join(PRECISIONS)}")
    free = _number(text, given, "memory") * GIB - (0 if gpus else LOADED)
    return Machine("a machine that is not this one", own, gpus, free, precision, "as given", False)


def _number(text, given, key):
    """A whole number above 0."""
    value = given.get(key, "")
    if not value.isdecimal() or not int(value):
        raise ConfigError(f"--machine={text}: {key} must be a whole number above 0, as in cores:8,memory:32")
    return int(value)
