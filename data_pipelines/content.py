"""What files hold, as digests of their bytes. Those of files that haven't changed are kept, so that each is read once.

They are kept in a data base below the user's cache folder, see `cache_folder`. It may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from data_pipelines.spec import DataError

Item = TypeVar("Item")
Result = TypeVar("Result")

CACHE = "DID_TF_CACHE"
"""Environment variable with the cache folder."""
NAME = "contents-1.sqlite"
"""The data base in it. Another layout gets another number."""
LENGTH = 32
"""Hexadecimal digits of a digest: the first 128 bits of the SHA-256, which most processors have instructions for."""
RECENT = 2 * 10**9
"""Nanoseconds. A file that was changed so shortly before it was read may change once more at the same time by its file
system's clock, and nothing but its bytes would tell."""
END = 2**16
"""Bytes of a file's beginning, and of its end, that tell most files apart."""
BUFFER = 2**20  # bytes read at once
THREADS = 8  # some wait for the disk
TOGETHER = 4096  # files that are looked up before they are read
LOOKED_UP = 512  # in one query; old SQLite takes no more than 999
SAVE_EVERY = 2.0  # seconds
PATIENCE = 1.0  # seconds before there is a bar
WAIT = 10.0  # seconds for another process that writes
_ENDS = b"\0ends"  # behind a path, in which there is no zero: the digest is of these alone


def digests(paths: Iterable[str | Path], progress: bool = False, ends: bool = False) -> dict[str, str]:
    """Digest of the bytes of each file, `LENGTH` hexadecimal digits.

    A file is read where its size, times or inode aren't those that it had when its kept digest was made; a change of
    the same size whose time was put back shows in the time of the inode.

    Args:
      paths: of files; what is there several times is read once.
      progress: show a bar where it takes long, and stderr is a terminal.
      ends: of the first and the last `END` bytes alone, which are read quickly, and which other files may have too.

    Returns:
      {path as text: digest}.

    Raises:
      DataError: a file can't be read.
    """
    names = list(dict.fromkeys(os.fspath(path) for path in paths))
    found: dict[str, str] = {}
    if not names:
        return found
    hidden = None if progress else True
    bar = tqdm(desc="comparing files", total=len(names), unit="file", delay=PATIENCE, leave=False, disable=hidden)
    with _Store() as store, bar, ThreadPool(min(THREADS, len(names))) as pool:
        for first in range(0, len(names), TOGETHER):
            part = names[first : first + TOGETHER]
            keys = [os.fsencode(os.path.abspath(name)) + _ENDS * ends for name in part]
            known = store.read(keys)
            tasks = ((name, known.get(key), ends) for name, key in zip(part, keys))
            for name, key, (digest, state) in zip(part, keys, pool.imap(_digest, tasks, chunksize=8)):
                found[name] = digest
                if state:
                    store.keep(key, state, digest)
                bar.update()
    return found


def in_threads(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What a function that asks the disk gives for each item, in their order.

    Where a disk is far away, what is asked one after the other takes most of the time. What the function raises is that
    of the first item for which it does.
    """
    with ThreadPool(THREADS) as pool:
        return [*pool.imap(function, items, chunksize=8)]


def sha256(path: Path) -> str:
    """Of the bytes of a file, in hexadecimal. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        return _sha256(file)


def cache_folder() -> Path:
    """What the user keeps between runs: $DID_TF_CACHE, else did_tf in $XDG_CACHE_HOME, else ~/.cache/did_tf.

    Raises RuntimeError where the user has no home.
    """
    if own := os.environ.get(CACHE):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "did_tf"


def _digest(task):
    """(digest of a file, its state where that is to be kept with it, else None)."""
    name, (state, digest), ends = task[0], task[1] or ("", ""), task[2]
    try:
        if _state(os.stat(name)) == state:
            return digest, None
        return _read(name, ends)
    except OSError as error:
        raise DataError(f"cannot read {name}: {error.strerror}") from None


def _read(name, ends):
    now = time.time_ns()
    with open(name, "rb", buffering=0) as file:
        before = os.fstat(file.fileno())
        digest = _sha256_of_ends(file) if ends else _sha256(file)
        after = os.fstat(file.fileno())
    settled = max(before.st_mtime_ns, before.st_ctime_ns) < now - RECENT and _state(before) == _state(after)
    return digest[:LENGTH], _state(before) if settled else None


def _sha256(file):
    digest = hashlib.sha256()
    while chunk := file.read(BUFFER):
        digest.update(chunk)
    return digest.hexdigest()


def _sha256_of_ends(file):
    with open(file.fileno(), "rb", closefd=False) as buffered:  # which reads as much as is asked for
        beginning = buffered.read(END)
        buffered.seek(max(END, os.fstat(file.fileno()).st_size - END))
        return hashlib.sha256(beginning + buffered.read(END)).hexdigest()


def _state(stat):
    """What changes with a file's content. The inode tells a file that another one was moved over."""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns} {stat.st_ino}"


class _Store(contextlib.AbstractContextManager):
    """The digests that are kept. Where that fails, it goes on without any."""

    def __init__(self) -> None:
        self._rows: list[tuple[bytes, str, str]] = []
        self._saved = time.monotonic()
        self._base = sqlite3.connect(":memory:")
        with contextlib.suppress(OSError, RuntimeError, sqlite3.OperationalError):
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(folder / NAME, timeout=WAIT)
        columns = "path BLOB PRIMARY KEY, state TEXT NOT NULL, digest TEXT NOT NULL"
        self._tried(self._base.execute, f"CREATE TABLE IF NOT EXISTS files ({columns}) WITHOUT ROWID")

    def __exit__(self, *error: object) -> None:
        self._save()
        self._base.close()

    def read(self, keys: list[bytes]) -> dict[bytes, tuple[str, str]]:
        """{path: (state, digest)} of those that are kept."""
        found = {}
        for part in (keys[first : first + LOOKED_UP] for first in range(0, len(keys), LOOKED_UP)):
            query = f"SELECT path, state, digest FROM files WHERE path IN ({','.join('?' * len(part))})"
            found.update(
                {path: (state, digest) for path, state, digest in self._tried(self._base.execute, query, part)}
            )
        return found

    def keep(self, key: bytes, state: str, digest: str) -> None:
        """Keeps a digest. It is written together with others, for which other processes wait shortly."""
        self._rows.append((key, state, digest))
        if time.monotonic() - self._saved > SAVE_EVERY:
            self._save()

    def _save(self):
        if self._rows:
            self._tried(self._base.executemany, "INSERT OR REPLACE INTO files VALUES (?, ?, ?)", self._rows)
        self._rows, self._saved = [], time.monotonic()

    def _tried(self, run, *arguments):
        """The rows that a statement gives; none, and none from then on, where the data base is of no use."""
        try:
            rows = run(*arguments).fetchall()
            self._base.commit()
            return rows
        except sqlite3.Error as error:
            self._base.close()
            self._base = sqlite3.connect(":memory:")
            # Its kinds are of a place that is full, closed or in use by another process.
            if type(error) is sqlite3.DatabaseError:
                _delete_damaged()
            return []


def _delete_damaged():
    for name in (NAME, f"{NAME}-journal"):
        with contextlib.suppress(OSError):
            (cache_folder() / name).unlink()
