"""What every layer of a network sees: its field of view, layer by layer (sunet.md Figure 1)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from tensorflow import keras

from did_tf.analysis.graph import Graph
from did_tf.analysis.measures import SIDES, image_of
from did_tf.common.errors import ConfigError, nearest


@dataclasses.dataclass(frozen=True)
class Field:
    """What the centre of a layer's output sees.

    Attributes:
      layer: its name.
      stride: (rows, columns) places of the source that the output has one more for in a larger image; infinite where it
        has as many places in any.
      size: (height, width) of the box around all places of the source that a path leads from to the centre; 0 where
        none does, infinite where the layer depends on the whole image.
    """

    layer: str
    stride: tuple[float, float]
    size: tuple[float, float]


def fields(model: keras.Model, source: str | None = None) -> list[Field]:
    """`Field` of every layer that a path leads to, in the order in which they are computed.

    Args:
      model: Keras functional model of one image.
      source: layer in whose output fields are counted; default the image.

    Raises:
      ConfigError: there is no such layer.
      ValueError: as `Graph` does.
    """
    names = [layer.name for layer in model.layers]
    if source and source not in names:
        raise ConfigError(f"no layer {source!r}{nearest(source, names)}; fields.csv of `draw` without it has all names")
    sizes: list[dict[str, tuple[float, ...]]] = []
    places: list[dict[str, tuple[int, ...]]] = []
    for side in SIDES:
        graph = Graph(model, side, side)
        start = source or image_of(graph)
        places.append(graph.sizes)
        axes = [{name: _at_centre(span) for name, span in spans(graph, start, axis)} for axis in (0, 1)]
        sizes.append({name: tuple(along[name] for along in axes) for name in axes[0]})
        if sizes[:-1] and sizes[-1] == sizes[-2]:
            break
    found = {name: tuple(map(_settled, size, sizes[-2][name])) for name, size in sizes[-1].items()}
    return [Field(name, _stride(start, name, *places[-2:]), found[name]) for name in found]


def _stride(start, name, before, last):
    """`Field.stride`, by the sizes of all layers in two images; it is exact, for `SIDES` differ by multiples of it."""
    grown = ([last[layer][a] - before[layer][a] for a in (1, 2)] for layer in (start, name))
    return tuple(of_start / own if own else math.inf for of_start, own in zip(*grown))


def _settled(size, before):
    """A size that is the same on a larger image; else the layer sees all of it."""
    return size if size == before else math.inf


Span = tuple[np.ndarray, np.ndarray]
"""(first, last) place of a source from which a path leads to each place of a layer along an axis, [copies, size] each.

First is above last where no path leads there.
"""


def spans(graph: Graph, start: str, axis: int) -> Iterator[tuple[str, Span]]:
    """(name, `Span` of the places of layer `start`) of each layer that a path leads to from there, in their order."""
    places = np.arange(graph.sizes[start][1 + axis])
    found: dict[str, Span] = {start: (np.tile(places, (graph.sizes[start][0], 1)),) * 2}
    yield start, found[start]
    last = {feed: name for name, feeds in graph.feeds.items() for feed in feeds}
    for name, feeds in graph.feeds.items():
        if name != start and any(feed in found for feed in feeds):
            found[name] = _span_of(graph, name, axis, found, len(places))
            yield name, found[name]
        for feed in feeds:
            if last[feed] == name:  # of large images there is not room for all
                found.pop(feed, None)


def _span_of(graph, name, axis, found, size):
    copies, length = graph.sizes[name][0], graph.sizes[name][1 + axis]
    first, last = np.full((copies, length), size), np.full((copies, length), -1)
    for feed, along in zip(graph.feeds[name], graph.rule(name, axis)[1]):
        if feed not in found:
            continue
        below, above = found[feed]
        for copy in range(max(copies, len(below))):
            sources, there = along[copy % len(along)], copy % len(below)
            low, high = _gathered(below[there], sources, size, np.min), _gathered(above[there], sources, -1, np.max)
            np.minimum(first[copy % copies], low, out=first[copy % copies])
            np.maximum(last[copy % copies], high, out=last[copy % copies])
    return first, last


def _gathered(values, sources, none, extreme):
    """The smallest or largest of the values of the sources of each place; `none` of those that are none."""
    if sources is None:
        return values
    return extreme(np.where(sources >= 0, values[sources], none), axis=1, initial=none)


def _at_centre(span):
    first, last = (ends[:, ends.shape[1] // 2] for ends in span)
    return float(max(last.max() - first.min() + 1, 0))
