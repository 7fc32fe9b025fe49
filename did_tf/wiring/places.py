"""Where runs, weights and data are: on this machine, or at a remote place (gs://BUCKET/FOLDER and the like)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from data_pipelines.remote import is_remote
from did_tf.runs import weights
from did_tf.runs.mirror import Mirror, told
from did_tf.runs.run_folder import RunFolder
from did_tf.wiring.data import Config

_opened: list[Mirror] = []


def open_run(path: Path | str) -> RunFolder:
    """The `RunFolder` at a path; of a remote place its copy, which is fetched, see `Mirror.fetch`."""
    if not is_remote(path):
        return RunFolder(path)
    mirror = Mirror(str(path))
    mirror.fetch()
    _opened.append(mirror)
    return RunFolder(mirror.folder, mirror=mirror)


@contextlib.contextmanager
def runs_sent() -> Iterator[None]:
    """After it, also where an error or Ctrl-C ends it, what was written into opened runs at remote places is sent.

    Raises `Failure` where it can't be; where something else ends it, that is told in a line.
    """
    try:
        yield
    except BaseException:
        with told():
            _send()
        raise
    _send()


def _send():
    while _opened:
        _opened.pop().send()


def weights_of(given: str | None, run: RunFolder) -> Path | str:
    """The weights file or run folder that is `given`, which may be a run at a remote place; else the run's own.

    Raises `ConfigError` where there is none: ask for it first, or faults of other things are told of a mistyped run.
    """
    source = open_run(given).folder if is_remote(given) else given or run.folder
    weights.check_there(source)
    return source


def set_data(config: Config, data: str | None) -> None:
    """Has `config` take the data at `data`, the folder of the data set or a remote place of records, if it is given."""
    if data:
        config["dataset"]["prepared" if is_remote(data) else "folder"] = data
