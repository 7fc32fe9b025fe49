"""What an update must not do unseen."""

import numpy as np
import pytest
import tensorflow as tf

from did_tf.training import health

NAMES = ["loss", "gradient_norm", health.SKIPPED, *health.VITALS]
WELL = [1.5, 2.0, 0.0, 10.0, 3.0, 1024.0]


def test_a_run_that_is_well():
    assert health.problem(NAMES, np.array([WELL, WELL])) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", range(len(NAMES)))
def test_every_value_that_is_not_finite_is_seen_at_its_step(column, bad):
    values = np.array([WELL] * 4)
    values[2, column] = bad
    values[3] = np.nan
    assert health.problem(NAMES, values) == (2, f"{NAMES[column]} is {bad}")


@pytest.mark.parametrize("scale, ill", [(2.0, False), (1.0, True)])
def test_an_overflow_is_one_where_there_is_no_scale_left_to_halve(scale, ill):
    values = np.array([WELL, [1.5, 0.0, 1.0, 10.0, 3.0, scale]])
    found = health.problem(NAMES, values)
    assert found == ((1, "float16 overflows even without loss scaling") if ill else None)


def test_without_loss_scaling_nothing_is_skipped():
    names = [name for name in NAMES if name != health.SKIPPED]
    assert health.problem(names, np.array([[1.5, 2.0, 10.0, 3.0, 1.0]])) is None


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where, vital", [("weights", 0), ("statistics", 1)])
def test_one_bad_value_among_many_is_found(where, vital, bad):
    tensors = {
        "weights": [np.ones((3, 50), np.float32), np.ones(7, np.float32)],
        "statistics": [np.ones(9, np.float32)],
    }
    well = health.vitals(loss_scale=tf.constant(2.0), **tensors)
    np.testing.assert_allclose(well, [np.sqrt(157), 3, 2], rtol=1e-6)
    tensors[where][0].flat[5] = bad
    found = health.vitals(loss_scale=tf.constant(2.0), **tensors)
    assert [bool(np.isfinite(value)) for value in found] == [number != vital for number in range(3)]


def test_a_network_without_batch_norm_has_no_statistics():
    assert float(health.vitals([tf.ones(4)], [], tf.constant(1.0))[1]) == 0
