"""A classification network on a split of a data set: top-1 and top-5 error on centre crops (sunet.md section 6.1).

Scores are fractions in the objects and files, and percent where people read them; a paper's figures are percent.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from data_pipelines.spec import Dataset
from did_tf.cluster.devices import Spread
from did_tf.common.damage import Damage
from did_tf.common.errors import ConfigError, NotFinite
from did_tf.common.files import write_json
from did_tf.common.streams import side_by_side
from did_tf.common.text import aligned, of_paper
from did_tf.scoring import bootstrap
from did_tf.scoring.evaluation import LAST, MAIN

MARGIN = 256 / 224  # the shorter side in units of the crop, where nothing else is said
THREADS = 4
TOP = (1, 5)  # of how many likeliest classes the true one may be


@dataclasses.dataclass
class Classification:
    """What `evaluate` measured.

    Attributes:
      images: (name, rank of its class as of `true_ranks`) in the order of the split.
    """

    images: list[tuple[str, int]]

    def error(self, k: int) -> float:
        """Fraction of images whose class is not among the `k` likeliest; NaN without images."""
        return float(np.mean([rank >= k for _, rank in self.images])) if self.images else float("nan")

    def interval(self) -> dict[str, np.ndarray] | None:
        """[2] low and high of each of `errors`, see `bootstrap`; None of too few images."""
        if len(self.images) < bootstrap.LEAST:
            return None
        # An error is a ratio too: of images that are wrong, and of all.
        wrong = np.array([[[rank >= k for k in TOP], [1] * len(TOP)] for _, rank in self.images])
        draws = bootstrap.resampled(wrong)
        return {f"top{k}_error": bootstrap.bounds(x, self.error(k)) for k, x in zip(TOP, draws.T)}


class Classifier:
    """Calls `model` on centre crops: `classifier([image, ...])` gives logits [N, num_classes] float32.

    Args:
      model: keras.Model, [N, H, W, C] raw pixel values -> {"main": logits [N, num_classes]}.
      crop: height and width of what the network sees, as one int or a pair.
      resize: the image's shorter side before the crop is cut; None: the crop's longer side times 256/224.
      batch_size: images that go through the network at once in `evaluate`.
      forward: gives {"main": logits} of crops [N, height, width, C] float32, in place of a call of `model`; or None.

    Attributes:
      crop: (height, width).
      resize: pixels.
      batch_size: as given.

    Raises:
      ConfigError: an option is out of range.
    """

    def __init__(
        self,
        model: keras.Model,
        crop: int | Sequence[int] = 224,
        resize: int | None = None,
        batch_size: int = 32,
        forward: Callable[[np.ndarray], Mapping[str, Any]] | None = None,
    ) -> None:
        self.crop: tuple[int, ...] = tuple(crop) if isinstance(crop, Iterable) else (crop, crop)
        self.resize = round(max(self.crop) * MARGIN) if resize is None else resize
        self.batch_size = batch_size
        if len(self.crop) != 2 or min(self.crop) < 1:
            raise ConfigError(f"crop must be one size or (height, width), got {crop}")
        if self.resize < max(self.crop):
            raise ConfigError(f"resize must be at least the crop {self.crop}, got {self.resize}")
        if batch_size < 1:
            raise ConfigError(f"batch_size must be at least 1, got {batch_size}")

        # One signature for all batches, so that the network is traced once.
        signature = [tf.TensorSpec((None, *self.crop, model.input_shape[-1]), tf.float32)]

        @tf.function(autograph=False, input_signature=signature)
        def call(images):
            return {MAIN: tf.cast(model(images, training=False)[MAIN], tf.float32)}

        self._forward = forward or call

    def __call__(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Logits [N, num_classes] float32 of a list of N images [H, W, C] of any sizes."""
        return self.logits([self.prepare(image) for image in images])

    def prepare(self, image: np.ndarray) -> np.ndarray:
        """The centre crop [height, width, C] of an image [H, W, C], after its shorter side is made `resize`."""
        scale = self.resize / min(image.shape[:2])
        height, width = (round(side * scale) for side in image.shape[:2])
        kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        # OpenCV drops a last axis of one.
        image = cv2.resize(image, (width, height), interpolation=kind).reshape(height, width, image.shape[2])
        top, left = (height - self.crop[0]) // 2, (width - self.crop[1]) // 2
        return image[top : top + self.crop[0], left : left + self.crop[1]]

    def logits(self, crops: Sequence[np.ndarray]) -> np.ndarray:
        """Logits [N, num_classes] float32 of a list of N crops as `prepare` makes them. Raises `NotFinite`."""
        logits = np.asarray(self._forward(np.stack(crops).astype(np.float32))[MAIN])
        if not np.isfinite(logits.sum()):
            raise NotFinite("the network's logits are not finite: its training went wrong")
        return logits


def evaluate(
    classifier: Classifier,
    dataset: Dataset,
    split: str,
    progress: bool = True,
    limit: int | None = None,
    part: slice = slice(None),
    between: Callable[[], None] = lambda: None,
    devices: Sequence[str] = (),
) -> Classification:
    """Ranks the true class of every image of `split`.

    Args:
      classifier: of the network.
      dataset: data_pipelines.Dataset for classification.
      split: name of one of its splits.
      progress: whether to show a progress bar.
      limit: take the first so many images only.
      part: which of these images.
      between: is called after every batch; what it raises ends the scoring.
      devices: TensorFlow's names of those that share the batches; none for TensorFlow's own choice.

    Raises:
      DataError: the data can't be read.
    """

    def read(sample):
        with damage.of(sample.name):
            image, class_id = dataset.read(sample)
            return classifier.prepare(image), int(class_id)

    samples, images, damage = dataset.samples(split)[:limit][part], [], Damage()
    logits = Spread(classifier.logits, devices)

    def ranked(batch):
        """Of the images of a batch; none once some can't be read."""
        pairs = pool.map(read, batch)
        if damage.reasons:
            return []
        crops, classes = zip(*pairs)
        return true_ranks(logits(crops), classes)

    batches = [samples[i : i + classifier.batch_size] for i in range(0, len(samples), classifier.batch_size)]
    with ThreadPool(THREADS) as pool, tqdm(total=len(samples), desc=split, unit="image", disable=not progress) as bar:
        for batch, ranks in side_by_side(ranked, batches, len(devices)):
            images += [(sample.name, int(rank)) for sample, rank in zip(batch, ranks())]
            bar.update(len(batch))
            between()
    damage.tell(f"{split} has no score without: mend it, or take it out of the data")
    return Classification(images)


def true_ranks(logits: np.ndarray, classes: np.ndarray | Sequence[int]) -> np.ndarray:
    """How many classes are ahead of the true one, [N] ints: 0 where the network is right.

    Of equal logits the class with the lower id is ahead, as for argmax. A class with NaN is ahead of the true one, and
    a true one with NaN is the last: a network that gives NaN is never right.

    Args:
      logits: [N, num_classes].
      classes: [N] true class ids.
    """
    logits, classes = np.asarray(logits), np.asarray(classes)[:, None]
    true = np.take_along_axis(logits, classes, axis=1)
    behind = (logits < true) | ((logits == true) & (np.arange(logits.shape[1]) > classes))
    return logits.shape[1] - 1 - behind.sum(axis=1)


def write_report(
    result: Classification,
    folder: str | Path,
    split: str,
    protocol: Mapping[str, Any],
    paper: Mapping[str, Any] | None = None,
    **more: Any,
) -> None:
    """Writes SPLIT.json into `folder`: protocol, errors, the rank of every image, and the paper's figures.

    Args:
      result: from `evaluate`.
      folder: is created where there is none.
      split: name of the split.
      protocol: dict of how the scores came about (crop, resize, ...), JSON-serialisable.
      paper: dict of the paper's figures in percent, or None.
      **more: further entries of the file, JSON-serialisable.

    Raises:
      OSError: the file can't be written.
    """
    interval = {key: bootstrap.pair(bounds) for key, bounds in (result.interval() or {}).items()}
    report = {
        "split": split,
        "protocol": protocol,
        "outputs": {MAIN: {**errors(result), "images": len(result.images)}},
        "interval": {**bootstrap.facts(len(result.images)), **interval} if interval else None,
        "images": [{"name": name, "rank": rank} for name, rank in result.images],
        "paper": paper,
        **more,
    }
    write_json(Path(folder) / f"{split}.json", report)


def errors(result: Classification) -> dict[str, float | None]:
    """{"top1_error": ..., "top5_error": ...}, fractions; None without images."""
    return {f"top{k}_error": result.error(k) if result.images else None for k in TOP}


def told_interval(result: Classification) -> str:
    """A line to print, in percent."""
    found = result.interval()
    if found is None:
        return f"no 95 % intervals: they take {bootstrap.LEAST} images"
    told = ", ".join(f"top-{k} {100 * low:.2f} to {100 * high:.2f}" for k, (low, high) in zip(TOP, found.values()))
    return f"95 % intervals: {told} ({bootstrap.source(len(result.images))})"


def table(result: Classification, paper: Mapping[str, Any] | None = None, last: Classification | None = None) -> str:
    """Text to print: top-1 and top-5 error in percent, a column for each.

    Args:
      result: from `evaluate`.
      paper: the paper's figures in percent, such as {"top1_error": 29.28}, or None.
      last: by the weights of the last step, or None.
    """
    columns = {MAIN: result, **({LAST: last} if last else {})}
    cells = [["error, %", *columns]]
    cells += [[f"top-{k}", *(f"{100 * column.error(k):.2f}" for column in columns.values())] for k in TOP]
    if paper:
        theirs = [f"{paper[key]:.2f}" if key in paper else "" for key in errors(result)]
        cells = [[*row, text] for row, text in zip(cells, (of_paper(paper), *theirs))]
    return aligned(cells)
