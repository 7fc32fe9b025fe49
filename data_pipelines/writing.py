"""Files that are there whole or not at all, also after a crash."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from data_pipelines.spec import DataError


def write_file(path: str | Path, data: bytes | memoryview) -> None:
    """Writes bytes, creating the folder. Whoever reads `path` meanwhile sees the old file or the new one, whole.

    Raises:
      OSError: the file can't be written; the message names it.
    """
    path = Path(path)
    part = path.with_name(f"{_part(path)}{os.getpid()}")
    with naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(part, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())  # or a crash of the machine could leave an empty file under the new name
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def sweep(path: str | Path) -> None:
    """Deletes what `write_file` has left half written of `path` in processes that were killed. Raises OSError."""
    for part in Path(path).parent.glob(f"{_part(path)}*"):
        part.unlink()


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


def _part(path):
    """What names of files that are being written begin with: not the name itself, which may be as long as can be."""
    return f".{zlib.crc32(os.fsencode(Path(path).name)):08x}."
