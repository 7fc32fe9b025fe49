"""Muon against NumPy: what it makes of a matrix, of a kernel over some updates, and which weights are left to Adam."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.common import compat
from did_tf.training import muon, optimizers

RATE, MOMENTUM = 0.01, 0.9


@pytest.fixture(params=[False, True])
def fast(request):
    """Whether products of float32 may be rounded, as `set_precision` has it for float32_fast alone."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(request.param)
    yield request.param
    tf.config.experimental.enable_tensor_float_32_execution(before)


def by_svd(matrix):
    """Newton and Schulz's iteration on the singular values themselves."""
    left, values, right = np.linalg.svd(np.asarray(matrix, np.float64), full_matrices=False)
    values = values / np.linalg.norm(values)
    for _ in range(muon.ITERATIONS):
        values = sum(factor * values**power for factor, power in zip(muon.QUINTIC, (1, 3, 5)))
    return left * values @ right


@pytest.mark.parametrize("shape", [(36, 8), (8, 36), (16, 16), (1, 5), (5, 1)])
@pytest.mark.parametrize("size", [1e-6, 1.0, 1e3])
def test_a_matrix_is_what_its_singular_values_say(shape, size, fast):
    matrix = size * np.random.default_rng(0).normal(size=shape)
    found = muon.orthogonalised(tf.constant(matrix, tf.float32)).numpy()
    np.testing.assert_allclose(found, by_svd(matrix), atol=2e-3)
    assert np.all(np.abs(np.linalg.svd(found, compute_uv=False) - 1) < 0.35)


def test_filters_are_orthogonalised_in_blocks():
    """Of a third of 300 each, none larger than `BLOCK`."""
    kernel = np.random.default_rng(0).normal(size=(1, 1, 40, 300))
    found = muon._direction(tf.constant(kernel, tf.float32)).numpy()
    for first in (0, 100, 200):
        block = kernel[0, 0, :, first : first + 100]
        np.testing.assert_allclose(found[:, first : first + 100], 2 * by_svd(block), atol=5e-3)


def test_of_no_gradient_nothing_is_made(fast):
    np.testing.assert_array_equal(muon.orthogonalised(tf.zeros([6, 3])), np.zeros([6, 3]))


def test_of_few_directions_no_others_are_made(fast):
    """Those that rounding alone has."""
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(64, 2)) @ rng.normal(size=(2, 16))
    values = np.linalg.svd(muon.orthogonalised(tf.constant(matrix, tf.float32)), compute_uv=False)
    assert np.all(values[:2] > 0.65) and np.all(values[2:] < 0.05)


def rounded(matrix):
    """To bfloat16, and back."""
    return tf.cast(tf.cast(matrix, tf.bfloat16), tf.float32)


@pytest.mark.parametrize("shape", [(64, 16), (16, 64), (1152, 128)])
def test_of_rounded_products_no_direction_grows(shape, fast, monkeypatch):
    """Weak directions of 0.001 of the strongest one: products here are exact, so their rounding is put in.

    They grow, unless it is known that products are rounded.
    """
    rng, least, exact = np.random.default_rng(0), min(shape), tf.matmul
    left, right = (np.linalg.qr(rng.normal(size=(side, least)))[0] for side in shape)
    matrix = left * np.logspace(0, -3, least) @ right.T
    monkeypatch.setattr(tf, "matmul", lambda a, b, **options: exact(rounded(a), rounded(b), **options))
    found = muon.orthogonalised(tf.constant(matrix, tf.float32)).numpy()
    largest = np.linalg.svd(found, compute_uv=False)[0]
    assert largest < 1.3 if fast else largest > 2
    # The strong half is turned nowhere else.
    strong = left[:, : least // 2].T @ found @ right[:, : least // 2]
    assert not fast or np.all(np.abs(np.linalg.svd(strong, compute_uv=False) - 1) < 0.4)


def network():
    image = keras.Input((5, 5, 2))
    x = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(image)
    x = keras.layers.BatchNormalization(name="bn")(x)
    model = keras.Model(image, keras.layers.Conv2D(3, 1, name="head.main")(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def updated(optimizer, variables, gradients):
    """{path: value after all updates}."""
    for gradient in gradients:
        compat.apply_reduced(optimizer, [tf.constant(g) for g in gradient], variables)
    return {compat.path(v): compat.tf_variable(v).numpy() for v in variables}


def test_kernels_follow_their_momentum_and_all_else_adam(fast):
    model, alike = network(), network()
    rng = np.random.default_rng(1)
    gradients = [[rng.normal(size=v.shape).astype(np.float32) for v in model.trainable_variables] for _ in range(3)]
    made = [
        optimizers.make("muon", RATE, {"momentum": MOMENTUM, "beta_1": 0.8}, variables=model.trainable_variables),
        optimizers.make("adam", RATE, {"beta_1": 0.8}, variables=alike.trainable_variables),
    ]
    kernel, mean = model.get_layer("conv").get_weights()[0].astype(np.float64), 0.0
    found, adams = (updated(one, net.trainable_variables, gradients) for one, net in zip(made, (model, alike)))
    for gradient in (step[0] for step in gradients):
        mean = MOMENTUM * mean + (1 - MOMENTUM) * gradient
        ahead = MOMENTUM * mean + (1 - MOMENTUM) * gradient
        direction = by_svd(ahead.reshape(3 * 3 * 2, 4)).reshape(kernel.shape)
        kernel = kernel - RATE * 0.2 * np.sqrt(3 * 3 * 2) * direction
    np.testing.assert_allclose(found.pop("conv/kernel"), kernel, atol=1e-4)
    assert {*found} == {"bn/gamma", "bn/beta", "head.main/kernel", "head.main/bias"}
    for path, value in found.items():
        np.testing.assert_allclose(value, adams[path], rtol=1e-5, err_msg=path)


def test_its_updates_are_about_as_large_as_adams():
    """Root of the mean square of 0.2 to 0.4 times the rate, whatever the size of the gradient."""
    model, rng = network(), np.random.default_rng(1)
    before = model.get_layer("conv").get_weights()[0]
    gradient = [1e-5 * rng.normal(size=v.shape).astype(np.float32) for v in model.trainable_variables]
    optimizer = optimizers.make("muon", RATE, variables=model.trainable_variables)
    change = updated(optimizer, model.trainable_variables, [gradient])["conv/kernel"] - before
    assert np.sqrt(np.mean(change**2)) / RATE == pytest.approx(0.2, rel=0.3)
