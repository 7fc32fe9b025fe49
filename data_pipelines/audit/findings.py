"""Judges what `survey` found: problems, which would spoil a training or its scores, and notes, which may be meant."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from data_pipelines.audit import duplicates, ground, lessons, nodata, palettes
from data_pipelines.audit.scenes import find_scenes
from data_pipelines.audit.survey import CONSTANT, Survey
from data_pipelines.frequencies import difference
from data_pipelines.spec import IGNORE, DatasetSpec, Sample, share_images

NAMES_SHOWN = 3
USUAL = 0.9
"""Where more images than this share have one size, every other one is unusual ..."""
FACTOR = 4
"""... and else those whose sides are so many times longer or shorter than usual (the median, in the mean of both)."""
DIFFERENT = 0.15
"""Class shares of two splits that differ by more get a note. Random halves of CamVid's train differ by 0.04 at most,
its train and val, which are of other streets, by 0.17."""
CLASSES_SHOWN = 3


class Pair(NamedTuple):
    """Images of two splits that are one picture.

    Attributes:
      splits: their names.
      samples: an image of each.
      distance: 0 for equal pixels, else how many of the 256 bits of their looks differ (`duplicates.look_alike`).
    """

    splits: tuple[str, str]
    samples: tuple[Sample, Sample]
    distance: int


class Verdict(NamedTuple):
    """What is to be said of a data set.

    Attributes:
      problems: lines on what is wrong, and would spoil a training or its scores.
      notes: lines on what is odd, and may be meant.
      pairs: images that are in two splits, equal ones first.
    """

    problems: list[str]
    notes: list[str]
    pairs: list[Pair]


def judge(spec: DatasetSpec, found: list[Survey], overlapping: Iterable[tuple[str, str]] = ()) -> Verdict:
    """What is to be said of the splits `found`, one by one and side by side.

    `overlapping` are pairs of splits that may share images, as of a `Dataset`.
    """
    meant = {frozenset(pair) for pair in overlapping}
    problems = [problem for one in found for problem in one.problems] + _empty_classes(spec, found)
    problems += lessons.problems(spec, found, training_split(found))
    problems += [problem for one in found for problem in nodata.problems(spec, one)] + palettes.problems(spec, found)
    notes = [note for one in found for note in _split_notes(one) + nodata.notes(spec, one)] + _class_notes(spec, found)
    pairs: list[Pair] = []
    for first, second in itertools.combinations(found, 2):
        if frozenset((first.split, second.split)) not in meant:
            common = _overlap(first, second)
            problems, notes, pairs = problems + common.problems, notes + common.notes, pairs + common.pairs
    return Verdict(problems, notes, sorted(pairs, key=lambda pair: pair.distance))


def constant(found: Survey) -> np.ndarray:
    """Indices of the images that show nothing."""
    return np.flatnonzero(found.readable & (found.contrast < CONSTANT))


def void_only(found: Survey) -> np.ndarray:
    """Indices of the images whose label has no class anywhere."""
    return np.flatnonzero(found.void == 1)


def unusual_sizes(found: Survey) -> np.ndarray:
    """Indices of the images that are much larger or smaller than the others; where sizes are equal, of other size.

    Windows are as large as what they are cut from has room for.
    """
    shapes, readable = found.shapes, found.readable
    if not readable.any() or any(image.window for image in found.images):
        return np.array([], int)
    usual, times = found.sizes.most_common(1)[0]
    if times > USUAL * readable.sum():
        return np.flatnonzero(readable & (shapes != usual).any(axis=1))
    sides = np.sqrt(shapes.astype(float).prod(axis=1))
    median = np.median(sides[readable])
    return np.flatnonzero(readable & ((sides > FACTOR * median) | (sides * FACTOR < median)))


def training_split(found: list[Survey]) -> Survey | None:
    """The first split with "train" in its name that could be read, else the first that has labels."""
    counted = [one for one in found if one.labelled and one.counts.pixels.any()]
    return next((one for one in counted if "train" in one.split), counted[0] if counted else None)


def described(pair: Pair) -> str:
    """A line that names both images."""
    first, second = (f"{split} {sample.name}" for split, sample in zip(pair.splits, pair.samples))
    if pair.distance:
        return f"{first} ~ {second} ({pair.distance} of {duplicates.BITS} bits differ)"
    return f"{first} = {second} (equal pixels)"


ODD = {"constant": constant, "void_only": void_only, "unusual_size": unusual_sizes}
"""Kinds of images that get a note, and what finds them."""
_SAID = {
    "constant": "without contrast (their pixels are almost equal)",
    "void_only": "with labels of void alone",
    "unusual_size": "of unusual size",
}


def _split_notes(one):
    notes = [] if one.labelled else [f"{one.split} has no labels: its images alone were checked"]
    pixels, moved, total, _ = one.moved.sum(axis=0)
    if moved:
        notes.append(
            f"{one.split}: {moved / pixels:.2%} of the labels' pixels have the value of no class and are taken for the "
            f"nearest (labels_soft), by {total / moved:.3g} in the mean and {one.moved[:, 3].max():.3g} at most"
        )
    for kind, find in ODD.items():
        names = [one.images[index].name for index in find(one)]
        if names:
            notes.append(f"{one.split}: images {_SAID[kind]}: {_listed(names)}")
    repeated = _of_different_files(one, one, duplicates.repeated_pixels(one.prints))
    if repeated:
        notes.append(f"{one.split}: images that repeat another one's pixels: {_pairs(repeated)}")
    torn = [(first, second) for first, second in repeated if first.class_id != second.class_id]
    if torn:
        notes.append(f"{one.split}: images that are in two classes: {_pairs(torn)}")
    return notes


def _empty_classes(spec, found):
    """In classification, a class of train without images: an archive that wasn't unpacked to its end leaves such."""
    train = training_split(found)
    if spec.task != "classification" or train is None:
        return []
    empty = _names(spec, train.counts.pixels == 0)
    return [f"{train.split} has no images of {some(empty)}: add them, or remove the folder"] if empty else []


def _class_notes(spec, found):
    """Lines on classes that one split lacks, and on splits whose classes are spread in another way than in train."""
    train, notes = training_split(found), []
    for other in found:
        if train is None or other is train or not other.counts.pixels.any():
            continue
        known, met = _shown(spec, train.counts.pixels), _shown(spec, other.counts.pixels)
        if unknown := [name for name in met if name not in known]:
            notes.append(f"{other.split} shows {some(unknown)}, which {train.split} never does: no model can learn it")
        if unmet := [name for name in known if name not in met]:
            notes.append(f"{other.split} never shows {some(unmet)}: it says nothing about how well that is learned")
        if difference(train.counts, other.counts) > DIFFERENT:
            notes.append(_spread(spec, train, other))
    shown = _shown(spec, sum(one.counts.pixels for one in found))
    if train and (never := [name for name in _shown(spec, np.ones(spec.num_classes)) if name not in shown]):
        notes.append(f"no split shows {some(never)}{_white(spec, never, found)}")
    return notes


def _shown(spec, pixels):
    """Names of what `pixels` [C] show: classes; where a pixel may have several labels, these, each by itself."""
    if not spec.combinations:
        return _names(spec, pixels > 0)
    apart = [(name, (number,)) for number, name in enumerate(spec.classes) if number not in dict(spec.combinations)]
    return [name for name, part in dict([*apart, *spec.regions]).items() if any(pixels[number] for number in part)]


def _white(spec, never, found):
    """End of a note, where the upper of two classes may be 255 in the labels, which is void unless it is said."""
    plain = not (spec.label_ids or spec.label_colours or spec.void_ids) and spec.rest is None
    if never != [*spec.classes[1:]] or len(never) != 1 or not plain or not any((one.void > 0).any() for one in found):
        return ""
    lower, upper = spec.classes
    return f"; if that is {IGNORE} in the labels, say so: classes: {{0: {lower}, {IGNORE}: {upper}}}"


def _spread(spec, train, other):
    """A line with the classes whose shares differ most."""
    shares = np.stack([train.counts.shares, other.counts.shares])
    most = np.argsort(-np.abs(shares[0] - shares[1]), kind="stable")[:CLASSES_SHOWN]
    named = ", ".join("{} {:.1%} / {:.1%}".format(spec.classes[index], *shares[:, index]) for index in most)
    by = difference(train.counts, other.counts)
    return f"classes are spread otherwise in {train.split} and {other.split} (they differ by {by:.0%}): {named}"


def _overlap(first, second):
    """`Verdict` on what two splits have in common: the same file, the same pixels, or the same look."""
    names, problems, notes = (first.split, second.split), [], []
    if files := _same_files(first, second):
        shared = _listed([image.name for image in files])
        problems.append(f"{' and '.join(names)} share images: {shared}; take them out of one")
    equal = _of_different_files(first, second, duplicates.same_pixels(first.prints, second.prints))
    if equal:
        problems.append(f"{' and '.join(names)} have images of equal pixels: {_pairs(equal)}; take them out of one")
    near = duplicates.look_alike(first.prints, second.prints)
    notes += _alike_notes(first, second, near)
    notes += _ground_notes(first, second)
    if scenes := _shared_scenes(first, second):
        notes.append(
            f"{' and '.join(names)} share scenes, by the images' names: {_listed(scenes)}; keep each in one split "
            "(group in dataset.yaml)"
        )
    turned = duplicates.turned_copies(first.prints, second.prints)
    notes += _alike_notes(first, second, turned, " mirrored or turned")
    pairs = [Pair(names, samples, 0) for samples in equal[: duplicates.KEPT]]
    pairs += [
        Pair(names, (first.images[i], second.images[j]), distance)
        for distance, i, j in [*near.nearest, *turned.nearest]
    ]
    return Verdict(problems, notes, pairs)


def _alike_notes(first, second, alike, how=""):
    """A line on images that look like others, which are `duplicates.Alike`; none without."""
    if not alike.nearest:
        return []
    nearest = ", ".join(f"{first.images[i].name} ~ {second.images[j].name}" for _, i, j in alike.nearest[:NAMES_SHOWN])
    return [
        f"images of {second.split} that look like one of {first.split}{how}: {alike.images}, in {alike.pairs} pairs "
        f"(nearest: {nearest})"
    ]


def _same_files(first, second):
    """Images of `second` that share pixels with one of `first`, as both are of one file."""
    own, others = ([image for image in split.images if image.image] for split in (first, second))
    windows = [[(image.image, image.window) for image in images] for images in (own, others)]
    return [*itertools.compress(others, share_images(*windows))]


def _ground_notes(first, second):
    """Lines on images of both splits that show the same ground by their georeference."""
    grounds = [ground.ground_of(one.images, one.shapes) for one in (first, second)]
    names = f"{first.split} and {second.split}"
    if ground.at_one_place(*grounds):
        return [
            f"all images of {names} lie at one place by their georeference: is it right, and do they show the same?"
        ]
    found = sorted(ground.shared(*grounds), key=lambda pair: -pair[2])
    if not found:
        return []
    most = ", ".join(f"{one} ~ {other} {share:.0%}" for one, other, share in found[:NAMES_SHOWN])
    images = len({other for _, other, _ in found})
    return [
        f"images of {second.split} that show ground of {first.split}, by their georeference: {images} (most: {most})"
    ]


def _shared_scenes(first, second):
    """Scenes of which images are in both splits, by names that are surely those of tiles or frames."""
    names = [[image.name for image in split.images if not image.window] for split in (first, second)]
    scenes = find_scenes([*names[0], *names[1]]) if all(names) else None
    return sorted(set.intersection(*({*scenes.of(own).values()} for own in names))) if scenes and scenes.sure else []


def _of_different_files(first, second, pairs):
    """Samples of the pairs of indices, less those of one file that is listed twice."""
    samples = [(first.images[i], second.images[j]) for i, j in pairs]
    return [(a, b) for a, b in samples if a.image is None or (a.image, a.window) != (b.image, b.window)]


def _pairs(samples):
    return _listed([f"{one.name} = {other.name}" for one, other in samples])


def _names(spec, chosen):
    """Names of the classes where [num_classes] bool is set."""
    return [spec.classes[index] for index in np.flatnonzero(chosen)]


def _listed(names):
    """How many there are, and some of them."""
    return f"{len(names)} ({some(names)})"


def some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
