"""Folders at remote places, gs://BUCKET/FOLDER and the like, through TensorFlow's file systems.

There is no appending there, no renaming of what is whole, and no lock. So files are worked on in a local copy, below
the user's cache folder, and come and go whole: an object appears when it is closed, and file systems that show a file
while it is written get it under another name first.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeGuard

from data_pipelines.content import cache_folder
from data_pipelines.spec import DataError
from data_pipelines.writing import replacing

_PLACE = re.compile(r"[a-z][a-z0-9+.-]+://")
_OBJECTS = ("gs", "s3", "az", "oss")
"""File systems in which a file is there when it is closed, whole."""
_MORE = "tensorflow_io"
"""Package that brings further file systems, for certain releases of TensorFlow."""


def is_remote(path: object) -> TypeGuard[str]:
    """Whether a path is of one of TensorFlow's file systems, SCHEME://..., and no local path."""
    return isinstance(path, str) and bool(_PLACE.match(path))


def check_local(path: str | Path | None, what: str) -> None:
    """Raises `DataError` where a path `is_remote`. `what` begins the message."""
    if is_remote(path):
        raise DataError(f"{what} must be a local path, got {path}")


def checked(place: str) -> str:
    """`place` without a slash at its end. Raises `DataError` where this TensorFlow has no such file system."""
    scheme, _, path = place.partition("://")
    if not path.strip("/"):
        raise DataError(f"{place} names no folder: expected {scheme}://BUCKET/FOLDER")
    if scheme not in _gfile().get_registered_schemes():
        with contextlib.suppress(Exception):  # built for another TensorFlow it fails in many ways
            importlib.import_module(_MORE)
    known = sorted(filter(None, _gfile().get_registered_schemes()))
    if scheme not in known:
        raise DataError(
            f"{place}: this TensorFlow has no file system {scheme}://, but {', '.join(known)}; install "
            f"tensorflow-io in the release that is for it, if there is one, or mount the bucket as a folder"
        )
    return place.rstrip("/")


def local_copy(place: str, kind: str) -> Path:
    """Where on this machine the files of `place` are worked on; `kind` is a folder of the user's cache folder."""
    mark = hashlib.sha256(place.encode()).hexdigest()[:12]
    return cache_folder() / kind / mark / place.rpartition("/")[2]


def files(place: str) -> list[str]:
    """Names of all files in a folder and those below, "a/b.c", sorted; none without a folder. Raises OSError."""
    with _told(place):
        found = [f"{folder.rstrip('/')}/{name}" for folder, _, names in _gfile().walk(place) for name in names]
    return sorted(path[len(place) + 1 :] for path in found)


def fetch(source: str, target: Path) -> None:
    """Copies a file of a remote place. `target`, whose folder is made, appears when it is whole. Raises OSError."""
    with replacing(target) as part:
        copy(source, part)


def copy(source: str, target: Path) -> None:
    """Copies a file of a remote place into a folder that is there. Raises OSError, also where it came cut short."""
    with _told(source):
        expected = _gfile().stat(source).length
        _gfile().copy(source, str(target), overwrite=True)
        if (size := target.stat().st_size) != expected:
            raise OSError(errno.EIO, f"{size} of its {expected} bytes came", source)


def send(source: Path, target: str) -> None:
    """Copies a local file to a remote place, where it appears, or takes an older one's, whole. Raises OSError."""
    with _sent(target) as path:
        _gfile().copy(str(source), path, overwrite=True)


def write(target: str, data: bytes) -> None:
    """Writes a small file, which appears whole. Raises OSError."""
    with _sent(target) as path, _gfile().GFile(path, "wb") as file:
        file.write(data)


def read(source: str) -> bytes | None:
    """Content of a small file; None where there is none. Raises OSError."""
    with _told(source):
        try:
            with _gfile().GFile(source, "rb") as file:
                return file.read()
        except _errors().NotFoundError:
            return None


def remove(target: str) -> None:
    """Deletes a file, if it is there. Raises OSError."""
    with _told(target), contextlib.suppress(_errors().NotFoundError):
        _gfile().remove(target)


@contextlib.contextmanager
def _sent(target: str) -> Iterator[str]:
    """The path under which a file is written that is `target` afterwards."""
    folder, _, name = target.rpartition("/")
    with _told(target):
        if target.startswith(tuple(f"{scheme}://" for scheme in _OBJECTS)):
            yield target
            return
        _gfile().makedirs(folder)
        part = f"{folder}/.{name}.part"
        yield part
        _gfile().rename(part, target, overwrite=True)


@contextlib.contextmanager
def _told(place: str) -> Iterator[None]:
    """Within it, what TensorFlow can't read or write is an OSError that names the place."""
    try:
        yield
    except _errors().OpError as error:
        reason = " ".join(str(error.message).split()) or type(error).__name__
        raise OSError(errno.EIO, f"{type(error).__name__}: {reason:.300}", place) from None


# TensorFlow is imported where a place is remote: whoever only asks whether it is does not wait for it.


def _gfile():
    return importlib.import_module("tensorflow").io.gfile


def _errors():
    return importlib.import_module("tensorflow").errors
