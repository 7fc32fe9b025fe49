"""The few layers that Keras lacks or does slowly. Everything else in `models/` is plain Keras."""

from did_tf.models.layers.convolution import Convolution
from did_tf.models.layers.dropout import Dropout, gain_of, random_seed, seed_again
from did_tf.models.layers.normalization import (
    FusedBatchNormalization,
    frozen_batch_norm,
    momentum_at_most,
    only_looking,
    statistics_to,
)
from did_tf.models.layers.pixels import Normalize, Shape, check_size
from did_tf.models.layers.resizing import DenseUpsampling, ResizeBilinear

__all__ = [
    "Shape",
    "check_size",
    "random_seed",
    "seed_again",
    "only_looking",
    "statistics_to",
    "frozen_batch_norm",
    "momentum_at_most",
    "Normalize",
    "Convolution",
    "FusedBatchNormalization",
    "Dropout",
    "gain_of",
    "ResizeBilinear",
    "DenseUpsampling",
]
