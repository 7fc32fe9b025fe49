"""One run, one process: who is refused, and what is left is told from what is in use."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from did_tf.common.errors import ConfigError
from did_tf.runs import lock

HOLD = """
import sys, time
from did_tf.common.errors import ConfigError
from did_tf.runs import lock
try:
    with lock.held(sys.argv[1]):
        print("held", flush=True)
        sys.stdin.readline()
except ConfigError as error:
    print(error, flush=True)
"""
"""A process that has the run in its argument until a line comes in, or says why it hasn't."""


def start(folder, code=HOLD):
    """A process of `code`, and the first line that it says."""
    kind = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=Path(__file__).parents[2], **kind)
    return process, process.stdout.readline().strip()


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def leave(folder, **changes):
    """Puts a lock as of an earlier process into `folder`: one of this very process, but for `changes`.

    As on a system that keeps no locks on files.
    """
    with lock.held(folder):
        (file,) = folder.glob("lock-*.json")
        content = json.loads(file.read_text())
    folder.mkdir(exist_ok=True)
    file.write_text(json.dumps({**content, "kept": False, **changes}))
    return file


def refusal(folder):
    with pytest.raises(ConfigError) as caught, lock.held(folder):
        raise AssertionError("it was not refused")
    return str(caught.value)


def test_a_folder_in_place_of_a_lock_is_named(tmp_path):
    """It is no lock that was left: those are files. Nothing is left beside it."""
    (tmp_path / "lock-1.json").mkdir()
    told = "is a folder, where the lock of the run is a file: delete it; else use another --run=dir"
    assert refusal(tmp_path) == f"{tmp_path}/lock-1.json {told}"
    assert files(tmp_path) == ["lock-1.json"]


def test_a_second_process_is_refused_until_the_first_has_ended(tmp_path):
    (tmp_path / "config.json").touch()
    process, said = start(tmp_path)
    assert said == "held"
    assert f"{tmp_path} is in use by process {process.pid} on " in refusal(tmp_path)
    process.communicate("\n")
    with lock.held(tmp_path):
        assert files(tmp_path) == ["config.json", "lock-1.json"]
    assert files(tmp_path) == ["config.json"]


def test_a_killed_process_does_not_block_the_run(tmp_path, capsys):
    """Its parent has not even asked how it ended."""
    process, _ = start(tmp_path)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    with lock.held(tmp_path):
        assert files(tmp_path) == ["lock-2.json"]
    assert f"was in use by process {process.pid}, which is gone: its lock is lifted" in capsys.readouterr().out
    process.communicate()


def test_a_folder_that_nothing_was_put_into_goes_again(tmp_path):
    with pytest.raises(ValueError, match="a bad setting"), lock.held(tmp_path / "runs" / "new"):
        raise ValueError("a bad setting")
    assert not (tmp_path / "runs" / "new").exists()
    with lock.held(tmp_path / "old"):
        (tmp_path / "old" / "config.json").touch()
    assert files(tmp_path / "old") == ["config.json"]


@pytest.mark.parametrize("changes", [{"started": "1"}, {"boot": "an earlier one"}, {"process": 2**22 + 1}])
def test_a_lock_of_an_ended_process_is_lifted(tmp_path, changes):
    """Its number is another process's by now, its machine has been started anew, or there is no such process."""
    leave(tmp_path, **changes)
    with lock.held(tmp_path):
        assert files(tmp_path) == ["lock-2.json"]


@pytest.mark.parametrize("process", ["7", -1, None])
def test_a_lock_that_names_no_process_is_lifted(tmp_path, monkeypatch, process):
    monkeypatch.setattr(lock, "PATIENCE", 0.01)
    leave(tmp_path, process=process)
    with lock.held(tmp_path):
        assert files(tmp_path) == ["lock-2.json"]


def test_of_a_process_that_is_there_it_is_not(tmp_path):
    leave(tmp_path)
    assert f"is in use by process {os.getpid()} on " in refusal(tmp_path)


def test_of_another_host_only_the_user_can_know(tmp_path):
    file = leave(tmp_path, machine="another", host="node7", process=2**22 + 1, boot="another")
    assert "on node7 since " in refusal(tmp_path) and f"delete {file}" in refusal(tmp_path)
    file.unlink()
    with lock.held(tmp_path):
        pass


def test_in_another_container_of_this_machine_the_system_knows(tmp_path):
    leave(tmp_path, space="pid:[1]", process=2**22 + 1, kept=True)
    with lock.held(tmp_path):
        pass
    file = leave(tmp_path, space="pid:[1]", process=2**22 + 1, kept=True)
    with open(file, "r+") as opened:
        assert lock._taken(opened.fileno())
        assert f"in another container: if it has ended, delete {file}" in refusal(tmp_path)
    leave(tmp_path, space="pid:[1]")
    assert "in another container" in refusal(tmp_path)


def test_a_copy_of_a_run_that_is_in_use_is_not(tmp_path):
    process, _ = start(tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    with lock.held(tmp_path / "copy"):
        assert f"in use by process {process.pid}" in refusal(tmp_path / "run")
    process.communicate("\n")


def test_an_empty_lock_of_a_crash_is_lifted(tmp_path, monkeypatch):
    monkeypatch.setattr(lock, "PATIENCE", 0.05)
    (tmp_path / "lock-3.json").touch()
    with lock.held(tmp_path):
        assert files(tmp_path) == ["lock-4.json"]


def test_of_many_processes_that_find_a_lock_one_takes_it(tmp_path):
    leave(tmp_path, started="1")
    started = [start_quietly(tmp_path) for _ in range(6)]
    said = [process.stdout.readline().strip() for process in started]
    held = [line for line in said if line == "held" or "lock is lifted" in line]
    refused = [line for line in said if "is in use by process" in line]
    assert (len(held), len(refused)) == (1, 5), said
    for process in started:
        process.communicate("\n")
    assert files(tmp_path) == []


def start_quietly(folder):
    kind = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], cwd=Path(__file__).parents[2], **kind)


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    assert refusal(tmp_path / "file" / "run").startswith(f"cannot write to run folder {tmp_path}/file/run: ")
