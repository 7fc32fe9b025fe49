"""Dropout whose mask is cheap and can be drawn again."""

from __future__ import annotations

import zlib
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.ambient import Ambient
from did_tf.common.errors import ConfigError
from did_tf.models.layers.pixels import Shape

_seed = Ambient()


def random_seed(seed: tf.Tensor) -> AbstractContextManager[None]:
    """Within it, every `Dropout` draws its mask from `seed` (int32 tensor [2]) and its own name.

    The trainer passes (seed, step and replica): a step that is replayed after a restart then drops the same units.
    """
    return _seed.holding(seed)


def seed_again() -> AbstractContextManager[None]:
    """Within it the seed is the same, and masks are drawn behind what this call waits for (`tf.control_dependencies`).

    TensorFlow would take them for the same as those of the forward pass, and keep those.
    """
    return _seed.holding(None if _seed.value is None else tf.identity(_seed.value))


def gain_of(rate: float) -> float:
    """What `Dropout` multiplies the units by that it keeps. Raises `ConfigError` for a rate outside of [0, 1)."""
    if not 0 <= rate < 1:
        raise ConfigError(f"dropout must be in [0, 1), got {rate}")
    return 256 / (256 - _of_256(rate))


def _of_256(rate):
    return min(round(rate * 256), 255)


def _only(x, keep):
    """`x` with zeros where `keep`, bool of its shape, is false. Its bits times 1 or 0: 16-bit floats take longer."""
    whole = {2: tf.int16, 4: tf.int32, 8: tf.int64}[x.dtype.size]
    ones = tf.cast(keep, whole)

    @tf.custom_gradient
    def masked(x):
        return tf.bitcast(tf.bitcast(x, whole) * ones, x.dtype), masked

    return masked(x)


@keras.utils.register_keras_serializable("did_tf")
class Dropout(keras.layers.Layer):
    """Dropout [N, H, W, C] -> same, whose mask costs a quarter of the random numbers of Keras' own.

    Four masks come from each 32-bit random number, so the rate is rounded to a multiple of 1/256 (0.2 -> 51/256).
    Reproducible under `random_seed`; elsewhere the seed comes from TensorFlow's global generator.

    Args:
      rate: fraction of units to drop, in [0, 1).
      scaled: whether inputs come scaled up already, by `Convolution.gain`: then units are set to zero, and that is all.

    Raises:
      ConfigError: the rate is outside of that.
    """

    stands = (0, None)

    def __init__(self, rate: float, scaled: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rate, self.scaled = rate, scaled
        self.gain = gain_of(rate)

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Inputs with units set to zero and the others scaled up; as they are unless `training`."""
        dropped = _of_256(self.rate)
        if not training or not dropped:
            return inputs
        shape = tf.shape(inputs)
        size = tf.reduce_prod(shape)
        draw = tf.reshape(tf.bitcast(self._random_words((size + 3) // 4), tf.uint8), [-1])
        # With whole words per pixel nothing is left over, and cutting would cost a copy.
        draw = draw if inputs.shape[-1] % 4 == 0 else draw[:size]
        keep = tf.reshape(draw, shape) >= tf.cast(dropped, tf.uint8)
        kept = _only(inputs, keep)
        return kept if self.scaled else kept * tf.cast(self.gain, inputs.dtype)

    def _random_words(self, count):
        seed = _seed.value
        if seed is None:
            seed = tf.random.uniform([2], tf.int32.min, tf.int32.max, tf.int32)
        own = tf.constant([0, zlib.crc32(self.name.encode()) & 0x7FFFFFFF], tf.int32)
        return tf.random.stateless_uniform([count], tf.bitwise.bitwise_xor(seed, own), None, None, tf.int32)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """That of the inputs."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, for saving."""
        return {**super().get_config(), "rate": self.rate, "scaled": self.scaled}
