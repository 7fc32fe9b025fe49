"""Updates of every optimizer with weight decay against the same written out in NumPy, in float64."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.common import compat
from did_tf.training import optimizers
from did_tf.training.schedules import Schedule

RATE, DECAY, STEPS = 0.05, 0.3, 5


def sgd(gradients, rates, momentum=0.0, nesterov=False):
    """What is added to a weight at each update."""
    velocity = 0.0
    for gradient, rate in zip(gradients, rates):
        velocity = momentum * velocity - rate * gradient
        yield momentum * velocity - rate * gradient if nesterov else velocity


def adam(gradients, rates, beta_1=0.9, beta_2=0.999, epsilon=1e-7):
    first = second = 0.0
    for step, (gradient, rate) in enumerate(zip(gradients, rates), 1):
        first = beta_1 * first + (1 - beta_1) * gradient
        second = beta_2 * second + (1 - beta_2) * gradient**2
        yield -rate * np.sqrt(1 - beta_2**step) / (1 - beta_1**step) * first / (np.sqrt(second) + epsilon)


def rmsprop(gradients, rates, rho=0.9, momentum=0.0, epsilon=1e-7):
    second = velocity = 0.0
    for gradient, rate in zip(gradients, rates):
        second = rho * second + (1 - rho) * gradient**2
        velocity = momentum * velocity + rate * gradient / np.sqrt(second + epsilon)
        yield -velocity


CASES = [
    ("sgd", {}, sgd),
    ("sgd", {"momentum": 0.9}, sgd),
    ("sgd", {"momentum": 0.9, "nesterov": True}, sgd),
    ("adam", {"epsilon": 1e-3}, adam),
    ("adamw", {"beta_1": 0.5}, adam),
    ("rmsprop", {"rho": 0.7}, rmsprop),
    ("rmsprop", {"momentum": 0.9}, rmsprop),
]


def weights(*names):
    """Variables of random values, by path."""
    rng = np.random.default_rng(0)
    return [tf.Variable(rng.normal(0, 1, (2, 3)).astype(np.float32), name=name) for name in names]


def train(optimizer, variables, gradients):
    """[values of each variable] after each update, the gradients those of step by step [STEPS, variables, 2, 3]."""
    for step in gradients:
        optimizer.apply_gradients([(tf.constant(g, tf.float32), v) for g, v in zip(step, variables)])
        yield [v.numpy() for v in variables]


@pytest.mark.parametrize("decay", ["l2", "decoupled"])
@pytest.mark.parametrize("name, options, rule", CASES)
def test_updates_are_those_written_out(name, options, rule, decay):
    """Decoupled decay takes rate * decay of a kernel, before the step that its gradient alone makes."""
    names = ["encoder.a/kernel", "encoder.a/bias", "decoder.b/kernel", "head.main/kernel", "encoder.bn/gamma"]
    decayed = [decay == "decoupled" or name == "adamw"] * 5 & np.array([True, False, False, True, False])
    variables = weights(*names)
    schedule = Schedule("poly", RATE, 2 * STEPS, 2, power=1.0)
    rates = [float(schedule(step)) for step in range(STEPS)]
    optimizer = optimizers.make(name, schedule, options, DECAY, decay, variables, ["decoder"])
    gradients = np.random.default_rng(1).normal(0, 1, (STEPS, 5, 2, 3))
    expected = [v.numpy().astype(float) for v in variables]
    steps = [list(rule(gradients[:, i], rates, **options)) for i in range(5)]
    for step, found in enumerate(train(optimizer, variables, gradients)):
        expected = [
            value - rates[step] * DECAY * value * shrinks + steps[i][step]
            for i, (value, shrinks) in enumerate(zip(expected, decayed))
        ]
        for path, ours, theirs in zip(names, found, expected):
            np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=2e-6, err_msg=f"{path}, update {step}")


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "rmsprop", "nadam"])
@pytest.mark.parametrize("decay", ["l2", "decoupled"])
def test_without_decay_nothing_shrinks(name, decay):
    """Also where it is left out: the classes of Keras have defaults of their own."""
    for given in ({"weight_decay": 0.0}, {}):
        variables = weights("a/kernel")
        before = variables[0].numpy()
        optimizer = optimizers.make(name, RATE, decay=decay, variables=variables, **given)
        *_, ((after),) = train(optimizer, variables, np.zeros((3, 1, 2, 3)))
        np.testing.assert_array_equal(after, before)


@pytest.mark.parametrize("gradient", [0.0, 1e-30, 1e15, -1e15])
@pytest.mark.parametrize("name", ["adam", "adamw", "nadam", "sgd"])
def test_extreme_gradients_leave_finite_weights(name, gradient):
    variables = weights("a/kernel")
    optimizer = optimizers.make(name, 1e-3, {}, 0.1, "decoupled", variables)
    *_, (after,) = train(optimizer, variables, np.full((3, 1, 2, 3), gradient))
    assert np.isfinite(after).all()


@pytest.mark.parametrize("undecayed", [(), ("encoder",), ["decoder", "head"], {"encoder", "decoder", "head"}])
def test_kernels_decay_outside_of_what_is_left_out(undecayed):
    names = ["stem/kernel", "block1.a/kernel", "decoder.up/kernel", "head.main.conv/kernel"]
    parts = ["encoder", "encoder", "decoder", "head"]
    assert [optimizers.decays(v, undecayed) for v in weights(*names)] == [part not in undecayed for part in parts]
    others = weights("stem/bias", "bn/gamma", "bn/beta", "bn/moving_variance", "kernel/bias", "a/kernels")
    assert not any(optimizers.decays(v, undecayed) for v in others)


def test_parts_that_no_network_has_are_told():
    with pytest.raises(ValueError, match="optimizer.undecayed names 'neck'; known parts: encoder, decoder, head"):
        optimizers.make("adam", RATE, undecayed=["encoder", "neck"])
    assert set(models.PARTS) == {"encoder", "decoder", "head"}


@pytest.mark.parametrize("decay", ["L2", "decoupleD", "", "a", "m", "none"])
def test_kinds_of_decay_that_there_are_not(decay):
    with pytest.raises(ValueError, match="optimizer.decay must be one of"):
        optimizers.make("adam", RATE, decay=decay)


@pytest.mark.parametrize("name, decay, expected", [("adam", "l2", False), ("adamw", "l2", True), ("sgd", "l2", False)])
def test_who_decays(name, decay, expected):
    """Texts are compared by what they say: settings are read from files, not the objects of this module."""
    read = "".join
    assert optimizers.is_decoupled(read([*name]), read([*decay])) is expected
    assert optimizers.is_decoupled(read([*name]), read([*"decoupled"])) is True


def test_slots_are_there_before_the_first_update():
    """Or a resumed run would have nowhere to put what it saved."""
    for name, slots in (("adam", 2), ("nadam", 2), ("rmsprop", 1)):
        optimizer = optimizers.make(name, RATE, variables=weights("a/kernel", "a/bias"))
        assert sum(v.shape == (2, 3) for v in compat.optimizer_variables(optimizer)) == 2 * slots, name


def test_l2_options_do_not_reach_the_optimizer():
    optimizer = optimizers.make("adam", RATE, {}, DECAY, "l2", weights("a/kernel"))
    assert not optimizer.weight_decay


@pytest.mark.parametrize("name", ["adamx", "adam ", "Adam", "ADAM", "", "keras.Adam", "Optimizer"])
def test_names_are_those_of_the_table_alone(name):
    with pytest.raises(ValueError, match=f"unknown optimizer '{name}'"):
        optimizers.make(name, RATE)


def test_options_are_left_as_they_were():
    options = {"epsilon": 1e-3}
    optimizers.make("adamw", keras.optimizers.schedules.CosineDecay(RATE, 4), options, DECAY, "decoupled")
    assert options == {"epsilon": 1e-3}
