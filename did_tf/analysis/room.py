"""What a whole training process holds in memory, and whether it has that, before its first step."""

from __future__ import annotations

import bisect
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from did_tf.analysis.update import Held, held
from did_tf.common.errors import ConfigError

IDLE = 1.12
"""By how much the pool that TensorFlow takes tensors from is larger than they: pieces are not of their sizes."""
LOADED, EACH = 480e6, 0.1e6
"""Bytes of what TensorFlow loads and finds out in the first update, and of each operation of its graph."""
MARGIN = 0.1
"""By how much less or more than is counted a training may take (`python -m benchmarks.memory`)."""
AHEAD = 4
"""Batches that are there at once: in use, being made, and read ahead."""
OF_REGIONS, OF_TERMS = 4, {"dice": 1, "generalised_dice": 1, "tversky": 1, "lovasz": 6, "boundary": 3}
"""Arrays like an output's logits that `loss.terms` of regions take: together, and each."""
OF_MIXUP = 10
"""The same of MixUp, which has two labels for each image: it takes those of regions twice, too."""
_MOST = 2**16


class Taken(NamedTuple):
    """Bytes at most.

    Attributes:
      optimizer: its moments, and the averages of the weights.
      graph: of an update, and what TensorFlow finds out when it runs first.
      batches: images and labels.
      update: features, their gradients and those of the weights, and what operations work in.
    """

    optimizer: int
    graph: int
    batches: int
    update: int

    @property
    def on_gpu(self) -> int:
        """Those that a GPU has where it computes; the others the machine has."""
        return self.total - self.graph

    @property
    def total(self) -> int:
        """All of them: what a training takes on a CPU beside the process with the network in it."""
        return sum(self)


class Need:
    """{setting: value of the section `train`} that differ -> `Taken`, beside a process that has built the network.

    Args:
      network: with the outputs that the loss is of, of `Supervision`.
      crop: height and width of the training images, in pixels.
      train: the section `train` of the settings.
      moments: how many values the optimizer has for each weight.
      devices: how many share a batch, and the memory.
      of_loss: see `of_loss`.
    """

    def __init__(
        self,
        network: keras.Model,
        crop: Sequence[int],
        train: Mapping[str, Any],
        moments: int,
        devices: int = 1,
        of_loss: float = 0,
    ) -> None:
        self.train, self.crop, self.devices = train, tuple(crop), devices
        height, width = crop
        self.held: Callable[[bool], Held] = functools.cache(lambda again: held(network, height, width, again, of_loss))
        self._weights = 4 * sum(int(np.prod(v.shape)) for v in network.trainable_variables)
        self._copies = moments + bool(train["ema"])
        self._pixels = int(np.prod(crop)) * (4 * network.input.shape[-1] + 1)  # float32, and labels of a byte

    def __call__(self, **changes: Any) -> Taken:
        """Of the training with settings of `train` changed."""
        train = {**self.train, **changes}
        size, turns, graphs = train["batch_size"], train["accumulate"], self.devices * train["parts"]
        found = self.held(train["recompute"])
        features = found.most(-(-size // turns) / graphs)
        # Decayed and clipped gradients beside those; and the sums over micro-batches.
        update = max(features, 2 * self._weights) + (2 * self._weights if turns > 1 else 0)
        return Taken(
            self.devices * self._copies * self._weights,
            int(LOADED + EACH * graphs * len(found.steps)),
            AHEAD * size * self._pixels,
            int(IDLE * graphs * update),
        )


def of_loss(terms: Iterable[str], mixup: bool) -> float:
    """How many arrays like the logits of an output a loss takes beside their gradient.

    Args:
      terms: of `loss.terms` that are used.
      mixup: whether crops have two labels.
    """
    regions = [OF_TERMS[term] for term in terms if term in OF_TERMS]
    kept = OF_REGIONS + sum(regions) if regions else 0
    return 2 * kept + OF_MIXUP if mixup else kept


def largest_batch(
    need: Need, free: float, on_gpu: bool = False, samples: int = _MOST, spared: float = 0.0, kept: float = 0.0
) -> int:
    """The most crops of an update that fit into memory as a rule, evenly shared by devices, micro-batches and parts.

    Prints it in a line, with the reason. Error and further arguments are those of `check_room`.

    Args:
      samples: number of those to train on. No more crops are taken, but for one for each share.
      spared: bytes of those that are `free` which other processes may need.
    """
    train = need.train
    if math.isinf(free):
        raise ConfigError("train.batch_size=auto: what is free on this GPU is not known; set a number")
    each = need.devices * train["accumulate"] * train["parts"]
    sizes = range(each, max(each, min(samples, _MOST)) + 1, each)
    left = free - spared - kept
    fits = bisect.bisect_right(sizes, left, key=lambda size: _with_margin(need, on_gpu, batch_size=size))
    there = f"{_gib(free)} that are free{_of_which(spared, kept)}"
    if not fits:
        takes = _with_margin(need, on_gpu, batch_size=each)
        raise ConfigError(
            f"train.batch_size=auto: {each} crops, one for each share, take up to {_gib(takes)} of {there}: "
            f"{_less(kept)}, or give a number"
        )
    size = sizes[fits - 1]
    takes = _needed(need, on_gpu, batch_size=size)
    why = f", for there are {samples} samples to train on" if fits == len(sizes) else ""
    print(f"train.batch_size=auto: {size}{why}, which take about {_gib(takes)} of {there}")
    return size


def check_room(need: Need, free: float, on_gpu: bool = False, kept: float = 0.0) -> None:
    """Raises `ConfigError` where less memory is free than a training takes, even by `MARGIN` less than is counted.

    Args:
      need: of the training.
      free: bytes that are free, of the machine or of a GPU.
      on_gpu: whether they are of a GPU.
      kept: bytes of these that `data.cache` is going to take.
    """
    takes = _needed(need, on_gpu)
    if (1 - MARGIN) * takes > free - kept:
        raise ConfigError(
            f"train.batch_size={need.train['batch_size']} can't be trained with data.crop={need.crop}: it takes about "
            f"{_gib(takes)}, and {_gib(free)} are free{_of_which(0, kept)}; {_what_fits(need, free, on_gpu, kept)}"
        )


def _of_which(spared, kept):
    """What of the memory that is free others are to have, in words."""
    parts = [f"{_gib(spared)} are left to other processes"] if spared > 0 else []
    parts += [f"data.cache takes {_gib(kept)} (--config.data.cache=False)"] if _is_told(kept) else []
    return f", of which {' and '.join(parts)}" if parts else ""


def _less(kept):
    """What to do where no batch fits, in words."""
    return "take a smaller data.crop" + ", or no data.cache" * _is_told(kept)


def _is_told(kept):
    """Whether it is more than 0.0 GiB."""
    return round(kept / 2**30, 1) > 0


def _needed(need, on_gpu, **changes):
    taken = need(**changes)
    return taken.on_gpu if on_gpu else taken.total


def _with_margin(need, on_gpu, **changes):
    return (1 + MARGIN) * _needed(need, on_gpu, **changes)


def _what_fits(need, free, on_gpu, kept):
    """The settings that would fit, in words."""
    train, size, share = need.train, need.train["batch_size"], need.devices * need.train["parts"]

    def fits(**changes):
        return _with_margin(need, on_gpu, **changes) <= free - kept

    found: list[str] = []
    for again in sorted({train["recompute"], True}):
        turns = [n for n in range(train["accumulate"], size + 1) if size % (n * share) == 0]
        way = next(({"recompute": again, "accumulate": n} for n in turns if fits(recompute=again, accumulate=n)), None)
        smaller = {"recompute": again, "accumulate": 1}
        batch = next((n for n in range(size - 1, 0, -1) if n % share == 0 and fits(**smaller, batch_size=n)), 0)
        found += [_named(train, way)] if way else []
        found += [_named(train, {**smaller, "batch_size": batch})] if batch and (not way or way != smaller) else []
    return f"try {' or '.join(dict.fromkeys(found))}" if found else f"no batch would fit: {_less(kept)}"


def _named(train, settings):
    return " ".join(f"--config.train.{key}={value}" for key, value in settings.items() if train[key] != value)


def _gib(count):
    return f"{count / 2**30:.1f} GiB"


def free_on_gpu(number: int = 0) -> float:
    """Bytes that TensorFlow can still give to tensors of a GPU; infinite where it can't tell what it may take there."""
    from tensorflow.python.client import device_lib  # the one place that says how much that is

    limits = [device.memory_limit for device in device_lib.list_local_devices() if device.device_type == "GPU"]
    if number >= len(limits) or not limits[number]:
        return math.inf
    return limits[number] - tf.config.experimental.get_memory_info(f"GPU:{number}")["current"]
