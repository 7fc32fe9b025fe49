"""Reads a whole data set and says what is in it: `did_tf check-data --dataset camvid`.

The exit status is 2 where something would spoil a training (`make check-data DATASET=camvid` runs this).
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import numpy as np

from data_pipelines import load
from data_pipelines.audit import decoder, findings, nodata
from data_pipelines.audit.contact_sheet import Entry, write_sheet
from data_pipelines.audit.survey import survey
from data_pipelines.programs import command
from data_pipelines.spec import AbsentSplit, DataError
from data_pipelines.writing import check_writable, write_json

SHOWN = 20
"""That many problems are printed; of the others, the number."""
SIZES_SHOWN = 5
CLASSES_SHOWN = 100
"""More classes than that are not listed one by one."""
SAMPLES_SHOWN, ODD_SHOWN, PAIRS_SHOWN = 12, 4, 8

EPILOG = """Every image is read once, whole, in threads; of each only a few numbers are kept. Splits without labels are
checked as far as they go.

problems, with which the exit status is 2:
  a number of samples other than the published one, names listed twice, labels without image
  files that are missing, unreadable or truncated; NaN; sizes or numbers of bands that don't fit
  class ids that the data set's table has not; in classification, classes of train without images
  fewer than two classes; labels of train or val that are void altogether; train showing one class alone
  files of an image that lie at different places by their georeference; labels whose nodata tag is a class
  classes of which nodata takes all; JPEGs on which their decoder reports damage
  labels of ids whose palettes give one index other colours in other files
  the same file or the same pixels in two splits (but for those that are published so, such as train and trainval)
notes, with which it is 0:
  absent splits; images without contrast, of unusual size, or with labels of void alone; images repeated in a split
  nodata that takes much of a class; files whose nodata tags differ from the others'
  images in two splits that look alike: sized or compressed anew, mirrored or turned, or frames that follow each other
  images in two splits that show the same ground by their georeference, or the same scene by their names
  classes that train never shows; classes that are spread otherwise than in train

written to --output:
  audit.json    all figures, problems and notes
  SPLIT.png     some images of each split beside their labels
  odd.png       the images that the notes are about, and those with the most void
  pairs.png     images of two splits that are alike, side by side

Shares of the classes are of the labelled pixels, that of void is of all. Weights: median frequency balancing as in
SegNet (a class's frequency is its share of the pixels of the images that show it), which training has with
loss.class_frequency=segnet; beside it, what it has without (shares of the pixels of all images). Where images are cut
into windows, weights are of these, as training counts them, and all other figures are of whole images.

exit status: 0 nothing is wrong; 1 a failure while running; 2 there are problems (listed on stderr)
"""


def main(argv: list[str] | None = None) -> int:
    """Runs `did_tf check-data`. Returns the exit status."""
    parser = command.Parser("Reads every file of a data set and reports what is in it.", EPILOG)
    parser.add_argument("--output", metavar="DIR", help="for the report and the pictures (default: runs/audit/NAME)")
    parser.add_argument("--splits", metavar="A,B", help="splits to check (default: all)")
    parser.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="of the data set, as in dataset.options"
    )
    return command.run(_program, parser, argv)


def _program(args):
    output = Path(args.output or f"runs/audit/{args.dataset}")
    check_writable(output, "pass another --output=dir")
    dataset = load(args.dataset, args.folder, **command.options(args.option))
    splits = args.splits.split(",") if args.splits else list(dataset.spec.splits)
    found, notes, problems = _survey_all(dataset, splits)
    verdict = findings.judge(dataset.spec, found, dataset.overlapping)
    verdict = verdict._replace(problems=problems + verdict.problems, notes=notes + verdict.notes)
    if found:
        print("\n".join([_table(dataset.spec, found), *_weights(dataset.spec, found), ""]))
    for note in verdict.notes:
        print(f"note: {note}")
    _write_report(output / "audit.json", dataset.spec, found, verdict)
    pictures = _write_pictures(output, dataset, found, verdict.pairs)
    print(f"written to {output}: {', '.join(['audit.json', *pictures])}")
    for problem in verdict.problems[:SHOWN]:
        print(f"problem: {problem}", file=sys.stderr)
    if len(verdict.problems) > SHOWN:
        print(f"and {len(verdict.problems) - SHOWN} more problems", file=sys.stderr)
    return command.BAD_INPUT if verdict.problems else 0


def _survey_all(dataset, splits):
    """Surveys of the splits that are there, notes on those that are not, problems of those that can't be listed."""
    found, notes, problems = [], [], []
    for split in splits:
        try:
            found.append(survey(dataset, split, progress=True))
            odd = _odd_files(dataset, found[-1])
            problems += [f"{split}: {line}" for line in odd.problems]
            notes += [f"{split}: {line}" for line in odd.notes]
        except AbsentSplit as error:
            notes.append(str(error))
        except DataError as error:
            problems.append(str(error))
    if not found and not problems:
        raise DataError(f"{dataset.spec.name} has none of these splits: {notes[0]}")
    return found, notes, problems


def _odd_files(dataset, one):
    """Lines on files that could be read and are odd all the same."""
    images = [image for image, readable in zip(one.images, one.readable) if readable]
    told = decoder.complaints(path for image in images for path in (image.image, image.label, *image.extras) if path)
    return told._replace(notes=told.notes + dataset.odd_files(images))


def _table(spec, found):
    """The splits side by side, one column each."""
    sizes = sum((one.sizes for one in found), Counter[tuple[int, int]]()).most_common()
    rows = [
        [spec.name, *(one.split for one in found)],
        ["samples", *(one.found for one in found)],
        ["expected", *(one.expected for one in found)],
    ]
    if any(one.found != len(one.images) for one in found):
        rows.append(["images they are cut from", *(len(one.images) for one in found)])
    rows.append(["problems", *(len(one.problems) for one in found)])
    for size, _ in sizes[:SIZES_SHOWN]:
        rows.append(["of {}x{} pixels".format(*size), *(one.sizes[size] for one in found)])
    if len(sizes) > SIZES_SHOWN:
        rows.append([f"and of {len(sizes) - SIZES_SHOWN} other sizes", *("" for _ in found)])
    return _aligned(rows + _class_rows(spec, found))


def _class_rows(spec, found):
    if spec.task == "classification":
        heading, void = "class, % of images", []
    else:
        heading = "class, % of labelled pixels"
        void = [["void, % of pixels", *(_percent(one.counts.void_share) if one.labelled else "" for one in found)]]
    if spec.num_classes > CLASSES_SHOWN:
        kinds: dict[str, Callable] = {"fewest": np.min, "median": np.median, "most": np.max}
        return void + [
            [f"images of a class, {name}", *(f"{kind(one.counts.images):g}" if one.labelled else "" for one in found)]
            for name, kind in kinds.items()
        ]
    return [
        *void,
        [heading, *("" for _ in found)],
        *(
            [f"  {index} {name}", *(_percent(one.counts.shares[index]) if one.labelled else "" for one in found)]
            for index, name in enumerate(spec.classes)
        ),
        *nodata.rows(spec, found),
    ]


def _weights(spec, found):
    """Lines: the weights that balance the classes of the training split, and how to train with them."""
    train = findings.training_split(found)
    if train is None:
        return []
    ready = "--config.loss.class_balance=1"
    if spec.task == "classification":
        return ["", f"to weigh the classes of {train.split} equally: {ready}"]
    weights = (train.of_samples.median_frequency_weights(), train.of_samples.balance_weights())
    columns = [[f"{weight:.4g}" for weight in column] for column in weights]
    rows = [[f"weights of {train.split}", "segnet", "all"]]
    rows += [[f"  {index} {name}", *cells] for index, (name, *cells) in enumerate(zip(spec.classes, *columns))]
    segnet = f"{ready} --config.loss.class_frequency=segnet"
    return ["", _aligned(rows), f"to train with those of segnet: {segnet}", f"or, with those of all: {ready}"]


def _write_report(path, spec, found, verdict):
    train = findings.training_split(found)
    report = {
        "dataset": spec.name,
        "problems": verdict.problems,
        "notes": verdict.notes,
        "splits": {one.split: _split_report(spec, one) for one in found},
        "weights_of": train.split if train else None,
        "class_weights": _by_class(spec, train.of_samples.median_frequency_weights()) if train else None,
        "class_balance_1": _by_class(spec, train.of_samples.balance_weights()) if train else None,
        "pairs": [
            {"splits": pair.splits, "images": [sample.name for sample in pair.samples], "distance": pair.distance}
            for pair in verdict.pairs
        ],
    }
    write_json(path, report)


def _split_report(spec, one):
    report = {
        "samples": one.found,
        "expected": one.expected,
        "images": len(one.images),
        "unusable": int((~one.readable).sum()),
        "sizes": {"{}x{}".format(*size): count for size, count in one.sizes.most_common()},
        **{kind: [one.images[index].name for index in odd(one)] for kind, odd in findings.ODD.items()},
    }
    if one.labelled:
        report["class_pixels" if spec.task == "segmentation" else "class_images"] = _by_class(spec, one.counts.pixels)
        report["class_shares"] = _by_class(spec, one.counts.shares)
    if one.labelled and spec.task == "segmentation":
        report["images_with_class"] = _by_class(spec, one.counts.images)
        report["void_share"] = one.counts.void_share
        pixels, moved, *_ = one.moved.sum(axis=0)
        report["taken_for_the_nearest"] = moved / pixels if pixels else 0.0
        report["nodata_pixels"] = int(one.taken.sum())
        report["nodata_shares"] = _by_class(spec, nodata.shares(spec, one))
    return report


def _by_class(spec, values):
    return dict(zip(spec.classes, values.tolist()))


def _write_pictures(folder, dataset, found, pairs):
    """Writes the contact sheets. Returns the names of their files."""
    sheets = {}
    for one in found:
        usable = np.flatnonzero(one.readable)
        chosen = usable[np.linspace(0, len(usable) - 1, min(SAMPLES_SHOWN, len(usable))).round().astype(int)]
        title = f"{dataset.spec.name} {one.split}: {len(chosen)} of {len(one.images)} images"
        sheets[f"{one.split}.png"] = title, [_entry(one, index) for index in chosen]
    sheets["odd.png"] = f"{dataset.spec.name}: the odd ones", _odd(found)
    alike = [Entry(pair.samples, findings.described(pair), labels=False) for pair in pairs[:PAIRS_SHOWN]]
    sheets["pairs.png"] = f"{dataset.spec.name}: images of two splits that are alike", alike
    for name, (title, entries) in sheets.items():
        if entries:
            write_sheet(folder / name, dataset, title, entries)
        else:
            (folder / name).unlink(missing_ok=True)  # of an earlier run
    return [name for name, (_, entries) in sheets.items() if entries]


def _odd(found):
    """Entries of a few images of every kind that the notes name, and of those with the most void."""
    entries = []
    for one in found:
        odd = {}
        for kind, find in findings.ODD.items():
            odd.update(dict.fromkeys(find(one)[:ODD_SHOWN].tolist(), kind.replace("_", " ")))
        void = np.nan_to_num(one.void)
        most = [index for index in np.argsort(-void, kind="stable")[:ODD_SHOWN].tolist() if void[index] > 0]
        odd.update({index: f"{void[index]:.0%} void" for index in most})
        entries += [_entry(one, index, f"{one.split}, {why}: ") for index, why in odd.items()]
    return entries


def _entry(one, index, before=""):
    return Entry([one.images[index]], before + one.images[index].name, one.labelled)


def _percent(share):
    return f"{share:.2%}"[:-1]


def _aligned(rows):
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows)]
    return "\n".join(
        "  ".join([first.ljust(widths[0]), *(str(cell).rjust(n) for cell, n in zip(cells, widths[1:]))]).rstrip()
        for first, *cells in rows
    )


def launch() -> NoReturn:
    """What the command line starts: `main`, whose result becomes the exit status."""
    sys.exit(main())
