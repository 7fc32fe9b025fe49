"""Can the tests fail? Each change of one file against the tests of that file: `make mutate FILE=did_tf/...py`.

The changes are those of cosmic-ray's operators. TensorFlow takes seconds to import, hence no command for each mutant:
this process imports it, executes nothing with it, and forks a child per mutant, in which pytest runs on a copy of the
tree that has the mutant in it. The tree itself is only read.

Left out are mutants that no test could tell: in annotations, which nothing evaluates.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import difflib
import gc
import importlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cosmic_ray.ast
import cosmic_ray.plugins
from cosmic_ray.mutating import mutate_code
from tqdm import tqdm

from benchmarks.arguments import parser_of

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
_TIMES, _SECONDS = 5, 20  # a mutant's tests may take so many times those of the file as it is, and these besides


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
    names = {path.stem: str(path) for path in sorted(Path("tests", *file.parts[1:-1]).glob("test_*.py"))}
    return [path for name, path in names.items() if f"{name}_".startswith(f"test_{file.stem}_")]


class Copy:
    """A copy of the tree in `folder`, in which one file after the other is changed and tested."""

    def __init__(self, folder: str) -> None:
        self.folder, self.runs = Path(folder), 0
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\0"):
            if name and Path(name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(name, self.folder / name)

    def run(self, file: Path, source: str, tests: Sequence[str], limit: float | None = None) -> tuple[int, str]:
        """(exit code, output) of pytest with `source` as `file`, in a fork of this process; -1 after `limit` s."""
        (self.folder / file).write_text(source, "utf-8")
        self.runs += 1
        # Its age is what tells Python that what it compiled before is of another source.
        os.utime(self.folder / file, (self.runs, self.runs))
        output = self.folder / "output.txt"
        child = os.fork()
        if not child:
            _in_child(self.folder, output, tests)
        code = _wait(child, limit)
        return code, output.read_text("utf-8", errors="replace")


def _in_child(folder, output, tests):
    os.setsid()
    os.chdir(folder)
    # What is written to a temporary place goes with the copy: the child ends without tidying up.
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder / "temporary")
    os.makedirs(tempfile.tempdir, exist_ok=True)
    with output.open("w") as told:
        os.dup2(told.fileno(), 1)
        os.dup2(told.fileno(), 2)
    sys.path[:0] = [str(folder)]
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
    parser = parser_of(__name__)
    parser.add_argument("file", type=Path, help="its path from the root of the tree")
    parser.add_argument("tests", nargs="*", help="files of tests, or tests; default: the files named after `file`")
    parser.add_argument("--sample", type=int, default=0, help="so many mutants, drawn by --seed; default all")
    parser.add_argument("--seed", type=int, default=0, help="of --sample")
    arguments = parser.parse_intermixed_args()
    source, tests = arguments.file.read_text("utf-8"), arguments.tests or tests_of(arguments.file)
    chosen = mutants(source)
    print(f"{arguments.file}: {len(chosen)} mutants; tests: {' '.join(tests)}")
    if arguments.sample:
        chosen = sorted(random.Random(arguments.seed).sample(chosen, arguments.sample), key=lambda mutant: mutant.line)
    for name in PRELOADED:
        importlib.import_module(name)
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    gc.freeze()  # or the collector of each child would copy the pages of all that was imported
    with tempfile.TemporaryDirectory() as folder:
        survivors = _survivors(Copy(folder), arguments.file, source, chosen, tests)
    print(f"{arguments.file}: {len(chosen) - len(survivors)} of {len(chosen)} mutants killed")


def _survivors(copy, file, source, chosen, tests):
    start = time.monotonic()
    code, output = copy.run(file, source, tests)
    if code:
        sys.exit(f"{output}\nerror: the tests fail without a mutant already")
    limit, survivors = _SECONDS + _TIMES * (time.monotonic() - start), []
    for mutant in tqdm(chosen):
        if not copy.run(file, mutant.source, tests, limit)[0]:
            survivors.append(mutant)
            print(f"  {mutant.line}: {mutant.before}\n    -> {mutant.after}  [{mutant.operator}]", flush=True)
    return survivors


if __name__ == "__main__":
    main()
