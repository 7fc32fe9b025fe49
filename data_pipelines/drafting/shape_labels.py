"""Labels that are files of other tools: whether they are, what shapes are called by, and how much these cover."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from data_pipelines.drafting.contents import each
from data_pipelines.drafting.label_lines import BACKGROUND
from data_pipelines.drafting.lines import as_name, quoted
from data_pipelines.own_data import shapes
from data_pipelines.own_data.annotations.loading import load
from data_pipelines.own_data.matching import IMAGES, files_below, list_shapes, named_files, places
from data_pipelines.own_data.messages import some
from data_pipelines.own_data.parts import Part
from data_pipelines.reading.shapes import Shape, draw
from data_pipelines.spec import IGNORE, DataError, DatasetSpec, Window

WORDS = ("class", "classname", "class_name", "label", "category", "type", "kind", "name", "landuse", "landcover")
"""Properties that say what a shape shows, the likeliest first."""
NOWHERE = IGNORE - 1
"""Value of what is in no shape; names have those below."""


class Shapes(NamedTuple):
    """What files of annotations hold.

    Attributes:
      labels: name of an image -> its file.
      tool: whose the files are.
      by: property that says what a shape shows, or "".
      others: properties that could.
      left: how many of what is no area there are, by kind.
      missing: how many images the files name that are not there.
    """

    labels: dict[str, Path]
    tool: str
    by: str
    others: list[str]
    left: Counter[str]
    missing: int


def are_shapes(images: Path, labels: Path) -> bool:
    """Whether labels are files of annotations: one file, a folder of such alone, or one beside most images."""
    if named_files(labels):
        return True
    if not all(place.is_dir() for place, _ in places(labels)):
        return False
    paths = [path for _, path in files_below(labels)]
    pictures, files = (
        {path.with_suffix("") for path in paths if path.suffix.lower() in ends} for ends in (IMAGES, shapes.FILES)
    )
    # More than half: masks with an ending of their own may lie beside the images, and have no such file.
    beside = pictures <= files or 2 * len(pictures & files) > len(pictures)
    return bool(files) and (beside if images.resolve() == labels.resolve() else not pictures)


def find_shapes(label: Part, images: Mapping[str, Path]) -> Shapes:
    """The `Shapes` for `images`, name -> path. Raises `DataError`."""
    paths = sorted({*list_shapes(label, images, "").values()})
    told = [load(path) for path in paths]
    by, others = _property([properties for one in told for properties in one.properties])
    left = sum((one.left for one in told), Counter[str]())
    labels = list_shapes(label, images, by)
    missing = sum(len(one.entries) for one in told) - len(labels) if told[0].names else 0
    return Shapes(labels, told[0].tool, by, others, left, missing)


def shape_lines(found: Shapes, images: Mapping[str, Path]) -> tuple[list[str], list[str], str]:
    """(lines of labels_hold, label_property, classes and rest; what is to be told of them; what the labels are).

    Args:
      found: of the labels.
      images: name -> path, of those that have one.

    Raises:
      DataError: a file can't be read, or fits its image not.
    """
    shown = {name: shapes.drawn_on(found.labels[name], image, found.by) for name, image in images.items()}
    times = Counter({shape.name: 0 for drawn in shown.values() for shape in drawn})
    times.update(shape.name for drawn in shown.values() for shape in drawn if not shape.void)
    pixels, alone, names = _pixels(found, images, sorted(times))
    total = int(pixels.sum())
    told = _told(found, [name for name, drawn in shown.items() if not drawn], pixels[NOWHERE] / total)
    told += _crowds([shape for drawn in shown.values() for shape in drawn if shape.void], pixels[IGNORE] / total)
    told += _overlaps({name: (pixels[n], alone[n]) for n, name in enumerate(sorted(times))}, names[2:].sum() / total)
    lines = [f"labels_hold: shapes  # of {found.tool}"]
    lines += [f"label_property: {quoted(found.by)}"] if found.by else []
    lines.append("classes:  # name in the files: name")
    lines += [
        f"  {quoted(name)}: {quoted(as_name(name))}  # {times[name]} shapes, {pixels[number] / total:.2%} of the pixels"
        for number, name in enumerate(sorted(times))
    ]
    rest = f"rest: {BACKGROUND}  # what no shape covers; or void: others, where that was not labelled"
    rest = rest if pixels[NOWHERE] else "void: others  # what no shape covers, of which there is none"
    return [*(f"# {line}" for line in told), *lines, rest], told, f"shapes of {found.tool}, {len(times)} classes"


def _told(found, empty, share):
    told = [f"{share:.2%} of the pixels are in no shape: they are {BACKGROUND}, unless you say void: others"]
    if not share:
        told = []
    if empty:
        told.append(f"{len(empty)} images have no shape: {some(empty)}")
    if found.by:
        others = f"; others could be: {', '.join(found.others)}" if found.others else ""
        told.append(f"shapes are called by their property {found.by!r} (label_property){others}")
    if found.missing:
        told.append(f"{found.missing} images that the labels name are not there")
    if found.left:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(found.left.items()))
        told.append(f"left out, as they are no areas: {kinds}")
    return told


def _crowds(crowds, share):
    return [f"{len(crowds)} shapes are crowds (iscrowd): void, {share:.2%} of the pixels"] if crowds else []


def _overlaps(pixels, share):
    """A line on the `share` of pixels that two names have, by {name: (pixels that are seen, that there are)}."""
    if not share:
        return []
    hidden = {name: 1 - seen / drawn for name, (seen, drawn) in pixels.items() if drawn}
    most = max(hidden, key=lambda name: hidden[name])
    return [
        f"{share:.2%} of the pixels are in shapes of two classes or more; hidden most: {as_name(most)}, "
        f"{hidden[most]:.2%} of its own (masks_overlap: last puts the later of classes above, a map keeps both)"
    ]


def _pixels(found, images, names):
    """[3, 256] int64: as of `_counts`, of all images; `NOWHERE` is what has no name."""
    if not names or len(names) > NOWHERE:
        raise DataError(f"shapes have {len(names)} names, and there can be 1 to {NOWHERE}: {some(names)}")
    facts = {"shapes": tuple((name, number) for number, name in enumerate(names)), "label_property": found.by}
    spec = DatasetSpec("draft", tuple(names), ((0, 0, 0),) * len(names), {}, (), (), rest=NOWHERE, **facts)
    of_image = {path: found.labels[name] for name, path in images.items()}
    counts = each(lambda path: _counts(of_image[path], path, spec), list(of_image), "drawing labels")
    return np.sum([count for _, count in counts], axis=0)


def _counts(file, image, spec):
    """[3, 256] int64: pixels of each value, of each name where it is drawn alone, and that so many names have."""
    label = shapes.read(file, image, spec)
    numbers = dict(spec.shapes)
    own: dict[int, list[tuple[Shape, int]]] = defaultdict(list)
    for shape in shapes.drawn_on(file, image, spec.label_property):
        if not shape.void:
            own[numbers[shape.name]].append((shape, 1))
    height, width = label.shape
    alone, names = np.zeros(IGNORE + 1, np.int64), np.zeros((height, width), np.uint8)
    for number, drawn in own.items():
        mask = draw(drawn, (height, width), 0, Window(0, 0, height, width))
        alone[number], names = np.count_nonzero(mask), names + mask
    seen, times = (np.bincount(one.ravel(), minlength=IGNORE + 1) for one in (label, names))
    return np.stack([seen, alone, times])


def _property(properties: Sequence[Mapping[str, Any]]) -> tuple[str, list[str]]:
    """(the property that says what shapes show, or ""; others that could)."""
    every = set.intersection(*map(set, properties)) if properties else set()
    values = {key: {_plain(one[key]) for one in properties} for key in every}
    fit = [key for key in sorted(values) if "" not in values[key] and len(values[key]) < IGNORE]
    known = sorted((key for key in fit if key.lower() in WORDS), key=lambda key: WORDS.index(key.lower()))
    repeated = [key for key in fit if 1 < len(values[key]) <= len(properties) / 2 and key not in known]
    choice = [*known, *sorted(repeated, key=lambda key: len(values[key]))]
    return (choice[0], choice[1:]) if choice else ("", [])


def _plain(value):
    """Text, or nothing where a property is no name."""
    return str(value) if isinstance(value, (str, int, float)) and not isinstance(value, bool) else ""
