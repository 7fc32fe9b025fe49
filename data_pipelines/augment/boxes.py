"""Boxes of a crop: which pixels they have, and random erasing, which hides one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from data_pipelines.augment.draws import ERASE, between, placed, stream
from data_pipelines.augment.options import Augmentation
from data_pipelines.spec import DatasetSpec

RATIOS = (0.3, 1 / 0.3)
"""Height / width of what is erased, r1 and r2 of Zhong et al. 2020; drawn so that tall boxes are as many as wide."""


def erased(image: tf.Tensor, seed: tf.Tensor, options: Augmentation, spec: DatasetSpec) -> tf.Tensor:
    """The crop [h, w, C], of `options.erase` of the crops without what a box shows: there is the mean of the bands.

    Random erasing (Zhong et al. 2020, arXiv 1708.04896) with the mean as value; sides that are longer than the crop's
    are cut to these. The label stays as it is.
    """
    coin, area, ratio, *place = tf.unstack(tf.random.stateless_uniform([5], stream(seed, ERASE)))
    area = between(area, *options.erase_area) * np.prod(options.crop)
    ratio = tf.exp(between(ratio, *np.log(RATIOS)))
    hidden = boxed(options.crop, tf.sqrt(area * tf.stack([ratio, 1 / ratio])), place) & (coin < options.erase)
    return tf.where(hidden[..., None], tf.constant(spec.mean, tf.float32), image)


def boxed(crop: Sequence[int], sides: tf.Tensor, place: Sequence[tf.Tensor]) -> tf.Tensor:
    """Which pixels, [h, w] bool, a box has that lies within the crop.

    Args:
      crop: (h, w).
      sides: [2] float32, its height and width, rounded to whole pixels, of which there are no more than the crop has.
      place: two numbers in [0, 1), for rows and columns: each place is as likely as another.
    """
    size = tf.minimum(tf.cast(tf.round(sides), tf.int32), crop)
    first = placed(tf.stack(place), crop - size)
    rows, columns = (
        (np.arange(length) >= first[axis]) & (np.arange(length) < (first + size)[axis])
        for axis, length in enumerate(crop)
    )
    return rows[:, None] & columns
