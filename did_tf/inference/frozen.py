"""A trained network as one graph, for inference alone: batch norms folded into the convolutions before them.

A batch norm that follows a convolution, with nothing but dropout between, is a factor and an offset of each filter, and
costs nothing then. One after a concatenation, as in networks of dense blocks, stays: one multiply-add with constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from did_tf.models.layers import Dropout
from did_tf.recompute.plan import ends_of, feeds_of, leading_to

Forward = Callable[[np.ndarray], Mapping[str, Any]]
"""Images [N, H, W, C] float32 -> {output: values}, as arrays or tensors."""
_DROPOUTS = (Dropout, keras.layers.Dropout, keras.layers.SpatialDropout2D)


def freeze(
    model: keras.Model,
    outputs: Sequence[str],
    finish: Callable[[tf.Tensor], tf.Tensor] = tf.identity,
    constant: bool = True,
) -> Any:
    """The network with the weights that it has at this moment, as a function of images.

    Args:
      model: functional keras.Model whose layers are called once each, [N, H, W, C] raw pixel values -> dict of logits.
      outputs: names of those that are wanted; what leads to others alone is left out.
      finish: what is made of the float32 logits of an output, within the graph.
      constant: whether weights are constants of the graph, which oneDNN puts into its own order once. It takes time
        and many times their bytes. Otherwise the model's weights must not change as long as the function is called.

    Returns:
      A `tf.ConcreteFunction` of float32 [N, H, W, C] that returns the list of what `finish` gives, in the order of
      `outputs`. With constants it holds no variables, and later weights do not reach it.
    """
    _, height, width, bands = model.input_shape
    signature = [tf.TensorSpec((None, height, width, bands), tf.float32, name="image")]

    @tf.function(autograph=False, input_signature=signature)  # which would change nothing, and take its time
    def forward(image):
        logits = folded(model, outputs, image)
        return [finish(tf.cast(logits[name], tf.float32)) for name in outputs]

    made = forward.get_concrete_function()
    return convert_variables_to_constants_v2(made) if constant else made


def folded(model: keras.Model, outputs: Sequence[str], image: tf.Tensor) -> dict[str, tf.Tensor]:
    """{output: logits} of images [N, H, W, C] in inference, as `model` gives them up to rounding."""
    feeds, ends, norms = feeds_of(model), ends_of(model), norms_after_convolutions(model)
    values: dict[str, Any] = {}
    for name in leading_to(feeds, [ends[output] for output in outputs]):
        layer, inputs = model.get_layer(name), [values[feed] for feed in feeds[name]]
        if not inputs:
            values[name] = image
        elif name in norms.values() or isinstance(layer, _DROPOUTS):
            values[name] = inputs[0]
        elif name in norms:
            values[name] = _convolved(inputs[0], layer, model.get_layer(norms[name]))
        else:
            values[name] = layer(tf.nest.pack_sequence_as(layer.input, inputs))
    return {output: values[ends[output]] for output in outputs}


def norms_after_convolutions(model: keras.Model) -> dict[str, str]:
    """{convolution: the batch norm that alone takes its output, through dropout or at once}, by their names."""
    feeds, layers = feeds_of(model), {layer.name: layer for layer in model.layers}
    takers: dict[str, list[str]] = {name: [] for name in feeds}
    for name, taken in feeds.items():
        for feed in taken:
            takers[feed].append(name)
    for end in ends_of(model).values():
        takers[end].append("")  # whoever asked
    found = {}
    for name, layer in layers.items():
        if isinstance(layer, keras.layers.Conv2D) and _is_plain(layer):
            taker = _only(takers[name])
            while isinstance(layers.get(taker), _DROPOUTS):
                taker = _only(takers[taker])
            if isinstance(layers.get(taker), keras.layers.BatchNormalization):
                found[name] = taker
    return found


def _only(names):
    return names[0] if len(names) == 1 else ""


def _convolved(inputs, convolution, norm):
    """A convolution whose filters have the batch norm's scale, and whose bias is what the norm adds."""
    dtype = convolution.compute_dtype
    with tf.init_scope():  # once, not with each image
        scale = norm.gamma * tf.math.rsqrt(norm.moving_variance + norm.epsilon)
        bias = convolution.bias if convolution.use_bias else 0.0
        offset = tf.cast(norm.beta + (bias - norm.moving_mean) * scale, dtype)
        kernel = tf.cast(convolution.kernel * scale, dtype)
    outputs = tf.nn.conv2d(
        tf.cast(inputs, dtype),
        kernel,
        convolution.strides,
        convolution.padding.upper(),
        dilations=convolution.dilation_rate,
    )
    return tf.nn.bias_add(outputs, offset)


def _is_plain(layer):
    others = (keras.layers.Conv2DTranspose, keras.layers.DepthwiseConv2D)  # which Keras 2 takes for a Conv2D
    return not isinstance(layer, others) and layer.groups == 1 and layer.activation is keras.activations.linear
