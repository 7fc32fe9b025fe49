"""Which images are of which split: by shares, lists or folders; what a group holds together stays together."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from data_pipelines.own_data import lists
from data_pipelines.own_data.description import FOLDER, REGION, Description
from data_pipelines.own_data.matching import label_part
from data_pipelines.own_data.messages import note, some
from data_pipelines.spec import DataError, Sample

FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "eval": "test",
    "evaluation": "test",
}
"""Names of folders, in lower case, that are of one split; also with a year behind them."""


def assign(description: Description, samples: Sequence[Sample], quiet: bool = False) -> dict[str, list[Sample]]:
    """Split -> its images, as they are listed, else in their order; a line on stderr on those in no folder or list.

    Args:
      description: which splits there are.
      samples: all images, by whose names they are told apart.
      quiet: without lines on stderr.

    Raises:
      DataError: a listed image is unknown, or stands there twice or in two splits; a folder's split has no image; or a
        group would be torn.
    """
    by_name = {sample.name: sample for sample in samples}
    groups = {name: group_of(description, name) for name in by_name}
    splits, placed = in_folders(description, by_name)
    rest = {name: group for name, group in groups.items() if name not in placed}
    splits.update(share_out(description.shares, rest))
    if rest and splits and not description.shares and not quiet and len(splits) == len(description.splits):
        note(f"left out, as they lie in no folder named {' or '.join(splits)}: {len(rest)} images ({some([*rest])})")
    files = lists.Files(description.parts[0], {name: sample.image for name, sample in by_name.items()})
    labels = lists.Files(label_part(description), {name: sample.label for name, sample in by_name.items()})
    listed = {split: value for split, value in description.splits.items() if split not in splits}
    for split, value in listed.items():
        splits[split] = _listed(description, split, value, files, labels, quiet)
    splits = {split: splits[split] for split in description.splits}
    _refuse_overlaps(description, splits, groups)
    if listed and not quiet:
        _tell_unlisted(description, splits, by_name)
    return {split: [by_name[name] for name in names] for split, names in splits.items()}


def in_folders(description: Description, names: Iterable[str]) -> tuple[dict[str, list[str]], set[str]]:
    """({split: its names} of splits that are folders, all of these names). Raises `DataError` where one is empty."""
    splits: dict[str, list[str]] = {split: [] for split, value in description.splits.items() if value == FOLDER}
    for split, found in splits.items():
        found += [name for name in names if _lies_in(name, split)]
        if not found:
            others = [word for word, of in FOLDERS.items() if of == split and word != split]
            also = f" (or {', '.join(others)})" if others else ""
            raise DataError(
                f"{description.path}: splits.{split} is {FOLDER!r}, but no image is in a folder {split}{also}"
            )
    return splits, {name for found in splits.values() for name in found}


def split_of_folders(name: str) -> str | None:
    """The split that a folder in an image's name stands for, or None. Raises `DataError` where there are two."""
    found = {split for folder in PurePosixPath(name).parts[:-1] if (split := split_of_folder(folder))}
    if len(found) > 1:
        raise DataError(f"image {name!r} lies in folders of {' and '.join(sorted(found))}: which split is it of?")
    return next(iter(found), None)


def split_of_folder(folder: str) -> str | None:
    """The split that a folder is named after: of Valid2017 val; of others, which are no split, None."""
    word = re.sub(r"[-_ ]?\d{4}$", "", folder.lower())
    return FOLDERS.get(word)


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


def group_of(description: Description, name: str) -> str:
    """What the images that must stay together with `name` have in common. Raises `DataError` where it has no group."""
    pattern = description.group
    if pattern in ("", REGION):
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


def _lies_in(name, split):
    known = split_of_folder(split)
    return split_of_folders(name) == known if known else split in PurePosixPath(name).parts[:-1]


def _listed(description, split, listed, images, labels, quiet):
    """Names of a split from its list."""
    key, here = f"{description.path}: splits.{split}", description.path.parent
    bases = [here]
    if isinstance(listed, str):
        bases.insert(0, (here / listed).parent)
        try:
            entries = lists.read(here / listed, images)
        except DataError as error:
            raise DataError(f"{key}: {error}") from None
    else:
        entries = [lists.Entry(f"entry {number}", text) for number, text in enumerate(listed, 1)]
    found = lists.meant([entry.image for entry in entries], images, bases, "" if quiet else key)
    names = _known(key, entries, found)
    _refuse_other_labels(key, entries, names, lists.meant([entry.label for entry in entries], labels, bases))
    first: dict[str, str] = {}
    for entry, name in zip(entries, names):
        if name in first:
            raise DataError(f"{key}: {entry.place} names {name!r}, as {first[name]} does: delete one")
        first[name] = entry.place
    return names


def _known(key, entries, found):
    """The names `found` of the entries. Raises `DataError` where there is None."""
    unknown = [entry for entry, name in zip(entries, found) if name is None]
    if unknown:
        more = f" (nor are {len(unknown) - 1} others of {len(entries)})" if len(unknown) > 1 else ""
        raise DataError(f"{key}: {unknown[0].place} is no image with a label: {unknown[0].image!r}{more}")
    return found


def _refuse_other_labels(key, entries, names, labels):
    """Where a second column names labels, they must be those that have the names of the images."""
    for entry, name, label in zip(entries, names, labels):
        if entry.label and label != name:
            raise DataError(
                f"{key}: {entry.place} pairs image {name!r} with {entry.label!r}, which is not its label by their names"
            )


def _tell_unlisted(description, splits, names):
    left = sorted({*names}.difference(*splits.values()))
    if left:
        note(f"{len(left)} labelled images are in no list of splits of {description.path}, nor used: {some(left)}")


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
