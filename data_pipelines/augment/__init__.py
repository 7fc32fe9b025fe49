"""Random geometry, light and noise of (image, label) pairs, as tf ops. Everything random comes from a seed."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from data_pipelines.augment.boxes import erased
from data_pipelines.augment.geometry import cut_image, cut_label, draw_view, is_inside
from data_pipelines.augment.light import change_light
from data_pipelines.augment.mixing import blend, mix, other_crop
from data_pipelines.augment.options import Augmentation
from data_pipelines.spec import IGNORE, DatasetSpec

__all__ = ["DRAWS", "Augmentation", "augment", "augment_label", "blend", "mix", "other_crop"]

DRAWS = 2
"""What a seed makes of a pair: another number where that changes, for a run must not go on with other draws."""


def augment(
    image: tf.Tensor | np.ndarray,
    label: tf.Tensor | np.ndarray,
    seed: tf.Tensor,
    options: Augmentation,
    spec: DatasetSpec,
) -> tuple[tf.Tensor, tf.Tensor]:
    """One augmented pair.

    Args:
      image: [H, W, C], pixel values.
      label: [H, W] uint8, or a scalar, which nothing changes.
      seed: int tensor [2]; equal seeds give equal results.
      options: what to do; they have passed their `check(spec)`.
      spec: of the data set. Its mean is the pixel value where the crop reaches outside the image (the label is `IGNORE`
        there), and no light changes it there, nor where nothing was measured; changed values are kept within 0 and its
        largest.

    Returns:
      (image [h, w, C] float32, label [h, w] uint8 or the scalar), h and w of `options.crop`.
    """
    image, label = tf.convert_to_tensor(image), tf.convert_to_tensor(label)
    draw = _draw(seed)
    view = draw_view(tf.shape(image)[:2], label, seed, draw[:6], options)
    crop = cut_image(image, view, options, spec.mean)
    seen = cut_label(label, view, options) if label.shape.rank else label
    lit = change_light(crop, seed, draw[6:], options, spec)
    if lit is not crop:
        there = is_inside(tf.shape(image)[:2], view, options)
        if label.shape.rank:
            there &= ~_is_hole(crop, seen, spec)
        lit = tf.where(there[..., None], lit, tf.constant(spec.mean, tf.float32))
    return erased(lit, seed, options, spec) if options.erase else lit, seen


def augment_label(label: tf.Tensor | np.ndarray, seed: tf.Tensor, options: Augmentation) -> tf.Tensor:
    """The label alone of what `augment` gives, [h, w] uint8 of [H, W] uint8."""
    label = tf.convert_to_tensor(label)
    return cut_label(label, draw_view(tf.shape(label), label, seed, _draw(seed)[:6], options), options)


def _is_hole(crop, label, spec):
    """[h, w] bool: void pixels of the bands' means, which those have where nothing was measured."""
    near = np.array(spec.std, np.float32) * 1e-3 if spec.dtype == "float32" else 1.0  # whole numbers are rounded
    return (label == IGNORE) & tf.reduce_all(tf.abs(crop - np.array(spec.mean, np.float32)) < near, axis=-1)


def _draw(seed):
    return tf.unstack(tf.random.stateless_uniform([8], seed))
