"""A server with a fake model on a port of this machine, and requests to it."""

import contextlib
import http.client
import json
import socket
import threading
import time
from typing import NamedTuple

import cv2
import numpy as np
import rasterio
import uvicorn
from fake_model import FakeModel

from did_tf.serving import running
from did_tf.serving.limits import Limits
from did_tf.serving.service import Service


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def pixels(self):
        """Of a picture, red before green before blue."""
        found = cv2.imdecode(np.frombuffer(self.body, np.uint8), cv2.IMREAD_UNCHANGED)
        return found[..., ::-1] if found.ndim == 3 else found


class Server:
    """A server that runs.

    Attributes:
      address: (host, port).
      model, service: of it.
    """

    def __init__(self, server, service, address):
        self._server, self.service, self.model, self.address = server, service, service.model, address

    def end(self):
        """What a signal does."""
        self._server.should_exit = True

    def ask(self, method, path, body=None, **headers):
        with contextlib.closing(http.client.HTTPConnection(*self.address, timeout=20)) as connection:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def predict(self, body, form="", **headers):
        return self.ask("POST", f"/predict?format={form}" if form else "/predict", body, **headers)

    @contextlib.contextmanager
    def sent(self, *parts):
        """A socket through which these bytes have been sent."""
        with socket.create_connection(self.address, timeout=20) as client:
            for part in parts:
                client.sendall(part)
            yield client


@contextlib.contextmanager
def serving(model=None, **limits):
    """A `Server` with `limits`, which runs in a thread and has warmed up."""
    model = model or FakeModel()
    service = Service(model, Limits(**limits))
    server, listener = uvicorn.Server(running._config(service)), running.bound("127.0.0.1", 0)
    service.ending = lambda: server.should_exit
    address = listener.getsockname()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    service.warm_up(failed=lambda: setattr(server, "should_exit", True))
    try:
        wait_for(lambda: server.should_exit or server.started and service.ready)
        yield Server(server, service, address)
    finally:
        if isinstance(model, FakeModel):
            model.held.set()
        server.should_exit = True
        thread.join()
        service.end()


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.005)


def png(pixels):
    return cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()


def tiff(pixels, **options):
    """Bytes of a TIFF of [bands, H, W]."""
    size = {"count": len(pixels), "height": pixels.shape[1], "width": pixels.shape[2], "dtype": pixels.dtype}
    with rasterio.io.MemoryFile() as memory:
        with memory.open(driver="GTiff", **size, **options) as file:
            file.write(pixels)
        return bytes(memory.getbuffer())
