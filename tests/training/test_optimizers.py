"""Tests of the optimizers by name: who decays what, and Adam against NumPy."""

import importlib.util

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.common import compat
from did_tf.training import optimizers
from did_tf.training.schedules import Schedule

RATE, DECAY = 0.1, 0.01
TFA = importlib.util.find_spec("tensorflow_addons") is not None
needs_addons = pytest.mark.skipif(not TFA, reason="tensorflow-addons is not there")


def network():
    """Weights of a convolution with bias and a batch normalisation, none of them zero."""
    image = keras.Input((5, 5, 2))
    x = keras.layers.Conv2D(3, 3, name="conv")(image)
    model = keras.Model(image, keras.layers.BatchNormalization(name="bn")(x))
    rng = np.random.default_rng(0)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in model.get_weights()])
    return model


def update(optimizer, variables, gradients):
    optimizer.apply_gradients(list(zip(map(tf.constant, gradients), variables)))


def shrinkage(name, decay, **options):
    """{weight: factor} by which one update without gradient changes the weights."""
    model = network()
    variables = model.trainable_variables
    optimizer = optimizers.make(name, RATE, options, DECAY, decay, variables)
    before = [v.numpy() for v in variables]
    update(optimizer, variables, [np.zeros_like(v) for v in before])
    return {compat.path(v): np.mean(v.numpy() / old) for v, old in zip(variables, before)}


ONE = {"conv/kernel": 1, "conv/bias": 1, "bn/gamma": 1, "bn/beta": 1}


@pytest.mark.parametrize("name", optimizers.NAMES)
def test_decoupled_decay_shrinks_kernels_alone(name):
    expected = {**ONE, "conv/kernel": 1 - RATE * DECAY}
    assert shrinkage(name, "decoupled") == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["adam", "sgd", "rmsprop", "nadam"])
def test_l2_decay_is_left_to_the_caller(name):
    assert shrinkage(name, "l2") == pytest.approx(ONE, abs=1e-9)
    assert not optimizers.is_decoupled(name, "l2")


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_some_decay_by_themselves_whatever_the_setting(name):
    assert optimizers.is_decoupled(name, "l2")
    assert shrinkage(name, "l2") == pytest.approx(shrinkage(name, "decoupled"), abs=1e-9)


def test_kernels_are_those_of_convolutions():
    variables = network().weights
    assert [compat.path(v) for v in variables if optimizers.decays(v)] == ["conv/kernel"]


@pytest.mark.parametrize("options", [{}, {"epsilon": 2.5e-4}, {"beta_1": 0.5, "beta_2": 0.9}])
def test_adam_is_kingmas(options):
    schedule = Schedule("poly", RATE, 4)
    variable = tf.Variable([1.0, -2.0, 3.0], name="kernel")
    optimizer = optimizers.make("adam", schedule, options, variables=[variable])
    settings = {"beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7, **options}
    b1, b2, epsilon = settings["beta_1"], settings["beta_2"], settings["epsilon"]
    weight, first, second = variable.numpy().astype(float), 0.0, 0.0
    for step, gradient in enumerate(np.random.default_rng(0).normal(0, 1e-2, (3, 3)).astype(np.float32), 1):
        update(optimizer, [variable], [gradient])
        first = b1 * first + (1 - b1) * gradient
        second = b2 * second + (1 - b2) * gradient**2
        # Section 2's more efficient order of the corrections, in which epsilon is the paper's "epsilon hat".
        rate = RATE * (1 - (step - 1) / 4) ** 0.9 * np.sqrt(1 - b2**step) / (1 - b1**step)
        weight = weight - rate * first / (np.sqrt(second) + epsilon)
        np.testing.assert_allclose(variable.numpy(), weight, rtol=1e-5)


@pytest.mark.parametrize(
    "name, options",
    [("sgd", {"momentum": 0.9, "nesterov": True}), ("adam", {"epsilon": 2.5e-4}), ("rmsprop", {"rho": 0.95})],
)
def test_options_reach_the_class(name, options):
    config = optimizers.make(name, RATE, options, variables=network().trainable_variables).get_config()
    assert {key: config[key] for key in options} == options


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("adamm", RATE), "unknown optimizer 'adamm'; known: adam, adamw, sgd, rmsprop, nadam, muon, tfa.CLASS"),
        (("Adam", RATE), "unknown optimizer 'Adam'"),
        (("adam", RATE, {"momentun": 0.9}), "optimizer 'adam' does not take .*momentun"),
        (("adam", RATE, {}, 0.1, "both"), "optimizer.decay must be one of .*l2.*decoupled.*, got 'both'"),
    ],
)
def test_bad_settings_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        optimizers.make(*arguments)


@pytest.mark.skipif(TFA, reason="tensorflow-addons is there")
def test_addons_are_told_where_they_are_missing():
    with pytest.raises(ValueError, match=r"'tfa.RectifiedAdam' needs tensorflow-addons: pip install"):
        optimizers.make("tfa.RectifiedAdam", RATE)


def trained(optimizer, variable, steps=4):
    """Values of `variable` after each of some updates with fixed random gradients."""
    gradients = np.random.default_rng(0).normal(0, 1, (steps, *variable.shape)).astype(np.float32)
    values = []
    for gradient in gradients:
        update(optimizer, [variable], [gradient])
        values.append(variable.numpy())
    return np.stack(values)


def kernel():
    return tf.Variable(np.linspace(-1, 2, 7, dtype=np.float32), name="conv/kernel")


@needs_addons
def test_addons_by_name_are_the_real_ones():
    import tensorflow_addons as tfa

    ours, theirs = kernel(), kernel()
    optimizer = optimizers.make(
        "tfa.RectifiedAdam", Schedule("poly", RATE, 8), {"sma_threshold": 4.0}, 0.0, "l2", [ours]
    )
    assert type(optimizer) is tfa.optimizers.RectifiedAdam
    reference = tfa.optimizers.RectifiedAdam(Schedule("poly", RATE, 8), sma_threshold=4.0)
    np.testing.assert_array_equal(trained(optimizer, ours, 8), trained(reference, theirs, 8))
    with pytest.raises(ValueError, match="unknown optimizer 'tfa.Rectified'"):
        optimizers.make("tfa.Rectified", RATE)


@needs_addons
def test_adamw_is_that_of_the_addons():
    """Whose decay is not multiplied by the rate."""
    import tensorflow_addons as tfa

    ours, theirs = kernel(), kernel()
    reference = tfa.optimizers.AdamW(RATE * DECAY, RATE)
    result = trained(optimizers.make("adamw", RATE, {}, DECAY, "decoupled", [ours]), ours)
    np.testing.assert_allclose(result, trained(reference, theirs), atol=1e-5)


@needs_addons
@pytest.mark.parametrize("name", ["tfa.AdamW", "tfa.SGDW"])
def test_decoupled_decay_of_the_addons_shrinks_kernels_alone(name):
    assert shrinkage(name, "decoupled") == pytest.approx({**ONE, "conv/kernel": 1 - DECAY}, abs=1e-6)


@needs_addons
def test_addons_that_would_decay_biases_are_refused():
    with pytest.raises(ValueError, match="'tfa.RectifiedAdam' does not take"):
        optimizers.make("tfa.RectifiedAdam", RATE, {}, DECAY, "decoupled")


@pytest.mark.parametrize(
    "name, options, count",
    [("adam", {}, 2), ("muon", {}, 2), ("adam", {"amsgrad": True}, 3), ("sgd", {"momentum": 0.9}, 1)],
)
def test_moments_are_counted(name, options, count):
    assert optimizers.moments(name, options) == count


@pytest.mark.parametrize("name, options", [("adam", {}), ("adamw", {"epsilon": 2.5e-4}), ("adam", {"amsgrad": True})])
def test_adam_in_one_operation_is_keras_own(name, options):
    rng = np.random.default_rng(0)
    start, gradients = rng.normal(size=(3, 4)), rng.normal(size=(5, 3, 4)).astype(np.float32)
    made = []
    for owner in (optimizers._class(name), getattr(keras.optimizers, optimizers.KERAS[name])):
        weight = tf.Variable(tf.constant(start, tf.float32), name="kernel")
        optimizer = owner(Schedule("constant", 0.01, 10), **options)
        optimizer.build([weight])
        for gradient in gradients:
            compat.apply_reduced(optimizer, [tf.constant(gradient)], [weight])
        made.append([v.numpy() for v in [weight, *compat.optimizer_variables(optimizer)]])
    for own, keras_own in zip(*made):
        np.testing.assert_allclose(own, keras_own, rtol=1e-5, atol=1e-6)
