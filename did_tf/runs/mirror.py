"""A run at a remote place, gs://BUCKET/RUN and the like: worked on in a local copy, sent after each checkpoint.

So moves, the lock and appended rows are those of a local disk. Files go up whole, and what refers to others after them:
logs, best/, checkpoints. What is at the place is at any moment what a killed process may leave in a run folder, from
which the next goes on. mirror.json, which goes last, has a mark by which a copy tells that another one was trained.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import stat
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import Any

from data_pipelines import remote
from did_tf.common.errors import ConfigError, Failure
from did_tf.common.files import write_json
from did_tf.runs import lock

PAUSES = (1.0, 2.0, 4.0, 8.0)
"""Seconds before each further attempt at what has failed."""
MARK = "mirror.json"
_UNMARKED = "unmarked"
"""The mark of a run that came to its place by other means."""
_HALF = (".partial", ".part")
_OF_FOLDERS = ("lock", "mirror")
"""Beginnings of names at the top of a run folder that are not of the run."""
_TRAINED = ("checkpoints/", "best/", "tensorboard/", "metrics.csv", "curves.png", "config.json", "manifest.json")
"""Beginnings of names of what trainings write, and they alone send, under a new mark."""


class Diverged(Failure):
    """Another process has trained the run meanwhile."""


class Mirror:
    """The local copy of a run at a remote place.

    Args:
      place: of the run.

    Attributes:
      place: the same without a slash at its end.
      folder: of the copy.

    Raises:
      DataError: this TensorFlow has no such file system.
    """

    def __init__(self, place: str) -> None:
        self.place = remote.checked(place)
        self.folder = remote.local_copy(self.place, "runs")
        self._base = self.folder.parent
        self._state_file = self._base / "state.json"
        self._last, self._next = "", ""  # marks: at the place when it was last seen, and of a sending under way
        self._sent: dict[str, list[int]] = {}
        self._wanted, self._ended = threading.Event(), threading.Event()
        self._problem: Diverged | None = None

    def fetch(self) -> None:
        """Fetches what the copy lacks, or all of the run where another copy was trained since.

        Raises:
          ConfigError: both were trained, or the copy has results that were not sent; or there is none at the place any
            more.
          Failure: the place can't be read.
        """
        with self._owned() as own:
            if own:
                self._fetch()
            else:
                self._read_state()
        steps = [name for name in self._changed() if name.startswith("checkpoints/")]
        if own and steps:
            print(f"{self.folder} is further than {self.place}, with {PurePosixPath(steps[-1]).name}: it counts")

    def send(self) -> None:
        """Sends reports, predictions and whatever else no training has written. Raises `Failure` where it can't."""
        if self._problem or not self._written():
            return
        with self._owned() as own:
            if own and self._read_state():
                self._sending(self._send_written, "the next command on this run sends it")
                print(f"sent to {self.place}")
            else:
                print(f"{self.folder} is in use: what was written goes to {self.place} with the next checkpoint")

    @contextlib.contextmanager
    def trained(self) -> Iterator[None]:
        """Within it, this process alone trains the run, and what is `publish`ed is sent by a thread; at the end, all.

        Raises:
          ConfigError: another process has the run, or as `fetch`.
          Failure: the place can't be read, or not be written at the end.
        """
        with lock.held(self._base, "--run"), lock.Claim(self.place) as claim:
            self._fetch()
            print(f"{self.place} is worked on in {self.folder}", flush=True)
            threads = [threading.Thread(target=run, daemon=True) for run in (self._work, lambda: self._live(claim))]
            for thread in threads:
                thread.start()
            try:
                yield
            except BaseException as error:
                self._end(threads)
                if error is not self._problem:
                    with told():
                        self._finish()
                raise
            self._end(threads)
            self._finish()

    def publish(self) -> None:
        """Has the files sent that have changed; does not wait. Raises `Diverged`."""
        if self._problem:
            raise self._problem
        self._wanted.set()

    def _work(self):
        while self._wanted.wait() and not self._ended.is_set():
            self._wanted.clear()
            try:
                self._sending(self._send_trained, pause=self._ended.wait)
            except Diverged:
                pass  # `publish` raises it
            except Failure as error:
                print(f"note: {error}. Training goes on; the next checkpoint tries again", file=sys.stderr, flush=True)

    def _live(self, claim):
        while not self._ended.wait(lock.BEAT):
            with contextlib.suppress(OSError):  # the next one may come through
                claim.renew()

    def _end(self, threads):
        self._ended.set()
        self._wanted.set()
        for thread in threads:
            thread.join()

    def _finish(self):
        if self._problem:
            raise self._problem
        self._sending(self._send_trained)

    def _sending(self, action, way="the same did_tf train goes on and sends it", pause=time.sleep):
        self._attempt(action, "written", f"; what is not there is in {self.folder}: {way}", pause)

    def _attempt(self, action: Callable[[], Any], how: str = "read", way: str = "", pause: Any = time.sleep) -> Any:
        """What `action` gives, at the first time or a later one. Raises `Failure`."""
        for seconds in (*PAUSES, None):
            try:
                return action()
            except OSError as error:
                if seconds is None:
                    raise Failure(f"{self.place} can't be {how}: {error.strerror}{way}") from None
                pause(seconds)

    @contextlib.contextmanager
    def _owned(self):
        """Whether nobody else works on the copy, who then can't. While it is fetched by another, that is waited for."""
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    stack.enter_context(lock.held(self._base))
                    own = True
                    break
                except ConfigError:
                    own = False
                if self._state_file.is_file():
                    break
                time.sleep(1)
            yield own

    def _fetch(self):
        there, known = self._attempt(self._mark), self._read_state()
        begun = there == _UNMARKED and not self._last and self._next
        if known and (there == self._last or there and there == self._next or begun):
            self._attempt(self._complete)
            return
        if known and (not there or self._changed()):
            what = f"was trained elsewhere since, and {self._here()}" if there else "is gone"
            raise ConfigError(
                f"the run at {self.place} {what}: delete the copy here, {self._base}, to go on with what is there, or "
                "use another --run"
            )
        self._state_file.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)
        self._last, self._next, self._sent = there, "", {}
        self._attempt(self._complete)

    def _here(self):
        """What has changed in the copy, for people."""
        if any(name.startswith(_TRAINED) for name in self._changed()):
            return "here too"
        return "what other commands have written here was not sent (keep what you need of it)"

    def _complete(self):
        """Fetches what is at the place and not in the copy. Raises OSError."""
        for name in filter(_belongs, remote.files(self.place)):
            path = self.folder / name
            self._sent.setdefault(name, [])  # whoever sent it was killed before that was noted
            if not path.is_file():
                remote.fetch(f"{self.place}/{name}", path)
                self._sent[name] = _stamp(path)
        self._write_state()

    def _read_state(self):
        """Takes what the copy knows of its place; whether there is a copy that was fetched to its end."""
        try:
            state = json.loads(self._state_file.read_text())
            self._last, self._next, self._sent = state["last"], state["next"], state["sent"]
        except (OSError, ValueError, KeyError):
            return False
        return self.folder.is_dir() or not self._sent

    def _write_state(self):
        write_json(self._state_file, {"last": self._last, "next": self._next, "sent": self._sent})

    def _mark(self):
        """That of the run at the place, which changes with every sending of a training; empty for no run."""
        if data := remote.read(f"{self.place}/{MARK}"):
            return data.decode(errors="replace")
        return _UNMARKED if any(map(_belongs, remote.files(self.place))) else ""

    def _files(self):
        """{name of a file of the copy: its stamp}, in the order in which they are sent."""
        names = (path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*"))
        stamps = {name: _stamp(self.folder / name) for name in sorted(filter(_belongs, names), key=_turn)}
        return {name: stamp for name, stamp in stamps.items() if stamp}

    def _changed(self):
        return {name: stamp for name, stamp in self._files().items() if self._sent.get(name) != stamp}

    def _send_trained(self):
        """Sends all of a training, under a new mark. Raises OSError or `Diverged`."""
        there = self._mark()
        if there != self._last and (not there or there not in (self._next, _UNMARKED)):
            what = f"another process has trained {self.place}: the run of this one is in {self.folder}"
            self._problem = Diverged(what)
            raise self._problem
        if there == self._last and not self._changed() and not self._gone():
            return
        self._last, self._next = there, uuid.uuid4().hex
        self._write_state()
        self._send(self._changed())
        remote.write(f"{self.place}/{MARK}", self._next.encode())
        self._last, self._next = self._next, ""
        self._delete(self._gone())

    def _send_written(self):
        """Sends what was written without training, under the same mark. Raises OSError."""
        self._send(self._written())
        self._delete(name for name in self._gone() if not name.startswith(_TRAINED))

    def _written(self):
        """Those of `_changed` that no training has written."""
        return {name: stamp for name, stamp in self._changed().items() if not name.startswith(_TRAINED)}

    def _send(self, stamps):
        for name, stamp in stamps.items():
            remote.send(self.folder / name, f"{self.place}/{name}")
            self._sent[name] = stamp

    def _delete(self, gone):
        """Deletes at the place what is gone here: after what takes its place was sent."""
        for name in gone:
            remote.remove(f"{self.place}/{name}")
            del self._sent[name]
        self._write_state()

    def _gone(self):
        return self._sent.keys() - self._files().keys()


def _belongs(name):
    """Whether a file is of the run, and whole: not of a lock, of this module, or half written."""
    top, *parts = PurePosixPath(name).parts
    hidden = any(part.startswith((".", "partial.")) or part.endswith(_HALF) for part in (top, *parts))
    return not hidden and not (not parts and top.endswith(".json") and top.startswith(_OF_FOLDERS))


def _turn(name):
    """Place of a file in the order of sending: what refers to others comes after them."""
    return [name.startswith("checkpoints/"), name.startswith("best/"), name == "best/metrics.json", name]


def _stamp(path):
    """[bytes, time of its last change] of a file; None where there is none."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return [state.st_size, state.st_mtime_ns] if stat.S_ISREG(state.st_mode) else None


@contextlib.contextmanager
def told() -> Iterator[None]:
    """Within it, a failure is told in a line, for something else ends the program."""
    try:
        yield
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr, flush=True)
