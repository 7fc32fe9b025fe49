"""Reports of `make bench`: the table, JSON, and which differences between two exceed the noise."""

import copy
import json
import sys

import pytest

from benchmarks import report

ENTRY = {
    **{"group": "did, training", "name": "float32", "images": 4, "parameters": 11_650_000},
    **{"median": 2.0, "spread": 0.1, "ratio": 0.5, "ratio_spread": 0.02, "peak": 2**30, "seconds": [1.9, 2.0, 2.1]},
}
MACHINE = {"commit": "a", "processor": "p", "cores": 2, "bfloat16": False, "load": 0.1, "versions": {"TensorFlow": "2"}}


def compared(**changes):
    before = {"machine": MACHINE, "entries": [ENTRY]}
    after = copy.deepcopy(before)
    after["entries"][0].update(changes)
    return list(report.compare(before, after))[-1]


def test_a_row_of_the_table():
    title, row = report.rows([ENTRY])
    assert row.split() == ["float32", "11.65M", "2", "+-", "0.1", "2", "0.500", "+-", "0.020", "1.00"]
    assert "ratio to the first" in title
    assert list(report.rows([{**ENTRY, "error": "killed"}]))[1].endswith("not measured: killed")


def test_without_the_first_there_is_no_ratio_and_none_is_compared():
    alone = {key: value for key, value in ENTRY.items() if not key.startswith("ratio")}
    assert [*report.rows([alone])][1].split() == ["float32", "11.65M", "2", "+-", "0.1", "2", "-", "1.00"]
    before, after = ({"machine": MACHINE, "entries": [entry]} for entry in (ENTRY, alone))
    assert "ratio" not in [*report.compare(before, after)][-1]


@pytest.mark.parametrize(
    "changes, changed",
    [
        ({}, []),
        ({"median": 2.19}, []),
        ({"median": 2.21}, ["time x 1.105"]),
        ({"median": 1.79}, ["time x 0.895"]),
        ({"median": 2.21, "spread": 0.2}, []),
        ({"ratio": 0.53}, []),
        ({"ratio": 0.55}, ["ratio to the first x 1.100"]),
        ({"peak": 2**30 * 1.01}, []),
        ({"peak": 2**29}, ["peak x 0.500"]),
    ],
)
def test_what_exceeds_the_noise(changes, changed):
    told = compared(**changes).removeprefix("did, training: float32: ").split(", ")
    assert [line.removesuffix(" (CHANGED)") for line in told if "CHANGED" in line] == changed


def test_other_machines_and_rows_are_told():
    other = {"machine": {**MACHINE, "cores": 4}, "entries": [{**ENTRY, "name": "bfloat16"}]}
    assert list(report.compare({"machine": MACHINE, "entries": [ENTRY]}, other)) == [
        "note: other cores: 2 and 4",
        "load before it 0.1 and 0.1",
        "commits a and a",
        "did, training: float32: in the first alone",
        "did, training: bfloat16: in the second alone",
    ]
    assert "not measured in one of them: killed" in compared(error="killed")
    of_a_gpu = {"machine": {**MACHINE, "gpus": ["H100"]}, "entries": []}
    assert "note: other gpus: None and ['H100']" in [*report.compare({"machine": MACHINE, "entries": []}, of_a_gpu)]


def test_a_report_is_written_and_compared_with_itself(tmp_path, monkeypatch, capsys):
    path = report.write(tmp_path / "bench", ["systems"], MACHINE, [ENTRY])
    assert json.loads(path.read_text())["entries"] == [ENTRY]
    monkeypatch.setattr(sys, "argv", ["report", str(path), str(path)])
    report.main()
    out = capsys.readouterr().out
    assert "CHANGED" not in out and "within the noise" in out


def test_files_that_are_not_there_are_refused(tmp_path, monkeypatch, capsys):
    for arguments, said in ((["", ""], "A= and B="), ([str(tmp_path / "a"), str(tmp_path)], f"{tmp_path / 'a'}")):
        monkeypatch.setattr(sys, "argv", ["report", *arguments])
        with pytest.raises(SystemExit) as ended:
            report.main()
        assert ended.value.code == 2
        assert said in capsys.readouterr().err


def test_the_machine_is_told():
    machine = report.machine("abc", {"TensorFlow": "2.21"})
    line = report.header(machine)
    assert machine["processor"] and machine["processor"] in line
    assert "TensorFlow 2.21" in line and "bfloat16 in hardware" in line
