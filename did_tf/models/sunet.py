"""SUNet, stacked U-Nets (Shah et al. 2018, shared/papers/sunet.md): classification, and dilated for segmentation.

Facts and disagreements between the paper and its code: papers.md section 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.errors import ConfigError
from did_tf.models.layers import Shape
from did_tf.models.placement import PLACEMENTS
from did_tf.models.units import (
    TASKS,
    XAVIER,
    ImageShape,
    Initializer,
    Units,
    check_choices,
    check_counts,
    check_lengths,
    classify,
    image_input,
    kaiming,
    resize_to_image,
)

layers = keras.layers

MINIMUM = 17  # two cells at output stride 16: with one there is nothing to interpolate between
STRIDES = (32, 16, 8)


def sunet(
    num_classes: int,
    input_shape: ImageShape = (None, None, 3),
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    filters: int = 64,
    depth: int = 4,
    widths: Sequence[int] = (256, 512, 768, 1024),
    task: str = "segmentation",
    output_stride: int = 16,
    multigrid: bool = True,
    degridding: bool = False,
    placement: str = "areas",
    bn_momentum: float = 0.99,
    name: str = "sunet",
) -> keras.Model:
    """SUNet: [N, H, W, C] pixel values -> {"main": float32 logits}.

    The logits are [N, H, W, num_classes], or [N, num_classes] of a classification network. The encoder's weights have
    the same names and shapes whatever the task, output stride and multigrid are, so that each can start from another.

    Args:
      num_classes: number of classes.
      input_shape: (H, W, C); H and W may be None.
      mean, std: one value per band, in pixel values; default 127.5.
      filters: N of Table 1: 64 in SUNet-64, 128 in SUNet-128 and SUNet-7-128.
      depth: modules in each of blocks 2 and 3 (Table 1): 4, and 7 in SUNet-7-128.
      widths: outputs of the four blocks (Table 1): (256, 512, 768, 1024) in SUNet-64, (512, 1024, 1536, 2048) in
        SUNet-128, (512, 1280, 1792, 2304) in SUNet-7-128, where the authors' code has 2048 for the third.
      task: "segmentation" or "classification" (section 4). What follows is of segmentation alone, but for bn_momentum.
      output_stride: 32, 16 or 8: the transitions before blocks 3 and 4 are left out and the blocks dilated for it.
      multigrid: dilated modules have no strides, and rates that grow and shrink (section 5.2); else they keep their
        strides, at one rate (Table 4, "Strided conv").
      degridding: two more 3x3 convolutions of 512 before the classifier (section 5.3).
      placement: of the bilinear resizing, one of `PLACEMENTS`.
      bn_momentum: of the moving statistics; 0.99 in section 7.2.

    Raises:
      ConfigError: an option has an unknown value, or the input is smaller than 17 pixels.
    """
    check_choices(
        "sunet", task=(task, TASKS), output_stride=(output_stride, STRIDES), placement=(placement, PLACEMENTS)
    )
    check_lengths("sunet", 4, widths=widths)
    check_counts("sunet", filters=filters, depth=depth, widths=widths)
    make = Units(momentum=bn_momentum, initializer=kaiming)
    image, x = image_input("sunet", input_shape, mean, std, MINIMUM)
    if task == "classification":
        x = _encoder(make, x, filters, depth, widths, 32, multigrid)
        return keras.Model(image, {"main": classify(x, num_classes)}, name=name)
    x = _encoder(make, x, filters, depth, widths, output_stride, multigrid)
    x = _degrid(make, x) if degridding else x
    # Kaiming over a fan-out of so few classes would start with logits in the tens.
    x = Units(initializer=XAVIER).conv(x, num_classes, 1, "head.main.conv")
    return keras.Model(image, {"main": resize_to_image(x, image, "main", placement)}, name=name)


def _encoder(make, x, filters, depth, widths, output_stride, multigrid):
    """Table 1 down to the last BN-ReLU: activated features [N, ceil(H / output_stride), ..., widths[3]]."""
    x = make.conv(x, 64, 7, "stem.conv", strides=2, padding="symmetric")
    x = _residual(make, x, 128, "residual")
    stride, rate = 4, 1
    for block, (modules, width) in enumerate(zip((2, depth, depth, 1), widths), 1):
        for module in range(1, modules + 1):
            here, levels = f"block{block}.unet{module}", 2 if block < 4 else 1
            x = _unet(make, x, filters, width, here, levels, rate, multigrid)
        if block < 4 and stride < output_stride:
            x = layers.AveragePooling2D(2, 2, padding="same", name=f"transition{block}.pool")(x)
            stride *= 2
        elif block < 4:
            rate *= 2
    return make.bn_relu(x, "tail")


def _residual(make, x, filters, name):
    """Two 3x3 convolutions, the first with stride 2, and a 1x1 shortcut; all after the same BN-ReLU."""
    x = make.bn_relu(x, f"{name}.conv1")
    new = make.conv(x, filters, 3, f"{name}.conv1.conv", strides=2, padding="symmetric")
    new = make.bn_relu_conv(new, filters, 3, f"{name}.conv2")
    return layers.Add(name=f"{name}.add")([new, make.conv(x, filters, 1, f"{name}.shortcut", strides=2)])


def _unet(make, x, filters, width, name, levels=2, rate=1, multigrid=True):
    """U-net module (Fig. 1) with `width` outputs; with one level the u-net+ of block 4.

    1x1 to `filters`, down `levels` times and up again, 1x1 to `width`, around a skip connection. Everything is
    preceded by BN-ReLU. The first module of a block has a 1x1 convolution in its skip connection, of the same
    activated features.

    Args:
      rate: 1, or the factor 2 or 4 by which the features are finer than in the classification network.
      multigrid: see `sunet`.
    """
    activated = make.bn_relu(x, f"{name}.reduce")
    if x.shape[-1] != width:
        x = make.conv(activated, width, 1, f"{name}.shortcut")
    features = [make.conv(activated, filters, 1, f"{name}.reduce.conv")]
    for level in range(1, levels + 1):
        features.append(_down(make, features[-1], filters, f"{name}.e{level}", *_rates(rate, level, multigrid)))
    new = features.pop()
    for level in range(levels, 0, -1):
        like = features.pop()
        new = _up(make, new, like, filters, f"{name}.d{level}", *_rates(rate, level, multigrid))
        new = layers.Concatenate(name=f"{name}.concat")([new, like]) if level > 1 else new
    return layers.Add(name=f"{name}.add")([make.bn_relu_conv(new, width, 1, f"{name}.expand"), x])


def _rates(rate, level, multigrid):
    """(stride, dilation on the level's finer side, on its coarser side) of a module's 3x3 convolutions.

    Where multigrid leaves a stride out, the dilation doubles: for rate 2 the levels have (2, 4) and (4, 8).
    """
    if rate > 1 and multigrid:
        return 1, rate * 2 ** (level - 1), rate * 2**level
    return 2, rate, rate


def _down(make, x, filters, name, strides, fine, coarse):
    """E1 or E2: BN-ReLU-3x3 with stride, BN-ReLU-3x3."""
    x = make.bn_relu(x, f"{name}.down")
    if strides > 1 and fine > 1:
        # Convolutions with both are not to be had; this one reads every second point alone, at half the distance.
        x = layers.MaxPooling2D(1, strides, name=f"{name}.down.every{strides}")(x)
        strides, fine = 1, fine // strides
    x = make.conv(x, filters, 3, f"{name}.down.conv", strides=strides, dilation=fine, padding="symmetric")
    return make.bn_relu_conv(x, filters, 3, f"{name}.conv", dilation=coarse)


def _up(make, x, like, filters, name, strides, fine, coarse):
    """D1 or D2: BN-ReLU-transposed 3x3 to the size of `like`, BN-ReLU-3x3."""
    x = make.bn_relu(x, f"{name}.up")
    x = Deconvolution(filters, strides, coarse, make.new_initializer(), name=f"{name}.up.deconv")([x, like])
    return make.bn_relu_conv(x, filters, 3, f"{name}.conv", dilation=fine)


def _degrid(make, x):
    for i, dilation in ((1, 2), (2, 1)):
        x = make.conv_bn_relu(x, 512, 3, f"decoder.degrid{i}", dilation=dilation)
    return x


@keras.utils.register_keras_serializable("did_tf")
class Deconvolution(keras.layers.Layer):
    """Transposed 3x3 convolution of `[x, like]`: x [N, h, w, C] to like's size [N, H, W, any] -> [N, H, W, filters].

    It is the transpose of the symmetrically padded convolution of like's size with this stride and dilation: point i
    of x adds to the points strides * i + dilation * (-1, 0, 1) that are there, for even and odd sizes alike. The
    kernel is [3, 3, filters, C] whatever the stride and dilation are. Keras' own layer does not know the size that it
    has to come back to, and has strides or dilation, never both.

    Args:
      filters: channels of the output.
      strides: 1 or 2; h is ceil(H / strides), w ceil(W / strides).
      dilation: any with stride 1; with stride 2, 1 or even.
      kernel_initializer: a Keras initializer or the name of one.

    Raises:
      ConfigError: other strides, or a dilation that doesn't go with them.
    """

    stands = (1, None)

    def __init__(
        self, filters: int, strides: int = 1, dilation: int = 1, kernel_initializer: Initializer = XAVIER, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if strides not in (1, 2) or (strides == 2 and dilation > 1 and dilation % 2):
            raise ConfigError(f"strides {strides} with dilation {dilation}: takes 1 with any, 2 with 1 or an even one")
        self.filters, self.kernel_size = filters, (3, 3)
        self.strides, self.dilation_rate = (strides, strides), (dilation, dilation)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Sequence[Shape]) -> None:
        """Makes the kernel [3, 3, filters, C] and the bias [filters] for the shapes of x and like."""
        shape = (*self.kernel_size, self.filters, input_shape[0][-1])
        self.kernel = self.add_weight(name="kernel", shape=shape, initializer=self.kernel_initializer)
        self.bias = self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """In the dtype of x; of like only the size is taken."""
        x, like = inputs
        kernel, bias = tf.cast(self.kernel, x.dtype), tf.cast(self.bias, x.dtype)
        size, strides, dilation = tf.shape(like), self.strides[0], self.dilation_rate[0]
        if (strides, dilation) == (2, 1):
            # Cut, for explicit padding is what tf2onnx overlooks and LiteRT has not.
            shape = [size[0], 2 * tf.shape(x)[1] + 1, 2 * tf.shape(x)[2] + 1, self.filters]
            outputs = tf.nn.conv2d_transpose(x, kernel, shape, strides, "VALID")
            outputs = outputs[:, 1 : size[1] + 1, 1 : size[2] + 1]
        else:
            mirrored = tf.transpose(kernel[::-1, ::-1], [0, 1, 3, 2])
            outputs = tf.nn.convolution(x, mirrored, padding="SAME", dilations=dilation // strides)
            outputs = self._between_zeros(outputs)[:, : size[1], : size[2]] if strides == 2 else outputs
        return tf.ensure_shape(tf.nn.bias_add(outputs, bias), self.compute_output_shape((x.shape, like.shape)))

    def _between_zeros(self, x):
        """[N, h, w, C] -> [N, 2h, 2w, C]: a zero after each row and column."""
        shape = tf.shape(x)
        columns = tf.concat([x, tf.zeros_like(x)], -1)
        rows = tf.reshape(columns, [shape[0], shape[1], 2 * shape[2] * self.filters])
        rows = tf.concat([rows, tf.zeros_like(rows)], -1)
        return tf.reshape(rows, [shape[0], 2 * shape[1], 2 * shape[2], self.filters])

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """Of the shapes of x and like."""
        x, like = input_shape
        return (x[0], like[1], like[2], self.filters)

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, for saving."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"filters": self.filters, "strides": self.strides[0], "dilation": self.dilation_rate[0]}
        return {**super().get_config(), **own, "kernel_initializer": initializer}
