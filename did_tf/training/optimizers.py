"""Optimizers by name: Keras' own, Muon and, where it is installed, tensorflow-addons'."""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorflow import keras

from data_pipelines import extras
from did_tf import models
from did_tf.common import compat, kinds
from did_tf.common.errors import ConfigError, nearest
from did_tf.training.adam import Adam, AdamW
from did_tf.training.muon import Muon

DECAYS = ("l2", "decoupled")
KERAS = {"adam": "Adam", "adamw": "AdamW", "sgd": "SGD", "rmsprop": "RMSprop", "nadam": "Nadam"}
"""{our name: its class}."""
NAMES = (*KERAS, "muon")
"""Optimizers that are always there."""
_SHARE = kinds.number("[0, 1)")
_KINDS = {
    "momentum": _SHARE,
    "beta_1": _SHARE,
    "beta_2": _SHARE,
    "rho": _SHARE,
    "epsilon": kinds.number("(0, 1]"),
    "nesterov": kinds.FLAG,
    "amsgrad": kinds.FLAG,
    "centered": kinds.FLAG,
}
_ELSEWHERE = {
    "learning_rate": "schedule.learning_rate",
    "weight_decay": "optimizer.weight_decay",
    "clipnorm": "optimizer.clip_norm",
    "clipvalue": "optimizer.clip_norm",
    "global_clipnorm": "optimizer.clip_norm",
    "use_ema": "train.ema",
    "ema_momentum": "train.ema",
    "ema_overwrite_frequency": "train.ema",
    "loss_scale_factor": "train.precision",
    "gradient_accumulation_steps": "train.accumulate",
}
"""Arguments of Keras' optimizers with the setting that does it here: the two would get in each other's way."""


_OWN = {"adam": Adam, "adamw": AdamW, "muon": Muon}


class LossScale:
    """Dynamic loss scaling for float16: halved where a gradient overflows, doubled after `patience` good steps.

    Args:
      enabled: whether there is any; the scale stays at 1 otherwise.
      initial: the scale at first. It is never below 1.
      patience: number of steps.

    Attributes:
      scale: what the loss is multiplied by, a float32 variable.
      good_steps: since the last overflow or doubling, an int32 variable.
    """

    def __init__(self, enabled: bool, initial: float = 2.0**15, patience: int = 2000) -> None:
        self.enabled, self.patience = enabled, patience
        self.scale = tf.Variable(initial if enabled else 1.0, trainable=False)
        self.good_steps = tf.Variable(0, trainable=False)

    def update(self, finite: tf.Tensor) -> None:
        """Call once a step, with whether all gradients were finite, a bool scalar."""
        if self.enabled:
            good = tf.where(finite, self.good_steps + 1, 0)
            grown = good >= self.patience
            factor = tf.where(finite, tf.where(grown, 2.0, 1.0), 0.5)
            self.scale.assign(tf.maximum(self.scale * factor, 1.0))
            self.good_steps.assign(tf.where(grown, 0, good))


def make(
    name: str,
    schedule: float | keras.optimizers.schedules.LearningRateSchedule,
    options: Mapping[str, Any] | None = None,
    weight_decay: float = 0.0,
    decay: str = "l2",
    variables: Sequence[keras.Variable | tf.Variable] = (),
    undecayed: Collection[str] = (),
) -> keras.optimizers.Optimizer:
    """An optimizer over `variables`, with its slots.

    Args:
      name: "adam", "adamw", "sgd", "rmsprop", "nadam", "muon", or "tfa.CLASS" for a class of `tfa.optimizers`.
      schedule: the learning rate, a number or a `Schedule`.
      options: further arguments of the class, such as {"epsilon": 2.5e-4} or {"momentum": 0.9, "nesterov": True}.
      weight_decay: applied to kernels alone, see `decays`.
      decay: "l2" leaves it to the caller, as a part of the gradient (the papers');
        "decoupled" (Loshchilov and Hutter 2019) gives it to the optimizer, as "adamw" and "muon" always do. Keras
        multiplies it by the learning rate, tfa.AdamW and tfa.SGDW do not.
      variables: of the model, in its order.
      undecayed: parts of the network (`models.PARTS`) that don't decay.

    Raises:
      ConfigError: unknown name, option or kind of decay; or tensorflow-addons is not there.
    """
    if decay not in DECAYS:
        raise ConfigError(f"optimizer.decay must be one of {DECAYS}, got {decay!r}")
    models.check_parts("optimizer.undecayed", undecayed)
    arguments, exempt = dict(options or {}), [v for v in variables if not decays(v, undecayed)]
    if is_decoupled(name, decay):
        arguments["weight_decay"] = weight_decay
        if name.startswith("tfa."):  # takes patterns where Keras takes variables; a class without them is refused
            arguments["exclude_from_weight_decay"] = [rf"^{re.escape(compat.path(v))}(:\d+)?$" for v in exempt]
    optimizer_class = _class(name)
    try:
        optimizer = optimizer_class(learning_rate=schedule, **arguments)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"optimizer {name!r} does not take {arguments}: {error}") from None
    if is_decoupled(name, decay) and not name.startswith("tfa."):
        optimizer.exclude_from_weight_decay(var_list=exempt)
    compat.build_optimizer(optimizer, variables)
    return optimizer


def moments(name: str, options: Mapping[str, Any]) -> int:
    """How many values the optimizer of `make` has for each weight: 2 of Adam's. Raises `ConfigError` as that does."""
    weight = tf.Variable(tf.zeros([3]), name="kernel")
    optimizer = make(name, 0.1, options, variables=[weight])
    return sum(tuple(v.shape) == (3,) for v in compat.optimizer_variables(optimizer))


def check_options(name: str, options: Mapping[str, Any]) -> None:
    """Raises ConfigError where optimizer `name` isn't there or doesn't take `options`, or they make no sense.

    Of the options of tensorflow-addons only those that Keras' optimizers have too are looked at.
    """
    owner, own = _class(name), not name.startswith("tfa.")
    takes = {*_KINDS} & {*inspect.signature(owner).parameters} if own else {*options}
    for key, value in options.items():
        if key in _ELSEWHERE:
            raise ConfigError(f"optimizer.options.{key}: set {_ELSEWHERE[key]} instead")
        if key not in takes:
            raise ConfigError(
                f"optimizer {name!r} has no option {key!r}{nearest(key, takes)}; known: {', '.join(sorted(takes))}"
            )
        _KINDS.get(key, kinds.ANY).check(f"optimizer.options.{key}", value)
    if options.get("nesterov") and not options.get("momentum"):
        raise ConfigError("optimizer.options.nesterov needs optimizer.options.momentum above 0")


def is_decoupled(name: str, decay: str) -> bool:
    """Whether the optimizer of `make` itself applies the weight decay."""
    return decay == "decoupled" or name in ("adamw", "muon")


def decays(variable: keras.Variable | tf.Variable, undecayed: Collection[str] = ()) -> bool:
    """Whether weight decay applies: to kernels outside of the parts `undecayed`, not to biases or batch norm."""
    path = compat.path(variable)
    return path.endswith("kernel") and models.part(path) not in undecayed


def _class(name):
    if name in _OWN:
        return _OWN[name]
    if name.startswith("tfa."):
        try:
            import tensorflow_addons as tfa
        except ImportError:
            raise ConfigError(
                f"optimizer {name!r} needs tensorflow-addons: {extras.install('addons')}, on Python 3.10 or 3.11"
            ) from None
        owner, attribute = tfa.optimizers, name[len("tfa.") :]
    else:
        owner, attribute = keras.optimizers, KERAS.get(name, "")
    if not hasattr(owner, attribute):
        raise ConfigError(f"unknown optimizer {name!r}; known: {', '.join(NAMES)}, tfa.CLASS")
    return getattr(owner, attribute)
