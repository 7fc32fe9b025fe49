"""Files that are there whole or not at all, also after a crash."""

import json
import os
from pathlib import Path


def write_file(path, data):
    """Writes bytes, creating the folder. Whoever reads `path` meanwhile sees the old file or the new one, whole.

    Raises:
      OSError: the file can't be written; the message names it.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            part.write_bytes(data)
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise OSError(error.errno, f"cannot write: {error.strerror}", str(path)) from None


def write_json(path, content):
    """Writes `content` as JSON, as `write_file` does."""
    write_file(path, (json.dumps(content, indent=2) + "\n").encode())
