"""The few layers that Keras lacks or does slowly. Everything else in `models/` is plain Keras."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.ambient import Ambient
from did_tf.common.errors import ConfigError
from did_tf.models.placement import NO_STEPS, PLACEMENTS, Step, interpolation_matrix

Shape = tuple[int | None, ...]
"""Of a tensor, batch first; None where a size is not known."""


_seed = Ambient()
_looking = Ambient()
_frozen = Ambient()


def only_looking() -> AbstractContextManager[None]:
    """Within it, a network that is called in training moves none of its statistics: it will be called again."""
    return _looking.holding(True)


def frozen_batch_norm(mode: str) -> AbstractContextManager[None]:
    """Within it, batch norm takes its moving statistics in training too, and leaves them.

    Scales and offsets are trained with "statistics", not with "all"; with "" all is as outside.
    """
    return _frozen.holding(mode)


def random_seed(seed: tf.Tensor) -> AbstractContextManager[None]:
    """Within it, every `Dropout` draws its mask from `seed` (int32 tensor [2]) and its own name.

    The trainer passes (seed, step and replica): a step that is replayed after a restart then drops the same units.
    """
    return _seed.holding(seed)


@keras.utils.register_keras_serializable("did_tf")
class Dropout(keras.layers.Layer):
    """Dropout [N, H, W, C] -> same, whose mask costs a quarter of the random numbers of Keras' own.

    Four masks come from each 32-bit random number, so the rate is rounded to a multiple of 1/256 (0.2 -> 51/256).
    Reproducible under `random_seed`; elsewhere the seed comes from TensorFlow's global generator.

    Args:
      rate: fraction of units to drop, in [0, 1).

    Raises:
      ConfigError: the rate is outside of that.
    """

    stands = (0, None)

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ConfigError(f"dropout must be in [0, 1), got {rate}")
        self.rate = rate

    def call(self, inputs: tf.Tensor, training: bool | None = None) -> tf.Tensor:
        """Inputs with units set to zero and the others scaled up; as they are unless `training`."""
        dropped = round(self.rate * 256)
        if not training or not dropped:
            return inputs
        shape = tf.shape(inputs)
        size = tf.reduce_prod(shape)
        draw = tf.reshape(tf.bitcast(self._random_words((size + 3) // 4), tf.uint8), [-1])
        # With whole words per pixel nothing is left over, and cutting would cost a copy.
        draw = draw if inputs.shape[-1] % 4 == 0 else draw[:size]
        keep = tf.reshape(draw, shape) >= tf.cast(dropped, tf.uint8)
        return inputs * (tf.cast(keep, inputs.dtype) * tf.cast(256 / (256 - dropped), inputs.dtype))

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
        return {**super().get_config(), "rate": self.rate}


@keras.utils.register_keras_serializable("did_tf")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation over the last axis of [N, H, W, C], through TensorFlow's fused kernel.

    Keras 3 has no fused kernel on TensorFlow and works in float32 even under a 16-bit policy. This layer has the same
    weights, the same results and the same moving statistics (of the biased variance), with 16-bit activations kept
    16 bits wide. Statistics stay in float32.

    Attributes:
      synchronized: whether replicas share the batch's statistics. Set by the trainer before the first trace. Without
        it each replica keeps moving statistics of its own part; the trainer averages them before they are used.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.synchronized = False

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """[N, H, W, C] in the dtype of the inputs: normalised by the batch in training, else by the moving statistics.

        A layer that is not trainable, or is in a context `frozen_batch_norm`, uses the moving statistics in training
        too, and leaves them. `mask` is ignored.
        """
        if not (training and self.trainable) or _frozen.value:
            mean, variance = tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)
            return self._fused(inputs, mean, variance)
        replicas = tf.distribute.get_replica_context()
        if self.synchronized and replicas and replicas.num_replicas_in_sync > 1:
            outputs, mean, variance = self._across(replicas, inputs)
        else:
            outputs, mean, variance = self._within(inputs)
        if not _looking.value:
            for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving + (batch - moving) * (1 - self.momentum))
        return outputs

    def _fused(self, inputs, mean, variance, training=False):
        scale, offset = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if _frozen.value == "all":
            scale, offset = tf.stop_gradient(scale), tf.stop_gradient(offset)
        result = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=scale,
            offset=offset,
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        return (result.y, result.batch_mean, result.batch_variance) if training else result.y

    def _within(self, inputs):
        outputs, mean, unbiased = self._fused(inputs, tf.constant([]), tf.constant([]), training=True)
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
        return outputs, mean, unbiased * ((count - 1) / count)

    def _across(self, replicas, inputs):
        x = tf.cast(inputs, tf.float32)
        # Two passes: the mean of squares less the square of the mean loses digits, layer after layer.
        mean = replicas.all_reduce(tf.distribute.ReduceOp.MEAN, tf.reduce_mean(x, [0, 1, 2]))
        spread = tf.reduce_mean(tf.math.squared_difference(x, mean), [0, 1, 2])
        variance = replicas.all_reduce(tf.distribute.ReduceOp.MEAN, spread)
        outputs = tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, self.epsilon)
        return tf.cast(outputs, inputs.dtype), tf.stop_gradient(mean), tf.stop_gradient(variance)


@keras.utils.register_keras_serializable("did_tf")
class ResizeBilinear(keras.layers.Layer):
    """Bilinear resize of `[x, like]`: x [N, h, w, C] to the height and width of like [N, H, W, any] -> [N, H, W, C].

    As two products with interpolation matrices: sizes may be dynamic, it runs in the layer's dtype on all cores, and
    its gradient is deterministic on GPUs, unlike that of TensorFlow's own resize.

    Args:
      placement: one of `PLACEMENTS`, see `interpolation_matrix`; `ConfigError` for another.
      steps: that make x of the grid of like, along rows and columns, for "exact" (`placement.steps_between`).
    """

    stands = (1, None)

    def __init__(self, placement: str = "corners", steps: Sequence[Any] = NO_STEPS, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if placement not in PLACEMENTS:
            raise ConfigError(f"placement must be one of {PLACEMENTS}, got {placement!r}")
        self.placement = placement
        self.steps = tuple(tuple(Step(*step) for step in axis) for axis in steps)

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """x resized, in its own dtype; of like only the size is taken."""
        x, like = inputs
        size_in, size_out = tf.shape(x), tf.shape(like)
        sizes = zip(tf.unstack(size_in)[1:3], tf.unstack(size_out)[1:3], self.steps)
        rows, columns = (interpolation_matrix(n, m, self.placement, steps, x.dtype) for n, m, steps in sizes)
        channels, static = x.shape[-1], (x.shape[0], like.shape[1], like.shape[2], x.shape[-1])
        # Columns first: their products are narrow and slow, and there are fewer rows of them before the rows grow.
        wide = tf.matmul(columns, tf.reshape(x, [size_in[0] * size_in[1], size_in[2], channels]))
        wide = tf.reshape(wide, [size_in[0], size_in[1], size_out[2] * channels])
        tall = tf.reshape(tf.matmul(rows, wide), [size_in[0], size_out[1], size_out[2], channels])
        return tf.ensure_shape(tall, static)

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """Of the shapes of x and like."""
        x, like = input_shape
        return (x[0], like[1], like[2], x[3])

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, for saving."""
        steps = [[list(step) for step in axis] for axis in self.steps]
        return {**super().get_config(), "placement": self.placement, "steps": steps}


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


@keras.utils.register_keras_serializable("did_tf")
class DenseUpsampling(keras.layers.Layer):
    """Features become pixels (duc_hdc.md section 3.1): `[x, image]` -> [N, ceil(H / cell), ceil(W / cell), classes].

    x is [N, h, w, classes * factor ** 2], the image [N, H, W, any]. Channel (class * factor + dy) * factor + dx of
    feature (i, j) is the class's score at (factor * i + dy, factor * j + dx): the order of the authors' code, not that
    of TensorFlow's depth_to_space. What the features cover beyond the image is cut off, below and on the right.

    Args:
      factor: by how much the features grow. 1 cuts alone.
      cell: side of the square of pixels that one prediction stands for.
    """

    def __init__(self, factor: int, cell: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor, self.cell = factor, cell

    @property
    def stands(self) -> tuple[int, Step]:
        """A score stands for its square of pixels, wherever its feature does."""
        return 1, Step(self.cell, self.cell)

    def call(self, inputs: Sequence[tf.Tensor]) -> tf.Tensor:
        """The scores in their places; of the image only the size is taken."""
        x, image = inputs
        factor, classes = self.factor, self._classes(x.shape)
        (count, height, width), size = tf.unstack(tf.shape(x)[:3]), tf.shape(image)
        x = tf.reshape(x, [count, height, width, classes, factor, factor])
        x = tf.reshape(tf.transpose(x, [0, 1, 4, 2, 5, 3]), [count, height * factor, width * factor, classes])
        x = x[:, : self._cells(size[1]), : self._cells(size[2])]
        return tf.ensure_shape(x, self.compute_output_shape([inputs[0].shape, image.shape]))

    def compute_output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        """Of the shapes of x and the image."""
        x, image = input_shape
        sides = (None if side is None else self._cells(side) for side in image[1:3])
        return (x[0], *sides, self._classes(x))

    def _cells(self, side):
        return (side + self.cell - 1) // self.cell

    def _classes(self, shape):
        return shape[-1] // self.factor**2

    def get_config(self) -> dict[str, Any]:
        """The layer's arguments, for saving."""
        return {**super().get_config(), "factor": self.factor, "cell": self.cell}
