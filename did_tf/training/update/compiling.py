"""XLA: a part of the update compiled as one, and what is said where that can't be done."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import tensorflow as tf

from did_tf.common.errors import ConfigError

T = TypeVar("T")
_REFUSALS = (tf.errors.InvalidArgumentError, tf.errors.UnimplementedError, tf.errors.InternalError)


def compiled(function: Callable[[], T]) -> T:
    """What a function without arguments gives, nested tensors, compiled by XLA.

    From within a graph, whose tensors it may take. Replicas can't wait for each other within it.
    """
    return tf.function(function, jit_compile=True, autograph=False)()


@contextlib.contextmanager
def refusals() -> Iterator[None]:
    """Within it, what XLA does not compile raises `ConfigError`."""
    try:
        yield
    except _REFUSALS as error:
        told = " ".join(error.message.split())
        raise ConfigError(
            f"train.jit_compile=True: XLA can't compile this training, leave it out: {told:.300}"
        ) from None
