"""Drafts the dataset.yaml of your own data: `did_tf describe-data --images photos --labels masks`.

It looks at every file (`make describe-data IMAGES=dir LABELS=dir DATA=dir` runs this). What the classes are called,
only you can say.
"""

from __future__ import annotations

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, NoReturn

from data_pipelines.drafting.contents import kind_of
from data_pipelines.drafting.files import alike, band_names, extra_lines, file_lines, find_files, left_note
from data_pipelines.drafting.label_folders import Masks, find_masks, looked_at, masks_beside
from data_pipelines.drafting.label_lines import label_lines, mask_lines
from data_pipelines.drafting.label_looks import labels_of
from data_pipelines.drafting.layout import check_there
from data_pipelines.drafting.lines import bare, written_out
from data_pipelines.drafting.naming import Affix
from data_pipelines.drafting.nodata_lines import nodata_lines
from data_pipelines.drafting.shape_labels import Shapes, are_shapes, find_shapes, shape_lines
from data_pipelines.drafting.sizes import check_channels, compare, compare_places
from data_pipelines.drafting.splits import check_folders, draft_splits
from data_pipelines.own_data.description import NAMES
from data_pipelines.own_data.matching import IMAGES, list_files, list_labels, places, tell_leftovers
from data_pipelines.own_data.parts import Part
from data_pipelines.programs import command
from data_pipelines.spec import COLOURS, DataError
from data_pipelines.writing import check_writable, write_file

EPILOG = """example:
  did_tf describe-data --images photos --labels masks --extras depth --folder data/mine
writes data/mine/dataset.yaml, which names these folders. Nothing is copied, and nothing is overwritten.
"""


class _Pairs(NamedTuple):
    """Images and labels that belong together.

    Attributes:
      parts: where the images' bands come from, their own files first.
      label: of the labels.
      found: name -> path, of the pairs alone and in their order, for each of `parts`.
      labels: name -> path of all labels.
      masks: of the classes, if labels are that.
      images: how many there are, also without label.
      shapes: what labels are, if they are files of annotations.
    """

    parts: list[Part]
    label: Part
    found: list[dict[str, Path]]
    labels: Mapping[str, Path]
    masks: Masks | None
    images: int
    shapes: Shapes | None = None


def main(argv: list[str] | None = None) -> int:
    """Runs `did_tf describe-data`. Returns the exit status."""
    parser = command.Parser("Drafts a dataset.yaml from what the files hold.", EPILOG, dataset=False)
    parser.set_defaults(folder="data/folders")
    parser.add_argument(
        "--images",
        action="append",
        required=True,
        metavar="DIR",
        help="folder of the images; several: '{train,val}/images'",
    )
    parser.add_argument(
        "--labels",
        action="append",
        required=True,
        metavar="DIR",
        help="folder of the labels, maybe the same; or a file of annotations",
    )
    parser.add_argument(
        "--extras",
        action="extend",
        nargs="+",
        default=[],
        metavar="DIR",
        help="folders of further bands, such as depth",
    )
    return command.run(_program, parser, argv)


def _program(args: argparse.Namespace) -> int:
    folder, images, labels = Path(args.folder), _once("--images", args.images), _once("--labels", args.labels)
    for name in NAMES:
        if (folder / name).exists():
            raise DataError(f"{folder / name} is there already: edit it, delete it, or name another --folder=dir")
    check_writable(folder, "name another --folder=dir")
    text, summary = draft(folder, images, labels, [Path(extra) for extra in args.extras])
    path = folder / NAMES[0]
    write_file(path, text.encode())
    print(f"{path}: {summary}\nNow give the classes their names in it, and then")
    place = shlex.quote(args.folder)
    print(f"  did_tf check-data --dataset=folders --folder={place}")
    for name in ("show-data", "train"):
        print(f"  did_tf {name} --experiment=did_folders --data={place}")
    return 0


def _once(flag, given):
    """The path that a flag is given. Raises `DataError` where there are several, of which the last would count."""
    if len(given) > 1:  # which is what shells make of braces without quotes
        raise DataError(f"{flag} is there {len(given)} times: give it once, braces in quotes")
    return Path(given[0])


def draft(folder: Path, image_folder: Path, label_folder: Path, extra_folders: Sequence[Path] = ()) -> tuple[str, str]:
    """(text of a dataset.yaml for `folder`, a line on what was found and further ones on what was chosen and why).

    Raises:
      DataError: files are missing or unreadable, or differ in what they hold.
    """
    pairs, notes = _look(image_folder, label_folder, extra_folders)
    kinds = [kind_of(part.folder, list(own.values())) for part, own in zip(pairs.parts, pairs.found)]
    bands = band_names(pairs.parts, [kind.bands for kind in kinds])
    places_of_images = [place for place, _ in places(pairs.parts[0].folder)]
    may_have_lists = [*(place.parent for place in places_of_images), *places_of_images, folder]
    splits = draft_splits(pairs.parts[0], pairs.found[0], may_have_lists, folder)
    notes += splits.notes
    of_labels, choices, what = _label_lines(pairs)
    of_nodata, told = nodata_lines(kinds, pairs.found)
    names = list(pairs.found[0])
    choices += told
    if not pairs.shapes:
        choices += compare(pairs.found[0], pairs.labels, names)
    for other in (*pairs.found[1:], *([] if pairs.shapes else [pairs.labels])):
        choices += compare_places(pairs.found[0], other, names)
    lines = [
        f"# Drafted from {pairs.images} images and {len(pairs.labels)} labels, {len(names)} of them pairs.",
        "# All keys are explained in docs/reference/dataset-yaml.md of did_tf.",
        *(f"# {text[:1].upper()}{text[1:]}." for text in notes),
        *file_lines(pairs.parts, pairs.label, folder),
        f"bands: {bare(bands[0])}{_hint(bands)}",
        f"dtype: {kinds[0].dtype}",
        *extra_lines(pairs.parts, bands, [kind.dtype for kind in kinds], folder),
        *of_nodata,
        *of_labels,
        *splits.lines,
    ]
    total = sum(kind.bands for kind in kinds)
    of_bands = f"{total} band{'s' * (total > 1)} of {', '.join(kind.dtype for kind in kinds)}"
    summary = f"{len(names)} pairs; {of_bands}; {what}"
    return "\n".join([*map(written_out, lines), ""]), "\n".join([summary, *notes, *choices])


def _look(images, labels, extras):
    """(`_Pairs` of what the user's folders hold, lines on what was chosen and left out)."""
    if are_shapes(images, labels):
        return _with_shapes(images, labels, extras), []
    files = find_files(images, labels, extras)
    pairs, notes = _pair_up(files)
    return pairs, [*files.notes, *([] if pairs.masks else left_note(files)), *notes]


def _with_shapes(images, labels, extras):
    check_there((images, *extras))
    parts, label = [Part(folder, "", (), "") for folder in (images, *extras)], Part(labels, "", (), "")
    found = [list_files(part, parts, IMAGES) for part in parts]
    shapes = find_shapes(label, found[0])
    names = sorted(set.intersection(*map(set, found), shapes.labels))
    if not names:
        raise DataError(
            f"no image of {images} has the name of a file of {labels}: the first are {min(found[0])!r} and "
            f"{min(shapes.labels)!r}"
        )
    tell_leftovers([*found, shapes.labels], [images, *extras, labels], names)
    fitting = [{name: files[name] for name in names} for files in found]
    return _Pairs(parts, label, fitting, shapes.labels, None, len(found[0]), shapes)


def _pair_up(files):
    """(`_Pairs` of the files that were found, lines on further bands that are left out)."""
    parts, label, everything = files.parts, files.label, [*files.parts, files.label]
    found = [list_files(part, everything, IMAGES) for part in parts]
    labels = list_labels(label, everything, lossy=True)
    fit = set.intersection(*map(set, found), labels)
    masks = _masks(files) if files.other_labels or not fit else None
    if masks:
        parts[0], label = _affixed(parts[0], masks.image), _affixed(label, masks.label)
        found[0], labels = list_files(parts[0], [*parts, label], IMAGES), masks.first
    names = sorted(set.intersection(*map(set, found), labels))
    check_folders(found[0], labels)
    if not names:
        raise DataError(
            f"no image of {parts[0].folder} has the name of a label of {label.folder}: the first are {min(found[0])!r} "
            f"and {min(labels)!r}; rename them alike, but for one beginning and ending, or name other folders (those "
            "of several splits in braces: --images='data/{train,val}/images')"
        )
    tell_leftovers([*found, labels], [*(part.folder for part in parts), label.folder], names)
    check_channels(found[0][names[0]], labels[names[0]])
    kept, notes = alike(parts, found, names[0])
    fitting = [{name: found[number][name] for name in names} for number in kept]
    return _Pairs([parts[number] for number in kept], label, fitting, labels, masks, len(found[kept[0]])), notes


def _label_lines(pairs):
    """(lines of the dataset.yaml on what labels hold, lines on what was chosen, how many classes that are)."""
    if pairs.shapes:
        return shape_lines(pairs.shapes, pairs.found[0])
    if pairs.masks:
        return *mask_lines(*looked_at(pairs.masks.files)), f"masks of {len(pairs.masks.files)} classes"
    looks = labels_of([pairs.labels[name] for name in pairs.found[0]])
    return *label_lines(looks), f"{len(looks.counts)} {'colours' if looks.colours else 'ids'}"


def _masks(files):
    """Masks of several classes, if that is what the labels are."""
    image, label = files.parts[0].folder, files.label.folder
    if files.other_labels:
        return masks_beside(image, label, [Affix(files.label.prefix, files.label.suffix), *files.other_labels])
    return find_masks(image, label)


def _affixed(part, affix):
    return dataclasses.replace(part, prefix=affix.prefix, suffix=affix.suffix)


def _hint(bands):
    """Of bands whose colours nobody knows, where there may be some."""
    named = {name for names in bands for name in names}
    known = set(COLOURS) <= named or len(named) < len(COLOURS)
    return "" if known else "  # call some red, green and blue, and pictures are in colour"


def launch() -> NoReturn:
    """What the command line starts: `main`, whose result becomes the exit status."""
    sys.exit(main())
