"""JPEGs that the decoder complains about: it gives pixels all the same, and says on stderr what is wrong with no name.

They are decoded once more in processes of their own, whose stderr is read after each file.
"""

from __future__ import annotations

import concurrent.futures
import os
import subprocess
import sys
from collections.abc import Iterable
from typing import NamedTuple

from data_pipelines.audit.findings import some
from data_pipelines.content import in_threads
from data_pipelines.memory import cores
from data_pipelines.reading.decoding import is_jpeg
from data_pipelines.spec import DataError

TOGETHER = 500
"""Files for one process, whose start takes as long as some ten of them."""
HARMLESS = "extraneous bytes"
"""What is more than expected may lie between parts that are whole; of other complaints, pixels are wrong."""

_DECODE = """
import os, sys, tempfile
import cv2
with tempfile.TemporaryFile() as said:
    os.dup2(said.fileno(), 2)
    for path in sys.stdin.buffer.read().split(b"\\0"):
        place = said.seek(0, 2)
        cv2.imread(os.fsdecode(path), cv2.IMREAD_UNCHANGED)
        said.seek(place)
        sys.stdout.buffer.write(b"; ".join(said.read().splitlines()) + b"\\n")
"""


class Complaints(NamedTuple):
    """Lines on JPEGs: those of which pixels are wrong, and those of which they may be."""

    problems: list[str]
    notes: list[str]


def complaints(paths: Iterable[str | os.PathLike]) -> Complaints:
    """What the decoder says of the JPEGs among `paths`, each once."""
    files = dict.fromkeys(paths)
    jpegs = [os.fspath(path) for path, fits in zip(files, in_threads(_is_jpeg, files)) if fits]
    parts = [jpegs[first : first + TOGETHER] for first in range(0, len(jpegs), TOGETHER)]
    with concurrent.futures.ThreadPoolExecutor(cores()) as pool:
        told = [pair for found in pool.map(_said, parts) for pair in found]
    damaged = {path for path, text in told if any(HARMLESS not in line for line in text.split("; "))}
    wrong = [f"{path} is damaged: its decoder says {text!r}" for path, text in told if path in damaged]
    odd = [path for path, _ in told if path not in damaged]
    note = f"JPEGs with bytes that mean nothing, some of which may be damaged: {some(odd)}; look at them"
    return Complaints(wrong, [note] if odd else [])


def _is_jpeg(path):
    try:
        return is_jpeg(path)
    except DataError:  # whoever reads it, says so
        return False


def _said(paths):
    """[(path, what the decoder says)] of those on which it says something."""
    done = subprocess.run(
        [sys.executable, "-c", _DECODE], input="\0".join(paths).encode(errors="surrogateescape"), capture_output=True
    )
    lines = done.stdout.decode(errors="replace").splitlines()
    return [(path, text) for path, text in zip(paths, lines) if text]
