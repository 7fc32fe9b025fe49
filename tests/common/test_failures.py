"""How a program ends that can't go on."""

import pytest

from did_tf.common import failures


def ended(error, run, capsys):
    """(status, what is told)."""
    with pytest.raises(SystemExit) as caught:
        failures.end(error, run)
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize("words", ["Resource temporarily unavailable", "can't start new thread"])
def test_a_system_that_gives_no_thread_is_no_fault_of_the_program(tmp_path, capsys, words):
    told = f"error: no further thread can be started: memory, or the number of processes, is at its limit ({words})\n"
    assert ended(RuntimeError(words), tmp_path, capsys) == (1, told)
    assert not [*tmp_path.iterdir()]


def test_a_command_line_that_is_no_text_is_kept_too(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["train", "--run=a\udcff"])
    assert ended(RuntimeError("b"), tmp_path, capsys)[0] == 1
    assert "train --run=a\\udcff" in (tmp_path / "error.log").read_text()


def test_what_nobody_foresaw_leaves_its_trace(tmp_path, capsys):
    trace = tmp_path / "error.log"
    told = f"error: internal error, RuntimeError: a thread; its trace is in {trace}\n"
    assert ended(RuntimeError("a thread"), tmp_path, capsys) == (1, told)
    assert "RuntimeError: a thread" in trace.read_text()
