"""Labels that are a folder of masks for each class: found by the names of folders and files, and looked at."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

import numpy as np

from data_pipelines.drafting.contents import each
from data_pipelines.drafting.label_looks import labels_of
from data_pipelines.reading.decoding import label_values
from data_pipelines.spec import DataError

Folders = dict[str, dict[str, Path]]
"""Name of a folder -> name of an image -> its mask."""


def folders_of_masks(images: Iterable[str], labels: Mapping[str, Path]) -> Folders:
    """The folders of which each has masks for the same images; nothing where labels are no such folders.

    Args:
      images: their names.
      labels: name -> path; the first folder of a name is the class.
    """
    folders: Folders = {}
    for name, path in labels.items():
        first, *rest = PurePosixPath(name).parts
        if not rest:
            return {}
        folders.setdefault(first, {})["/".join(rest)] = path
    known = set(images)
    return folders if len(folders) > 1 and all(known & set(files) for files in folders.values()) else {}


def looked_at(folders: Folders) -> tuple[list[str], float, int, int]:
    """(names of the folders; share of the pixels in no mask; number of values between 0 and 255; pixels in two masks).

    Where masks overlap, the folders stand in the order of their pixels, the fewest last: what is small lies on top.

    Raises:
      DataError: a file can't be read, is no mask, or the masks of an image differ in size.
    """
    names = sorted({name for files in folders.values() for name in files})
    first = {next(files[name] for files in folders.values() if name in files): name for name in names}
    looks = labels_of([path for files in folders.values() for path in files.values()])
    if looks.colours or not set(looks.counts) <= {0, 1, 255} or len(looks.counts) > 2:
        raise DataError(
            f"{', '.join(folders)} are folders of labels, but hold more than masks of 0 and 255: name one of them as "
            "--labels=dir"
        )
    sums = np.zeros(3 + len(folders), np.int64)
    for _, found in each(lambda path: _overlaps(folders, first[path]), list(first), "putting masks together"):
        sums += found
    none, of, twice, *sizes = sums.tolist()
    by_size = [name for _, name in sorted(zip(sizes, folders), reverse=True)]
    return by_size if twice else list(folders), none / of, len(looks.soft), twice


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
