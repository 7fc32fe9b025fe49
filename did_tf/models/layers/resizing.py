"""Features at other sizes: bilinear, and by channels that become pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.errors import ConfigError
from did_tf.models.layers.pixels import Shape
from did_tf.models.placement import NO_STEPS, PLACEMENTS, Step, interpolation_matrix


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
