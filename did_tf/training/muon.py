"""Muon: momentum whose directions all count alike, for the kernels of convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.common import compat
from did_tf.training.adam import Adam

QUINTIC = (3.4445, -4.7750, 2.0315)
"""Factors of x, x^3 and x^5, which takes small singular values to around 1 in few steps (Jordan et al. 2024)."""
ITERATIONS = 5
BLOCK = 128
"""Filters that are orthogonalised together at most: the work grows as the third power of their number."""
LIKE_ADAM = 0.2
"""Root of the mean square of an update of Adam's, which those of Muon are given (Liu et al. 2025, section 2.2)."""


class Muon(Adam):
    """Orthogonalised momentum for kernels of convolutions (Jordan et al. 2024); Adam for the head and all else.

    A kernel [h, w, in, out] is the matrix [h * w * in, out], in blocks of `BLOCK` filters. Its Nesterov momentum is
    replaced by the nearest matrix with orthonormal rows or columns, so that the many weak directions of a gradient
    count as much as the few strong ones. Updates are as large as Adam's (arXiv 2502.16982), and take learning rates
    like those.

    Args:
      learning_rate: a number or a schedule, of all weights.
      momentum: of kernels.
      beta_1, beta_2, epsilon: Adam's, of all else.
      weight_decay: decoupled, of both.
    """

    def __init__(
        self,
        learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = 1e-3,
        momentum: float = 0.95,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        name: str = "muon",
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, weight_decay=weight_decay, name=name)
        self.momentum = momentum

    def build(self, variables: Sequence[keras.Variable | tf.Variable]) -> None:
        """Makes the slots. While it updates, a weight does not know its path any more."""
        super().build(variables)
        self._kernels = tuple(i for i, variable in enumerate(variables) if is_orthogonalised(variable))

    def update_step(self, gradient: tf.Tensor, variable: tf.Variable, learning_rate: tf.Tensor | None = None) -> None:
        """Of one weight. Keras 2 gives no `learning_rate`."""
        number = compat.slot(self, variable)
        if number not in self._kernels:
            super().update_step(gradient, variable, *(() if learning_rate is None else (learning_rate,)))
            return
        rate = tf.cast(self.learning_rate if learning_rate is None else learning_rate, tf.float32)
        mean = compat.tf_variable(self._momentums[number])
        mean.assign(self.momentum * mean + (1 - self.momentum) * gradient)
        ahead = self.momentum * mean + (1 - self.momentum) * gradient
        compat.tf_variable(variable).assign_sub(rate * tf.reshape(_direction(ahead), gradient.shape))


def is_orthogonalised(variable: keras.Variable | tf.Variable) -> bool:
    """Whether it is a kernel of a convolution outside of the head."""
    return len(variable.shape) == 4 and models.part(compat.path(variable)) != "head"


def _direction(kernel):
    """[h * w * in, out] of a kernel's momentum: each block of filters orthogonalised, of the size of Adam's updates."""
    matrix = tf.reshape(kernel, [-1, kernel.shape[-1]])
    count = math.ceil(matrix.shape[1] / BLOCK)
    sizes = [len(block) for block in np.array_split(range(matrix.shape[1]), count)]
    blocks = tf.split(matrix, sizes, axis=1)
    return tf.concat([LIKE_ADAM * max(block.shape) ** 0.5 * orthogonalised(block) for block in blocks], axis=1)


def orthogonalised(matrix: tf.Tensor) -> tf.Tensor:
    """U V^T of a matrix U S V^T, but for singular values of 0.7 to 1.2 in place of 1, and less for S near 0.

    By Newton and Schulz's iteration on the products of its rows or columns, whichever are fewer: what multiplies the
    matrix is a polynomial of these, so that the matrix itself is multiplied twice in all.
    """
    tall = matrix.shape[0] >= matrix.shape[1]
    gram = tf.matmul(matrix, matrix, transpose_a=tall, transpose_b=not tall)
    square = tf.linalg.trace(gram) + 1e-20
    gram, identity = gram / square, tf.eye(min(matrix.shape))
    product = identity * tf.math.rsqrt(square)
    a, b, c = QUINTIC
    for _ in range(ITERATIONS):
        factor = a * identity + b * gram + c * gram @ gram
        product, gram = factor @ product, factor @ factor @ gram
    return matrix @ product if tall else product @ matrix
