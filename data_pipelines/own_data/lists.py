"""Lists of images, as people have them: names or paths, one or two columns, of this disk or of another one."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import NamedTuple

from data_pipelines.datasets.files import numbered_lines
from data_pipelines.own_data.matching import IMAGES, affixed
from data_pipelines.own_data.messages import note
from data_pipelines.own_data.parts import Part
from data_pipelines.spec import DataError

EXTENSION = "|".join(re.escape(extension) for extension in sorted(IMAGES, key=len, reverse=True))
TITLES = {"image", "images", "img", "file", "filename", "file_name", "path", "image_path", "name"}
TWO_COLUMNS = (
    r"([^\t]+)\t+([^\t]+)",
    r"([^,]+),([^,]+)",
    r"([^;]+);([^;]+)",
    r"([^|]+)\|([^|]+)",
    rf"(?i)(.+?(?:{EXTENSION}))\s+(.+)",  # names may have spaces
    r"(\S+)\s+(\S+)",
)


class Files(NamedTuple):
    """What entries of a list may mean.

    Attributes:
      part: where the files are, and what begins and ends their names.
      paths: name -> path.
    """

    part: Part
    paths: Mapping[str, Path | None]

    @property
    def called(self) -> str:
        """The name of their folder."""
        return os.path.basename(os.path.abspath(self.part.folder))


class Entry(NamedTuple):
    """What a list says of one image: where it says so, the image, and its label or nothing."""

    place: str
    image: str
    label: str = ""


def read(path: Path, images: Files) -> list[Entry]:
    """Entries of a list file in UTF-8: lines less empty ones and those that begin with #.

    Where not all lines are images as they stand, they are taken for two columns, divided by tabs, commas, semicolons,
    bars or white space, if that makes all first ones images. These may begin with a line of titles.

    Raises:
      DataError: it can't be read, or says nothing.
    """
    lines = [(f"{path} line {number}", line) for number, line in numbered_lines(path) if not line.startswith("#")]
    if not lines:
        raise DataError(f"{path} is empty")
    single = [Entry(place, line) for place, line in lines]
    choices = [_less_titles(found, images) for pattern in TWO_COLUMNS if (found := _columns(lines, pattern))]
    return max(
        [single, *choices],
        key=lambda found: sum(map(bool, meant([entry.image for entry in found], images, [path.parent]))),
    )


def meant(texts: Sequence[str], files: Files, bases: Iterable[Path], told: str = "") -> list[str | None]:
    """The name that each entry of a list means, or None.

    That is one of the names; or the path of one of the files, absolute or from one of the `bases`. Where not all
    entries are that, it is what is left of them without one beginning that all have, which stands for the files'
    folder: lists of another disk. Names may have their prefix, suffix and extension, and backslashes.

    Args:
      texts: the entries of one list.
      files: what they may mean.
      bases: folders that relative paths may be from.
      told: what a note on stderr calls the list whose beginning isn't the name of that folder; nothing: no note.
    """
    paths = {os.path.abspath(path): name for name, path in files.paths.items() if path}
    bases = list(bases)
    split = [_parts(text) for text in texts]
    found = [
        _name(parts, files) or _of_path(parts, bases, paths) or _spelt(text, files) for parts, text in zip(split, texts)
    ]
    if None not in found:
        return found
    foreign, beginning = _without_beginning(split, files)
    if foreign and told and beginning[-1] != files.called:
        note(f"{told}: {'/'.join(beginning)} is taken for {files.part.folder}")
    return foreign or found


def _columns(lines, pattern):
    """Entries of two columns, or None where a line hasn't got them."""
    matches = ((place, re.fullmatch(pattern, line)) for place, line in lines)
    entries = [Entry(place, *(cell.strip(" \t\"'") for cell in match.groups())) for place, match in matches if match]
    return entries if len(entries) == len(lines) else None


def _less_titles(entries, images):
    """Entries less the first where that is the titles of columns."""
    first, *rest = entries
    titles = first.image.lower() in TITLES and _name(_parts(first.image), images) is None
    return rest if titles and rest else entries


def _parts(text):
    """Parts of a path of any system, an anchor first; in one spelling of accents."""
    parts = PureWindowsPath(unicodedata.normalize("NFC", text)).parts
    return [os.sep if part == "\\" else part for part in parts]


def _name(parts, files):
    """The name that the parts of a path mean, or None."""
    if not parts:
        return None
    stem, extension = os.path.splitext(parts[-1])
    last = stem if extension.lower() in IMAGES else parts[-1]
    for spelling in (last, affixed(f"{last}{extension or '.png'}", files.part)):
        name = "/".join([*parts[:-1], spelling]) if spelling else None
        if name in files.paths:
            return name
    return None


def _spelt(text, files):
    """The name that is just so, or None: in it backslashes and colons need not be of folders and disks."""
    name = unicodedata.normalize("NFC", text)
    return name if name in files.paths else None


def _of_path(parts, bases, paths):
    """The name of the file at a path, from one of the bases where it is relative, or None."""
    found = (paths.get(os.path.abspath(Path(base, *parts))) for base in bases)
    return next(filter(None, found), None)


def _without_beginning(split, files):
    """(names, what was taken off), where all are names without one beginning that all have; else (None, None)."""
    folders = [parts[:-1] for parts in split]
    common = os.path.commonprefix(folders)
    nested = any("/" in name for name in files.paths)
    # No name has more parts than the deepest, so that of long paths few beginnings have to be tried.
    deepest = 1 + max((name.count("/") for name in files.paths), default=0)
    for length in range(max(1, max(map(len, split)) - deepest), len(common) + 1):
        names = [_name(parts[length:], files) for parts in split]
        flat = any("/" not in name for name in names if name)
        # A file of another folder may have the name of one here.
        if nested and flat and common[length - 1] != files.called:
            continue
        if None not in names:
            return names, [part.strip(os.sep) for part in common[:length]]
    return None, None
