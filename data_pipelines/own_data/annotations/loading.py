"""Which tool wrote a file of annotations, and what it says: read once, and again where it has changed."""

from __future__ import annotations

import functools
import json
import os
import threading
from pathlib import Path
from typing import Any

from data_pipelines.memory import check_room
from data_pipelines.own_data.annotations import coco, cvat, geojson, labelme, via
from data_pipelines.own_data.annotations.entries import DAMAGED, Annotations, with_names
from data_pipelines.spec import DataError

KNOWN = "labelme, COCO, GeoJSON, VIA (JSON), or CVAT for images (XML)"
GROWTH = 10
"""Bytes in memory, at most or so, of one in a file."""
KEPT = 1024
"""Files whose annotations stay in memory, together."""
_LOCKS = tuple(threading.Lock() for _ in range(256))
"""Images are read in threads, and the file of all of them may be large: a file is parsed by one of them."""
_PARSING = threading.Semaphore(2)
"""Of files at once: each takes many times its size in memory, and all threads hold one lock of Python's meanwhile."""


def load(path: Path, by: str = "") -> Annotations:
    """What a file says, `by` that property of shapes where the tool has properties.

    Raises:
      DataError: it can't be read, or is of no tool that is known, or holds what can't be.
    """
    with _lock_of(path):
        return _load(path, by, state_of(path))


def _lock_of(path):
    return _LOCKS[hash(path) % len(_LOCKS)]


def state_of(path: Path) -> tuple[int, int]:
    """What tells a file from what it was before: when it was written, and its size. Raises `DataError`."""
    try:
        state = os.stat(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    return state.st_mtime_ns, state.st_size


@functools.lru_cache(maxsize=KEPT)
def _load(path, by, state):
    check_room(str(path), GROWTH * state[1])
    try:
        data = path.read_bytes()
        with _PARSING:
            return with_names(_read(data, path.suffix.lower() == ".xml", by))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except KeyError as error:
        raise DataError(f"cannot read {path}: something in it lacks {error}") from None
    except DAMAGED as error:
        raise DataError(f"cannot read {path}: {str(error)[:200]}") from None


def _read(data: bytes, is_xml: bool, by: str) -> Annotations:
    if is_xml:
        return cvat.read(data.decode("utf-8-sig"))
    content: Any = json.loads(data)
    for tool in (labelme, coco):
        if tool.is_one(content):
            return tool.read(content)
    for other in (geojson, via):
        if other.is_one(content):
            return other.read(content, by)
    raise ValueError(f"it is none of {KNOWN}")
