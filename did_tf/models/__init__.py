"""Registry of the architectures: `build(name, num_classes, input_shape, **options)`."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tensorflow import keras

from did_tf.common import kinds
from did_tf.common.errors import ConfigError, nearest
from did_tf.models.classifier import classifier
from did_tf.models.did import did
from did_tf.models.duc import duc
from did_tf.models.fc_densenet import fc_densenet
from did_tf.models.fcrn import fcrn
from did_tf.models.ladder import ladder
from did_tf.models.placement import NO_STEPS, Placed
from did_tf.models.sunet import sunet

_BUILDERS: Mapping[str, Callable[..., keras.Model]] = {
    "classifier": classifier,
    "did": did,
    "duc": duc,
    "fc_densenet": fc_densenet,
    "fcrn": fcrn,
    "ladder": ladder,
    "sunet": sunet,
}
_KINDS = {
    "bool": kinds.FLAG,
    "int": kinds.whole(),
    "float": kinds.number(),
    "str": kinds.TEXT,
    "Sequence[int]": kinds.sequence(kinds.whole()),
    "Collection[int]": kinds.sequence(kinds.whole()),
    "Sequence[float]": kinds.sequence(kinds.number()),
    "Sequence[int] | None": kinds.either(kinds.sequence(kinds.whole()), kinds.NONE),
}
"""What the options of a builder may be, by their annotation."""
PARTS = ("encoder", "decoder", "head")
"""Parts of every network, see `part`."""
TRAINING_OPTIONS = ("dropout", "dropouts", "bn_momentum")
"""Options that change nothing but training: a trained network computes the same with any of their values."""
_FROM_DATA = ("mean", "std")
# Options that the layers of the encoder don't depend on.
_BEYOND_ENCODER: Mapping[str, tuple[str, ...]] = {
    "classifier": (),
    "did": ("task", "decoder", "smoothing", "deep_supervision", "placement"),
    "duc": ("aspp", "cell", "upsampling", "placement"),
    "fc_densenet": (),
    "fcrn": ("kernel", "dilation", "placement"),
    "ladder": ("context", "decoder", "width", "aux", "placement"),
    "sunet": ("task", "degridding", "placement"),
}
_OF_CLASSIFICATION: Mapping[str, Mapping[str, Any]] = {"sunet": {"output_stride": 32}}
"""Options of the encoder that a network for classification has, whatever was chosen."""


def names() -> list[str]:
    """Names that `build` takes, in alphabetical order."""
    return sorted(_BUILDERS)


def options(name: str) -> dict[str, Any]:
    """Options of architecture `name` with their defaults. Raises ConfigError for an unknown name."""
    if name not in _BUILDERS:
        raise ConfigError(f"unknown model {name!r}{nearest(name, names())}; known: {', '.join(names())}")
    parameters = inspect.signature(_BUILDERS[name]).parameters.values()
    return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY and p.name != "name"}


def own_options(name: str) -> dict[str, Any]:
    """`options` without mean and std, which the data set decides. Raises ConfigError for an unknown name."""
    return _own(options(name))


def described(settings: Mapping[str, Any]) -> dict[str, Any]:
    """{"name": of the architecture, and every option with its value}, as from JSON, to be kept beside weights.

    Args:
      settings: "name" and options; the others have their defaults. Mean and std, which the data set decides, are left
        out.

    Raises:
      ConfigError: unknown name.
    """
    return json.loads(json.dumps(_own({**options(settings["name"]), **settings})))


def of_encoder(network: Mapping[str, Any]) -> dict[str, Any]:
    """What of a network, as `described`, its encoder computes by: the name, and options of the encoder."""
    beyond = {*_BEYOND_ENCODER.get(network["name"], ()), *TRAINING_OPTIONS}
    fixed = _OF_CLASSIFICATION.get(network["name"], {}) if network.get("task") == "classification" else {}
    return {key: fixed.get(key, value) for key, value in network.items() if key not in beyond}


def option_kinds(name: str) -> dict[str, kinds.Kind]:
    """What each option of architecture `name` may be, by its type; which values it takes, only `build` knows."""
    options(name)  # which refuses an unknown name
    return {p.name: _KINDS.get(_type(p), kinds.ANY) for p in inspect.signature(_BUILDERS[name]).parameters.values()}


def check_names(name: str, chosen: Iterable[str], group: str) -> None:
    """Raises ConfigError where architecture `name` has no option of one of the names `chosen`, given in `group`."""
    known = options(name)
    for key in chosen:
        if key not in known:
            raise ConfigError(
                f"{group}: model {name!r} has no option {key!r}{nearest(key, known)}; known: {', '.join(known)}"
            )


def check_options(name: str, chosen: Mapping[str, Any], group: str = "model") -> None:
    """Raises ConfigError where architecture `name` has no option of one of the names, or one is of another type.

    Args:
      name: of the architecture.
      chosen: {option: value}.
      group: of settings that they are from, for the message.
    """
    check_names(name, chosen, group)
    types = option_kinds(name)
    for key, value in chosen.items():
        types[key].check(f"{group}.{key}", value)


def build(
    name: str, num_classes: int, input_shape: Sequence[int | None] = (None, None, 3), **chosen: Any
) -> keras.Model:
    """Keras model of architecture `name`: [N, H, W, C] raw pixel values -> dict of float32 logits at full size.

    Args:
      name: one of `names()`.
      num_classes: number of classes.
      input_shape: (H, W, C); H and W may be None; C is the number of bands.
      **chosen: options of the architecture, see `options(name)`.

    Raises:
      ConfigError: unknown name or option (the message lists the known ones), a bad type or value, or a size not taken.
    """
    check_options(name, chosen)
    return _BUILDERS[name](num_classes, tuple(input_shape), **chosen)


def part(layer_name: str) -> str:
    """Which of `PARTS` a layer, or a weight's path, belongs to: by its name's first word, "encoder" if it is neither.

    The encoder is what other tasks can lend weights to; the decoder and the head are new to each segmentation task.
    """
    first = layer_name.split(".")[0]
    return first if first in PARTS else "encoder"


def check_parts(setting: str, parts: Iterable[str]) -> None:
    """Raises ConfigError where `parts`, given for `setting`, has one that is not in `PARTS`."""
    if unknown := sorted({*parts} - {*PARTS}):
        raise ConfigError(f"{setting} names {unknown[0]!r}; known parts: {', '.join(PARTS)}")


def task(model: keras.Model) -> str:
    """What a model is for: "segmentation", a class per pixel, or "classification", one per image."""
    return "segmentation" if len(model.output["main"].shape) == 4 else "classification"


def own_resolution(model: keras.Model) -> dict[str, Placed]:
    """{output: logits [N, h, w, num_classes] at the network's own resolution, and their place}, of segmentation.

    For an output that no layer head.OUTPUT.up resizes they are its full-size ones, each on its pixel.
    """
    found = {}
    for output, logits in model.output.items():
        resize = next((layer for layer in model.layers if layer.name == f"head.{output}.up"), None)
        own = Placed(resize.input[0], resize.placement, resize.steps) if resize else Placed(logits, "corners", NO_STEPS)
        found[output] = own
    return found


def _own(settings):
    return {key: value for key, value in settings.items() if key not in _FROM_DATA}


def _type(parameter):
    """The annotation of a builder's parameter as text, which it is already where annotations are not evaluated."""
    annotation = parameter.annotation
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
