"""What the gradient of each kind of layer needs of the forward pass, and which layers are cheap to compute again."""

from __future__ import annotations

from collections.abc import Mapping

from tensorflow import keras

from did_tf.models.ladder import GridPooling
from did_tf.models.layers import DenseUpsampling, Dropout, Normalize, ResizeBilinear
from did_tf.models.phases import Interleave, Phases
from did_tf.models.sunet import Deconvolution

layers = keras.layers

TRANSPOSED = (layers.Conv2DTranspose, Deconvolution)
INPUTS, OUTPUT, MASK = "inputs", "output", "mask"


def needs(layer: keras.layers.Layer) -> tuple[str, ...]:
    """What the layer's gradient needs: `INPUTS`, `OUTPUT`, or the `MASK` of dropout.

    Raises:
      ValueError: nobody has said it of such a layer.
    """
    found = next((_NEEDS[kind] for kind in type(layer).__mro__ if kind in _NEEDS), None)
    if found is None:
        raise ValueError(f"layer {layer.name!r} of type {type(layer).__name__}: say in {__name__} what it needs")
    # That of a layer with an activation, a convolution or another, depends on that.
    activation = getattr(layer, "activation", None)
    if activation is None:
        return found
    rest = tuple(need for need in found if need != OUTPUT)
    return rest if activation is keras.activations.linear else (*rest, OUTPUT)


def values(layer: keras.layers.Layer, feeds: list[str]) -> list[str]:
    """Those of the layers `feeds` whose values a layer takes: of the second input of a resize the size counts alone."""
    return feeds[:1] if isinstance(layer, _TO_SIZE) else feeds


_NOTHING, _BOTH = (), (INPUTS, OUTPUT)
_LINEAR: tuple[type, ...] = (
    layers.InputLayer,
    layers.Add,
    layers.Average,
    layers.Concatenate,
    layers.ZeroPadding2D,
    layers.Cropping2D,
)
_LINEAR += (layers.AveragePooling2D, layers.GlobalAveragePooling2D, layers.UpSampling2D, layers.Flatten, Normalize)
_LINEAR += (ResizeBilinear, DenseUpsampling, GridPooling, Phases, Interleave)
_NEEDS: Mapping[type, tuple[str, ...]] = {
    **dict.fromkeys(_LINEAR, _NOTHING),
    **dict.fromkeys((layers.Conv2D, layers.DepthwiseConv2D, layers.Dense, *TRANSPOSED), (INPUTS,)),
    **dict.fromkeys((layers.BatchNormalization, layers.Multiply), (INPUTS,)),
    **dict.fromkeys((layers.ReLU, layers.Activation, layers.Softmax), (OUTPUT,)),
    **dict.fromkeys((layers.MaxPooling2D, layers.GlobalMaxPooling2D, layers.Maximum), _BOTH),
    **dict.fromkeys((layers.Dropout, Dropout), (MASK,)),
}
_TO_SIZE = (ResizeBilinear, DenseUpsampling, Interleave, Deconvolution)
COPIES: tuple[type, ...] = (layers.Concatenate, layers.ZeroPadding2D, Phases, Normalize)
"""Layers that cost a copy: computed again by everyone who needs their output."""
ACTIVATIONS: tuple[type, ...] = (layers.ReLU, layers.Activation, layers.Dropout, Dropout)
"""Layers after which features are kept in place of those before."""
CHEAP: tuple[type, ...] = (*COPIES, *ACTIVATIONS, layers.BatchNormalization)
"""Layers that cost little beside convolutions."""
