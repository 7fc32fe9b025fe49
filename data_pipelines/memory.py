"""What memory there is for this process, and how many cores."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from data_pipelines.spec import DataError

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

LIMIT = "DID_TF_MEMORY"
"""Environment variable: GiB that this process may have in all, on machines where that is less than what is free."""
SMALL = 2**28
GROUPS = Path("/proc/self/cgroup")
"""Where Linux says in which groups of processes this one is."""
STATUS = Path("/proc/self/status")
"""Where Linux says what this process holds."""
MOUNT = Path("/sys/fs/cgroup")
"""Where Linux says what memory a group, such as a container, may have and has taken."""
_FILES = {  # of both versions: folder, limit, what is taken, and what of that are files, which can be given up
    2: ("", "memory.max", "memory.current", ("inactive_file", "active_file")),
    1: ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", ("total_inactive_file", "total_active_file")),
}


def free_memory(growth: float = 0.0) -> int:
    """Bytes that this process can still take without swapping, or being killed for them in a container.

    Args:
      growth: share by which what other processes of the machine hold may become more, and is left to them.

    Raises:
      DataError: `LIMIT` is no number.
    """
    machine = psutil.virtual_memory().available - (growth * _held_by_others() if growth else 0)
    return int(max(0, min(machine, *_left_in_groups(), _left_of_limit())))


def check_room(what: str, size: int, instead: str = "cut it into parts") -> None:
    """Refuses what says of itself that it takes more bytes than there are free, before they are taken.

    Args:
      what: names it in the message.
      size: bytes. Of less than `SMALL`, nobody asks what is free.
      instead: what to do, for the message.

    Raises:
      DataError: it takes more than is free.
    """
    if size > SMALL and size > (free := free_memory()):
        raise DataError(
            f"{what} says that it takes {size / 2**30:.1f} GiB in memory, and {free / 2**30:.1f} GiB are free: "
            f"{instead}, or read it where there is more; a file that is not so large is damaged"
        )


def peak() -> int:
    """Bytes that this process has held at most."""
    # Linux' getrusage begins with the peak of the process that started this one.
    if own := re.search(r"^VmHWM:\s+(\d+) kB$", _text(STATUS), re.MULTILINE):
        return int(own[1]) * 1024
    if resource is None:
        return psutil.Process().memory_info().peak_wset
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _held_by_others():
    machine = psutil.virtual_memory()
    return max(0, machine.total - machine.available - psutil.Process().memory_info().rss)


def _left_of_limit():
    if not (own := os.environ.get(LIMIT, "")):
        return math.inf
    try:
        given = float(own)
    except ValueError:
        given = math.nan
    if not given > 0:
        raise DataError(f"{LIMIT}={own}: it must be a number of GiB, more than 0")
    return max(0.0, given * 2**30 - psutil.Process().memory_info().rss)


def _left_in_groups() -> Iterator[float]:
    for version, group in _groups():
        folder, *names, files = _FILES[version]
        # A group within others may take what is left in all of them; a container may not see those around it.
        for place in (group, *group.parents):
            limit, taken = (_number(MOUNT / folder / place / name) for name in names)
            if math.isfinite(limit + taken):
                yield max(0, limit - taken + _given_up(MOUNT / folder / place / "memory.stat", files))


def _groups() -> Iterator[tuple[int, Path]]:
    """(version, path from the mount) of the groups that limit the memory of this process."""
    for line in _text(GROUPS).splitlines():
        number, kinds, path = (line.split(":", 2) + ["", ""])[:3]
        if (number, kinds) == ("0", "") or "memory" in kinds.split(","):
            yield (2 if number == "0" else 1), Path(path.lstrip("/"))


def _given_up(path, names):
    """Bytes of files in memory, which are there to be read again and are given up for whoever needs room."""
    entries = (line.partition(" ") for line in _text(path).splitlines())
    return sum(int(value) for name, _, value in entries if name in names and value.isdecimal())


def _number(path):
    text = _text(path).strip()
    return int(text) if text.isdecimal() else math.inf


def _text(path):
    """Content of a file; empty where it can't be read."""
    try:
        return path.read_text()
    except OSError:
        return ""
