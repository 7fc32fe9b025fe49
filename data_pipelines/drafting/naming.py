"""Which files belong together, by the beginnings and endings of their names: images, labels, bands in own files."""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from data_pipelines.own_data.matching import IMAGES, LABELS, files_below
from data_pipelines.reading.decoding import label_values
from data_pipelines.spec import DataError

TRIED = 60
"""Labels whose names are looked at for what may begin and end them."""
PER_KEY, CANDIDATES, SELDOM = 24, 40, 0.1
ENOUGH = 0.9
"""Of the labels that the best choice finds images for, so many make another one as good."""
LABEL_WORDS = frozenset(
    {"mask", "masks", "msk", "label", "labels", "lbl", "gt", "truth", "groundtruth", "seg", "segmentation", "semantic"}
    | {"annot", "annotation", "annotations", "anno", "ann", "target", "class", "classes", "manual"}
)
PICTURE_WORDS = frozenset(
    {"color", "colour", "colors", "colours", "instance", "instances", "overlay", "vis", "viz", "visual", "preview"}
    | {"thumb", "thumbnail", "panoptic", "blend"}
)
"""Of files that show labels or tell objects apart rather than say the class of a pixel."""
CONTENT_READ = 3  # files of a kind


class Affix(NamedTuple):
    """What begins and ends the names of files."""

    prefix: str
    suffix: str

    def __str__(self) -> str:
        return f"{self.prefix}NAME{self.suffix}"  # as messages have it


class File(NamedTuple):
    """A file: its folder below the one that is looked at, its name less the extension, that, and its path."""

    folder: str
    stem: str
    extension: str
    path: Path

    @property
    def place(self) -> str:
        """What begins its name: the folder with a slash, or nothing."""
        return "" if self.folder == "." else f"{self.folder}/"


class Naming(NamedTuple):
    """How files are told apart and put together.

    Attributes:
      images: of the images' own files, the first, and of further bands in the same folder.
      label: of the labels.
      other_images, other_labels: of files that fit as well, and are taken for something else.
    """

    images: list[Affix]
    label: Affix
    other_images: list[Affix]
    other_labels: list[Affix]


def look(folder: Path, extensions: set[str]) -> list[File]:
    """The files of a folder (of several, with braces) that have one of the extensions. Raises `DataError`."""
    found = []
    for name, path in files_below(folder):
        if path.suffix.lower() in extensions:
            place = PurePosixPath(name)
            found.append(File(place.parent.as_posix(), path.stem, path.suffix, path))
    return found


def look_for_labels(folder: Path) -> list[File]:
    """The files of a folder that keep ids, or else any. Raises `DataError`."""
    return look(folder, LABELS) or look(folder, IMAGES)


def find_naming(images: Sequence[File], labels: Sequence[File]) -> Naming:
    """The `Naming` that finds images for most labels.

    Where several do, words in the names say which files are labels, and else what is in them.
    """
    pairs = _good(images, labels)
    if not pairs:
        return Naming([Affix("", "")], Affix("", ""), [], [])
    together = not {file.path for file in images}.isdisjoint(file.path for file in labels)
    ranks = {pair: _rank(pair, together) for pair in pairs}
    first = [pair for pair in pairs if ranks[pair] == min(ranks.values())]
    contents = {label: _values(paths_of(labels, label)) if len(first) > 1 else 0 for _, label in first}
    _, label = min(first, key=lambda pair: (contents[pair[1]], len(words_of(pair[0])), pair))
    fitting = _natural(pair[0] for pair in pairs if pair[1] == label)
    unfit = PICTURE_WORDS | LABEL_WORDS if together else PICTURE_WORDS
    own = [affix for affix in fitting if not words_of(affix) & unfit] or fitting[:1]
    matched = [keys_of(labels, label), *(keys_of(images, affix) for affix in own)]
    names = matched[0].keys() & set().union(*matched[1:])
    taken = {file.path for found in matched for name in names for file in found.get(name, ())}
    naming = Naming(
        own,
        label,
        [affix for affix in fitting if affix not in own],
        _left(labels, {pair[1] for pair in pairs} - {label}, taken),
    )
    return _by_extension(naming, images, labels) if label in own and together else naming


def keys_of(files: Iterable[File], affix: Affix) -> dict[str, list[File]]:
    """Name -> files, of those that have the affixes; these may end with an extension."""
    found = defaultdict(list)
    for file in files:
        whole = file.stem + file.extension if affix.suffix.endswith(file.extension) else file.stem
        end = len(whole) - len(affix.suffix)
        if whole.startswith(affix.prefix) and whole.endswith(affix.suffix) and len(affix.prefix) <= end:
            found[f"{file.place}{whole[len(affix.prefix) : end]}".rstrip("/")].append(file)
    return found


def paths_of(files: Iterable[File], affix: Affix) -> set[Path]:
    """Paths of the files that have the affixes."""
    return {file.path for found in keys_of(files, affix).values() for file in found}


def _good(images, labels):
    """Pairs of an affix of images and one of labels by which (almost) most labels find an image."""
    found = {pair: _matches(images, labels, *pair) for pair in _likely(images, labels)}
    most = max(found.values(), default=0)
    good = [pair for pair, matches in found.items() if matches >= max(ENOUGH * most, 1)]
    return [pair for pair in good if not any(_says_more(other, pair) for other in good)]


def _likely(images, labels):
    """Pairs of affixes that stand around something that an image and a label have in common, the commonest first."""
    tried = random.Random(0).sample(labels, min(TRIED, len(labels)))  # kinds may alternate, so at no regular distance
    some = [(label, _keys(label)) for label in tried]
    known = {key for _, keys in some for key, _ in keys}
    index: dict[str, list[tuple[Path, Affix]]] = defaultdict(list)
    for file in images:
        for key, affix in _keys(file):
            if key in known and len(index[key]) < PER_KEY:
                index[key].append((file.path, affix))
    votes: Counter[tuple[Affix, Affix]] = Counter()
    for label, keys in some:
        found = ((own, index.get(key, ())) for key, own in keys)
        votes.update({(affix, own) for own, there in found for path, affix in there if path != label.path})
    likely = sorted(votes, key=lambda pair: (-votes[pair], sum(len(text) for affix in pair for text in affix)))
    likely = [pair for pair in likely if not _are_counts(*pair)][:CANDIDATES]
    return [pair for pair in likely if votes[pair] >= SELDOM * votes[likely[0]]]


def _keys(file):
    """[(folder and a part of the name, what stands around it)]: of whole words or numbers; or the folder alone."""
    stem, folder = file.stem, file.place
    whole = [(folder + stem, Affix("", "")), *([(file.folder, Affix("", stem))] if folder else [])]
    spans = [match.span() for match in re.finditer(r"[^\W\d_]+|\d+", stem)]
    return whole + [
        (folder + stem[first:last], Affix(stem[:first], stem[last:]))
        for number, (first, _) in enumerate(spans)
        for _, last in spans[number:]
    ]


def _are_counts(affix, other):
    """Whether numbers alone tell two affixes apart: then it is two images that they tell apart, and not two kinds."""
    return affix != other and len({re.sub(r"\d+", "0", "/".join(each)) for each in (affix, other)}) == 1


def _matches(images, labels, image_affix, label_affix):
    ones, others = keys_of(images, image_affix), keys_of(labels, label_affix)
    # A file is not its own label.
    return sum(any(one.path != others[key][0].path for one in ones[key]) for key in ones.keys() & others.keys())


def _says_more(pair, other):
    """Whether `other` is `pair` but for a text that all files have at the same place: that stays in the names."""
    before = {
        long.prefix.removeprefix(short.prefix) if long.prefix.startswith(short.prefix) else None
        for short, long in zip(pair, other)
    }
    behind = {
        long.suffix.removesuffix(short.suffix) if long.suffix.endswith(short.suffix) else None
        for short, long in zip(pair, other)
    }
    return pair != other and len(before) == len(behind) == 1 and None not in before | behind


def _rank(pair, together):
    """How unlikely it is that a pair is that of images and labels, by what the affixes say."""
    of_image, of_label = map(words_of, pair)
    return (
        together and not of_label,
        bool(of_image & (PICTURE_WORDS | LABEL_WORDS)),
        bool(of_label & PICTURE_WORDS),
        not of_label & LABEL_WORDS,
    )


def words_of(affix: Affix) -> set[str]:
    """The words in an affix, in lower case."""
    return {word.lower() for text in affix for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", text)}


def _values(paths):
    """How many ids or colours a few label files hold, infinite where they hold less than two or can't be read."""
    found: set[tuple[float, ...]] = set()
    for path in sorted(paths)[:CONTENT_READ]:
        try:
            values = label_values(path)[0]
        except DataError:
            return np.inf
        found |= set(map(tuple, np.unique(values.reshape(-1, values.shape[2]), axis=0).tolist()))
    return len(found) if len(found) > 1 else np.inf


def _left(files, affixes, taken):
    """Those of the affixes that some files have which are not taken; of those of the same files the longest."""
    found, taken = [], set(taken)
    paths = {affix: paths_of(files, affix) for affix in affixes}
    for affix in sorted(affixes, key=lambda affix: (len(paths[affix]), -len(affix.prefix + affix.suffix), affix)):
        if not paths[affix] <= taken:
            found.append(affix)
            taken |= paths[affix]
    return _natural(found)


def _natural(affixes):
    """Each once, sorted, numbers by their value."""

    def pieces(affix):
        split = re.split(r"(\d+)", affix.prefix + affix.suffix)
        return [int(piece) if number % 2 else piece for number, piece in enumerate(split)]

    return sorted(set(affixes), key=pieces)


def _by_extension(naming, images, labels):
    """Images and labels of one folder that differ in their extension alone, as a.jpg and a.png."""
    label = naming.label
    kinds = Counter(file.extension for file in images if (file.stem.endswith(label.suffix)))
    own = Counter(file.extension for file in labels)
    of_images = [extension for extension, _ in kinds.most_common() if extension not in own] or [*kinds][:1]
    of_labels = [extension for extension, _ in own.most_common() if extension not in of_images] or [*own][:1]
    first = Affix(label.prefix, label.suffix + of_images[0])
    last = Affix(label.prefix, label.suffix + of_labels[0])
    return naming._replace(images=[first, *(affix for affix in naming.images if affix != label)], label=last)
