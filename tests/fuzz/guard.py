"""What an input must not do: take long, write outside of its folder, start a process, connect, or unpickle."""

import contextlib
import faulthandler
import os
import signal
import sys
import time

HANG = 120
"""Seconds after which a call that no signal ends is told with its place, and the process ends."""
_NEVER = (
    "pickle.find_class",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.connect",
)
_CHANGES = ("os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Forbidden(BaseException):
    """An input did what none may. No `except Exception` of what is tried takes it."""


class TooLong(BaseException):
    """An input took more time than it may."""


class Guard:
    """Watches what happens within `input`. An audit hook can't be taken back: one for the process.

    Args:
      folder: the only one in which files may change.
      seconds: that an input may take.
    """

    def __init__(self, folder, seconds):
        self.folder, self.seconds = os.path.realpath(folder), seconds
        self.slowest, self._on = 0.0, False
        sys.addaudithook(self._look)
        signal.signal(signal.SIGALRM, self._stop)

    @contextlib.contextmanager
    def input(self):
        """Within it, what is forbidden raises."""
        faulthandler.dump_traceback_later(HANG, exit=True, file=sys.__stdout__)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)
        start, self._on = time.perf_counter(), True
        try:
            yield
        finally:
            self._on = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
            self.slowest = max(self.slowest, time.perf_counter() - start)

    def _stop(self, *_):
        raise TooLong(f"more than {self.seconds} s")

    def _look(self, event, arguments):
        if not self._on:
            return
        if event in _NEVER:
            self._refuse(f"{event} {arguments!r:.200}")
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & _WRITES:
            self._inside(event, arguments[0])
        if event in _CHANGES:
            paths = [path for path in arguments if isinstance(path, (str, bytes, os.PathLike))]
            folders = [number for number in arguments[-len(paths) :] if isinstance(number, int)]
            for path, descriptor in zip(paths, [*folders, -1, -1]):
                self._inside(event, path, descriptor)

    def _inside(self, event, path, descriptor=-1):
        base = os.getcwd() if descriptor < 0 else os.readlink(f"/proc/self/fd/{descriptor}")
        place = os.path.realpath(os.path.join(base, os.fsdecode(path)))
        if place not in (self.folder, os.devnull) and not place.startswith(self.folder + os.sep):
            self._refuse(f"{event} of {place!r}")

    def _refuse(self, what):
        self._on = False
        raise Forbidden(what)
