"""Another crop in a crop: parts of it by CutMix, ClassMix and copy-paste, all of it by MixUp.

The other crop is drawn from the seed of the crop: of any sample, and cut, turned and lit by draws of its own. So the
size of a batch, and how it is shared by devices, change nothing, and a run that goes on mixes the same. But for MixUp
the value and the label of a pixel are of one crop, void too.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from data_pipelines.augment.boxes import boxed
from data_pipelines.augment.draws import CLASSES, MIX, OBJECTS, OTHER, SHARE, stream
from data_pipelines.augment.options import Augmentation
from data_pipelines.spec import IGNORE, DatasetSpec


def other_crop(seed: tf.Tensor, samples: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Which other crop is for the one of `seed`: (number of its sample among so many, int64; its own seed, [2])."""
    own = stream(seed, OTHER)
    return tf.random.stateless_uniform([], own, 0, samples, tf.int64), stream(own, 0)


def mix(
    mine: Sequence[tf.Tensor],
    other: Callable[[], Sequence[tf.Tensor]],
    seed: tf.Tensor,
    options: Augmentation,
    spec: DatasetSpec,
) -> Sequence[tf.Tensor]:
    """The crop as it is, or with parts of another one. MixUp is none of it: see `blend`.

    Args:
      mine: [image [h, w, C], label [h, w]], or [label] alone: the label is the last.
      other: gives those of the other crop. It is called for crops that are mixed, no others.
      seed: int tensor [2], of the crop.
      options: its shares of crops say which kind there is; a crop has one, or none.
      spec: says the numbers of the classes to paste.

    Returns:
      What `mine` has, mixed.
    """
    used = [name for name in MASKS if getattr(options, name)]
    if not used:
        return mine
    ends, (choice, *draw) = _ends(options, used), _draw(seed)

    def mixed():
        theirs = other()
        masks = [functools.partial(MASKS[name], theirs[-1], seed, draw, options, spec) for name in used]
        shown = tf.switch_case(tf.reduce_sum(tf.cast(choice >= ends[:-1], tf.int32)), masks)
        return [tf.where(shown[..., None] if x.shape.rank == 3 else shown, y, x) for x, y in zip(mine, theirs)]

    return tf.cond(choice < ends[-1], mixed, lambda: [*mine])


def blend(
    image: tf.Tensor,
    other: Callable[[], Sequence[tf.Tensor]],
    seed: tf.Tensor,
    options: Augmentation,
) -> Sequence[tf.Tensor]:
    """MixUp (Zhang et al. 2018, arXiv 1710.09412): the mean of two crops, by which their labels weigh in the loss.

    The other crop's weight is of a symmetric beta distribution, or what is left of 1 where that is less: which of two
    crops is the other one means nothing, and so the crop's own label is that of the larger part.

    Args:
      image: [h, w, C], as `mix` gives it.
      other, seed, options: as of `mix`. Crops that have parts of another are not blended.

    Returns:
      (image, the other crop's label [h, w], its weight in [0, 0.5]). The weight is 0 and that label void where the crop
      is not blended.
    """
    low, high = _ends(options, (*MASKS, "mixup"))[-2:]
    choice = _draw(seed)[0]

    def blended():
        theirs, label = other()
        parts = tf.random.stateless_gamma([2], stream(seed, SHARE), options.mixup_alpha, dtype=tf.float64)
        weight = tf.cast(tf.reduce_min(parts) / tf.reduce_sum(parts), tf.float32)
        return [(1 - weight) * image + weight * theirs, label, weight]

    def alone():
        return [image, tf.fill(options.crop, tf.constant(IGNORE, tf.uint8)), tf.constant(0.0)]

    return tf.cond((choice >= low) & (choice < high), blended, alone)


def _ends(options, names):
    """Of each kind, the number in [0, 1] below which it or one before it is chosen."""
    return np.cumsum([getattr(options, name) for name in names], dtype=np.float32)


def _draw(seed):
    """Four numbers in [0, 1): what is mixed in, and a box."""
    return tf.unstack(tf.random.stateless_uniform([4], stream(seed, MIX)))


def _box(label, seed, draw, options, spec):
    """CutMix (Yun et al. 2019, arXiv 1905.04899): a box of the crop's shape, its share of the area uniform in [0, 1).

    It lies within the crop, as the boxes of French et al. 2020 (arXiv 1906.01916) do for segmentation.
    """
    share, *place = draw
    return boxed(options.crop, tf.sqrt(share) * np.array(options.crop, np.float32), place)


def _half_of_the_classes(label, seed, draw, options, spec):
    """ClassMix (Olsson et al. 2021, arXiv 2007.07936): all pixels of half of the label's classes, rounded down."""
    there = tf.math.bincount(tf.cast(label, tf.int32), minlength=IGNORE + 1)[:IGNORE] > 0
    order = tf.where(there, tf.random.stateless_uniform([IGNORE], stream(seed, CLASSES)), 1.0)
    first = tf.argsort(tf.argsort(order)) < tf.reduce_sum(tf.cast(there, tf.int32)) // 2
    return tf.gather(tf.concat([first, [False]], 0), tf.cast(label, tf.int32))


def _objects(label, seed, draw, options, spec):
    """Copy-paste (Ghiasi et al. 2021, arXiv 2012.07177): each object of some classes with an even chance.

    An object is a connected region of a class, as labels tell no more.
    """
    classes = [spec.classes.index(name) for name in options.paste_classes]
    numbers = tf.numpy_function(lambda ids: _numbered(ids, classes), [label], tf.int32, stateful=False)
    numbers = tf.ensure_shape(numbers, label.shape)
    pasted = tf.random.stateless_uniform([tf.reduce_max(numbers) + 1], stream(seed, OBJECTS)) < 0.5
    return tf.gather(pasted, numbers) & (numbers > 0)


def _numbered(label, classes):
    """[h, w] int32: the number of each pixel's region, from 1, of those of `classes`, which touch by corners too."""
    from scipy import ndimage  # takes a quarter of a second, which few need to wait for

    numbers = np.zeros(label.shape, np.int32)
    for class_id in classes:
        found, _ = ndimage.label(label == class_id, np.ones((3, 3)))
        numbers += np.where(found > 0, found + numbers.max(), 0).astype(np.int32)
    return numbers


MASKS: Mapping[str, Callable[..., tf.Tensor]] = {
    "cutmix": _box,
    "classmix": _half_of_the_classes,
    "paste": _objects,
}
"""{setting, the share of crops: which pixels, [h, w] bool, are of the other crop, from its label and draws}."""
