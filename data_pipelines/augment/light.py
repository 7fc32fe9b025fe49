"""Blur, brightness, contrast, colour and its noise, and noise of a crop, in this order. What is off adds no ops.

Brightness and contrast are those of light: bands that measure something else, depth or temperature, stay as they are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from data_pipelines.augment.draws import BLUR, COLOUR, NOISE, TINT, between, stream
from data_pipelines.augment.options import Augmentation
from data_pipelines.spec import DatasetSpec

# Red, green and blue to luma and two axes of colour, in which grey is the origin: Y, U and V of the PAL standard.
LUMA = np.array([0.299, 0.587, 0.114])
TO_YUV = np.array([LUMA, 0.492 * (np.array([0, 0, 1]) - LUMA), 0.877 * (np.array([1, 0, 0]) - LUMA)])

# Columns: principal components of red, green and blue over ImageNet, each as long as its deviation in 8-bit values. The
# constants in use everywhere since fb.resnet.torch; Krizhevsky et al. 2012, section 4.1, print none.
COMPONENTS = (
    255.0
    * np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    * np.array([0.2175, 0.0188, 0.0045])
)


def change_light(
    image: tf.Tensor, seed: tf.Tensor, draw: Sequence[tf.Tensor], options: Augmentation, spec: DatasetSpec
) -> tf.Tensor:
    """The crop [h, w, C] float32 under other light.

    Args:
      image: the crop, [h, w, C] float32, pixel values; its shape is known.
      seed: int tensor [2], of the sample.
      draw: two numbers in [0, 1), for brightness and contrast.
      options: how much of what.
      spec: its std is the measure of brightness and noise, and results stay within 0 and its largest value. Values of
        float data, which have no bounds, are not clipped.
    """
    lit, std = np.array(options.lit(spec), np.float32), np.array(spec.std, np.float32)
    if options.blur:
        image = _blurred(image, options.blur * tf.random.stateless_uniform([], stream(seed, BLUR)), options)
    if options.brightness:
        image = _plus(image, between(draw[0], -options.brightness, options.brightness) * std * lit)
    if options.contrast:
        gains = 1 + between(draw[1], -options.contrast, options.contrast) * lit
        image = _plus(_times(image, gains), (1 - gains) * _means(image))
    if options.hue or options.saturation:
        image = _tinted(image, tf.unstack(tf.random.stateless_uniform([2], stream(seed, TINT))), options, spec)
    if options.colour_noise:
        image = _plus(image, _colour_noise(stream(seed, COLOUR), options, spec))
    if options.noise:
        image = _noisy(image, stream(seed, NOISE), options, spec)
    colours = options.hue or options.saturation or options.colour_noise
    changed = options.brightness or options.contrast or colours or options.noise
    return tf.clip_by_value(image, 0.0, spec.largest) if changed and math.isfinite(spec.largest) else image


def _blurred(image, sigma, options):
    """Gaussian blur, the image mirrored at its borders.

    Adding shifted rows is several times faster than TensorFlow's depthwise convolution.
    """
    height, width, bands = image.shape
    radius = min(math.ceil(3 * options.blur), height, width)
    weights = tf.exp(-0.5 * tf.square(np.arange(radius + 1, dtype=np.float32) / tf.maximum(sigma, 1e-3)))
    weights = tf.unstack(weights / (2 * tf.reduce_sum(weights) - weights[0]))
    down = _rows(tf.pad(image, [[radius, radius], [0, 0], [0, 0]], "SYMMETRIC"))
    image = tf.reshape(_convolved([down[i : i + height] for i in range(2 * radius + 1)], weights), image.shape)
    across = _rows(tf.pad(image, [[0, 0], [radius, radius], [0, 0]], "SYMMETRIC"))
    shifted = [across[:, i * bands : (i + width) * bands] for i in range(2 * radius + 1)]
    return tf.reshape(_convolved(shifted, weights), image.shape)


def _convolved(shifted, weights):
    """The middle one and, to either side of it, pairs of `shifted` images, times `weights` from the middle on."""
    middle = len(shifted) // 2
    total = shifted[middle] * weights[0]
    for away, weight in enumerate(weights[1:], start=1):
        total += (shifted[middle - away] + shifted[middle + away]) * weight
    return total


def _tinted(image, draw, options, spec):
    """Red, green and blue with the colour's distance from grey scaled and its direction turned, at the same luma."""
    angle = 2 * np.pi * options.hue * between(draw[0], -1, 1)
    gain = between(draw[1], 1 - options.saturation, 1 + options.saturation)
    back = np.linalg.inv(TO_YUV)
    grey, colour, across = (
        back @ np.array(part) @ TO_YUV
        for part in (np.diag([1, 0, 0]), np.diag([0, 1, 1]), [[0, 0, 0], [0, 0, -1], [0, 1, 0]])
    )
    # All bands at once, of which the others stay as they are.
    place = np.eye(spec.bands)[list(spec.rgb)]
    others = np.eye(spec.bands) - place.T @ place
    grey, colour, across = (np.float32(place.T @ part @ place) for part in (grey, colour, across))
    matrix = np.float32(others) + grey + gain * (tf.cos(angle) * colour + tf.sin(angle) * across)
    return tf.reshape(tf.matmul(tf.reshape(image, [-1, spec.bands]), matrix, transpose_b=True), tf.shape(image))


def _colour_noise(seed, options, spec):
    """[C]: the principal components of the colours, each times a Gaussian number; 0 for other bands."""
    place = np.eye(spec.bands)[list(spec.rgb)]
    shares = options.colour_noise * tf.random.stateless_normal([3], seed)
    return tf.linalg.matvec(np.float32(place.T @ COMPONENTS), shares)


def _noisy(image, seed, options, spec):
    strength = options.noise * tf.random.stateless_uniform([], seed) * spec.std
    rows = tf.random.stateless_normal(_rows(image).shape, stream(seed, 0)) * tf.tile(strength, [image.shape[1]])
    return image + tf.reshape(rows, image.shape)


def _means(image):
    """Mean per band [C]."""
    return tf.reduce_mean(tf.reshape(tf.reduce_mean(_rows(image), axis=0), [-1, image.shape[-1]]), axis=0)


def _plus(image, vector):
    """image + a vector [C]."""
    return tf.reshape(_rows(image) + tf.tile(vector, [image.shape[1]]), image.shape)


def _times(image, vector):
    """image * a vector [C]."""
    return tf.reshape(_rows(image) * tf.tile(vector, [image.shape[1]]), image.shape)


def _rows(image):
    """[h, w * C], because what goes by whole rows is several times faster than by pixels of few bands."""
    height, width, bands = image.shape
    return tf.reshape(image, [height, width * bands])
