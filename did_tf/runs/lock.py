"""One run, one process: who trains into a run folder says so in a file there, RUN/lock-1.json.

The file names the process and its host. Whoever meets it can tell a process of this host that is still there from one
that was killed, or that ended with its machine; of a process on another host only the user can know. Files are made as
new or not at all, on network disks too. A lock that was left is not taken away but outnumbered, lock-2.json after
lock-1.json: of several processes that find it only one can make the next.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from data_pipelines import remote
from did_tf.common.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows, which has no containers that see each other's files but not processes
    fcntl = None  # type: ignore[assignment]

PATIENCE = 2.0
"""Seconds that a file may stay empty, which whoever makes it fills at once, before it counts as left."""
BEAT = 20.0
"""Seconds between the signs of life in a lock at a remote place. Three that don't come count as its end."""
_KEYS = {"process", "host", "machine", "boot", "space", "started", "since", "kept"}
_FILE = re.compile(r"lock-(\d+)\.json")
_MACHINE, _BOOT, _SPACE = Path("/etc/machine-id"), Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")


@contextlib.contextmanager
def held(folder: Path | str, other: str = "--run=dir") -> Iterator[None]:
    """Within it, no other process can hold the run, or the results, in `folder`.

    The folder is made where there is none, and goes again where nothing was put into it.

    Args:
      folder: that this process writes to.
      other: the flag by which a user chooses another.

    Raises:
      ConfigError: another process has it, or may have it; or the folder can't be written.
    """
    folder = Path(folder)
    try:
        new = not folder.exists()
        folder.mkdir(parents=True, exist_ok=True)
        file, descriptor = _acquired(folder, other)
    except OSError as error:
        raise ConfigError(f"cannot write to run folder {folder}: {error.strerror}; pass --run=dir") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # whoever deleted it has deleted the run
            os.close(descriptor)
            file.unlink()
            if new:
                folder.rmdir()


def is_kept(descriptor: int) -> bool:
    """Whether another process has the lock on an open file, which else is taken for all that have it open from here.

    Processes that this one starts with it among their files keep it. False where the system has no such locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (AttributeError, OSError):
        return False
    return False


class Claim:
    """LOCK at a remote place, where there are no locks: names the process that trains there, and shows that it lives.

    Whoever meets one waits for a sign of life. Two that come at the same moment may both find none: the run's own mark
    tells the later of them, see `mirror`.

    Args:
      place: of the run.

    Raises:
      ConfigError: on entering it, another process shows that it is at work there.
      OSError: the place can't be read or written.
    """

    def __init__(self, place: str) -> None:
        self.file, self.place = f"{place}/lock.json", place
        since = datetime.datetime.now().astimezone().isoformat(" ", "seconds")
        self._me, self._beats = {**_of_process(os.getpid()), "since": since, "kept": False}, 0

    def __enter__(self) -> Claim:
        was = self._other()
        if was and not (was["machine"] == self._me["machine"] and _has_ended(was, self._me)):
            self._watch(was)
        self.renew()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            if self._other().items() >= self._me.items():
                remote.remove(self.file)

    def renew(self) -> None:
        """Gives a sign of life, which is due every `BEAT` seconds. Raises OSError."""
        self._beats += 1
        remote.write(self.file, json.dumps({**self._me, "beats": self._beats}).encode())

    def _other(self):
        return _parsed(remote.read(self.file) or b"")

    def _watch(self, was):
        """Returns when whoever left `was` gives no sign of life."""
        who = f"process {was['process']} on {was['host']} since {was['since']}"
        print(f"{self.place} was claimed by {who}: waiting {3 * BEAT:.0f} s for a sign of life", flush=True)
        end = time.monotonic() + 3 * BEAT
        while time.monotonic() < end and (now := self._other()):
            if now != was:
                raise ConfigError(f"{self.place} is in use by {who}: stop it, or use another --run")
            time.sleep(BEAT / 20)


def _acquired(folder, other):
    """(the file of the lock that this process has taken, its descriptor, which stays open)."""
    me = _of_process(os.getpid())
    while True:
        left = _locks(folder)
        for file in left:
            if refusal := _refusal(folder, file, me, other):
                raise ConfigError(refusal)
        mine = folder / f"lock-{_number(left[-1]) + 1 if left else 1}.json"
        try:
            descriptor = os.open(mine, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            continue  # another was quicker, and is met in the next round
        _fill(descriptor, me)
        if {*_locks(folder)} == {*left, mine}:
            break
        os.close(descriptor)  # there are others that were made after this process had looked
        mine.unlink(missing_ok=True)
    for file in left:
        print(f"{folder} was in use by process {_read(file).get('process', '?')}, which is gone: its lock is lifted")
        file.unlink(missing_ok=True)
    return mine, descriptor


def _fill(descriptor, me):
    """Writes what tells this process into its lock, which its system drops when it ends, where it has such locks."""
    content = {**me, "since": datetime.datetime.now().astimezone().isoformat(" ", "seconds")}
    content["kept"] = _taken(descriptor)
    os.write(descriptor, json.dumps(content).encode())
    os.fsync(descriptor)


def _refusal(folder, file, me, other):
    """Why this process, `me`, can't have the run while there is `file`; empty where nobody is behind it."""
    if file.is_dir():
        return f"{file} is a folder, where the lock of the run is a file: delete it; else use another {other}"
    was = _settled(file)
    if not was:
        return ""
    what = f"{folder} is in use by process {was['process']} on {was['host']} since {was['since']}"
    delete = f"delete {file}; else use another {other}"
    if was["machine"] != me["machine"]:
        return f"{what}: if it has ended, which can't be told from {me['host']}, {delete}"
    dropped = was["kept"] and _is_dropped(file)  # also where the run was copied from one in use
    if dropped or _has_ended(was, me):
        return ""
    if was["space"] != me["space"]:
        return f"{what}, in another container: if it has ended, {delete}"
    return f"{what}: wait for it or stop it (kill {was['process']}), or use another {other}"


def _has_ended(was, me):
    """Whether a process of this machine is gone, as far as this one can see."""
    seen = was["space"] == me["space"]
    return was["boot"] != me["boot"] or (seen and not _same(was, _of_process(was["process"])))


def _taken(descriptor):
    """Whether this process has the lock on an open file that its system keeps for it until it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (AttributeError, OSError):  # another has it, or there are none
        return False
    return True


def _is_dropped(file):
    """Whether no process has that lock on `file`: told by a system that both are on."""
    try:
        descriptor = os.open(file, os.O_RDWR)
    except OSError:
        return False
    try:
        return _taken(descriptor)
    finally:
        os.close(descriptor)


def _settled(file):
    """Content of a lock, which may be about to be written; nothing where it never is."""
    end = time.monotonic() + PATIENCE
    while file.exists():
        if was := _read(file):
            return was
        if time.monotonic() > end:
            break
        time.sleep(PATIENCE / 50)
    return {}


def _read(file):
    """Content of a lock; nothing where it isn't there, or not whole."""
    try:
        return _parsed(file.read_bytes())
    except OSError:
        return {}


def _parsed(data):
    try:
        was = json.loads(data)
    except (RecursionError, ValueError):
        return {}
    whole = isinstance(was, dict) and was.keys() >= _KEYS and type(was["process"]) is int and was["process"] > 0
    return was if whole else {}


def _locks(folder):
    """The files of locks in a run folder, in their order."""
    return sorted((path for path in folder.iterdir() if _number(path)), key=_number)


def _number(file):
    """That in the name of a lock, 1 or more; 0 for other files."""
    match = _FILE.fullmatch(file.name)
    return int(match[1]) if match else 0


def _of_process(number: int) -> dict[str, Any]:
    """What tells a process from all others: its number, host, machine, and when both have started."""
    return {
        "process": number,
        "host": socket.gethostname(),
        "machine": hashlib.sha256(f"{socket.gethostname()} {_text(_MACHINE)}".encode()).hexdigest()[:16],
        "boot": _text(_BOOT),
        "space": _space(),
        "started": _started(number),
    }


def _same(was: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether the process that a lock names is the one that has its number now. Where it can't be told, it is."""
    return bool(now["started"]) and ("unknown" in (was["started"], now["started"]) or was["started"] == now["started"])


def _started(number: int) -> str:
    """When a process started, as its system counts; "unknown" where that is not for us, empty where it has ended."""
    try:
        process = psutil.Process(number)
        if process.status() == psutil.STATUS_ZOMBIE:  # its parent has not asked how it ended
            return ""
        # Linux: clock ticks since the boot, which no change of the clock moves.
        fields = _text(Path(f"/proc/{number}/stat")).rpartition(")")[2].split()
        return fields[19] if len(fields) > 19 else f"{process.create_time():.0f}"
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return ""
    except psutil.AccessDenied:
        return "unknown"


def _space():
    """The space that numbers of processes are of, on Linux; those of containers are their own."""
    try:
        return os.readlink(_SPACE)
    except OSError:
        return ""


def _text(path):
    try:
        return path.read_text().strip()
    except OSError:
        return ""
