"""Which part of an image the crop shows, and how: scaled, placed, mirrored, turned, deformed.

A box of whole pixels is cut out, with a margin where it is turned or deformed, and resampled to the size of the crop:
no more of the image is touched than the crop shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines.augment.draws import BALANCE, BOXES, ELASTIC, TURN, between, placed, stream
from data_pipelines.augment.options import Augmentation
from data_pipelines.spec import IGNORE

ATTEMPTS = 10  # boxes that are tried until one fits into the image


class View(NamedTuple):
    """What the crop shows. Pairs are of rows and columns.

    Attributes:
      corner: [2] int32, first pixel of the box. It may lie outside the image.
      size: [2] int32, pixels of the image that become the crop.
      mirrored: [2] bool, or None where pairs are never mirrored.
      angle: scalar, radians by which the crop is turned about its centre, or None where pairs are never turned.
      field: [h, w, 2] float32, pixels of the crop by which what each of its pixels shows lies further down and right,
        or None where pairs are never deformed.
    """

    corner: tf.Tensor
    size: tf.Tensor
    mirrored: tf.Tensor | None
    angle: tf.Tensor | None
    field: tf.Tensor | None = None


def draw_view(
    image_size: tf.Tensor, label: tf.Tensor, seed: tf.Tensor, draw: Sequence[tf.Tensor], options: Augmentation
) -> View:
    """The `View` of one sample.

    Boxes lie anywhere within the image, each place as likely as another; along an axis where they are larger, the image
    lies anywhere within them. With
    probability `options.balance` a box is instead placed about a pixel: of a class drawn uniformly among those in the
    label, drawn uniformly among the pixels of this class. The pixel is in the middle, or nearer to a border of the
    image that the box would cross otherwise. The crop shows it in any case: where turning would leave it out, it is in
    the middle. An image without labelled pixels is cut as any. Deforming may move the pixel across the crop's border.

    Args:
      image_size: [2] int32.
      label: [H, W] uint8; anything where `options.balance` is 0.
      seed: int tensor [2].
      draw: six numbers in [0, 1): scale, aspect, place and mirror of columns, place and mirror of rows.
      options: the ranges of what is drawn.
    """
    size = _box_size(image_size, seed, draw, options)
    free = image_size - size
    corner = placed(tf.stack([draw[4], draw[2]]), free)
    mirrored = angle = None
    if options.flip_horizontal or options.flip_vertical:
        chances = np.array([0.5 * options.flip_vertical, 0.5 * options.flip_horizontal], np.float32)
        mirrored = tf.stack([draw[5], draw[3]]) < chances
    if options.rotation:
        turn = tf.random.stateless_uniform([], stream(seed, TURN))
        angle = np.radians(options.rotation) * between(turn, -1, 1)
    view = View(corner, size, mirrored, angle, _field(seed, options) if options.elastic else None)
    return _balanced(view, label, free, seed, options) if options.balance else view


def cut_image(image: tf.Tensor, view: View, options: Augmentation, fill: Sequence[float]) -> tf.Tensor:
    """The crop [h, w, C] float32 of an image [H, W, C]; `fill` [C] is the value outside the image."""
    if view.field is not None:
        places, first, size = _deformed(view, options.crop)
        return _bilinear(_part(image, first, size, fill), places)
    if view.angle is None:
        part = _part(image, view.corner, view.size, fill)
        if options.area:
            part = _averaged(part, view, options)
        part = _as_large(part, options) if _keeps_size(options) else tf.image.resize(part, options.crop)
        return _mirror(part, view.mirrored)
    first, size = _window(view, options.crop)
    part = _part(image, first, size, fill)
    rows = _turned_rows(view, first, options.crop)
    if options.area:
        part = _averaged(part, view, options)
        # Along each axis, pixel centres go from x to (x + 0.5) * ratio - 0.5.
        ratio, half = tf.cast(tf.shape(part)[:2] / size, tf.float32)[:, None], np.array([0, 0, 0.5], np.float32)
        rows = (rows + half) * ratio - half
    # The part has all that is asked for.
    return _resample(part, rows, options.crop, "BILINEAR", fill_mode="NEAREST")


def is_inside(image_size: tf.Tensor, view: View, options: Augmentation) -> tf.Tensor:
    """Which pixels of the crop, [h, w] bool, are of the image of that size, [2] int32."""
    return cut_label(tf.zeros(image_size, tf.uint8), view, options) == 0


def cut_label(label: tf.Tensor, view: View, options: Augmentation) -> tf.Tensor:
    """The crop [h, w] uint8 of a label [H, W]: at each place the class of the nearest pixel, `IGNORE` outside."""
    if view.field is not None:
        places, first, size = _deformed(view, options.crop)
        return tf.gather_nd(_part(label, first, size, IGNORE), tf.cast(tf.round(places), tf.int32))
    if view.angle is not None:
        first, size = _window(view, options.crop)
        part, rows = _part(label, first, size, IGNORE), _turned_rows(view, first, options.crop)
        return _resample(part[..., None], rows, options.crop, "NEAREST", fill_mode="CONSTANT")[..., 0]
    part = _part(label, view.corner, view.size, IGNORE)
    if _keeps_size(options):
        part = _as_large(part, options)
        return _mirror(part, view.mirrored)
    # Gathering along the first axis copies whole rows: two transposes cost less than single pixels.
    for axis, length in enumerate(options.crop):
        centres = 2 * np.arange(length, dtype=np.int32) + 1  # twice those of the crop's pixels
        if view.mirrored is not None:
            centres = tf.where(view.mirrored[axis], centres[::-1], centres)
        part = tf.transpose(tf.gather(part, centres * view.size[axis] // (2 * length)))
    return part


def _box_size(image_size, seed, draw, options):
    """[2] int32: height and width in pixels of the image of what becomes the crop."""
    if options.area:
        sides = _box_of_area(image_size, seed, options)
    else:
        scale_y = between(draw[0], *options.scale)
        scale_x = scale_y * between(draw[1], 1 - options.aspect, 1 + options.aspect)
        sides = options.crop / tf.stack([scale_y, tf.clip_by_value(scale_x, *options.scale)])
    return tf.maximum(tf.cast(tf.round(sides), tf.int32), 1)


def _box_of_area(image_size, seed, options):
    """[2] float32: sides of the first of some boxes that fits into the image.

    Where none does, of the largest of an allowed ratio.
    """
    height, width = tf.unstack(tf.cast(image_size, tf.float32))
    areas, ratios = tf.unstack(tf.random.stateless_uniform([2, ATTEMPTS], stream(seed, BOXES)))
    areas = between(areas, *options.area) * height * width
    ratios = tf.exp(between(ratios, *np.log(options.ratio)))
    low, high = options.ratio
    heights = tf.concat([tf.sqrt(areas / ratios), [tf.minimum(height, width / low)]], axis=0)
    widths = tf.concat([tf.sqrt(areas * ratios), [tf.minimum(width, height * high)]], axis=0)
    first = tf.argmax(tf.cast((heights <= height) & (widths <= width), tf.int32))
    return tf.stack([heights[first], widths[first]])


def _balanced(view, label, free, seed, options):
    """The view, or the same about a pixel of a drawn class; see `draw_view`."""
    coin, pick_class, pick_pixel = tf.unstack(tf.random.stateless_uniform([3], stream(seed, BALANCE), dtype=tf.float64))

    def about_a_pixel():
        counts = tf.math.bincount(tf.cast(label, tf.int32), minlength=IGNORE + 1)[:IGNORE]
        classes = tf.where(counts > 0)[:, 0]
        return tf.cond(tf.size(classes) > 0, lambda: about_one_of(_pick(classes, pick_class)), lambda: view.corner)

    def about_one_of(class_id):
        pixel = _nth_pixel(label == tf.cast(class_id, tf.uint8), pick_pixel)
        middle = pixel - view.size // 2
        inside = tf.clip_by_value(middle, tf.minimum(free, 0), tf.maximum(free, 0))
        if view.angle is None:
            return inside
        return tf.where(_shows(view._replace(corner=inside), pixel, options.crop), inside, middle)

    return view._replace(corner=tf.cond(coin < options.balance, about_a_pixel, lambda: view.corner))


def _pick(values, uniform):
    return values[tf.cast(uniform * tf.cast(tf.size(values), tf.float64), tf.int32)]


def _nth_pixel(inside, uniform):
    """(row, column) int32 of a pixel of `inside`, [H, W] bool and somewhere true: the first for 0, the last below 1.

    By its row, and then in that: the places of all pixels would take 16 bytes for each.
    """
    counts = tf.cast(tf.reduce_sum(tf.cast(inside, tf.int32), axis=1), tf.int64)
    ends = tf.cumsum(counts)
    number = tf.cast(uniform * tf.cast(ends[-1], tf.float64), tf.int64)
    row = tf.reduce_sum(tf.cast(ends <= number, tf.int32))
    columns = tf.where(inside[row])[:, 0]
    return tf.stack([row, tf.cast(columns[number - ends[row] + counts[row]], tf.int32)])


def _shows(view, pixel, crop):
    """Whether the turned crop shows a pixel of its box. Mirroring the box first is turning it the other way."""
    away = (tf.cast(pixel - view.corner, tf.float32) + 0.5) / tf.cast(view.size, tf.float32) - 0.5
    y, x = tf.unstack(away * crop)
    if view.mirrored is not None:
        y, x = tf.where(view.mirrored[0], -y, y), tf.where(view.mirrored[1], -x, x)
    sin, cos = tf.sin(view.angle), tf.cos(view.angle)
    return (tf.abs(cos * y - sin * x) < crop[0] / 2) & (tf.abs(sin * y + cos * x) < crop[1] / 2)


def _part(pixels, corner, size, fill):
    """Box [*size] of an image [H, W, C], as float32, or of a label [H, W]; outside there is `fill`."""
    whole = tf.shape(pixels)[:2]
    first, last = tf.maximum(corner, 0), tf.minimum(corner + size, whole)
    part = pixels[first[0] : last[0], first[1] : last[1]]
    margins = tf.stack([first - corner, corner + size - last], axis=1)
    if pixels.shape.rank == 2:
        return tf.pad(part, margins, constant_values=fill)
    part = tf.cast(part, tf.float32)
    return tf.cond(tf.reduce_any(margins > 0), lambda: _padded(part, margins, fill), lambda: part)


def _padded(image, margins, fill):
    """The image with margins [[top, bottom], [left, right]] of `fill`, which is per band."""
    height, width, bands = tf.unstack(tf.shape(image))
    # Bands and columns in one axis: adding a vector to rows is several times faster than to pixels.
    rows = tf.reshape(image, [height, width * bands]) - tf.tile(fill, [width])
    rows = tf.pad(rows, margins * [[1], [bands]])
    height, width = height + tf.reduce_sum(margins[0]), width + tf.reduce_sum(margins[1])
    return tf.reshape(rows + tf.tile(fill, [width]), [height, width, bands])


def _keeps_size(options):
    """Whether what becomes the crop is as large as the crop: nothing is to be resampled."""
    return not options.area and tuple(options.scale) == (1, 1)


def _as_large(part, options):
    return tf.ensure_shape(part, (*options.crop, *part.shape[2:]))


def _averaged(part, view, options):
    """The part reduced by whole factors, so that bilinear sampling of it skips no pixels."""
    factors = tf.maximum(view.size // options.crop, 1)
    reduced = -(-tf.shape(part)[:2] // factors)
    # Seldom needed: else nothing is copied.
    return tf.cond(tf.reduce_any(factors > 1), lambda: tf.image.resize(part, reduced, "area"), lambda: part)


def _mirror(pixels, mirrored):
    """`mirrored` as of `View`."""
    return pixels if mirrored is None else tf.reverse(pixels, tf.where(mirrored)[:, 0])


def _window(view, crop):
    """(first pixel [2], size [2]) of what a turned crop shows, and some more."""
    sin, cos = tf.abs(tf.sin(view.angle)), tf.abs(tf.cos(view.angle))
    reach = tf.stack([cos * crop[0] + sin * crop[1], sin * crop[0] + cos * crop[1]]) / crop / 2
    size = tf.cast(view.size, tf.float32)
    middle = tf.cast(view.corner, tf.float32) + size / 2
    # Bilinear sampling reads a pixel further, and an averaged one is as large as a pixel of the crop.
    reach = reach * size + size / crop + 2
    first, last = tf.floor(middle - reach), tf.math.ceil(middle + reach)
    return tf.cast(first, tf.int32), tf.cast(last - first, tf.int32)


def _field(seed, options):
    """[h, w, 2] float32: a smooth field through Gaussian displacements of a few nodes (Ronneberger et al. 2015).

    These are cut at two deviations, so that bicubic interpolation has no slope of more than six deviations from node to
    node: below one, which the settings are checked for, nothing is folded along rows or columns.
    """
    own, count = stream(seed, ELASTIC), options.elastic_nodes
    deviation = options.elastic * tf.random.stateless_uniform([], own)
    nodes = deviation * tf.random.stateless_truncated_normal([count, count, 2], stream(own, 0))
    return tf.image.resize(nodes, options.crop, "bicubic")


def _deformed(view, crop):
    """(places [h, w, 2], first pixel [2], size [2]) of what a deformed crop shows: places count from that pixel."""
    rows, columns = np.indices(crop, np.float32)
    dy, dx = tf.unstack(view.field, axis=-1)
    points = tf.reshape(tf.stack([columns + dx, rows + dy, tf.ones_like(dx)], axis=-1), [-1, 3])
    places = tf.matmul(points, _turned_rows(view, tf.zeros(2, tf.int32), crop), transpose_b=True)
    first = tf.floor(tf.reduce_min(places, axis=0))
    size = tf.floor(tf.reduce_max(places, axis=0)) - first + 2  # bilinear sampling reads a pixel further
    return tf.reshape(places - first, [*crop, 2]), tf.cast(first, tf.int32), tf.cast(size, tf.int32)


def _bilinear(pixels, places):
    """[h, w, C] of an image [H, W, C] at places [h, w, 2], each at least a pixel before its last row and column."""
    corner = tf.floor(places)
    y, x = tf.split(places - corner, 2, axis=-1)
    corner = tf.cast(corner, tf.int32)
    left, right = ((1 - y) * tf.gather_nd(pixels, corner + [0, step]) for step in (0, 1))
    left += y * tf.gather_nd(pixels, corner + [1, 0])
    right += y * tf.gather_nd(pixels, corner + [1, 1])
    return (1 - x) * left + x * right


def _turned_rows(view, first, crop):
    """[2, 3]: the source (row, column), counted from pixel `first`, is this times the crop's (column, row, 1)."""
    y, x = ((side - 1) / 2 for side in crop)
    angle = 0.0 if view.angle is None else view.angle
    sin, cos = tf.sin(angle), tf.cos(angle)
    turned = tf.stack([[sin, cos, y - sin * x - cos * y], [cos, -sin, x - cos * x + sin * y]])
    step = tf.cast(view.size, tf.float32) / crop
    start = tf.cast(view.corner - first, tf.float32)
    if view.mirrored is not None:
        start = tf.where(view.mirrored, start + tf.cast(view.size, tf.float32), start)
        step = tf.where(view.mirrored, -step, step)
    # Edges of pixels are at whole numbers here, centres 0.5 further.
    return turned * step[:, None] + tf.stack([tf.zeros(2), tf.zeros(2), start + 0.5 * step - 0.5], axis=1)


def _resample(pixels, rows, size, interpolation, fill_mode):
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels[None],
        transforms=tf.concat([rows[1], rows[0], tf.zeros(2)], axis=0)[None],
        output_shape=size,
        fill_value=IGNORE,
        interpolation=interpolation,
        fill_mode=fill_mode,
    )[0]
