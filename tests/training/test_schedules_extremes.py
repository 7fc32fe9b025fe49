"""Schedules at their edges and in very long runs, against the rate of each update worked out by itself in float64."""

import math

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.training.schedules import NAMES, Schedule

DEFAULTS = {"boundaries": (2 / 3,), "divisor": 10.0, "power": 0.9, "final": 0.01}


def by_hand(name, base, steps, step, warmup=0, **options):
    """Python floats are of 64 bits, its integers of any length."""
    given = {**DEFAULTS, **options}
    if step < warmup:
        return base * (step + 1) / warmup
    share = min((step - warmup) / (steps - warmup), 1)
    if name == "step":
        for boundary in given["boundaries"]:
            base = base / given["divisor"] if step >= round(boundary * steps) else base
        return base
    if name == "poly":
        return base * (1 - share) ** given["power"]
    if name == "cosine":
        return base * math.cos(share * math.pi / 2) ** 2
    if name == "exponential":
        return base * math.exp(share * math.log(given["final"]))
    return base


def assert_rates(name, base, steps, at, warmup=0, **options):
    schedule = Schedule(name, base, steps, warmup, **options)
    found = schedule(tf.constant([*at], tf.int64))  # element by element, which is faster than one at a time
    expected = [by_hand(name, base, steps, step, warmup, **options) for step in at]
    np.testing.assert_allclose(found, expected, rtol=3e-5, atol=2e-7 * base)


@pytest.mark.parametrize("warmup", [0, 1, 2, 7, 29])
@pytest.mark.parametrize("name", NAMES)
def test_every_update_of_a_short_run_and_those_beyond(name, warmup):
    name = "".join([*name])  # a name read from a file is another object than that of the module
    assert_rates(name, 0.25, 30, [*range(33), 60, 10**6], warmup, power=1.7, final=0.3, divisor=4.0)


@pytest.mark.parametrize("name", NAMES)
def test_runs_of_one_update(name):
    assert_rates(name, 2.0, 1, [0, 1, 2, 100], boundaries=(1.0,))
    assert_rates(name, 2.0, 2, [0, 1, 2, 100], 1, boundaries=(1.0,))


@pytest.mark.parametrize("boundaries", [(0.0,), (0.25, 0.5, 0.75), (0.5, 0.5), (0.75, 0.25), (1.0,), (0.1, 0.2, 0.3)])
@pytest.mark.parametrize("divisor", [10.0, 3, 0.5])
def test_boundaries_on_updates_at_both_ends_twice_and_in_any_order(boundaries, divisor):
    assert_rates("step", 0.1, 20, range(23), boundaries=boundaries, divisor=divisor)
    assert_rates("step", 0.1, 20, range(23), 6, boundaries=boundaries, divisor=divisor)


@pytest.mark.parametrize("power", [0, 0.5, 1, 2, 3])
def test_poly_of_any_power_ends_at_zero_or_stays(power):
    assert_rates("poly", 0.1, 16, range(20), 3, power=power)


@pytest.mark.parametrize("final", [1e-6, 0.5, 1.0])
def test_exponential_ends_at_its_final_share(final):
    assert_rates("exponential", 0.1, 16, range(20), 3, final=final)
    assert float(Schedule("exponential", 0.1, 16, 3, final=final)(16)) == pytest.approx(0.1 * final, rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_rates_never_rise_after_the_warmup_nor_fall_below_zero(name):
    schedule = Schedule(name, 1.0, 50, 10)
    found = schedule(tf.range(60)).numpy()
    assert (np.diff(found[:10]) > 0).all() and (np.diff(found[9:]) <= 1e-7).all() and (found >= 0).all()
    assert np.isfinite(found).all() and found.max() == pytest.approx(1)


EVEN = 2**24  # from here on float32 has no odd numbers


@pytest.mark.parametrize("name", NAMES)
def test_runs_longer_than_float32_counts(name):
    steps = 4 * EVEN
    at = [0, EVEN - 1, EVEN, EVEN + 1, 2 * EVEN - 1, 2 * EVEN, 2 * EVEN + 1, steps - 1, steps, 2**31 - 1, 2**40]
    assert_rates(name, 0.5, steps, at, boundaries=(0.25, 0.5), power=1.0)
    assert_rates(name, 0.5, steps, at, EVEN + 1, boundaries=(0.5,), power=1.0)


@pytest.mark.parametrize("offset", [-3, -2, -1, 0, 1, 2])
def test_boundaries_beyond_float32_are_met_to_the_update(offset):
    """In float32 the updates 2**24 and 2**24 + 1 are one number: the rate fell one update early."""
    steps = 2 * (EVEN + 1)
    assert_rates("step", 1.0, steps, [EVEN + 1 + offset], boundaries=(0.5,))
    assert_rates("constant", 1.0, steps, [EVEN + 1 + offset], EVEN + 1)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", [int, np.int32, np.int64, np.uint16, tf.constant, tf.Variable])
def test_counts_of_any_type(name, kind):
    schedule = Schedule(name, 0.3, 9, 2)
    assert schedule(kind(5)).dtype == tf.float32 and schedule(kind(5)).shape == ()
    assert [float(schedule(kind(step))) for step in (1, 2, 5)] == [float(schedule(step)) for step in (1, 2, 5)]


@pytest.mark.parametrize(
    "name, arguments, keras_own",
    [
        ("poly", {"power": 2.0}, lambda: keras.optimizers.schedules.PolynomialDecay(0.3, 40, 0.0, 2.0)),
        ("cosine", {}, lambda: keras.optimizers.schedules.CosineDecay(0.3, 40)),
        ("exponential", {"final": 0.2}, lambda: keras.optimizers.schedules.ExponentialDecay(0.3, 40, 0.2)),
        (
            "step",
            {"boundaries": (0.25, 0.5)},
            lambda: keras.optimizers.schedules.PiecewiseConstantDecay([9, 19], [0.3, 0.03, 0.003]),
        ),
    ],
)
def test_keras_own_schedules_agree(name, arguments, keras_own):
    """Keras' piecewise constants change after their boundaries, ours at them."""
    ours, theirs = Schedule(name, 0.3, 40, **arguments), keras_own()
    for step in range(41):
        assert float(ours(step)) == pytest.approx(float(theirs(step)), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("warmup", [-1, 10, 11, 100])
def test_warmups_that_are_no_part_of_the_run(warmup):
    with pytest.raises(ValueError, match=rf"warmup must be in \[0, 10\) for a run of 10 steps, got {warmup}"):
        Schedule("poly", 1.0, 10, warmup)


@pytest.mark.parametrize("final", [0, -0.1, 1.0001, 2, math.nan])
def test_finals_out_of_range(final):
    with pytest.raises(ValueError, match=rf"final must be in \(0, 1\], got {final}"):
        Schedule("exponential", 1.0, 10, final=final)


def test_what_is_left_out_has_the_defaults_of_the_docstring():
    left_out = {"warmup": 0, "boundaries": (2 / 3,), "divisor": 10.0, "power": 0.9, "final": 0.01}
    assert Schedule("step", 0.1, 9).get_config() == {"name": "step", "base": 0.1, "steps": 9, **left_out}
