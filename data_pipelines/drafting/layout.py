"""Where images and labels lie, from the folders that a user names: those of other splits beside them, or all below."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines.own_data.matching import IMAGES, as_geojson, places
from data_pipelines.own_data.splits import FOLDERS, split_of_folder
from data_pipelines.spec import DataError

IMAGE_FOLDERS = frozenset(
    {"image", "images", "img", "imgs", "jpegimages", "photo", "photos", "picture", "pictures", "rgb", "leftimg8bit", ""}
    | {"imgdir", "imagedir", "input", "inputs", "tile", "tiles", "scene", "scenes", "raw", "sat"}
)
LABEL_FOLDERS = frozenset(
    {"mask", "masks", "label", "labels", "annot", "annotation", "annotations", "gt", "gtfine", "groundtruth", "seg"}
    | {"segmentation", "segmentations", "segmentationclass", "target", "targets", "labelcol", "manual"}
    | {"anndir", "labeldir", "maskdir", "1stmanual", "lbl", "ann", "anno", "gts", "groundtruths", "semantic"}
)
WORDS = "|".join(sorted(FOLDERS, key=len, reverse=True))
YEAR = r"(?:[-_ ]?\d{4})?"


class Layout(NamedTuple):
    """Folders of images, labels and further bands, maybe with braces; and lines on what was made of the user's."""

    images: Path
    labels: Path
    extras: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def find_layout(images: Path, labels: Path, extras: Sequence[Path] = ()) -> Layout:
    """The folders that a user means.

    - One folder for both, in which images and labels have folders of their own, also below or beside those of splits,
      or below those of sites: these.
    - Folders of one split, such as train/images and train/masks, beside those of others: all of these.
    - Else what is named, also with braces.

    Raises:
      DataError: no such folder.
    """
    check_there((images, labels, *extras))
    notes = []
    if images.is_dir() and images.resolve() == labels.resolve() and (found := _below(images) or _below_each(images)):
        images, labels = found
        notes.append(f"images are taken from {images}, labels from {labels}")
    layout = Layout(images, labels, tuple(extras), tuple(notes))
    return layout if "{" in "".join(map(str, layout[:2])) else _with_other_splits(layout)


def check_there(folders: Sequence[Path]) -> None:
    """Raises `DataError` where one of these folders, which may have braces, is none."""
    for folder in folders:
        if missing := [place for place, _ in places(folder) if not place.is_dir()]:
            first = min(missing, key=Path.exists)  # one that is nowhere, if there is any
            way = as_geojson(first) or ", but a file: name the folder that it lies in"
            raise DataError(f"no folder {first}{way if first.exists() else ''}")


def _below(top):
    """(folder of images, folder of labels) below one that holds no images itself, or None."""
    if any(path.suffix.lower() in IMAGES for path in top.iterdir()):
        return None
    templates: dict[str, list[str]] = {}
    for path in sorted([*_folders(top), *(path for folder in _folders(top) for path in _folders(folder))]):
        relative = path.relative_to(top).as_posix()
        template, split = _template(relative)
        if not template.endswith("/{}"):
            templates.setdefault(template, []).append(split)
    found = [
        [template for template in templates if _said(template) in words] for words in (IMAGE_FOLDERS, LABEL_FOLDERS)
    ]
    pairs = [(one, other) for one in found[0] for other in found[1] if ("{}" in one) == ("{}" in other)]
    if not pairs:
        return None
    best = max(pairs, key=lambda pair: (bool(_said(pair[0])), len(templates[pair[0]]), "{}" not in pair[0], pair))
    return tuple(top / template.format(_braces(templates[template])) for template in best)


def _below_each(top):
    """The same of several sites, scenes or patients in folders of their own, where all look alike; or None."""
    found = {folder.name: _below(folder) for folder in _folders(top)}
    below = {name: [path.relative_to(top / name) for path in pair] for name, pair in found.items() if pair}
    if len(below) < 2 or len(set(map(tuple, below.values()))) > 1:
        return None
    images, labels = next(iter(below.values()))
    braces = top / f"{{{','.join(below)}}}"
    return braces / images, braces / labels


def _folders(top):
    return [path for path in sorted(top.iterdir()) if path.is_dir() and not path.name.startswith(".")]


def _template(relative):
    """(path with {} where the name of a split stands, that name or nothing)."""
    found = re.finditer(rf"(?:^|(?<=[/_-]))({WORDS}){YEAR}(?=$|[/_-]|annot|mask|label)", relative, re.IGNORECASE)
    match = max(found, key=re.Match.start, default=None)
    if not match:
        return relative, ""
    return f"{relative[: match.start()]}{{}}{relative[match.end() :]}", match[0]


def _said(template):
    """What a template says beside the split."""
    return re.sub(r"[^a-z0-9]", "", template.replace("{}", "").lower())


def _braces(splits):
    """Names of splits as in braces, in the order of `FOLDERS`; one or none as it is."""
    order = ["", *FOLDERS.values()]
    splits = sorted({*splits} - {""}, key=lambda name: (order.index(split_of_folder(name) or ""), name))
    return f"{{{','.join(splits)}}}" if len(splits) > 1 else "".join(splits)


def _with_other_splits(layout):
    """A layout that names one split, with all splits that lie beside it."""
    template, split = _template(layout.images.as_posix())
    if not split or split not in layout.labels.as_posix():
        return layout
    folders = [path.as_posix() for path in (layout.images, layout.labels, *layout.extras)]
    templates = [_last_replaced(folder, split) for folder in folders]
    beside = [name for name in _names_beside(templates[0]) if Path(templates[0].format(name)).is_dir()]
    there = [name for name in beside if all(Path(template.format(name)).is_dir() for template in templates)]
    if len({split_of_folder(name) for name in there}) < 2:
        return layout
    braces = _braces(there)
    images, labels, *extras = (Path(template.format(braces)) for template in templates)
    notes = [f"{split} is one of several splits: images are taken from {images}, labels from {labels}"]
    notes += [f"{templates[0].format(name)} is left out: it has no labels" for name in beside if name not in there]
    return Layout(images, labels, tuple(extras), (*layout.notes, *notes))


def _last_replaced(folder, split):
    before, _, behind = folder.rpartition(split)
    return f"{before}{{}}{behind}"


def _names_beside(template):
    """Names of splits that folders beside have where a template has {}."""
    before, _, behind = template.partition("{}")
    parent, start = os.path.split(before)
    end = behind.partition("/")[0]
    pattern = re.compile(f"{re.escape(start)}(.+){re.escape(end)}")
    found = (pattern.fullmatch(path.name) for path in _folders(Path(parent or ".")))
    return [match[1] for match in found if match and split_of_folder(match[1])]
