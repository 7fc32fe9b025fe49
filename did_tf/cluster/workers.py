"""What processes that train together tell each other."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from did_tf.cluster.places import Place, of_tensorflow
from did_tf.common.errors import ConfigError, Failure

_WORD = 8
"""Bytes of the whole numbers that are sent."""
LOST = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError)


@contextlib.contextmanager
def loss_told() -> Iterator[None]:
    """Within it, that another worker is gone raises `Failure`."""
    try:
        yield
    except LOST as error:
        place = of_tensorflow(os.environ)
        if not place:
            raise
        raise Failure(
            f"worker {place.index} of {len(place.addresses)} has lost another one, which ended or can't be reached: "
            "what that one said is why. Start all again with the same command: they go on from the last checkpoint"
        ) from error


class Workers:
    """All processes of a strategy, and which of them this one is. A single one is alone, and nothing is sent.

    Every process must call the same methods in the same order: each waits for the others. Whole numbers are added up,
    which is exact, so that all get the same.

    Args:
      strategy: a `tf.distribute.Strategy`.

    Attributes:
      count: how many there are.
      index: of this one, from 0.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        self.strategy = strategy
        several = isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy)
        place = (of_tensorflow(os.environ) if several else None) or Place(("localhost",), 0)
        self.count, self.index = len(place.addresses), place.index

    @property
    def chief(self) -> bool:
        """Whether this process is the one that writes and tells."""
        return self.index == 0

    def devices(self) -> list[str]:
        """TensorFlow's names of all replicas: every worker has as many."""
        mine = [str(device) for device in self.strategy.extended.worker_devices]
        return [name.replace(f"task:{self.index}", f"task:{i}") for i in range(self.count) for name in mine]

    def several_devices(self) -> list[str]:
        """Those of this process's own replicas, where it has several; else none."""
        if self.strategy.num_replicas_in_sync // self.count < 2:
            return []
        return [str(device) for device in self.strategy.extended.worker_devices]

    def summed(self, numbers: np.ndarray) -> np.ndarray:
        """The sum over all workers of whole numbers, in arrays of one shape, int64."""
        numbers = np.asarray(numbers, np.int64)
        if self.count == 1:
            return numbers
        mine = numbers.reshape(-1)
        local = len(self.strategy.extended.worker_devices)
        each = self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(mine if context.replica_id_in_sync_group % local == 0 else np.zeros_like(mine))
        )
        return self.strategy.experimental_local_results(_adder(self.strategy)(each))[0].numpy().reshape(numbers.shape)

    def gathered(self, numbers: np.ndarray) -> np.ndarray:
        """[count, ...] int64: the array of whole numbers of every worker."""
        mine = np.asarray(numbers, np.int64)
        all_of_them = np.zeros((self.count, *mine.shape), np.int64)
        all_of_them[self.index] = mine
        return self.summed(all_of_them)

    def agreed(self, number: int) -> int:
        """The largest of all workers' numbers."""
        if self.count == 1:
            return number
        return int(self.gathered(np.array(number)).max())

    def from_chief(self, data: bytes) -> bytes:
        """The chief's bytes, whatever the others give."""
        if self.count == 1:
            return data
        length = int(self.summed(np.array(len(data) if self.chief else 0)))
        words = -(-length // _WORD)
        padded = data[:length].ljust(words * _WORD, b"\0") if self.chief else bytes(words * _WORD)
        return self.summed(np.frombuffer(padded, np.int64)).tobytes()[:length]

    def part(self, number: int) -> slice:
        """Which of so many things are this worker's: about as many as any other's, in a row."""
        return slice(number * self.index // self.count, number * (self.index + 1) // self.count)

    def share(self, state: Mapping[str, tf.Variable]) -> None:
        """Gives the variables of all workers, alike in names and shapes, the values that the chief's have."""
        if self.count == 1:
            return
        # Of this process: to read a variable as a whole may be to ask all of them.
        mine = {name: self.strategy.experimental_local_results(v)[0].numpy() for name, v in state.items()}
        data = self.from_chief(b"".join(value.tobytes() for value in mine.values()))
        for name, value in mine.items():
            state[name].assign(np.frombuffer(data[: value.nbytes], value.dtype).reshape(value.shape))
            data = data[value.nbytes :]

    def check_same(self, facts: Mapping[str, Any]) -> None:
        """Raises `ConfigError`, in all workers, where one has other `facts` (of JSON's types) than the chief."""
        texts = [json.dumps(fact, sort_keys=True) for fact in facts.values()]
        found = self.gathered(np.array([zlib.crc32(text.encode()) for text in texts]))
        differ = found != found[0]
        for worker in np.flatnonzero(differ.any(axis=1)):
            what = ", ".join(name for name, other in zip(facts, differ[worker]) if other)
            raise ConfigError(f"worker {worker} differs from worker 0, the chief, in: {what}; make them alike")


@functools.cache
def _adder(strategy):
    """Function of a number, or an array, of each replica: their sum."""

    def of_replica(mine):
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(mine))  # a copy has a device

    return tf.function(lambda values: strategy.run(of_replica, (values,)), autograph=False, reduce_retracing=True)
