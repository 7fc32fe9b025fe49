"""Training semantic segmentation from scratch with TensorFlow and Keras.

`did_tf.load("runs/mine").predict(image)` labels an image: see `did_tf.api.load`.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.21.0"

_FROM = {
    "load": "did_tf.api",
    "ConfigError": "did_tf.common.errors",
    "DataError": "data_pipelines.spec",
    "Failure": "did_tf.common.errors",
}
"""{what `did_tf` offers: the module that has it}: imported when it is asked for, as `load` imports TensorFlow."""


def __getattr__(name: str) -> Any:
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
