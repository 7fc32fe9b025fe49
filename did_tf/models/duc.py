"""ResNet-DUC-HDC (Wang et al. 2018, shared/papers/duc_hdc.md): dense upsampling and hybrid dilation on a ResNet v1.

Facts and disagreements between the paper and its code: papers.md section 3.
"""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow import keras

from did_tf.common.errors import ConfigError
from did_tf.models import resnet
from did_tf.models.layers import DenseUpsampling
from did_tf.models.placement import PLACEMENTS
from did_tf.models.units import ImageShape, Units, check_choices, check_counts, image_input, kaiming, resize_to_image

layers = keras.layers

MINIMUM = 9  # two cells at output stride 8: with one there is nothing to interpolate between
STRIDES = (8, 4)
CELLS = (1, 2)
ASPP_STEP = 6  # the branches' dilations are 6, 12, 18, ...

DILATIONS: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "plain": ((2,), (4,)),
    "none": ((1,), (1,)),
    "conv": ((2, 1), (2, 1)),
    "rf": ((1, 2, 3), (3, 4, 5)),
    "bigger": ((1, 2, 5, 9), (5, 9, 17)),
}
"""The rates that successive units of res4b and of res5b take in turn (section 4.1.3); "plain" is section 4.1.1's."""
# Units that are left over at the end begin the next group, but here they keep the plain rate.
PLAIN_REST = ("rf",)

# Factors of the successive steps to full resolution of the learned alternatives (section 4.1.2).
DECONVOLUTIONS = {"deconv8": (8,), "deconv2x4": (2, 4)}
UPSAMPLINGS = ("duc", "bilinear", *DECONVOLUTIONS)


def duc(
    num_classes: int,
    input_shape: ImageShape = (None, None, 3),
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    depth: int = 101,
    stem: str = "7x7",
    output_stride: int = 8,
    dilation: str = "bigger",
    aspp: int = 4,
    cell: int = 2,
    upsampling: str = "duc",
    width: int = 64,
    placement: str = "exact",
    bn_momentum: float = 0.9,
    bn_epsilon: float = 1e-6,
    name: str = "duc",
) -> keras.Model:
    """ResNet-DUC-HDC: [N, H, W, C] pixel values -> {"main": float32 logits [N, H, W, num_classes]}.

    The network's own resolution is ceil(H / cell) with "duc", ceil(H / output_stride) with "bilinear", and that of the
    image with the deconvolutions.

    Args:
      num_classes: number of classes.
      input_shape: (H, W, C); H and W may be None, and are best multiples of the output stride: the last features of
        other sizes reach over the edge.
      mean, std: one value per band, in pixel values; default 127.5.
      depth: of the ResNet: 101 or 152 in the paper; 14, 26 and 50 are there too.
      stem: "7x7", the original, or "3x3", three convolutions (section 4.1.4, the better network).
      output_stride: "DS" of Table 1: 8, or 4, where the rates are those that keep the fields of stride 8.
      dilation: one of `DILATIONS`; at output stride 4 "plain" alone, as in the paper.
      aspp: parallel convolutions that are summed: 0, 4 or 6 in Table 1. 0 is one undilated convolution: the paper
        doesn't say more, and the authors' code can't do it.
      cell: side of the square of pixels that one prediction stands for, 1 or 2 (section 4.1.2).
      upsampling: "duc"; "bilinear" (the baseline), or "deconv8" and "deconv2x4": deconvolutions with kernels of twice
        their factor, on as many channels as DUC has, so that they have DUC's parameters and few more. The first of two
        keeps the number of values, its channels being fewer by the square of its factor.
      width: filters of the stem and of stage 1's bottlenecks; 64 in the paper.
      placement: of bilinear resizing (the baseline, and cells of 2), one of `PLACEMENTS`. With "exact" a prediction of
        DUC stands in the middle of its cell.
      bn_momentum: of the moving statistics; 0.9 is the default of the authors' framework.
      bn_epsilon: of batch normalisation.

    Raises:
      ConfigError: an option has a bad value, or the input is smaller than 9 pixels.
    """
    check_choices("duc", output_stride=(output_stride, STRIDES), dilation=(dilation, DILATIONS), cell=(cell, CELLS))
    check_choices("duc", upsampling=(upsampling, UPSAMPLINGS), depth=(depth, resnet.UNITS))
    check_choices("duc", placement=(placement, PLACEMENTS))
    check_counts("duc", width=width)
    if aspp < 0:
        raise ConfigError(f"duc: aspp must be 0 or more, got {aspp}")
    if output_stride != 8 and (dilation != "plain" or upsampling in DECONVOLUTIONS):
        raise ConfigError(
            f"duc: output_stride={output_stride} goes with dilation='plain' and upsampling 'duc' or 'bilinear', "
            f"got {dilation!r} and {upsampling!r}"
        )
    make = Units(use_bias=False, momentum=bn_momentum, epsilon=bn_epsilon, initializer=kaiming)
    image, x = image_input("duc", input_shape, mean, std, MINIMUM)
    dilations = unit_dilations(depth, dilation) if output_stride == 8 else None
    x = resnet.encoder(make, x, depth, output_stride, stem, dilations, width)[output_stride]
    return keras.Model(
        image, {"main": _head(x, image, num_classes, aspp, output_stride, cell, upsampling, placement)}, name=name
    )


def unit_dilations(depth: int, dilation: str) -> dict[int, tuple[int, ...]]:
    """{stage: dilation of each unit} at output stride 8 for stages 3 and 4, the paper's res4b and res5b.

    A stage's first unit counts: "23 blocks" are all of res4 of a ResNet-101.

    Args:
      depth: of the ResNet.
      dilation: one of `DILATIONS`.
    """
    found = {}
    for stage, group, plain in zip((3, 4), DILATIONS[dilation], DILATIONS["plain"]):
        units = resnet.UNITS[depth][stage - 1]
        groups, left = divmod(units, len(group))
        found[stage] = group * groups + (plain * left if dilation in PLAIN_REST else group[:left])
    return found


def _head(x, image, classes, aspp, stride, cell, upsampling, placement):
    """Float32 logits at the image's size from features [N, h, w, C]."""
    if upsampling == "bilinear":
        return resize_to_image(_aspp(x, classes, aspp), image, "main", placement)
    factor = stride // cell
    x = _aspp(x, classes * factor**2, aspp)
    if upsampling in DECONVOLUTIONS:
        x, factor, cell = _deconvolutions(x, classes, DECONVOLUTIONS[upsampling]), 1, 1
    logits = DenseUpsampling(factor, cell, name="head.main.dense", dtype="float32")([x, image])
    return logits if cell == 1 else resize_to_image(logits, image, "main", placement)


def _aspp(x, channels, branches):
    """Sum of `branches` dilated 3x3 convolutions; of none, one that is not dilated."""
    # Xavier as in the authors' code: a variance by the fan-out would start from logits many times the features.
    make = Units()
    rates = [ASPP_STEP * branch for branch in range(1, branches + 1)] or [1]
    scores = [make.conv(x, channels, 3, f"head.main.aspp{i}", dilation=rate) for i, rate in enumerate(rates, 1)]
    return layers.Add(name="head.main.sum")(scores) if branches > 1 else scores[0]


def _deconvolutions(x, classes, factors):
    for i, factor in enumerate(factors, 1):
        channels = classes if i == len(factors) else x.shape[-1] // factor**2
        x = layers.Conv2DTranspose(channels, 2 * factor, factor, padding="same", name=f"head.main.deconv{i}")(x)
    return x
