"""Drafts the dataset.yaml of your own data: `did_tf describe-data --images photos --labels masks`.

It looks at every file (`make describe-data IMAGES=dir LABELS=dir DATA=dir` runs this). What the classes are called,
only you can say.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from data_pipelines.drafting.label_folders import folders_of_masks, looked_at
from data_pipelines.drafting.label_lines import label_lines, mask_lines
from data_pipelines.drafting.label_looks import labels_of
from data_pipelines.drafting.nodata_lines import nodata_lines
from data_pipelines.drafting.sizes import check_channels, compare
from data_pipelines.own_data.contents import kind_of, suffixes
from data_pipelines.own_data.description import NAMES
from data_pipelines.own_data.matching import IMAGES, LABELS, LOSSY, list_files, tell_leftovers
from data_pipelines.own_data.parts import Part
from data_pipelines.own_data.splits import place, share_out
from data_pipelines.programs import command
from data_pipelines.spec import COLOURS, DataError
from data_pipelines.writing import check_writable, write_file

EPILOG = """example:
  did_tf describe-data --images photos --labels masks --extras depth --folder data/mine
writes data/mine/dataset.yaml, which names these folders. Nothing is copied, and nothing is overwritten.
"""
SHARES = {"train": 0.8, "val": 0.2}


def main(argv: list[str] | None = None) -> int:
    """Runs `did_tf describe-data`. Returns the exit status."""
    parser = command.Parser("Drafts a dataset.yaml from what the files hold.", EPILOG, dataset=False)
    parser.set_defaults(folder="data/folders")
    parser.add_argument("--images", required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--labels", required=True, metavar="DIR", help="folder of the labels; it may be the same")
    parser.add_argument(
        "--extras", nargs="+", default=[], metavar="DIR", help="folders of further bands, such as depth"
    )
    return command.run(_program, parser, argv)


def _program(args: argparse.Namespace) -> int:
    folder = Path(args.folder)
    for name in NAMES:
        if (folder / name).exists():
            raise DataError(f"{folder / name} is there already: edit it, delete it, or name another --folder=dir")
    check_writable(folder, "name another --folder=dir")
    text, summary = draft(folder, Path(args.images), Path(args.labels), [Path(extra) for extra in args.extras])
    path = folder / NAMES[0]
    write_file(path, text.encode())
    print(f"{path}: {summary}\nNow give the classes their names in it, and then")
    place = shlex.quote(args.folder)
    print(f"  did_tf check-data --dataset=folders --folder={place}")
    for name in ("show-data", "train"):
        print(f"  did_tf {name} --experiment=did_folders --data={place}")
    return 0


def draft(folder: Path, image_folder: Path, label_folder: Path, extra_folders: Sequence[Path] = ()) -> tuple[str, str]:
    """(text of a dataset.yaml for `folder`, a line on what was found and further ones on what was chosen and why).

    Raises:
      DataError: files are missing or unreadable, or differ in what they hold.
    """
    image_suffix, label_suffix = suffixes(image_folder, label_folder)
    label = Part(label_folder, label_suffix, (), "")
    parts = [Part(image_folder, image_suffix, (), ""), *(Part(extra, "", (), "") for extra in extra_folders)]
    found = [list_files(part, [*parts, label], IMAGES) for part in parts]
    labels = _label_files(label, [*parts, label])
    masks = folders_of_masks(set.intersection(*map(set, found)), labels)
    if masks:
        labels = {name: files[name] for files in reversed(masks.values()) for name in files}
    names = sorted(set.intersection(*map(set, found), labels))
    if not names:
        raise DataError(
            f"no image of {image_folder} has the name of a label of {label_folder}: the first are {min(found[0])!r} "
            f"and {min(labels)!r}; rename them alike, but for one ending"
        )
    tell_leftovers([*found, labels], [image_folder, *extra_folders, label_folder], names)
    check_channels(found[0][names[0]], labels[names[0]])
    kinds = [kind_of(part.folder, files.values()) for part, files in zip(parts, found)]
    if masks:
        of_labels, choices = mask_lines(*looked_at(masks))
        what = f"masks of {len(masks)} classes"
    else:
        looks = labels_of(list(labels.values()))
        of_labels, choices = label_lines(looks)
        what = f"{len(looks.counts)} {'colours' if looks.colours else 'ids'}"
    choices += compare(found[0], labels, names)
    lines = [
        f"# Drafted from {len(found[0])} images and {len(labels)} labels, {len(names)} of them pairs.",
        "# All keys are explained in data_pipelines/own_data/description.py of did_tf.",
        f"images: {_path(image_folder, folder)}",
        f"labels: {_path(label_folder, folder)}",
        *([f"image_suffix: {json.dumps(image_suffix)}"] if image_suffix else []),
        *([f"label_suffix: {json.dumps(label_suffix)}"] if label_suffix else []),
        f"bands: {_names(kinds[0])}",
        f"dtype: {kinds[0].dtype}",
        *_extras(parts[1:], kinds[1:], folder),
        *nodata_lines(kinds, found),
        *of_labels,
        *_splits(names),
    ]
    bands = sum(kind.bands for kind in kinds)
    summary = f"{len(names)} pairs; {bands} bands of {', '.join(kind.dtype for kind in kinds)}; {what}"
    return "\n".join(lines) + "\n", "\n".join([summary, *choices])


def _label_files(label, everything):
    """Name -> path; where all are in JPEG or WebP, of these."""
    try:
        return list_files(label, everything, LABELS)
    except DataError:
        return list_files(label, everything, LABELS | LOSSY)


def _path(path, folder):
    """As it stands in the dataset.yaml of `folder`, from where a relative path counts."""
    # Through a link, ".." is the parent of what it points to.
    text = path if path.is_absolute() else Path(os.path.relpath(path.parent.resolve() / path.name, folder.resolve()))
    return json.dumps(text.as_posix(), ensure_ascii=False)


def _names(kind):
    """Three are red, green and blue in almost every picture; of others nobody knows."""
    names = COLOURS if kind.bands == len(COLOURS) else [f"band_{number}" for number in range(1, kind.bands + 1)]
    hint = "" if kind.bands == len(COLOURS) else "  # call some red, green and blue, and pictures are in colour"
    return f"[{', '.join(names)}]{hint}"


def _extras(parts, kinds, folder):
    lines = ["extras:"] if parts else []
    for part, kind in zip(parts, kinds):
        name = part.folder.name
        names = [name] if kind.bands == 1 else [f"{name}_{number}" for number in range(1, kind.bands + 1)]
        bands = json.dumps(names, ensure_ascii=False)
        lines.append(f"  - {{folder: {_path(part.folder, folder)}, bands: {bands}, dtype: {kind.dtype}}}")
    return lines


def _splits(names):
    """Shares; where the hashes of few names fall too unevenly for that, lists."""
    counts = {split: len(found) for split, found in share_out(SHARES, {name: name for name in names}).items()}
    if SHARES["val"] / 2 <= counts["val"] / len(names) <= SHARES["val"] * 2 or len(names) < 2:
        told = ", ".join(f"{count} of {split}" for split, count in counts.items())
        return [f"splits: {json.dumps(SHARES).replace(chr(34), '')}  # of the names, by their hash; as yet {told}"]
    ordered = sorted(names, key=place)
    cut = min(round(SHARES["train"] * len(names)), len(names) - 1)
    lists = {"train": sorted(ordered[:cut]), "val": sorted(ordered[cut:])}
    return ["splits:", *(f"  {split}: {json.dumps(found, ensure_ascii=False)}" for split, found in lists.items())]


def launch() -> NoReturn:
    """What the command line starts: `main`, whose result becomes the exit status."""
    sys.exit(main())
