"""What every exported network is: a function of images as files have them, and what is told of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from data_pipelines.spec import IGNORE, NODATA_RULES, DatasetSpec
from did_tf import models
from did_tf.common.readout import Readout, readout_of
from did_tf.inference.frozen import folded
from did_tf.models.layers import Normalize
from did_tf.scoring.evaluation import MAIN

SIGNATURE = "serving_default"
"""Name of the function that takes arrays, see `Network.serve`."""
OUTPUTS = ("classes", "probabilities")
"""What it gives."""
Logits = Callable[[tf.Tensor], tf.Tensor]
"""[N, H, W, bands] float32 -> [N, H, W, L], or of a network that classifies images [N, L]; see `Readout`."""


@dataclasses.dataclass(frozen=True)
class Network:
    """A trained network, for use without this project.

    Attributes:
      model: keras.Model in float32.
      spec: of the data that it was trained on.
      identity: what it depends on: weights, options, version; JSON-serialisable.
      calibration: [H, W, bands] images of `spec.dtype` that it was trained on, by which ranges of features are chosen.
      rebuilt: gives the same network with another precision of its features; None where there is none to be had.
      temperature: by which logits are divided for probabilities, see `calibration`; classes are the same at all.
    """

    model: keras.Model
    spec: DatasetSpec
    identity: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    calibration: Sequence[np.ndarray] = ()
    rebuilt: Callable[[str], keras.Model] | None = None
    temperature: float = 1.0

    @property
    def segments(self) -> bool:
        """Whether it has a class for each pixel, not one for the image."""
        return models.task(self.model) == "segmentation"

    @property
    def readout(self) -> Readout:
        """How its logits are read."""
        return readout_of(self.spec)

    def of(self, model: keras.Model) -> Network:
        """The same with another `model`."""
        return dataclasses.replace(self, model=model)

    def about(self) -> dict[str, Any]:
        """What dataset.json says, see `export.export`."""
        keys = (
            *("name", "classes", "palette", "void_colours", "dtype", "bands", "band_names", "mean", "std"),
            *("nodata_rule", "nodata_tags"),
        )
        spec = self.spec
        nodata = "nan" if spec.nodata is not None and np.isnan(spec.nodata) else spec.nodata  # JSON has no NaN
        told = {key: getattr(spec, key) for key in keys}
        told |= {"regions": spec.regions} if spec.regions else {}
        told |= {"ids": spec.output_ids, "void_id": spec.void_id, "void_class": IGNORE, "nodata": nodata}
        return {**told, "identity": self.identity}

    def serve(self, logits: Logits | None = None, dtype: str = "") -> Any:
        """tf.function of `image` [N, H, W, bands] that gives "classes" and "probabilities", as `export.export` says.

        Args:
          logits: of the network; None for those of `model`, with its variables.
          dtype: of the image; that of the data where nothing else is said.
        """
        spec, forward, readout = self.spec, logits or self._logits, self.readout
        ids = tf.uint8 if spec.num_classes <= 256 else tf.int32
        taken = tf.TensorSpec((None, None, None, spec.bands), dtype or spec.dtype, name="image")

        @tf.function(autograph=False, input_signature=[taken])
        def serve(image):
            size, (pixels, void) = tf.shape(image), without_holes(tf.cast(image, tf.float32), spec)
            values = forward(self.with_margin(pixels))
            values = values[:, : size[1], : size[2]] if self.segments else values
            classes, probabilities = readout.classes_of(values), readout.probabilities(self.tempered(values))
            if void is not None and self.segments:
                classes = tf.where(tf.reduce_any(void, -1), IGNORE, classes)
                probabilities = tf.where(void, 0.0, probabilities)
            return dict(zip(OUTPUTS, (tf.cast(classes, ids), probabilities)))

        return serve

    def portable(self, dtype: str = "") -> Any:
        """`serve` for other runtimes: batch norms that follow convolutions are folded into these."""
        return self.serve(lambda pixels: folded(self.model, [MAIN], pixels)[MAIN], dtype)

    def frozen(self) -> Any:
        """`portable` as a `tf.ConcreteFunction` of constants, whose outputs have the order of `OUTPUTS`."""
        return convert_variables_to_constants_v2(self.portable().get_concrete_function())

    def tempered(self, logits: tf.Tensor) -> tf.Tensor:
        """Logits at the temperature."""
        return logits if self.temperature == 1 else logits / self.temperature

    def with_margin(self, pixels: tf.Tensor) -> tf.Tensor:
        """Images [N, H, W, bands] float32; those smaller than the network takes get a margin, at the bottom and right.

        It is normalised to zero.
        """
        normalize = next(layer for layer in self.model.layers if isinstance(layer, Normalize))
        mean = tf.constant(normalize.mean, tf.float32)
        missing = tf.maximum(normalize.minimum - tf.shape(pixels), 0)
        return tf.pad(pixels - mean, [[0, 0], [0, missing[1]], [0, missing[2]], [0, 0]]) + mean

    def _logits(self, pixels):
        return self.model(pixels, training=False)[MAIN]


def without_holes(pixels: tf.Tensor, spec: DatasetSpec) -> tuple[tf.Tensor, tf.Tensor | None]:
    """(pixels float32 without `spec.nodata`, [N, H, W, 1] bool where void, or None), as `reading.holes` has it."""
    if spec.nodata is None:
        return pixels, None
    # Equal to itself is all but NaN, in every runtime.
    holes = pixels != pixels if np.isnan(spec.nodata) else pixels == np.float32(spec.nodata)
    nothing, by_all = tf.reduce_all(holes, -1, keepdims=True), spec.nodata_rule == NODATA_RULES[0]
    filled = nothing if by_all and spec.dtype != "float32" else holes
    void = nothing if by_all else tf.reduce_any(holes, -1, keepdims=True)
    return tf.where(filled, spec.filling.astype(np.float32), pixels), void
