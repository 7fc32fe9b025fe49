"""DenseNet (Huang et al. 2017): dense blocks and transitions, and the encoder of its ImageNet networks.

DID is built of the blocks, Ladder DenseNet of the encoder. Facts: papers.md sections 1 and 2.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tensorflow import keras

from did_tf.models.units import Units

layers = keras.layers

UNITS = {121: (6, 12, 24, 16), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
"""Units of the four dense blocks by depth, Table 1 of Huang et al."""


def dense_block(
    make: Units,
    x: keras.KerasTensor,
    units: int,
    growth: int,
    name: str,
    dilation: int = 1,
    bottleneck: int = 4,
    first: int = 1,
) -> keras.KerasTensor:
    """`units` dense units: BN-ReLU-1x1(bottleneck * growth), BN-ReLU-3x3(growth), concatenated to their input.

    [N, H, W, C] -> [N, H, W, C + units * growth]. The units are numbered from `first`, for blocks that are made in
    parts.
    """
    for unit in range(first, first + units):
        here = f"{name}.unit{unit}"
        new = make.bn_relu_conv_drop(x, bottleneck * growth, 1, f"{here}.conv1x1")
        new = make.bn_relu_conv_drop(new, growth, 3, f"{here}.conv3x3", dilation=dilation)
        x = layers.Concatenate(name=f"{here}.concat")([x, new])
    return x


def transition(make: Units, x: keras.KerasTensor, filters: int, name: str, pool: bool = True) -> keras.KerasTensor:
    """BN-ReLU-1x1 to `filters`, then 2x2 average pooling with stride 2 unless `pool` is off."""
    x = make.bn_relu_conv_drop(x, filters, 1, f"{name}.conv1x1")
    return _halve(x, f"{name}.pool") if pool else x


def encoder(
    make: Units,
    x: keras.KerasTensor,
    units: Sequence[int] = UNITS[121],
    growth: int = 32,
    compression: float = 0.5,
    output_stride: int = 32,
    split: Collection[int] = (),
    stem_pool: int = 3,
) -> dict[int, keras.KerasTensor]:
    """ImageNet DenseNet without its classifier: {stride: features}, the last raw features at each stride, finest first.

    Args:
      make: the network's `Units`.
      x: normalised image [N, H, W, C].
      units: of the four dense blocks.
      growth: maps that a unit adds.
      compression: share of the channels that a transition keeps (section 3, "Compression", of Huang et al.).
      output_stride: 32, 16 or 8, of the fourth block where nothing is split: the last transitions then don't pool, and
        the blocks after them are dilated by 2 and 4.
      split: numbers of the blocks that are halved by a 2x2 average pool (ladder_densenet.md section 3); each doubles
        the strides after it.
      stem_pool: kernel of the stem's max pool: 3 (ImageNet networks), or 2 (the Ladder authors' code).
    """
    x = make.conv(x, 2 * growth, 7, "stem.conv1", strides=2, padding="symmetric")
    x = make.bn_relu(x, "stem.conv1")
    x = layers.ZeroPadding2D(1, name="stem.pool.pad")(x) if stem_pool == 3 else x
    x = layers.MaxPooling2D(stem_pool, 2, padding="valid" if stem_pool == 3 else "same", name="stem.pool")(x)
    stride, dilation, taps = 4, 1, {}
    for block, count in enumerate(units, 1):
        name = f"block{block}"
        half = count // 2 if block in split else count
        x = taps[stride] = dense_block(make, x, half, growth, name, dilation)
        if half < count:
            stride *= 2
            x = dense_block(make, _halve(x, f"{name}.split"), count - half, growth, name, dilation, first=half + 1)
            taps[stride] = x
        if block < len(units):
            pool = 2 ** (block + 2) <= output_stride
            stride, dilation = (stride * 2, dilation) if pool else (stride, dilation * 2)
            x = transition(make, x, int(x.shape[-1] * compression), f"transition{block}", pool)
    return taps


def _halve(x, name):
    return layers.AveragePooling2D(2, 2, padding="same", name=name)(x)
