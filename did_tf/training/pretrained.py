"""Weights for the encoder of a network: ImageNet's, through `keras.applications`, or those of an earlier run."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow import keras

from data_pipelines.spec import COLOURS
from did_tf import models
from did_tf.common import compat
from did_tf.common.errors import ConfigError
from did_tf.models import densenet, resnet
from did_tf.runs import checkpoints, identity, weights
from did_tf.training import transfer

IMAGENET = "imagenet"
IMAGENET_STD = (58.395, 57.12, 57.375)
"""Of RGB, in pixel values."""
EPSILON = 1.001e-5
"""Of batch normalisation in `keras.applications`."""


@dataclasses.dataclass(frozen=True)
class Family:
    """One kind of encoder, here and in `keras.applications`.

    Attributes:
      prefix: of its networks' names.
      units: {depth: units of each block}.
      block: what our layer names call a block.
      names: pairs (pattern of our layer names, template of theirs). A first group that is a number is one more there.
      mean: what their networks take from RGB pixel values.
      std: what they divide them by.
      bgr: whether their networks take BGR.
    """

    prefix: str
    units: Mapping[int, tuple[int, ...]]
    block: str
    names: tuple[tuple[str, str], ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool

    def networks(self) -> dict[tuple[int, ...], str]:
        """{units of each block: name in `keras.applications`} of the networks that are there."""
        names = {units: f"{self.prefix}{depth}" for depth, units in self.units.items()}
        return {units: name for units, name in names.items() if hasattr(keras.applications, name)}

    def their_name(self, layer: str) -> str | None:
        """What `keras.applications` calls our `layer`; None where it has none."""
        for pattern, template in self.names:
            match = re.fullmatch(pattern, layer)
            if match:
                first, *others = match.groups() or ("",)
                return template.format(int(first) + 1 if first.isdigit() else first, *others)
        return None


FAMILIES = (
    Family(
        "DenseNet",
        densenet.UNITS,
        "block",
        (
            (r"stem\.conv1", "conv1_conv"),
            (r"stem\.conv1\.bn", "conv1_bn"),
            (r"block(\d+)\.unit(\d+)\.conv1x1\.bn", "conv{}_block{}_0_bn"),
            (r"block(\d+)\.unit(\d+)\.conv1x1\.conv", "conv{}_block{}_1_conv"),
            (r"block(\d+)\.unit(\d+)\.conv3x3\.bn", "conv{}_block{}_1_bn"),
            (r"block(\d+)\.unit(\d+)\.conv3x3\.conv", "conv{}_block{}_2_conv"),
            (r"transition(\d+)\.conv1x1\.(\w+)", "pool{}_{}"),
        ),
        mean=(123.675, 116.28, 103.53),
        std=IMAGENET_STD,
        bgr=False,
    ),
    Family(
        "ResNet",
        resnet.UNITS,
        "stage",
        (
            (r"stem\.conv1\.(\w+)", "conv1_{}"),
            (r"stage(\d+)\.unit(\d+)\.conv(\d)\.(\w+)", "conv{}_block{}_{}_{}"),
            (r"stage(\d+)\.unit(\d+)\.shortcut\.(\w+)", "conv{}_block{}_0_{}"),
        ),
        mean=(123.68, 116.779, 103.939),
        std=(1.0, 1.0, 1.0),
        bgr=True,
    ),
)


def load_encoder(model: keras.Model, source: Path | str, own: Mapping[str, Any] | None = None) -> str:
    """Loads the encoder of `model`, the layers whose `models.part` it is; decoder and heads stay as they are.

    Call it outside of a strategy's scope.

    Args:
      model: any network of `models.build`.
      source: "imagenet" (`keras.applications` downloads them; for encoders that are whole DenseNets or ResNets);
        a .h5 file of that network's weights in `keras.applications`' form; a run folder (its best weights, else the
        latest), or a .npz file of one. Weights of a run are taken as they are: its network saw pixels normalised by
        its own data set. Other bands than its own are as of `transfer.adapt_bands`.
      own: "network" and "data" of the new run, as of `manifest.make`, to be compared with those of an earlier one; of
        data that are not known the pixels are taken for 8 bits wide, and no band has a name.

    Returns:
      What was loaded, for the log, and how the encoder that the weights were trained in differs from the model's.

    Raises:
      ConfigError: the network has no such encoder, the weights can't be had, or they lack some of the encoder's or
        have them in another shape. Nothing is loaded then.
    """
    state = {name: v for name, v in checkpoints.model_state(model).items() if _is_encoder(name)}
    if source != IMAGENET and Path(source).suffix != ".h5":
        file = weights.file_of(source)
        fitted = transfer.load_state(model, file, state, own)
        return transfer.and_differences(str(file), _of_encoder(file, own)) + fitted
    family, theirs = _application(model)
    arrays = _converted(model, family, _their_weights(theirs, source), state, own["data"] if own else {})
    told = f"keras.applications.{theirs} ({source})"
    checkpoints.assign(state, arrays, told, f"The encoder must be the original {theirs}, with its 7x7 stem and widths")
    return told


def adapt_input(
    kernel: np.ndarray,
    mean: Sequence[float] | np.ndarray,
    std: Sequence[float] | np.ndarray,
    family: Family,
    colours: Sequence[int] = (0, 1, 2),
    absolute: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """The first kernel for pixels normalised by the data set in place of `family`'s networks' own way.

    For RGB the two do the same. (Where the kernel reaches over the border it finds zeros, which stand for the data
    set's mean colour now and stood for ImageNet's: elsewhere the results are equal.) With any other number of bands:

    - With more than three bands `colours` are taken for red, green and blue, as above.
    - Every other band (all, where there are fewer than three) gets the mean of the three colours' kernels, one
      standard deviation of the band standing for one of ImageNet's, and its mean for ImageNet's mean.
    - Where pixel values are not `absolute`, colours have their own kernels, but stand for ImageNet's in that way too.
    - All kernels are multiplied by 3 / bands, so that the sum over the bands is as large as over three.

    Args:
      kernel: [h, w, 3, filters], of their network, for RGB or BGR.
      mean, std: of the data set, in pixel values, one per band.
      family: of the network that the kernel is from.
      colours: numbers of the bands that are red, green and blue, of three bands or more.
      absolute: whether pixel values mean what ImageNet's do, from 0 to 255.

    Returns:
      (kernel [h, w, bands, filters], what their first convolution has more than this one, [filters]).
    """
    mean, std = np.asarray(mean), np.asarray(std)
    bands = len(mean)
    rgb = kernel[:, :, ::-1] if family.bgr else kernel
    per_value = rgb / np.reshape(family.std, (3, 1))
    per_deviation = per_value * np.reshape(IMAGENET_STD, (3, 1))
    adapted = np.repeat(np.mean(per_deviation, axis=2, keepdims=True), bands, axis=2)
    offset = np.zeros(kernel.shape[-1])
    if bands >= 3:
        places = [*colours]
        adapted[:, :, places] = per_value * std[places, None] if absolute else per_deviation
        if absolute:
            offset = np.einsum("hwcf,c->f", per_value, mean[places] - np.asarray(family.mean))
    return adapted * 3 / bands, offset * 3 / bands


def _of_encoder(file, own):
    """How the encoder of the network of `own` differs from that of a run's weights `file`, where both are known."""
    found = weights.identity_of(file)
    if not (found and own):
        return []
    was, now = (models.of_encoder(models.described(of["network"])) for of in (found, own))
    if was["name"] == now["name"]:
        return identity.network_differences(was, now)
    common = [{key: of[key] for key in ("name", *was) if key in now} for of in (was, now)]
    others = identity.network_differences({**common[0], "name": now["name"]}, common[1])
    return [f"of {was['name']}, here {now['name']}", *others]


def _is_encoder(name):
    return models.part(name[len("model/") :]) == "encoder"


def _application(model):
    """(family, name) of the network in `keras.applications` whose blocks are those of `model`."""
    for family in FAMILIES:
        units: dict[int, int] = {}
        for layer in model.layers:
            match = re.match(rf"{family.block}(\d+)\.unit(\d+)\.", layer.name)
            if match:
                units[int(match[1])] = max(int(match[2]), units.get(int(match[1]), 0))
        network = family.networks().get(tuple(units[block] for block in sorted(units)))
        if network:
            return family, network
    known = ", ".join(name for family in FAMILIES for name in family.networks().values())
    raise ConfigError(
        f"model {model.name!r} has no encoder of keras.applications (its blocks are none of {known}): "
        "it starts from scratch or from a run folder"
    )


def _their_weights(network, source):
    """{layer: {weight: array}} of `network` of `keras.applications`, "imagenet" or from a file."""
    found = _load(network, source)
    return {
        layer.name.replace("/", "_"): {  # Keras 2 has "conv1/conv"
            compat.path(v).split("/")[-1]: compat.tf_variable(v).numpy().astype(np.float64) for v in layer.weights
        }
        for layer in found.layers
    }


def _load(network, source):
    if source == IMAGENET:
        try:
            return getattr(keras.applications, network)(weights=IMAGENET, include_top=False)
        except Exception as error:  # a download fails with no type of its own
            raise ConfigError(
                f"cannot get ImageNet's weights of {network}: {str(error).splitlines()[0]}. "
                "Give the .h5 file of keras.applications where there is no network"
            ) from None
    if not Path(source).is_file():
        raise ConfigError(f"no weights file {source}")
    problems = []
    for top in (False, True):  # files come without and with the classifier
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Keras 3 warns of every layer, then raises
                return getattr(keras.applications, network)(weights=str(source), include_top=top)
        except (OSError, ValueError) as error:
            problems.append(str(error).splitlines()[0])
    raise ConfigError(f"cannot load {source} into keras.applications.{network}: {problems[0]}")


def _converted(model, family, theirs, state, facts):
    """{name in `state`: array} for what our encoder finds in `theirs`, {layer: {weight: array}}, on data of `facts`."""
    normalize, names = model.get_layer("normalize"), facts.get("band_names") or ()
    colours = [names.index(name) for name in COLOURS] if {*COLOURS} <= {*names} else (0, 1, 2)
    statistics, absolute = (normalize.mean, normalize.std), facts.get("dtype", "uint8") == "uint8"
    kernel, offset = adapt_input(theirs["conv1_conv"]["kernel"], *statistics, family, colours, absolute)
    theirs["conv1_conv"]["kernel"] = kernel
    theirs["conv1_bn"]["moving_mean"] -= offset
    arrays = {}
    for name in state:
        layer, weight = name[len("model/") :].rsplit("/", 1)
        their_layer = family.their_name(layer) or ""
        array = theirs.get(their_layer, {}).get(weight)
        if array is None:
            continue
        if weight == "moving_mean":  # our convolutions have no bias
            array = array - theirs.get(their_layer.replace("_bn", "_conv"), {}).get("bias", 0)
        if weight == "moving_variance":
            array = array + (EPSILON - model.get_layer(layer).epsilon)
        arrays[name] = array.astype(np.float32)
    return arrays
