"""What must be so before the first step: else nothing is learnt, and its scores would not say so."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from multiprocessing.pool import ThreadPool

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_pipelines.augment import Augmentation
from data_pipelines.learnable import classes_in, nothing_labelled, shows_one
from data_pipelines.memory import cores
from data_pipelines.pipeline import Loader, training_labels, with_bar
from data_pipelines.spec import Dataset
from did_tf import models
from did_tf.common import compat
from did_tf.common.damage import Damage
from did_tf.common.errors import ConfigError, about
from did_tf.models.layers import FusedBatchNormalization, check_size
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.supervision import Supervision

FEW, MANY = 32, 1000
"""Crops that are drawn before all labels are looked at, and before it is said that crops show nothing of them."""
AT_ONCE = 4
"""Images that are read at the same time, at most: each may take much memory, and scoring reads one after the other."""


def check_model(model: keras.Model, crop: Sequence[int], multipliers: Mapping[str, float]) -> None:
    """Raises `ConfigError` where the training crop is too small for the network, or no part of it would be trained.

    Args:
      model: from `models.build`.
      crop: height and width, pixels.
      multipliers: {part: factor of its learning rate}.
    """
    with about(f"data.crop={tuple(crop)}", ConfigError):
        check_size((None, *crop), model.get_layer("normalize").minimum)
    if all(multipliers.get(models.part(compat.path(variable))) == 0 for variable in model.trainable_variables):
        raise ConfigError(f"optimizer.multipliers leaves nothing to train: {dict(multipliers)}")


def tell_absent(model: keras.Model, settings: Mapping[str, Collection[str]]) -> None:
    """Prints a note for each part of networks that `model` hasn't, and a setting is for.

    Args:
      model: from `models.build`.
      settings: {of the section `optimizer`: parts}.
    """
    there = {models.part(compat.path(variable)) for variable in model.trainable_variables}
    for setting, parts in settings.items():
        for part in sorted({*parts} - there):
            print(f"note: optimizer.{setting} has no effect on the {part}: {model.name} has none")


def check_batch_norm(model: keras.Model, sizes: Mapping[str, Sequence[int]], images: int) -> None:
    """Raises `ConfigError` where batch norm would normalise a single position, whose variance is 0.

    It would learn nothing of what it takes, and by a moving variance of 0 tests would multiply that by hundreds.

    Args:
      model: from `models.build`, whose batch norm is not frozen from the start.
      sizes: {layer: (copies, height, width)} of its output for a training crop.
      images: that are normalised together.
    """
    for layer in model.layers:
        if isinstance(layer, FusedBatchNormalization) and images * math.prod(sizes[layer.name]) == 1:
            raise ConfigError(
                f"batch norm of {layer.name} would see a single position, one image at a time: take a larger "
                "train.batch_size or data.crop, less of train.parts and train.accumulate, train.sync_batch_norm on "
                "several devices, or train.freeze_batch_norm"
            )


def check_readable(dataset: Dataset, splits: Sequence[str], progress: bool = True) -> None:
    """Raises `DataError` for images and labels that can't be read: mended after the first step, they are other data.

    Args:
      dataset: for segmentation.
      splits: those that are not read before the first step anyway.
      progress: shows a bar, where stderr is a terminal.
    """
    loader, together, alone = Loader(dataset, "+".join(splits), cache=False), Damage(), Damage()
    names = [sample.name for sample in loader.samples]

    def read(index, damage=together):
        with damage.of(names[index]):
            loader(index)

    with ThreadPool(min(AT_ONCE, cores())) as pool:
        for _ in with_bar(pool.imap(read, range(len(loader))), "can all be read", len(loader), progress):
            pass
    for index in [index for index, name in enumerate(names) if name in together.reasons]:
        read(index, alone)  # there may have been no room for all
    alone.tell("mend it, or take it out of the data")


def check_learnable(
    loader: Loader, augmentation: Augmentation, seed: int, supervision: Supervision, pixel_loss: PixelCrossEntropy
) -> None:
    """Raises `ConfigError` where no crop would hold what can be learnt: classes that are trained, two or more of them.

    The first crops of the training tell it as a rule. Where they don't, labels are read up to the first that does.

    Args:
      loader, augmentation, seed: as of `pipeline.training_batches`.
      supervision: says which pixels of a label are compared.
      pixel_loss: says which classes have a weight.
    """
    spec = loader.dataset.spec
    weights = pixel_loss.class_weights or (1.0,) * spec.num_classes
    trained = {number for number, weight in enumerate(weights) if weight}
    crops = (_compared(label, supervision) for label in training_labels(loader, augmentation, seed, MANY))
    shown: set[int] = set()
    for _, label in zip(range(FEW), crops):
        shown |= classes_in(label, spec) & trained
        if len(shown) > 1:
            return
    _check_labels(loader, trained)
    if not (shown or any(classes_in(label, spec) & trained for label in crops)):
        raise ConfigError(
            f"data.crop={tuple(augmentation.crop)}: none of the first {MANY} crops of {loader.split} shows a pixel "
            "that counts: take larger crops, data.balance, or loss.resolution=full where it is features"
        )


def _check_labels(loader, trained):
    """Raises `ConfigError` where the labels, whole, don't show two classes that are trained."""
    spec = loader.dataset.spec
    shown: set[int] = set()
    for index in range(len(loader)):
        shown |= classes_in(loader(index)[1], spec)
        if len(shown & trained) > 1:
            return
    if not shown:
        raise ConfigError(nothing_labelled(spec, loader.split, len(loader)))
    names = _names(spec, shown)
    if not shown & trained:
        raise ConfigError(f"loss.class_weights is 0 for all that {loader.split} shows, {names}: nothing can be learnt")
    if shown <= trained:
        raise ConfigError(shows_one(loader.split, names))
    raise ConfigError(
        f"{loader.split} shows {names}, and loss.class_weights leaves {_names(spec, shown & trained)} alone: there is "
        "nothing to tell it from"
    )


def _names(spec, classes):
    return ", ".join(spec.classes[number] for number in sorted(classes))


def _compared(label, supervision):
    """[P] or a scalar: those of the pixels of a crop's label, [h, w] or a scalar, that outputs are compared with."""
    if not np.ndim(label):
        return label
    of = (supervision.labels(tf.constant(label)[None], shift) for shift in supervision.passes)
    return np.concatenate([np.unique(part.numpy()) for outputs in of for part in outputs.values()])
