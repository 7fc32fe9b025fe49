"""Contact sheets of a data set: thumbnails of images beside their coloured labels, to be looked at."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from data_pipelines.pictures import BLACK, FONT, THIN, WHITE, colorize, legend, side_by_side, to_rgb, void_colour
from data_pipelines.spec import DataError, Dataset, Sample
from data_pipelines.writing import write_file

THUMB = (240, 150)
"""Width and height in pixels that a thumbnail fits into."""
COLUMNS = 3
GAP, LINE = 14, 18
TEXT, TITLE = 0.42, 0.62


class Entry(NamedTuple):
    """A place on a sheet.

    Attributes:
      samples: one, or several in a row.
      caption: what to say about them.
      labels: whether to show their labels.
    """

    samples: list[Sample]
    caption: str
    labels: bool = True


def write_sheet(path: str | Path, dataset: Dataset, title: str, entries: list[Entry]) -> None:
    """Writes `entries` as a PNG, with the colours of the classes. Samples that can't be read are left grey.

    In classification, the images stand alone.

    Args:
      path: of the PNG; its folder is made.
      dataset: reads the samples.
      title: the line on top.
      entries: one or more.

    Raises:
      OSError: the file can't be written.
    """
    if dataset.spec.task == "classification":
        entries = [entry._replace(labels=False) for entry in entries]
    tiles = [_tile(dataset, entry) for entry in entries]
    width = max(tile.shape[1] for tile in tiles)
    columns = max(1, COLUMNS * 2 * THUMB[0] // width)
    rows = [tiles[start : start + columns] for start in range(0, len(tiles), columns)]
    sheet = np.vstack([_row(row, width, min(columns, len(tiles))) for row in rows])
    if any(entry.labels for entry in entries):
        colours = legend((*dataset.spec.classes, "void"), (*dataset.spec.palette, void_colour(dataset.spec)))
        sheet = side_by_side([sheet, colours], gap=GAP)
    sheet = np.vstack([_line(title, sheet.shape[1], TITLE, 30), sheet])
    sheet = cv2.copyMakeBorder(sheet, GAP, GAP, GAP, GAP, cv2.BORDER_CONSTANT, value=(WHITE,) * 3)
    # Encoded in memory: OpenCV's own writing fails on non-ASCII paths on some systems, and tells nobody.
    write_file(path, cv2.imencode(".png", sheet[..., ::-1])[1].tobytes())


def _row(tiles, width, columns):
    """Tiles side by side, each in a place of `width`; the places of `columns` are filled with white."""
    height = max(tile.shape[0] for tile in tiles) + GAP
    row = np.full((height, columns * (width + GAP) - GAP, 3), WHITE, np.uint8)
    for place, tile in enumerate(tiles):
        left = place * (width + GAP)
        row[: tile.shape[0], left : left + tile.shape[1]] = tile
    return row


def _tile(dataset, entry):
    """The pictures of an entry's samples in a row, above its caption."""
    pictures = [picture for sample in entry.samples for picture in _pictures(dataset, sample, entry.labels)]
    row = side_by_side(pictures)
    # Room for the caption, also under narrow images.
    missing = max(0, THUMB[0] - row.shape[1])
    row = cv2.copyMakeBorder(row, 0, 0, 0, missing, cv2.BORDER_CONSTANT, value=(WHITE,) * 3)
    lines = textwrap.wrap(entry.caption, max(8, int(row.shape[1] / (18.5 * TEXT))))
    return np.vstack([row, *(_line(line, row.shape[1], TEXT, LINE) for line in lines)])


def _pictures(dataset, sample, labels):
    """[image] or [image, coloured label] of a sample as thumbnails."""
    try:
        image, label = dataset.read(sample) if labels else (dataset.read_image(sample), None)
    except DataError:
        return [np.full((THUMB[1], THUMB[0], 3), 128, np.uint8)] * (1 + labels)
    pictures = [to_rgb(_shrunk(image, cv2.INTER_AREA), dataset.spec.rgb)]
    if label is not None:
        small = _shrunk(label[..., None], cv2.INTER_NEAREST_EXACT)[..., 0]
        pictures.append(colorize(small, dataset.spec.palette, void_colour(dataset.spec)))
    return pictures


def _shrunk(pixels, interpolation):
    """[H, W, bands] as large as fits into a thumbnail; small images are enlarged."""
    height, width = pixels.shape[:2]
    scale = min(THUMB[0] / width, THUMB[1] / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale > 1:
        interpolation = cv2.INTER_NEAREST_EXACT
    bands = (np.ascontiguousarray(pixels[..., band]) for band in range(pixels.shape[-1]))
    return np.stack([cv2.resize(band, size, interpolation=interpolation) for band in bands], axis=-1)


def _line(text, width, size, height):
    """White strip [height, width] with the text, cut where it is too long."""
    strip = np.full((height, width, 3), WHITE, np.uint8)
    cv2.putText(strip, text, (1, round(height * 0.72)), FONT, size, BLACK, THIN, cv2.LINE_AA)
    return strip
