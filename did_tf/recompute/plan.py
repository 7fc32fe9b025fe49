"""Which features of a network are kept for the backward pass, and from which of them each is computed again.

Convolutions are what costs time, and normalised and activated features, copies in wide concatenations above all, are
what costs memory (Pleiss et al. 2017, "Memory-Efficient Implementation of DenseNets"). Kept are the outputs of
convolutions, sums and pools, and all between them is computed again. A convolution that makes features many of few, as
the last of a residual unit, is computed again too.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

import tensorflow as tf
from tensorflow import keras

from did_tf.recompute import needs

layers = keras.layers

EXPANDING = 2
"""A convolution whose output is at least as many times as large as its input is computed again."""


class Segment(NamedTuple):
    """Layers that are differentiated together.

    Attributes:
      made: the layer whose output they make: one that is kept, or an output of the network.
      layers: their names, in order; the last is `made`.
      sources: the layers whose outputs, all of them kept, they are computed from.
    """

    made: str
    layers: tuple[str, ...]
    sources: tuple[str, ...]


def feeds_of(network: keras.Model) -> dict[str, list[str]]:
    """{layer: names of the layers whose outputs it takes}, in the order in which they are computed.

    Raises:
      ValueError: a layer is called more than once.
    """
    made = {id(tensor): layer.name for layer in network.layers for tensor in tf.nest.flatten(layer.output)}
    feeds = {}
    for layer in network.layers:
        tensors = [] if isinstance(layer, layers.InputLayer) else tf.nest.flatten(layer.input)
        if any(id(tensor) not in made for tensor in tensors):
            raise ValueError(f"layer {layer.name!r} takes the output of a layer that is called more than once")
        feeds[layer.name] = [made[id(tensor)] for tensor in tensors]
    return feeds


def joined_feeds(network: keras.Model) -> dict[str, list[str]]:
    """As `feeds_of`, but that a concatenation takes what concatenations before it take: a dense block is a row of them.

    Raises:
      ValueError: as that.
    """
    feeds = feeds_of(network)
    joins = {layer.name for layer in network.layers if isinstance(layer, layers.Concatenate)}
    for name, taken in feeds.items():
        if name in joins:
            feeds[name] = [part for feed in taken for part in (feeds[feed] if feed in joins else [feed])]
    return feeds


def ends_of(network: keras.Model) -> dict[str, str]:
    """{output: name of the layer that makes it}."""
    made = {id(layer.output): layer.name for layer in network.layers}
    return {output: made[id(tensor)] for output, tensor in network.output.items()}


def leading_to(feeds: dict[str, list[str]], ends: Iterable[str]) -> list[str]:
    """Names of the layers that lead to the layers `ends`, in order; those of which a size alone is taken too."""
    wanted = {*ends}
    for name in reversed(feeds):
        wanted |= {*feeds[name]} if name in wanted else set()
    return [name for name in feeds if name in wanted]


def segments(network: keras.Model) -> list[Segment]:
    """The segments of a network from `models.build`, each after those that make its sources.

    Raises:
      ValueError: as `feeds_of` and `needs.needs`.
    """
    return _Plan(network).segments()


class _Plan:
    def __init__(self, network: keras.Model) -> None:
        self.layers = {layer.name: layer for layer in network.layers}
        feeds = joined_feeds(network)
        self.takes = {name: needs.values(self.layers[name], feeds[name]) for name in feeds}
        self.consumers: dict[str, list[str]] = {name: [] for name in feeds}
        for name, taken in self.takes.items():
            for feed in taken:
                self.consumers[feed].append(name)
        self.ends = set(ends_of(network).values())
        self.kept: set[str] = set()
        for name in self._needed():
            self.kept |= self._roots(name)
        self.kept = {self._after_activations(name) for name in self.kept}

    def segments(self) -> list[Segment]:
        """With what several of them would compute kept too."""
        while True:
            found = [self._segment(name) for name in self.takes if self._is_made(name)]
            shared = self._shared(found)
            if not shared:
                return found
            self.kept |= shared

    def _is_made(self, name):
        return bool(self.takes[name]) and (name in self.kept or name in self.ends)

    def _needed(self):
        for name, layer in self.layers.items():
            needed = needs.needs(layer)
            yield from self.takes[name] if needs.INPUTS in needed else ()
            yield from [name] if needs.OUTPUT in needed else ()

    def _roots(self, name):
        """The layers, none of them cheap, from which cheap ones alone lead to layer `name`; itself if it is none."""
        found, waiting = set(), [name]
        while waiting:
            name = waiting.pop()
            if self.takes[name] and self._is_cheap(name):
                waiting.extend(self.takes[name])
            else:
                found.add(name)
        return found

    def _is_cheap(self, name):
        layer = self.layers[name]
        return isinstance(layer, needs.CHEAP) or _expands(layer)

    def _after_activations(self, name):
        while len(self.consumers[name]) == 1:
            after = self.consumers[name][0]
            if not isinstance(self.layers[after], needs.ACTIVATIONS):
                break
            name = after
        return name

    def _segment(self, made):
        inner, sources, waiting = {made}, set(), [made]
        while waiting:
            for feed in self.takes[waiting.pop()]:
                if feed in self.kept or not self.takes[feed]:
                    sources.add(feed)
                elif feed not in inner:
                    inner.add(feed)
                    waiting.append(feed)
        in_order = [[name for name in self.takes if name in group] for group in (inner, sources)]
        return Segment(made, *map(tuple, in_order))

    def _shared(self, found):
        """Layers, where ways part, that more than one segment would compute, beside copies."""
        times = Counter(name for segment in found for name in segment.layers)
        return {
            name
            for name, count in times.items()
            if count > 1 and len(self.consumers[name]) > 1 and not isinstance(self.layers[name], needs.COPIES)
        }


def _expands(layer):
    """Whether a convolution gives `EXPANDING` times as many values as it takes."""
    if not isinstance(layer, (layers.Conv2D, layers.DepthwiseConv2D)) or isinstance(layer, needs.TRANSPOSED):
        return False
    rows, columns = layer.strides
    return layer.output.shape[-1] >= EXPANDING * rows * columns * layer.input.shape[-1]
