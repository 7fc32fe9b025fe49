"""Labels that are a folder of masks for each class: found by the names of folders and files, and looked at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from data_pipelines.drafting.contents import each
from data_pipelines.drafting.label_looks import labels_of
from data_pipelines.drafting.naming import Affix, File, find_naming, keys_of, look
from data_pipelines.own_data.matching import IMAGES, LABELS, places
from data_pipelines.reading.decoding import label_values
from data_pipelines.spec import DataError

KNOWN = ({0, 1}, {0, 255})  # values of masks


class Masks(NamedTuple):
    """Folders of masks.

    Attributes:
      image: of the names of the images.
      label: of the masks.
      folders: name of a folder -> name of an image -> its mask.
    """

    image: Affix
    label: Affix
    folders: dict[str, dict[str, Path]]

    @property
    def first(self) -> dict[str, Path]:
        """Name of an image -> its first mask."""
        return {name: files[name] for files in reversed(self.folders.values()) for name in files}


def find_masks(images: Path, labels: Path) -> Masks | None:
    """The folders in `labels` (behind what braces stand for) of which each has masks of the images; None: none such.

    Raises `DataError` where a folder can't be read.
    """
    depth = len(PurePosixPath(places(labels)[0][1]).parts)
    groups: dict[str, list[File]] = {}
    for file in look(labels, LABELS) or look(labels, IMAGES):
        parts = PurePosixPath(file.folder).parts
        if len(parts) <= depth:
            return None
        rest = PurePosixPath(*parts[:depth], *parts[depth + 1 :])
        groups.setdefault(parts[depth], []).append(file._replace(folder=rest.as_posix()))
    if len(groups) < 2:
        return None
    found = look(images, IMAGES)
    naming = find_naming(found, next(iter(groups.values())))
    known = _by_name(found, naming.images[0])
    folders = {folder: _by_name(files, naming.label) for folder, files in sorted(groups.items())}
    fit = all(known.keys() & files.keys() for files in folders.values())
    return Masks(naming.images[0], naming.label, folders) if fit else None


def looked_at(folders: Mapping[str, Mapping[str, Path]]) -> tuple[list[str], float, int, int]:
    """(names of the folders; share of the pixels in no mask; number of values between 0 and 255; pixels in two masks).

    Where masks overlap, the folders stand in the order of their pixels, the fewest last: what is small lies on top.

    Raises:
      DataError: a file can't be read, is no mask, or the masks of an image differ in size.
    """
    names = sorted({name for files in folders.values() for name in files})
    first = {next(files[name] for files in folders.values() if name in files): name for name in names}
    looks = [labels_of([*files.values()]) for files in folders.values()]
    for folder, one in zip(folders, looks):
        if one.colours or not any(set(one.counts) <= known for known in KNOWN):
            raise DataError(
                f"{folder} is one of several folders of labels, but holds more than masks of 0 and 255: name one of "
                "them as --labels=dir"
            )
    sums = np.zeros(3 + len(folders), np.int64)
    for _, found in each(lambda path: _overlaps(folders, first[path]), list(first), "putting masks together"):
        sums += found
    soft = {value for found in looks for value in found.soft}
    none, of, twice, *sizes = sums.tolist()
    by_size = [name for _, name in sorted(zip(sizes, folders), reverse=True)]
    return by_size if twice else list(folders), none / of, len(soft), twice


def _by_name(files, affix):
    return {PurePosixPath(name).as_posix(): found[0].path for name, found in keys_of(files, affix).items()}


def _overlaps(folders, name):
    """[pixels in no mask, pixels, pixels in two masks, pixels in the mask of each folder] of an image."""
    paths = [files.get(name) for files in folders.values()]
    masks = [_inside(path) if path else None for path in paths]
    there = [mask for mask in masks if mask is not None]
    if len({mask.shape for mask in there}) > 1:
        raise DataError(f"the masks of {name!r} in {', '.join(folders)} differ in size: they must be equal")
    times = np.sum(there, axis=0)
    sizes = [0 if mask is None else np.count_nonzero(mask) for mask in masks]
    return np.array([np.count_nonzero(times == 0), times.size, np.count_nonzero(times > 1), *sizes])


def _inside(path):
    values = label_values(path, lossy=True).values[..., 0]
    return values >= 128 if values.max(initial=0) > 1 else values > 0
