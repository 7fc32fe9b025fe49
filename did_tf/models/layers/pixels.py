"""What every network begins with: pixels, normalised, of a size that it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.errors import ConfigError

Shape = tuple[int | None, ...]
"""Of a tensor, batch first; None where a size is not known."""


@keras.utils.register_keras_serializable("did_tf")
class Normalize(keras.layers.Layer):
    """Raw pixel values [N, H, W, C] -> (x - mean) / std, in float32: the first layer of every model.

    Args:
      mean, std: one value per band, in pixel values.
      minimum: smallest height and width that the network takes; smaller ones raise ConfigError when traced.

    Raises:
      ConfigError: a deviation is not positive.
    """

    stands = (0, None)

    def __init__(self, mean: Sequence[float], std: Sequence[float], minimum: int = 1, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "dtype": "float32"})
        if min(std) <= 0:
            raise ConfigError(f"std must be positive, got {tuple(std)}")
        self.mean, self.std, self.minimum = tuple(map(float, mean)), tuple(map(float, std)), minimum

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Float32, of the shape of the inputs, whose dtype may be any. Raises ConfigError where they are too small."""
        check_size(inputs.shape, self.minimum)
        return (tf.cast(inputs, tf.float32) - tf.constant(self.mean)) * (1 / tf.constant(self.std))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """That of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, for saving."""
        return {**super().get_config(), "mean": self.mean, "std": self.std, "minimum": self.minimum}


def check_size(shape: Shape, minimum: int) -> None:
    """Raises ConfigError where the known height or width of `shape` [N, H, W, C] is below `minimum`."""
    for name, size in zip(("height", "width"), shape[1:3]):
        if size is not None and size < minimum:
            raise ConfigError(f"image {name} {size} is too small for the network: it takes {minimum} or more pixels")
