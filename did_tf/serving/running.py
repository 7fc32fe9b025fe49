"""A server from its first to its last moment: the port, the signals, clients that never come to an end."""

from __future__ import annotations

import asyncio
import json
import math
import os
import signal
import socket
import sys
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from did_tf.api import Model
from did_tf.common import kinds
from did_tf.common.errors import ConfigError
from did_tf.serving.app import application
from did_tf.serving.limits import Limits
from did_tf.serving.service import Service


def bound(host: str, port: int) -> socket.socket:
    """A socket of an address; nobody can connect yet.

    Args:
      host: name or number of an interface of this machine.
      port: 0 for any that is free.

    Raises:
      ConfigError: the port is taken, or there is no such address.
    """
    kinds.whole("[0, 65535]").check("--port", port)
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"--host={host} --port={port}: {error}") from None
    try:
        if os.name == "posix":  # elsewhere it would share the port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
    except OSError as error:
        made.close()
        raise ConfigError(f"port {port} of {host} can't be had ({error}): pass another --port, or 0") from None
    return made


def is_private(listener: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    address = listener.getsockname()[0]
    return address.startswith("127.") or address == "::1"


def serve(model: Model, listener: socket.socket, limits: Limits) -> int:
    """Serves until a signal comes; what is under way then is finished, for up to `limits.grace_seconds`.

    Returns:
      The number of the signal.

    Raises:
      Failure, MemoryError: the network can't label its first image.
      OSError: the port has been taken.
    """
    service = Service(model, limits)
    noted: list[int] = []
    server = uvicorn.Server(_config(service))
    service.ending = lambda: server.should_exit
    # uvicorn has handlers of its own, and at its end raises anew what came.
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, lambda number, frame: noted.append(number))
    service.warm_up(failed=lambda: setattr(server, "should_exit", True))
    listener.listen()
    host, port = listener.getsockname()[:2]
    print(f"serving at http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    server.run(sockets=[listener])
    number = noted[0] if noted else signal.SIGTERM
    working = service.busy
    service.end()
    if working:  # its thread can't be stopped, and Python would wait for it
        print("note: ended while an image was being labelled", file=sys.stderr, flush=True)
        os._exit(128 + number)
    return number


def _config(service):
    patience = {"patience": service.limits.send_seconds}
    return uvicorn.Config(
        application(service),
        http=type("_Protocol", (Patient,), patience),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",  # what goes wrong is told by the service
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=service.limits.grace_seconds,
    )


class Patient(H11Protocol):
    """HTTP with a limit on the time in which a request must have been sent, its head and its body.

    Attributes:
      patience: that time, in seconds; for so long a client may take nothing of an answer, too.
    """

    patience = 30.0
    _end: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has come, and is expected to ask something."""
        super().connection_made(transport)
        self._expect()

    def data_received(self, data: bytes) -> None:
        """Some of a request has come."""
        super().data_received(data)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._expect_nothing()
        self._look_no_more()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """More of an answer waits for the client than the system takes for it."""
        super().pause_writing()
        self._look(math.inf)

    def resume_writing(self) -> None:
        """It has taken most of that."""
        super().resume_writing()
        self._look_no_more()

    def send_400_response(self, msg: str) -> None:
        """For what is no HTTP."""
        self._refuse(400, "that is no HTTP request")

    def _expect(self):
        """Lets the time run while a request is incomplete."""
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._expect_nothing()
        elif self._end is None:
            self._end = self.loop.call_later(self.patience, self._too_slow)

    def _expect_nothing(self):
        if self._end:
            self._end.cancel()
            self._end = None

    def _look(self, before):
        """Hangs up where the client has taken nothing of what waited `before`, in bytes; else looks again."""
        left = self.transport.get_write_buffer_size()
        if left >= before:
            self.transport.abort()
        else:
            self._unread = self.loop.call_later(self.patience, self._look, left)

    def _look_no_more(self):
        if self._unread:
            self._unread.cancel()
            self._unread = None

    def _too_slow(self):
        self._refuse(408, f"the request was not sent within {self.patience:g} s: send it faster, or a smaller image")

    def _refuse(self, status, message):
        """Answers, where no answer has begun, and hangs up."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": message}).encode()
            head = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"}
            answer = h11.Response(status_code=status, headers=[*head.items()])
            parts = [self.conn.send(event) for event in (answer, h11.Data(data=body), h11.EndOfMessage())]
            self.transport.write(b"".join(part for part in parts if part))
        self.transport.close()
