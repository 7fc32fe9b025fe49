"""How a long work is stopped: by a signal, which is noted, by a second one, or by input that never comes."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator

SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
"""Those that ask a work to stop. One that is ignored, as SIGHUP under nohup, stays so."""
APART = 1.0
"""Seconds between two signals that count as two: `timeout` and job systems send one to a process and to its group."""
PATIENCE = 1800.0
"""Seconds after which input that does not come counts as hung."""
GRACE = 10.0
"""The same once a signal has asked to stop."""
INPUT = "no input came {}: the disk of the data, or what reads them, hangs"
OTHERS = "another worker has not come to the end of its step {}: it hangs. Start all again with the same command"
"""What may be waited for, told where it does not come. Others may be within a long step when a signal comes."""


class Stopped(Exception):
    """A signal has asked to stop: its `number`. Not an error: whoever raises it catches it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """Within it, SIGTERM and SIGHUP end the process as Ctrl-C does: by an exception, after which things are put away.

    Raises:
      SystemExit: with 128 + the signal's number.
    """

    def leave(number, frame):
        raise SystemExit(128 + number)

    noted = [number for number in SIGNALS if number != signal.SIGINT and signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, leave) for number in noted}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Stops:
    """Notes the signals that ask to stop.

    A thread sees them too, for they may come while the main thread waits within TensorFlow, where Python's handlers do
    not run. The second signal ends the process at once, with status 128 + its number.

    Args:
      alone: whether this process stops by itself; else whoever else takes part has to agree, and sets `signal`.

    Attributes:
      noted: number of the first that came; None before.
      signal: the same once the work is to stop.
    """

    def __init__(self, alone: bool = True) -> None:
        self.alone = alone
        self.noted: int | None = None
        self.signal: int | None = None
        self._since: float | None = None
        self._for_what = INPUT
        self._first, self._ending = 0.0, threading.Lock()
        self._leave: Callable[[str], None] = lambda reason: None

    @contextlib.contextmanager
    def watched(self, leave: Callable[[str], None]) -> Iterator[None]:
        """Within it, signals are noted. Call it in the main thread.

        Args:
          leave: is called in another thread where input hangs, with the reason; then the process ends, with status 1 or
            128 + the signal that was noted.
        """
        self._leave = leave
        read, write = socket.socketpair()
        write.setblocking(False)
        noted = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
        previous = {number: signal.signal(number, self._note) for number in noted}
        wakeup = signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        thread = threading.Thread(target=self._watch, args=(read,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in previous.items():
                signal.signal(number, handler)
            write.close()
            thread.join()
            read.close()

    @contextlib.contextmanager
    def waiting(self, for_what: str = INPUT) -> Iterator[None]:
        """Within it, input is waited for, or what else one of the texts is of."""
        self._for_what, self._since = for_what, time.monotonic()
        try:
            yield
        finally:
            with self._ending:  # which is kept by who ends the process
                self._since = None

    def check(self) -> None:
        """Raises `Stopped` once a signal has come."""
        if self.signal:
            raise Stopped(self.signal)

    def _note(self, number, frame=None):
        self.noted = self.noted or number
        if self.alone:
            self.signal = self.noted

    def _watch(self, read):
        """Runs until `read` is closed at its other end."""
        while True:
            ready, _, _ = select.select([read], [], [], min(PATIENCE, GRACE) / 5)
            if ready:
                came = [number for number in read.recv(64) or [0] if number in (0, *SIGNALS)]
                if 0 in came:
                    return
                self._count(came)
            self._look()

    def _count(self, came):
        for number in came:
            if not self._first:
                self._first = time.monotonic()
                self._note(number)
            elif time.monotonic() - self._first >= APART:
                _end(128 + number, f"{signal.Signals(number).name} again: left at once, without a checkpoint")

    def _look(self):
        """Ends the process where it has waited for too long."""
        with self._ending:
            waited = time.monotonic() - self._since if self._since else 0.0
            if waited <= (GRACE if self.noted and self._for_what == INPUT else PATIENCE):
                return
            reason = self._for_what.format(f"for {waited:.0f} s")
            with contextlib.suppress(Exception):  # there is nobody else to tell
                self._leave(reason)
            _end(128 + self.noted if self.noted else 1, f"error: {reason}")


def _end(status, words):
    with contextlib.suppress(OSError):
        os.write(2, f"{words}\n".encode())
    os._exit(status)
