"""Which files are images, labels and further bands: what was chosen, what was left out, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from data_pipelines.drafting.layout import IMAGE_FOLDERS, find_layout
from data_pipelines.drafting.lines import as_name, quoted, relative
from data_pipelines.drafting.naming import Affix, find_naming, look, look_for_labels
from data_pipelines.own_data.matching import IMAGES, files_below
from data_pipelines.own_data.parts import Part
from data_pipelines.own_data.shapes import FILES
from data_pipelines.reading.images import size_of
from data_pipelines.spec import COLOURS, NOTES, DataError


class Found(NamedTuple):
    """Files of images and labels.

    Attributes:
      parts: of the images' bands, without names of these and dtype yet; the images' own files first.
      label: of the labels.
      notes: lines on what was chosen and left out.
      other_labels: of files that could be labels as well.
    """

    parts: list[Part]
    label: Part
    notes: list[str]
    other_labels: list[Affix]


def find_files(images: Path, labels: Path, extras: Sequence[Path] = ()) -> Found:
    """Where the files are that a user means by these folders, and how their names tell them apart.

    Raises:
      DataError: no such folder, or it can't be read; or one folder for both in which nothing fits.
    """
    layout = find_layout(images, labels, extras)
    found, of_labels = look(layout.images, IMAGES), look_for_labels(layout.labels)
    naming = find_naming(found, of_labels)
    if layout.images.resolve() == layout.labels.resolve() and naming.label in naming.images:
        drawn = _others(layout.labels, FILES)
        way = f"; its {drawn} are labels if they are named (--labels=FILE) or in a folder of their own" if drawn else ""
        raise DataError(
            f"in {layout.images} no label lies beside its image, with a name that begins or ends otherwise: name the "
            "folders of images and of labels; those of several splits in braces: --images='data/{train,val}/images'"
            f"{way}"
        )
    parts = [_part(layout.images, affix) for affix in naming.images]
    for folder in layout.extras:
        parts += [_part(folder, affix) for affix in find_naming(look(folder, IMAGES), of_labels).images]
    notes = [*layout.notes]
    if len(naming.images) > 1:
        notes.append(f"bands in files of their own: {_list(naming.images)} of {layout.images}")
    if naming.other_images:
        notes.append(f"left out of {layout.images}: {_list(naming.other_images)}")
    for folder in dict.fromkeys((layout.images, layout.labels)):
        if others := _others(folder):
            notes.append(f"left out of {folder}, as they are no images: {others}")
    return Found(parts, _part(layout.labels, naming.label), notes, naming.other_labels)


def left_note(files: Found) -> list[str]:
    """A line on the files that could be labels as well, if there are any."""
    label = Affix(files.label.prefix, files.label.suffix)
    left = _list(files.other_labels)
    return [f"labels are {label} of {files.label.folder}; left out: {left}"] if left else []


def alike(parts: Sequence[Part], found: Sequence[Mapping[str, Path]], name: str) -> tuple[list[int], list[str]]:
    """(numbers of the parts whose files are as large as most of one image's are, lines on the others).

    Args:
      parts: of the images.
      found: name -> path, of each.
      name: of an image that all have.
    """
    sizes = [size_of(files[name]) for files in found]
    usual, _ = Counter(sizes).most_common(1)[0]
    kept = [number for number, size in enumerate(sizes) if size == usual]
    return kept, [
        f"{Affix(part.prefix, part.suffix)} of {part.folder} is left out: its files have {size[0]}x{size[1]} pixels, "
        f"and others {usual[0]}x{usual[1]}"
        for part, size in zip(parts, sizes)
        if size != usual
    ]


def file_lines(parts: Sequence[Part], label: Part, folder: Path) -> list[str]:
    """Lines of the dataset.yaml in `folder` that say where the files are, but for further bands."""
    image = parts[0]
    keys = {
        "images": relative(image.folder, folder),
        "labels": relative(label.folder, folder),
        "image_prefix": image.prefix,
        "image_suffix": image.suffix,
        "label_prefix": label.prefix,
        "label_suffix": label.suffix,
    }
    return [f"{key}: {quoted(value)}" for key, value in keys.items() if value]


def band_names(parts: Sequence[Part], counts: Sequence[int]) -> list[list[str]]:
    """Names of the bands of each part, of which `counts` says how many: three are red, green and blue in most pictures.

    Bands in files of their own are called by what tells these apart, or by their folder.
    """
    several = Counter(part.folder for part in parts)
    found = []
    for number, (part, bands) in enumerate(zip(parts, counts)):
        own = _said(part) if several[part.folder] > 1 else ""
        if not own and len(several) > 1 and part.folder.name.lower() not in IMAGE_FOLDERS:
            own = part.folder.name
        name = as_name(own or (part.folder.name if number else "band"))
        if bands == len(COLOURS) and not number:
            found.append([*COLOURS])
        elif bands == 1 and (own or number):
            found.append([name])
        else:
            found.append([f"{name}_{band}" for band in range(1, bands + 1)])
    return found


def extra_lines(
    parts: Sequence[Part], names: Sequence[Sequence[str]], dtypes: Sequence[str], folder: Path
) -> list[str]:
    """Lines of the dataset.yaml in `folder` for further bands, those of all parts but the first."""
    lines = ["extras:"] if len(parts) > 1 else []
    for part, bands, dtype in [*zip(parts, names, dtypes)][1:]:
        affixes = {"prefix": part.prefix, "suffix": part.suffix}
        told = "".join(f", {key}: {quoted(text)}" for key, text in affixes.items() if text)
        place = quoted(relative(part.folder, folder))
        lines.append(f"  - {{folder: {place}, bands: {quoted(bands)}, dtype: {dtype}{told}}}")
    return lines


def _said(part):
    """The words of a part's prefix and suffix."""
    text, dot, extension = part.suffix.rpartition(".")
    suffix = text if f"{dot}{extension}".lower() in IMAGES else part.suffix
    return "_".join(re.findall(r"[^\W_]+", f"{part.prefix} {suffix}"))


def _part(folder, affix):
    return Part(folder, affix.suffix, (), "", affix.prefix)


def _list(affixes):
    return ", ".join(map(str, affixes))


def _others(folder, ends=frozenset()):
    """How many files there are of which extension: of `ends`, or else of all that no image has."""
    paths = (path for _, path in files_below(folder) if not path.name.endswith(NOTES))
    counts = Counter(path.suffix.lower() for path in paths if path.suffix)
    return ", ".join(f"{counts[end]} {end}" for end in sorted({*counts} & (ends or {*counts} - IMAGES)))
