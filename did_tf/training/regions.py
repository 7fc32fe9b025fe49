"""Losses of an image as a whole: how far each class's predicted region is from the labelled one.

All take `Regions` and give float32 [N], a loss in [0, 1] of each image. A mean over classes is one over those that the
image's labels show (the "present" classes of Berman et al. 2018): without them there is nothing to overlap with, and
what is wrongly predicted of an absent class is missing from a present one. Of sets of classes that are told each by
itself, see `Readout`, it is not: a term of pixels beside these has to say that one is absent.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import cv2
import numpy as np
import tensorflow as tf

from did_tf.common.readout import CLASSES, Readout


class Regions(NamedTuple):
    """What is predicted and what is there; both are 0 at pixels that don't count.

    Attributes:
      predicted: [N, P, C] float32, probabilities.
      true: [N, P, C] float32, 1 for the pixel's class; or for each set of classes that it is in.
      shares: [N, C] float32, of each class in a mean over those that are present; their sum is 1, or 0 where no pixel
        counts.
    """

    predicted: tf.Tensor
    true: tf.Tensor
    shares: tf.Tensor


def regions_of(
    logits: tf.Tensor, ids: tf.Tensor, counts: tf.Tensor, class_weights: tf.Tensor, readout: Readout = CLASSES
) -> Regions:
    """`Regions` of float32 logits [N, ..., C], int32 ids [N, ...] and whether pixels count, bool [N, ...].

    `class_weights`: [C] float32, what classes weigh in a mean over them; `readout`: what logits say of them.
    """
    classes = logits.shape[-1]
    counts = tf.reshape(counts, [tf.shape(counts)[0], -1, 1])
    shape = [tf.shape(counts)[0], -1, classes]
    predicted = tf.where(counts, tf.reshape(readout.probabilities(logits), shape), 0.0)
    true = tf.where(counts, tf.reshape(readout.targets(ids, classes), shape), 0.0)
    weights = tf.reduce_max(true, 1) * class_weights
    return Regions(predicted, true, tf.math.divide_no_nan(weights, tf.reduce_sum(weights, 1, keepdims=True)))


def dice(regions: Regions) -> tf.Tensor:
    """1 - 2 sum(p g) / (sum(p^2) + sum(g^2)), the mean over classes (Milletari et al. 2016, V-Net, section 3)."""
    squares = _area(tf.square(regions.predicted)) + _area(regions.true)
    return _mean(1 - tf.math.divide_no_nan(2 * _overlap(regions), squares), regions)


def generalised_dice(regions: Regions) -> tf.Tensor:
    """1 - 2 sum_c(w sum(p g)) / sum_c(w sum(p + g)), w = 1 / sum(g)^2 (Sudre et al. 2017, "GDL").

    Small regions count as much as large ones. Class weights are factors of w.
    """
    area = _area(regions.true)
    weights = tf.math.divide_no_nan(regions.shares, tf.square(area))
    overlap = tf.reduce_sum(weights * _overlap(regions), 1)
    areas = tf.reduce_sum(weights * (_area(regions.predicted) + area), 1)
    found = 1 - tf.math.divide_no_nan(2 * overlap, areas)
    return tf.where(tf.reduce_any(regions.shares > 0, 1), found, 0.0)  # an image may show no region


def tversky(regions: Regions, alpha: float, beta: float) -> tf.Tensor:
    """1 - TP / (TP + alpha FP + beta FN), the mean over classes (Salehi et al. 2017).

    Of alpha = beta = 0.5 it is a Dice without squares. A larger beta asks for fewer misses, a larger alpha for fewer
    false alarms. `beta` must be above 0.
    """
    overlap = _overlap(regions)
    false, missed = _area(regions.predicted) - overlap, _area(regions.true) - overlap
    return _mean(1 - tf.math.divide_no_nan(overlap, overlap + alpha * false + beta * missed), regions)


def lovasz(regions: Regions) -> tf.Tensor:
    """The Lovasz extension of 1 - IoU at the errors |g - p|, the mean over classes (Berman et al. 2018).

    Errors are summed up from the largest to the smallest, each times what it adds to 1 - IoU where all larger ones are
    errors too. Pixels that don't count have the error 0.
    """
    pixels = tf.shape(regions.true)[1]
    true = tf.transpose(regions.true, [0, 2, 1])
    errors, order = tf.math.top_k(tf.abs(true - tf.transpose(regions.predicted, [0, 2, 1])), pixels)
    steps = tf.stop_gradient(_jaccard_steps(tf.gather(tf.cast(true, tf.int32), order, batch_dims=2)))
    return _mean(tf.reduce_sum(errors * steps, 2), regions)


def boundary(regions: Regions, distances: tf.Tensor) -> tf.Tensor:
    """How far the predicted boundary is from the true one, the mean over classes (Kervadec et al. 2019, equation 5).

    The mean over the pixels that count of distance * (p - g): wrong pixels cost by how far they are from where they
    would be right. That of g, which the paper leaves out, is a constant: it makes 0 of a right prediction.

    `distances`: [N, P, C] float32, of `distances_of`.
    """
    wrong = _area(distances * (regions.predicted - regions.true))
    pixels = tf.reduce_sum(regions.true, [1, 2])[:, None]
    return _mean(tf.math.divide_no_nan(wrong, pixels), regions)


def distances_of(ids: tf.Tensor, counts: tf.Tensor, classes: int) -> tf.Tensor:
    """`signed_distances` of int32 ids [N, H, W] and whether pixels count, bool [N, H, W]: [N, P, C] float32.

    The CPU computes them, whatever device the network is on, and for several outputs with equal labels once.
    """
    measure = functools.partial(signed_distances, classes=classes)
    found = tf.numpy_function(measure, [ids, counts], tf.float32, stateful=False)
    size = tf.shape(ids)
    return tf.reshape(found, [size[0], size[1] * size[2], classes])


def signed_distances(ids: np.ndarray, counts: np.ndarray, classes: int) -> np.ndarray:
    """How far pixels are from the boundary of each class, [N, H, W, C] float32, in diagonals of the image.

    Outside of a class it is the distance to the nearest pixel of it; inside, less than 0, that to the nearest pixel of
    another class, less one pixel: so it is in the authors' code. Pixels that don't count are of no class: they are no
    boundary. 0 for a class that the image lacks, or has alone.

    Args:
      ids: [N, H, W] whole numbers.
      counts: [N, H, W] bool.
      classes: how many there are.
    """
    found = np.zeros((*ids.shape, classes), np.float32)
    for of_image, label, known in zip(found, ids, counts):
        for index in np.unique(label[known]):
            inside = known & (label == index)
            if (inside == known).all():
                continue
            outward, inward = _distance_to(inside), _distance_to(known & ~inside)
            of_image[..., index] = np.where(inside, 1 - inward, outward)
    return found / np.float32(np.hypot(*ids.shape[1:]))


def _distance_to(mask):
    """[H, W] float32: pixels to the nearest one of a mask that is not empty."""
    return cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


def _jaccard_steps(true):
    """[N, C, P] of 0 and 1 -> float32: what each pixel adds to 1 - IoU when it is wrong after those before it.

    A pixel of the class leaves the intersection: 1 / union. Another one joins the union, which was one less: a fraction
    of its own, for the difference of two ratios near each other would be lost in float32.
    """
    area, seen = tf.reduce_sum(true, 2, keepdims=True), tf.cumsum(true, 2)
    common = tf.cast(area - seen, tf.float32)
    union = tf.cast(area + tf.range(1, tf.shape(true)[2] + 1) - seen, tf.float32)
    return tf.where(true > 0, 1 / union, tf.math.divide_no_nan(common, union * (union - 1)))


def _overlap(regions):
    return _area(regions.predicted * regions.true)


def _area(pixels):
    return tf.reduce_sum(pixels, 1)


def _mean(of_classes, regions):
    return tf.reduce_sum(regions.shares * of_classes, 1)
