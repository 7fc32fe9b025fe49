"""Several networks on the same images: where they differ, who is right there, and what each class gains.

Pictures as figures 3 to 5 of duc_hdc.md, gains per class as tables 5 and 6 of fcrn.md.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure

from data_pipelines.spec import IGNORE, DatasetSpec
from did_tf.common import visualize
from did_tf.common.text import aligned, percent
from did_tf.scoring import bootstrap
from did_tf.scoring.evaluation import PANEL
from did_tf.scoring.metrics import ConfusionMatrix, jsonable, left_out

RIGHT, WRONG, OTHERWISE, LOST, WON = range(5)
"""What a pixel is of two predictions, see `difference`."""
MEANINGS = (
    "both right",
    "both wrong, alike",
    "both wrong, in two ways",
    "the first alone right",
    "the other alone right",
)
COLOURS = ((215, 215, 215), (120, 120, 120), (240, 170, 0), (215, 40, 40), (30, 100, 220))
"""Of `MEANINGS`; red and blue are told apart by those who don't see red and green."""
ZOOM = 4
"""By which the place of the largest difference is enlarged."""


class Comparison:
    """Compares predictions of networks with those of the first of them, image by image.

    Args:
      names: of the networks, two or more.
      spec: `DatasetSpec` of their data.
      pictures: of how many images the predictions are kept: those with the most pixels that differ.
      groups: of each image, what it is drawn together with: as of `bootstrap.interval`.

    Attributes:
      names: as given.
      matrices: name -> `ConfusionMatrix` over all images.
      differing: (pixels that are labelled and differ, labelled pixels).
    """

    def __init__(
        self, names: Sequence[str], spec: DatasetSpec, pictures: int, groups: Sequence[Hashable] | None = None
    ) -> None:
        self.names, self.spec, self._pictures, self._groups = list(names), spec, pictures, groups
        self.matrices = {name: ConfusionMatrix(spec.num_classes) for name in names}
        self._overlaps: dict[str, list[np.ndarray]] = {name: [] for name in names}  # of each image alone
        self.differing = (0, 0)
        self._kept: list[tuple[int, int, Mapping[str, np.ndarray]]] = []

    def update(self, number: int, label: np.ndarray, predictions: Mapping[str, np.ndarray]) -> None:
        """Adds image `number`: its label [H, W], 255 where ignored, and the classes [H, W] by each network's name."""
        for name in self.names:
            alone = ConfusionMatrix(self.spec.num_classes)
            alone.update(label, predictions[name])
            self.matrices[name] += alone
            self._overlaps[name].append(alone.overlaps())
        differing = self.where(label, predictions)
        count = int(np.count_nonzero(differing))
        self.differing = (self.differing[0] + count, self.differing[1] + int(np.count_nonzero(label != IGNORE)))
        # Of images that differ alike the earlier is kept.
        heapq.heappush(self._kept, (count, -number, {name: predictions[name].astype(np.uint8) for name in self.names}))
        if len(self._kept) > self._pictures:
            heapq.heappop(self._kept)

    def where(self, label: np.ndarray, predictions: Mapping[str, np.ndarray]) -> np.ndarray:
        """[H, W] bool: labelled pixels of which some network says otherwise than the first."""
        first, *others = (predictions[name] for name in self.names)
        return (label != IGNORE) & np.any([other != first for other in others], axis=0)

    def most_different(self) -> list[tuple[int, dict[str, np.ndarray]]]:
        """(number of the image, name -> classes [H, W] uint8), the most different first; none that does not differ."""
        return [(-number, dict(kept)) for count, number, kept in sorted(self._kept, key=lambda k: -k[0]) if count]

    def gains(self) -> dict[str, dict[str, float]]:
        """Name of each network but the first -> class -> its IoU less that of the first; NaN where one has none."""
        first, *others = self.names
        known = self.matrices[first].iou()
        return {name: dict(zip(self.spec.classes, self.matrices[name].iou() - known)) for name in others}

    def intervals(self) -> dict[str, np.ndarray]:
        """Name of each network but the first -> [2] low and high of its gain of mIoU; none of too few images.

        See `bootstrap`. Each draw is of the same images for all: what makes an image hard for both is no doubt about
        which is better.
        """
        units = {name: bootstrap.units(overlaps, self._groups) for name, overlaps in self._overlaps.items()}
        if len(units[self.names[0]]) < bootstrap.LEAST:
            return {}
        first, *others = (bootstrap.means(bootstrap.resampled(of)) for of in units.values())
        of_all = {name: matrix.mean_iou() for name, matrix in self.matrices.items()}
        gains = {name: of_all[name] - of_all[self.names[0]] for name in self.names[1:]}
        return {name: bootstrap.bounds(mious - first, gains[name]) for name, mious in zip(gains, others)}

    def told_intervals(self) -> str:
        """Lines to print, in points of percent."""
        count = len(bootstrap.units(self._overlaps[self.names[0]], self._groups))
        source = bootstrap.source(count, bootstrap.IMAGES if self._groups is None else bootstrap.GROUPS)
        lines = [
            f"95 % interval of {name}'s gain of mIoU: {100 * low:+.1f} to {100 * high:+.1f} ({source})"
            + ("; other images may show none" if low <= 0 <= high else "")
            for name, (low, high) in self.intervals().items()
        ]
        return "\n".join(lines) or f"no 95 % intervals of the gains: they take {bootstrap.TAKES}"

    def report(self) -> dict[str, Any]:
        """Everything as a JSON-serialisable dict of fractions, None for NaN."""
        return {
            "differing": self.differing[0] / max(self.differing[1], 1),
            "networks": {name: matrix.report(self.spec.classes) for name, matrix in self.matrices.items()},
            "gain_intervals": {name: bootstrap.pair(bounds) for name, bounds in self.intervals().items()},
            "gains": {
                name: {key: jsonable(gain) for key, gain in gains.items()} for name, gains in self.gains().items()
            },
        }

    def table(self) -> str:
        """Text to print, in percent: IoU of each class by each network, and what all but the first gain.

        Below a mean that leaves out classes, each network has how many its own is of.
        """
        first, *others = (self.matrices[name] for name in self.names)
        ious, recalls = (
            [of(matrix) for matrix in (first, *others)] for of in (ConfusionMatrix.iou, ConfusionMatrix.recall)
        )
        cells = [_row(name, values) for name, values in zip(self.spec.classes, zip(*ious))]
        # A class that is not in the labels, but that one network says, is in the mean of that network alone.
        for title, of, columns in (
            ("mIoU", ConfusionMatrix.mean_iou, ious),
            ("pixel accuracy", ConfusionMatrix.pixel_accuracy, []),
            ("mean accuracy", ConfusionMatrix.mean_accuracy, recalls),
        ):
            cells.append(_row(title, [of(matrix) for matrix in (first, *others)]))
            cells += [[*row, *[""] * len(others)] for row in left_out(columns)]
        heading = ["IoU, %", *self.names, *(f"gain of {name}" if others[1:] else "gain" for name in self.names[1:])]
        return aligned([heading, *cells], ruled=(1, 1 + len(self.spec.classes)))

    def figure(self) -> Figure:
        """Bars of the gains per class, in points of percent."""
        gains, classes = self.gains(), self.spec.classes
        figure = Figure(figsize=(7, 1.5 + 0.35 * len(classes)), layout="constrained")
        title = f"against {self.names[0]}"
        axes = figure.add_subplot(xlabel="gain of IoU, points of percent", title=title)
        height = 0.8 / len(gains)
        for number, (name, values) in enumerate(gains.items()):
            places = np.arange(len(classes)) + (number - (len(gains) - 1) / 2) * height
            axes.barh(places, [100 * value for value in values.values()], height, label=name)
        axes.set_yticks(range(len(classes)), classes)
        axes.invert_yaxis()
        axes.axvline(0, color="black", linewidth=0.8)
        axes.grid(axis="x", alpha=0.3)
        axes.legend()
        return figure

    def picture(
        self, image: np.ndarray, label: np.ndarray, predictions: Mapping[str, np.ndarray], title: str = "image"
    ) -> np.ndarray:
        """Image, label, predictions and where they differ in a row; below, the place where they differ most, enlarged.

        Args:
          image: [H, W, bands] as of the data.
          label: [H, W], 255 where ignored.
          predictions: name -> classes [H, W].
          title: above the image.
        """
        first, *others = (predictions[name] for name in self.names)
        panels = visualize.panels(image, (label, first, *others), self.spec)
        void = visualize.void_colour(self.spec)
        panels += [visualize.colorize(difference(label, first, other), COLOURS, void) for other in others]
        titles = [title, "label", *self.names, *(f"where {name} differs" for name in self.names[1:])]
        rows, columns = busiest(self.where(label, predictions))
        step = -(-max(label.shape) // PANEL)
        shown = [panel[::step, ::step].copy() for panel in panels]
        low, high = ((columns.start // step, rows.start // step), (columns.stop // step - 1, rows.stop // step - 1))
        for panel in (shown[0], *shown[-len(others) :]):
            cv2.rectangle(panel, low, high, (255, 255, 0), max(1, panel.shape[0] // 200))
        size = shown[0].shape[1::-1]
        enlarged = [cv2.resize(panel[rows, columns], size, interpolation=cv2.INTER_NEAREST) for panel in panels]
        return np.vstack([visualize.side_by_side(shown, titles), visualize.side_by_side(enlarged)])


def protocols(ways: Mapping[str, str]) -> str:
    """The protocol {network: protocol} of all, or each one's own where memory has not sufficed for all alike."""
    if len({*ways.values()}) == 1:
        return repr(next(iter(ways.values())))
    return ", ".join(f"{way!r} ({name})" for name, way in ways.items())


def difference(label: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """[H, W] uint8: `RIGHT`, `WRONG`, `OTHERWISE`, `LOST` or `WON` of every pixel, 255 where the label is ignored."""
    was, is_ = before == label, after == label
    codes = np.where(
        was & is_, RIGHT, np.where(was, LOST, np.where(is_, WON, np.where(before == after, WRONG, OTHERWISE)))
    )
    return np.where(label == IGNORE, IGNORE, codes).astype(np.uint8)


def busiest(mask: np.ndarray) -> tuple[slice, slice]:
    """(rows, columns) of the window of a `ZOOM`th of the sides of a mask [H, W] that holds the most of it."""
    height, width = (max(1, side // ZOOM) for side in mask.shape)
    sums = cv2.integral(mask.astype(np.uint8))
    held = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(held.argmax(), held.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def overall(heading: str, rows: Sequence[tuple[str, ConfusionMatrix]]) -> str:
    """Text to print, in percent: mIoU and pixel accuracy of each row (name, matrix), the first apart from the others.

    Where a mean leaves out classes, each row says how many it is of.
    """
    cells = [[heading, "mIoU, %", "pixel accuracy, %"]]
    cells += [[name, percent(matrix.mean_iou()), percent(matrix.pixel_accuracy())] for name, matrix in rows]
    for counts in left_out(matrix.iou() for _, matrix in rows):
        for row, count in zip(cells, counts):
            row.insert(2, count.strip())
    return aligned(cells, ruled=(1, 2))


def _row(name, values):
    first, *others = values
    return [name, *map(percent, values), *("-" if np.isnan(v - first) else f"{100 * (v - first):+.1f}" for v in others)]
