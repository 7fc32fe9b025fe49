"""FCRN, fully convolutional residual network (Wu et al. 2016, shared/papers/fcrn_online_bootstrapping.md).

A dilated ResNet v1 with one dilated convolution as its classifier. Facts: papers.md section 4.
"""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow import keras

from did_tf.common.errors import ConfigError
from did_tf.models import resnet
from did_tf.models.phases import Interleave, Phases
from did_tf.models.placement import PLACEMENTS
from did_tf.models.units import (
    ImageShape,
    Units,
    check_choices,
    check_counts,
    check_lengths,
    check_rates,
    image_input,
    kaiming,
    resize_to_image,
)

STRIDES = (16, 8, 4)
KERNELS = (1, 3, 5, 7)


def fcrn(
    num_classes: int,
    input_shape: ImageShape = (None, None, 3),
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    depth: int = 101,
    output_stride: int = 8,
    kernel: int = 5,
    dilation: int = 12,
    dropouts: Sequence[float] = (0, 0, 0, 0),
    simulation: bool = False,
    width: int = 64,
    placement: str = "exact",
    bn_momentum: float = 0.997,
    bn_epsilon: float = 1e-5,
    name: str = "fcrn",
) -> keras.Model:
    """FCRN: [N, H, W, C] pixel values -> {"main": float32 logits [N, H, W, num_classes]}.

    Weights have the same names and shapes whatever the stride, the dilation and the simulation: a network trained at
    one stride can be tested at half of it, with `simulation` or with the stride halved and the dilation doubled. Both
    are the same function (`did_tf.models.phases` says for which sizes).

    Args:
      num_classes: number of classes.
      input_shape: (H, W, C); H and W may be None.
      mean, std: one value per band, in pixel values; default 127.5.
      depth: of the ResNet: 50, 101 or 152; 14 and 26 are for small hardware.
      output_stride: of the score map: 16, 8 or 4 ("resolution" 1/16 to 1/4 in Tables 1 to 4).
      kernel: of the classifier: 3, 5 or 7 (Tables 1 and 2), or 1, a linear layer.
      dilation: of the classifier; 6, 12 or 18 in Tables 1 and 2.
      dropouts: rate before the last convolution of each residual unit, for each of the four stages (section 4.5, "some
        of the top-most blocks"; no rate is given: the authors' later work has (0, 0, 0.3, 0.5)).
      simulation: score map at half the stride, from four shifted passes (section 3.2, testing). Not at stride 4,
        where no halving but the stem's is left.
      width: filters of the stem and of stage 1's bottlenecks; 64 in the paper.
      placement: of the bilinear resizing of the score map, one of `PLACEMENTS`; feature i stands at pixel
        output_stride * i, and "corners" is exact for sizes 8n+1 alone.
      bn_momentum: of the moving statistics.
      bn_epsilon: of batch normalisation.

    Raises:
      ConfigError: an option has a bad value, or the input has fewer than output_stride + 1 pixels.
    """
    check_choices("fcrn", depth=(depth, resnet.UNITS), output_stride=(output_stride, STRIDES), kernel=(kernel, KERNELS))
    check_choices("fcrn", placement=(placement, PLACEMENTS))
    check_lengths("fcrn", 4, dropouts=dropouts)
    check_counts("fcrn", dilation=dilation, width=width)
    check_rates("fcrn", dropouts=dropouts)
    if simulation and output_stride == 4:
        raise ConfigError("fcrn: simulation halves an output_stride of 16 or 8, got 4")
    make = Units(use_bias=False, momentum=bn_momentum, epsilon=bn_epsilon, initializer=kaiming)

    # Two cells: with one there is nothing to interpolate between.
    image, x = image_input("fcrn", input_shape, mean, std, minimum=output_stride + 1)
    halve = Phases(simulation, name="phases")
    taps = resnet.encoder(make, x, depth, output_stride, width=width, dropouts=dropouts, halve=halve)
    # Xavier: a variance by the fan-out would start from logits some ten times larger than the features.
    logits = Units().conv(taps[output_stride], num_classes, kernel, "head.main.conv", dilation=dilation)
    if output_stride > 4:
        logits = Interleave(simulation, name="head.main.interleave")([logits, taps[output_stride // 2]])
    return keras.Model(image, {"main": resize_to_image(logits, image, "main", placement)}, name=name)
