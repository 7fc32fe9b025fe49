"""Ladder DenseNet (Krešo et al. 2017, shared/papers/ladder_densenet.md): down to 1/64 of the image, leanly back to 1/4.

Facts and disagreements between the paper and its code: papers.md section 2.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.errors import ConfigError
from did_tf.models import densenet, resnet
from did_tf.models.layers import Shape
from did_tf.models.placement import PLACEMENTS
from did_tf.models.units import (
    ImageShape,
    Units,
    check_absent,
    check_choices,
    check_counts,
    check_lengths,
    image_input,
    kaiming,
    resize,
    resize_to_image,
)

layers = keras.layers

MINIMUM = 17  # two cells at stride 16; the levels below may have a single one
DENSENETS = {f"densenet{depth}": units for depth, units in densenet.UNITS.items()}
RESNETS = {f"resnet{depth}": depth for depth in (*resnet.BASIC, *resnet.UNITS)}
_OF_DENSENETS = {"growth": 32, "units": None, "split": (), "stem_pool": 3, "dropout": 0.0}
CONTEXTS = ("block", "spp")
DECODERS = ("ladder", "plain")
GRIDS = (1, 2, 3, 6)  # of PSPNet's pyramid (Zhao et al. 2017), which the paper's is "similar to"


def ladder(
    num_classes: int,
    input_shape: ImageShape = (None, None, 3),
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    encoder: str = "densenet121",
    growth: int = 32,
    units: Sequence[int] | None = None,
    split: Collection[int] = (4,),
    stem_pool: int = 3,
    output_stride: int = 32,
    context: str = "block",
    decoder: str = "ladder",
    width: int = 128,
    aux: bool = True,
    dropout: float = 0.0,
    placement: str = "areas",
    bn_momentum: float = 0.9,
    name: str = "ladder",
) -> keras.Model:
    """Ladder network: [N, H, W, C] pixel values -> dict of float32 logits [N, H, W, num_classes].

    "main" is predicted at 1/4 of the image's size, "aux" from the context at 1/64. Of the ResNet ladder the paper only
    says that ResNet-50 takes the DenseNet's place: read as the encoder as it is, with three transitions up from 1/32,
    as its last stage of three units has no halves.

    Args:
      num_classes: number of classes.
      input_shape: (H, W, C); H and W may be None, and are best multiples of 64.
      mean, std: one value per band, in pixel values; default 127.5.
      encoder: "densenet121", "densenet169", "densenet201", or "resnet50" and others of `RESNETS`.
      growth: maps that a dense unit adds.
      units: of the four dense blocks, in place of the encoder's own.
      split: numbers of the dense blocks halved by pooling (section 3): (4,) for 1/64, (3, 4) for 1/128, () for 1/32.
      stem_pool: kernel of a DenseNet's max pool: 3, or 2 as in the authors' code.
      output_stride: 32, 16 or 8, of the encoder before splitting, the rest dilated; 8 is "dilated 8x" of Table 1.
      context: "block", projection and dilated 3x3, or "spp", spatial pyramid pooling in place of the 3x3.
      decoder: "ladder", or "plain": predicted straight from the context ("32x" of Table 1), as "main" alone.
      width: features of all of the way up; the context is first projected to four times as many.
      aux: whether the auxiliary output is there to be supervised.
      dropout: rate after every convolution of the dense blocks and transitions; the paper has none.
      placement: of bilinear resizing, one of `PLACEMENTS`; "areas" undoes 2x2 pooling in place.
      bn_momentum: of the moving statistics; 0.9 in the authors' code.

    Raises:
      ConfigError: an option has an unknown value or is not one of a ResNet's, or the image is smaller than 17 pixels.
    """
    check_choices("ladder", encoder=(encoder, (*DENSENETS, *RESNETS)), output_stride=(output_stride, (32, 16, 8)))
    check_choices("ladder", context=(context, CONTEXTS), decoder=(decoder, DECODERS), stem_pool=(stem_pool, (2, 3)))
    check_choices("ladder", placement=(placement, PLACEMENTS))
    for block in split:
        check_choices("ladder", split=(block, (1, 2, 3, 4)))
    if len(set(split)) < len(split):
        raise ConfigError(f"ladder: split names a block twice: {tuple(split)}")
    check_lengths("ladder", 4, units=units)
    check_counts("ladder", growth=growth, width=width, **({} if units is None else {"units": units}))
    make = Units(dropout, use_bias=False, momentum=bn_momentum, initializer=kaiming)

    image, x = image_input("ladder", input_shape, mean, std, MINIMUM)
    if encoder in RESNETS:
        chosen = {"growth": growth, "units": units, "split": tuple(split), "stem_pool": stem_pool, "dropout": dropout}
        check_absent("ladder", encoder, chosen, _OF_DENSENETS)
        taps = resnet.encoder(make, x, RESNETS[encoder], output_stride)
    else:
        units = units or DENSENETS[encoder]
        for block in split:
            if units[block - 1] < 2:
                raise ConfigError(f"ladder: split={tuple(split)} halves block {block}, which has 1 unit")
        taps = densenet.encoder(make, x, units, growth, output_stride=output_stride, split=split, stem_pool=stem_pool)
    coarsest = _context(make, taps.pop(max(taps)), context, width, placement)
    if decoder == "plain":
        features = {"main": coarsest}
    else:
        features = {"main": _way_up(make, coarsest, taps, width, placement), **({"aux": coarsest} if aux else {})}
    return keras.Model(image, _heads(features, image, num_classes, placement), name=name)


def _context(make, x, kind, width, placement):
    """Projection, then a wide view: a 3x3 convolution of dilation 2, or the pyramid and a 3x3 convolution."""
    x = make.bn_relu_conv(x, 4 * width, 1, "decoder.context.project")
    if kind == "block":
        return make.bn_relu_conv(x, width, 3, "decoder.context.dilated", dilation=2)
    levels = [x]
    for grid in GRIDS:
        here = f"decoder.context.grid{grid}"
        cells = make.bn_relu_conv(GridPooling(grid, name=f"{here}.pool")(x), 4 * width // len(GRIDS), 1, here)
        levels.append(resize(cells, x, "areas" if placement == "exact" else placement, f"{here}.up"))
    x = layers.Concatenate(name="decoder.context.concat")(levels)
    return make.bn_relu_conv(x, width, 3, "decoder.context.fuse")


def _way_up(make, x, taps, width, placement):
    """x through one transition up per tap, from the coarsest to the finest."""
    for stride in sorted(taps, reverse=True):
        x = _transition_up(make, x, taps[stride], width, f"decoder.up{stride}", placement)
    return x


def _transition_up(make, x, tap, width, name, placement):
    """The "TU" of Fig. 1: x resized to the tap's size, joined by the projected tap, blended by a 3x3 convolution."""
    x = resize(x, tap, placement, f"{name}.up")
    tap = make.bn_relu_conv(tap, width, 1, f"{name}.project")
    return make.bn_relu_conv(layers.Concatenate(name=f"{name}.concat")([x, tap]), width, 3, f"{name}.blend")


def _heads(features, image, num_classes, placement):
    """ReLU-1x1 to the classes on each feature map, resized straight to the image's size."""
    # Xavier: a variance by the fan-out of so few classes would start from large logits.
    make, logits = Units(), {}
    for output, x in features.items():
        x = make.conv(make.relu(x, f"head.{output}"), num_classes, 1, f"head.{output}.conv")
        logits[output] = resize_to_image(x, image, output, placement)
    return logits


@keras.utils.register_keras_serializable("did_tf")
class GridPooling(keras.layers.Layer):
    """Average pooling [N, H, W, C] -> [N, cells, cells, C], whatever the size.

    Cell i of an axis of n pixels averages pixels floor(i * n / cells) to ceil((i + 1) * n / cells): cells share pixels
    where n is no multiple of their number, or is below it.

    Args:
      cells: along each axis.
    """

    def __init__(self, cells: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cells = cells

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """The cells' means, in the dtype of the inputs."""
        rows, columns = (self._weights(tf.shape(inputs)[axis], inputs.dtype) for axis in (1, 2))
        return tf.einsum("ah,bw,nhwc->nabc", rows, columns, inputs)

    def _weights(self, size, dtype):
        """[cells, size]: the share of each pixel in each cell."""
        cell, pixel = tf.range(self.cells)[:, None], tf.range(size)[None]
        inside = (pixel >= cell * size // self.cells) & (pixel * self.cells < (cell + 1) * size)
        inside = tf.cast(inside, tf.float32)
        return tf.cast(inside / tf.reduce_sum(inside, 1, keepdims=True), dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """[N, cells, cells, C] of [N, H, W, C]."""
        return (input_shape[0], self.cells, self.cells, input_shape[3])

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, for saving."""
        return {**super().get_config(), "cells": self.cells}
