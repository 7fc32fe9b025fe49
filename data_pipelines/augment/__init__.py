"""Random geometry, light and noise of (image, label) pairs, as tf ops. Everything random comes from a seed."""

import tensorflow as tf

from data_pipelines.augment.geometry import cut_image, cut_label, draw_view
from data_pipelines.augment.light import change_light
from data_pipelines.augment.options import Augmentation

__all__ = ["Augmentation", "augment"]


def augment(image, label, seed, options, spec):
    """One augmented pair.

    Args:
      image: [H, W, C], pixel values.
      label: [H, W] uint8, or a scalar, which nothing changes.
      seed: int tensor [2]; equal seeds give equal results.
      options: an `Augmentation`, which has passed its `check(spec)`.
      spec: `DatasetSpec`. Its mean is the pixel value where the crop reaches outside the image (the label is `IGNORE`
        there); changed values are kept within 0 and its largest.

    Returns:
      (image [h, w, C] float32, label [h, w] uint8 or the scalar), h and w of `options.crop`.
    """
    image, label = tf.convert_to_tensor(image), tf.convert_to_tensor(label)
    draw = tf.unstack(tf.random.stateless_uniform([8], seed))
    view = draw_view(tf.shape(image)[:2], label, seed, draw[:6], options)
    image = cut_image(image, view, options, spec.mean)
    image = change_light(image, seed, draw[6:], options, spec)
    return image, cut_label(label, view, options) if label.shape.rank else label
