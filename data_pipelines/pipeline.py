"""Samples -> `tf.data` batches for training: {"image": [N, H, W, C] float32, "label": [N, H, W] uint8}.

With MixUp there are a second label of each image and its weight. For classification, labels are [N] int32.
"""

from __future__ import annotations

import errno
import itertools
import os
import time
from collections.abc import Iterable, Iterator
from multiprocessing.pool import ThreadPool
from typing import TypeVar

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from data_pipelines.augment import Augmentation, augment, augment_label, blend, mix, other_crop
from data_pipelines.frequencies import ClassCounts, values_of
from data_pipelines.memory import cores, free_memory
from data_pipelines.reading.images import size_of
from data_pipelines.records import Record
from data_pipelines.spec import DataError, Dataset, Sample, share_images

THREADS = 2 * cores()
"""That read and augment: more than cores, because some wait for the disk, for each other or for Python."""

Item = TypeVar("Item")

WAITS = (1.0, 10.0)
"""Seconds before a file is read again, and again."""
_PASSING = (errno.EIO, errno.EAGAIN, errno.ESTALE, errno.ETIMEDOUT)


class Loader:
    """Random access to the read pairs of a split, or of several joined by "+".

    Args:
      dataset: any data set.
      split: one of its splits, or several: "train+val".
      cache: keeps the pairs in memory, each decoded once; a bad file is then met before training starts.
      progress: shows a bar while they are read, or their classes counted, where stderr is a terminal.
      threads: how many read at once.

    Attributes:
      dataset: as given.
      split: as given.
      samples: a `Sample` each, those of one split after those of the other.

    Raises:
      DataError: a split is absent; with `cache`, a file is bad, or all of them together would not fit.
    """

    def __init__(
        self, dataset: Dataset, split: str, cache: bool = True, progress: bool = True, threads: int = THREADS
    ) -> None:
        self.dataset, self.split = dataset, split
        self._progress, self._threads = progress, threads
        self.samples = [sample for part in split.split("+") for sample in dataset.samples(part)]
        self._pairs = self._read_all(split, progress, threads) if cache else None

    def __len__(self) -> int:
        return len(self.samples)

    def __call__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(image, label): what `Dataset.read` gives for sample `index`. Raises `DataError` for a bad file.

        Where the disk or the network failed, it is read again after a while.
        """
        if self._pairs:
            return self._pairs[index]
        for seconds in WAITS:
            try:
                return self.dataset.read(self.samples[index])
            except DataError as error:
                if getattr(error.__context__, "errno", None) not in _PASSING:
                    raise
            time.sleep(seconds)
        return self.dataset.read(self.samples[index])

    def class_counts(self) -> ClassCounts:
        """`ClassCounts` of the labels of the split, as training sees them: a window of an image counts as an image."""
        counts = ClassCounts(self.dataset.spec.num_classes)
        if self.dataset.spec.task == "classification":
            for sample in self.samples:
                assert sample.class_id is not None
                counts.add_image(sample.class_id)
            return counts
        with ThreadPool(self._threads) as pool:
            found = pool.imap(lambda index: values_of(self(index)[1]), range(len(self)))
            for values in with_bar(found, f"counting classes of {self.split}", len(self), self._progress):
                counts.add(values)
        return counts

    def _read_all(self, split, progress, threads):
        first = self.dataset.read(self.samples[0])
        with ThreadPool(threads) as pool:
            self._check_memory(split, sum(self._sizes(first, pool)))
            rest = pool.imap(self.dataset.read, self.samples[1:])
            return [first, *with_bar(rest, f"reading {split}", len(self), progress, initial=1)]

    def _sizes(self, first, pool):
        """Bytes of each pair, by the headers of the files, or else as if they were like the pair `first`."""
        whole, of_first = sum(part.nbytes for part in first), first[0].shape[0] * first[0].shape[1]
        if lengths := [sample.length for sample in self.samples if isinstance(sample, Record)]:
            return [whole * length / lengths[0] for length in lengths]
        return [whole * (pixels or of_first) / of_first for pixels in pool.imap(_pixels, self.samples, 64)]

    def _check_memory(self, split, needed):
        free, name = free_memory(), self.dataset.spec.name
        if needed > free:
            raise DataError(
                f"{split} of {name} would take {needed / 1e9:.3g} GB of memory and {free / 1e9:.3g} GB are available: "
                f"set --config.data.cache=False; fastest is then to read from `did_tf prepare --dataset={name}`"
            )


def check_apart(dataset: Dataset, train_split: str, val_split: str) -> None:
    """Raises `DataError` where two of the splits share samples: best weights would be chosen on what was learnt.

    Args:
      dataset: the data set.
      train_split: one of its splits, or several joined by "+".
      val_split: another, or empty.
    """
    names = [*train_split.split("+"), *filter(None, [val_split])]
    without = "--config.dataset.val_split= trains without validation"
    samples = [(split, _samples(dataset, split, without if split == val_split else "")) for split in names]
    for (first, some), (second, others) in itertools.combinations(samples, 2):
        if shared := shared_samples(some, others):
            told = f"{len(shared)} of {len(others)} samples of {second!r} are in {first!r} too ({shared[0].name})"
            way = without if second == val_split else "leave one out"
            raise DataError(f"dataset.train_split={train_split}, dataset.val_split={val_split}: {told}: {way}")


def shared_samples(first: Iterable[Sample], second: Iterable[Sample]) -> list[Sample]:
    """Samples of `second` that show what one of `first` does, wholly or in part.

    They are of the same image file, and their windows, where they have some, overlap. Samples without a file, drawn or
    prepared, are of the same image where their names are equal, and the content of the files that were prepared.
    """
    second = [*second]
    windows = [[(_source(sample), sample.window) for sample in samples] for samples in (first, second)]
    return [*itertools.compress(second, share_images(*windows))]


def training_batches(
    loader: Loader, options: Augmentation, batch_size: int, seed: int, first: int = 0, share: tuple[int, int] = (0, 1)
) -> tf.data.Dataset:
    """Endless batches of augmented pairs, every sample once an epoch in a new order.

    The order depends on (seed, epoch) and the augmentation on (seed, position in the whole run) alone: starting at
    `first` gives exactly the elements that a run from 0 would have met there.

    Args:
      loader: `Loader` of the training split.
      options: an `Augmentation`.
      batch_size: N; every batch is full.
      seed: of the order and the augmentation.
      first: number of elements (not batches) to have passed already.
      share: (K, M): of every batch the K-th of M equal parts, from 0. Nothing of the others is read. M divides N.

    Returns:
      Batches with "image", [N, h, w, bands] float32 pixel values, and "label", [N, h, w] uint8, or [N] int32 for
      classification; h and w are of `options.crop`. With MixUp also "other", like "label", and "weight", [N] float32:
      that of the other label, see `mixing.blend`.

    Raises:
      DataError: `options` ask for what the data can't have.
    """
    count, spec = len(loader), loader.dataset.spec
    label_type, label_shape = (tf.int32, []) if spec.task == "classification" else (tf.uint8, [None, None])
    options.check(spec)

    # What they ask is known when they are traced: AutoGraph would only cost the time to rewrite it.
    @tf.autograph.experimental.do_not_convert
    def epoch(number):
        return tf.data.Dataset.from_tensor_slices(_order(count, seed, number))

    @tf.autograph.experimental.do_not_convert
    def crop(index, own):
        image, label = tf.numpy_function(loader, [index], (spec.dtype, label_type), stateful=False)
        image, label = tf.ensure_shape(image, [None, None, spec.bands]), tf.ensure_shape(label, label_shape)
        return augment(image, label, own, options, spec)

    @tf.autograph.experimental.do_not_convert
    def element(position, index):
        own = _seed(seed, position)

        def other():
            return crop(*other_crop(own, count))

        image, label = mix(crop(index, own), other, own, options, spec)
        if not options.mixup:
            return {"image": image, "label": label}
        image, others, weight = blend(image, other, own, options)
        return {"image": image, "label": label, "other": others, "weight": weight}

    largest = np.iinfo(np.int64).max
    order = tf.data.Dataset.range(first // count, largest).flat_map(epoch).skip(first % count)
    elements = _shared(tf.data.Dataset.zip((tf.data.Dataset.range(first, largest), order)), batch_size, *share)
    elements = elements.map(element, THREADS, deterministic=True)
    batches = elements.batch(batch_size // share[1], drop_remainder=True).prefetch(2)
    how = tf.data.Options()
    # Not those that also run the network: while Python reads in one, it is lost to all else.
    how.threading.private_threadpool_size = THREADS
    # Nothing here is left to it, and an iterator that ends may wait for its next look, up to a minute.
    how.autotune.enabled = False
    return batches.with_options(how)


def training_labels(loader: Loader, options: Augmentation, seed: int, count: int) -> Iterator[np.ndarray]:
    """The labels of the first `count` elements of `training_batches`, whose arguments these are; drawn one by one."""

    def crop(index, own):
        label = loader(int(index))[1]
        return [augment_label(label, own, options) if np.ndim(label) else tf.constant(label)]

    def label_of(position, index):
        own = _seed(seed, position)
        (label,) = mix(crop(index, own), lambda: crop(*other_crop(own, len(loader))), own, options, loader.dataset.spec)
        return label.numpy()

    positions = np.arange(count)
    for epoch, some in enumerate(np.split(positions, range(len(loader), count, len(loader)))):
        for position, index in zip(some, _order(len(loader), seed, np.int64(epoch)).numpy()):
            yield label_of(position, index)


def _samples(dataset, split, way):
    """Those of a split; where there is no such split, what is raised ends with a `way` on, if that is given."""
    try:
        return dataset.samples(split)
    except DataError as error:
        if way and split not in dataset.spec.splits:
            raise DataError(f"{error}; {way}") from None
        raise


def _shared(elements, batch_size, part, parts):
    """Of every `batch_size` elements the `part`-th of so many equal `parts`."""
    if parts == 1:
        return elements
    each = batch_size // parts
    whole = elements.batch(batch_size, drop_remainder=True)
    return whole.map(lambda *batch: [x[part * each : (part + 1) * each] for x in batch]).unbatch()


def _order(count, seed, epoch):
    """[count] int64: in which order an epoch has the samples."""
    return tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), tf.stack([seed, epoch]))


def _seed(seed, position):
    """Of the augmentation of an element of the whole run."""
    return tf.stack([seed + 1, position])


def with_bar(items: Iterable[Item], title: str, count: int, progress: bool, initial: int = 0) -> Iterable[Item]:
    """`items`, with a bar of so many while they come: on terminals, and where `progress` is wanted."""
    hidden = None if progress else True  # None: shown on terminals
    return tqdm(items, title, count, initial=initial, leave=False, disable=hidden)


def _pixels(sample):
    """How many a sample has, by the header of its file; None where it has none."""
    if sample.image is None:
        return None
    height, width = (sample.window.height, sample.window.width) if sample.window else size_of(sample.image)
    return height * width


def _source(sample):
    """What tells the whole image that a sample is of from others."""
    if sample.image is not None:
        return sample.original or os.path.abspath(sample.image)
    if not isinstance(sample, Record):
        return sample.name
    place = f"_r{sample.window.top}_c{sample.window.left}" if sample.window else ""  # which `patches.cut` appends
    return sample.name.removesuffix(place), sample.content
