"""What workers tell each other: in threads here, whose sums are those of a network without one."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from did_tf.cluster.workers import Workers, loss_told
from did_tf.common.errors import ConfigError, Failure


class Meeting:
    """Where the workers of a test add up their numbers."""

    def __init__(self, count):
        self.barrier, self.numbers = threading.Barrier(count, timeout=20), [None] * count

    def summed(self, index, numbers):
        self.numbers[index] = np.asarray(numbers, np.int64)
        self.barrier.wait()
        total = sum(self.numbers)
        self.barrier.wait()
        return total


def together(count, work):
    """What `work(workers)` gives in each of so many."""
    meeting = Meeting(count)

    def one(index):
        workers = Workers(tf.distribute.get_strategy())
        workers.count, workers.index = count, index
        workers.summed = lambda numbers: meeting.summed(index, numbers)
        return work(workers)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def test_alone_nothing_is_sent():
    alone = Workers(tf.distribute.get_strategy())
    assert (alone.chief, alone.agreed(3), alone.from_chief(b"abc"), alone.part(7)) == (True, 3, b"abc", slice(0, 7))
    np.testing.assert_array_equal(alone.summed([[1, 2]]), [[1, 2]])


def test_all_agree_on_the_largest():
    assert together(3, lambda workers: workers.agreed([0, 15, 2][workers.index])) == [15, 15, 15]


@pytest.mark.parametrize("data", [b"", b"x", b"12345678", bytes(range(256)) * 3 + b"!"])
def test_bytes_of_the_chief_reach_all(data):
    assert together(2, lambda workers: workers.from_chief(data if workers.chief else b"other")) == [data, data]


def test_variables_of_the_chief_reach_all():
    """Bit by bit: what is no number and the sign of zero among them."""
    values = {"a": np.array([[np.nan, -0.0, 1e-45]], np.float32), "b": np.array(2**60 + 1), "c": np.array(0.1)}

    def work(workers):
        state = {name: tf.Variable(value if workers.chief else np.ones_like(value)) for name, value in values.items()}
        workers.share(state)
        return {name: variable.numpy().tobytes() for name, variable in state.items()}

    expected = {name: value.tobytes() for name, value in values.items()}
    assert together(2, work) == [expected, expected]


@pytest.mark.parametrize("number, count", [(0, 2), (1, 3), (7, 3), (9, 3)])
def test_parts_are_the_whole_and_alike(number, count):
    parts = together(count, lambda workers: [*range(number)][workers.part(number)])
    assert sum(parts, []) == [*range(number)]
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_other_facts_are_refused_by_all():
    def work(workers):
        with pytest.raises(ConfigError) as caught:
            workers.check_same({"data": {"x": 1}, "seed": 1 + (workers.index == 2), "network": "did"})
        return str(caught.value)

    assert together(3, work) == ["worker 2 differs from worker 0, the chief, in: seed; make them alike"] * 3


def test_equal_facts_pass():
    assert together(2, lambda workers: workers.check_same({"data": {"b": 1, "a": 2}})) == [None, None]


def lose():
    with loss_told():
        raise tf.errors.UnavailableError(None, None, "Collective ops is aborted by: Socket closed")


def test_a_lost_worker_is_told_in_a_line(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 1}}')
    with pytest.raises(Failure, match=r"^worker 1 of 2 has lost another one.*from the last checkpoint$"):
        lose()


def test_errors_of_one_process_are_its_own(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(tf.errors.UnavailableError):
        lose()
