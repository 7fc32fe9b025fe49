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
SMALL = 1e-20
"""Added to the sum of a matrix' squares, for one of zeros."""


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

    By Newton and Schulz's iteration, which multiplies it by polynomials of the products of its rows or columns with
    each other, whichever are fewer.
    """
    if tf.config.experimental.tensor_float_32_execution_enabled():
        return _by_products_of_each(matrix)
    return _by_products_of_first(matrix)


def _by_products_of_each(matrix):
    """Iterates on the matrix itself, for products that are rounded, as `set_precision("float32_fast")` has them.

    What rounding adds to small singular values then grows as these do. Products that are made once and multiplied on
    have eigenvalues below 0 by it, which grow twelvefold with each iteration.
    """
    tall = matrix.shape[0] >= matrix.shape[1]
    matrix *= tf.math.rsqrt(tf.reduce_sum(tf.square(matrix)) + SMALL)
    for _ in range(ITERATIONS):
        factor = _factor(_gram(matrix))
        matrix = tf.matmul(matrix, factor) if tall else tf.matmul(factor, matrix)
    return matrix


def _by_products_of_first(matrix):
    """Iterates on the products alone, so that the matrix itself is multiplied twice in all."""
    gram = _gram(matrix)
    square = tf.linalg.trace(gram) + SMALL
    gram, product = gram / square, tf.eye(min(matrix.shape)) * tf.math.rsqrt(square)
    for _ in range(ITERATIONS):
        factor = _factor(gram)
        product, gram = tf.matmul(factor, product), tf.matmul(tf.matmul(factor, factor), gram)
    return tf.matmul(matrix, product) if matrix.shape[0] >= matrix.shape[1] else tf.matmul(product, matrix)


def _gram(matrix):
    """Products of its columns with each other, or of its rows where these are fewer."""
    tall = matrix.shape[0] >= matrix.shape[1]
    return tf.matmul(matrix, matrix, transpose_a=tall, transpose_b=not tall)


def _factor(gram):
    """By which the matrix of these products is multiplied in one iteration."""
    a, b, c = QUINTIC
    return a * tf.eye(gram.shape[0]) + b * gram + tf.matmul(c * gram, gram)
