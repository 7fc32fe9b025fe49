"""FC-DenseNet (Jegou et al. 2017, "The One Hundred Layers Tiramisu"), DID's closest rival: a U-Net of dense blocks.

Facts: papers.md section 6.
"""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow import keras

from did_tf.models.layers import DenseUpsampling
from did_tf.models.units import ImageShape, Units, check_counts, image_input

layers = keras.layers


def fc_densenet(
    num_classes: int,
    input_shape: ImageShape = (None, None, 3),
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    growth: int = 16,
    units: Sequence[int] = (4, 5, 7, 10, 12),
    bottleneck: int = 15,
    stem: int = 48,
    dropout: float = 0.2,
    bn_momentum: float = 0.99,
    bn_epsilon: float = 1e-4,
    name: str = "fc_densenet",
) -> keras.Model:
    """FC-DenseNet103: [N, H, W, C] pixel values -> {"main": float32 logits [N, H, W, num_classes]}.

    The resolution is halved after each block of the way down. Where a side is odd, its last row or column is pooled
    alone, and cut off on the way up; the authors' code leaves it out of the pooling. Multiples of 2 ** len(units) are
    best, and what the paper's crops are.

    Args:
      num_classes: number of classes.
      input_shape: (H, W, C); H and W may be None.
      mean, std: one value per band, in pixel values; default 127.5.
      growth: maps that a unit adds: 16; 12 in FC-DenseNet56.
      units: of the blocks on the way down, and in reverse on the way up: five of 4 in FC-DenseNet56, of 5 in 67.
      bottleneck: units of the block between them: 15; 4 and 5 in FC-DenseNet56 and 67.
      stem: filters of the first convolution.
      dropout: rate after every convolution but the first, the transposed ones and the last.
      bn_momentum: of the moving statistics. The authors used the batch's own in testing too.
      bn_epsilon: of batch normalisation; the default of the authors' library.

    Raises:
      ConfigError: there is no block on the way down, or an option is out of its range.
    """
    check_counts("fc_densenet", growth=growth, units=units, bottleneck=bottleneck, stem=stem)
    make = Units(dropout, momentum=bn_momentum, epsilon=bn_epsilon, initializer="he_uniform")
    image, x = image_input("fc_densenet", input_shape, mean, std, minimum=1)
    x = make.conv(x, stem, 3, "stem.conv1")
    skips = []
    for level, count in enumerate(units, 1):
        x, _ = _dense_block(make, x, count, growth, f"down{level}")
        skips.append(x)
        x = _halve(make, x, f"down{level}.transition")
    # From here on only the new maps of a block go up, or the number of maps would explode (section 3.2).
    x, new = _dense_block(make, x, bottleneck, growth, "bottleneck")
    for level, count in reversed(list(enumerate(units, 1))):
        here = f"decoder.up{level}"
        x = layers.Concatenate(name=f"{here}.skip")([_double(make, new, skips[level - 1], here), skips[level - 1]])
        x, new = _dense_block(make, x, count, growth, here)
    logits = make.conv(x, num_classes, 1, "head.main.conv")
    logits = layers.Activation("linear", dtype="float32", name="head.main.float32")(logits)
    return keras.Model(image, {"main": logits}, name=name)


def _dense_block(make, x, units, growth, name):
    """`units` times BN-ReLU-3x3(growth), each added to its input: (input and new maps, new maps)."""
    new = []
    for unit in range(1, units + 1):
        here = f"{name}.unit{unit}"
        new.append(make.bn_relu_conv_drop(x, growth, 3, here))
        x = layers.Concatenate(name=f"{here}.concat")([x, new[-1]])
    return x, layers.Concatenate(name=f"{name}.new")(new) if units > 1 else new[0]


def _halve(make, x, name):
    """Transition down: BN-ReLU-1x1 and 2x2 max pooling."""
    x = make.bn_relu_conv_drop(x, x.shape[-1], 1, name)
    return layers.MaxPooling2D(2, 2, padding="same", name=f"{name}.pool")(x)


def _double(make, new, skip, name):
    """Transition up: transposed 3x3 convolution with stride 2, cut to the size of `skip`."""
    x = layers.Conv2DTranspose(
        new.shape[-1], 3, strides=2, padding="same", kernel_initializer=make.new_initializer(), name=f"{name}.deconv"
    )(new)
    return DenseUpsampling(1, name=f"{name}.cut")([x, skip])
