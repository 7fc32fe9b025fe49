"""Digests of files: right, of what the files hold at the moment, and read once; whatever becomes of what is kept."""

import contextlib
import hashlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from data_pipelines import content
from data_pipelines.spec import DataError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache folder of the test's own, in which new files are kept too."""
    monkeypatch.setenv(content.CACHE, str(tmp_path / "cache"))
    monkeypatch.setattr(content, "RECENT", -(10**9))
    return tmp_path / "cache"


@pytest.fixture
def reads(monkeypatch):
    """Names of the files that are read, in their order."""
    names, read = [], content._read
    monkeypatch.setattr(content, "_read", lambda name, ends: names.append(Path(name).name) or read(name, ends))
    return names


def write(folder, count=5):
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.bin" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(b"%d" % number * 100)
    return paths


def expected(paths):
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest()[:32] for path in paths}


def rewrite(path, data):
    """Other bytes, as many, and the time put back."""
    before = path.stat()
    assert len(data) == before.st_size
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_digests_are_those_of_all_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(content, "BUFFER", 7)
    paths = write(tmp_path / "data")
    assert content.digests(paths) == expected(paths)
    assert content.digests([]) == {}


def test_a_file_is_read_once(tmp_path, reads):
    paths = write(tmp_path / "data")
    first = content.digests([*paths, paths[0]])
    assert sorted(reads) == [path.name for path in paths]
    assert content.digests(reversed(paths)) == first and len(reads) == 5


@pytest.mark.parametrize("size", [0, 3, 4, 6, 8, 9, 100])
def test_ends_are_told_apart_from_the_whole(tmp_path, reads, monkeypatch, size):
    monkeypatch.setattr(content, "END", 4)
    path, data = tmp_path / "a.bin", bytes(range(size))
    path.write_bytes(data)
    ends = hashlib.sha256(data if size <= 8 else data[:4] + data[-4:]).hexdigest()[:32]
    for _ in range(2):
        assert content.digests([path], ends=True) == {str(path): ends}
        assert content.digests([path]) == expected([path])
    assert len(reads) == 2


def test_many_files_are_looked_up_in_parts(tmp_path, reads, monkeypatch):
    monkeypatch.setattr(content, "TOGETHER", 5)
    monkeypatch.setattr(content, "LOOKED_UP", 2)
    paths = write(tmp_path / "data", 13)
    for _ in range(2):
        assert content.digests(paths) == expected(paths)
    assert len(reads) == 13


def test_a_change_of_the_same_size_whose_time_was_put_back(tmp_path, reads):
    """Size and time of modification are equal: the inode's time tells."""
    paths = write(tmp_path / "data")
    before = content.digests(paths)
    threading.Event().wait(0.05)  # several ticks of a file system's clock
    rewrite(paths[2], b"x" * 100)
    after = content.digests(paths)
    assert after == expected(paths) != before
    assert len(reads) == 6


@pytest.mark.parametrize("what", ["st_size", "st_mtime_ns", "st_ctime_ns", "st_ino"])
def test_each_of_these_tells_a_change(what):
    stat = {"st_size": 1, "st_mtime_ns": 2, "st_ctime_ns": 3, "st_ino": 4}
    assert content._state(SimpleNamespace(**stat)) != content._state(SimpleNamespace(**{**stat, what: 5}))


@pytest.mark.parametrize("rule", [True, False])
def test_a_file_that_was_just_written_may_change_unseen(tmp_path, monkeypatch, rule):
    """On a clock so coarse that nothing but the bytes tells; without the rule, the old digest would be taken."""
    monkeypatch.setattr(content, "RECENT", 2 * 10**9 if rule else -(10**9))
    monkeypatch.setattr(content, "_state", lambda stat: "as before")
    paths = write(tmp_path / "data", 1)
    os.utime(paths[0], (1000, 1000))  # as a copy has it
    content.digests(paths)
    rewrite(paths[0], b"x" * 100)
    assert (content.digests(paths) == expected(paths)) == rule


def test_a_file_that_is_written_while_it_is_read_is_not_kept(tmp_path, reads, monkeypatch):
    paths, stat = write(tmp_path / "data", 1), os.fstat
    later = iter([0, 1])

    def changed(number):
        found = stat(number)
        ctime = found.st_ctime_ns + next(later, 0)
        return SimpleNamespace(
            st_size=found.st_size, st_mtime_ns=found.st_mtime_ns, st_ctime_ns=ctime, st_ino=found.st_ino
        )

    monkeypatch.setattr(content.os, "fstat", changed)
    for _ in range(3):
        assert content.digests(paths) == expected(paths)
    assert len(reads) == 2  # the second time nothing changed meanwhile


def test_files_that_cannot_be_read(tmp_path):
    paths = write(tmp_path / "data")
    paths[3].unlink()
    with pytest.raises(DataError, match=r"cannot read .*3\.bin: No such file"):
        content.digests(paths)
    with pytest.raises(DataError, match="cannot read .*data: Is a directory"):
        content.digests([tmp_path / "data"])


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes")
def test_names_that_are_no_text(tmp_path, reads):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png")
    Path(path).write_bytes(b"1")
    for _ in range(2):
        assert content.digests([path]) == expected([Path(path)])
    assert len(reads) == 1


@pytest.mark.parametrize("damage", [b"no data base at all" * 100, None])
def test_a_damaged_store_is_begun_anew(tmp_path, cache, reads, damage):
    paths = write(tmp_path / "data", 200)
    content.digests(paths)
    store = cache / content.NAME
    store.write_bytes(damage or store.read_bytes()[:5000] + b"\xaa" * (store.stat().st_size - 5000))
    for _ in range(3):
        assert content.digests(paths) == expected(paths)
    assert len(reads) == 3 * 200  # whole, damaged, begun anew; then there is nothing to read
    assert store.read_bytes().startswith(b"SQLite format 3")


def test_a_store_of_another_kind_or_without_a_place(tmp_path, cache, reads, monkeypatch):
    paths = write(tmp_path / "data")
    cache.write_text("a file where the folder would be")
    assert content.digests(paths) == expected(paths)
    cache.unlink()
    cache.mkdir()
    with contextlib.closing(sqlite3.connect(cache / content.NAME)) as base:
        base.execute("CREATE TABLE files (name TEXT)")
    assert content.digests(paths) == expected(paths)
    for name in (content.CACHE, "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert content.digests(paths) == expected(paths)
    assert len(reads) == 15


def test_while_another_process_writes_nothing_is_kept(tmp_path, cache, reads, monkeypatch):
    monkeypatch.setattr(content, "WAIT", 0.1)
    paths = write(tmp_path / "data")
    content.digests(paths)
    with contextlib.closing(sqlite3.connect(cache / content.NAME)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert content.digests(paths) == expected(paths)
    content.digests(paths)
    assert len(reads) == 10


def test_several_processes_at_once(tmp_path, cache, reads):
    paths = write(tmp_path / "data", 60)
    code = (
        "import sys, json; from data_pipelines import content; content.RECENT = -10**9; content.SAVE_EVERY = 0\n"
        "json.dump(content.digests(sys.argv[1:]), sys.stdout)"
    )
    command = [sys.executable, "-c", code, *map(str, paths)]
    root = Path(content.__file__).parents[1]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(2)]
    for process in processes:
        out, _ = process.communicate()
        assert process.returncode == 0 and json.loads(out) == expected(paths)
    assert content.digests(paths) == expected(paths)
    assert reads == []
    with contextlib.closing(sqlite3.connect(cache / content.NAME)) as base:
        assert base.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_the_place_of_the_store(monkeypatch):
    for name in (content.CACHE, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    assert content.cache_folder() == Path.home() / ".cache" / "did_tf"
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert content.cache_folder() == Path("/somewhere/did_tf")
    monkeypatch.setenv(content.CACHE, "/elsewhere")
    assert content.cache_folder() == Path("/elsewhere")


def test_what_is_asked_in_threads_comes_in_order_and_the_first_error_is_raised():
    met = threading.Barrier(2)

    def asked(number):
        if number in (0, 39):
            met.wait(20)
        return number**2

    def failing(number):
        raise DataError(f"cannot read {number}")

    assert content.in_threads(asked, range(40)) == [number**2 for number in range(40)]
    assert content.in_threads(failing, []) == []
    with pytest.raises(DataError, match="cannot read 41"):
        content.in_threads(lambda number: failing(number) if number > 40 else number, range(70))
