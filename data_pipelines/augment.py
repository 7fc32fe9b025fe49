"""Random geometry and lighting of (image, label) pairs, as tf ops. Everything random comes from a seed."""

import dataclasses

import numpy as np
import tensorflow as tf

from data_pipelines.spec import IGNORE, DataError

# Numbers of the random streams beside the first, which has a fixed length: so whoever doesn't use them draws as ever.
TURN, BOXES = 1, 2
ATTEMPTS = 10  # boxes that are tried until one fits into the image


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
      rotation: turned about the centre of the crop by up to this many degrees either way.
      area: (low, high): the crop is a random box of the image with this part of its area, resized, as classification
        is trained; then `scale` and `aspect` don't apply. Empty: they do.
      ratio: (low, high): width / height of such a box.
    """

    crop: tuple
    scale: tuple = (1.0, 1.0)
    aspect: float = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    rotation: float = 0.0
    area: tuple = ()
    ratio: tuple = (3 / 4, 4 / 3)

    def __post_init__(self):
        for name, lengths in (("crop", (2,)), ("scale", (2,)), ("area", (0, 2)), ("ratio", (2,))):
            if len(getattr(self, name)) not in lengths:
                raise DataError(f"data.{name} must have 2 entries, got {tuple(getattr(self, name))}")
        if min(self.crop) < 1:
            raise DataError(f"data.crop must be positive, got {tuple(self.crop)}")
        if not 0 < self.scale[0] <= self.scale[1]:
            raise DataError(f"data.scale must be (low, high) with 0 < low <= high, got {tuple(self.scale)}")
        if not 0 <= self.rotation <= 180:
            raise DataError(f"data.rotation must be 0 to 180 degrees, got {self.rotation}")
        if self.area and not 0 < self.area[0] <= self.area[1] <= 1:
            raise DataError(f"data.area must be empty or (low, high) with 0 < low <= high <= 1, got {tuple(self.area)}")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise DataError(f"data.ratio must be (low, high) with 0 < low <= high, got {tuple(self.ratio)}")
        for name in ("aspect", "brightness", "contrast"):
            if not 0 <= getattr(self, name) < 1:
                raise DataError(f"data.{name} must be in [0, 1), got {getattr(self, name)}")


def augment(image, label, seed, options, fill):
    """One augmented pair.

    Args:
      image: [H, W, C], pixel values.
      label: [H, W] uint8, or a scalar, which nothing changes.
      seed: int tensor [2]; equal seeds give equal results.
      options: an `Augmentation`.
      fill: per band, the pixel value where the crop reaches outside the image (its label is `IGNORE` there).

    Returns:
      (image [h, w, C] float32, label [h, w] uint8 or the scalar), h and w of `options.crop`.
    """
    label = tf.convert_to_tensor(label)
    draw = tf.unstack(tf.random.stateless_uniform([8], seed))
    transform = _geometry(tf.shape(image)[:2], seed, draw[:6], options)
    if label.shape.rank:
        label = _resample(label[..., None], transform, options.crop, "NEAREST", IGNORE)[..., 0]
    # The kernel fills all bands with one number, so the bands' fill values are made zero.
    image = tf.cast(image, tf.float32) - fill
    if options.area:
        image, transform = _averaged(image, transform)
    image = _resample(image, transform, options.crop, "BILINEAR", 0) + fill
    return _light(image, draw[6], draw[7], options), label


def _geometry(size, seed, draw, options):
    """Projective transform (8 numbers) from output to input pixels: scale, place the crop, mirror, turn."""
    if options.area:
        scale_y, scale_x = _box_scales(size, seed, options)
    else:
        scale_y = _between(draw[0], *options.scale)
        scale_x = scale_y * _between(draw[1], 1 - options.aspect, 1 + options.aspect)
        scale_x = tf.clip_by_value(scale_x, *options.scale)
    step_x, start_x = _axis(size[1], options.crop[1], scale_x, draw[2], options.flip_horizontal & (draw[3] < 0.5))
    step_y, start_y = _axis(size[0], options.crop[0], scale_y, draw[4], options.flip_vertical & (draw[5] < 0.5))
    if not options.rotation:
        return tf.stack([step_x, 0.0, start_x, 0.0, step_y, start_y, 0.0, 0.0])
    angle = np.radians(options.rotation) * _between(_uniform(seed, TURN, []), -1, 1)
    turned_x, turned_y = _turn(angle, options.crop)
    return tf.stack([*_along(step_x, start_x, turned_x), *_along(step_y, start_y, turned_y), 0.0, 0.0])


def _turn(angle, crop):
    """Rows (of x, of y) of the matrix [2, 3] that turns the crop's pixels by `angle` (radians) about its centre."""
    y, x = ((side - 1) / 2 for side in crop)
    sin, cos = tf.sin(angle), tf.cos(angle)
    return (cos, -sin, x - cos * x + sin * y), (sin, cos, y - sin * x - cos * y)


def _along(step, start, row):
    """The row of a matrix, followed by step * output + start."""
    return step * row[0], step * row[1], step * row[2] + start


def _box_scales(size, seed, options):
    """Factors (of height, of width) that make a random box of the image as large as the crop.

    It is the first of some that fits into the image; where none does, the largest of an allowed ratio.
    """
    height, width = tf.unstack(tf.cast(size, tf.float32))
    areas, ratios = tf.unstack(_uniform(seed, BOXES, [2, ATTEMPTS]))
    areas = _between(areas, *options.area) * height * width
    ratios = tf.exp(_between(ratios, *np.log(options.ratio)))
    low, high = options.ratio
    heights = tf.concat([tf.sqrt(areas / ratios), [tf.minimum(height, width / low)]], axis=0)
    widths = tf.concat([tf.sqrt(areas * ratios), [tf.minimum(width, height * high)]], axis=0)
    first = tf.argmax(tf.cast((heights <= height) & (widths <= width), tf.int32))
    return options.crop[0] / heights[first], options.crop[1] / widths[first]


def _axis(size, crop, scale, place, mirror):
    """(step, start) of input = step * output + start along one axis, pixel centres at whole numbers."""
    free = tf.cast(size, tf.float32) * scale - crop
    # Whole pixels of the scaled image, so that a crop without scaling copies pixels exactly.
    offset = tf.round(place * free)
    first, last = ((offset + at + 0.5) / scale - 0.5 for at in (0.0, crop - 1.0))
    return tf.where(mirror, -1 / scale, 1 / scale), tf.where(mirror, last, first)


def _averaged(image, transform):
    """The image reduced by whole factors so that bilinear sampling skips no pixels, and the transform for it."""
    rows = tf.stack([transform[3:6], transform[:3]])  # of y, of x
    factors = tf.maximum(tf.cast(tf.norm(rows[:, :2], axis=1), tf.int32), 1)
    size = tf.shape(image)[:2]
    reduced = -(-size // factors)
    # Along each axis, pixel centres go from x to (x + 0.5) * ratio - 0.5.
    ratios, half = tf.cast(reduced / size, tf.float32)[:, None], [0.0, 0.0, 0.5]
    row_y, row_x = tf.unstack((rows + half) * ratios - half)
    reduce = tf.reduce_any(factors > 1)  # seldom: else nothing is copied
    image = tf.cond(reduce, lambda: tf.image.resize(image, reduced, "area"), lambda: image)
    return image, tf.concat([row_x, row_y, transform[6:]], axis=0)


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


def _uniform(seed, stream, shape):
    """Random numbers in [0, 1) that depend on `seed` and the number of the stream."""
    return tf.random.stateless_uniform(shape, tf.random.experimental.stateless_fold_in(seed, stream))


def _between(uniform, low, high):
    return low + uniform * (high - low)
