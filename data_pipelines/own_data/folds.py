"""Folds of a user's own data, for cross-validation: each image is held out once, with all of its group.

A fold is a data set as any other: a dataset.yaml, drafted from that of all, whose splits are lists of names.
"""

from __future__ import annotations

import dataclasses
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from data_pipelines import identity
from data_pipelines.own_data import values
from data_pipelines.own_data.description import NAMES, REGION, Description, read_description
from data_pipelines.own_data.folders import Folders
from data_pipelines.own_data.matching import find_samples
from data_pipelines.own_data.messages import note, some
from data_pipelines.own_data.parsing import parse
from data_pipelines.own_data.splits import assign, group_of, place
from data_pipelines.spec import AbsentSplit, DataError, DatasetSpec, Sample
from data_pipelines.writing import write_file

TRAIN, HELD_OUT, TEST = "train", "val", "test"
"""Splits of a fold: what is learnt, what is held out, and what no fold touches."""


@dataclasses.dataclass(frozen=True)
class Image:
    """An image that some folds learn from, and one is scored on.

    Attributes:
      fold: number of the one that it is held out from, from 1 on.
      group: what it has in common with those that it stays with; its name where there are no groups.
      pixels: digest of what the files of its bands hold.
      content: digest of what all of its files hold, labels among them.
    """

    fold: int
    group: str
    pixels: str
    content: str


@dataclasses.dataclass(frozen=True)
class Folds:
    """How images are divided.

    Attributes:
      count: how many folds there are.
      seed: that they were dealt with.
      grouped: whether images stay together by their groups.
      meaning: of the data, see there.
      images: {name: `Image`}.
      windows: what is learnt of an image, `windows_of` the description; empty where a version before has not told it.
    """

    count: int
    seed: int
    grouped: bool
    meaning: str
    images: Mapping[str, Image]
    windows: str = ""


def divide_into_folds(folder: str | Path, learnt: Collection[str], count: int, seed: int) -> Folds:
    """The folds of the data in a folder, with a note where images of several folds are the same.

    Args:
      folder: that has the dataset.yaml.
      learnt: names of the splits whose images are dealt out; those of all others are left out.
      count: of the folds, 2 or more.
      seed: by which images, or groups, of one size are dealt in another order.

    Raises:
      AbsentSplit: the data have no such split.
      DataError: they are no good, or have not as many groups as there are to be folds.
    """
    description = read_description(folder)
    if description.group == REGION:
        raise DataError(
            f"{description.path}: group is {REGION!r}, by which every image has a part in each split: none can be "
            "held out; leave it out, so that windows of an image stay together"
        )
    if description.pseudo:
        raise DataError(
            f"{description.path}: pseudo labels may be of a network that has learnt what a fold holds out, which "
            "flatters its score: leave pseudo out"
        )
    samples = _learnable(description, learnt)
    groups = {sample.name: group_of(description, sample.name) for sample in samples}
    dealt = deal(groups, count, seed)
    if len({*groups.values()}) < count:
        what = f"groups of images (group: {description.group})" if description.group else "images"
        raise DataError(
            f"{description.path}: {' and '.join(learnt)} have {len({*groups.values()})} {what}, and {count} folds need "
            "one each: ask for fewer folds"
        )
    pixels = identity.with_content([dataclasses.replace(sample, label=None, masks=()) for sample in samples])
    images = {
        sample.name: Image(dealt[sample.name], groups[sample.name], seen.content, sample.content)
        for sample, seen in zip(identity.with_content(samples, progress=True), pixels)
    }
    _note_the_same(images)
    windows = windows_of(description)
    return Folds(count, seed, bool(description.group), meaning(Folders.describe(folder)), images, windows)


def deal(groups: Mapping[str, str], count: int, seed: int) -> dict[str, int]:
    """Name -> its fold, 1 to `count`. Groups go to the fold with the fewest names, the largest first.

    Args:
      groups: name -> what it has in common with those it must stay with.
      count: of the folds.
      seed: chooses the order of groups of one size.
    """
    names = defaultdict(list)
    for name, group in groups.items():
        names[group].append(name)
    sizes, dealt = [0] * count, {}
    for group in sorted(names, key=lambda group: (-len(names[group]), place(f"{seed} {group}"))):
        fold = sizes.index(min(sizes))
        sizes[fold] += len(names[group])
        dealt.update(dict.fromkeys(names[group], fold + 1))
    return dealt


def write_fold(folder: str | Path, folds: Folds, number: int, target: str | Path) -> None:
    """Writes the dataset.yaml of a fold into the folder `target`, where it isn't there as it should be.

    Args:
      folder: of the data that are divided.
      folds: how.
      number: of the fold, from 1 on.
      target: folder, which is made.

    Raises:
      DataError: the data's own dataset.yaml is no good.
      OSError: it can't be written.
    """
    description = read_description(folder)
    splits = {
        TRAIN: [name for name, image in folds.images.items() if image.fold != number],
        HELD_OUT: [name for name, image in folds.images.items() if image.fold == number],
    }
    if tested := assign(description, find_samples(description, quiet=True), quiet=True).get(TEST):
        splits[TEST] = [sample.name for sample in tested]
    content = {**_with_whole_paths(parse(description.path), description.path.parent.absolute()), "splits": splits}
    head = f"# Fold {number} of {folds.count} of {str(description.path.absolute())!r}, by `did_tf cross-validate`.\n"
    data = (head + yaml.safe_dump(content, sort_keys=False, allow_unicode=True)).encode()
    path = Path(target, NAMES[0])
    if not path.is_file() or path.read_bytes() != data:
        write_file(path, data)


def meaning(spec: DatasetSpec) -> str:
    """`identity.meaning` of the data whatever mean and deviation, which are of each fold's own images."""
    return identity.meaning(dataclasses.replace(spec, mean=(0.0,) * spec.bands, std=(1.0,) * spec.bands))


def windows_of(description: Description) -> str:
    """Its patch and overlap, "256x256+0", or "whole"."""
    if description.patch is None:
        return "whole"
    height, width = description.patch
    return f"{height}x{width}+{description.overlap}"


def names_of_images(folder: str | Path) -> dict[Path | None, str]:
    """{path of an image: its name} of the data in a folder: windows say which image they are of by its path.

    Raises `DataError`.
    """
    return {sample.image: sample.name for sample in find_samples(read_description(folder), quiet=True)}


def _note_the_same(images):
    same = defaultdict(list)
    for name, image in images.items():
        same[image.pixels].append(name)
    seen = [name for names in same.values() if len({images[name].fold for name in names}) > 1 for name in names]
    if seen:
        note(
            f"{len(seen)} images hold the same pixels as one that another fold learns from, which flatters their "
            f"scores: take copies out, or keep them together by group: {some(seen)}"
        )


def _learnable(description: Description, learnt: Collection[str]) -> Sequence[Sample]:
    splits = assign(description, find_samples(description))
    for split in learnt:
        if split not in splits:
            raise AbsentSplit(f"{description.path} has no split {split!r}; it has {', '.join(splits)}")
    return sorted((sample for split in learnt for sample in splits[split]), key=lambda sample: sample.name)


def _with_whole_paths(content: dict[str, Any], here: Path) -> dict[str, Any]:
    def whole(path):
        return os.path.join(here, values.path(path, "folder"))  # with "..": behind a link that is another folder

    extras = [{**entry, "folder": whole(entry["folder"])} for entry in content.get("extras", [])]
    paths = {key: whole(content[key]) for key in ("images", "labels")}
    return {**content, **paths, **({"extras": extras} if extras else {})}
