"""Work that is shared by the devices of one process."""

import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import tensorflow as tf

from did_tf.cluster.devices import Spread

TESTS = Path(__file__).parents[1]


def test_each_device_has_one_call_at_a_time(monkeypatch):
    both, held = threading.Barrier(2, timeout=10), []
    monkeypatch.setattr(tf, "device", lambda name: held.append(name) or tf.name_scope("a"))

    def work(number):
        both.wait()
        return 2 * number

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(Spread(work, ["a", "b"]), range(8))] == [*range(0, 16, 2)]
    assert [{*held[i : i + 2]} for i in range(0, 8, 2)] == [{"a", "b"}] * 4


def test_a_device_is_free_again_after_an_error():
    spread = Spread(lambda number: 1 / number, ["/cpu:0", "/cpu:0"])
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            spread(0)
    assert spread(1) == 1


@pytest.mark.slow
def test_two_devices_validate_as_one_does():
    """To the last pixel, with mirrored variables and with weights that are constants."""
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    command = [sys.executable, str(TESTS / "two_devices.py")]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert [len(one["devices"]) for one in found] == [0, 2, 0, 2]
    for one, two in (found[:2], found[2:]):
        assert two["counts"] == one["counts"] and two["scores"] == one["scores"]
        assert sum(map(sum, one["counts"])) > 1000
