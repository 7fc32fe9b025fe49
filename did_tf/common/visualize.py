"""Pictures: overlays, curves, files, and those of data_pipelines. All pictures are [H, W, 3] uint8 RGB."""

from __future__ import annotations

import gc
import io
import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from matplotlib.figure import Figure

from data_pipelines.pictures import colorize, drawable, legend, side_by_side, to_rgb, void_colour
from data_pipelines.spec import IGNORE, DatasetSpec
from did_tf.common.files import write_file

__all__ = [
    "colorize",
    "confusion",
    "drawable",
    "legend",
    "overlay",
    "panels",
    "plot_curves",
    "save_figure",
    "save_png",
    "side_by_side",
    "to_rgb",
    "void_colour",
]


def overlay(
    image: np.ndarray, label: np.ndarray, palette: Sequence[tuple[int, int, int]], alpha: float = 0.5
) -> np.ndarray:
    """The image under its coloured label; ignored pixels show the image alone.

    Args:
      image: [H, W] or [H, W, bands], as for `to_rgb`.
      label: class ids [H, W], 255 where ignored.
      palette: one (R, G, B) in 0..255 per class.
      alpha: opacity of the label, in [0, 1].

    Raises:
      ValueError: an id that has no colour.
    """
    rgb = to_rgb(image)
    mixed = cv2.addWeighted(colorize(label, palette), alpha, rgb, 1 - alpha, 0)
    return np.where((label == IGNORE)[..., None], rgb, mixed)


def panels(image: np.ndarray, labels: Iterable[np.ndarray], spec: DatasetSpec) -> list[np.ndarray]:
    """[image, coloured label, ...] of an image [H, W, bands] and label maps [H, W] with classes of `spec` and 255.

    Raises ValueError for an id that has no colour.
    """
    return [to_rgb(image, spec.rgb), *(colorize(label, spec.palette, void_colour(spec)) for label in labels)]


def save_png(path: Path | str, rgb: np.ndarray) -> None:
    """Writes RGB [H, W, 3] uint8, or one band such as class ids [H, W], uint8 or uint16, as PNG, creating the folder.

    Raises:
      OSError: the file can't be written; the message names it.
      ValueError: of another type.
    """
    if rgb.dtype != np.uint8 and (rgb.dtype != np.uint16 or rgb.ndim != 2):
        raise ValueError(f"a picture must be uint8, got {rgb.dtype}")
    # Encoded in memory: OpenCV's own writing fails on non-ASCII paths on some systems, and tells nobody.
    pixels = cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR) if rgb.ndim == 3 else rgb
    write_file(path, cv2.imencode(".png", pixels)[1].tobytes())


def save_figure(path: Path | str, figure: Figure) -> None:
    """Writes a figure as PNG of 120 dots per inch, creating the folder. Raises OSError as `save_png` does."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph ", UserWarning)  # names in a script that the font has not: boxes
        figure.savefig(buffer, format="png", dpi=120)
    write_file(path, buffer.getvalue())


def confusion(counts: np.ndarray, classes: Sequence[str]) -> Figure:
    """Figure of a confusion matrix [C, C], rows the true class and columns the prediction: percent of each row."""
    side = 3 + 0.45 * len(classes)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot(xlabel="prediction", ylabel="true class", title="percent of each true class")
    axes.set_xticks(range(len(classes)), classes, rotation=90)
    axes.set_yticks(range(len(classes)), classes)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(parts, cmap="Blues", vmin=0, vmax=1)
    for (row, column), part in np.ndenumerate(parts):
        if part >= 0.005:
            colour = "white" if part > 0.5 else "black"
            axes.text(column, row, f"{100 * part:.0f}", ha="center", va="center", color=colour, fontsize=8)
    return figure


def plot_curves(
    path: Path | str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    xlabel: str,
    ylabel: str,
    title: str,
) -> None:
    """Writes a line plot as PNG. Raises OSError as `save_png` does.

    Args:
      series: {name: (xs, ys)}, one line each.
    """
    # Figure itself, not pyplot, whose global state grows with every figure and wants a display.
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(xlabel=xlabel, ylabel=ylabel, title=title)
    for name, (xs, ys) in series.items():
        axes.plot(xs, ys, marker="o" if len(xs) == 1 else None, label=name)  # a line of one point is none
    axes.grid(alpha=0.3)
    axes.legend()
    save_figure(path, figure)
    # A figure is a megabyte and some thousand objects that refer to each other, of which a training draws one for each
    # validation; a full collection, which frees them otherwise, is rare where TensorFlow has a million objects.
    del figure, axes
    gc.collect(1)
