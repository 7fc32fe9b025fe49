"""From an image of any size to class probabilities: tiles, scales and mirrored copies, averaged.

The protocol is that of the DID authors' evaluation code (papers.md section 1, "Evaluation").
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator, Sequence

import cv2
import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_pipelines.spec import DataError
from did_tf.common.errors import ConfigError, NotFinite
from did_tf.common.streams import side_by_side
from did_tf.inference.frozen import Forward
from did_tf.models.layers import Normalize

BATCH = 4
"""Tiles that go through the network at once where nothing else is said."""


class Predictor:
    """Calls `model` on one image, whole or in tiles: `predictor(image)` gives the probabilities of every output.

    Args:
      model: keras.Model, [N, H, W, C] raw pixel values -> dict of logits [N, H, W, num_classes].
      tile: height and width of the tiles, as one int or a pair; None takes the image whole.
      overlap: of neighbouring tiles, as a fraction of the tile; the stride is ceil((1 - overlap) * tile).
      scales: factors by which the image is resized; probabilities are averaged over them.
      flip: whether to average with the prediction for the mirrored image (left to right).
      batch_size: number of tiles that go through the network at once, in all streams.
      outputs: names of the outputs that are wanted, None for all: those of a large image take memory.
      forward: gives the probabilities of a batch by output, those of `outputs` and in their order, in place of a call
        of `model`, as `engines.Engine.forward` makes it; from several threads where there are several streams.
      streams: how many batches share these tiles, side by side.

    Attributes:
      tile: (height, width) or None.
      overlap, scales, flip, batch_size, streams: as given.
      bands: number of bands that the model takes.
      classes: output -> number of its classes, of the outputs that are wanted.

    Raises:
      ConfigError: an option is out of range, an output is unknown, or the model doesn't take such tiles.
    """

    def __init__(
        self,
        model: keras.Model,
        tile: int | Sequence[int] | None = None,
        overlap: float = 1 / 3,
        scales: Sequence[float] = (1.0,),
        flip: bool = False,
        batch_size: int = BATCH,
        outputs: Sequence[str] | None = None,
        forward: Forward | None = None,
        streams: int = 1,
    ) -> None:
        outputs = list(model.output) if outputs is None else outputs
        if unknown := set(outputs) - set(model.output):
            raise ConfigError(f"the model has no output {min(unknown)!r}; it has {', '.join(model.output)}")
        if not 0 <= overlap < 1:
            raise ConfigError(f"overlap must be in [0, 1), got {overlap}")
        if not scales or min(scales) <= 0:
            raise ConfigError(f"scales must be one or more positive factors, got {scales}")
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {batch_size}")
        self.overlap, self.scales, self.flip, self.batch_size = overlap, tuple(scales), flip, batch_size
        self.streams = streams

        _, height, width, self.bands = model.input_shape
        normalize = next((layer for layer in model.layers if isinstance(layer, Normalize)), None)
        self._minimum = normalize.minimum if normalize else 1
        self._padding = normalize.mean if normalize else (0,) * self.bands
        self.tile = self._checked_tile(tile, (height, width))
        self.classes = {name: model.output[name].shape[-1] for name in outputs}

        # One signature for all sizes, so that the network is traced once.
        @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, height, width, self.bands), tf.float32)])
        def call(images):
            logits = model(images, training=False)
            return {name: tf.nn.softmax(logits[name]) for name in outputs}

        self._call, self._forward = call, forward or call

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Class probabilities of one image.

        Args:
          image: [H, W, C] raw pixel values, uint8 or float.

        Returns:
          By output name, float32 [H, W, num_classes], summing to 1 over the classes. They may be read-only.

        Raises:
          ValueError: the image is not [H, W, C] with the model's number of bands.
          DataError: the image has values that are not finite.
          NotFinite: the network gives such values for one that has none.
        """
        return _joined(self.strips(image), image.shape[0])

    def strips(self, image: np.ndarray) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        """The same in strips of whole rows, from top to bottom, so that nobody has to hold all of it.

        At one scale, which is 1, a strip has the rows that no further tile covers; else there is but one.

        Args:
          image: as for a call.

        Yields:
          (rows, by output name float32 [rows, W, num_classes]).

        Raises:
          As a call does.
        """
        if image.ndim != 3 or image.shape[2] != self.bands:
            raise ValueError(f"image must be [height, width, {self.bands}], got {image.shape}")
        whole = [(slice(0, image.shape[0]), self._over_scales(image))] if self.scales != (1,) else None
        for rows, values in whole or self._both_ways(image):
            _check_finite(values, image)
            yield rows, values

    def graph(self, size: Sequence[int]) -> tuple[tf.Graph, list[tf.Tensor]]:
        """What one image or tile of a (height, width) runs through, for looking at; and the tensors that it ends in."""
        image = tf.TensorSpec((1, *(max(side, self._minimum) for side in size), self.bands), tf.float32)
        found = tf.function(self._call.python_function, autograph=False).get_concrete_function(image)
        return found.graph, list(found.outputs)

    def _over_scales(self, image):
        """Mean of the probabilities over the scales, and the image's both ways."""
        mean: dict[str, np.ndarray] = {}
        for scale in self.scales:
            size = [max(1, round(side * scale)) for side in image.shape[:2]]
            scaled = image if scale == 1 else resize(image.astype(np.float32), size)
            found = _joined(self._both_ways(scaled), size[0])
            for name in list(found):
                values = resize(found.pop(name), image.shape[:2]) / np.float32(len(self.scales))
                mean[name] = mean[name] + values if name in mean else values
        return mean

    def _both_ways(self, image):
        """Strips of the image or, with `flip`, the mean of it and its mirror image."""
        if not self.flip:
            yield from self._in_tiles(image)
            return
        for (rows, total), (_, mirrored) in zip(self._in_tiles(image), self._in_tiles(image[:, ::-1])):
            yield rows, {name: (values + mirrored[name][:, ::-1]) / np.float32(2) for name, values in total.items()}

    def _in_tiles(self, image):
        """Strips of the probabilities averaged over the tiles that cover a pixel."""
        tile = self.tile or tuple(max(side, self._minimum) for side in image.shape[:2])
        starts = [tile_starts(n, t, tile_stride(t, self.overlap)) for n, t in zip(image.shape, tile)]
        rows, columns = (_cover(n, t, begun) for n, t, begun in zip(image.shape, tile, starts))
        (height, width), top = image.shape[:2], 0
        total: dict[str, np.ndarray] = {}
        for y, x, parts in self._parts(image, tile, starts):
            if starts == [[0], [0]]:
                yield slice(0, height), {name: part[:height, :width] for name, part in parts.items()}
                return
            if y > top:
                yield slice(top, y), _divided(_taken(total, y - top), rows[top:y], columns)
                top = y
            for name, part in parts.items():
                if name not in total:
                    total[name] = np.zeros((min(tile[0], height), width, part.shape[-1]), np.float32)
                inside = total[name][:, x : x + tile[1]]
                inside += part[: inside.shape[0], : inside.shape[1]]
        yield slice(top, height), _divided(total, rows[top:], columns)

    def _parts(self, image, tile, starts):
        """(first row, first column, probabilities [*tile, num_classes] by output) of every tile, row by row."""
        places = [(y, x) for y in starts[0] for x in starts[1]]
        size = max(1, self.batch_size // self.streams)
        batches = [places[first : first + size] for first in range(0, len(places), size)]
        for batch, found in side_by_side(functools.partial(self._predict, image, tile), batches, self.streams):
            outputs = found()
            for number, (y, x) in enumerate(batch):
                yield y, x, {name: values[number] for name, values in outputs.items()}

    def _predict(self, image, tile, batch):
        """Probabilities [N, *tile, num_classes] by output of the tiles that begin at the places of `batch`."""
        pixels = np.empty((len(batch), *tile, self.bands), np.float32)
        pixels[:] = self._padding  # what is normalised to zero, at the bottom and right
        for padded, (y, x) in zip(pixels, batch):
            part = image[y : y + tile[0], x : x + tile[1]]
            padded[: part.shape[0], : part.shape[1]] = part
        return {name: np.asarray(values) for name, values in self._forward(pixels).items()}

    def _checked_tile(self, tile, fixed):
        """(height, width), or None for whole images. `fixed`: what the model was built for, None where it is free."""
        if tile is not None:
            tile = tuple(tile) if isinstance(tile, Iterable) else (tile, tile)
            if len(tile) != 2:
                raise ConfigError(f"tile must be one size or (height, width), got {tile}")
            if min(tile) < self._minimum:
                raise ConfigError(f"tile {tile} is too small: the network takes {self._minimum} or more pixels a side")
        if any(known and known != side for known, side in zip(fixed, tile or (None, None))):
            raise ConfigError(
                f"tile is {tile}, but the model was built for {fixed} (height, width): make that the tile"
            )
        return tile


def _joined(strips, height):
    """The strips of an image of `height` rows as one array of each output."""
    whole: dict[str, np.ndarray] = {}
    for rows, values in strips:
        if rows == slice(0, height):
            return values
        for name, part in values.items():
            if name not in whole:
                whole[name] = np.empty((height, *part.shape[1:]), part.dtype)
            whole[name][rows] = part
    return whole


def _taken(total, count):
    """The first `count` rows of sums, which then begin with the next one and end with zeros."""
    taken = {name: values[:count].copy() for name, values in total.items()}
    for values in total.values():
        values[:-count] = values[count:]
        values[-count:] = 0
    return taken


def _divided(total, rows, columns):
    """Sums over the tiles, divided by how many there are in each row and in each column."""
    for values in total.values():
        values /= rows[:, None, None]
        values /= columns[:, None]
    return total


def _check_finite(probabilities, image):
    for output, values in probabilities.items():
        if not np.isfinite(values.sum()):
            if not np.isfinite(image).all():
                raise DataError("the image has values that are not finite, and they are not declared as nodata")
            raise NotFinite(f"the network's output {output} is not finite: its training went wrong")


def tile_stride(tile: int, overlap: float) -> int:
    """Distance in pixels between tiles of `tile` pixels: ceil((1 - overlap) * tile)."""
    # Rounded, for in floating point (1 - 1/3) * 321 is just above 214, and its ceiling 215.
    return math.ceil(round((1 - overlap) * tile, 6))


def tile_starts(size: int, tile: int, stride: int) -> list[int]:
    """First pixels of the tiles that cover `size` pixels of one axis; the last tile is shifted back to end at `size`.

    A size up to that of the tile gives [0]. Raises ValueError where the stride is not in 1..tile.
    """
    if not 1 <= stride <= tile:
        raise ValueError(f"stride must be 1 to {tile}, the size of the tile, got {stride}")
    last = max(size - tile, 0)
    return [*range(0, last, stride), last]


def _cover(size, tile, starts):
    """[size] float32: how many of the tiles along one axis hold each pixel."""
    cover = np.zeros(size, np.float32)
    for start in starts:
        cover[start : start + tile] += 1
    return cover


def resize(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Bilinear resize of [H, W, C] to size (height, width), half-pixel centres, for up to 512 channels."""
    if tuple(size) == image.shape[:2]:
        return image
    # OpenCV drops a last axis of one.
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR).reshape(*size, image.shape[2])
