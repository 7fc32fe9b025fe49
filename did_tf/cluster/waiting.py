"""How workers wait for each other to come: not within TensorFlow, which has no limit there and hears no signal."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping

from did_tf.cluster.places import Place
from did_tf.common.errors import ConfigError, Failure

VARIABLE, PATIENCE = "DID_TF_PATIENCE", 600.0
"""Environment variable: how many seconds; and those where it is not set."""
_REACH, _POLL = 5.0, 0.2  # seconds that a worker may take to accept a connection, and between two looks


def patience(environment: Mapping[str, str]) -> float:
    """Seconds that `VARIABLE` says. Raises `ConfigError`."""
    text = environment.get(VARIABLE) or str(PATIENCE)
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < threading.TIMEOUT_MAX:
        raise ConfigError(f"{VARIABLE}={text:.100}: it must be a number of seconds")
    return seconds


def meet(place: Place, seconds: float) -> None:
    """Returns once all other workers have been reached at their addresses; this one can be at its own meanwhile.

    Raises:
      Failure: some did not come within so many seconds, which are named; or another process is at this one's address.
    """
    until, count = time.monotonic() + seconds, len(place.addresses)
    left = {i: address for i, address in enumerate(place.addresses) if i != place.index}
    with _listening(place.addresses[place.index], until):
        while left := {i: address for i, address in left.items() if not _is_reached(address)}:
            if time.monotonic() > until:
                named = ", ".join(f"worker {i} of {count} at {address}" for i, address in left.items())
                raise Failure(
                    f"{named} did not come within {seconds:g} s ({VARIABLE}): see what it says, and start all again "
                    "with the same command"
                )
            time.sleep(_POLL)


@contextlib.contextmanager
def _listening(address: str, until: float) -> Iterator[None]:
    """Within it, others reach this process. Waits for one of before it to leave the port."""
    while True:
        try:
            server = _server(_split(address)[1])
            break
        except (OSError, OverflowError) as error:
            if time.monotonic() > until:
                raise Failure(f"cannot listen at {address}: {getattr(error, 'strerror', '') or error}") from None
            time.sleep(_POLL)
    with server:
        yield


def _server(port):
    if socket.has_dualstack_ipv6():
        return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
    return socket.create_server(("", port))


def _is_reached(address):
    try:
        socket.create_connection(_split(address), _REACH).close()
    except (OSError, OverflowError):
        return False
    return True


def _split(address):
    """(host, port). Raises `ConfigError`."""
    host, _, port = address.rpartition(":")
    if not (host and port.isdecimal()):
        raise ConfigError(f"{address!r} is no address of a worker: it must be HOST:PORT")
    return host.strip("[]"), int(port)
