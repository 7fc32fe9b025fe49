"""Shards of prepared records: samples are read ahead in threads, and a shard appears when it is whole."""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from pathlib import Path
from typing import Any

import tensorflow as tf

from data_pipelines import records
from data_pipelines.content import sha256
from data_pipelines.spec import DataError, Dataset, Sample
from data_pipelines.writing import replacing, sweep


def write_shard(path: Path, pairs: Iterable[tuple[Sample, bytes]], expected: Any = None) -> dict[str, Any]:
    """Writes a shard, which appears when it is whole.

    Args:
      path: of the shard.
      pairs: (sample, record) of each record.
      expected: the manifest's entry that it must have, if it was written before.

    Returns:
      The manifest's entry of it.

    Raises:
      DataError: a sample can't be read, or the entry is not the `expected` one.
    """
    written = []
    sweep(path.parent, path.name)
    with replacing(path) as part:
        with tf.io.TFRecordWriter(str(part)) as writer:
            for sample, record in pairs:
                writer.write(record)
                written.append(records.entry(sample, record))
        shard = {"file": path.name, "bytes": part.stat().st_size, "sha256": sha256(part), "records": written}
        if expected and shard != expected:
            raise DataError(f"{path} can't be written as it was: its samples changed; take another --output=dir")
    return shard


class Numbers:
    """Key for `itertools.groupby`: number of the shard that the next (sample, record) goes into.

    Args:
      first: number of the first shard.
      limit: a shard is closed by the record that would make it larger than that many bytes.
    """

    def __init__(self, first: int, limit: int) -> None:
        self.number, self.limit, self.bytes = first, limit, 0

    def __call__(self, pair: tuple[Sample, bytes]) -> int:
        """Number of the shard of this (sample, record), which comes after all before it."""
        size = len(pair[1]) + records.FRAME
        if self.bytes and self.bytes + size > self.limit:
            self.number, self.bytes = self.number + 1, 0
        self.bytes += size
        return self.number


def read_ahead(
    pool: Executor, limit: int, dataset: Dataset, encoding: str, samples: Iterable[Sample]
) -> Iterator[tuple[Sample, bytes]]:
    """Yields (sample, its record) in order. At most `limit` records wait for being taken."""
    waiting: collections.deque[tuple[Sample, Future[bytes]]] = collections.deque()
    for sample in samples:
        waiting.append((sample, pool.submit(_record, dataset, encoding, sample)))
        if len(waiting) == limit:
            first, record = waiting.popleft()
            yield first, record.result()
    for sample, record in waiting:
        yield sample, record.result()


def _record(dataset: Dataset, encoding: str, sample: Sample) -> bytes:
    return records.encode(sample, *dataset.read(sample), encoding)
