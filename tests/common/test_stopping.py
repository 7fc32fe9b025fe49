"""How a process is stopped: in one of its own, without TensorFlow."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from did_tf.common import stopping
from did_tf.common.stopping import INPUT, OTHERS

HANGING = """
import sys, threading
from did_tf.common import stopping
stopping.APART, stopping.PATIENCE, stopping.GRACE = map(float, sys.argv[2:])
stops, hung = stopping.Stops(), threading.Lock()
hung.acquire()
with stops.watched(lambda reason: print("left", flush=True)), stops.waiting(sys.argv[1]):
    print("waiting", flush=True)
    hung.acquire()
"""
"""A process whose input hangs; the main thread waits where no handler of Python's runs."""


def hanging(apart=0.1, patience=60.0, grace=60.0, for_what=INPUT):
    command = [sys.executable, "-c", HANGING, for_what, str(apart), str(patience), str(grace)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=Path(__file__).parents[2], **pipes)
    assert process.stdout.readline() == "waiting\n"
    return process


def test_a_signal_leaves_as_an_error_does():
    before, put_away = signal.getsignal(signal.SIGTERM), []
    with pytest.raises(SystemExit) as caught, stopping.leaving():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        finally:
            put_away.append(True)
    assert caught.value.code == 143 and put_away and signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_second_signal_leaves_at_once(number):
    process = hanging()
    process.send_signal(number)
    time.sleep(0.3)
    process.send_signal(number)
    told = process.communicate(timeout=10)
    assert (process.returncode, told) == (
        128 + number,
        ("", f"{number.name} again: left at once, without a checkpoint\n"),
    )


def test_two_signals_at_once_are_one():
    """`timeout` sends one to the process and one to its group."""
    process = hanging(apart=60.0)
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
        time.sleep(0.1)
    assert process.poll() is None
    process.kill()
    process.communicate()


@pytest.mark.parametrize("sent, status", [(None, 1), (signal.SIGTERM, 143)])
def test_input_that_hangs_ends_the_process_after_what_is_made_was_saved(sent, status):
    process = hanging(patience=60.0 if sent else 0.3, grace=0.3)
    if sent:
        process.send_signal(sent)
    said, errors = process.communicate(timeout=10)
    assert (process.returncode, said) == (status, "left\n")
    assert errors.startswith("error: no input came for ") and errors.count("\n") == 1


def test_other_workers_may_be_within_a_long_step_after_a_signal():
    process = hanging(patience=1.0, grace=0.1, for_what=OTHERS)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.5)
    assert process.poll() is None
    assert process.communicate(timeout=10)[1].startswith(
        "error: another worker has not come to the end of its step for"
    )
    assert process.returncode == 143
