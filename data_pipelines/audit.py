"""Reads a whole data set and says what is in it: `python -m data_pipelines.audit --dataset camvid`.

The exit status is 2 where something would spoil a training (`make check-data DATASET=camvid` runs this).
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
import os
import sys
from collections import Counter
from collections.abc import Mapping

import numpy as np
from tqdm import tqdm

from data_pipelines import command, load
from data_pipelines.spec import IGNORE, AbsentSplit, DataError, Dataset, Sample

SHOWN = 20
"""That many problems are printed; of the others, the number."""
SIZES_SHOWN = 5

EPILOG = """checks of every split: number of samples, missing and unpaired files, files that can't be read, images and
labels that differ in size, unknown class ids. Shares of the classes are of the labelled pixels, that of void is of all.

exit status: 0 nothing is wrong; 2 there are problems (listed on stderr)
"""


@dataclasses.dataclass(frozen=True, eq=False)
class SplitReport:
    """What `audit` found in one split.

    Attributes:
      split: its name.
      expected: number of samples it is published with.
      found: number of samples it has.
      sizes: (height, width) -> number of samples. Samples that can't be read are in none of the figures from here on.
      class_pixels: [num_classes] int64.
      void_pixels: number of pixels without a class.
      problems: one line each: whatever would spoil a training.
    """

    split: str
    expected: int
    found: int
    sizes: Mapping[tuple[int, int], int]
    class_pixels: np.ndarray
    void_pixels: int
    problems: tuple[str, ...]

    @property
    def class_shares(self) -> np.ndarray:
        """Share of each class among the pixels that have one, 0 to 1."""
        return self.class_pixels / max(self.class_pixels.sum(), 1)

    @property
    def void_share(self) -> float:
        """Share of void among all pixels, 0 to 1."""
        return self.void_pixels / max(self.class_pixels.sum() + self.void_pixels, 1)


def main(argv=None) -> int:
    parser = command.Parser("audit", "Reads every file of a data set and reports what is in it.", EPILOG)
    return command.run(_program, parser, argv)


def _program(args):
    dataset = load(args.dataset, args.folder)
    if dataset.spec.task != "segmentation":
        raise DataError(f"{args.dataset} is for {dataset.spec.task}: it has no label maps to check")
    reports, notes, problems = _audit_all(dataset)
    if reports:
        print(_table(dataset.spec, reports))
    for note in notes:
        print(f"note: {note}")
    problems += [problem for report in reports for problem in report.problems]
    for problem in problems[:SHOWN]:
        print(f"problem: {problem}", file=sys.stderr)
    if len(problems) > SHOWN:
        print(f"and {len(problems) - SHOWN} more problems", file=sys.stderr)
    return command.BAD_INPUT if problems else 0


def _audit_all(dataset):
    """Reports of the splits that are there, notes on those that are not, problems of those that can't be listed."""
    reports, notes, problems = [], [], []
    for split in dataset.spec.splits:
        try:
            reports.append(audit(dataset, split, progress=True))
        except AbsentSplit as error:
            notes.append(str(error))
        except DataError as error:
            problems.append(str(error))
    if not reports and not problems:
        raise DataError(f"{dataset.spec.name} has none of its splits: {notes[0]}")
    return reports, notes, problems


def audit(dataset: Dataset, split: str, progress: bool = False) -> SplitReport:
    """Reads all of `split`; problems are collected, however many they are.

    Args:
      dataset: any data set.
      split: one of its splits.
      progress: show a bar, where stderr is a terminal.

    Raises:
      DataError: the split is unknown, absent or empty.
    """
    spec, samples = dataset.spec, dataset.samples(split)
    problems = _listing_problems(split, samples, spec.splits[split]) + _labels_without_image(samples)
    sizes, pixels = Counter(), np.zeros(IGNORE + 1, np.int64)
    for size, counts, found in _read_all(dataset, samples, desc=split, disable=None if progress else True):
        problems += found
        if not found:
            sizes[size] += 1
            pixels += counts
    return SplitReport(
        split=split,
        expected=spec.splits[split],
        found=len(samples),
        sizes=sizes,
        class_pixels=pixels[: spec.num_classes],
        void_pixels=int(pixels[IGNORE]),
        problems=tuple(problems),
    )


def _listing_problems(split, samples, expected):
    problems = [] if len(samples) == expected else [f"{split} has {len(samples)} samples, expected {expected}"]
    times = Counter(sample.name for sample in samples)
    return problems + [f"{split} has sample {name} {n} times" for name, n in times.items() if n > 1]


def _labels_without_image(samples):
    """One line per label file that lies beside those of the samples but has no image: it silently goes unused.

    Only where the two files of every pair have one name; otherwise it can't be told what belongs together.
    """
    pairs = [(sample.image, sample.label) for sample in samples if sample.image and sample.label]
    if any(image.stem != label.stem for image, label in pairs):
        return []
    kinds = {label.suffix for _, label in pairs}
    images = {path.stem for path in _neighbours(image for image, _ in pairs)}
    labels = _neighbours(label for _, label in pairs)
    return [f"label {path} has no image" for path in labels if path.suffix in kinds and path.stem not in images]


def _neighbours(paths):
    """All files of the folders that `paths` are in."""
    folders = sorted({path.parent for path in paths})
    return [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]


def _read_all(dataset, samples, **bar):
    """Yields what `_read` returns for every sample, in their order."""
    with concurrent.futures.ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        yield from tqdm(pool.map(functools.partial(_read, dataset), samples), total=len(samples), **bar)


def _read(dataset: Dataset, sample: Sample):
    """((height, width), pixels per label value [256], problems); the first two are None where it can't be read."""
    files = {"image": sample.image, "label": sample.label}
    missing = [f"{kind} {path} is missing" for kind, path in files.items() if path and not path.exists()]
    if missing:
        return None, None, missing
    try:
        image, label = dataset.read(sample)
    except DataError as error:
        return None, None, [str(error)]
    counts = np.bincount(label.ravel(), minlength=IGNORE + 1)
    return label.shape, counts, _breaches(dataset.spec, sample, image, label, counts)


def _breaches(spec, sample, image, label, counts):
    """Where what was read isn't what `Dataset.read` promises."""
    problems = []
    if image.shape != (*label.shape, spec.bands):
        problems.append(f"{sample.name}: image {image.shape} does not fit label {label.shape} and {spec.bands} bands")
    unknown = np.flatnonzero(counts[spec.num_classes : IGNORE]) + spec.num_classes
    if unknown.size:
        problems.append(f"{sample.name}: unknown class ids {unknown.tolist()}")
    return problems


def _table(spec, reports):
    """The reports side by side, one column each."""
    sizes = sum((Counter(report.sizes) for report in reports), Counter()).most_common()
    rows = [
        [spec.name, *(report.split for report in reports)],
        ["samples", *(report.found for report in reports)],
        ["expected", *(report.expected for report in reports)],
        ["problems", *(len(report.problems) for report in reports)],
    ]
    for size, _ in sizes[:SIZES_SHOWN]:
        rows.append(["of {}x{} pixels".format(*size), *(report.sizes[size] for report in reports)])
    if len(sizes) > SIZES_SHOWN:
        rows.append([f"and of {len(sizes) - SIZES_SHOWN} other sizes", *("" for _ in reports)])
    rows.append(["void, % of pixels", *(f"{report.void_share:.2%}"[:-1] for report in reports)])
    rows.append(["class, % of labelled pixels", *("" for _ in reports)])
    for index, name in enumerate(spec.classes):
        rows.append([f"  {index} {name}", *(f"{report.class_shares[index]:.2%}"[:-1] for report in reports)])
    return _aligned(rows)


def _aligned(rows):
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows)]
    return "\n".join(
        "  ".join([first.ljust(widths[0]), *(str(cell).rjust(n) for cell, n in zip(cells, widths[1:]))]).rstrip()
        for first, *cells in rows
    )


if __name__ == "__main__":
    sys.exit(main())
