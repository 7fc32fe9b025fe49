"""The blocks of a network, by the names of its layers: what each is made of, at which resolution, and what it takes."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.analysis.cost import takes
from did_tf.analysis.graph import Graph
from did_tf.models.layers import Normalize

SIDE = 1024
"""Side of the image that resolutions are told for."""


@dataclasses.dataclass(frozen=True)
class Block:
    """Layers whose names begin alike: by a word in the encoder, by two in the decoder and the heads.

    Where the resolution falls within such a block, and only falls, each resolution is a block.

    Attributes:
      name: what the names begin with.
      part: of the network, one of `models.PARTS`.
      layers: names of the layers, in order.
      stride: image pixels for which a feature stands, along an axis: that of most of its convolutions.
      ends: stride of its last layer.
      channels: of its last layer.
      convolutions: how many layers with kernels there are.
      parameters: trained ones.
      takes: positions among the blocks of those whose features it takes.
    """

    name: str
    part: str
    layers: tuple[str, ...]
    stride: int
    ends: int
    channels: int
    convolutions: int
    parameters: int
    takes: tuple[int, ...] = ()


def blocks(model: keras.Model) -> list[Block]:
    """The `Block`s of a model from `models.build`, in the order of their last layers. Raises ValueError as `Graph`."""
    graph = Graph(model, SIDE, SIDE)
    strides = {name: round(SIDE / max(1, size[1])) for name, size in graph.sizes.items()}
    groups: dict[str, list[str]] = {}
    for name in graph.feeds:
        groups.setdefault(_begins(graph, name), []).append(name)
    order = list(graph.feeds)
    parts = [(begins, part) for begins, names in groups.items() for part in _by_resolution(graph, names, strides)]
    parts.sort(key=lambda item: order.index(item[1][-1]))
    of = {name: number for number, (_, names) in enumerate(parts) for name in names}
    return [
        dataclasses.replace(_block(graph, begins, names, strides), takes=_taken(graph, names, of, number))
        for number, (begins, names) in enumerate(parts)
    ]


def columns(found: Sequence[Block]) -> list[int]:
    """A column for each block, beyond those of all that it takes, and no two at one stride in one column."""
    places: list[int] = []
    taken: set[tuple[int, int]] = set()
    for block in found:
        column = max((places[number] + 1 for number in block.takes if number < len(places)), default=0)
        while (column, block.stride) in taken:
            column += 1
        places.append(column)
        taken.add((column, block.stride))
    return places


def _begins(graph, name):
    if not graph.feeds[name] or isinstance(graph.layers[name], Normalize):
        return "image"
    words = name.split(".")
    return ".".join(words[: 1 if models.part(name) == "encoder" else 2])


def _by_resolution(graph, names, strides):
    """The layers in one list, or in several where the strides of the convolutions only grow."""
    along = [strides[name] for name in names if _has_kernel(graph.layers[name])]
    steps = sorted(set(along))
    if len(steps) < 2 or along != sorted(along):
        return [names]
    of = {name: max([step for step in steps if step <= strides[name]], default=steps[0]) for name in names}
    return [[name for name in names if of[name] == step] for step in steps]


def _block(graph, begins, names, strides):
    made = [graph.layers[name] for name in names]
    kernels = [layer for layer in made if _has_kernel(layer)]
    last = names[-1]
    return Block(
        name=begins,
        part=models.part(begins),
        layers=tuple(names),
        stride=Counter(strides[layer.name] for layer in kernels or made).most_common(1)[0][0],
        ends=strides[last],
        channels=tf.nest.flatten(graph.layers[last].output)[0].shape[-1],
        convolutions=len(kernels),
        parameters=sum(math.prod(v.shape) for layer in made for v in layer.trainable_variables),
    )


def _has_kernel(layer):
    return any(len(v.shape) > 1 for v in layer.trainable_variables)


def _taken(graph, names, of, own):
    """Positions of the blocks whose values, not sizes alone, the layers take."""
    return tuple(sorted({of[feed] for name in names for feed in takes(graph, name)} - {own}))
