"""What a terminal would act on is shown to people as text."""

import io
import sys

import pytest

from did_tf.common import terminal


@pytest.mark.parametrize(
    "text, told",
    [
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\x9b2Jb\x7f\0", "a\\x9b2Jb\\x7f\\x00"),
        ("gnp.\u202egpj", "gnp.\\u202egpj"),
        ("line\nand\tcolumn\r 50%", "line\nand\tcolumn\r 50%"),
        ("für 図 \U0001f600", "für 図 \U0001f600"),
    ],
)
def test_control_characters_are_written_out(text, told):
    assert terminal.shown(text) == told


def test_streams_write_all_names_and_obey_none(monkeypatch):
    for name, encoding in (("stdout", "utf-8"), ("stderr", "ascii")):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding))
    terminal.tame_output()
    for stream in (sys.stdout, sys.stderr):
        print("\x1b]0;x\x07", "\udcff", "ä", file=stream, flush=True)
    assert sys.stdout.buffer.getvalue() == "\\x1b]0;x\\x07 \\udcff ä\n".encode()
    assert sys.stderr.buffer.getvalue() == b"\\x1b]0;x\\x07 \\udcff \\xe4\n"


def test_what_somebody_else_has_put_there_stays(monkeypatch):
    notebook = io.StringIO()
    monkeypatch.setattr(sys, "stdout", notebook)
    terminal.tame_output()
    assert sys.stdout is notebook
