"""What an update of a training holds in memory, counted: its operations one after the other, forward and back.

Each makes tensors and takes some that others have made; a tensor is there until the last one that takes it has run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from did_tf.analysis.graph import Graph
from did_tf.models.layers import Convolution, Dropout, ResizeBilinear
from did_tf.recompute import needs, plan

layers = keras.layers


class Step(NamedTuple):
    """An operation, or several that run as one.

    Attributes:
      layer: whose it is.
      takes: names of the tensors that it needs.
      makes: {name: bytes for a crop} of those that it makes.
      room: bytes for a crop that it works in.
      in_place: whether it writes what it makes over a tensor of that size which nobody else needs any more.
      weights: bytes of the gradients of weights that it makes; these stay until the end.
      weights_room: bytes that it works in, however many crops there are.
    """

    layer: str
    takes: tuple[str, ...]
    makes: Mapping[str, int]
    room: int = 0
    in_place: bool = False
    weights: int = 0
    weights_room: int = 0


class Held(NamedTuple):
    """What is held while each step runs.

    Attributes:
      steps: the steps.
      crop: [steps] bytes for each crop.
      weights: [steps] bytes however many crops there are.
    """

    steps: Sequence[Step]
    crop: np.ndarray
    weights: np.ndarray

    def most(self, crops: float) -> float:
        """Bytes at most, of so many crops at once."""
        return float((crops * self.crop + self.weights).max())

    def by_layer(self, crops: float) -> dict[str, int]:
        """{layer: bytes of its tensors for a crop} where the most is held: its features, their gradients, its masks."""
        number = int((crops * self.crop + self.weights).argmax())
        owners = {name: step.layer for step in self.steps for name in step.makes}
        there = next(itertools.islice(_run(self.steps), number, None))
        found = dict.fromkeys(owners.values(), 0)
        for name, size in there.items():
            found[owners[name]] += size
        return {layer: size for layer, size in found.items() if size}


def held(network: keras.Model, height: int, width: int, recompute: bool, of_loss: float = 0) -> Held:
    """`Held` of one pass of an update over crops of height x width pixels.

    Args:
      network: with the outputs that the loss is of, built in the precision meant.
      height, width: of the crops.
      recompute: whether features are computed again (`recompute.network`).
      of_loss: how many arrays of float32, like the logits of an output, its loss takes beside their gradient. Outputs
        come one after the other.

    Raises:
      ValueError: as `Graph` does, or nobody knows what the backward pass needs of a layer.
    """
    walk = _Walk(network, height, width, of_loss)
    walk.again() if recompute else walk.plain()
    steps = walk.steps
    crop = np.array([sum(there.values()) + step.room for step, there in zip(steps, _run(steps))])
    made = np.cumsum([step.weights for step in steps])
    return Held(steps, crop, made + np.array([step.weights_room for step in steps]))


def _run(steps: Sequence[Step]) -> Iterator[dict[str, int]]:
    """{tensor: bytes for a crop} of those that are there while each step runs."""
    last = {name: number for number, step in enumerate(steps) for name in step.takes}
    there: dict[str, int] = {}
    for number, step in enumerate(steps):
        ended = {name for name in step.takes if last[name] == number}
        for name, size in step.makes.items():
            reused = next((old for old in sorted(ended) if step.in_place and there[old] == size), None)
            if reused is not None:
                ended.remove(reused)
                there.pop(reused)
            there[name] = size
        yield there
        for name in ended | {name for name in step.makes if name not in last}:
            there.pop(name)


class _Walk:
    """Writes down the steps of a network. Tensors are called by their layers, or LAYER/what they are of it.

    What is computed again has the prefix `again`.
    """

    def __init__(self, network: keras.Model, height: int, width: int, of_loss: float) -> None:
        self.of_loss = of_loss
        self.network, self.graph = network, Graph(network, height, width)
        self.layers, self.sizes = self.graph.layers, bytes_of(self.graph)
        self.ends, self.steps = plan.ends_of(network), list[Step]()
        self.trained: set[str] = set()  # layers that weights lead to, or that have some
        for name, feeds in self.graph.feeds.items():
            if self.layers[name].trainable_variables or self.trained & {*feeds}:
                self.trained.add(name)

    def plain(self) -> None:
        self.takes = self._values(self.graph.feeds)
        for name in self.takes:
            self._forward(name)
        slopes = self._loss()
        for name in reversed(self.takes):
            self._back(name, slopes)

    def again(self) -> None:
        self.takes = self._values(plan.joined_feeds(self.network))
        for name in self.takes:
            self._forward(name)
        slopes = self._loss()
        for segment in reversed(plan.segments(self.network)):
            if segment.made in slopes:
                self._segment(segment, slopes)

    def _values(self, feeds):
        return {name: needs.values(self.layers[name], taken) for name, taken in feeds.items()}

    def _segment(self, segment, slopes):
        own = {segment.made: [self._slope(segment.made, slopes)]}
        again = {name: f"again/{segment.made}/{name}" for name in segment.layers}
        for name in segment.layers:
            if name != segment.made or self._looks_at_output(name):
                self._forward(name, again)
        for name in reversed(segment.layers):
            self._back(name, own, again)
        for source in segment.sources:
            if source in own:
                slopes.setdefault(source, []).extend(own[source])
                self._slope(source, slopes)  # summed up as they come

    def _loss(self):
        """Each output's gradient takes the place of the output."""
        slopes = {end: [f"{end}/loss"] for end in self.ends.values()}
        for end in slopes:
            room = int(self.of_loss * 4 * self._values_of(end))
            self.steps.append(Step(end, (end,), {f"{end}/loss": self.sizes[end]}, room, in_place=True))
        return slopes

    def _values_of(self, end):
        """How many numbers an output has for a crop."""
        return self.sizes[end] // tf.as_dtype(tf.nest.flatten(self.layers[end].output)[0].dtype).size

    def _forward(self, name, again=None):
        layer, size, again = self.layers[name], self.sizes[name], again or {}
        own, taken = again.get(name, name), [again.get(feed, feed) for feed in self.takes[name]]
        made = {own: size}
        if _drops(layer):  # random numbers and what they decide, a byte each
            self.steps.append(Step(name, (), {f"{own}/mask": size}, size // 2))
            taken.append(f"{own}/mask")
        elif isinstance(layer, layers.MaxPooling2D):  # where the largest stood
            made[f"{own}/mask"] = size // 4
        elif copied := self._spread(name):
            self.steps.append(Step(name, tuple(taken), {f"{own}/spread": copied}))
            taken = [f"{own}/spread"]
        room = size if self._spread(name) else self._half_resized(name)
        self.steps.append(Step(name, tuple(taken), made, room, isinstance(layer, IN_PLACE)))

    def _back(self, name, slopes, again=None):
        layer, again = self.layers[name], again or {}
        if name not in self.trained or (slope := self._slope(name, slopes)) is None:
            return
        before = [feed for feed in self.takes[name] if feed in self.trained]
        if isinstance(layer, layers.Add):  # each has the gradient of the sum
            for feed in before:
                slopes.setdefault(feed, []).append(slope)
            return
        taken, kept = (slope,), self._kept(name, again)
        if not isinstance(layer, CONVOLUTIONS):
            taken += kept
        room = (self._spread(name) or 0) + self._half_resized(name)
        for feed in before:
            made = f"{again.get(name, name)}/to/{feed}"
            step = Step(name, taken, {made: self.sizes[feed]}, room, isinstance(layer, BACK_IN_PLACE))
            self.steps.append(step)
            slopes.setdefault(feed, []).append(made)
        if layer.trainable_variables:
            size = sum(4 * int(np.prod(v.shape)) for v in layer.trainable_variables)
            self.steps.append(Step(name, (slope, *kept), {}, *self._products(name, size)))

    def _looks_at_output(self, name):
        """Whether the gradient needs what the layer has made, or has copied: what nobody needs is not computed."""
        layer = self.layers[name]
        return bool({needs.OUTPUT, needs.MASK} & {*needs.needs(layer)}) or bool(self._spread(name))

    def _kept(self, name, again):
        """Tensors of the forward pass that the layer's gradient takes."""
        layer, own = self.layers[name], again.get(name, name)
        needed = needs.needs(layer)
        kept = [again.get(feed, feed) for feed in self.takes[name]] if needs.INPUTS in needed else []
        kept = [f"{own}/spread"] if self._spread(name) else kept
        kept += [own] if needs.OUTPUT in needed else []
        return (*kept, *([f"{own}/mask"] if _drops(layer) or isinstance(layer, layers.MaxPooling2D) else []))

    def _slope(self, name, slopes):
        """The tensor with the gradient with respect to the output of a layer, None where it has none."""
        parts = slopes.get(name)
        if parts and len(parts) > 1:
            made = f"{name}/sum{len(self.steps)}"
            self.steps.append(Step(name, tuple(parts), {made: self.sizes[name]}, in_place=True))
            slopes[name] = [made]
        return slopes[name][0] if parts else None

    def _products(self, name, size):
        """(room, in place, bytes of gradients, room of these) of the gradient of a layer's weights."""
        layer, feed = self.layers[name], self.takes[name][0]
        if not self._by_products(name) or layer.kernel_size == (1, 1):
            return self._spread(name) or 0, False, size, 0
        # Padded features and slopes; the products of all taps.
        taps = zip(self.graph.sizes[feed][1:], layer.kernel_size, layer.dilation_rate)
        padded = math.prod(side + (kernel - 1) * dilation for side, kernel, dilation in taps)
        channels = self.layers[feed].output.shape[-1] + layer.filters
        return padded * channels * tf.as_dtype(layer.compute_dtype).size, False, size, size

    def _by_products(self, name):
        """Whether the gradient of its filter comes by products."""
        layer, feed = self.layers[name], self.takes[name][0]
        if not isinstance(layer, Convolution):
            return False
        _, height, width = self.graph.sizes[feed]
        channels = self.layers[feed].output.shape[-1]
        return layer.by_products(tf.TensorSpec((None, height, width, channels), tf.as_dtype(layer.compute_dtype)))

    def _spread(self, name):
        """Bytes of the copy of its input that a dilated convolution works on: TensorFlow parts and pads it."""
        layer = self.layers[name]
        if not _dilates(layer) or self._by_products(name):
            return None
        feed = self.takes[name][0]
        copies, *sides = self.graph.sizes[feed]
        share = 1.0
        for side, kernel, dilation in zip(sides, layer.kernel_size, layer.dilation_rate):
            more = (kernel - 1) * dilation if layer.padding == "same" else 0
            share *= -(-(side + more) // dilation) * dilation / side
        return int(self.sizes[feed] * share)

    def _half_resized(self, name):
        """Bytes of features that are resized along one axis, on their way to both."""
        if not isinstance(self.layers[name], ResizeBilinear):
            return 0
        return self.sizes[name] // self.graph.sizes[name][1] * self.graph.sizes[self.takes[name][0]][1]


def bytes_of(graph: Graph) -> dict[str, int]:
    """{layer: bytes of its output for an image}, in the type that it computes in."""
    found = {}
    for name, sizes in graph.sizes.items():
        tensor = tf.nest.flatten(graph.layers[name].output)[0]
        found[name] = int(np.prod(sizes)) * tensor.shape[-1] * tf.as_dtype(tensor.dtype).size
    return found


def _dilates(layer):
    plain = isinstance(layer, layers.Conv2D) and not isinstance(layer, needs.TRANSPOSED)
    return plain and {*layer.dilation_rate} != {1}


def _drops(layer):
    return isinstance(layer, (layers.Dropout, Dropout)) and bool(layer.rate)


CONVOLUTIONS: tuple[type, ...] = (layers.Conv2D, layers.DepthwiseConv2D, layers.Dense, *needs.TRANSPOSED)
BACK_IN_PLACE: tuple[type, ...] = (layers.ReLU, layers.Activation, layers.Softmax, layers.Dropout, Dropout)
IN_PLACE: tuple[type, ...] = (*BACK_IN_PLACE, layers.BatchNormalization)
IN_PLACE += (layers.Add, layers.Average, layers.Maximum, layers.Multiply)
"""Layers that write their output, or in the backward pass the gradient, over an input that nobody needs any more."""
