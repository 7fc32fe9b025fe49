"""`did_tf serve`: what is refused before it listens; and one that runs, is asked, and is told to end."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request

import cv2
import numpy as np
import pytest
import tiny
from photos import picture
from program import PROJECT, launch_here
from served import png, wait_for

import did_tf
from did_tf import wiring
from did_tf.common.errors import ConfigError
from did_tf.serving import running

STUCK = """
import sys
from fake_model import FakeModel
from did_tf.serving import running
from did_tf.serving.limits import Limits
model, listener = FakeModel(), running.bound("127.0.0.1", 0)
model.held.clear()  # the first image takes ten seconds
sys.exit(128 + running.serve(model, listener, Limits(grace_seconds=1)))
"""
COMMAND = [sys.executable, "-m", "did_tf", "serve"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = tiny.config()
    return tiny.save_run(
        tmp_path_factory.mktemp("serve") / "run", config, wiring.make_model(config, wiring.make_spec(config))
    )


def refused(*arguments):
    done = launch_here("serve", *arguments)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
    return done.stderr


def test_without_a_run_or_with_none(tmp_path):
    assert "no run given: did_tf serve RUN" in refused()
    assert "is no folder" in refused(tmp_path / "nowhere", "--port=0")
    assert "unexpected argument 'b': --help says" in refused("a", "b")


@pytest.mark.parametrize("given", ["--config.evaluate.flip=True", "--experiment=did_synthetic", "--data=there"])
def test_settings_are_those_of_the_run(run, given):
    assert "serve takes RUN, and no --experiment, --data or --config" in refused(run.folder, "--port=0", given)


@pytest.mark.parametrize("flag", ["--max_mb=0", "--queue=0", "--batch=-1", "--grace_seconds=-1", "--send_seconds=nan"])
def test_limits_that_are_none(run, flag):
    assert f"{flag.split('=')[0]} must be a" in refused(run.folder, "--port=0", flag)


def test_packages_that_are_missing_are_told_with_their_extra(run, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("did_tf.serving")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert re.search(r"needs further packages .*uvicorn.*: pip install .*\[serve\]'", refused(run.folder))


def test_a_port_that_is_taken(run):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert re.search(
            rf"port {port} of 127.0.0.1 can't be had \(.*\): pass another", refused(run.folder, f"--port={port}")
        )


@pytest.mark.parametrize(
    "host, port, told",
    [("no.such.host.invalid", 80, "invalid"), ("192.0.2.1", 0, "192.0.2.1"), ("", 70_000, "--port must")],
)
def test_what_is_no_address(host, port, told):
    with pytest.raises(ConfigError, match=told):
        running.bound(host, port)


@pytest.mark.parametrize("host, private", [("127.0.0.1", True), ("localhost", True), ("0.0.0.0", False)])
def test_who_can_reach_it(host, private):
    with running.bound(host, 0) as listener:
        assert running.is_private(listener) == private


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_server_labels_as_python_does_and_ends_when_it_is_told_to(run, number):
    command = [*COMMAND, str(run.folder), "--port=0", "--host=0.0.0.0"]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=PROJECT, env={**os.environ, "PYTHONUNBUFFERED": "1"}, **piped)
    try:
        lines = iter(process.stdout.readline, "")
        told = [next(lines), next(lines), next(lines)]
        assert "note: --host=0.0.0.0: whoever reaches this machine" in told[1]
        address = re.search(r"http://\S+", told[2])[0]
        wait_for(lambda: urllib.request.urlopen(f"{address}/health").status == 200)
        image = picture(33, 47, 4)
        with urllib.request.urlopen(f"{address}/predict", png(image)) as answer:
            labels = cv2.imdecode(np.frombuffer(answer.read(), np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(labels, did_tf.load(run.folder).predict(image))
        with urllib.request.urlopen(f"{address}/ready") as answer:
            assert json.load(answer) == {"ready": True}
        process.send_signal(number)
        assert process.wait(20) == 128 + number
        assert process.stderr.read() == ""
    finally:
        process.kill()


@pytest.mark.slow
def test_an_image_that_takes_longer_than_the_time_of_grace_does_not_hold_the_end_up():
    path = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", STUCK], env={**os.environ, "PYTHONPATH": path}, **piped)
    try:
        address = re.search(r"http://\S+", process.stdout.readline())[0]
        wait_for(lambda: urllib.request.urlopen(f"{address}/health").status == 200)
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 128 + signal.SIGTERM
        assert process.stderr.read().endswith("note: ended while an image was being labelled\n")
    finally:
        process.kill()
