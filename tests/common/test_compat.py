"""Tests of what makes the two Keras generations alike."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.common import compat
from did_tf.training import optimizers


@pytest.fixture
def model():
    image = keras.Input((4, 4, 3))
    return keras.Model(image, keras.layers.Conv2D(2, 1, name="block1.unit2.conv")(image))


def built(name, options, variables):
    optimizer = optimizers.make(name, 0.1, options, variables=variables)
    return optimizer, compat.optimizer_variables(optimizer)


def test_a_variables_path_and_tensor(model):
    assert [compat.path(v) for v in model.weights] == ["block1.unit2.conv/kernel", "block1.unit2.conv/bias"]
    inner = compat.tf_variable(model.weights[0])
    assert isinstance(inner, tf.Variable)
    inner.assign(tf.ones_like(inner))
    np.testing.assert_array_equal(model.get_weights()[0], 1)


@pytest.mark.parametrize("name, options", [("adam", {}), ("sgd", {"momentum": 0.9}), ("rmsprop", {})])
def test_an_optimizer_has_all_its_variables_before_the_first_update(model, name, options):
    variables = model.trainable_variables
    optimizer, before = built(name, options, variables)
    shapes = [tuple(v.shape) for v in before]
    assert all(isinstance(v, tf.Variable) for v in before) and shapes.count((1, 1, 3, 2)) >= 1
    optimizer.apply_gradients([(tf.ones(v.shape), v) for v in variables])
    assert [tuple(v.shape) for v in compat.optimizer_variables(optimizer)] == shapes


def test_an_optimizers_variables_are_all_that_it_remembers(model):
    """Two updates, or one and its state put into a fresh optimizer: the same weights."""
    variables = [compat.tf_variable(v) for v in model.trainable_variables]
    start = [v.numpy() for v in variables]
    gradients = [tf.fill(v.shape, 0.3) for v in variables]

    def restart():
        for variable, value in zip(variables, start):
            variable.assign(value)
        return built("adam", {"epsilon": 1e-3}, model.trainable_variables)

    optimizer, _ = restart()
    compat.apply_reduced(optimizer, gradients, model.trainable_variables)
    state, middle = [v.numpy() for v in compat.optimizer_variables(optimizer)], [v.numpy() for v in variables]
    compat.apply_reduced(optimizer, [-2 * g for g in gradients], model.trainable_variables)
    expected = [v.numpy() for v in variables]

    optimizer, fresh = restart()
    for variable, value in zip([*fresh, *variables], [*state, *middle]):
        variable.assign(value)
    compat.apply_reduced(optimizer, [-2 * g for g in gradients], model.trainable_variables)
    for variable, value, old in zip(variables, expected, middle):
        np.testing.assert_array_equal(variable, value)
        assert np.all(value != old)
