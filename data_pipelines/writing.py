"""Files that are there whole or not at all, also after a crash."""

from __future__ import annotations

import json
import os
import zlib
from pathlib import Path
from typing import Any

from data_pipelines.spec import DataError


def write_file(path: str | Path, data: bytes | memoryview) -> None:
    """Writes bytes, creating the folder. Whoever reads `path` meanwhile sees the old file or the new one, whole.

    Raises:
      OSError: the file can't be written; the message names it.
    """
    path = Path(path)
    # Not the name itself, which may be as long as names can be.
    part = path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror}", str(path)) from None


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
