"""What a network holds in memory: the features of an image on their way through it, in inference and in training.

Counted from the graph, layer by layer, without weights and without the room that an operation needs to work in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tensorflow import keras

from did_tf.analysis.graph import Graph
from did_tf.analysis.update import IN_PLACE, bytes_of
from did_tf.models.layers import Normalize, check_size
from did_tf.recompute import needs
from did_tf.recompute.plan import ends_of, leading_to, segments


@dataclasses.dataclass(frozen=True)
class Activations:
    """Bytes of the features of one image, each in the type that its layer computes in.

    Attributes:
      outputs: of the outputs of all layers together, image and network's outputs included.
      inference: of those that exist at once, at most, where the layers on the way to the output run one after the
        other. A layer's output is there until the last layer that takes its values has run. A layer that changes values
        in their places (normalisation, activation, sum) writes over an input that nobody needs any more.
      training: of what the backward pass needs of the forward one: the inputs of convolutions, of normalisation and of
        max pooling, the outputs of activations and of max pooling, the masks of dropout, each once; and for the loss as
        much as each of the network's outputs.
      recomputing: likewise with `train.recompute`: what is kept, and all that the segment (`recompute.plan`) with the
        most features computes again.
    """

    outputs: int
    inference: int
    training: int
    recomputing: int


def activations(model: keras.Model, height: int, width: int, output: str = "main") -> Activations:
    """`Activations` of one image of height x width pixels.

    Args:
      model: Keras functional model of one image with the outputs that the loss is of, built in the precision meant.
      height, width: of the image.
      output: the one that is wanted in inference.

    Raises:
      ConfigError: the network takes no images as small as that.
      ValueError: as `Graph` does, or nobody knows what the backward pass needs of a layer.
    """
    for layer in model.layers:
        if isinstance(layer, Normalize):
            check_size((None, height, width), layer.minimum)
    graph = Graph(model, height, width)
    taken = {name: takes(graph, name) for name in graph.feeds}
    sizes = bytes_of(graph)
    ends = ends_of(model)
    in_place = {name for name, layer in graph.layers.items() if isinstance(layer, IN_PLACE)}
    outputs = sum(sizes[end] for end in ends.values())
    return Activations(
        outputs=sum(sizes.values()),
        inference=most_of_layers(leading_to(graph.feeds, [ends[output]]), taken, sizes, in_place),
        training=_kept(graph, taken, sizes) + outputs,
        recomputing=_kept_for_recomputing(model, sizes) + outputs,
    )


def takes(graph: Graph, name: str) -> list[str]:
    """Layers whose values layer `name` takes: not those of which it takes the size alone."""
    sources = graph.rule(name, 0)[1] if graph.feeds[name] else []
    return [feed for feed, along in zip(graph.feeds[name], sources) if any(x is None or x.size for x in along)]


def columns(model: keras.Model, crop: Sequence[int]) -> dict[str, str]:
    """{column: text} of `Activations` for one crop (height, width), in megabytes: for tables."""
    height, width = crop
    found = activations(model, height, width)
    return {"inference, MB": f"{found.inference / 1e6:.0f}", "training, MB": f"{found.training / 1e6:.0f}"}


def most_of_layers(
    order: Sequence[str], takes: Mapping[str, Sequence[str]], sizes: Mapping[str, int], in_place: set[str]
) -> int:
    """Bytes that exist at once, at most, where layers run one after the other; the last one's output stays.

    Args:
      order: names of the layers, each after those it takes.
      takes: {layer: layers whose outputs it takes}.
      sizes: {layer: bytes of its output}.
      in_place: layers that write their output over an input of its size, if that is not needed any more.
    """
    last = {taken: number for number, name in enumerate(order) for taken in takes[name]}
    held: dict[str, int] = {}
    most = 0
    for number, name in enumerate(order):
        ended = {taken for taken in takes[name] if last[taken] == number}
        # What an input in whose place the output goes has taken is taken once.
        reused = next((taken for taken in ended if name in in_place and held[taken] == sizes[name]), None)
        if reused:
            held.pop(reused)
        held[name] = sizes[name]
        most = max(most, sum(held.values()))
        for taken in ended - {reused}:
            held.pop(taken)
        if name not in last:  # of which the size alone is taken, or nothing
            held.pop(name)
    return most


def _kept(graph, taken, sizes):
    kept, more = set(), 0
    for name, layer in graph.layers.items():
        needed = needs.needs(layer)
        kept |= {*taken[name]} if needs.INPUTS in needed else set()
        kept |= {name} if needs.OUTPUT in needed else set()
        more += sizes[name] if needs.MASK in needed and layer.rate else 0
    return sum(sizes[name] for name in kept) + more


def _kept_for_recomputing(model, sizes):
    parts = segments(model)
    kept = {source for part in parts for source in part.sources}
    return sum(sizes[name] for name in kept) + max(sum(sizes[name] for name in part.layers[:-1]) for part in parts)
