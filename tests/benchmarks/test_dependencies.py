"""`make audit` tells what it found from what it could not check."""

import pytest

from benchmarks import dependencies

LISTED = [
    {"name": "numpy", "version": "1.0", "vulns": [{"id": "CVE-1", "fix_versions": ["1.1"]}]},
    {"name": "Ml_Dtypes", "version": "0.6", "vulns": []},
    {"name": "six", "skip_reason": "no answer"},
    {"name": "elsewhere", "version": "1", "vulns": [{"id": "CVE-2", "fix_versions": []}]},
]


def test_what_has_no_answer_is_not_called_safe():
    lines, unchecked, why = dependencies.judged(LISTED, ["ml-dtypes", "numpy", "six", "wheel"])
    assert lines == ["numpy 1.0: CVE-1, mended in 1.1"]
    assert (unchecked, why) == (["six", "wheel"], "no answer")


def test_without_the_tool_all_is_unchecked(tmp_path):
    lines, unchecked, why = dependencies.vulnerabilities(tmp_path, ["numpy"])
    assert (lines, unchecked) == ([], ["numpy"]) and "FileNotFoundError" in why


def test_what_is_needed_is_closed_and_has_no_tools_of_tests():
    found = dependencies.needed("pytest")
    assert {"pluggy", "iniconfig", "packaging"} <= set(found)
    assert "pytest-xdist" not in found and "hypothesis" not in found


@pytest.mark.parametrize(
    "licence, strict",
    [("GPL-3.0", True), ("GNU General Public License v2 (GPLv2)", True), ("AGPL-3.0-only", True), ("LGPL-2.1", False),
     ("GNU Lesser General Public License v3", False), ("MPL-2.0 AND MIT", False), ("Apache Software License", False)],
)  # fmt: skip
def test_licences_that_reach_further_than_their_package(licence, strict):
    assert bool(dependencies.STRICT.search(licence)) == strict


def test_a_licence_that_nobody_told_is_not_called_fine(tmp_path, monkeypatch, capsys):
    (tmp_path / "pip-licenses").touch()
    monkeypatch.setattr(dependencies, "needed", lambda: ["ml-dtypes", "numpy"])
    monkeypatch.setattr(dependencies, "licences", lambda tools, packages: [("Ml_Dtypes", "0.6", "Apache-2.0")])
    monkeypatch.setattr(dependencies, "vulnerabilities", lambda tools, packages: ([], [], ""))
    dependencies.main([f"--tools={tmp_path}"])
    assert "NOT CHECKED: 1 of 2 packages, such as numpy (not listed)" in capsys.readouterr().out


def test_tools_that_are_not_there_are_named(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        dependencies.main([f"--tools={tmp_path}"])
    assert ended.value.code == 2
    assert f"--tools={tmp_path} has no pip-licenses" in capsys.readouterr().err
