"""Files that are there whole or not at all, also after a crash.

What is being written has a name of one form, `beside`: hidden, and with an ending that nobody looks for.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from data_pipelines.spec import DataError

_END = ".partial"
_NAME = re.compile(r"\.[0-9a-f]{8}\.(\d{1,9})" + re.escape(_END))


def write_file(path: str | Path, data: bytes | memoryview) -> None:
    """Writes bytes, creating the folder. Whoever reads `path` meanwhile sees the old file or the new one, whole.

    Raises:
      OSError: the file can't be written; the message names it.
    """
    with naming(path), replacing(path) as part, open(part, "wb") as file:
        file.write(data)


@contextlib.contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Gives the path of a file to write, which takes the place of `path` at the end, once it is on the disk.

    The folder is created. Where something is raised, the old file stays. Raises OSError.
    """
    path, part = Path(path), beside(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield part
        with open(part, "r+b") as file:
            os.fsync(file.fileno())  # or a crash of the machine could leave an empty file under the new name
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def beside(path: str | Path) -> Path:
    """Where this process writes what is to take the place of `path`, a file or a folder."""
    return Path(path).with_name(f"{_begin(path)}{os.getpid()}{_END}")


def sweep(folder: str | Path, *names: str, idle: float = 0.0) -> None:
    """Deletes what killed processes have left half written in `folder`: of these names, or of all where there are none.

    What another living process of this machine is writing stays. That can't be told of another machine, nor of another
    container, whose process may have the number of this one: so this is for whoever alone writes these files, or into
    this folder; others give seconds, `idle`, that nothing was written for to what is deleted. Raises OSError.
    """
    patterns = [f"{_begin(name)}*" for name in names] or [f"*{_END}"]
    for part in [part for pattern in patterns for part in Path(folder).glob(pattern)]:
        with contextlib.suppress(FileNotFoundError):  # another process has finished or swept it
            if time.time() - part.stat().st_mtime >= idle and not _is_of_another(part):
                shutil.rmtree(part) if part.is_dir() else part.unlink()


def _is_of_another(part):
    """Whether a living process but this one writes what is called as `beside` says."""
    match = _NAME.fullmatch(part.name)
    number = int(match[1]) if match else os.getpid()
    try:
        return number != os.getpid() and psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.AccessDenied:
        return True
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Within it, an OSError says that `path` can't be written."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror or error}", str(path)) from None


def settle(folder: str | Path) -> None:
    """Returns when the names of files in `folder` are on the disk, where the system can tell. Raises OSError."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except PermissionError:  # Windows, which opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems without it
            raise
    finally:
        os.close(descriptor)


def write_json(path: str | Path, content: Any) -> None:
    """Writes `content`, any that JSON can say, as `write_file` does. Raises `OSError` where that fails."""
    write_file(path, (json.dumps(content, indent=2) + "\n").encode())


def check_writable(folder: str | Path, hint: str) -> None:
    """Raises `DataError`, which ends with `hint`, where `folder` can't be written or made. Nothing is made yet."""
    folder = Path(folder)
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    if not there.is_dir():
        raise DataError(f"cannot write to {folder}: {there} is no folder; {hint}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise DataError(f"cannot write to {folder}: permission denied; {hint}")


def _begin(path):
    """What names of files that are being written begin with: not the name itself, which may be as long as can be."""
    return f".{zlib.crc32(os.fsencode(Path(path).name)):08x}."
