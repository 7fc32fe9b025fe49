"""Files that are there whole or not at all, also after a crash: those of `data_pipelines.writing`."""

from __future__ import annotations

import os
from pathlib import Path

from data_pipelines.writing import write_file, write_json
from did_tf.common.errors import ConfigError

__all__ = ["check_output", "write_file", "write_json"]


def check_output(folder: Path | str) -> None:
    """Creates `folder`. Raises `ConfigError` where that fails or it can't be written to."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        reason = "" if os.access(folder, os.W_OK) else "permission denied"
    except OSError as error:
        reason = error.strerror or str(error)
    if reason:
        raise ConfigError(f"cannot write to output folder {folder}: {reason}; pass another --output=dir")
