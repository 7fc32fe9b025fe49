"""A user's own data: a folder of images, a folder of labels, and a dataset.yaml that says what they are.

description.py lists the keys of dataset.yaml; `did_tf describe-data` drafts one.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import re
import sys
import unicodedata
from collections import defaultdict
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from data_pipelines.datasets.files import FileDataset, read_lines
from data_pipelines.own_data import band_statistics
from data_pipelines.own_data.band_statistics import Statistics
from data_pipelines.own_data.description import FOLDER, NAMES, Description, Part, read_description
from data_pipelines.reading.images import read_masked
from data_pipelines.spec import DataError, DatasetSpec, Sample

IMAGES = {".bmp", ".jpeg", ".jpg", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
LABELS = {".bmp", ".npy", ".pgm", ".png", ".ppm", ".tif", ".tiff"}
"""Extensions of files that are read. A label in JPEG would have lost its ids."""
TRAIN = "train"
SHOWN = 3  # names in a message


class Folders(FileDataset):
    """The data that the dataset.yaml in `folder` describes.

    Image, label and further bands belong together where their names, with subfolders and without suffixes and
    extensions, are equal; what lacks one of them is left out, and one line on stderr says so. Mean and deviation are of
    the split "train", or else the first; they are measured when they are first needed and kept in statistics.json.

    Raises:
      DataError: no dataset.yaml, a bad one, or files that don't fit it.
    """

    title = "data set"
    layout = f"{NAMES[0]}, see data_pipelines/description.py"
    orientation = "refuse"  # turned or not, who knows what the labels were drawn on

    def __init__(self, folder):
        self.folder = Path(folder)
        self.description = read_description(folder)
        self._samples = {sample.name: sample for sample in find_samples(self.description)}
        self._names = assign(self.description, list(self._samples))
        counts = _counts(self._names)
        self.spec = _spec(self.description, None, counts)
        self.spec = _spec(self.description, self._statistics(), counts)

    @classmethod
    def describe(cls, folder):
        """From dataset.yaml and statistics.json alone, where both are there but not the files."""
        description = read_description(folder)
        statistics = _stored(folder, description)
        if not statistics:
            return cls(folder).spec
        try:
            names = assign(description, [sample.name for sample in find_samples(description, quiet=True)])
        except DataError:
            return _spec(description, statistics, statistics.splits)
        return _spec(description, statistics, _counts(names))

    def places(self, split):
        return []

    def listing(self, split):
        names = self._names[split]
        if not names:
            groups = " in their groups" if self.description.group else ""
            raise DataError(
                f"folders split {split!r} is empty: none of {len(self._samples)} images{groups} falls into its share; "
                f"raise that in {self.description.path}, or list the images of each split there"
            )
        return [self._samples[name] for name in names]

    def _read_masked(self, sample):
        specs = part_specs(self.description.parts, self.spec)
        return read_parts([sample.image, *sample.extras], specs, sample.window, self.orientation)

    def _statistics(self):
        split = TRAIN if TRAIN in self._names else next(iter(self._names))
        names = self._names[split]
        mark, stored = band_statistics.fingerprint(names), _stored(self.folder, self.description)
        if stored and stored.fingerprint != mark:
            _note(
                f"{self.folder / band_statistics.NAME} was measured on {stored.images} images, and the split {split!r} "
                f"has changed since: it still applies; to measure its {len(names)} images, delete it and train anew"
            )
        return stored or self._measure(self.listing(split), mark)

    def _measure(self, samples, mark):
        found, problems = band_statistics.measure(self._read_masked, samples)
        constant = found.std == 0
        for number in np.flatnonzero(constant):
            _note(f"band {self.description.bands[number]!r} is {found.mean[number]:g} everywhere: it says nothing")
        std = np.where(constant, 1, found.std)
        statistics = Statistics(
            images=len(samples),
            fingerprint=mark,
            splits=_counts(self._names),
            bands=self.description.bands,
            dtype=self.description.dtype,
            mean=tuple(found.mean.tolist()),
            std=tuple(std.tolist()),
            nodata=self.description.nodata,
        )
        if problems:
            # Not kept, for they aren't those of the data; whoever trains meets the file itself.
            _note(f"{len(problems)} of {len(samples)} images can't be measured, such as: {problems[0]}")
        else:
            band_statistics.write(self.folder, statistics)
        return statistics


def find_samples(description: Description, quiet: bool = False) -> list[Sample]:
    """Labelled samples, sorted by name; a line on stderr where files are left over, unless `quiet`.

    Raises:
      DataError: a folder is missing or holds nothing of use, two files have one name, or nothing fits together.
    """
    label = Part(description.labels, description.label_suffix, (), "")
    everything = (*description.parts, label)
    found = [list_files(part, everything, LABELS if part is label else IMAGES) for part in everything]
    names = sorted(set.intersection(*map(set, found)))
    if not names:
        raise DataError(
            f"{description.path}: no file of {everything[0].folder} belongs to one of {everything[-1].folder}: the "
            f"first are {min(found[0])!r} and {min(found[-1])!r}; names must be equal but for image_suffix and "
            "label_suffix"
        )
    if not quiet:
        tell_leftovers(found, [*(part.folder for part in description.parts), description.labels], names)
    image, *extras, labels = found
    return [Sample(name, image[name], labels[name], extras=tuple(part[name] for part in extras)) for name in names]


def list_files(part: Part, everything, extensions) -> dict[str, Path]:
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
    files, others_there = {}, set()
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


def assign(description: Description, names) -> dict[str, list[str]]:
    """Split -> its names, sorted where splits are shares, else as they are listed.

    Raises:
      DataError: a listed name is unknown, stands there twice or in two splits, or a group would be torn.
    """
    groups = {name: _group(description, name) for name in names}
    if isinstance(next(iter(description.splits.values())), float):
        return share_out(description.splits, groups)
    splits = {split: _listed(description, split, listed, set(names)) for split, listed in description.splits.items()}
    _refuse_overlaps(description, splits, groups)
    return splits


def share_out(shares, groups) -> dict[str, list[str]]:
    """Split -> those names whose group's hash is in the range of the split: more names move none of them.

    Args:
      shares: split -> share of the names, together 1 at most.
      groups: name -> what it has in common with those it must stay with.
    """
    splits, low = {}, 0.0
    for split, share in shares.items():
        # Shares that add up to 1 may miss it by a rounding.
        high = low + share if low + share < 1 - 1e-9 else 1.0
        splits[split] = [name for name, group in groups.items() if low <= place(group) < high]
        low = high
    return splits


def place(key: str) -> float:
    """Where `key` is in [0, 1): the same on every machine."""
    digest = hashlib.sha256(unicodedata.normalize("NFC", key).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def part_specs(parts, spec: DatasetSpec) -> list[DatasetSpec]:
    """What the files of each part hold: `spec` with the part's bands and dtype."""
    specs, first = [], 0
    for part in parts:
        last = first + len(part.bands)
        stats = {"mean": spec.mean[first:last], "std": spec.std[first:last]}
        specs.append(dataclasses.replace(spec, band_names=part.bands, dtype=part.dtype, **stats))
        first = last
    return specs


def read_parts(paths, specs, window=None, orientation="stored"):
    """The bands of several files behind each other, and where there is no data.

    Args:
      paths: of the files.
      specs: of each, as of `part_specs`.
      window, orientation: as for `images.read_image`.

    Returns:
      ([H, W, bands] of the widest dtype, values as they are; [H, W] bool, True where any band has none, or None).

    Raises:
      DataError: a file can't be read, or they differ in size.
    """
    parts = [read_masked(path, spec, window, orientation) for path, spec in zip(paths, specs)]
    image, mask = parts[0]
    for path, (part, holes) in zip(paths[1:], parts[1:]):
        if part.shape[:2] != image.shape[:2]:
            raise DataError(
                f"{paths[0]} is {image.shape[0]}x{image.shape[1]} but {path} is {part.shape[0]}x{part.shape[1]} "
                "(height x width): they must be equal"
            )
        image, mask = np.concatenate([image, part], axis=-1), mask if holes is None else mask | holes
    return image, mask


def tell_leftovers(found, folders, names):
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
            told.append(f"{len(left)} of {folder} ({_some(left)})")
    if told:
        _note(f"left out, as the other file of the pair is missing: {'; '.join(told)}")


def _spec(description, statistics, counts):
    """The `DatasetSpec`; where nothing is measured yet, with mean 0 and deviation 1."""
    bands = len(description.bands)
    return DatasetSpec(
        name="folders",
        classes=description.classes,
        palette=description.palette,
        splits=counts,
        mean=statistics.mean if statistics else (0.0,) * bands,
        std=statistics.std if statistics else (1.0,) * bands,
        void_ids=description.void_ids,
        label_ids=description.label_ids,
        label_colours=description.label_colours,
        void_colours=description.void_colours,
        dtype=description.dtype,
        band_names=description.bands,
        nodata=description.nodata,
    )


def _counts(names):
    return {split: len(found) for split, found in names.items()}


def _stored(folder, description):
    """The `Statistics` in `folder`, or None. Raises `DataError` where they are of other pixels."""
    stored = band_statistics.read(folder)
    for what in ("bands", "dtype", "nodata"):
        was, now = (_told(getattr(one, what)) if stored else "" for one in (stored, description))
        if was != now:
            raise DataError(
                f"{Path(folder, band_statistics.NAME)} is of {what} {was}, but {description.path} says {now}: correct "
                "that, or delete the former and it is measured anew"
            )
    return stored


def _told(value):
    """As text, in which NaN is itself."""
    return ", ".join(value) if isinstance(value, tuple) else str(value)


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


def _group(description, name):
    """What the images that must stay together with `name` have in common. Raises `DataError` where it has no group."""
    pattern = description.group
    if not pattern:
        return name
    if pattern == FOLDER:
        folder = PurePosixPath(name).parent.as_posix()
        if folder == ".":
            raise DataError(f"{description.path}: group is {FOLDER!r}, but image {name!r} is in no subfolder")
        return folder
    match = re.search(pattern, name)
    if not match:
        raise DataError(f"{description.path}: group {pattern!r} finds nothing in the image name {name!r}")
    return match[1] or "" if match.re.groups else match[0]


def _listed(description, split, listed, names):
    """Names of a split from its list."""
    if isinstance(listed, str):
        listed = _lines(description, split, description.path.parent / listed)
    endings = ("", description.parts[0].suffix)
    found = [_resolved(entry, endings, names) for entry in listed]
    unknown = [entry for entry, name in zip(listed, found) if name is None]
    if unknown:
        raise DataError(
            f"{description.path}: splits.{split} names {len(unknown)} of {len(listed)} that are no image with a label: "
            f"{_some(unknown)}"
        )
    repeated = sorted({name for name in found if found.count(name) > 1}) if len(set(found)) < len(found) else []
    if repeated:
        raise DataError(f"{description.path}: splits.{split} names twice: {_some(repeated)}")
    return found


def _lines(description, split, path):
    try:
        lines = read_lines(path)
    except DataError as error:
        raise DataError(f"{description.path}: splits.{split}: {error}") from None
    if not lines:
        raise DataError(f"{description.path}: splits.{split}: {path} is empty")
    return lines


def _resolved(entry, endings, names):
    """The name that an entry of a list means, with or without extension and suffix, or None.

    Of an absolute path, which may be of another machine, the longest end that is a name.
    """
    path = PureWindowsPath(unicodedata.normalize("NFC", entry))
    parts = path.relative_to(path.anchor).parts
    stem, extension = os.path.splitext(parts[-1]) if parts else ("", "")
    last = stem if extension.lower() in IMAGES else stem + extension
    for first in range(len(parts) if path.anchor else 1):
        for ending in endings:
            if last.endswith(ending):
                name = "/".join([*parts[first:-1], last[: len(last) - len(ending)]])
                if name in names:
                    return name
    return None


def _refuse_overlaps(description, splits, groups):
    owners = defaultdict(set)
    for split, names in splits.items():
        for name in names:
            owners[groups[name]].add(split)
    torn = sorted(group for group, owning in owners.items() if len(owning) > 1)
    if torn:
        what = "groups" if description.group else "images"
        owning = " and ".join(repr(split) for split in splits if split in owners[torn[0]])
        raise DataError(f"{description.path}: splits {owning} share {len(torn)} {what}: {_some(torn)}")


def _some(names):
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _note(text):
    print(f"note: {text}", file=sys.stderr)
