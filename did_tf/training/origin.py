"""What a training depends on, from the parts that it is made of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tensorflow import keras

from data_pipelines.pipeline import Loader
from data_pipelines.remote import is_remote
from did_tf import models
from did_tf.cluster.workers import Workers
from did_tf.common import compat
from did_tf.common.errors import ConfigError, about
from did_tf.models.layers import FusedBatchNormalization
from did_tf.runs import checkpoints, manifest, weights
from did_tf.runs.mirror import Mirror
from did_tf.runs.run_folder import RunFolder
from did_tf.training import pretrained, transfer
from did_tf.training.pretrained import IMAGENET
from did_tf.training.train_step import TrainStep


def check_sources(settings: Mapping[str, Any], run: RunFolder) -> None:
    """Raises `ConfigError` where the weights that a new run starts from, by the section `train`, are not there.

    A run at a remote place is fetched. Raises `Failure` where the place can't be read.
    """
    for setting in ("init", "encoder"):
        if settings[setting] not in ("", IMAGENET) and not checkpoints.saved_steps(run.checkpoints):
            with about(f"train.{setting}", ConfigError):
                weights.file_of(_here(settings[setting]))


def load_weights(model: keras.Model, settings: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
    """Loads the weights that a new run starts from by the section `train`, if any, and says which.

    Raises `ConfigError` where they can't be read, or don't fit, `Failure` where a remote place can't be read.
    """
    for source, load, *arguments in (
        ("init", transfer.load_all, manifest, settings["init_options"]),
        ("encoder", pretrained.load_encoder, manifest),
    ):
        if settings[source]:
            with about(f"train.{source}", ConfigError):
                print(f"{source} weights from {load(model, _here(settings[source]), *arguments)}")


def tell_frozen(model: keras.Model, settings: Mapping[str, Any]) -> None:
    """Prints a note where the section `train` freezes batch norm for good before anything has moved its statistics."""
    if not settings["freeze_batch_norm"] or settings["freeze_batch_norm_from"]:
        return
    frozen = [layer.name for layer in model.layers if isinstance(layer, FusedBatchNormalization) and _is_new(layer)]
    if frozen:
        parts = {models.part(name) for name in frozen}
        print(
            f"note: batch norm of {len(frozen)} layers ({', '.join(sorted(parts))}) is frozen as it began, mean 0 and "
            "variance 1: train.freeze_batch_norm_from=STEP lets it learn first"
        )


def _is_new(layer):
    mean, variance = (compat.tf_variable(v).numpy() for v in (layer.moving_mean, layer.moving_variance))
    return not mean.any() and (variance == 1).all()


def _here(source):
    """The same, but of a run at a remote place the copy of it, which is fetched."""
    if not is_remote(source):
        return source
    mirror = Mirror(source)
    mirror.fetch()
    if not mirror.folder.is_dir():
        raise ConfigError(
            f"there is no run at {mirror.place}: name the place of a whole run, or fetch a file of weights"
        )
    return mirror.folder


def manifest_of(
    train_step: TrainStep,
    loader: Loader,
    val_split: str,
    protocol: str,
    seed: int,
    network: Mapping[str, Any],
    precision: str,
    progress: bool = False,
) -> dict[str, Any]:
    """What a run depends on beside its settings, see `manifest.make`.

    Args:
      train_step: which says the devices and the weights of the classes.
      loader: of the samples to train on.
      val_split: of the same data set, to validate on; empty for none.
      protocol: that images go by in validation; empty where they are classified.
      seed, network, precision: as for `manifest.make`.
      progress: show a bar where it takes long to look at the data.

    Raises:
      DataError: a file is missing.
    """
    dataset = loader.dataset
    validation: dict[str, Any] | None = None
    if val_split:
        found = manifest.content(dataset, dataset.samples(val_split), val_split, progress)
        validation = {**found, **({"protocol": protocol} if protocol else {})}
    return manifest.make(
        seed,
        Workers(train_step.strategy).devices(),
        {**manifest.content(dataset, loader.samples, loader.split, progress), **manifest.facts(dataset.spec)},
        validation,
        train_step.pixel_loss.class_weights,
        network,
        precision,
    )
