"""The tutorials of docs/ as what can be run: their blocks in order, and one of them as a notebook.

A block marked sh holds commands, one marked python a program; if its first line is "# NAME.py", it is a file, which a
command runs. `<!-- show: PICTURE -->` is a cell of the notebook that shows the picture.

`python tests/tutorials.py` writes the notebook anew.
"""

import multiprocessing
import os
import re
import runpy
import shlex
import sys
from pathlib import Path

import nbformat
from nbformat import v4

TUTORIALS = Path(__file__).parents[1] / "docs" / "tutorials"
NOTEBOOK = TUTORIALS / "own-data.ipynb"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.M | re.S)
SHOW = re.compile(r"^<!-- show: (\S+) -->\n+(?:!\[.*?\]\(.*?\)\n)?", re.M)
FILE = re.compile(r"# (\w+\.py)\n")
PATH = """\
# Commands come from where this notebook's Python is.
import os
import sys

os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
"""


class Changes:
    """What a test declares to be otherwise than printed: {text: text in its place}. Each has to be met."""

    def __init__(self, texts):
        self.texts, self.met = texts, set()

    def __call__(self, text):
        for old, new in self.texts.items():
            if old in text:
                self.met.add(old)
                text = text.replace(old, new)
        return text

    def check(self):
        assert self.met == set(self.texts), f"declared, but no longer printed: {set(self.texts) - self.met}"


class Terminal:
    """Runs commands in `folder`, each a fork of one process that has TensorFlow imported: that takes seconds else.

    Args:
      instead: {command: function of `folder`} that is called in its place.
      statuses: {command: exit status} where it isn't 0.
    """

    def __init__(self, folder, instead=None, statuses=None):
        self.folder, self.instead, self.statuses = folder, instead or {}, statuses or {}
        self.met, self.running = set(), []
        self.forks = multiprocessing.get_context("forkserver")
        self.forks.set_forkserver_preload(["did_tf.programs.quiet", "did_tf.wiring", "did_tf.programs.cli"])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.running:
            process.terminate()
            process.join()

    def command(self, line):
        """Runs a line; one that ends with " &" goes on until all is over."""
        declared = line in self.instead or line in self.statuses
        self.met.update([line] if declared else [])
        if line in self.instead:
            return self.instead[line](self.folder)
        process = self._start(shlex.split(line.removesuffix(" &")))
        if line.endswith(" &"):
            return self.running.append(process)
        process.join()
        assert process.exitcode == self.statuses.get(line, 0), f"$ {line}\n{self._log.read_text()[-2000:]}"

    def check(self):
        """Every command that is declared has to be printed."""
        declared = {*self.instead, *self.statuses}
        assert self.met == declared, f"declared, but no longer printed: {declared - self.met}"

    @property
    def _log(self):
        return self.folder / "terminal.log"

    def _start(self, words):
        process = self.forks.Process(target=_execute, args=(self.folder, self._log, words), daemon=False)
        process.start()
        return process


def follow(name, folder, changes=None, **declared):
    """Does what tutorial NAME says in the empty `folder`; see `Changes` and `Terminal`."""
    changes, scripts = Changes(changes or {}), 0
    with Terminal(folder, **declared) as terminal:
        for kind, printed in blocks(name):
            text = changes(printed)
            if kind == "sh":
                for line in lines(text):
                    terminal.command(line)
                continue
            file = FILE.match(text)
            scripts += not file
            path = folder / (file[1] if file else f"script{scripts}.py")
            path.write_text(text)
            if not file:
                terminal.command(f"python {path.name}")
        terminal.check()
    changes.check()


def blocks(name):
    """[("sh" or "python", text)] of a tutorial, in their order."""
    return BLOCK.findall((TUTORIALS / f"{name}.md").read_text())


def lines(text):
    """The commands of an sh block: continued lines are joined, comments dropped."""
    joined = text.replace("\\\n", " ").splitlines()
    return [line for line in (re.sub(r"\s+# .*", "", line).strip() for line in joined) if line]


def notebook(name):
    """The tutorial as a notebook without outputs: a cell per block, per picture, and per text between them."""
    text = (TUTORIALS / f"{name}.md").read_text()
    text = SHOW.sub(lambda match: f"```python\n{_showing(match[1])}```\n", text)
    cells, end = [], 0
    for match in BLOCK.finditer(text):
        cells += [v4.new_markdown_cell(text[end : match.start()].strip()), v4.new_code_cell(_cell(*match.groups()))]
        end = match.end()
    cells.append(v4.new_markdown_cell(text[end:].strip()))
    cells.insert(1, v4.new_code_cell(PATH.strip()))
    cells = [cell for cell in cells if cell.source]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def _cell(kind, text):
    if kind == "sh":
        return f"%%sh\n{text.strip()}"
    file = FILE.match(text)
    return f"%%writefile {file[1]}\n{text[file.end() :].strip()}" if file else text.strip()


def _showing(picture):
    return f'from IPython.display import Image\n\nImage("{picture}")\n'


def _execute(folder, log, words):
    """Runs `did_tf ...` or `python FILE ...` in this process."""
    os.chdir(folder)
    with open(log, "ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    program, *arguments = words
    if program == "python":
        sys.argv = arguments
        return runpy.run_path(arguments[0], run_name="__main__")
    assert program == "did_tf", f"a tutorial says {program}: declare what the test does in its place"
    from did_tf.__main__ import main

    sys.argv = words
    main()


def main():
    nbformat.write(notebook("own-data"), NOTEBOOK)
    print(NOTEBOOK)


if __name__ == "__main__":
    main()
