"""Files that are there whole or not at all."""

import errno
import os
import subprocess
import sys

import pytest

from data_pipelines import writing


def test_what_is_raised_leaves_the_old_file_alone(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyError), writing.replacing(tmp_path / "a") as part:
        part.write_text("half")
        raise KeyError
    assert (tmp_path / "a").read_text() == "old"
    assert len([*tmp_path.iterdir()]) == 1


def test_it_is_on_the_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    def broken(descriptor):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="cannot write: Input/output error: '.*/a'"):
        writing.write_file(tmp_path / "a", b"new")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("name", ["x" * 255, "a[1].json", "ü.csv"])
def test_what_is_half_written_has_no_name_that_readers_look_for(tmp_path, name):
    with writing.replacing(tmp_path / "folder" / name) as part:
        part.touch()
        assert part.parent == tmp_path / "folder"
        assert part.name.startswith(".") and part.suffix == ".partial"
    assert [path.name for path in part.parent.iterdir()] == [name]


@pytest.mark.parametrize("names, stay", [((), {"a", "b"}), (("a",), {"a", "b", writing.beside("b").name})])
def test_what_killed_processes_have_left_is_swept(tmp_path, names, stay):
    for name in ("a", "b"):
        (tmp_path / name).touch()
    (tmp_path / writing.beside("a")).mkdir()
    (tmp_path / writing.beside("a") / "inside").touch()
    (tmp_path / writing.beside("b")).touch()
    writing.sweep(tmp_path, *names)
    assert {path.name for path in tmp_path.iterdir()} == stay


def test_what_a_living_process_is_writing_stays(tmp_path):
    """As of two that prepare the same folder."""
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as other:
        name = writing.beside("a").name.replace(f".{os.getpid()}.", f".{other.pid}.")
        (tmp_path / name).touch()
        writing.sweep(tmp_path, "a")
        assert [path.name for path in tmp_path.iterdir()] == [name]
        other.communicate(b"\n")
    writing.sweep(tmp_path, "a")
    assert not [*tmp_path.iterdir()]


def test_there_may_be_no_folder_to_sweep(tmp_path):
    writing.sweep(tmp_path / "none")
