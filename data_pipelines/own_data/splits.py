"""Which images are of which split: by shares, or by lists; what a group holds together stays together."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath, PureWindowsPath

from data_pipelines.datasets.files import read_lines
from data_pipelines.own_data.description import FOLDER, Description
from data_pipelines.own_data.matching import IMAGES
from data_pipelines.own_data.messages import some
from data_pipelines.spec import DataError


def assign(description: Description, names: Sequence[str]) -> dict[str, list[str]]:
    """Split -> its names, sorted where splits are shares, else as they are listed.

    Raises:
      DataError: a listed name is unknown, stands there twice or in two splits, or a group would be torn.
    """
    groups = {name: _group(description, name) for name in names}
    shares = {split: share for split, share in description.splits.items() if isinstance(share, float)}
    if shares:  # they are all, or none is
        return share_out(shares, groups)
    splits = {split: _listed(description, split, listed, set(names)) for split, listed in description.splits.items()}
    _refuse_overlaps(description, splits, groups)
    return splits


def share_out(shares: Mapping[str, float], groups: Mapping[str, str]) -> dict[str, list[str]]:
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
            f"{some(unknown)}"
        )
    repeated = sorted({name for name in found if found.count(name) > 1}) if len(set(found)) < len(found) else []
    if repeated:
        raise DataError(f"{description.path}: splits.{split} names twice: {some(repeated)}")
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
        raise DataError(f"{description.path}: splits {owning} share {len(torn)} {what}: {some(torn)}")
