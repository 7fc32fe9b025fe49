"""dataset.yaml, which describes a user's own data: read, and every key of it checked.

    images: ../photos                 # folder, from here, absolute or ~/photos; subfolders too; ../{train,val} are two
    labels: ../masks
    image_suffix: ""                  # what ends the names of images, and of labels:
    label_suffix: _mask               # the label of day/a.jpg is day/a_mask.png; may end with an extension
    image_prefix: ""                  # what begins them
    label_prefix: ""
    extras:                           # further bands of an image, a file each
      - {folder: ../depth, bands: [depth], dtype: uint16, suffix: "", prefix: ""}
    bands: [red, green, blue]         # names, or how many
    dtype: uint8                      # of the image files: uint8, uint16, float32
    labels_hold: ids                  # or colours, those of the palette; or masks, one per class; or shapes: files of
                                      # labelme, COCO, GeoJSON, VIA, CVAT; labels may then be one file
    label_property: kind              # by which shapes of GeoJSON and VIA are called
    regions: {works: [road, car], car: [car]}  # sets of classes that are learnt each by itself, see `regions`
    classes: [road, car]              # ids 0, 1, ...; or others {7: road, 8: road, 26: car}; of masks {FOLDER: car},
                                      # of shapes {NAME: car}
    palette: {road: [128, 64, 128]}   # classes without get a colour
    label_colours: {road: [1, 1, 1]}  # in labels, where they are others than in pictures; or several, in a list
    nodata: 0                         # pixel value that stands for none, also .nan, beside what files say themselves
    nodata_rule: all                  # a pixel is void where all bands have no data; or any: where one has none
    nodata_tags: both                 # whose nodata tags, masks and alpha count: both, images, labels, none
    void: [0, 255]                    # ids (or colours) that have no class; 255 is void unless it is a class; or others
    rest: road                        # class of what is in none: other ids or colours, transparent, in no mask or shape
    labels_soft: nearest              # edges are soft: a value is the nearest class's; or where the upper of two begins
    masks_overlap: last               # the last class counts where masks or shapes overlap, or what several are there
    splits: {train: 0.8, val: 0.2}    # shares; or files of names, or names: {train: train.txt, val: [day/a, day/b]};
                                      # or what lies in folders of such a name: {train: folder, val: folder}
    group: folder                     # frames of a subfolder stay together; or a regular expression, by what it finds;
                                      # or region: every raster has a part for each split
    pseudo: {images: ../more, labels: ../predictions}   # further images to learn, labelled by did_tf predict
    patch: 512                        # samples are windows of so many pixels a side, or [height, width]
    overlap: 0                        # pixels that windows of train share with the next

All but images, labels and classes may be left out. dataset.json, with the same keys, is as good.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_pipelines.own_data import values
from data_pipelines.own_data.classes import KEYS, read_classes
from data_pipelines.own_data.parsing import parse
from data_pipelines.own_data.parts import Part
from data_pipelines.own_data.regions import read_regions, regions_of_labels
from data_pipelines.spec import COLOURS, DTYPES, NODATA_RULES, NODATA_TAGS, DataError

NAMES = ("dataset.yaml", "dataset.yml", "dataset.json")
FOLDER = "folder"  # of `group`, and of a split
REGION = "region"  # of `group`


@dataclasses.dataclass(frozen=True)
class Pseudo:
    """Further images to learn from, labelled by a network.

    Attributes:
      images: folder that `did_tf predict` was given.
      labels: folder that it has written.
    """

    images: Path
    labels: Path


@dataclasses.dataclass(frozen=True)
class Description:
    """What a dataset.yaml says, checked.

    Attributes:
      path: of the file.
      parts: where the bands come from, the images' own first.
      labels: folder of the labels, or the file of annotations of all images.
      label_suffix, label_prefix: what ends and begins their names.
      classes, palette, label_ids, label_colours, void_ids, void_colours, aliases, rest, labels_soft, masks_overlap,
        combinations, nodata, nodata_rule, nodata_tags, shapes, label_property, regions: as of a `DatasetSpec`.
      masks: (folder below `labels`, or with a star for the name, class) of each, where every class has own masks.
      splits: name -> share, or `FOLDER`, or text that names a list file, or tuple of names; not both shares and lists.
      group: "" (every image by itself), `FOLDER`, `REGION`, or a regular expression.
      pseudo: further images to learn from, or None.
      patch: (height, width) of the windows that are samples; None: whole images are.
      overlap: pixels that two windows of the training split share.
    """

    path: Path
    parts: tuple[Part, ...]
    labels: Path
    label_suffix: str
    label_prefix: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    label_ids: tuple[int, ...]
    label_colours: tuple[tuple[int, int, int], ...]
    void_ids: tuple[int, ...]
    void_colours: tuple[tuple[int, int, int], ...]
    aliases: tuple[tuple[Any, int], ...]
    rest: int | None
    labels_soft: str | float
    masks_overlap: bool
    combinations: tuple[tuple[int, tuple[int, ...]], ...]
    masks: tuple[tuple[str, int], ...]
    shapes: tuple[tuple[str, int], ...]
    label_property: str
    regions: tuple[tuple[str, tuple[int, ...]], ...]
    nodata: float | None
    nodata_rule: str
    nodata_tags: str
    splits: Mapping[str, float | str | tuple[str, ...]]
    group: str
    pseudo: Pseudo | None
    patch: tuple[int, int] | None
    overlap: int

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of all bands, in their order."""
        return tuple(name for part in self.parts for name in part.bands)

    @property
    def shares(self) -> dict[str, float]:
        """Split -> its share, of those that have one."""
        return {split: share for split, share in self.splits.items() if isinstance(share, float)}

    @property
    def dtype(self) -> str:
        """The narrowest that holds the values of all parts as they are."""
        return max((part.dtype for part in self.parts), key=DTYPES.index)


def find_description(folder: str | Path) -> Path:
    """Path of the dataset.yaml in `folder`. Raises `DataError` where there is none, or more than one."""
    found = [path for name in NAMES if (path := Path(folder, name)).is_file()]
    if not found:
        raise DataError(
            f"no {NAMES[0]} in {Path(folder).resolve()}: "
            f"`did_tf describe-data --images=dir --labels=dir --folder={folder}` "
            "drafts one; elsewhere, pass --data=dir (with --dataset=folders: --folder=dir)"
        )
    if len(found) > 1:
        raise DataError(f"{found[0]} and {found[1].name} both describe the data: delete one")
    return found[0]


def read_description(folder: str | Path) -> Description:
    """The `Description` in `folder`. Raises `DataError`, which names the file and the key."""
    path = find_description(folder)
    try:
        return _checked(path, parse(path))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def _checked(path, content):
    known = {"images", "labels", "image_suffix", "label_suffix", "image_prefix", "label_prefix", "extras", "bands"}
    known |= {
        "dtype",
        "nodata",
        "nodata_rule",
        "nodata_tags",
        "splits",
        "group",
        "pseudo",
        "patch",
        "overlap",
        "regions",
    }
    values.check_keys(content, {*known, *KEYS}, ("images", "labels", "classes"))
    here = path.parent
    image = Part(
        here / values.path(content["images"], "images"),
        values.affix(content.get("image_suffix", ""), "image_suffix"),
        values.bands(content.get("bands", len(COLOURS)), "bands"),
        values.choice(content.get("dtype", DTYPES[0]), DTYPES, "dtype"),
        values.affix(content.get("image_prefix", ""), "image_prefix"),
    )
    extras = values.entries(content.get("extras", []), "extras")
    parts = (image, *(_extra(here, entry, f"extras[{number}]") for number, entry in enumerate(extras)))
    values.refuse_repeats([name for part in parts for name in part.bands], "bands")
    labels = read_classes(content)
    return Description(
        path=path,
        parts=parts,
        labels=here / values.path(content["labels"], "labels"),
        label_suffix=values.affix(content.get("label_suffix", ""), "label_suffix"),
        label_prefix=values.affix(content.get("label_prefix", ""), "label_prefix"),
        **labels,
        regions=_regions(content, labels),
        nodata=values.nodata(content["nodata"], {part.dtype for part in parts}) if "nodata" in content else None,
        nodata_rule=values.choice(content.get("nodata_rule", NODATA_RULES[0]), NODATA_RULES, "nodata_rule"),
        nodata_tags=values.choice(content.get("nodata_tags", NODATA_TAGS[0]), NODATA_TAGS, "nodata_tags"),
        splits=_splits(content.get("splits", {"train": 0.8, "val": 0.2})),
        group=_group(content.get("group", "")),
        pseudo=_pseudo(here, content["pseudo"]) if "pseudo" in content else None,
        **_windows(content),
    )


def _regions(content, labels):
    return read_regions(content["regions"], labels["classes"]) if "regions" in content else regions_of_labels(labels)


def _extra(here, entry, key):
    values.check_keys(entry, {"folder", "bands", "dtype", "suffix", "prefix"}, ("folder", "bands"), f"{key}.")
    return Part(
        here / values.path(entry["folder"], f"{key}.folder"),
        values.affix(entry.get("suffix", ""), f"{key}.suffix"),
        values.bands(entry["bands"], f"{key}.bands"),
        values.choice(entry.get("dtype", DTYPES[0]), DTYPES, f"{key}.dtype"),
        values.affix(entry.get("prefix", ""), f"{key}.prefix"),
    )


def _pseudo(here, entry):
    keys = ("images", "labels")
    values.check_keys(entry, {*keys}, keys, "pseudo.")
    return Pseudo(*(here / values.path(entry[key], f"pseudo.{key}") for key in keys))


def _splits(splits):
    if not isinstance(splits, dict) or not splits:
        raise DataError(
            f"splits must be a map such as {{train: 0.8, val: 0.2}} or {{train: {FOLDER}, val: {FOLDER}}}, "
            f"got {splits!r}"
        )
    for name in splits:
        if not isinstance(name, str) or not re.fullmatch(r"\w[\w.-]*", name):
            raise DataError(f"splits: {name!r} is no name of a split: letters and digits")
    shares = {name: value for name, value in splits.items() if values.is_number(value)}
    lists = {name: value for name, value in splits.items() if name not in shares and value != FOLDER}
    if shares and lists:
        raise DataError("splits are either all shares, or all lists: these are both")
    for name, value in shares.items():
        if not 0 < value <= 1:
            raise DataError(f"splits.{name} must be a share above 0 and up to 1, got {value}")
    if math.fsum(shares.values()) > 1 + 1e-9:
        raise DataError(f"the shares of splits add up to {math.fsum(shares.values()):g}, which is more than 1")
    return {name: _split(value, f"splits.{name}") for name, value in splits.items()}


def _split(value, key):
    return float(value) if values.is_number(value) else _names_of(value, key)


def _names_of(value, key):
    if isinstance(value, str):
        return values.path(value, key)
    names = tuple(values.text(name, key) for name in values.entries(value, key))
    if not names:
        raise DataError(f"{key} is empty: name an image, or leave the split out")
    return names


def _group(group):
    if not isinstance(group, str):
        raise DataError(f"group must be {FOLDER!r}, {REGION!r} or a regular expression, got {group!r}")
    try:
        re.compile(group)
    except re.error as error:
        raise DataError(f"group is no regular expression: {error}, in {group!r}") from None
    return group


def _windows(content):
    """The entries of a `Description` that come from patch and overlap."""
    patch, overlap = content.get("patch"), content.get("overlap", 0)
    sides = patch if isinstance(patch, list) else [patch, patch]
    if patch is not None and (len(sides) != 2 or not all(_is_count(side) and side > 0 for side in sides)):
        raise DataError(f"patch must be a number of pixels or [height, width], got {patch!r}")
    if not _is_count(overlap) or overlap < 0:
        raise DataError(f"overlap must be a whole number of pixels, got {overlap!r}")
    if patch is None and (overlap or content.get("group") == REGION):
        which = f"group is {REGION!r}" if not overlap else "overlap is set"
        raise DataError(f"{which}, but no patch: say how large the windows are")
    if patch is not None and overlap >= min(sides):
        raise DataError(f"overlap is {overlap}, which is no less than patch {patch}: lower it")
    return {"patch": tuple(sides) if patch is not None else None, "overlap": overlap}


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool)
