"""What a step is said to be made of."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from benchmarks import profile


def test_convolutions_alike_are_timed_once_and_all_are_counted():
    image = x = keras.Input((None, None, 3))
    for number, width in enumerate((4, 4, 4, 2)):
        x = keras.layers.Conv2D(width, 3, padding="same", name=f"conv{number}")(x)
    calls, products = profile.convolutions(keras.Model(image, x), (2, 5, 6, 3))
    assert [alike for alike, _ in calls] == [1, 2, 1]
    # The first, without a gradient of its input, is done twice, the others three times.
    assert products == 2 * 5 * 6 * 9 * (2 * 3 * 4 + 3 * (2 * 4 * 4 + 4 * 2))
    made, gradients = calls[1][1]()
    assert made.shape == (2, 5, 6, 4)
    assert [gradient.shape for gradient in gradients] == [(2, 5, 6, 4), (3, 3, 4, 4), (4,)]


def test_operations_are_counted_by_their_type():
    x = tf.constant(np.ones((64, 64), np.float32))
    call = tf.function(lambda: tf.matmul(tf.matmul(x, x), x), autograph=False)
    call()
    found = profile.operations(call)
    count, seconds = next(found[name] for name in ("MatMul", "_MklMatMul") if name in found)  # the latter is oneDNN's
    assert count == 2 and 0 < seconds < 1
