"""What an image takes of memory on its way through a network, before it is sent there: whole, or else in tiles.

The network's share is counted in its graph: the bytes of the tensors that are there at once where its operations run
one after the other.
"""

from __future__ import annotations

import contextlib
import functools
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines.content import in_threads
from data_pipelines.memory import free_memory
from data_pipelines.reading.decoding import TILED
from data_pipelines.reading.images import size_of
from data_pipelines.spec import DataError, Dataset, Sample
from did_tf.common import processor
from did_tf.common.errors import ConfigError
from did_tf.inference.predictor import Predictor

IN_TILES = "tiles_once"
"""The protocol that takes the least memory."""
ROUGH = 12_000
"""Bytes per pixel that no network here takes: what fits with as many needs no look at the network."""
SPARE, SPARE_ONEDNN = 1.5, 2.0
"""By which the count of a graph is multiplied: operations need room to work in, and those that run side by side keep
more than those in a row. With oneDNN's DID took 1.14 to 1.31 times as much as without, on a processor with AMX.
`make bench ARGS=predict` compares what is estimated with what is measured."""
FIXED = 300e6
"""Bytes that are added."""
_SIDE = 1025  # of the image that a graph is counted for
_ALIASES = ("Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient", "EnsureShape")
_IN_PLACE = ("Relu", "Relu6", "AddV2", "BiasAdd", "Mul", "Sub", "RealDiv", "Maximum", "Softmax", "FusedBatchNormV3")
_ELSEWHERE = ("Const", "Placeholder", "ReadVariableOp", "VarHandleOp")

Size = tuple[int, int]
"""(height, width) in pixels."""


class Fitting:
    """How images go through a network: by a protocol or, where that takes more memory than is free, `IN_TILES`.

    Args:
      make: gives the `Predictor` of a protocol by its name.
      protocol: that is wanted.
      itemsize: bytes of a value of the images.
      keep_all: whether the probabilities of a whole image are needed at once, as a call gives them, not in strips.
      beside: function of an image's size that gives the bytes that are taken beside the network, such as by a CRF.
      at_once: how many images are under way.
    """

    def __init__(
        self,
        make: Callable[[str], Predictor],
        protocol: str,
        itemsize: int,
        keep_all: bool = True,
        beside: Callable[[Size], float] | None = None,
        at_once: int = 1,
    ) -> None:
        self._beside, self._at_once = beside or (lambda size: 0.0), at_once
        self.make = functools.lru_cache(maxsize=None)(make)
        self._ways = [*dict.fromkeys((protocol, IN_TILES))]
        self._need = functools.lru_cache(maxsize=None)(lambda way: Need(self.make(way), keep_all))
        self._itemsize, self._free = itemsize, free_memory()

    def each(self, sizes: Mapping[str, Size]) -> dict[str, str]:
        """The protocol for each image; empty where it does not fit at all. A line on stderr says what is in tiles.

        Args:
          sizes: of the images, by their names.
        """
        chosen = {name: self._choose(size) for name, size in sizes.items()}
        if others := [name for name, way in chosen.items() if way == IN_TILES != self._ways[0]]:
            self._tell(f"{len(others)} of {len(sizes)} images", others[0], sizes[others[0]])
        return chosen

    def all(self, sizes: Mapping[str, Size]) -> str:
        """The one protocol for all images, so that scores are of one. A line on stderr says where that is in tiles.

        Raises:
          DataError: an image does not fit into memory at all.
        """
        if not sizes:
            return self._ways[0]
        name, size = max(sizes.items(), key=lambda item: item[1][0] * item[1][1])
        way = self._choose(size)
        self.check(way, name, size)
        if way != self._ways[0]:
            self._tell("all images", name, size)
        return way

    def check(self, way: str, name: str, size: Size) -> None:
        """Raises `DataError` where there is no `way` for an image."""
        if not way:
            raise DataError(f"{name} {self._told(size, self._ways[-1])}: cut it into parts, or {TILED}")

    def _choose(self, size):
        return next((way for way in self._ways if self._fits(size, way)), "")

    def _fits(self, size, way):
        return any(self._needed(size, way, rough) <= self._free for rough in (True, False))

    def _needed(self, size, way, rough=False):
        return self._at_once * (self._need(way)(size, self._itemsize, rough) + self._beside(size))

    def _tell(self, which, name, size):
        height, width = self.make(IN_TILES).tile
        print(
            f"note: {name} {self._told(size, self._ways[0])}: {which} go through the network in tiles of "
            f"{height}x{width} (protocol {IN_TILES})",
            file=sys.stderr,
        )

    def _told(self, size, way):
        needed, free = self._needed(size, way) / 1e9, self._free / 1e9
        return (
            f"({size[0]}x{size[1]}) would take {needed:.1f} GB of memory by protocol {way}, and {free:.1f} GB are free"
        )


def check_free(needed: float, what: str, way: str) -> None:
    """Raises `ConfigError` where `what` would take more than the memory that is free; `way` says what to do."""
    free = free_memory()
    if needed > free:
        raise ConfigError(f"{what} would take {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are free: {way}")


class Need:
    """Bytes that a `Predictor` takes for an image, at most, beside what the process has already.

    Args:
      predictor: of the network.
      keep_all: as of `Fitting`.
    """

    def __init__(self, predictor: Predictor, keep_all: bool) -> None:
        self.predictor, self.keep_all = predictor, keep_all

    def __call__(self, size: Size, itemsize: int, rough: bool = False) -> float:
        """The bytes.

        Args:
          size: (height, width) of the image.
          itemsize: bytes of one of its values.
          rough: count `ROUGH` for the network, at which nobody has to look then.
        """
        image = size[0] * size[1] * self.predictor.bands * itemsize
        drawing = size[0] * size[1] * (24 if itemsize == 1 else 100)  # contrasts of the latter are stretched
        return FIXED + max(4 * image, image + self._predicting(size, rough), image + drawing)

    def in_rows(self, size: Size, itemsize: int) -> float:
        """The bytes for an image that is read and predicted in rows of tiles, and of which nothing is kept."""
        predictor = self.predictor
        row = min(predictor.tile[0], size[0]) * size[1] * predictor.bands * itemsize / min(1.0, *predictor.scales)
        return FIXED + 4 * row + self._predicting(size, False)

    def _predicting(self, size, rough):
        predictor, pixels = self.predictor, size[0] * size[1]
        views = 2 if predictor.flip else 1
        enlarged = max(1.0, *predictor.scales)
        if predictor.tile:
            at_once = min(predictor.tile[0], size[0]) * size[1]
            batch = predictor.batch_size * predictor.tile[0] * predictor.tile[1]
            kept, copies = self._in_strips(size, views)
        else:
            at_once, batch = pixels, pixels * enlarged**2
            kept, copies = pixels * 3.0 * predictor.flip, 0.0
            if predictor.scales != (1,):  # the sums of the image at a scale, resized, and over the scales
                kept = pixels * (enlarged**2 * views + 2)
                copies = 4 * predictor.bands * pixels * (1 + enlarged**2)  # as float32, and resized
        answers = 4 * sum(predictor.classes.values())
        # Of the outputs, and its sums.
        mean = (8 * max(predictor.classes.values()) + answers) * pixels * self.keep_all
        per_pixel = ROUGH if rough else self._per_pixel
        return answers * kept + copies + mean + batch * per_pixel + 8 * at_once

    def _in_strips(self, size, views):
        """(pixels of answers, bytes of the image's rows as float32 and resized) that are there at once with tiles."""
        predictor, kept, copies = self.predictor, 0.0, 0.0
        for scale in predictor.scales:
            rows = min(predictor.tile[0], size[0] * scale)
            of_scale, of_image = rows * size[1] * scale, rows / scale * size[1]
            kept += of_scale * (views + 1)  # the sums, and a strip of each
            if scale != 1:
                kept += 2 * of_scale + 2 * of_image  # strips that wait to be resized, and resized
                copies += 4 * predictor.bands * (of_scale + of_image)
        if len(predictor.scales) > 1:
            kept += predictor.tile[0] * size[1]  # the mean of a strip
        return kept, copies

    @functools.cached_property
    def _per_pixel(self):
        """Bytes of a pixel in the network, with the batch that it is given and TensorFlow's copy of that."""
        batch = 8 * self.predictor.bands
        if tf.config.list_logical_devices("GPU"):  # whose memory is another; the answers come from there
            return batch + 4 * sum(self.predictor.classes.values())
        side = self.predictor.tile or (_SIDE, _SIDE)
        return batch + spare() * most_in_graph(*self.predictor.graph(side)) / (side[0] * side[1])


def spare() -> float:
    """By which the count of a graph is multiplied on this machine."""
    return SPARE_ONEDNN if processor.has_onednn() else SPARE


def sizes_of(dataset: Dataset, samples: Sequence[Sample]) -> dict[str, Size]:
    """Size of each sample as it is read, by the header of its file, less those that can't be read.

    Samples without files are as large as the largest of their records, or as the first. Raises `DataError`.
    """
    found: dict[str, Size] = {}
    without_file = [sample for sample in samples if sample.image is None and sample.window is None]
    if without_file:
        largest = max(without_file, key=lambda sample: getattr(sample, "length", 0))
        found = dict.fromkeys([sample.name for sample in without_file], dataset.read_image(largest).shape[:2])
    sizes = in_threads(lambda sample: _size_of(dataset, sample), samples)
    return found | {sample.name: size for sample, size in zip(samples, sizes) if size}


def _size_of(dataset, sample):
    """`Size` of a sample, or None where its file can't be read, which reading tells, or there is none."""
    if size := dataset.size(sample):
        return size
    if sample.window:
        return sample.window.height, sample.window.width
    with contextlib.suppress(DataError):
        return size_of(sample.image) if sample.image else None
    return None


def most_in_graph(graph: tf.Graph, results: Sequence[tf.Tensor]) -> int:
    """Bytes of the tensors of a graph that exist at once, at most, where operations run in their order.

    Weights are not counted. An operation that can do so puts its result in the place of an input that is not needed
    any more.

    Args:
      graph: whose tensors have known shapes; others count as nothing.
      results: tensors that are kept to the end.
    """
    operations = graph.get_operations()
    same, last = _aliases(operations), {}
    for number, operation in enumerate(operations):
        last.update({same[tensor.ref()]: number for tensor in operation.inputs})
    last.update({same[tensor.ref()]: len(operations) for tensor in results})
    held: dict[Any, int] = {}
    most = 0
    for number, operation in enumerate(operations):
        ended = [tensor for tensor in {same[t.ref()] for t in operation.inputs} if last[tensor] == number]
        made = {tensor.ref(): _bytes(tensor) for tensor in _made(operation) if tensor.ref() in last}
        places = [held.get(tensor, 0) for tensor in ended]
        if operation.type in _IN_PLACE and sum(made.values()) in places:
            held.update(dict.fromkeys(ended[places.index(sum(made.values())) :][:1], 0))
        held.update(made)
        most = max(most, sum(held.values()))
        for tensor in ended:
            held.pop(tensor, None)
    return most


def _aliases(operations):
    """{tensor: the one whose memory it shares}, by reference."""
    same: dict[Any, Any] = {}
    for operation in operations:
        shares = operation.type in _ALIASES and _bytes(operation.outputs[0]) == _bytes(operation.inputs[0])
        for tensor in operation.outputs:
            same[tensor.ref()] = same[operation.inputs[0].ref()] if shares else tensor.ref()
    return same


def _made(operation):
    """What an operation makes anew."""
    return [] if operation.type in (*_ELSEWHERE, *_ALIASES) else operation.outputs


def _bytes(tensor):
    known = tensor.shape.is_fully_defined() and tensor.dtype not in (tf.resource, tf.variant, tf.string)
    return int(np.prod(tensor.shape.as_list())) * tensor.dtype.size if known else 0
