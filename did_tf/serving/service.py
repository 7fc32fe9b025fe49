"""A trained network at work for requests: who is let in, whose turn it is, and what comes of an image."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow as tf

from data_pipelines.spec import DataError, voided
from did_tf.api import Model
from did_tf.common import failures
from did_tf.common.errors import Failure
from did_tf.common.readout import readout_of
from did_tf.inference import outputs
from did_tf.inference.together import PIXELS
from did_tf.serving.answers import Form, Seen
from did_tf.serving.limits import Limits
from did_tf.serving.metrics import Metrics
from did_tf.serving.refusals import Refused
from did_tf.serving.turns import Turns
from did_tf.serving.uploads import Upload

_WARM = 64  # pixels a side of the first image, which nobody waits for


class Service:
    """Labels images of requests, `limits.batch` at a time, each in a thread.

    Args:
      model: the network.
      limits: what it takes on.

    Attributes:
      folder: where images are while they are under way; deleted by `end`.
      ending: whether nothing new is begun.
      metrics: what has been done.
    """

    def __init__(self, model: Model, limits: Limits) -> None:
        self.model, self.limits, self.metrics = model, limits, Metrics()
        self._folder = tempfile.TemporaryDirectory(prefix="did_tf_serve_")
        self.folder = Path(self._folder.name)
        self.ending: Callable[[], bool] = lambda: False
        self._threads = ThreadPoolExecutor(limits.batch, "predict")
        self._turns = Turns(limits.batch, PIXELS)
        self._warmed = False
        self._failure: Exception | None = None
        self._let_in = self._working = 0
        self._told: set[str] = set()
        self._lock = threading.Lock()

    def warm_up(self, failed: Callable[[], None]) -> None:
        """Has the network label an image in the background, which takes longest the first time.

        `failed` is called where that fails; `end` raises then.
        """
        self._threads.submit(self._warm, failed)

    @property
    def ready(self) -> bool:
        """Whether an image that comes now is labelled without delay."""
        return self._warmed and not self.ending()

    @property
    def busy(self) -> bool:
        """Whether an image is being labelled."""
        return self._working > 0

    @contextlib.contextmanager
    def admitted(self) -> Iterator[None]:
        """Context of a request. Raises `Refused` where there are too many, or the server is about to end."""
        if self.ending():
            raise Refused(503, "the server is about to end: send the image again later")
        if self._let_in >= self.limits.queue:
            raise Refused(429, f"busy: {self._let_in} images are under way; send the image again later")
        self._let_in += 1
        try:
            with self.metrics.under_way.track_inprogress():
                yield
        finally:
            self._let_in -= 1

    async def answer(self, path: Path, form: Form, is_gone: Callable) -> bytes:
        """What `form` makes of the image in a file.

        Args:
          path: of it.
          form: of the answer.
          is_gone: coroutine function, whether nobody waits for the answer any more when its turn has come.

        Raises:
          Refused: the image is none, the server is too busy, or labelling fails.
        """
        loop = asyncio.get_running_loop()
        upload = await loop.run_in_executor(None, Upload, path, self.model.spec, self.limits)
        async with self._turns.turn(upload.pixels, self.limits.wait_seconds):
            if await is_gone():
                raise Refused(499, "the client is gone")
            found = await loop.run_in_executor(self._threads, self._answer, upload, form)
        if form.sees:
            self.metrics.pixels.inc(upload.pixels)
        return found

    def fault(self, error: Exception) -> Refused:
        """What is answered on a fault of the program, whose trace is kept, once of each kind."""
        if (kind := type(error).__name__) not in self._told:
            self._told.add(kind)
            trace = failures.keep_trace(error, None)
            print(f"error: internal error, {kind}: {error!s:.200}; its trace is in {trace}", file=sys.stderr)
        return Refused(500, "internal error: whoever runs the server finds its trace on the machine")

    def end(self) -> None:
        """Gives up what waits, and deletes the files. Raises what warming up raised."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._folder.cleanup()
        if self._failure:
            raise self._failure

    def _answer(self, upload, form):
        with self._at_work(), self._refusing():
            image, mask = upload.read()
            return form.encode(self._seen(image, mask, upload.place(), form))

    def _seen(self, image, mask, place, form):
        about = place, self.model.spec, self.model.identity
        if not form.sees:
            return Seen(image, voided(np.zeros(image.shape[:2], np.uint8), mask), *about)
        measured, keep = outputs.measuring(image.shape[:2], form.measures, readout_of(self.model.spec))
        return Seen(image, self.model.see(image, mask, keep if measured else None), *about, measured)

    def _warm(self, failed):
        try:
            with self._at_work():
                self.model.see(np.zeros((_WARM, _WARM, self.model.bands), self.model.dtype), None)
            self._warmed = True
        except Exception as error:
            self._failure = error
            failed()

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        with self._lock:
            self._working += 1
        try:
            yield
        finally:
            with self._lock:
                self._working -= 1

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        try:
            yield
        except Refused:
            raise
        except DataError as error:  # of what was read: it doesn't fit into memory
            raise Refused(413, str(error)) from None
        except Failure as error:
            raise Refused(500, str(error)) from None
        except (MemoryError, tf.errors.ResourceExhaustedError):
            raise Refused(503, "no memory is left for the image now: send a smaller one, or again later") from None
        except Exception as error:
            raise self.fault(error) from None
