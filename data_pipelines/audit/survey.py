"""Reads every image of a split once and keeps a few small facts of each: what `audit` judges."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import functools
from collections import Counter, defaultdict, deque
from typing import Any, NamedTuple

import cv2
import numpy as np
from tqdm import tqdm

from data_pipelines.audit import duplicates
from data_pipelines.frequencies import ClassCounts, values_of
from data_pipelines.memory import cores
from data_pipelines.spec import IGNORE, AbsentSplit, DataError, Dataset, Sample

MAX_THREADS = 8
CONSTANT = 0.01
"""An image with less contrast shows nothing. Pixels of 8 bits then differ by less than a grey level or so."""


@dataclasses.dataclass(frozen=True, eq=False)
class Survey:
    """What is in one split. Entries of the arrays [N] are of its images, in their order.

    Attributes:
      split: its name.
      expected: number of samples it is published with.
      found: number of samples it has. Where samples are windows, images are fewer, and looked at whole, unless the data
        set has `windows_apart`.
      images: what was looked at; without labels where `labelled` is False.
      labelled: whether there are labels.
      pseudo: [N] bool, of those whose label a network has made (`Dataset.is_pseudo`).
      shapes: [N, 2] int32, height and width; 0 of images that can't be read, which count for nothing else.
      contrast: [N] float32, the largest over the bands of the image's standard deviation over the data set's.
      void: [N] float32, share of the pixels without a class; NaN where there is no label map.
      prints: `Fingerprints` of all that have contrast: images of one value are all alike.
      counts: of the classes.
      of_samples: of the classes too, in the samples rather than the images, as training counts them.
      moved: of pixels whose value in the label is that of no class (`DatasetSpec.labels_soft`).
      taken: [256] int64, pixels per value of the labels that are void because the image has no data there.
      problems: one line each: whatever would spoil a training.
    """

    split: str
    expected: int
    found: int
    images: list[Sample]
    labelled: bool
    pseudo: np.ndarray
    shapes: np.ndarray
    contrast: np.ndarray
    void: np.ndarray
    prints: duplicates.Fingerprints
    counts: ClassCounts
    of_samples: ClassCounts
    moved: np.ndarray
    taken: np.ndarray
    problems: list[str]

    @property
    def readable(self) -> np.ndarray:
        """[N] bool, of images that could be read."""
        return self.shapes[:, 0] > 0

    @property
    def sizes(self) -> Counter[tuple[int, int]]:
        """(height, width) -> number of images."""
        return Counter((height, width) for height, width in self.shapes[self.readable].tolist())


class Facts(NamedTuple):
    """What is kept of an image that could be read.

    Attributes:
      shape: height and width.
      contrast: as of `Survey`.
      print: `duplicates.fingerprint`; None where there is no contrast.
      label: pixels per value [256], or the class of the whole image; None where there is no label.
      windows: pixels per value [256] of each window that is a sample; empty where the image is one.
      moved: as of `Survey`; zeros where labels are as they are.
      taken: as of `Survey`, or None.
    """

    shape: tuple[int, int]
    contrast: float
    print: tuple[np.ndarray, np.ndarray] | None
    label: np.ndarray | int | None
    windows: list[np.ndarray]
    moved: tuple[float, float, float, float]
    taken: np.ndarray | None


def survey(dataset: Dataset, split: str, progress: bool = False) -> Survey:
    """Reads all of `split`, in threads; problems are collected, however many they are.

    An image that is cut into windows is read once, whole, but where the data set has `windows_apart`. Where a split has
    images but no labels, these are read.

    Args:
      dataset: any data set.
      split: one of its splits.
      progress: show a bar, where stderr is a terminal.

    Raises:
      AbsentSplit: neither samples nor images are there.
      DataError: the split is unknown or empty, or a part of it is missing.
    """
    samples, labelled = _samples(dataset, split)
    images = samples if dataset.windows_apart else _whole(samples)
    problems = _listing_problems(dataset, split, samples, images) if labelled else []
    result = Survey(
        split=split,
        expected=dataset.spec.splits[split],
        found=len(samples),
        images=images,
        labelled=labelled,
        pseudo=np.array([dataset.is_pseudo(sample) for sample in images], bool),
        shapes=np.zeros((len(images), 2), np.int32),
        contrast=np.zeros(len(images), np.float32),
        void=np.full(len(images), np.nan, np.float32),
        prints=duplicates.Fingerprints(len(images)),
        counts=ClassCounts(dataset.spec.num_classes),
        of_samples=ClassCounts(dataset.spec.num_classes),
        moved=np.zeros((len(images), 4)),
        taken=np.zeros(IGNORE + 1, np.int64),
        problems=problems,
    )
    windows = {} if dataset.windows_apart else _windows(samples)
    look = functools.partial(_look, dataset, labelled, windows)
    bar = tqdm(_in_order(look, images), split, len(images), unit="image", disable=None if progress else True)
    for index, (facts, found) in enumerate(bar):
        problems += found
        if facts:
            _enter(result, index, facts)
    return result


def _samples(dataset, split):
    """(samples, whether they have labels) of `split`."""
    try:
        return dataset.samples(split), True
    except AbsentSplit:
        return dataset.images(split), False


def _whole(samples):
    """The images that `samples` are, or are windows of: each once."""
    if not any(sample.window for sample in samples):
        return samples
    files = {_files(sample): sample for sample in samples}
    return [dataclasses.replace(sample, name=sample.image.stem, window=None) for sample in files.values()]


def _windows(samples):
    """{files of an image: its windows} of samples that are windows."""
    windows = defaultdict(list)
    for sample in samples:
        if sample.window:
            windows[_files(sample)].append(sample.window)
    return windows


def _files(sample):
    return sample.image, sample.label, sample.extras


def _enter(result, index, facts):
    """Puts the facts of an image into the arrays and sums of `result`."""
    result.shapes[index], result.contrast[index], result.moved[index] = facts.shape, facts.contrast, facts.moved
    if facts.print:
        result.prints[index] = facts.print
    if isinstance(facts.label, np.ndarray):
        result.counts.add(facts.label)
        for values in facts.windows or [facts.label]:
            result.of_samples.add(values)
        result.void[index] = facts.label[IGNORE] / facts.label.sum()
    elif facts.label is not None:
        result.counts.add_image(facts.label)
        result.of_samples.add_image(facts.label)
    if facts.taken is not None:
        result.taken[:] += facts.taken


def _listing_problems(dataset, split, samples, images):
    problems, expected = [], dataset.spec.splits[split]
    if dataset.counted and expected not in (len(samples), len(images)):
        problems.append(f"{split} has {len(images)} samples, expected {expected}")
    times = Counter(sample.name for sample in samples)
    problems += [f"{split} has sample {name} {n} times" for name, n in times.items() if n > 1]
    return problems + _labels_without_image(images)


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
    """All files of the folders that `paths` are in, less hidden ones."""
    folders = sorted({path.parent for path in paths})
    files = (path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()))
    return [path for path in files if not path.name.startswith(".")]


def _in_order(function, items):
    """Yields `function` of every item, in their order; only a few are under way, for results and images take room."""
    threads = min(MAX_THREADS, cores())
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        under_way: deque[concurrent.futures.Future[Any]] = deque()
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) > 2 * threads:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()


def _look(dataset, labelled, windows, sample):
    """(`Facts` of an image, or None where it is of no use; problems); `windows` are as of `_windows`."""
    files = [("image", sample.image), *(("image", extra) for extra in sample.extras), ("label", sample.label)]
    missing = [f"{kind} {path} is missing" for kind, path in files if path and not path.exists()]
    if missing:
        return None, missing
    try:
        image, label, void = dataset.read_unmasked(sample) if labelled else (dataset.read_image(sample), None, None)
        moved = _summed(dataset.moved(sample) if labelled else None)
    except DataError as error:
        return None, [str(error)]
    taken = None
    if label is not None and void is not None:
        taken = values_of(label[void])
        label[void] = IGNORE
    values = None if label is None else values_of(label)
    problems = [f"{sample.name}: {breach}" for breach in _breaches(dataset.spec, image, label, values)]
    if problems:
        return None, problems
    contrast = _contrast(image, dataset.spec)
    prints = duplicates.fingerprint(image) if contrast >= CONSTANT else None
    parts = [_values_in(label, window) for window in windows.get(_files(sample), ())] if labelled else []
    if label is not None:
        label = values if np.ndim(label) else int(label)
    return Facts(image.shape[:2], contrast, prints, label, parts, moved, taken), []


def _values_in(label, window):
    """Pixels per value [256] of a window of a label map; beyond the map all is void."""
    part = label[window.inside(*label.shape)]
    values = values_of(part)
    values[IGNORE] += window.height * window.width - part.size
    return values


def _summed(distances):
    """`Facts.moved` of what `Dataset.moved` gives."""
    if distances is None:
        return 0.0, 0.0, 0.0, 0.0
    total, farthest = distances.sum(dtype=np.float64), distances.max(initial=0)
    return float(distances.size), float(np.count_nonzero(distances)), float(total), float(farthest)


def _breaches(spec, image, label, values):
    """Where what was read isn't what `Dataset.read` promises."""
    if image.ndim != 3 or image.shape[2] != spec.bands or image.dtype != spec.dtype:
        yield f"image {image.shape} of {image.dtype} where {spec.bands} bands of {spec.dtype} were expected"
    elif image.dtype.kind == "f" and not np.isfinite(image).all():
        yield "the image holds values that are infinite or no numbers (NaN)"
    if np.ndim(label) and label.shape != image.shape[:2]:
        yield f"image {image.shape} does not fit label {label.shape}"
    if label is not None:
        known = np.arange(len(values)) < spec.num_classes
        known[IGNORE] |= np.ndim(label) > 0
        if unknown := np.flatnonzero((values > 0) & ~known).tolist():
            yield f"unknown class ids {unknown}"


def _contrast(image, spec):
    """`Survey.contrast` of an image; OpenCV needs no copy of it as float64."""
    bands = (np.ascontiguousarray(image[..., band]) for band in range(spec.bands))
    deviations = [cv2.meanStdDev(band)[1][0, 0] for band in bands]
    return float(max(deviation / max(std, 1e-12) for deviation, std in zip(deviations, spec.std)))
