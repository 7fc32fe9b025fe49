"""Workers on this host: as many processes of one command, which live and end together."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from did_tf.cluster import places
from did_tf.common.errors import ConfigError

PATIENCE = 60.0
"""Seconds that the others may take to end by themselves after the first has ended."""
STARTED_BY = "DID_TF_STARTED_BY"
"""Environment variable: number of the process that started a worker."""
_POLL = 0.2
_KILLED = [getattr(signal, name) for name in ("SIGKILL", "SIGSEGV", "SIGABRT", "SIGBUS") if hasattr(signal, name)]


def run(command: Sequence[str], count: int, gpus: int) -> int:
    """Runs `command` as `count` workers and returns the exit status of the first that failed, or 0.

    The chief's output is shown, of the others the errors of one that fails before the rest. SIGTERM and Ctrl-C are
    handed on.

    Args:
      command: program and arguments.
      count: of workers.
      gpus: that TensorFlow sees here; each worker gets its share of them.

    Raises:
      ConfigError: GPUs can't be shared evenly.
    """
    shown = _shares_of_gpus(gpus, count, os.environ)
    with contextlib.ExitStack() as stack:
        errors = [stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(count)]
        workers = []
        for place, gpu, error in zip(places.on_this_host(_free_ports(count)), shown, errors):
            started_by = {places.VARIABLE: place.text(), STARTED_BY: str(os.getpid())}
            quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": error} if place.index else {}
            environment = {**os.environ, **gpu, **started_by}
            # In a session of its own: signals of the terminal reach it through this process alone.
            workers.append(subprocess.Popen(command, env=environment, start_new_session=True, **quiet))
        with _handed_on(workers):
            first, status = _ended(workers)
        _tell(first, status, count, errors)
        return status


def environment_of_child() -> dict[str, str]:
    """Environment variables for a training that is to end with this process, see `end_with_starter`."""
    return {**os.environ, STARTED_BY: str(os.getpid())}


def end_with_starter() -> None:
    """Where `run` or another program started this process, ends it as SIGTERM does once that process is gone."""
    if starter := os.environ.get(STARTED_BY):
        threading.Thread(target=_watch, args=(int(starter),), daemon=True).start()


def _watch(starter):
    while os.getppid() == starter:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


def _shares_of_gpus(gpus: int, count: int, environment: Mapping[str, str]) -> list[dict[str, str]]:
    if not gpus:
        return [{}] * count
    if gpus % count:
        raise ConfigError(f"--workers={count}: {gpus} GPUs can't be shared by them: --config.train.devices=cpu")
    names = (environment.get("CUDA_VISIBLE_DEVICES") or ",".join(map(str, range(gpus)))).split(",")
    each = gpus // count
    return [{"CUDA_VISIBLE_DEVICES": ",".join(names[i * each : (i + 1) * each])} for i in range(count)]


def _free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("localhost", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def _handed_on(workers: Sequence[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Within it, signals to end are those of the workers; beyond it none of these is left."""

    def hand_on(number, frame):
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                worker.send_signal(number)

    previous = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ended(workers):
    """(index of the first worker that failed, its exit status as a shell has it), or (0, 0), once all have ended."""
    first, until = (0, 0), float("inf")
    running = dict(enumerate(workers))
    while running and time.monotonic() < until:
        for index, worker in [*running.items()]:
            if worker.poll() is None:
                continue
            del running[index]
            if worker.returncode or not index:  # the chief may still send the run to a remote place, after all others
                until = min(until, time.monotonic() + PATIENCE)
            if worker.returncode and not first[1]:
                first = index, worker.returncode if worker.returncode > 0 else 128 - worker.returncode
        time.sleep(_POLL)
    if running and not first[1]:
        return next(iter(running)), 1
    return first


def _tell(index: int, status: int, count: int, errors: Sequence[IO[str]]) -> None:
    """One line on stderr, where the first to fail was killed, or was not the chief, whose own errors are shown."""
    if status - 128 in _KILLED:
        name = signal.Signals(status - 128).name
        print(f"error: worker {index} of {count} ended by {name}: the same command goes on from there", file=sys.stderr)
    elif index and 0 < status < 128:
        errors[index].seek(0)
        lines = errors[index].read().strip().splitlines()
        print(f"worker {index} of {count}: {lines[-1] if lines else f'status {status}'}", file=sys.stderr)
