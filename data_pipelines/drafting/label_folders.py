"""Labels that are a mask for each class: found by the names of folders and files, and looked at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from data_pipelines.drafting.contents import each
from data_pipelines.drafting.label_looks import labels_of
from data_pipelines.drafting.naming import (
    LABEL_WORDS,
    PICTURE_WORDS,
    Affix,
    File,
    find_naming,
    keys_of,
    look,
    look_for_labels,
    words_of,
)
from data_pipelines.own_data.matching import IMAGES, LABELS, places
from data_pipelines.reading.decoding import label_values
from data_pipelines.reading.labels import opaque
from data_pipelines.reading.several_labels import SeveralLabels
from data_pipelines.spec import DataError

KNOWN = ({0, 1}, {0, 255})  # values of masks
LEAST = 2  # images that have a mask of a class: a single one may be of an object


class Masks(NamedTuple):
    """Masks of several classes.

    Attributes:
      image: of the names of the images.
      label: of the masks, where they are told apart by their folders.
      files: key as of dataset.yaml's classes -> name of an image -> its mask.
    """

    image: Affix
    label: Affix
    files: dict[str, dict[str, Path]]

    @property
    def first(self) -> dict[str, Path]:
        """Name of an image -> its first mask."""
        return {name: files[name] for files in reversed(self.files.values()) for name in files}


def find_masks(images: Path, labels: Path) -> Masks | None:
    """Masks in folders of their classes, or in folders of their images; None where `labels` has none such.

    Folders of classes stand behind what braces are for. Raises `DataError` where a folder can't be read.
    """
    found, of_labels = look(images, IMAGES), look_for_labels(labels)
    return _in_folders_of_classes(found, of_labels, labels) or _in_folders_of_images(found, of_labels)


def masks_beside(images: Path, labels: Path, affixes: Sequence[Affix]) -> Masks | None:
    """Masks that lie beside each other and are told apart by their names; None where one is no mask, or they overlap.

    Args:
      images, labels: folders.
      affixes: of the masks; where words in them say that they are labels, or pictures of these, they are no classes.

    Raises:
      DataError: a folder or file can't be read.
    """
    if len(affixes) < 2 or any(words_of(affix) & (LABEL_WORDS | PICTURE_WORDS) for affix in affixes):
        return None
    found, of_labels = look(images, IMAGES), look(labels, LABELS)
    naming = find_naming(found, of_labels)
    files = {f"{one.prefix}*{one.suffix}": _by_name(of_labels, one) for one in affixes}
    masks = Masks(naming.images[0], Affix("", ""), files)
    try:
        *_, meeting = looked_at(files)
    except DataError:
        return None
    return None if meeting else masks


def _in_folders_of_classes(images, labels, folder):
    depth = len(PurePosixPath(places(folder)[0][1]).parts)
    groups: dict[str, list[File]] = {}
    for file in labels:
        parts = PurePosixPath(file.folder).parts
        if len(parts) <= depth:
            return None
        rest = PurePosixPath(*parts[:depth], *parts[depth + 1 :])
        groups.setdefault(parts[depth], []).append(file._replace(folder=rest.as_posix()))
    if len(groups) < 2:
        return None
    naming = find_naming(images, next(iter(groups.values())))
    files = {key: _by_name(found, naming.label) for key, found in sorted(groups.items())}
    return _fitting(Masks(naming.images[0], naming.label, files), images)


def _in_folders_of_images(images, labels):
    files: dict[str, dict[str, Path]] = {}
    for file in sorted(labels, key=lambda file: file.stem):
        files.setdefault(f"*/{file.stem}", {})[file.folder] = file.path
    return _fitting(Masks(Affix("", ""), Affix("", ""), files), images, LEAST) if len(files) > 1 else None


def _fitting(masks, images, least=1):
    """The masks, if so many images (or all) have one of each class."""
    known = _by_name(images, masks.image).keys()
    least = min(len(known), least)
    return masks if known and all(len(known & files.keys()) >= least for files in masks.files.values()) else None


def looked_at(files: Mapping[str, Mapping[str, Path]]) -> tuple[list[str], float, int, int, Counter[tuple[str, ...]]]:
    """What masks hold.

    Returns:
      (keys, where masks overlap in the order of their pixels, the fewest last, as what is small lies on top; share of
      pixels in no mask; number of values between 0 and 255; pixels half transparent; {keys: pixels in the masks of just
      these} of those that are in several, the most first).

    Raises:
      DataError: a file can't be read, is no mask, or the masks of an image differ in size.
    """
    names = sorted({name for found in files.values() for name in found})
    first = {next(found[name] for found in files.values() if name in found): name for name in names}
    looks = {key: labels_of([*found.values()]) for key, found in files.items()}
    for key, one in looks.items():
        if one.colours or not any(set(one.counts) <= known for known in KNOWN):
            raise DataError(
                f"{key} is one of several kinds of labels, but holds more than masks of 0 and 255: name the folder of "
                "one as --labels=dir"
            )
    met: Counter[tuple[str, ...]] = Counter()
    for _, found in each(lambda path: _met(files, first[path]), list(first), "putting masks together"):
        met += found
    sizes = [sum(pixels for keys, pixels in met.items() if key in keys) for key in files]
    meeting = Counter({keys: pixels for keys, pixels in met.most_common() if len(keys) > 1})
    soft, half = {value for one in looks.values() for value in one.soft}, sum(one.half for one in looks.values())
    by_size = [key for _, key in sorted(zip(sizes, files), reverse=True)]
    return by_size if meeting else list(files), met[()] / met.total(), len(soft), half, meeting


def _by_name(files, affix):
    return {PurePosixPath(name).as_posix(): found[0].path for name, found in keys_of(files, affix).items()}


def _met(files, name):
    """{keys: pixels of an image that are in the masks of these, and of no other}."""
    keys, several = [*files], SeveralLabels()
    masks = {number: _inside(files[key][name]) for number, key in enumerate(keys) if name in files[key]}
    if len({mask.shape for mask in masks.values()}) > 1:
        raise DataError(f"the masks of {name!r} ({', '.join(files)}) differ in size: they must be equal")
    for number, mask in masks.items():
        several.add(mask, number)
    return Counter({tuple(keys[n] for n in sorted(one)): pixels for one, pixels in several.counts().items()})


def _inside(path):
    stored = label_values(path, lossy=True)
    values, strength = stored.values[..., 0], stored.values[..., -1]
    inside = values >= 128 if values.max(initial=0) > 1 else values > 0
    if not stored.alpha or stored.values.shape[2] not in (2, 4):
        return inside
    return inside & (strength >= opaque(stored.values) / 2)
