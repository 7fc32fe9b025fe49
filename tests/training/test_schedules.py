"""Tests of the learning-rate schedules against closed forms."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.training.schedules import NAMES, Schedule


def rates(schedule, steps):
    return [float(schedule(step)) for step in steps]


@pytest.mark.parametrize(
    "boundaries, divisor, expected",
    [
        ((2 / 3,), 10, {0: 1e-3, 199: 1e-3, 200: 1e-4, 299: 1e-4, 300: 1e-4, 9999: 1e-4}),
        ((0.4, 0.8), 10, {119: 1e-3, 120: 1e-4, 239: 1e-4, 240: 1e-5, 300: 1e-5}),
        ((0.5,), 2, {149: 1e-3, 150: 5e-4}),
        ((), 10, {0: 1e-3, 299: 1e-3}),
    ],
)
def test_step_divides_at_its_boundaries(boundaries, divisor, expected):
    schedule = Schedule("step", 1e-3, 300, boundaries=boundaries, divisor=divisor)
    assert rates(schedule, expected) == pytest.approx(list(expected.values()), rel=1e-5)


def test_the_papers_run_drops_after_two_thirds_of_it():
    schedule = Schedule("step", 1e-3, 182_000)
    assert rates(schedule, [121_332, 121_333]) == pytest.approx([1e-3, 1e-4], rel=1e-5)


@pytest.mark.parametrize("warmup", [0, 20])
@pytest.mark.parametrize(
    "name, power, factor",
    [
        ("poly", 0.9, lambda t: (1 - t) ** 0.9),
        ("poly", 1.5, lambda t: (1 - t) ** 1.5),
        ("cosine", 0.9, lambda t: (1 + math.cos(math.pi * t)) / 2),
        ("constant", 0.9, lambda t: 1.0),
    ],
)
def test_smooth_schedules_over_what_the_warmup_leaves(name, power, factor, warmup):
    schedule = Schedule(name, 0.5, 120, warmup, power=power)
    steps = range(warmup, 121)
    expected = [0.5 * factor((step - warmup) / (120 - warmup)) for step in steps]
    np.testing.assert_allclose(rates(schedule, steps), expected, rtol=1e-4, atol=1e-7)
    assert float(schedule(500)) == float(schedule(120))


@pytest.mark.parametrize("name", NAMES)
def test_warmup_rises_in_equal_steps_to_the_base(name):
    schedule = Schedule(name, 0.3, 100, warmup=10)
    np.testing.assert_allclose(rates(schedule, range(10)), 0.03 * np.arange(1, 11), rtol=1e-5)
    assert float(schedule(10)) == pytest.approx(0.3)


@pytest.mark.parametrize("warmup", [0, 1220])
def test_exponential_is_a_decay_per_epoch(warmup):
    """0.995 after each of 750 epochs of 122 updates, as FC-DenseNet has it; here a little at every update."""
    schedule = Schedule("exponential", 1e-3, warmup + 750 * 122, warmup, final=0.995**750)
    epochs = [0, 1, 2, 100, 749, 750]
    expected = [1e-3 * 0.995**epoch for epoch in epochs]
    np.testing.assert_allclose(rates(schedule, [warmup + 122 * epoch for epoch in epochs]), expected, rtol=1e-4)
    assert float(schedule(10**6)) == float(schedule(warmup + 750 * 122))
    ratios = np.divide(rates(schedule, range(warmup + 1, warmup + 50)), rates(schedule, range(warmup, warmup + 49)))
    np.testing.assert_allclose(ratios, 0.995 ** (1 / 122), rtol=1e-6)


def test_boundaries_are_shares_of_the_run_with_its_warmup():
    schedule = Schedule("step", 1.0, 100, warmup=40, boundaries=(0.5,))
    assert rates(schedule, [39, 40, 49, 50]) == pytest.approx([1, 1, 1, 0.1])


@pytest.mark.parametrize("name", NAMES)
def test_same_in_a_graph(name):
    schedule = Schedule(name, 0.3, 100, warmup=10)
    traced = tf.function(schedule, input_signature=[tf.TensorSpec([], tf.int64)])
    for step in (0, 9, 10, 66, 67, 100, 200):
        assert float(traced(step)) == pytest.approx(float(schedule(step)), rel=1e-5, abs=1e-8)


def test_optimizers_follow_it():
    """Plain SGD with a gradient of 1 moves by the rate of its update."""
    schedule = Schedule("poly", 0.5, 8, warmup=2)
    optimizer, variable = keras.optimizers.SGD(schedule), tf.Variable(0.0)
    moved = []
    for _ in range(10):
        before = float(variable)
        optimizer.apply_gradients([(tf.constant(1.0), variable)])
        moved.append(before - float(variable))
    np.testing.assert_allclose(moved, rates(schedule, range(10)), atol=1e-6)


def test_config_makes_it_again():
    schedule = Schedule("step", 0.3, 100, 10, (0.25, 0.5), 4.0, 0.7, 0.3)
    again = Schedule.from_config(schedule.get_config())
    assert again.get_config() == schedule.get_config()
    assert rates(again, range(0, 120, 7)) == rates(schedule, range(0, 120, 7))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("steps", 1.0, 10), "unknown schedule 'steps'; known: step, poly, cosine, exponential, constant"),
        (("poly", 1.0, 10, 10), r"schedule.warmup must be in \[0, 10\) for a run of 10 steps, got 10"),
        (("poly", 1.0, 10, -1), "schedule.warmup must be in .*, got -1"),
        (("exponential", 1.0, 10, 0, (), 10, 0.9, 0), r"schedule.final must be in \(0, 1\], got 0"),
    ],
)
def test_bad_settings_are_told(arguments, message):
    with pytest.raises(ValueError, match=message):
        Schedule(*arguments)
