"""The forward and the backward pass of a network, which keeps its features, or computes most of them again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import tensorflow as tf
from tensorflow import keras

from did_tf.common import compat
from did_tf.models.layers import only_looking, seed_again
from did_tf.recompute import needs, plan

Outputs: TypeAlias = "dict[str, tf.Tensor]"
Back: TypeAlias = "Callable[[Mapping[str, tf.Tensor], Sequence[tf.Variable]], list[tf.Tensor]]"
"""From the gradients with respect to outputs, those that count, to these with respect to variables, 0 where none are.

It is to be called in the contexts in which the forward pass was: of dropout's seed, of frozen batch norm, of a phase.
"""


def stored(network: keras.Model) -> Callable[[tf.Tensor], tuple[Outputs, Back]]:
    """The network in training, image -> (outputs, `Back`), with all of its features kept."""

    def forward(image):
        with tf.GradientTape() as tape:
            outputs = network(image, training=True)

        def back(slopes, variables):
            made = [outputs[name] for name in slopes]
            return tape.gradient(made, variables, [*slopes.values()], tf.UnconnectedGradients.ZERO)

        return outputs, back

    return forward


class Recomputed:
    """As `stored`, with the features kept that `plan.segments` says; the statistics of batch norm move once.

    Args:
      network: functional model of one image, each of whose layers is called once.

    Raises:
      ValueError: as `plan.segments` does.
    """

    def __init__(self, network: keras.Model) -> None:
        self._layers = {layer.name: layer for layer in network.layers}
        self._feeds, self._ends = plan.joined_feeds(network), plan.ends_of(network)
        self._segments = plan.segments(network)
        self._trains = {name for name, layer in self._layers.items() if _takes_training(layer)}

    def __call__(self, image: tf.Tensor) -> tuple[Outputs, Back]:
        """(outputs, `Back`) of [N, H, W, C]."""
        values: dict[str, tf.Tensor] = {}
        for name, feeds in self._feeds.items():
            values[name] = self._call(name, [values[feed] for feed in feeds]) if feeds else image
        outputs = {output: values[end] for output, end in self._ends.items()}
        return outputs, lambda slopes, variables: self._back(values, slopes, variables)

    def _call(self, name, inputs):
        layer, options = self._layers[name], {"training": True} if name in self._trains else {}
        if isinstance(layer, keras.layers.Concatenate):  # of other inputs than its own, see `plan.joined_feeds`
            return tf.concat([tf.cast(x, layer.compute_dtype) for x in inputs], layer.axis)
        return layer(inputs if len(inputs) > 1 else inputs[0], **options)

    def _back(self, values, slopes, variables):
        waiting, found, before = _Sums(), _Sums(), None
        for output, slope in slopes.items():
            waiting.add(self._ends[output], slope)
        for segment in reversed(self._segments):
            slope = waiting.taken(segment.made)
            if slope is not None:
                before = self._through(segment, values, slope, before, waiting, found)
        gradients = [found.taken(variable.ref()) for variable in variables]
        return [tf.zeros_like(v) if g is None else g for g, v in zip(gradients, variables)]

    def _through(self, segment, values, slope, before, waiting, found):
        """Adds the gradients with respect to the sources of a segment to `waiting`, of its variables to `found`.

        Gives an operation that has run when all of this is done. `before` is that of the segment before.
        """
        # One segment after the other, or several hold their features at once. And TensorFlow would take what waits for
        # nothing for the same as what the forward pass has computed, and keep that.
        with tf.control_dependencies([slope, before] if before is not None else [slope]):
            sources, seeded = {name: tf.identity(values[name]) for name in segment.sources}, seed_again()
        watched = {name: value for name, value in sources.items() if self._feeds[name]}
        layers = [self._layers[name] for name in segment.layers]
        variables = [compat.tf_variable(v) for layer in layers for v in layer.trainable_variables]
        with tf.GradientTape() as tape, only_looking(), seeded:
            tape.watch(watched)
            made = self._run(segment, sources, values)
        gradients = tape.gradient(made, [*watched.values(), *variables], slope)
        sums = [waiting.add(name, gradient) for name, gradient in zip(watched, gradients)]
        sums += [found.add(v.ref(), gradient) for v, gradient in zip(variables, gradients[len(watched) :])]
        return tf.group(*(tensor for tensor in sums if tensor is not None))

    def _run(self, segment, sources, values):
        own = dict(sources)
        for name in segment.layers:
            taken = needs.values(self._layers[name], self._feeds[name])
            inputs = [own[feed] if feed in taken else _like(values[feed]) for feed in self._feeds[name]]
            own[name] = self._call(name, inputs)
        return own[segment.made]


class _Sums:
    """Sums of tensors by name: each is added when it comes, and does not wait for the others in memory."""

    def __init__(self) -> None:
        self._sums: dict[object, tf.Tensor] = {}

    def add(self, name, tensor):
        """Adds a tensor to the sum of a name, and gives that; None is nothing."""
        if tensor is not None:
            self._sums[name] = self._sums[name] + tensor if name in self._sums else tensor
        return self._sums.get(name)

    def taken(self, name):
        """The sum, or None; it is given once."""
        return self._sums.pop(name, None)


def _like(value):
    """A tensor of the same size, of which nothing else is taken."""
    shape = value.shape if value.shape.is_fully_defined() else tf.shape(value)
    return tf.zeros(shape, value.dtype)


def _takes_training(layer):
    return "training" in inspect.signature(layer.call).parameters
