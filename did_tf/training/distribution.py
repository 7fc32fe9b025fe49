"""Where a run computes: devices by name -> `tf.distribute` strategy; precision by name -> Keras policy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.errors import ConfigError

PRECISIONS = {"float32": "float32", "bfloat16": "mixed_bfloat16", "float16": "mixed_float16"}
"""Names of Keras' policies by our own."""


def make_strategy(devices: str) -> tf.distribute.Strategy:
    """A strategy for `devices`.

    Args:
      devices: "auto": every GPU (MirroredStrategy where there are several), else the CPU; "cpu"; "gpu" or "gpu:1":
        one of them; "cpu*2": two logical devices on the CPU, mirrored, to try multi-GPU training without GPUs.

    Raises:
      ConfigError: a name of another form, a GPU that is not there, or several CPUs after TensorFlow has started with
        fewer.
    """
    gpus = tf.config.list_physical_devices("GPU")
    if devices == "auto":
        if len(gpus) > 1:
            return tf.distribute.MirroredStrategy()
        return tf.distribute.OneDeviceStrategy(f"/{'gpu' if gpus else 'cpu'}:0")
    match = re.fullmatch(r"cpu(?:\*(\d+))?|gpu(?::(\d+))?", devices)
    if not match:
        raise ConfigError(f"train.devices must be auto, cpu, gpu, gpu:N or cpu*N, got {devices!r}")
    if devices.startswith("gpu") and int(match[2] or 0) >= len(gpus):
        raise ConfigError(f"train.devices={devices}: TensorFlow sees {len(gpus)} GPUs; use auto or cpu")
    if match[1]:
        return tf.distribute.MirroredStrategy(_logical_cpus(int(match[1])))
    return tf.distribute.OneDeviceStrategy(f"/{devices if ':' in devices else devices + ':0'}")


def check_shares(train: Mapping[str, Any], devices: int) -> None:
    """Raises `ConfigError` where a batch of the section `train` can't be shared evenly by devices and micro-batches."""
    size, parts = train["batch_size"], devices * train["accumulate"]
    if size % parts:
        raise ConfigError(
            f"train.batch_size={size} can't be shared by {devices} devices x {train['accumulate']} micro-batches: "
            f"use a multiple of {parts}"
        )


def set_precision(precision: str) -> None:
    """Sets Keras' global policy: activations of one of `PRECISIONS`; weights stay float32. Raises `ConfigError`."""
    if precision not in PRECISIONS:
        raise ConfigError(f"train.precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
    keras.mixed_precision.set_global_policy(PRECISIONS[precision])


def _logical_cpus(count):
    cpu = tf.config.list_physical_devices("CPU")[0]
    try:
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * count)
    except RuntimeError:
        if len(tf.config.list_logical_devices("CPU")) < count:
            raise ConfigError(f"train.devices=cpu*{count}: TensorFlow started with fewer; use a new process") from None
    return [f"/cpu:{i}" for i in range(count)]
