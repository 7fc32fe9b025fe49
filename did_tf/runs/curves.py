"""The picture of a run's metrics."""

from __future__ import annotations

from did_tf.common import visualize
from did_tf.runs.run_folder import RunFolder, read_metrics


def plot_metrics(run: RunFolder) -> None:
    """Draws RUN/curves.png from metrics.csv: the loss of each output, and the scores of validation. Raises OSError."""
    rows = read_metrics(run.metrics)
    names = [name for name in rows[0] if name.startswith(("loss/", "val_"))]
    logged = {name: [row for row in rows if row[name]] for name in names}
    series = {
        name: ([int(row["step"]) for row in rows], [float(row[name]) for row in rows])
        for name, rows in logged.items()
        if rows
    }
    visualize.plot_curves(run.folder / "curves.png", series, "step", "loss; fraction", run.folder.name)
