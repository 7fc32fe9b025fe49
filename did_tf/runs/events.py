"""TensorBoard's event files of a run that goes on: what it will do again is taken out of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf

from data_pipelines.writing import naming

FILES = "events.out.tfevents.*"
"""Pattern of their names."""


def drop_after(folder: Path | str, step: int) -> None:
    """Takes what is of later steps than `step` out of the event files in `folder`, and ends that were cut short.

    TensorBoard itself drops a restart's doubles only for writers that announce it, which TensorFlow 2's does not.

    Raises:
      OSError: a file can't be written.
    """
    for path in sorted(Path(folder).glob(FILES)):
        partial = path.with_name(f"partial.{path.name}")
        with naming(path):
            try:
                if _copy(path, partial, step):
                    os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)


def _copy(path, partial, step):
    """Writes what stays; whether that is less than there was."""
    with tf.io.TFRecordWriter(str(partial)) as writer:
        for record in _records(path):
            if tf.compat.v1.Event.FromString(record).step <= step:
                writer.write(record)
    return partial.stat().st_size < path.stat().st_size


def _records(path: Path | str) -> Iterator[bytes]:
    with contextlib.suppress(tf.errors.DataLossError):
        yield from tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
