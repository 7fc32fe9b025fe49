"""Can the tests fail? Each change of one file against the tests of that file: `make mutate FILE=did_tf/...py`.

The changes are those of cosmic-ray's operators. TensorFlow takes seconds to import, hence no command for each mutant:
this process imports it, executes nothing with it, and forks a child per mutant, in which pytest finds the mutant in
the place of the module. The tree is only read; tests that start programs of their own see the file as it is there.

Left out are mutants that no test could tell: in annotations, which nothing evaluates.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import dataclasses
import difflib
import gc
import importlib
import importlib.abc
import importlib.util
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import cosmic_ray.ast
import cosmic_ray.plugins
from cosmic_ray.mutating import mutate_code
from tqdm import tqdm

# What tests import and takes long. None of the project: a child has to import that with its mutant.
PRELOADED = (
    "numpy",
    "scipy",
    "cv2",
    "matplotlib.pyplot",
    "ml_collections",
    "rasterio",
    "tensorflow",
    "keras",
    "pytest",
)
KILLED, SURVIVED = "killed", "survived"
_TIME, _SECONDS = 5, 20  # a mutant's tests may take so many times those of the file as it is, and these besides


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One change: the operator that made it, its line (from 1), that line before and after, and the whole source."""

    operator: str
    line: int
    before: str
    after: str
    source: str


def mutants(source: str) -> list[Mutant]:
    """All that differ from each other, can be compiled and are not in annotations; in the order of their lines."""
    spared, tree, found = _annotations(source), cosmic_ray.ast.get_ast(source), {}
    for name in cosmic_ray.plugins.operator_names():
        operator_class = cosmic_ray.plugins.get_operator(name)
        if operator_class.arguments():  # those that need to be told names of variables
            continue
        nodes = cosmic_ray.ast.ast_nodes(tree)
        positions = [at for node in nodes for at in operator_class().mutation_positions(node)]
        for occurrence, (start, _) in enumerate(positions):
            changed = mutate_code(source, operator_class(), occurrence)
            if changed is not None and not any(first <= start < last for first, last in spared) and _compiles(changed):
                found.setdefault(changed, Mutant(name.split("/")[1], start[0], *_lines(source, changed), changed))
    return sorted(found.values(), key=lambda mutant: mutant.line)


def tests_of(file: Path) -> list[str]:
    """The files in the mirrored folder whose names begin as that of the test of `file` does."""
    folder = Path("tests", *file.parts[1:-1])
    return sorted(map(str, folder.glob(f"test_{file.stem}.py"))) + sorted(
        map(str, folder.glob(f"test_{file.stem}_*.py"))
    )


def run(file: Path, source: str, tests: list[str], limit: float | None = None) -> tuple[int, str]:
    """(exit code, output) of pytest with `source` in the place of `file`, in a fork of this process; -1: out of time."""
    with tempfile.TemporaryDirectory() as folder:
        # A file of its own, as AutoGraph reads the source of what it compiles.
        mutant, output = Path(folder, file.name), Path(folder, "output")
        mutant.write_text(source, "utf-8")
        child = os.fork()
        if not child:
            _in_child(".".join(file.with_suffix("").parts), mutant, output, tests)
        code = _wait(child, limit)
        return code, output.read_text("utf-8", errors="replace")


def _in_child(module, mutant, output, tests):
    os.setsid()
    with output.open("w") as told:
        os.dup2(told.fileno(), 1)
        os.dup2(told.fileno(), 2)
    sys.path[:0] = [os.getcwd()]
    sys.meta_path.insert(0, _InPlaceOf(module, mutant))
    import pytest

    code = 99
    quick = ("-x", "-q", "--tb=short", "-p", "no:cacheprovider", "-p", "no:unraisableexception", "-m", "not slow")
    with contextlib.suppress(BaseException):
        code = int(pytest.main([*quick, *tests]))
    sys.stdout.flush()
    os._exit(code)


def _wait(child, limit):
    deadline = time.monotonic() + limit if limit else float("inf")
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return -1
        time.sleep(0.02)


class _InPlaceOf(importlib.abc.MetaPathFinder):
    def __init__(self, module, path):
        self.module, self.path = module, path

    def find_spec(self, fullname, path, target=None):
        return importlib.util.spec_from_file_location(fullname, self.path) if fullname == self.module else None


def _annotations(source):
    """[((line, column) of the first character, that after the last)], columns in characters as parso counts them."""
    lines, spans = source.splitlines(), []
    for node in ast.walk(ast.parse(source)):
        for of in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if of is not None:
                ends = ((of.lineno, of.col_offset), (of.end_lineno, of.end_col_offset))
                spans.append([(line, len(lines[line - 1].encode()[:column].decode())) for line, column in ends])
    return spans


def _compiles(source):
    with contextlib.suppress(SyntaxError):
        return bool(compile(source, "mutant", "exec", dont_inherit=True))
    return False


def _lines(before, after):
    """The lines that differ, before and after, as one line each."""
    told = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0))[2:]
    return tuple(" ".join(line[1:].strip() for line in told if line[0] == sign) for sign in "-+")


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description="Mutation testing of one file, from the root of the tree.")
    parser.add_argument("file", type=Path)
    parser.add_argument("tests", nargs="*", help="files of tests; default: those named after the file")
    parser.add_argument("--sample", type=int, default=0, help="so many mutants, drawn by --seed; default all")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    source, tests = arguments.file.read_text("utf-8"), arguments.tests or tests_of(arguments.file)
    chosen = mutants(source)
    print(f"{arguments.file}: {len(chosen)} mutants; tests: {' '.join(tests)}")
    if arguments.sample:
        chosen = sorted(random.Random(arguments.seed).sample(chosen, arguments.sample), key=lambda mutant: mutant.line)
    for name in PRELOADED:
        importlib.import_module(name)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    gc.freeze()  # or the collector of each child would copy the pages of all that was imported
    start = time.monotonic()
    code, output = run(arguments.file, source, tests)
    if code:
        sys.exit(f"{output}\nerror: the tests fail without a mutant already")
    took = time.monotonic() - start
    survivors = []
    for mutant in tqdm(chosen, disable=None):
        if not run(arguments.file, mutant.source, tests, _SECONDS + _TIME * took)[0]:
            survivors.append(mutant)
            print(f"  {mutant.line}: {mutant.before}\n    -> {mutant.after}  [{mutant.operator}]", flush=True)
    killed, minutes = len(chosen) - len(survivors), (time.monotonic() - start) / 60
    print(f"{arguments.file}: {killed} of {len(chosen)} mutants killed, {minutes:.0f} minutes ({took:.1f} s unchanged)")


if __name__ == "__main__":
    main()
