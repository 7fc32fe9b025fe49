"""Which splits, groups and windows a draft proposes: as folders or lists give them, else shares."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from data_pipelines.audit.scenes import find_runs, find_scenes
from data_pipelines.drafting.lines import bare, quoted, relative
from data_pipelines.own_data import lists
from data_pipelines.own_data.description import FOLDER, REGION
from data_pipelines.own_data.parts import Part
from data_pipelines.own_data.splits import place, share_out, split_of_folder, split_of_folders
from data_pipelines.own_data.windows import regions, windows
from data_pipelines.reading.images import size_of
from data_pipelines.spec import DataError, Sample

SHARES = {"train": 0.8, "val": 0.2}
FEW, LARGE = 5, 1024
"""Fewer images than that whose longer side has so many pixels are cut into windows."""
PATCHES, WINDOWS = (512, 256, 128, 64), 16
"""Sizes of windows: the largest of which train has so many."""
LISTS = {".txt", ".lst", ".csv"}
LIST_PLACES = ("", "splits", "lists", "ImageSets", "ImageSets/Segmentation")


class Drafted(NamedTuple):
    """Lines of a dataset.yaml, and what is to be told about them."""

    lines: list[str]
    notes: list[str]


def check_folders(images: Iterable[str], labels: Iterable[str]) -> None:
    """Raises `DataError` where folders of one split are called otherwise for images and for labels, by their names."""
    found = [_folders_of(names) for names in (images, labels)]
    for split in found[0].keys() & found[1].keys():
        one, other = (folders[split] for folders in found)
        if not one & other:
            raise DataError(
                f"images of {split} lie in folders called {', '.join(sorted(one))}, and their labels in "
                f"{', '.join(sorted(other))}: rename these alike"
            )
    if found[0] and not found[1] and {name.rpartition("/")[2] for name in images} >= {*labels}:
        raise DataError(
            "images lie in folders of splits, and their labels in none: put the labels into such folders too, as only "
            "images and labels of one name (train/a) belong together"
        )


def draft_splits(part: Part, images: Mapping[str, Path], places: Iterable[Path], folder: Path) -> Drafted:
    """The splits, and what goes with them.

    Args:
      part: of the images' own files.
      images: name -> path.
      places: folders where lists may lie.
      folder: of the dataset.yaml.
    """
    folders = _in_folders(images)
    if folders:
        return folders
    found, notes = _listed(lists.Files(part, images), places)
    if found:
        told = {split: relative(path, folder) for split, path in found.items()}
        missing = [] if "val" in found else ["no list of val: training needs one to score"]
        return Drafted([f"splits: {quoted(told)}"], [*notes, *missing])
    drafted = _windows(images) or _shares(images)
    return Drafted(drafted.lines, [*notes, *drafted.notes])


def _folders_of(names):
    """Split -> names of its folders, as they are spelt."""
    found = defaultdict(set)
    for name in names:
        for folder in name.split("/")[:-1]:
            if split := split_of_folder(folder):
                found[split].add(folder)
    return found


def _in_folders(names):
    """By the folders that are named after splits, where there are any beside train."""
    counts = Counter(map(split_of_folders, names))
    free = counts.pop(None, 0)
    if not {*counts} - {"train"}:
        return None
    told = ", ".join(f"{counts[split]} of {split}" for split in ("train", "val", "test") if split in counts)
    splits: dict[str, Any] = {split: FOLDER for split in ("train", "val", "test") if split in counts}
    notes = [f"splits are as the folders say: {told}"]
    if "val" not in counts and ("train" in counts or free):
        notes.append("there is no folder of val: it is a share of what is not in that of test")
        shared = _shares([name for name in names if split_of_folders(name) != "test"], {"test": FOLDER})
        return Drafted(shared.lines, [*notes, *shared.notes])
    if "train" not in counts and free:
        splits = {"train": 1.0, **splits}
        notes.append(f"{free} images are in no folder of a split: these are train's")
    elif "train" not in counts:
        notes.append("there are no images of train: nothing can be learnt")
    elif free:
        notes.append(f"{free} images are in no folder of a split: they are left out")
    told = ", ".join(f"{split}: {value}" for split, value in splits.items())
    return Drafted([f"splits: {{{told}}}  # {notes[0]}"], notes)


def _listed(files, places):
    """({split: its list} of the first folder that has some of train and another split, notes on those of no use)."""
    notes = []
    for top in places:
        found: dict[str | None, Path] = {}
        for path in (path for below in LIST_PLACES for path in _lists_in(top / below)):
            split = _split_of_list(path)
            try:
                entries = lists.read(path, files)
                unknown = lists.meant([entry.image for entry in entries], files, [path.parent]).count(None)
            except DataError as error:
                notes.append(f"a list is of no use: {error}")
                continue
            if unknown:
                notes.append(f"{path} is left out: {unknown} of its {len(entries)} lines are no image with a label")
            else:
                found.setdefault(split, path)
        if "train" in found and len(found) > 1:
            ordered = {split: found[split] for split in ("train", "val", "test") if split in found}
            return ordered, [*notes, f"splits are as the lists beside say: {', '.join(map(str, ordered.values()))}"]
    return {}, notes


def _lists_in(folder):
    if not folder.is_dir():
        return []
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() in LISTS and _split_of_list(path)]


def _split_of_list(path):
    """The split that a word in the name of a list stands for, or None."""
    found = {split for word in re.split(r"[-_. ]", path.stem) if (split := split_of_folder(word))}
    return found.pop() if len(found) == 1 else None


def _windows(images):
    """Windows in regions, where there are few images and these are large, or there is one alone."""
    sizes = {name: size_of(path) for name, path in images.items()} if len(images) < FEW else {}
    if not sizes or len(sizes) > 1 and max(map(max, sizes.values())) < LARGE:
        return None
    counts: Counter[str] = Counter()
    for patch in PATCHES:
        counts = _counts(sizes, patch)
        if counts["train"] >= WINDOWS:
            break
    told = ", ".join(f"{count} of {split}" for split, count in counts.items())
    large = "one image" if len(images) == 1 else f"{len(images)} large images"
    return Drafted(
        [
            f"patch: {patch}  # samples are windows of so many pixels a side",
            f"group: {REGION}  # each split has a part of every raster; without, rasters are of one split",
            f"{_line(SHARES)}  # of the longer side; {told}",
        ],
        [f"{large}: samples are windows of {patch} pixels ({told}), and each split has its part of the raster"],
    )


def _counts(sizes, patch):
    counts: Counter[str] = Counter()
    for name, size in sizes.items():
        height, width = size
        for split, region in regions(height, width, SHARES).items():
            counts[split] += len(windows(Sample(name), region, (patch, patch), 0 if split == "train" else None))
    return counts


def _shares(names, more=MappingProxyType({})):
    """Shares, of scenes where names tell these; lists where the hashes of few fall too unevenly for that.

    `more` are further splits, of other images, whose scenes nobody knows.
    """
    group = None if more else find_scenes([*names])
    lines, notes, scenes = [], [], {name: name for name in names}
    if group and group.sure:
        scenes = group.of(names)
        lines.append(f"group: {quoted(group.pattern)}  # {group.number} scenes by the names: each in one split")
        notes.append(f"{len(names)} images are of {group.number} scenes, by their names: those of one are in one split")
    elif group:
        lines.append(f"# group: {quoted(group.pattern)}  # if what begins alike is of one scene: each in one split")
        notes.append(
            f"images whose names begin alike may be of one scene ({group.number} in all): if so, use the line of group"
        )
    elif not more and (runs := find_runs([*names])):
        lines.append(f"# group: {quoted(runs.pattern)}  # if these are frames of a video: each run in one split")
        notes.append("images are numbered: if they are frames of a video, use the line of group: runs stay together")
    counts = {split: len(found) for split, found in share_out(SHARES, scenes).items()}
    if SHARES["val"] / 2 <= counts["val"] / len(names) <= SHARES["val"] * 2 or len(set(scenes.values())) < 2:
        told = ", ".join(f"{count} of {split}" for split, count in counts.items())
        what = "scenes" if group and group.sure else "names"
        return Drafted([*lines, f"{_line({**SHARES, **more})}  # of the {what}, by their hash; as yet {told}"], notes)
    found = _divided(scenes)
    listed = [f"  {split}: {quoted(own)}" for split, own in {**found, **more}.items()]
    head = "splits:  # lists, as hashes of so few fall unevenly: enter later images here"
    return Drafted([*lines, head, *listed], notes)


def _divided(scenes):
    """Split -> names: scenes in the order of their hashes, those of train as long as it lacks names of its share."""
    members = defaultdict(list)
    for name, scene in scenes.items():
        members[scene].append(name)
    ordered = sorted(members, key=place)
    train, val = members[ordered[0]][:], members[ordered[-1]][:]
    for scene in ordered[1:-1]:
        lacks = len(train) + len(members[scene]) / 2 < SHARES["train"] * len(scenes)
        (train if lacks else val).extend(members[scene])
    return {"train": sorted(train), "val": sorted(val)}


def _line(splits):
    return f"splits: {bare(splits)}"
