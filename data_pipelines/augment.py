"""Random geometry and lighting of (image, label) pairs, as tf ops. Everything random comes from a seed."""

import dataclasses

import tensorflow as tf

from data_pipelines.spec import IGNORE, DataError


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What training does to a pair. The defaults change nothing but cut the crop.

    Attributes:
      crop: (height, width) of the result.
      scale: (low, high): height and width are each scaled by a factor in this range,
      aspect: the width's within 1 -+ aspect of the height's.
      flip_horizontal, flip_vertical: whether half of the pairs are mirrored left-right, up-down.
      brightness: pixel values times 1 -+ up to this.
      contrast: distances from the image's mean value times 1 -+ up to this.
    """

    crop: tuple
    scale: tuple = (1.0, 1.0)
    aspect: float = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    brightness: float = 0.0
    contrast: float = 0.0

    def __post_init__(self):
        if min(self.crop) < 1:
            raise DataError(f"data.crop must be positive, got {tuple(self.crop)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise DataError(f"data.scale must be (low, high) with 0 < low <= high, got {tuple(self.scale)}")
        for name in ("aspect", "brightness", "contrast"):
            if not 0 <= getattr(self, name) < 1:
                raise DataError(f"data.{name} must be in [0, 1), got {getattr(self, name)}")


def augment(image, label, seed, options, fill):
    """One augmented pair.

    Args:
      image: [H, W, C], pixel values.
      label: [H, W] uint8.
      seed: int tensor [2]; equal seeds give equal results.
      options: an `Augmentation`.
      fill: per band, the pixel value where the crop reaches outside the image (its label is `IGNORE` there).

    Returns:
      (image [h, w, C] float32, label [h, w] uint8), h and w of `options.crop`.
    """
    draw = tf.unstack(tf.random.stateless_uniform([8], seed))
    transform = _geometry(tf.shape(image)[:2], draw[:6], options)
    label = _resample(label[..., None], transform, options.crop, "NEAREST", IGNORE)[..., 0]
    # The kernel fills all bands with one number, so the bands' fill values are made zero.
    image = _resample(tf.cast(image, tf.float32) - fill, transform, options.crop, "BILINEAR", 0) + fill
    return _light(image, draw[6], draw[7], options), label


def _geometry(size, draw, options):
    """Projective transform (8 numbers) from output to input pixels: scale, place the crop, mirror."""
    scale_y = _between(draw[0], *options.scale)
    scale_x = scale_y * _between(draw[1], 1 - options.aspect, 1 + options.aspect)
    scale_x = tf.clip_by_value(scale_x, *options.scale)
    step_x, start_x = _axis(size[1], options.crop[1], scale_x, draw[2], options.flip_horizontal & (draw[3] < 0.5))
    step_y, start_y = _axis(size[0], options.crop[0], scale_y, draw[4], options.flip_vertical & (draw[5] < 0.5))
    return tf.stack([step_x, 0.0, start_x, 0.0, step_y, start_y, 0.0, 0.0])


def _axis(size, crop, scale, place, mirror):
    """(step, start) of input = step * output + start along one axis, pixel centres at whole numbers."""
    free = tf.cast(size, tf.float32) * scale - crop
    # Whole pixels of the scaled image, so that a crop without scaling copies pixels exactly.
    offset = tf.round(place * free)
    first, last = ((offset + at + 0.5) / scale - 0.5 for at in (0.0, crop - 1.0))
    return tf.where(mirror, -1 / scale, 1 / scale), tf.where(mirror, last, first)


def _resample(pixels, transform, size, interpolation, fill):
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels[None],
        transforms=transform[None],
        output_shape=size,
        fill_value=fill,
        interpolation=interpolation,
        fill_mode="CONSTANT",
    )[0]


def _light(image, gain, contrast, options):
    if options.brightness:
        image = image * _between(gain, 1 - options.brightness, 1 + options.brightness)
    if options.contrast:
        mean = tf.reduce_mean(image)
        image = mean + (image - mean) * _between(contrast, 1 - options.contrast, 1 + options.contrast)
    return tf.clip_by_value(image, 0.0, 255.0) if options.brightness or options.contrast else image


def _between(uniform, low, high):
    return low + uniform * (high - low)
