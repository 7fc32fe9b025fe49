"""The table of costs in docs/how-to/cost.md says what its commands count."""

import json
import re
import shlex

import program
import pytest
from program import PROJECT

from did_tf.programs.networks import cost

PAGE = (PROJECT / "docs" / "how-to" / "cost.md").read_text(encoding="utf-8")
ROWS = re.findall(
    r"^\| `make cost EXP=(\S+?)(?: ARGS=(.*?))?` \| ([\d.]+) \| ([\d.]+) \| (\d+) \|$", PAGE, re.MULTILINE
)


def test_the_table_is_read():
    assert len(ROWS) == PAGE.count("| `make cost ")


@pytest.mark.slow
@pytest.mark.parametrize("row", ROWS, ids=" ".join)
def test_costs_are_what_the_command_counts(row, monkeypatch, capsys, tmp_path):
    experiment, given, work, features, weights = row
    arguments = [*shlex.split(given.strip('"')), f"--run={tmp_path}", "--json"]
    assert program.run(monkeypatch, cost, f"--experiment={experiment}", *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert f"{found['training']['multiply_adds'] / 1e9:.1f}" == work
    assert f"{found['training']['features'] / 1e9:.2f}" == features
    assert f"{found['weight_bytes'] / 1e6:.0f}" == weights
