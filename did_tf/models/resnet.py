"""ResNet v1 (He et al. 2016) as an encoder, with strides that can be turned into dilation.

Shared by DUC, FCRN, Ladder's ResNet rows and the classifier. Facts: papers.md sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tensorflow import keras

from did_tf.common.errors import ConfigError
from did_tf.models.units import Units, check_choices, check_lengths

layers = keras.layers

UNITS = {14: (1, 1, 1, 1), 26: (2, 2, 2, 2), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""Bottleneck units of the four stages, res2 to res5, by depth, Table 1 of He et al. 2016.

14 and 26 are for small hardware and tests; no paper has them.
"""
BASIC = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}
"""Basic units of the four stages by depth, from the same table."""
STRIDES = (32, 16, 8, 4)
STEMS = ("7x7", "3x3")


def encoder(
    make: Units,
    x: keras.KerasTensor,
    depth: int = 50,
    output_stride: int = 32,
    stem: str = "7x7",
    dilations: Mapping[int, Sequence[int]] | None = None,
    width: int = 64,
    dropouts: Sequence[float] = (0, 0, 0, 0),
    halve: Callable[[keras.KerasTensor], keras.KerasTensor] | None = None,
) -> dict[int, keras.KerasTensor]:
    """ResNet without its classifier: {stride: features}, the last activated features at each stride, finest first.

    Strides stand on the first convolution of a stage, as in the original. Where the output stride leaves one out, the
    3x3 convolutions after it are dilated, and give on the subsampled grid what the strided network gives.

    Args:
      make: the network's `Units`.
      x: normalised image [N, H, W, C].
      depth: one of `UNITS`, or of `BASIC`, which has neither dilations of its own nor `halve`.
      output_stride: 32, 16, 8 or 4.
      stem: "7x7", or "3x3": three convolutions of 64, 64 and 128 (duc_hdc.md section 4.1.4).
      dilations: {stage: list with the dilation of each unit}, for stages 1 to 4, in place of the above.
      width: filters of the stem and of stage 1's 3x3 convolutions; 64 in all papers.
      dropouts: rate before the last convolution of each unit, one per stage, in [0, 1).
      halve: function of the features that does the last halving of the resolution in place of the stride.

    Raises:
      ValueError: an option has an unknown value, or not as many entries as there are stages or units.
    """
    known = {**UNITS, **BASIC}
    check_choices("resnet", depth=(depth, known), output_stride=(output_stride, STRIDES), stem=(stem, STEMS))
    check_lengths("resnet", 4, dropouts=dropouts)
    for stage, rates in (dilations or {}).items():
        check_lengths("resnet", known[depth][stage - 1], **{f"dilations[{stage}]": rates})
    if depth in BASIC and (dilations or halve):
        raise ConfigError(f"resnet: the units of depth {depth} take neither dilations nor halve")
    x = _stem(make, x, stem, width)
    stride, rate, taps = 4, 1, {}
    for stage, units in enumerate(known[depth], 1):
        strides, before = 1, rate
        if stage > 1 and stride < output_stride:
            stride *= 2
            if stride == output_stride and halve:
                x = halve(x)
            else:
                strides = 2
        elif stage > 1:
            rate *= 2
        rates = (dilations or {}).get(stage) or (rate,) * units
        for unit, dilation in enumerate(rates, 1):
            filters, dropout = width * 2 ** (stage - 1), dropouts[stage - 1]
            if depth in BASIC:
                x = basic(make, x, filters, f"stage{stage}.basic{unit}", strides, (before, dilation), dropout)
            else:
                x = bottleneck(make, x, filters, f"stage{stage}.unit{unit}", strides, dilation, dropout)
            strides, before = 1, dilation
        taps[stride] = x
    return taps


def basic(
    make: Units,
    x: keras.KerasTensor,
    filters: int,
    name: str,
    strides: int = 1,
    dilations: tuple[int, int] = (1, 1),
    dropout: float = 0.0,
) -> keras.KerasTensor:
    """Two 3x3 convolutions around a shortcut, projected where shapes change: [N, H, W, C] -> [N, h, w, filters].

    h and w are ceil(H / strides) and ceil(W / strides). The strides stand on the first of them, which has the first of
    the dilations; and dropout before the second.
    """
    (first, second), padding = dilations, "symmetric" if strides > 1 else "same"
    new = make.conv_bn_relu(x, filters, 3, f"{name}.conv1", strides=strides, dilation=first, padding=padding)
    new = make.conv_bn(make.drop(new, f"{name}.conv1", dropout), filters, 3, f"{name}.conv2", dilation=second)
    if strides > 1 or x.shape[-1] != filters:
        x = make.conv_bn(x, filters, 1, f"{name}.shortcut", strides=strides)
    return make.relu(layers.Add(name=f"{name}.add")([x, new]), name)


def bottleneck(
    make: Units,
    x: keras.KerasTensor,
    filters: int,
    name: str,
    strides: int = 1,
    dilation: int = 1,
    dropout: float = 0.0,
) -> keras.KerasTensor:
    """1x1, 3x3 and 1x1 around a shortcut, projected where shapes change: [N, H, W, C] -> [N, h, w, 4 * filters].

    h and w are ceil(H / strides) and ceil(W / strides); the strides stand on the first 1x1, the dilation on the 3x3,
    and dropout before the last 1x1.
    """
    new = make.conv_bn_relu(x, filters, 1, f"{name}.conv1", strides=strides)
    new = make.conv_bn_relu(new, filters, 3, f"{name}.conv2", dilation=dilation)
    new = make.conv_bn(make.drop(new, f"{name}.conv2", dropout), 4 * filters, 1, f"{name}.conv3")
    if strides > 1 or x.shape[-1] != 4 * filters:
        x = make.conv_bn(x, 4 * filters, 1, f"{name}.shortcut", strides=strides)
    return make.relu(layers.Add(name=f"{name}.add")([x, new]), name)


def _stem(make, x, stem, width):
    """Stride 4, centred on every fourth pixel: symmetric padding, whatever the size."""
    if stem == "7x7":
        x = make.conv_bn_relu(x, width, 7, "stem.conv1", strides=2, padding="symmetric")
    else:
        for i, (filters, strides) in enumerate(((width, 2), (width, 1), (2 * width, 1)), 1):
            x = make.conv_bn_relu(x, filters, 3, f"stem.conv{i}", strides=strides, padding="symmetric")
    x = layers.ZeroPadding2D(1, name="stem.pool.pad")(x)
    return layers.MaxPooling2D(3, 2, name="stem.pool")(x)
