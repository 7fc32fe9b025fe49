"""The ImageNet networks whose encoders segmentation starts from: ResNet v1 and DenseNet with their classifiers.

SUNet and DID classify by their own option `task`. Recipe: experiments/imagenet/imagenet.py.
"""

from __future__ import annotations

from collections.abc import Sequence

from tensorflow import keras

from did_tf.models import densenet, resnet
from did_tf.models.ladder import DENSENETS, RESNETS
from did_tf.models.units import (
    ImageShape,
    Units,
    check_absent,
    check_choices,
    check_counts,
    check_lengths,
    classify,
    image_input,
    kaiming,
)

MINIMUM = 32  # one feature at stride 32
_OF_RESNETS = {"stem": "7x7", "width": 64}
_OF_DENSENETS = {"growth": 32, "units": None, "stem_pool": 3, "dropout": 0.0}


def classifier(
    num_classes: int,
    input_shape: ImageShape = (None, None, 3),
    *,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    encoder: str = "resnet50",
    stem: str = "7x7",
    width: int = 64,
    growth: int = 32,
    units: Sequence[int] | None = None,
    stem_pool: int = 3,
    dropout: float = 0.0,
    bn_momentum: float = 0.9,
    bn_epsilon: float = 1e-5,
    name: str = "classifier",
) -> keras.Model:
    """Encoder, global average pooling and one dense layer: [N, H, W, C] -> {"main": float32 logits [N, num_classes]}.

    The encoder's weights have the names and shapes that they have in the networks for segmentation: those in `ladder`,
    and a ResNet's of bottlenecks (not 18 and 34) those in `duc` and `fcrn` too. The last BN-ReLU of a DenseNet is of
    its classifier.

    Args:
      num_classes: number of classes.
      input_shape: (H, W, C); H and W may be None.
      mean, std: one value per band, in pixel values; default 127.5.
      encoder: "resnet50" and others of `RESNETS`; "densenet121", "densenet169", "densenet201".
      stem: of a ResNet: "7x7", or "3x3", three convolutions (duc_hdc.md section 4.1.4).
      width: filters of a ResNet's stem and of stage 1's 3x3 convolutions.
      growth: maps that a dense unit adds.
      units: of the four dense blocks, in place of the encoder's own.
      stem_pool: kernel of a DenseNet's max pool: 3, or 2.
      dropout: rate after every convolution of the dense blocks and transitions.
      bn_momentum: of the moving statistics.
      bn_epsilon: of batch normalisation; best that of the network that takes the encoder.

    Raises:
      ConfigError: an option has a bad value or is not one of the encoder's, or the image is smaller than 32 pixels.
    """
    check_choices("classifier", encoder=(encoder, (*DENSENETS, *RESNETS)), stem=(stem, resnet.STEMS))
    check_choices("classifier", stem_pool=(stem_pool, (2, 3)))
    check_lengths("classifier", 4, units=units)
    check_counts("classifier", growth=growth, width=width, **({} if units is None else {"units": units}))
    chosen = {"stem": stem, "width": width, "growth": growth, "units": units, "stem_pool": stem_pool}
    absent = _OF_DENSENETS if encoder in RESNETS else _OF_RESNETS
    check_absent("classifier", encoder, {**chosen, "dropout": dropout}, absent)
    make = Units(dropout, use_bias=False, momentum=bn_momentum, epsilon=bn_epsilon, initializer=kaiming)
    image, x = image_input("classifier", input_shape, mean, std, MINIMUM)
    if encoder in RESNETS:
        x = resnet.encoder(make, x, RESNETS[encoder], stem=stem, width=width)[32]
    else:
        x = densenet.encoder(make, x, units or DENSENETS[encoder], growth, stem_pool=stem_pool)[32]
        x = make.bn_relu(x, "head.main")
    return keras.Model(image, {"main": classify(x, num_classes)}, name=name)
