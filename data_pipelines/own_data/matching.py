"""Which files belong together: an image, its label and its further bands, by their names."""

from __future__ import annotations

import functools
import itertools
import os
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from data_pipelines.own_data import masks, shapes
from data_pipelines.own_data.description import NAMES, Description
from data_pipelines.own_data.messages import note, some
from data_pipelines.own_data.parts import Part
from data_pipelines.spec import NOTES, DataError, Sample

IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
LABELS = {".bmp", ".gif", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff"}
"""Extensions of files that are read. Of labels, those that lose ids are only where labels are soft."""
VECTORS = {".gpkg", ".kml", ".shp"}
"""Extensions of shapes on earth that are read as GeoJSON alone."""
BRACES = re.compile(r"\{([^{}/]*)\}")
Listing = Callable[[Path], list[tuple[str, Path]]]
"""What `files_below` is."""


def find_samples(description: Description, quiet: bool = False) -> list[Sample]:
    """Labelled samples, sorted by name; a line on stderr where files are left over, unless `quiet`.

    Raises:
      DataError: a folder is missing or holds nothing of use, two files have one name, or nothing fits together.
    """
    label = label_part(description)
    labels = masks.by_class(description, label) if description.masks else [label]
    everything = (*description.parts, *labels)
    if description.shapes:
        return _with_shapes(description, label, quiet)
    below = functools.cache(files_below)  # masks of all classes may lie in one folder
    found = [list_files(part, everything, IMAGES, below) for part in description.parts]
    of_labels = [list_labels(part, everything, bool(description.labels_soft), below) for part in labels]
    masks_of = masks.of_images(description, of_labels)
    found.append({name: own[0][0] for name, own in masks_of.items()} if description.masks else of_labels[0])
    names = sorted(set.intersection(*map(set, found)))
    if not names:
        raise DataError(
            f"{description.path}: no file of {everything[0].folder} belongs to one of {label.folder}: the "
            f"first are {min(found[0])!r} and {min(found[-1])!r}; names must be equal but for what "
            "image_prefix, image_suffix, label_prefix and label_suffix say"
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


def list_shapes(label: Part, images: Mapping[str, Path], by: str) -> dict[str, Path]:
    """Name of an image -> its file of annotations, as of `shapes.of_images`. Raises `DataError`.

    Args:
      label: the folder of such files, or the file itself; with braces, several.
      images: name -> path.
      by: property that says what a shape shows, or "".
    """
    own = named_files(label.folder)
    return shapes.of_images(own or list_files(label, [label], shapes.FILES), len(own) == 1, images, by)


def named_files(folder: Path) -> dict[str, Path]:
    """Name -> path of the files of annotations, if it is such a file, or several with braces; else nothing."""
    files = {Path(before, path.stem).as_posix(): path for path, before in places(folder)}
    fit = all(path.suffix.lower() in shapes.FILES and path.is_file() for path in files.values())
    return files if fit else {}


def _with_shapes(description, label, quiet):
    """As `find_samples`, where labels are files of annotations; they may lie among the images."""
    found = [list_files(part, description.parts, IMAGES) for part in description.parts]
    labels = list_shapes(label, found[0], description.label_property)
    names = sorted(set.intersection(*map(set, found), labels))
    if not names:
        raise DataError(
            f"{description.path}: no file of {description.parts[0].folder} belongs to one of {label.folder}: the first "
            f"are {min(found[0])!r} and {min(labels)!r}"
        )
    if not quiet:
        tell_leftovers([*found, labels], [*(part.folder for part in description.parts), label.folder], names)
    image, *extras = found
    return [Sample(name, image[name], labels[name], extras=tuple(part[name] for part in extras)) for name in names]


def label_part(description: Description) -> Part:
    """The labels as a part, of no bands."""
    return Part(description.labels, description.label_suffix, (), "", description.label_prefix)


def places(folder: Path) -> list[tuple[Path, str]]:
    """The folders that one with braces stands for, each with what begins the names of its files.

    ../{train,val}/images is ../train/images with the names train/a, train/b, ... and ../val/images with val/c, ...
    """
    pieces = [piece.split(",") if number % 2 else [piece] for number, piece in enumerate(BRACES.split(str(folder)))]
    if len(pieces) == 1 or os.path.isdir(folder):
        return [(folder, "")]
    chosen = [[text.strip() for text in choice] for choice in itertools.product(*pieces)]
    return [(Path("".join(choice)), "/".join(choice[1::2])) for choice in chosen]


def files_below(folder: Path) -> list[tuple[str, Path]]:
    """(name with its extension, path) of all files of a folder, which may have braces, less hidden ones; by path.

    Raises `DataError` where a folder is not there.
    """
    found = []
    for place, before in places(folder):
        if not os.path.isdir(place):  # which knows names too long or with zeros, and says no
            way = as_geojson(place)
            raise DataError(f"no folder {place}: correct it in {NAMES[0]}, where it is relative to that file{way}")
        found += [(Path(before, path.relative_to(place)).as_posix(), path) for path in _walk(place)]
    return found


def as_geojson(path: Path) -> str:
    """End of a message: how GDAL makes GeoJSON of a file of shapes that is not read itself; nothing of others."""
    if path.suffix.lower() not in VECTORS:
        return ""
    return f"; save it as GeoJSON: ogr2ogr -f GeoJSON {path.with_suffix('.geojson')} {path}"


def list_labels(part: Part, everything: Sequence[Part], lossy: bool, listing: Listing = files_below) -> dict[str, Path]:
    """As `list_files`, of labels: those that keep ids, or where there are none and `lossy` says so, any."""
    try:
        return list_files(part, everything, LABELS, listing)
    except DataError:
        if not lossy:
            raise
        return list_files(part, everything, LABELS | IMAGES, listing)


def list_files(
    part: Part, everything: Sequence[Part], extensions: set[str], listing: Listing = files_below
) -> dict[str, Path]:
    """Name -> path of the files of `part`, in its folder and all below, less hidden ones.

    A name is the path below the folder with "/", without prefix, suffix and extension.

    Args:
      part: what is looked for.
      everything: all parts: what belongs to another one, deeper down or by a longer prefix or suffix, is left to it.
      extensions: in lower case.
      listing: `files_below`, or what remembers it.

    Raises:
      DataError: no such folder, nothing in it, or two files of one name.
    """
    others = [other for other in everything if other is not part]
    if any(_same(other.folder, part.folder) and _affixes(other) == _affixes(part) for other in others):
        raise DataError(
            f"{part.folder} is named for two things: tell their files apart by image_suffix or label_suffix"
        )
    rivals, below = _rivals(part, others)
    files: dict[str, Path] = {}
    others_there: set[str] = set()
    for full, path in listing(part.folder):
        if path.name.endswith(NOTES):  # QGIS writes them beside what it shows, and they are no annotations
            continue
        extension = path.suffix.lower()
        others_there |= {extension} - extensions
        key = affixed(path.name, part) if extension in extensions else None
        if key is None or any(affixed(path.name, rival) is not None for rival in rivals):
            continue
        if any(_within(path, place) for place in below):
            continue
        # File systems differ in how they spell what has an accent.
        name = unicodedata.normalize("NFC", (PurePosixPath(full).parent / key).as_posix())
        if name in files:
            raise DataError(f"{files[name]} and {path.name} have one name: {_advice(files[name], path)}")
        files[name] = path
    if not files:
        raise _nothing(part, extensions, others_there)
    return files


def affixed(name: str, part: Part) -> str | None:
    """What a file's name is without the part's prefix and suffix and the extension; None where it hasn't got them."""
    stem, extension = os.path.splitext(name)
    suffix, wanted = ending(part.suffix)
    fits = stem.startswith(part.prefix) and stem.endswith(suffix) and wanted in ("", extension.lower())
    end = len(stem) - len(suffix)
    return stem[len(part.prefix) : end] if fits and len(part.prefix) <= end else None


def ending(suffix: str) -> tuple[str, str]:
    """(what ends a name before the extension, the extension in lower case or nothing), of a part's suffix."""
    before, dot, extension = suffix.rpartition(".")
    return (before, f".{extension.lower()}") if f"{dot}{extension.lower()}" in IMAGES else (suffix, "")


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
        # A folder that is linked beside itself is called by its own name, whatever order the disk has.
        folders.sort(key=lambda name: (os.path.islink(os.path.join(root, name)), name))
        paths += [] if real in visited else [Path(root, name) for name in files if not name.startswith(".")]
        visited.add(real)
    for path in paths:
        if not os.fsencode(path).isascii() and not _is_text(path):
            odd = next(part for part in (*reversed(path.parents), path) if not _is_text(part))
            raise DataError(f"the name of {odd} is no text in UTF-8, as lists and descriptions are: rename it")
    return sorted(paths)


def _is_text(path):
    try:
        return bool(str(path).encode())
    except UnicodeEncodeError:
        return False


def _rivals(part, others):
    """(parts that some of a part's files belong to by longer affixes, folders of others below its own)."""
    length = len(part.prefix) + len(part.suffix)
    beside = [other for other in others if _same(other.folder, part.folder)]
    below = [place for other in others if other not in beside for place, _ in places(other.folder)]
    own = [place for place, _ in places(part.folder)]
    return (
        [other for other in beside if len(other.prefix) + len(other.suffix) > length],
        [place for place in below if any(_within(place, folder) for folder in own)],
    )


def _affixes(part):
    return part.prefix, part.suffix


def _advice(first, second):
    if first.suffix.lower() == second.suffix.lower():
        return "rename or move one"
    return f"rename or move one, or say which is meant (image_suffix or label_suffix: {second.suffix})"


def _nothing(part, extensions, others_there):
    starts = f" whose names begin with {part.prefix!r}" if part.prefix else ""
    ends = f"{' and' if starts else ' whose names'} end with {part.suffix!r}" if part.suffix else ""
    there = f", and there is {' '.join(sorted(filter(None, others_there)))}" if any(others_there) else ""
    way = "".join(as_geojson(part.folder / f"NAME{end}") for end in sorted(others_there & VECTORS)[:1])
    return DataError(f"no files in {part.folder}{starts}{ends}: looked for {' '.join(sorted(extensions))}{there}{way}")


def _same(folder, other):
    return folder == other or folder.resolve() == other.resolve()


def _within(path, folder):
    """Whether `path` is below `folder`; a link counts by its own place."""
    return Path(os.path.abspath(folder)) in Path(os.path.abspath(path)).parents
