"""Two hundred requests of ten kinds that nobody should send: each is refused, and the server answers as before."""

import contextlib
import socket
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from photos import picture
from served import png, serving, tiff, wait_for

EACH = 20
GOOD = png(picture(20, 30))
PATHS = ("/../../etc/passwd", "/%2e%2e/config.json", "//etc/passwd", "/page.js%00.png", "/predict/../../x", "/\\..\\x")


def bomb():
    """A PNG of a few kilobytes that says that it has 3,600 megapixels, and has a part of them."""
    head = b"IHDR" + (60_000).to_bytes(4, "big") * 2 + bytes((8, 2, 0, 0, 0))
    parts = [head, b"IDAT" + zlib.compress(bytes(2**21)), b"IEND"]
    chunks = [(len(part) - 4).to_bytes(4, "big") + part + zlib.crc32(part).to_bytes(4, "big") for part in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def slow(server):
    """Status of a request of which a byte comes now and then."""
    with server.sent(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n") as client:
        client.settimeout(0.1)
        for _ in range(100):
            with contextlib.suppress(socket.timeout):
                return int(client.recv(100).split()[1])
            client.sendall(b"x")
    return None


def hundred_megabytes(server):
    """Status of a request that has 100 MB and does not say so."""
    return server.predict(iter([bytes(10**6)] * 100)).status


def kinds():
    """{kind: (function of the server and a number that gives a status, statuses that it may have)}."""
    wrong = [b"GIF89a", b"%PDF-1.4", b"PK\3\4", b"\x93NUMPY\x01\x00", b"<svg/>", b"\0" * 99]
    other = [tiff(np.zeros((5, 9, 9), np.uint8)), png(picture(9, 9).astype(np.uint16))]
    return {
        "wrong type": (lambda s, n: s.predict(wrong[n % len(wrong)]).status, {415}),
        "truncated": (lambda s, n: s.predict(GOOD[: 30 + n * (len(GOOD) - 60) // EACH]).status, {400}),
        "100 MB": (lambda s, n: hundred_megabytes(s), {413}),
        "decompression bomb": (lambda s, n: s.predict(bomb()).status, {413}),
        "wrong bands": (lambda s, n: s.predict(other[n % len(other)]).status, {400}),
        "empty": (lambda s, n: s.predict(b"").status, {400}),
        "wrong method": (lambda s, n: s.ask(("GET", "PUT", "DELETE", "BREW")[n % 4], "/predict").status, {405}),
        "path tricks": (lambda s, n: s.ask("GET", PATHS[n % len(PATHS)]).status, {404}),
    }


def test_each_is_refused_and_the_server_still_answers(capfd):
    with serving(max_mb=1.0) as server, ThreadPoolExecutor(8) as clients:
        for kind, (send, allowed) in kinds().items():
            found = [*clients.map(lambda number, send=send: send(server, number), range(EACH))]
            assert {*found} <= allowed, kind
            assert server.predict(GOOD).status == 200, kind
        assert not [*server.service.folder.iterdir()]
    assert capfd.readouterr().err == ""


def test_slow_senders_are_told_so_and_others_are_answered_meanwhile():
    with serving(send_seconds=0.5) as server, ThreadPoolExecutor(EACH) as clients:
        senders = [clients.submit(slow, server) for _ in range(EACH)]
        assert server.predict(GOOD).status == 200
        assert {one.result() for one in senders} == {408}
        assert server.predict(GOOD).status == 200


def test_who_does_not_take_an_answer_is_left():
    body = png(np.zeros((2000, 3000, 3), np.uint8))  # the answer has 24 MB, more than the system takes for a client
    head = f"POST /predict?format=confidence HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n"
    with serving(send_seconds=1.0) as server:
        connections, before = server._server.server_state.connections, server.model.seen
        with server.sent(head.encode(), body):
            wait_for(lambda: server.model.seen > before and connections)
            wait_for(lambda: not connections, seconds=15)
        assert server.predict(GOOD).status == 200


def test_who_takes_an_answer_slowly_gets_all_of_it():
    body = png(np.zeros((2000, 3000, 3), np.uint8))
    head = "POST /predict?format=confidence HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
    with serving(send_seconds=1.0) as server:
        with server.sent(f"{head}Content-Length: {len(body)}\r\n\r\n".encode(), body) as client:
            taken = 0
            with client.makefile("rb") as answer:
                while part := answer.read(10**6):
                    taken += len(part)
                    time.sleep(0.1)
        assert taken > 4 * 2000 * 3000


def test_of_a_flood_those_without_room_are_told_so_at_once():
    with serving(queue=1) as server, ThreadPoolExecutor(EACH) as clients:
        server.model.held.clear()
        first = clients.submit(server.predict, GOOD)
        while not server.service.busy:
            pass
        statuses = {*clients.map(lambda number: server.predict(GOOD).status, range(EACH))}
        server.model.held.set()
        assert first.result().status == 200 and statuses == {429}
        assert server.predict(GOOD).status == 200


@pytest.mark.parametrize("head", [b"POST /predict HTTP/1.1\r\nContent-Length: -5\r\nHost: a\r\n\r\n", b"A" * 200_000])
def test_heads_that_are_none(head):
    with serving() as server:
        with server.sent(head) as client, contextlib.suppress(ConnectionError):
            assert client.recv(100).startswith(b"HTTP/1.1 400 ")
        assert server.predict(GOOD).status == 200
