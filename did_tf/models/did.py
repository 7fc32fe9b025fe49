"""DID, Dense In Dense (Hu 2018, shared/papers/did.md): dilated wide DenseNet encoder, progressive decoder.

Facts and disagreements between the paper and its code: papers.md section 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow import keras

from did_tf.common.kinds import number
from did_tf.models.densenet import dense_block, transition
from did_tf.models.placement import PLACEMENTS
from did_tf.models.units import (
    TASKS,
    ImageShape,
    Units,
    check_choices,
    check_counts,
    check_lengths,
    classify,
    image_input,
    resize,
    resize_to_image,
)

layers = keras.layers

MINIMUM = 17  # two cells at output stride 16: with one there is nothing to interpolate between
STEMS = ("3x3", "7x7")
DECODERS = ("did", "plain")


def did(
    num_classes: int,
    input_shape: ImageShape = (None, None, 3),
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    growth: int = 48,
    units: Sequence[int] = (6, 8, 8, 8),
    dilations: Sequence[int] = (1, 1, 2, 4),
    stem: str = "3x3",
    stem_norm: bool = True,
    stem_pool: int = 3,
    compression: float = 1.0,
    task: str = "segmentation",
    decoder: str = "did",
    smoothing: int = 1,
    deep_supervision: bool = True,
    dropout: float = 0.2,
    placement: str = "corners",
    use_bias: bool = True,
    bn_momentum: float = 0.997,
    name: str = "did",
) -> keras.Model:
    """DID network: [N, H, W, C] pixel values -> dict of float32 logits [N, H, W, num_classes].

    "main" is the paper's block1-output (the finest); with deep supervision "block2" and "block3" join it. For
    classification "main" alone, [N, num_classes], of the same encoder, which segmentation can start from.

    Args:
      num_classes: number of classes.
      input_shape: (H, W, C); H and W may be None, and are best 16n+1 (section 4.1, "Image Size").
      mean, std: one value per band, in pixel values; default 127.5.
      growth: maps that a unit of the dense blocks adds (Table 1).
      units, dilations: one for each of the four dense blocks (Table 1).
      stem: "3x3", three convolutions 64, 64, 128 (Table 1), or "7x7", one of 2 * growth (Table 3 rows 4-6).
      stem_norm: BN and ReLU after each convolution of the 3x3 stem; off as in the authors' code.
      stem_pool: kernel of the stem's max pool: 3 (Table 1) or 2 (text and code).
      compression: channels kept by the first two transitions and the third (section 3.1).
      task: "segmentation" or "classification". Decoder, smoothing, supervision and resizing are of segmentation alone.
      decoder: "did" (Fig. 2), or "plain": one head on block 4 (rows 3-12 of Table 3).
      smoothing: kernel of the two convolutions after the additions: 1 ("did1") or 3 ("did3").
      deep_supervision: whether the coarser outputs are there to be supervised.
      dropout: rate after every convolution of the blocks and transitions; 0 as in the authors' code.
      placement: of bilinear resizing, one of `PLACEMENTS`; "corners" is exact for sizes 16n+1.
      use_bias: biases on the pre-activation convolutions, as in the authors' code.
      bn_momentum: of the moving statistics.

    Raises:
      ConfigError: an option has an unknown value or one out of its range, or the input is smaller than 17 pixels.
    """
    check_choices("did", stem=(stem, STEMS), decoder=(decoder, DECODERS), smoothing=(smoothing, (1, 3)))
    check_choices("did", stem_pool=(stem_pool, (2, 3)), placement=(placement, PLACEMENTS), task=(task, TASKS))
    check_lengths("did", 4, units=units, dilations=dilations)
    check_counts("did", growth=growth, units=units, dilations=dilations)
    number("(0, 1]").check("did: compression", compression)
    make = Units(dropout, use_bias, bn_momentum)

    image, x = image_input("did", input_shape, mean, std, MINIMUM)
    x = _stem(make, x, stem, stem_norm, stem_pool, growth)
    taps = _encoder(make, x, growth, units, dilations, compression)
    if task == "classification":
        logits = classify(make.bn_relu(taps[-1], "head.main"), num_classes)
        return keras.Model(image, {"main": logits}, name=name)
    features = _did_decoder(make, taps, smoothing, placement) if decoder == "did" else {"main": taps[-1]}
    if not deep_supervision:
        features = {"main": features["main"]}
    return keras.Model(image, _heads(make, features, image, num_classes, placement), name=name)


def _stem(make, x, stem, norm, pool, growth):
    """Stride 4. Three 3x3 convolutions (64 with stride 2, 64, 128) or one 7x7 with stride 2; then max pooling."""
    if stem == "3x3":
        for i, (filters, strides) in enumerate(((64, 2), (64, 1), (128, 1)), 1):
            x = make.conv(x, filters, 3, f"stem.conv{i}", strides=strides, use_bias=not norm)
            x = make.bn_relu(x, f"stem.conv{i}") if norm else x
    else:
        x = make.conv(x, 2 * growth, 7, "stem.conv1", strides=2)
    return layers.MaxPooling2D(pool, 2, padding="same", name="stem.pool")(x)


def _encoder(make, x, growth, units, dilations, compression):
    """Raw outputs of the four dense blocks, at strides 4, 8, 16, 16 (Table 1)."""
    taps = []
    for block, (count, dilation) in enumerate(zip(units, dilations), 1):
        x = dense_block(make, x, count, growth, f"block{block}", dilation)
        taps.append(x)
        if block < 4:
            x = transition(make, x, int(x.shape[-1] * compression), f"transition{block}", pool=block < 3)
    return taps


def _did_decoder(make, taps, smoothing, placement):
    """Figure 2: every block through a linear 1x1 to the width of block 1, summed from coarse to fine."""
    width = taps[0].shape[-1]
    lateral = [make.conv(tap, width, 1, f"decoder.lateral{i}") for i, tap in enumerate(taps, 1)]
    fused = {"block3": layers.Add(name="decoder.add3")([lateral[3], lateral[2]])}
    for level, coarser, output in ((2, "block3", "block2"), (1, "block2", "main")):
        x = make.conv(fused[coarser], width, smoothing, f"decoder.smooth{level + 1}")
        x = resize(x, lateral[level - 1], placement, f"decoder.up{level + 1}")
        fused[output] = layers.Add(name=f"decoder.add{level}")([x, lateral[level - 1]])
    return {output: fused[output] for output in ("main", "block2", "block3")}


def _heads(make, features, image, num_classes, placement):
    """BN-ReLU-1x1 to the classes on each feature map, resized straight to the image's size."""
    logits = {}
    for output, x in features.items():
        x = make.bn_relu_conv(x, num_classes, 1, f"head.{output}", use_bias=True)
        logits[output] = resize_to_image(x, image, output, placement)
    return logits
