"""Tests of what memory is left, on files as Linux has them for groups of processes."""

import os
import types

import psutil
import pytest

from data_pipelines import memory

NOTHING = 2**63 - 4096
"""What the first version has where there is no limit."""


def group(folder, version, limit, taken, files=0):
    """Writes what Linux says of a group."""
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if version == 2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    for name, value in zip(names, (limit, taken)):
        (folder / name).write_text(f"{value}\n")
    total = "" if version == 2 else "total_"
    (folder / "memory.stat").write_text(f"anon 7\n{total}inactive_file {files}\n{total}active_file 5\n")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Function (available memory of the system, content of /proc/self/cgroup); returns the folder of the groups."""

    def make(available, groups):
        monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: types.SimpleNamespace(available=available))
        monkeypatch.setattr(memory, "MOUNT", tmp_path / "groups")
        monkeypatch.setattr(memory, "GROUPS", tmp_path / "cgroup")
        if groups:
            (tmp_path / "cgroup").write_text(groups)
        return tmp_path / "groups"

    return make


def test_without_groups_it_is_what_the_system_says(machine):
    machine(4096, "")
    assert memory.free_memory() == 4096


def test_what_others_may_grow_by_is_left_to_them(machine, monkeypatch):
    """Of the machine's memory; a container has its own."""
    folder = machine(8000, "0::/\n")
    here = psutil.Process().memory_info().rss
    has = types.SimpleNamespace(available=8000, total=8000 + here + 4000)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: has)
    monkeypatch.setattr(memory.psutil.Process, "memory_info", lambda self: types.SimpleNamespace(rss=here))
    assert (memory.free_memory(), memory.free_memory(growth=0.5), memory.free_memory(growth=9)) == (8000, 6000, 0)
    group(folder, 2, 9000, 6000)
    assert memory.free_memory(growth=0.5) == memory.free_memory() == 3005


@pytest.mark.parametrize("limit, taken, files, free", [(9000, 6000, 500, 3505), ("max", 6000, 500, 8000)])
def test_a_container_has_what_is_left_of_its_limit(machine, limit, taken, files, free):
    """Files that it holds in memory, 500 and 5 bytes, can be given up."""
    group(machine(8000, "0::/\n"), 2, limit, taken, files)
    assert memory.free_memory() == free


def test_a_group_within_others_has_what_is_left_in_all(machine):
    folder = machine(8000, "0::/slice/job\n")
    group(folder / "slice", 2, 5000, 4000)
    group(folder / "slice" / "job", 2, 3000, 100)
    assert memory.free_memory() == 1005
    group(folder / "slice", 2, 50000, 4000)
    assert memory.free_memory() == 2905


@pytest.mark.parametrize("seen", ["docker/12ab", ""])
def test_the_first_version_is_read_too(machine, seen):
    """A container may see its own group alone, at the mount, under whatever path it has outside."""
    folder = machine(8000, "5:cpu,cpuacct:/docker/12ab\n4:memory:/docker/12ab\n")
    group(folder / "memory" / seen, 1, 7000, 6000, 300)
    assert memory.free_memory() == 1305


def test_no_limit_of_the_first_version_is_none(machine):
    group(machine(8000, "4:memory:/\n") / "memory", 1, NOTHING, 6000)
    assert memory.free_memory() == 8000


def test_nothing_is_left_where_more_is_taken_than_there_may_be(machine):
    group(machine(8000, "0::/\n"), 2, 3000, 6000)
    assert memory.free_memory() == 0


def test_it_needs_nothing_that_windows_lacks(monkeypatch):
    monkeypatch.delattr(os, "sysconf", raising=False)
    assert memory.free_memory() > 2**20


def test_the_peak_is_that_of_this_process_and_stays(monkeypatch, tmp_path):
    """Of Linux by its own word, else by that of the system's library: both in bytes."""
    held = bytearray(os.urandom(1)) * 100_000_000
    by_itself, rss = memory.peak(), psutil.Process().memory_info().rss
    assert by_itself >= 0.98 * rss > len(held)
    monkeypatch.setattr(memory, "STATUS", tmp_path / "none")
    assert memory.peak() >= 0.98 * rss
    del held
    assert memory.peak() >= 0.98 * rss
