"""What classifiers that see no shapes reach on a split: the least that a network has to beat."""

from __future__ import annotations

import numpy as np

from data_pipelines.spec import IGNORE, Dataset
from did_tf.scoring.metrics import ConfusionMatrix

BINS = 8  # per band, of the colour baseline


def baselines(dataset: Dataset, train_split: str, split: str, limit: int | None = None) -> dict[str, float]:
    """mIoU on `split` of two classifiers that see no shapes, fitted on `train_split`.

    "most frequent class" always answers the class with the most training pixels. "colour alone" answers, for each of
    8x8x8 bins of the first three bands (or as many as there are), the class with the most training pixels in the bin;
    where a bin is new, the most frequent class. Bins divide 0..255, or of other data two deviations about the mean.

    Args:
      dataset: the data set.
      train_split, split: names of its splits.
      limit: scored are the first so many images of `split` alone.

    Returns:
      The mIoU of each by these names, fractions.

    Raises:
      DataError: the data can't be read.
    """
    num_classes = dataset.spec.num_classes
    counts = np.zeros((BINS ** min(3, dataset.spec.bands), num_classes), np.int64)
    for sample in dataset.samples(train_split):
        image, label = dataset.read(sample)
        valid = label != IGNORE
        cells = _colour_bins(image, dataset.spec)[valid] * num_classes + label[valid]
        counts += np.bincount(cells, minlength=counts.size).reshape(counts.shape)
    frequent = counts.sum(axis=0).argmax()
    by_colour = np.where(counts.any(axis=1), counts.argmax(axis=1), frequent)

    matrices = {"most frequent class": ConfusionMatrix(num_classes), "colour alone": ConfusionMatrix(num_classes)}
    for sample in dataset.samples(split)[:limit]:
        image, label = dataset.read(sample)
        matrices["most frequent class"].update(label, np.full(label.shape, frequent))
        matrices["colour alone"].update(label, by_colour[_colour_bins(image, dataset.spec)])
    return {name: matrix.mean_iou() for name, matrix in matrices.items()}


def _colour_bins(image, spec):
    """[H, W, bands] -> bin number [H, W] by the first three bands."""
    pixels, low, high = image[..., :3], 0, 256
    if spec.dtype != "uint8":
        mean, std = np.array(spec.mean[:3]), np.array(spec.std[:3])
        low, high = mean - 2 * std, mean + 2 * std
    levels = np.clip((pixels - low) / (high - low) * BINS, 0, BINS - 1)
    return levels.astype(np.int64) @ BINS ** np.arange(levels.shape[-1])
