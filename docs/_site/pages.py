"""What the site has beyond the pages of docs/: those of the API, copies of the root's, and tables of contents."""

import ast
import os
import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1]
ROOT = DOCS.parent
API = DOCS / "reference" / "api"
COPIES = DOCS / "project"
"""Folders that are written anew by every build; they are in .gitignore."""

PACKAGES = ("did_tf", "data_pipelines")
# docs/reference/commands.md has the commands, whose modules define flags: a process can do that once.
WITHOUT = ("did_tf.programs", "did_tf.__main__")
INTRO = "# API\n\nEvery public function and class, room by room, from the docstrings.\n"

LINK = re.compile(r"(!?\[[^\]]*\])\(([^)#\s:]+)(#[^)\s]*)?\)")
"""A link to a file, or a picture: "[text]" or "![text]", path, and "#anchor" or None."""
ORPHAN = "---\norphan: true\n---\n"
"""What spares a page the warning that no table of contents has it."""
TREE = "\n\n```{{toctree}}\n:hidden:\n\n{}\n```\n"


def write() -> None:
    """Writes the pages of the API and the copies."""
    for folder in (API, COPIES):
        folder.mkdir(exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
    for room, modules in _rooms().items():
        text = "\n".join(_titled(name, "-" if name != room else "=") for name in modules)
        (API / f"{room}.rst").write_text(text, encoding="utf-8")
    listed = "\n".join(f"- [{room}]({room}.rst): {_what(modules)}" for room, modules in _rooms().items())
    (API / "index.md").write_text(f"{INTRO}\n{listed}\n", encoding="utf-8")
    for path in ROOT.glob("*.md"):
        moved = LINK.sub(_moved, path.read_text(encoding="utf-8"))
        (COPIES / path.name).write_text(ORPHAN + moved, encoding="utf-8")


def change(name: str, source: list[str]) -> None:
    """Changes what a Markdown page says into what the site needs; `source` is a list of its text.

    Links to Markdown files at the root lead to their copies, and those to folders there are no links. An index has a
    hidden table of contents: the pages that it links to.
    """
    path = DOCS / f"{name}.md"
    if path.is_file():
        source[0] = LINK.sub(lambda link: _inside(link, path.parent), source[0])
        if path.name == "index.md" and "{toctree}" not in source[0]:
            listed = dict.fromkeys(link[2] for link in LINK.finditer(source[0]) if _is_below(link[2]))
            generated = [API.relative_to(path.parent) / "index.md"] if path.parent == API.parent else []
            source[0] += TREE.format("\n".join(map(str, [*listed, *generated])))


def _rooms():
    """{name of a package or of a package in it: its modules}."""
    rooms = {}
    for path in sorted(path for package in PACKAGES for path in ROOT.glob(f"{package}/**/*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        top, *rest = name.split(".")
        room = f"{top}.{rest[0]}" if rest and (ROOT / top / rest[0]).is_dir() else top
        if not name.startswith(WITHOUT):
            rooms.setdefault(room, []).append(name)
    return {room: sorted(modules) for room, modules in rooms.items()}


def _titled(name, underline):
    return f"{name}\n{underline * len(name)}\n\n.. automodule:: {name}\n"


def _what(modules):
    """The first line of a room's docstring, or the names of its modules."""
    path = ROOT.joinpath(*modules[0].split("."), "__init__.py")
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    return docstring.splitlines()[0] if docstring else ", ".join(name.split(".")[-1] for name in modules[1:])


def _moved(link):
    """A link of a page at the root, as its copy has it."""
    target = ROOT / link[2]
    return _link(link, target, COPIES) if target.exists() else link[0]


def _inside(link, folder):
    target = Path(os.path.normpath(folder / link[2]))
    if (target / "index.md").is_file():
        return _link(link, target / "index.md", folder)
    if target.is_dir():
        return link[1].strip("[]")
    copied = target.suffix == ".md" and target.parent == ROOT and target.is_file()
    return _link(link, COPIES / target.name, folder) if copied else link[0]


def _link(link, target, folder):
    return f"{link[1]}({os.path.relpath(target, folder)}{link[3] or ''})"


def _is_below(path):
    """Whether a table of contents has the page: those beside it, and the indexes of the folders there."""
    *folder, name = Path(path).parts
    return name.endswith((".md", ".rst")) and folder != [".."] and (not folder or name == "index.md")
