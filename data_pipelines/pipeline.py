"""Samples -> `tf.data` batches for training: {"image": [N, H, W, C] float32, "label": [N, H, W] uint8}.

For classification, labels are [N] int32.
"""

from multiprocessing.pool import ThreadPool

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from data_pipelines.augment import augment


class Loader:
    """Random access to the read pairs of a split, or of several joined by "+".

    `cache` keeps them in memory, each decoded once; a bad file is then met before training starts.
    """

    def __init__(self, dataset, split, cache=True, progress=True, threads=4):
        self.dataset = dataset
        self.samples = [sample for part in split.split("+") for sample in dataset.samples(part)]
        self._pairs = self._read_all(split, progress, threads) if cache else None

    def __len__(self):
        return len(self.samples)

    def __call__(self, index):
        """(image [H, W, C] uint8, label as of `Dataset.read`) of sample `index`. Raises `DataError` for a bad file."""
        return self._pairs[index] if self._pairs else self.dataset.read(self.samples[index])

    def class_counts(self):
        """Labelled pixels (for classification: images) per class [num_classes] over the split, int64."""
        spec = self.dataset.spec
        if spec.task == "classification":
            return np.bincount([sample.class_id for sample in self.samples], minlength=spec.num_classes)
        counts = np.zeros(256, np.int64)
        for index in range(len(self)):
            counts += np.bincount(self(index)[1].ravel(), minlength=256)
        return counts[: spec.num_classes]

    def _read_all(self, split, progress, threads):
        with ThreadPool(threads) as pool:
            pairs = pool.imap(self.dataset.read, self.samples)
            hidden = None if progress else True  # None: shown on terminals
            return list(tqdm(pairs, f"reading {split}", len(self.samples), leave=False, disable=hidden))


def training_batches(loader, options, batch_size, seed, first=0):
    """Endless batches of augmented pairs, every sample once an epoch in a new order.

    The order depends on (seed, epoch) and the augmentation on (seed, position in the whole run) alone: starting at
    `first` gives exactly the elements that a run from 0 would have met there.

    Args:
      loader: `Loader` of the training split.
      options: an `Augmentation`.
      batch_size: N; every batch is full.
      seed: of the order and the augmentation.
      first: number of elements (not batches) to have passed already.
    """
    count, spec = len(loader), loader.dataset.spec
    label_type, label_shape = (tf.int32, []) if spec.task == "classification" else (tf.uint8, [None, None])
    fill = tf.constant(spec.mean)

    def epoch(number):
        order = tf.random.experimental.stateless_shuffle(tf.range(count, dtype=tf.int64), tf.stack([seed, number]))
        return tf.data.Dataset.from_tensor_slices(order)

    def element(position, index):
        image, label = tf.numpy_function(loader, [index], (tf.uint8, label_type), stateful=False)
        image, label = tf.ensure_shape(image, [None, None, spec.bands]), tf.ensure_shape(label, label_shape)
        image, label = augment(image, label, tf.stack([seed + 1, position]), options, fill)
        return {"image": image, "label": label}

    largest = np.iinfo(np.int64).max
    order = tf.data.Dataset.range(first // count, largest).flat_map(epoch).skip(first % count)
    elements = tf.data.Dataset.zip((tf.data.Dataset.range(first, largest), order))
    elements = elements.map(element, tf.data.AUTOTUNE, deterministic=True)
    return elements.batch(batch_size, drop_remainder=True).prefetch(2)
