"""Workers that don't come."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from did_tf.cluster import waiting
from did_tf.cluster.places import Place, on_this_host
from did_tf.common.errors import ConfigError, Failure


def free_ports(count):
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("localhost", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@pytest.mark.parametrize("value, seconds", [(None, 600), ("", 600), ("2.5", 2.5)])
def test_how_long_they_wait(value, seconds):
    assert waiting.patience({} if value is None else {waiting.VARIABLE: value}) == seconds


@pytest.mark.parametrize("value", ["soon", "0", "-1", "nan", "inf", "1e99"])
def test_no_number_of_seconds(value):
    with pytest.raises(ConfigError, match=f"DID_TF_PATIENCE={value}: it must be a number of seconds"):
        waiting.patience({waiting.VARIABLE: value})


def test_all_that_come_meet_whoever_is_first():
    """At once each listens at its address again, as TensorFlow does."""
    met = threading.Barrier(3, timeout=20)

    def come(place):
        time.sleep(0.3 * (place.index == 1))
        waiting.meet(place, 10)
        with waiting._server(int(place.addresses[place.index].rpartition(":")[2])):
            return met.wait()

    with ThreadPoolExecutor(3) as pool:
        assert {*pool.map(come, on_this_host(free_ports(3)))} == {0, 1, 2}


def test_who_does_not_come_is_named():
    places = on_this_host(free_ports(4))
    with ThreadPoolExecutor(2) as pool:
        waits = [pool.submit(waiting.meet, places[i], 0.3) for i in (0, 2)]
        found = [wait.exception(10) for wait in waits]
    absent = ", ".join(f"worker {i} of 4 at {places[0].addresses[i]}" for i in (1, 3))
    told = f"{absent} did not come within 0.3 s (DID_TF_PATIENCE): see what it says, and start all again"
    assert [type(error) for error in found] == [Failure, Failure]
    assert all(str(error).startswith(told) for error in found)


def test_a_port_that_another_process_has_is_waited_for():
    places = on_this_host(free_ports(2))
    held = waiting._server(int(places[0].addresses[0].rpartition(":")[2]))
    with pytest.raises(Failure, match=f"cannot listen at {places[0].addresses[0]}: Address already in use"):
        waiting.meet(places[0], 0.1)
    threading.Timer(0.3, held.close).start()
    with waiting._server(int(places[0].addresses[1].rpartition(":")[2])):
        waiting.meet(places[0], 10)


@pytest.mark.parametrize("address", ["host", ":12", "host:", "host:http"])
def test_what_is_no_address_is_told(address):
    with pytest.raises(ConfigError, match="is no address of a worker: it must be HOST:PORT"):
        waiting.meet(Place((address, "localhost:1"), 0), 1)
