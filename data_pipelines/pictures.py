"""Pictures: coloured labels, panels side by side, legends. All pictures are [H, W, 3] uint8 RGB."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

import cv2
import numpy as np

from data_pipelines.spec import IGNORE, DatasetSpec

WHITE, BLACK = 255, (0, 0, 0)
FONT, THIN = cv2.FONT_HERSHEY_SIMPLEX, 1


def void_colour(spec: DatasetSpec) -> tuple[int, int, int]:
    """(R, G, B) of what has no class: that of the data set's labels, or black, or the first grey that no class has."""
    greys = ((value,) * 3 for value in (0, 255, *range(1, 255)))
    return next(colour for colour in (*spec.void_colours, *greys) if tuple(colour) not in set(spec.palette))


def colorize(
    label: np.ndarray, palette: Sequence[tuple[int, int, int]], void: tuple[int, int, int] = BLACK
) -> np.ndarray:
    """Class ids as colours.

    Args:
      label: [H, W], integers of any type.
      palette: one (R, G, B) in 0..255 per class.
      void: that of 255 (ignored).

    Returns:
      [H, W, 3] uint8.

    Raises:
      ValueError: an id that has no colour.
    """
    colours = np.zeros((IGNORE + 1, 3), np.uint8)
    colours[: len(palette)] = palette
    colours[IGNORE] = void
    unknown = label[(label != IGNORE) & ((label < 0) | (label >= len(palette)))]
    if unknown.size:
        raise ValueError(f"label {unknown[0]} has no colour: the palette has {len(palette)}")
    return colours[label]


def to_rgb(image: np.ndarray, bands: Sequence[int] | None = None) -> np.ndarray:
    """Displayable RGB of an image.

    Anything but uint8 is stretched, each band from its 1st to its 99th percentile.

    Args:
      image: [H, W] or [H, W, bands], of any dtype.
      bands: which ones are red, green and blue (`DatasetSpec.rgb`); None: the first three, or the first as grey.

    Returns:
      [H, W, 3] uint8.
    """
    planes = np.atleast_3d(image)
    planes = planes[..., list(bands)] if bands else planes[..., : 3 if planes.shape[-1] >= 3 else 1]
    if planes.dtype != np.uint8:
        low, high = np.percentile(planes, (1, 99), axis=(0, 1))
        planes = np.clip((planes - low) / np.maximum(high - low, 1e-12) * 255, 0, 255).round().astype(np.uint8)
    return np.repeat(planes, 3, axis=-1) if planes.shape[-1] == 1 else np.ascontiguousarray(planes)


def side_by_side(pictures: Sequence[np.ndarray], titles: Sequence[str] | None = None, gap: int = 4) -> np.ndarray:
    """One picture of several in a row, each under its title where there are any.

    Args:
      pictures: of any sizes; lower ones are extended with white.
      titles: one per picture, or None.
      gap: white pixels between two.

    Raises:
      ValueError: there are not as many titles as pictures.
    """
    if titles is not None:
        if len(titles) != len(pictures):
            raise ValueError(f"{len(titles)} titles for {len(pictures)} pictures")
        strip = max(16, max(picture.shape[0] for picture in pictures) // 12)
        pictures = [np.vstack([_title(title, strip, p.shape[1]), p]) for title, p in zip(titles, pictures)]
    height = max(picture.shape[0] for picture in pictures)
    columns = []
    for picture in pictures:
        columns += [np.full((height, gap, 3), WHITE, np.uint8), np.full((height, picture.shape[1], 3), WHITE, np.uint8)]
        columns[-1][: picture.shape[0]] = picture
    return np.hstack(columns[1:])


def legend(classes: Sequence[str], palette: Sequence[tuple[int, int, int]]) -> np.ndarray:
    """Picture with a swatch and a name per class, one below the other; `palette` is (R, G, B) in 0..255 of each."""
    row, size, classes = 22, 0.45, [drawable(name) for name in classes]
    width = max(cv2.getTextSize(name, FONT, size, THIN)[0][0] for name in classes)
    picture = np.full((row * len(classes), width + 36, 3), WHITE, np.uint8)
    for i, (name, colour) in enumerate(zip(classes, palette)):
        picture[i * row + 3 : (i + 1) * row - 3, 4:24] = colour
        cv2.putText(picture, name, (30, i * row + 15), FONT, size, BLACK, THIN, cv2.LINE_AA)
    return picture


def drawable(text: str) -> str:
    """`text` in the letters that OpenCV draws, without accents; "?" for those of other scripts."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", text) if not unicodedata.combining(letter))
    return plain.encode("ascii", "replace").decode("ascii")


def _title(text, height, width):
    """White strip [height, width] with the text as large as fits."""
    strip, text = np.full((height, width, 3), WHITE, np.uint8), drawable(text)
    (wide, tall), _ = cv2.getTextSize(text, FONT, 1, THIN)
    size = min(0.55 * height / tall, (width - 8) / max(wide, 1))
    cv2.putText(strip, text, (4, round(height * 0.7)), FONT, size, BLACK, THIN, cv2.LINE_AA)
    return strip
