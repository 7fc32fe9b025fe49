"""From an image of any size to class probabilities: tiles, scales, mirrored and turned copies, averaged.

The protocol is that of the DID authors' evaluation code (papers.md section 1, "Evaluation").
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_pipelines.spec import DataError
from did_tf.common.errors import ConfigError, NotFinite
from did_tf.common.readout import CLASSES, Readout
from did_tf.common.streams import side_by_side
from did_tf.inference import rows as streams
from did_tf.inference.frozen import Forward
from did_tf.inference.rows import Mirrored, Rows, Scaled, Strips
from did_tf.inference.tiles import BLENDS, cover, profile, tile_starts, tile_stride
from did_tf.models.layers import Normalize

BATCH = 4
"""Tiles that go through the network at once where nothing else is said."""
AVERAGES = ("probabilities", "logits")
"""What is averaged over tiles, scales and copies."""


class Predictor:
    """Calls `model` on one image, whole or in tiles: `predictor(image)` gives the probabilities of every output.

    Args:
      model: keras.Model, [N, H, W, C] raw pixel values -> dict of logits [N, H, W, L].
      tile: height and width of the tiles, as one int or a pair; None takes the image whole.
      overlap: of neighbouring tiles, as a fraction of the tile; the stride is ceil((1 - overlap) * tile).
      scales: factors by which the image is resized; probabilities are averaged over them.
      flip: whether to average with the prediction for the mirrored image (left to right).
      turns: whether to average with those for each tile, or the whole image, turned by 90, 180 and 270 degrees.
      blend: how tiles are averaged, one of `BLENDS`.
      average: what is averaged, one of `AVERAGES`.
      batch_size: number of tiles that go through the network at once, in all streams.
      outputs: names of the outputs that are wanted, None for all: those of a large image take memory.
      forward: gives the probabilities, or logits where these are averaged, of a batch by output, those of `outputs` and
        in their order, in place of a call of `model`, as `engines.Engine.forward` makes it; from several threads where
        there are several streams.
      streams: how many batches share these tiles, side by side.
      readout: how logits become probabilities.

    Attributes:
      tile: (height, width) or None.
      overlap, scales, flip, turns, blend, average, batch_size, streams: as given.
      bands: number of bands that the model takes.
      classes: output -> number of its logits, of the outputs that are wanted.

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
        turns: bool = False,
        blend: str = BLENDS[0],
        average: str = AVERAGES[0],
        readout: Readout = CLASSES,
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
        for what, value, known in (("blend", blend, BLENDS), ("average", average, AVERAGES)):
            if value not in known:
                raise ConfigError(f"{what} must be one of {', '.join(known)}, got {value!r}")
        self.overlap, self.scales, self.flip, self.batch_size = overlap, tuple(scales), flip, batch_size
        self.turns, self.blend, self.average, self.streams = turns, blend, average, streams
        self._readout = readout

        _, height, width, self.bands = model.input_shape
        normalize = next((layer for layer in model.layers if isinstance(layer, Normalize)), None)
        self._minimum = normalize.minimum if normalize else 1
        self._padding = normalize.mean if normalize else (0,) * self.bands
        self.tile = self._checked_tile(tile, (height, width))
        if turns and height != width:
            raise ConfigError(
                f"turns need a network of any size or of squares, and this was built for {height}x{width}"
            )
        self.classes = {name: model.output[name].shape[-1] for name in outputs}

        finish = readout.probabilities if average == AVERAGES[0] else tf.identity

        # One signature for all sizes, so that the network is traced once.
        @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, height, width, self.bands), tf.float32)])
        def call(images):
            logits = model(images, training=False)
            return {name: finish(logits[name]) for name in outputs}

        self._call, self._forward = call, forward or call

    def __call__(self, image: np.ndarray) -> dict[str, np.ndarray]:
        """Class probabilities of one image.

        Args:
          image: [H, W, C] raw pixel values, uint8 or float.

        Returns:
          By output name, float32 [H, W, L], as of `Readout.probabilities`. They may be read-only.

        Raises:
          ValueError: the image is not [H, W, C] with the model's number of bands.
          DataError: the image has values that are not finite.
          NotFinite: the network gives such values for one that has none.
        """
        return streams.joined(self.strips(image), image.shape[0])

    def strips(self, image: Rows, begin: int = 0) -> Strips:
        """The same in strips of whole rows, from top to bottom, so that nobody has to hold all of it.

        Without tiles there is but one.

        Args:
          image: as for a call; or what gives rows of it when they are asked for, see `rows.Rows`.
          begin: the first row that is wanted: what lies above is not computed where there are tiles.

        Yields:
          (rows, by output name float32 [rows, W, L]).

        Raises:
          As a call does.
        """
        if len(image.shape) != 3 or image.shape[2] != self.bands:
            raise ValueError(f"image must be [height, width, {self.bands}], got {image.shape}")
        for rows, values in self._over_scales(image, begin):
            _check_finite(values, image)
            if self.average != AVERAGES[0]:
                values = {name: self._readout.probabilities_of(logits) for name, logits in values.items()}
            yield rows, values

    def told(self) -> dict[str, Any]:
        """What results depend on beside the network; of later settings those chosen, as earlier results have none."""
        always = {key: getattr(self, key) for key in ("tile", "overlap", "scales", "flip")}
        usual = {"turns": False, "blend": BLENDS[0], "average": AVERAGES[0]}
        return {**always, **{key: getattr(self, key) for key in usual if getattr(self, key) != usual[key]}}

    def graph(self, size: Sequence[int]) -> tuple[tf.Graph, list[tf.Tensor]]:
        """What one image or tile of a (height, width) runs through, for looking at; and the tensors that it ends in."""
        image = tf.TensorSpec((1, *(max(side, self._minimum) for side in size), self.bands), tf.float32)
        found = tf.function(self._call.python_function, autograph=False).get_concrete_function(image)
        return found.graph, list(found.outputs)

    def _over_scales(self, image, begin):
        """Strips of the mean over the scales, and the image's both ways."""
        if self.scales == (1,):
            return self._both_ways(image, begin)
        return streams.mean([self._at_scale(image, scale, begin) for scale in self.scales], whole=not self.tile)

    def _at_scale(self, image, scale, begin):
        height, *_ = size = image.shape[:2]
        scaled = [max(1, round(side * scale)) for side in size]
        if tuple(scaled) == tuple(size):
            return self._both_ways(image, begin)
        found = self._both_ways(Scaled(image, scaled), streams.row_at(scaled[0], height, begin))
        return streams.resized(found, scaled[0], size, begin)

    def _both_ways(self, image, begin):
        """Strips of the image or, with `flip`, the mean of it and its mirror image."""
        if not self.flip:
            yield from self._in_tiles(image, begin)
            return
        for (rows, total), (_, mirrored) in zip(self._in_tiles(image, begin), self._in_tiles(Mirrored(image), begin)):
            yield rows, {name: (values + mirrored[name][:, ::-1]) / np.float32(2) for name, values in total.items()}

    def _in_tiles(self, image, begin):
        """Strips of the mean over the tiles that cover a pixel, from the row `begin` on."""
        height, width = image.shape[:2]
        tile = self.tile or tuple(max(side, self._minimum) for side in (height, width))
        starts = [tile_starts(n, t, tile_stride(t, self.overlap)) for n, t in zip(image.shape, tile)]
        if starts == [[0], [0]]:
            for _, _, parts in self._parts(image, tile, starts):
                yield slice(begin, height), {name: part[begin:height, :width] for name, part in parts.items()}
            return
        profiles = [profile(side, self.blend) for side in tile]
        rows, columns = (cover(n, p, begun) for n, p, begun in zip(image.shape, profiles, starts))
        starts[0] = [y for y in starts[0] if y + tile[0] > begin]
        top = starts[0][0]
        total: dict[str, np.ndarray] = {}
        for y, x, parts in self._parts(image, tile, starts):
            if y > top:
                yield from _divided(_taken(total, y - top), rows, columns, top, begin)
                top = y
            for name, part in parts.items():
                if name not in total:
                    total[name] = np.zeros((min(tile[0], height), width, part.shape[-1]), np.float32)
                _add(total[name][:, x : x + tile[1]], part, profiles if self.blend != BLENDS[0] else None)
        yield from _divided(total, rows, columns, top, begin)

    def _parts(self, image, tile, starts):
        """(first row, first column, values [*tile, L] by output) of every tile, row by row."""
        size = max(1, self.batch_size // self.streams)
        batches = _batches(_cut(image, tile, starts), size)
        for batch, found in side_by_side(functools.partial(self._predict, tile), batches, self.streams):
            outputs = found()
            for number, (y, x, _) in enumerate(batch):
                yield y, x, {name: values[number] for name, values in outputs.items()}

    def _predict(self, tile, batch):
        """Values [N, *tile, L] by output of the tiles (row, column, pixels) of `batch`."""
        pixels = np.empty((len(batch), *tile, self.bands), np.float32)
        pixels[:] = self._padding  # what is normalised to zero, at the bottom and right
        for padded, (_, _, part) in zip(pixels, batch):
            padded[: part.shape[0], : part.shape[1]] = part
        found = self._forward(pixels)
        if not self.turns:
            return {name: np.asarray(values) for name, values in found.items()}
        turned = [self._forward(np.ascontiguousarray(np.rot90(pixels, turn, (1, 2)))) for turn in (1, 2, 3)]
        each = [found, *turned]
        return {name: np.mean([np.rot90(v[name], -t, (1, 2)) for t, v in enumerate(each)], axis=0) for name in found}

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


def _cut(image, tile, starts):
    """(first row, first column, pixels) of every tile; rows of the image are asked for once for a row of tiles."""
    for y in starts[0]:
        band = image[y : y + tile[0]]
        for x in starts[1]:
            yield y, x, band[:, x : x + tile[1]]


def _batches(things, size):
    things = iter(things)
    while batch := list(itertools.islice(things, size)):
        yield batch


def _add(total, part, profiles):
    """Adds a tile to the sums of the pixels that it covers, as much as `profiles` of rows and columns say."""
    height, width = total.shape[:2]
    inside = part[:height, :width]
    total += (
        inside if profiles is None else inside * np.multiply.outer(profiles[0][:height], profiles[1][:width])[..., None]
    )


def _taken(total, count):
    """The first `count` rows of sums, which then begin with the next one and end with zeros."""
    taken = {name: values[:count].copy() for name, values in total.items()}
    for values in total.values():
        values[:-count] = values[count:]
        values[-count:] = 0
    return taken


def _divided(total, rows, columns, top, begin):
    """The strip of means from the row `begin` on, of sums over the tiles that begin with the row `top`."""
    last, first = top + len(next(iter(total.values()))), max(top, begin)
    if first < last:
        values = {name: part[first - top :] for name, part in total.items()}
        for part in values.values():
            part /= rows[first:last, None, None]
            part /= columns[:, None]
        yield slice(first, last), values


def _check_finite(values, image):
    for output, found in values.items():
        if not np.isfinite(found.sum()):
            if isinstance(image, np.ndarray) and not np.isfinite(image).all():
                raise DataError("the image has values that are not finite, and they are not declared as nodata")
            raise NotFinite(f"the network's output {output} is not finite: its training went wrong")
