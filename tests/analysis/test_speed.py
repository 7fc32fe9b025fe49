"""Calls are timed, and what they hold is measured."""

import gc

import numpy as np
import tensorflow as tf

from did_tf.analysis import speed


def calls():
    """(function that counts, and returns a tensor; its count)."""
    made = []

    def call():
        made.append(1)
        return tf.zeros(()) if len(made) % 2 else tf.zeros((2, 3))

    return call, made


def test_the_first_call_is_not_timed_and_at_least_three_are():
    call, made = calls()
    found = speed.measure(call, 0, 0.0, "calls", progress=False)
    assert found.calls == speed.LEAST == len(made) - 1


def test_the_median_and_half_the_distance_between_the_quartiles(monkeypatch):
    """By a clock on which calls take 1, 2, 3, 4 and 10 seconds."""
    ticks = iter(np.cumsum([0, 1, 0, 2, 0, 3, 0, 4, 0, 10]))
    monkeypatch.setattr(speed.time, "perf_counter", lambda: float(next(ticks)))
    found = speed.measure(calls()[0], 0, 20.0, "calls", progress=False)
    assert (found.seconds, found.spread, found.calls) == (3, 1, 5)


def test_what_a_call_holds_is_measured_beside_what_was_held_before():
    """300 MB that are free again when the calls are over; what tests before held at most may be more.

    What they left is freed first: meanwhile, it would be less.
    """
    gc.collect()
    held = speed.memory_held()
    found = speed.measure(lambda: tf.ones((300_000_000 // 4,)), held, 0.0, "calls", progress=False)
    assert 250e6 < found.memory == speed.peak() - held


def test_the_machine_is_told():
    found = speed.machine()
    assert found["device"] and found["cores"] >= 1 and found["tensorflow"] == tf.__version__
