"""Images to be labelled: files of a user, or samples of a data set."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from data_pipelines.content import LENGTH, digests
from data_pipelines.identity import notes
from data_pipelines.own_data.matching import IMAGES as EXTENSIONS
from data_pipelines.own_data.matching import affixed, files_below, list_files
from data_pipelines.own_data.parts import Part, part_specs, placed, read_parts
from data_pipelines.reading.decoding import in_rows
from data_pipelines.reading.images import read_masked, size_of
from data_pipelines.reading.places import Place, place_of, world_files
from data_pipelines.spec import MASK, DataError, Dataset, DatasetSpec, Window
from did_tf.common.damage import Damage
from did_tf.common.errors import ConfigError


@dataclasses.dataclass(frozen=True)
class Input:
    """An image to be labelled.

    Attributes:
      name: of its results, unique: a path without extension.
      files: that hold it; none where it is drawn.
      load: reads it, see `read`.
      window: part of the files that it is; None: all of them.
      cut: reads a part of it, see `rows`; None where it is read whole alone.
      as_read: (height, width) that reading gives it; None where that is what its window, or else its files say.
    """

    name: str
    files: tuple[Path, ...]
    load: Callable[[], tuple[np.ndarray, np.ndarray | None]]
    window: Window | None = None
    cut: Callable[[Window], tuple[np.ndarray, np.ndarray | None]] | None = None
    as_read: tuple[int, int] | None = None

    def read(self) -> tuple[np.ndarray, np.ndarray | None]:
        """(image [H, W, bands] of the dtype of the network's data, [H, W] bool where it has no data, or None).

        Raises `DataError`.
        """
        return self.load()

    def rows(self) -> ImageInFile | None:
        """The image as it lies in its files; None where they would have to be decoded whole for a few rows.

        Raises `DataError`.
        """
        if self.cut is None or self.window or not all(map(in_rows, self.files)):
            return None
        return ImageInFile(self.size(), self.cut)

    def place(self) -> Place | None:
        """Where on earth its pixels lie; None where no file says so. Raises `DataError`."""
        place = next(filter(None, map(place_of, self.files)), None)
        return place.of(self.window) if place and self.window else place

    def size(self) -> tuple[int, int]:
        """(height, width), of files from their header; rows may be columns where a camera was held upright.

        Raises `DataError`.
        """
        if self.as_read:
            return self.as_read
        if self.window:
            return self.window.height, self.window.width
        return size_of(self.files[0]) if self.files else self.read()[0].shape[:2]

    def paths(self) -> list[str]:
        """Its files, each with the mask and the world files that lie beside it, by which it is read and placed."""
        beside = {file: [f"{file}{MASK}", *world_files(file)] for file in self.files}
        return [path for file in self.files for path in (str(file), *filter(os.path.exists, beside[file]))]

    def content(self, known: Mapping[str, str] | None = None) -> str:
        """What tells the image from others of its name: digests of its `paths`, and of GDAL's notes; empty for none.

        `known` are digests of files that were read already. Raises `DataError`.
        """
        paths = self.paths()
        known = known or {}
        read = digests([path for path in paths if path not in known])
        said = [notes(file, place=True) for file in self.files]
        noted = [hashlib.sha256(repr(said).encode()).hexdigest()[:LENGTH]] if any(said) else []
        return " ".join([*(known.get(path) or read[path] for path in paths), *noted, *map(str, self.window or ())])


class ImageInFile:
    """An image [H, W, bands] that is read where rows of it are asked for.

    Args:
      size: (H, W).
      cut: reads a part of it: (pixels, [h, w] bool where there is no data, or None).
    """

    def __init__(self, size: tuple[int, int], cut: Callable[[Window], tuple[np.ndarray, np.ndarray | None]]) -> None:
        self._cut = cut
        bands = cut(Window(0, 0, 1, 1))[0].shape[2]
        self.shape = (*size, bands)

    def __getitem__(self, rows: slice) -> np.ndarray:
        """[rows, W, bands]. Raises `DataError`."""
        return self._read(rows)[0]

    def void(self, rows: slice) -> np.ndarray | None:
        """[rows, W] bool, where there is no data; or None. Raises `DataError`."""
        return self._read(rows)[1]

    def _read(self, rows):
        first, last, _ = rows.indices(self.shape[0])
        return self._cut(Window(first, 0, last - first, self.shape[1]))


def find_images(source: str | Path, output: str | Path, spec: DatasetSpec, parts: Sequence[Part] = ()) -> list[Input]:
    """Images of `source`, sorted by their names.

    Files are read as `spec` says, and upright, as a camera's mark (EXIF orientation) tells. Where an image is in
    several files, or lies somewhere on earth, such a mark is refused in reading.

    Args:
      source: an image, or a folder that is searched with its subfolders, linked ones too. Names are paths relative
        to it, without the extension where they are unique without it. Hidden files are left out.
      output: where results go; what already lies there is no input.
      spec: `DatasetSpec` of the network's data.
      parts: of a user's own data, `Part`s that say where the bands come from. Where `source` has their subfolders or
        files with their suffixes, files of one name in them are an image; else each file has all bands. Of one part,
        only files with its suffix are images, where there are any.

    Raises:
      DataError: no such path, or no image in the folder.
      ConfigError: `output` is the folder `source` itself.
    """
    source, output = Path(source), Path(output)
    if source.is_file():
        return [_with_its_parts(source, output, spec, parts)]
    if not source.is_dir():
        raise DataError(f"no image or folder {source}: pass --input=file or --input=dir")
    if source.resolve() == output.resolve():
        raise ConfigError(f"results would mix with the images in {source}: pass another --output=dir")
    if found := _find_in_parts(source, output, spec, parts):
        return found
    paths = [path for path in sorted(_below(source)) if _is_input(path, output)]
    if not paths:
        raise DataError(f"no images in {source} or its subfolders: looked for {' '.join(sorted(EXTENSIONS))}")
    paths = _named_so(paths, parts)
    whole = [str(path.relative_to(source)) for path in paths]
    short = [str(path.relative_to(source).with_suffix("")) for path in paths]
    times = Counter([*short, *whole])  # a.png is all of one's name, and of another's, a.png.tif, without its extension
    names = [name if times[name] == 1 else long for name, long in zip(short, whole)]
    return [_in_file(name, path, spec, parts) for name, path in zip(names, paths)]


def split_images(dataset: Dataset, split: str, count: int) -> list[Input]:
    """The first `count` images of a split of a data set. Raises `DataError`."""
    return [
        Input(
            sample.name,
            (sample.image, *sample.extras) if sample.image else (),
            partial(dataset.read_masked, sample),
            sample.window,
            as_read=dataset.size(sample),
        )
        for sample in dataset.samples(split)[:count]
    ]


def contents(images: Sequence[Input], damage: Damage) -> dict[str, str]:
    """{name: content} of the images, but for those that can't be read, which are kept in `damage`."""
    there = [path for image in images for path in image.paths() if os.access(path, os.R_OK)]
    try:
        known = digests(there, progress=True)
    except DataError:
        known = {}  # one of them fails in being read, and tells it again
    found = {}
    for image in images:
        with damage.of(image.name):
            found[image.name] = image.content(known)
    return found


def first_images(load: Callable[[], Dataset], splits: Iterable[str], count: int) -> list[np.ndarray]:
    """The first images of the first split that has some, as arrays; none, and a line that says so, without any."""
    reason: object = "no split"
    for split in splits:
        try:
            return [image.read()[0] for image in split_images(load(), split, count)]
        except DataError as error:
            reason = error
    print(f"taking random images, for there are no others: {reason}")
    return []


def _below(source):
    """What a folder has, less hidden files; and files of folders that are linked there, less its own folders."""
    own = [path for path in source.rglob("*") if not _is_hidden(path.relative_to(source))]
    linked = [path for link in own if link.is_symlink() and link.is_dir() for _, path in files_below(link)]
    # Links within linked folders lead to a folder by many names, of which the last here, the nearest, stays.
    linked.sort(key=lambda path: (len(path.parts), path), reverse=True)
    nearest = {_entry(path): path for path in linked}
    there = set(map(_entry, own)) if linked else set()
    return [*own, *(path for entry, path in nearest.items() if entry not in there)]


def _entry(path):
    """(folder, name), the same by whichever links to folders it is reached. Links to files are files of their own."""
    return os.path.realpath(path.parent), path.name


def _is_hidden(path):
    return any(part.startswith(".") for part in path.parts)


def _is_input(path, output):
    is_image = path.suffix.lower() in EXTENSIONS and path.is_file()
    return is_image and not _is_result(path, output)


def _is_result(path, output):
    return output.resolve() in path.resolve().parents


def _named_so(paths, parts):
    """Those of `paths` whose names are as dataset.yaml says, with a line on the others; all where none is."""
    fitting = [path for path in paths if not parts or affixed(path.name, parts[0]) is not None]
    if not fitting or len(fitting) == len(paths):
        return paths
    others = [path for path in paths if path not in set(fitting)]
    wanted = " and ".join(
        f"{word} with {affix!r}" for word, affix in (("begin", parts[0].prefix), ("end", parts[0].suffix)) if affix
    )
    print(
        f"note: {len(others)} of {len(paths)} files are left out, such as {others[0].name}: names of images {wanted}, "
        "by dataset.yaml",
        file=sys.stderr,
    )
    return fitting


def _with_its_parts(source, output, spec, parts):
    """The `Input` of one file, together with the others of its image where they lie beside it."""
    for folder in (source.parent, source.parent.parent):
        for found in _find_in_parts(folder, output, spec, parts):
            if source in found.files:
                return found
    return _in_file(source.stem, source, spec, parts)


def _find_in_parts(source, output, spec, parts):
    """The images whose files lie in folders below `source` as `parts` say; none where it hasn't got them."""
    here = placed(parts, source) if len(parts) > 1 else ()
    found = [_files(part, here, output) for part in here]
    if not any(found):
        return []
    specs = part_specs(parts, spec)
    return [_in_parts(name, here, found, specs) for name in sorted(set().union(*found))]


def _files(part, parts, output):
    """{name: path} of the files of a part, less results of before."""
    try:
        found = list_files(part, parts, EXTENSIONS)
    except DataError:
        return {}  # which every image that has other parts tells
    return {name: path for name, path in found.items() if not _is_result(path, output)}


def _in_parts(name, parts, found, specs):
    """The `Input` of an image from its files, of which some may be missing: then it can't be read."""
    missing = [part for part, files in zip(parts, found) if name not in files]
    files = tuple(files[name] for files in found if name in files)
    if not missing:
        read = partial(read_parts, files, specs, orientation="refuse")
        return Input(name, files, read, cut=lambda window: read(window=window))
    path = Path(name)
    file = missing[0].folder / path.parent / f"{missing[0].prefix}{path.name}{missing[0].suffix}.*"
    return Input(name, files, partial(_fail, f"no file {file} with bands of image {name!r}"))


def _fail(message):
    raise DataError(message)


def _in_file(name, path, spec, parts):
    """The `Input` of one file that has all bands."""
    read = partial(_read, path, spec, parts)
    return Input(name, (path,), read, cut=read)


def _read(path, spec, parts, window=None):
    """(image, mask) of one file, or a part of it."""
    try:
        # No label has to fit; but what lies somewhere on earth must not be turned away from there.
        return read_masked(path, spec, window, orientation="refuse" if place_of(path) else "upright")
    except DataError as error:
        if len(parts) < 2:
            raise
        where = " and ".join(dict.fromkeys(part.folder.name for part in parts))
        suffixes = " and ".join(part.suffix for part in parts if part.suffix)
        ending = f", and files that end with {suffixes}" if suffixes else ""
        raise DataError(f"{error}; or pass --input=dir with the subfolders {where}{ending}") from None
