"""Training semantic segmentation from scratch with TensorFlow and Keras.

`did_tf.load("runs/mine").predict(image)` labels an image: see `did_tf.api.load`.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.8.0"


def __getattr__(name: str) -> Any:
    """`load`, whose module imports TensorFlow: not before it is asked for."""
    if name == "load":
        return importlib.import_module("did_tf.api").load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
