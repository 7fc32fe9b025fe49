"""What a training logs: a row of metrics.csv, TensorBoard's events, and the picture of both."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from did_tf.common import visualize
from did_tf.runs import events
from did_tf.runs.run_folder import MetricsFile, RunFolder, read_metrics


class NoLogs:
    """Stands for `Logs` where there is no folder, as with a worker but the chief."""

    def write(self, row: Mapping[str, Any]) -> None:
        """Writes nothing, as do the others."""

    def summarize(self, step: int, function: Callable[[], None]) -> None:
        """See `write`."""

    def plot(self) -> None:
        """See `write`."""


class Logs(NoLogs):
    """Writes the logs of a run.

    Args:
      run: whose folder it is, which is there.
      columns: names of what is logged, "step" and "images" among them.
      step: the last one whose row and events stay; what is of later ones will be logged again.

    Raises:
      OSError: what was logged can't be read or written.
    """

    def __init__(self, run: RunFolder, columns: Sequence[str], step: int) -> None:
        self.run = run
        self._metrics = MetricsFile(run.metrics, columns, step)
        with self._told():
            events.drop_after(run.tensorboard, step)
            self._writer = tf.summary.create_file_writer(str(run.tensorboard))

    def write(self, row: Mapping[str, Any]) -> None:
        """Logs {column: value} of a step. Raises OSError."""
        self._metrics.write(row)

        def summarize():
            for name, value in row.items():
                if name not in ("step", "images"):
                    tf.summary.scalar(name, np.float32(value))

        self.summarize(row["step"], summarize)

    def summarize(self, step: int, function: Callable[[], None]) -> None:
        """Calls what writes summaries of `step` for TensorBoard. Raises OSError."""
        with self._told(), self._writer.as_default(np.int64(step)):
            function()
            self._writer.flush()

    def plot(self) -> None:
        """Draws RUN/curves.png from metrics.csv: the loss of each output, the scores of validation. Raises OSError."""
        rows = read_metrics(self.run.metrics)
        names = [name for name in rows[0] if name.startswith(("loss/", "val_"))]
        logged = {name: [row for row in rows if row[name]] for name in names}
        series = {
            name: ([int(row["step"]) for row in rows], [float(row[name]) for row in rows])
            for name, rows in logged.items()
            if rows
        }
        visualize.plot_curves(self.run.folder / "curves.png", series, "step", "loss; fraction", self.run.folder.name)

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Within it, what TensorFlow can't write is an OSError."""
        try:
            yield
        except tf.errors.OpError as error:
            raise OSError(errno.EIO, f"cannot write: {error.message}", str(self.run.tensorboard)) from None
