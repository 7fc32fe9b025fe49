"""Which files belong together: an image, its label and its further bands, by their names."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_pipelines.own_data import masks
from data_pipelines.own_data.description import NAMES, Description
from data_pipelines.own_data.messages import note, some
from data_pipelines.own_data.parts import Part
from data_pipelines.spec import DataError, Sample

IMAGES = {".bmp", ".jpeg", ".jpg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
LABELS = {".bmp", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff"}
LOSSY = IMAGES - LABELS
"""Extensions of files that are read. Of labels, those that lose ids are where they are soft."""


def find_samples(description: Description, quiet: bool = False) -> list[Sample]:
    """Labelled samples, sorted by name; a line on stderr where files are left over, unless `quiet`.

    Raises:
      DataError: a folder is missing or holds nothing of use, two files have one name, or nothing fits together.
    """
    label = Part(description.labels, description.label_suffix, (), "")
    labels = masks.by_folder(description, label) if description.masks else [label]
    everything = (*description.parts, *labels)
    found = [list_files(part, everything, IMAGES) for part in description.parts]
    extensions = LABELS | LOSSY if description.labels_soft else LABELS
    of_labels = [list_files(part, everything, extensions) for part in labels]
    masks_of = masks.of_images(description, of_labels)
    found.append({name: own[0][0] for name, own in masks_of.items()} if description.masks else of_labels[0])
    names = sorted(set.intersection(*map(set, found)))
    if not names:
        raise DataError(
            f"{description.path}: no file of {everything[0].folder} belongs to one of {label.folder}: the "
            f"first are {min(found[0])!r} and {min(found[-1])!r}; names must be equal but for image_suffix and "
            "label_suffix"
        )
    if not quiet:
        tell_leftovers(found, [*(part.folder for part in description.parts), description.labels], names)
        masks.tell_missing(description, of_labels, names)
    image, *extras, first = found
    return [
        Sample(
            name, image[name], first[name], extras=tuple(part[name] for part in extras), masks=masks_of.get(name, ())
        )
        for name in names
    ]


def list_files(part: Part, everything: Sequence[Part], extensions: set[str]) -> dict[str, Path]:
    """Name -> path of the files of `part`, in its folder and all below, less hidden ones.

    A name is the path below the folder with "/", without suffix and extension.

    Args:
      part: what is looked for.
      everything: all parts: what belongs to another one, deeper down or by a longer suffix, is left to it.
      extensions: in lower case.

    Raises:
      DataError: no such folder, nothing in it, or two files of one name.
    """
    if not part.folder.is_dir():
        raise DataError(f"no folder {part.folder}: correct it in {NAMES[0]}, where it is relative to that file")
    others = [other for other in everything if other is not part]
    if any(_same(other.folder, part.folder) and other.suffix == part.suffix for other in others):
        raise DataError(
            f"{part.folder} is named for two things: tell their files apart by image_suffix or label_suffix"
        )
    files: dict[str, Path] = {}
    others_there: set[str] = set()
    for path in _walk(part.folder):
        stem, extension = os.path.splitext(path.name)
        others_there |= {extension.lower()} - extensions
        if extension.lower() not in extensions or not stem.endswith(part.suffix) or _of_another(path, part, others):
            continue
        name = (path.relative_to(part.folder).parent / stem[: len(stem) - len(part.suffix)]).as_posix()
        name = unicodedata.normalize("NFC", name)  # file systems differ in how they spell what has an accent
        if name in files:
            raise DataError(f"{files[name]} and {path.name} have one name: rename or move one")
        files[name] = path
    if not files:
        ending = f" whose names end with {part.suffix!r}" if part.suffix else ""
        there = f", and there is {' '.join(sorted(filter(None, others_there)))}" if any(others_there) else ""
        raise DataError(f"no files in {part.folder}{ending}: looked for {' '.join(sorted(extensions))}{there}")
    return files


def tell_leftovers(found: Sequence[Mapping[str, Path]], folders: Sequence[Path], names: Sequence[str]) -> None:
    """A line on stderr about the files that are in no pair.

    Args:
      found: name -> path, of each folder.
      folders: where these are.
      names: those that all of them have.
    """
    told = []
    for files, folder in zip(found, folders):
        left = sorted(set(files) - set(names))
        if left:
            told.append(f"{len(left)} of {folder} ({some(left)})")
    if told:
        note(f"left out, as the other file of the pair is missing: {'; '.join(told)}")


def _walk(top):
    """Paths of all files below `top`, sorted, less hidden ones; links are followed, and no folder is visited twice."""
    paths, visited = [], set()

    def fail(error):
        raise DataError(f"cannot read {error.filename}: {error.strerror}")

    for root, folders, files in os.walk(top, followlinks=True, onerror=fail):
        real = os.path.realpath(root)
        folders[:] = [] if real in visited else [name for name in folders if not name.startswith(".")]
        paths += [] if real in visited else [Path(root, name) for name in files if not name.startswith(".")]
        visited.add(real)
    return sorted(paths)


def _of_another(path, part, others):
    """Whether a file in the folder of `part` belongs to another one: by a longer suffix, or it is in a folder below."""
    stem = path.stem
    for other in others:
        if _same(other.folder, part.folder):
            if len(other.suffix) > len(part.suffix) and stem.endswith(other.suffix):
                return True
        elif _within(other.folder, part.folder) and _within(path, other.folder):
            return True
    return False


def _same(folder, other):
    return folder.resolve() == other.resolve()


def _within(path, folder):
    """Whether `path` is below `folder`; a link counts by its own place."""
    return Path(os.path.abspath(folder)) in Path(os.path.abspath(path)).parents
