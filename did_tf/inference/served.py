"""An exported network in a process of its own, which its runtime alone computes: see `alone`."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from did_tf.common.errors import Failure
from did_tf.inference import alone


class DoesNotRun(Failure):
    """A runtime can't load or compute an exported network. The message is the last line that it said."""


class Served:
    """Called with images [N, H, W, bands] it gives {"classes": ..., "probabilities": ...}, as the file says.

    A context, which ends the process.

    Args:
      kind: one of `alone.KINDS`.
      folder: of the exported network.

    Attributes:
      ways: in which images can go in, of `alone.PLAIN` and `alone.ENCODED`.
      seconds: that the last call took within the process.
      memory: bytes that the process has held at most up to then, NaN where the system doesn't tell.

    Raises:
      DoesNotRun: it can't be loaded; or, when it is called, not computed.
    """

    def __init__(self, kind: str, folder: str | Path) -> None:
        self._said: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        self._process = subprocess.Popen(
            [sys.executable, "-I", alone.__file__, kind, str(Path(folder).resolve())],
            cwd=tempfile.gettempdir(),
            env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        self.seconds = self.memory = float("nan")
        try:
            self.ways = tuple(map(str, self._answer()["ways"]))
        except DoesNotRun:
            self.close()
            raise

    def __call__(self, images: np.ndarray, way: str = alone.PLAIN) -> dict[str, np.ndarray]:
        """What the network makes of the images, which go in in one of `ways`. Raises `DoesNotRun`."""
        assert self._process.stdin
        with contextlib.suppress(BrokenPipeError):  # it has ended, and its last words say why
            alone.send(self._process.stdin, images=images, way=np.array(way))
        answer = self._answer()
        self.seconds, self.memory = float(answer.pop("seconds")), float(answer.pop("memory"))
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._process.kill()
        self._process.communicate()
        self._said.close()

    def __enter__(self) -> Served:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self):
        assert self._process.stdout
        try:
            return alone.receive(self._process.stdout)
        except EOFError:
            raise DoesNotRun(self._last_words()) from None

    def _last_words(self):
        status = self._process.wait()
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return lines[-1].strip() if lines else f"exit status {status}"
