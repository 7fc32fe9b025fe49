"""What conftest.py does between files of tests, seen by a pytest of its own, which does without TensorFlow."""

import shutil
import subprocess
import sys
from pathlib import Path

FIRST = """
import functools, gc, sys, weakref, pytest

class Network:
    def __init__(self):
        self.itself = self  # nothing but a collection frees it

@functools.cache
def cached():
    return Network()

@pytest.fixture(scope="module")
def made():
    return Network()

def test_what_is_made_stays_for_the_next(made):
    sys.of_first = [weakref.ref(one) for one in (cached(), made)], gc.get_freeze_count()

def test_of_the_same_file():
    gc.collect()
    assert all(one() for one in sys.of_first[0])
"""
SECOND = """
import gc, sys

def test_in_the_next_file_all_is_gone():
    networks, frozen = sys.of_first
    assert not any(one() for one in networks)
    assert gc.get_freeze_count() > frozen > 0
"""


def test_networks_go_with_their_file_and_the_rest_is_no_longer_looked_through(tmp_path):
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    for name, text in {"test_a.py": FIRST, "test_b.py": SECOND}.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib", str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "3 passed" in done.stdout, done.stdout
