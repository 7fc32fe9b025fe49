"""TensorBoard's event files of a run that goes on: what it will do again is taken out of them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from data_pipelines.records import FRAME
from data_pipelines.writing import naming, replacing

FILES = "events.out.tfevents.*"
"""Pattern of their names."""


def drop_after(folder: Path | str, step: int) -> None:
    """Takes what is of later steps than `step` out of the event files in `folder`, and ends that were cut short.

    TensorBoard itself drops a restart's doubles only for writers that announce it, which TensorFlow 2's does not.

    Raises:
      OSError: a file can't be written.
    """
    for path in sorted(Path(folder).glob(FILES)):
        stay = [*_staying(path, step)]
        if sum(size for _, size in stay) < path.stat().st_size:
            _copy(path, stay)


def _staying(path, step):
    """(offset, bytes) of each record of a step up to `step`."""
    offset = 0
    for record in _records(path):
        size = len(record) + FRAME
        if tf.compat.v1.Event.FromString(record).step <= step:
            yield offset, size
        offset += size


def _copy(path, stay):
    with naming(path), replacing(path) as part, open(path, "rb") as source, open(part, "wb") as file:
        for offset, size in stay:
            source.seek(offset)
            file.write(source.read(size))


def _records(path: Path | str) -> Iterator[bytes]:
    with contextlib.suppress(tf.errors.DataLossError):
        yield from tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
