"""Weights of an earlier run for a network whose data may be others: what fits is taken, and what is left is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_pipelines.spec import COLOURS
from did_tf import models
from did_tf.common import compat
from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints, identity, weights
from did_tf.runs.checkpoints import MODEL

_TOLD = ("classes", "regions", "bands", "band_names")  # with what is done about them
_OF_BANDS = ("mean", "std")


def load_all(model: keras.Model, source: Path | str, own: Mapping[str, Any], free: Collection[str] = ()) -> str:
    """Loads all weights of `model` from an earlier run, as far as their data are the same.

    The head stays as it is where classes or regions, or their order, are others. Of other bands see `adapt_bands`.

    Args:
      model: any network.
      source: a run folder (its best weights, else the latest), or a weights file.
      own: "network" and "data" of the new run, as of `manifest.make`.
      free: options of the network that are meant to differ, beside those of training alone.

    Returns:
      What was loaded, for the log, what was left, and how its network and data differ from `own`.

    Raises:
      ConfigError: the weights can't be had or don't fit, or are of a network with other options: nothing is loaded.
    """
    file = weights.file_of(source)
    found = weights.identity_of(file)
    if found is None:
        weights.load(model, file)
        return f"{file}, which does not say what network it is of: that is not checked"
    network, training = models.described(found["network"]), {*models.TRAINING_OPTIONS}
    if network["name"] != (name := own["network"]["name"]):
        raise ConfigError(
            f"{file} is of the network {network['name']}, here it is {name}: train.encoder takes its encoder alone"
        )
    identity.check_network(file, network, own["network"], {*free, *training}, "train.init_options")
    state, left = checkpoints.model_state(model), ""
    classes, were = own["data"]["classes"], found["data"].get("classes")
    regions, had = (of["data"].get("regions", []) for of in (own, found))
    if were is not None and (were, had) != (classes, regions):
        state = {name: v for name, v in state.items() if models.part(name[len(MODEL) :]) != "head"}
        others = (
            f"its classes were {_some(were)} and are {_some(classes)}" if were != classes else "its regions are others"
        )
        left = f", but for the head, which is new: {others}"
    fitted = load_state(model, file, state, own)
    differences = identity.network_differences(network, own["network"], training)
    told = {*_TOLD, *(_OF_BANDS if fitted else ())}
    was, now = ({key: value for key, value in of["data"].items() if key not in told} for of in (found, own))
    if other := identity.data_difference(was, now):
        differences.append(f"of the data, {other}")
    return f"{and_differences(str(file), differences)}{left}{fitted}"


def load_state(
    model: keras.Model, file: Path, state: Mapping[str, tf.Variable], own: Mapping[str, Any] | None = None
) -> str:
    """Loads `state`, a part of `checkpoints.model_state`, from a .npz file of a run.

    Args:
      model: that `state` is of.
      file: of the weights.
      state: {name: variable}.
      own: as of `load_all`; None where the data are not known.

    Returns:
      What was done about other bands, for the log; empty where they are the same.

    Raises:
      ConfigError: the weights don't fit. Nothing is loaded then.
    """
    found = weights.identity_of(file)
    was, now = (_bands(of["data"]) if of else () for of in (found, own))
    if not was or not now or was == now:
        weights.load_part(model, file, state)
        return ""
    first = f"{MODEL}{compat.path(model.weights[0])}"

    def fit(arrays):
        return {**arrays, first: adapt_bands(arrays[first], was, now)} if first in arrays else arrays

    weights.load_part(model, file, state, fit)
    new = " (those that are new have the mean of all)" if "" in now or not {*now} <= {*was} else ""
    return f"; its first layer, which was for {_named(was)}, is fitted to {_named(now)}{new}"


def adapt_bands(kernel: np.ndarray, was: Sequence[str], now: Sequence[str]) -> np.ndarray:
    """A first kernel for other bands: of bands that have the same name, of others the mean over all there were.

    It is multiplied by how many there were over how many there are, so that the sum over the bands is as large.

    Args:
      kernel: [h, w, bands, filters] for the bands `was`.
      was: their names, empty where one has none.
      now: names of the bands that it is to take.
    """
    mean = kernel.mean(axis=2)
    bands = [kernel[:, :, was.index(name)] if name and name in was else mean for name in now]
    return np.stack(bands, axis=2) * np.float32(len(was) / len(now))


def and_differences(loaded: str, differences: Sequence[str]) -> str:
    """What was loaded, and how the settings that it was trained with differ."""
    return f"{loaded}, trained with other settings: {', '.join(differences)}" if differences else loaded


def _bands(data):
    """Names of the bands of `manifest.facts`, empty for those without; nothing where the facts are not known."""
    names = data.get("band_names") or (COLOURS if data.get("bands") == len(COLOURS) else ("",) * data.get("bands", 0))
    return tuple(names)


def _named(bands):
    return ", ".join(bands) if all(bands) else f"{len(bands)} bands"


def _some(names):
    return f"{', '.join(names[:4])}{f' and {len(names) - 4} more' if len(names) > 4 else ''}"
