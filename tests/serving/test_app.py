"""What the paths of a server answer, over a real connection; the model is a fake."""

import gzip
import io
import logging
import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fake_model import SPEC, FakeModel
from photos import picture
from served import png, serving, wait_for

from data_pipelines.spec import DataError
from did_tf.common.errors import NotFinite

IMAGE = picture(20, 30)
INCOMPLETE = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"
IDS = np.array(SPEC.label_ids)[IMAGE[..., 0] % 3]


@pytest.fixture(scope="module")
def server():
    with serving() as running:
        yield running


def test_labels_are_the_models(server):
    answer = server.predict(png(IMAGE))
    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    np.testing.assert_array_equal(answer.pixels, IDS)


def test_a_form_by_name_and_by_accept(server):
    assert server.predict(png(IMAGE), "color").pixels.shape == (20, 30, 3)
    assert server.predict(png(IMAGE), Accept="application/json").json["classes"][1]["name"] == "road <b>"
    packed = server.predict(png(IMAGE), "npy", Accept_Encoding="gzip")
    assert packed.headers["content-encoding"] == "gzip"
    np.testing.assert_array_equal(np.load(io.BytesIO(gzip.decompress(packed.body))), IMAGE[..., 0] % 3)


def test_packing_an_answer_keeps_nobody_waiting(server, monkeypatch):
    packing, go_on, compress = threading.Event(), threading.Event(), gzip.compress

    def slowly(*arguments):
        packing.set()
        assert go_on.wait(10)
        return compress(*arguments)

    monkeypatch.setattr(gzip, "compress", slowly)
    with ThreadPoolExecutor() as threads:
        answer = threads.submit(server.predict, png(IMAGE), "npy", Accept_Encoding="gzip")
        assert packing.wait(10) and server.ask("GET", "/health").status == 200
        go_on.set()
        assert answer.result().status == 200


def test_how_sure_the_network_is(server):
    found = np.load(io.BytesIO(server.predict(png(IMAGE), "confidence").body))
    np.testing.assert_array_equal(found, np.full((20, 30), 0.25, np.float32))
    assert found.dtype == np.float32


def test_a_body_that_comes_in_pieces_without_its_length(server):
    body = png(IMAGE)
    answer = server.predict(iter([body[:100], body[100:]]))
    np.testing.assert_array_equal(answer.pixels, IDS)


def test_the_page_is_its_files_and_asks_nobody_else(server):
    page = server.ask("GET", "/")
    assert page.status == 200 and "default-src 'self'" in page.headers["content-security-policy"]
    for path in re.findall(r'(?:src|href)="(/[^"]+)"', page.body.decode()):
        assert server.ask("GET", path).status == 200
    everything = b"".join(server.ask("GET", path).body for path in ("/", "/page.js", "/page.css"))
    assert not re.search(rb"https?://|//[a-z]+\.", everything)


def test_what_the_model_is(server):
    told = server.ask("GET", "/model").json
    assert [one["id"] for one in told["classes"]] == [4, 7, 9] and told["void"]["id"] == 255
    assert (told["bands"], told["dtype"], told["limits"]["max_mb"]) == (3, "uint8", 64)
    assert told["model"] == server.predict(png(IMAGE), "json").json["model"]


def test_alive_and_ready_and_not_ready_when_it_ends(server):
    assert server.ask("GET", "/health").json == {"alive": True}
    assert server.ask("GET", "/ready").status == 200
    ending, server.service.ending = server.service.ending, lambda: True
    try:
        assert server.ask("GET", "/ready").status == 503
        assert server.predict(png(IMAGE)).status == 503
    finally:
        server.service.ending = ending


def test_metrics_count_answers_by_path_and_status(server):
    def count(line):
        return float(re.search(rf"^{re.escape(line)} (\S+)$", server.ask("GET", "/metrics").body.decode(), re.M)[1])

    pixels, predictions = count("did_tf_pixels_total"), count("did_tf_predict_seconds_count")
    server.predict(png(IMAGE))
    server.predict(png(IMAGE), "image")  # which labels nothing
    server.ask("GET", "/../nowhere")
    assert count("did_tf_pixels_total") == pixels + 600
    assert count("did_tf_predict_seconds_count") == predictions + 1
    assert count('did_tf_requests_total{path="other",status="404"}') >= 1
    assert count('did_tf_requests_total{path="/predict",status="200"}') >= 1
    assert count("process_resident_memory_bytes") > 1e6


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/predict", 405),
        ("POST", "/", 405),
        ("DELETE", "/model", 405),
        ("GET", "/predict/", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/page.js/../../app.py", 404),
        ("GET", "//etc/passwd", 404),
    ],
)
def test_other_methods_and_paths(server, method, path, status):
    answer = server.ask(method, path)
    assert answer.status == status and set(answer.json) == {"error"}


def test_a_form_of_a_browser_is_told_how_to_send_the_image(server):
    answer = server.predict(b"--x\r\n", Content_Type="multipart/form-data; boundary=x")
    assert answer.status == 415 and "curl --data-binary" in answer.json["error"]


def test_a_body_that_is_too_large_is_refused_by_its_header_and_while_it_comes():
    with serving(max_mb=0.01) as server:
        head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n"
        with server.sent(head) as client:
            assert client.recv(100).startswith(b"HTTP/1.1 413 ")
        answer = server.predict(iter([b"\x89PNG" + bytes(9000)] * 3))
        assert answer.status == 413 and "more than 0.01 MB" in answer.json["error"]
        assert not [*server.service.folder.iterdir()]


def test_a_sender_who_is_too_slow_is_told_so():
    with serving(send_seconds=0.2) as server:
        for begun in (b"", INCOMPLETE[:30], INCOMPLETE):
            with server.sent(begun) as client:
                answer = client.recv(1000)
            assert answer.startswith(b"HTTP/1.1 408 ") and b'{"error": "the request was not sent within 0.2' in answer
        with server.sent(INCOMPLETE):
            pass  # gone in the middle
        wait_for(lambda: not [*server.service.folder.iterdir()])
        assert server.predict(png(IMAGE)).status == 200


def test_what_is_no_http_is_told_so(server):
    with server.sent(b"\x16\x03\x01 hello\r\n\r\n") as client:
        answer = client.recv(1000)
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.endswith(b'{"error": "that is no HTTP request"}')


def test_a_flood_is_told_to_come_again_and_those_before_it_are_answered():
    with serving(queue=3) as server, ThreadPoolExecutor(10) as clients:
        server.model.held.clear()
        asked = [clients.submit(server.predict, png(IMAGE)) for _ in range(10)]
        wait_for(lambda: sum(one.done() for one in asked) == 7)
        assert server.ask("GET", "/health").status == 200
        server.model.held.set()
        answers = [one.result() for one in asked]
    assert sorted(one.status for one in answers) == [200] * 3 + [429] * 7
    busy = next(one for one in answers if one.status == 429)
    assert busy.headers["retry-after"] == "5" and "busy: 3 images" in busy.json["error"]


def test_who_waits_too_long_for_a_turn_is_told_to_come_again():
    with serving(wait_seconds=0.1) as server, ThreadPoolExecutor(2) as clients:
        server.model.held.clear()
        first = clients.submit(server.predict, png(IMAGE))
        wait_for(lambda: server.service.busy)
        assert server.predict(png(IMAGE)).status == 503
        server.model.held.set()
        assert first.result().status == 200


def test_nobody_computes_for_a_client_that_has_gone():
    with serving() as server, ThreadPoolExecutor(1) as clients:
        server.model.held.clear()
        first = clients.submit(server.predict, png(IMAGE))
        wait_for(lambda: server.service.busy)
        body = png(IMAGE)
        with server.sent(b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body), body):
            wait_for(lambda: server.service._let_in == 2)
        seen = server.model.seen
        server.model.held.set()
        assert first.result().status == 200
        wait_for(lambda: server.service._let_in == 0)
        assert server.model.seen == seen + 1


def test_at_the_end_nobody_is_let_in_and_what_is_under_way_is_finished():
    with serving() as server, ThreadPoolExecutor(1) as clients:
        server.model.held.clear()
        first = clients.submit(server.predict, png(IMAGE))
        wait_for(lambda: server.service.busy)
        server.end()
        wait_for(lambda: not listens(server))
        server.model.held.set()
        assert first.result().status == 200


def listens(server):
    try:
        return bool(server.ask("GET", "/health"))
    except ConnectionError:  # refused, or reset by the end
        return False


@pytest.mark.parametrize(
    "error, status, told",
    [
        (DataError("the image (9x9) would take 9.0 GB: cut it into parts"), 413, "cut it into parts"),
        (NotFinite("the network's output main is not finite"), 500, "not finite"),
        (MemoryError(), 503, "no memory is left"),
        (KeyError("/home/me/secret"), 500, "internal error"),
    ],
)
def test_a_failure_is_told_in_a_line_without_a_trace(error, status, told, capfd, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serving() as server:
        server.model.error = error
        answers = [server.predict(png(IMAGE)) for _ in range(2)]
        server.model.error = None
        assert server.predict(png(IMAGE)).status == 200
    assert {one.status for one in answers} == {status} and told in answers[0].json["error"]
    assert "secret" not in answers[0].json["error"]
    told_here = capfd.readouterr().err
    if "internal" in told:
        assert told_here.count("\n") == 1 and "KeyError" in (tmp_path / "error.log").read_text()
    else:
        assert told_here == ""


def test_a_disk_that_fails_is_told_as_a_fault(capfd, monkeypatch, tmp_path):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with serving() as server:
        server.service.folder = tmp_path / "gone"
        answer = server.predict(png(IMAGE))
    assert answer.status == 500 and "internal error" in answer.json["error"]
    assert "FileNotFoundError" in capfd.readouterr().err


def test_a_network_that_fails_at_once_ends_the_server():
    model = FakeModel()
    model.error = NotFinite("the network's output main is not finite")
    with pytest.raises(NotFinite) as caught, serving(model):
        pass
    assert caught.value.__context__ is None, "it was not ended: waiting for it was given up"


def test_nothing_of_a_request_is_logged(server, caplog):
    with caplog.at_level(logging.DEBUG):
        server.predict(png(IMAGE))
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]
