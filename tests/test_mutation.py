"""What `make mutate` runs, on a file of two functions of which one is tested. It needs the extra `mutation`."""

import subprocess
import sys
from pathlib import Path

import pytest
from program import PROJECT

pytest.importorskip("cosmic_ray")

SOURCE = '''"""Doubles."""

def tested(x: int | None = 1) -> int:
    return 2 * x

def untested(x):
    return 3 * x
'''
TEST = """from did_tf.doubles import tested

def test_it():
    assert [tested(x) for x in (0, 1, 3)] == [0, 2, 6] and tested() == 2
"""


@pytest.fixture
def tree(tmp_path):
    for name, text in {"did_tf/doubles.py": SOURCE, "did_tf/__init__.py": "", "tests/test_doubles.py": TEST}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def mutate(tree, *arguments):
    program = PROJECT / "benchmarks" / "mutation.py"
    return subprocess.run(
        [sys.executable, program, "did_tf/doubles.py", *arguments], cwd=tree, capture_output=True, text=True
    )


def test_what_no_test_notices_is_told(tree):
    told = mutate(tree).stdout.splitlines()
    places = {
        line.split(":")[0].strip() for line in told if line.startswith("  ") and not line.strip().startswith("->")
    }
    assert places == {"7"}  # not the tested function, nor the annotations
    assert told[-1] == "did_tf/doubles.py: 15 of 28 mutants killed"
    assert (tree / "did_tf/doubles.py").read_text() == SOURCE


def test_tests_that_fail_without_a_mutant_are_told(tree):
    Path(tree / "tests" / "test_doubles.py").write_text("def test_it():\n    assert False\n")
    run = mutate(tree, "--sample=3")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == "error: the tests fail without a mutant already"
