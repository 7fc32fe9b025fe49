"""Whether a training can have the memory that the features of its network take, before its first step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tensorflow import keras

from did_tf.analysis.cost import activations
from did_tf.common.errors import ConfigError

SURE, EASY, FIXED = 0.8, 1.6, 0.8e9
"""Shares of the count of features (`cost`): what a training takes at least, for the count is no measurement; and what
it takes as a rule with gradients and the room that operations work in, beside so many bytes for the update's graph."""


def largest_batch(network: keras.Model, crop: Sequence[int], train: Mapping[str, Any], devices: int, free: int) -> int:
    """The most crops of an update that fit into memory as a rule, evenly shared by devices, micro-batches and parts.

    Prints it in a line. Arguments and error are those of `check_room`; `devices` is how many share the memory.
    """
    each, sharing = _each(network, crop)[train["recompute"]], devices * train["parts"]
    at_once = int((free - FIXED) / (EASY * each)) // sharing * sharing
    of = f"{free / 2**30:.1f} GiB that are free"
    if at_once < 1:
        raise ConfigError(f"train.batch_size=auto: not {sharing} crops at once, one for each share, fit into the {of}")
    size = at_once * train["accumulate"]
    print(f"train.batch_size=auto: {size}, of {each / 2**20:.0f} MiB of features a crop, into the {of}")
    return size


def check_room(network: keras.Model, crop: Sequence[int], train: Mapping[str, Any], free: int) -> None:
    """Raises `ConfigError` where less memory is free than the features that are kept for the backward pass take.

    What is refused can't be trained. What isn't may still be too large: gradients and weights come on top.

    Args:
      network: with the outputs that the loss is of, of `Supervision`.
      crop: height and width of the training images, in pixels.
      train: the section `train` of the settings.
      free: bytes that are free, on a CPU.
    """
    size, ways = train["batch_size"], _each(network, crop)
    each = ways[train["recompute"]]
    at_once = -(-size // train["accumulate"])
    if SURE * at_once * each <= free:
        return
    raise ConfigError(
        f"train.batch_size={size} can't be trained with data.crop={tuple(crop)}: the features of {at_once} crops "
        f"at once take {at_once * each / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB are free; "
        + _what_fits(train, ways, free)
    )


def _each(network, crop):
    """{whether features are computed again: bytes of those of a crop}."""
    height, width = crop
    found = activations(network, height, width)
    return {False: found.training, True: found.recomputing}


def _what_fits(train, ways, free):
    """The settings that would fit, in words."""
    size, parts = train["batch_size"], train["parts"]
    fits = {way: int(free / (EASY * each)) // parts * parts for way, each in ways.items()}  # crops at once
    found: list[str] = []
    for way in sorted({train["recompute"], ways[True] < ways[False]}):
        shares = [n for n in range(1, size + 1) if size % (n * parts) == 0 and size // n <= fits[way]]
        if shares:
            found.append(_named(train, {"recompute": way, "accumulate": shares[0]}))
            if shares[0] > 1:
                found.append(_named(train, {"recompute": way, "accumulate": 1, "batch_size": fits[way]}))
    return f"try {' or '.join(found)}" if found else "no batch would fit: take a smaller data.crop"


def _named(train, settings):
    return " ".join(f"--config.train.{key}={value}" for key, value in settings.items() if train[key] != value)
