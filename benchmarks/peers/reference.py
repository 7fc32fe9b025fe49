"""Program: did_tf's DID for the others: `python -m benchmarks.peers.reference FOLDER`.

Writes network.npz: its weights, drawn so that nothing in them is 0 or 1, and what it computes with them, in float32 and
in float64: logits and, in training without dropout, the loss and its gradient. And the folder saved_model, which
OpenVINO reads: an image [1, H, W, 3] float32 -> the probabilities of the output that counts.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import contextlib
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import tensorflow as tf
from tensorflow import keras

from benchmarks.ours import on_drawn_frames
from did_tf import wiring
from did_tf.common import compat
from did_tf.models import units
from did_tf.models.layers import Normalize, ResizeBilinear
from did_tf.training.distribution import PRECISIONS
from did_tf.training.losses import PixelCrossEntropy

SIDE, BATCH = 65, 2
"""Of the images that are compared. At this side all weights of the bilinear resizing are exact in float32."""


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    config = on_drawn_frames("did_camvid", [])
    spec = wiring.make_spec(config)
    model = wiring.make_model(config, spec, changes={"dropout": 0.0})
    _draw(model)
    weights = {compat.path(v): compat.tf_variable(v).numpy() for v in model.variables}
    rng = np.random.default_rng(1)
    image = rng.uniform(0, 255, (BATCH, SIDE, SIDE, 3)).astype(np.float32)
    label = rng.integers(0, spec.num_classes, (BATCH, SIDE, SIDE), np.int32)
    np.savez(
        folder / "network.npz",
        classes=spec.num_classes,
        mean=spec.mean,
        std=spec.std,
        image=image,
        label=label,
        **{f"weight:{path}": value for path, value in weights.items()},
        **_results("float32", model, _pixel_loss, image, label),
        **_results("float64", wide(config, spec, weights), _wide_pixel_loss, image, label),
    )
    _save(model, folder / "saved_model")


def _draw(model):
    rng = np.random.default_rng(0)
    for variable in model.variables:
        path, shape = compat.path(variable), tuple(variable.shape)
        if path.endswith(("gamma", "moving_variance")):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        elif not path.endswith("kernel"):
            variable.assign(rng.normal(0, 0.1, shape))


def wide(config, spec, weights):
    """The network in float64, with the same weights: what is float32 by itself gives way to what can be wider."""
    if not compat.IS_KERAS_3:
        raise SystemExit("error: the network in float64 needs Keras 3")
    wider = {
        "Normalize": _WideNormalize,
        "FusedBatchNormalization": keras.layers.BatchNormalization,
        "ResizeBilinear": lambda *given, **options: ResizeBilinear(*given, **{**options, "dtype": "float64"}),
    }
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(PRECISIONS, float64="float64"))
        for name, layer in wider.items():
            stack.enter_context(mock.patch.object(units, name, layer))
        model = wiring.make_model(config, spec, "float64", {"dropout": 0.0})
    for variable in model.variables:
        variable.assign(weights[compat.path(variable)])
    return model


class _WideNormalize(Normalize):
    """Its output is float64."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.dtype_policy = keras.mixed_precision.Policy("float64")

    def call(self, inputs):
        return (tf.cast(inputs, tf.float64) - np.float64(self.mean)) * (1 / np.float64(self.std))


def _pixel_loss(logits, label):
    return PixelCrossEntropy()(logits, label)


def _wide_pixel_loss(logits, label):
    return tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits)


def _results(precision, model, loss, image, label):
    logits = model(image, training=False)
    weights = [compat.tf_variable(v) for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        outputs = model(image, training=True)
        total = tf.add_n([tf.reduce_mean(loss(x, label)) for x in outputs.values()]) / len(outputs)
    gradients = tape.gradient(total, weights)
    found = {f"gradient:{compat.path(v)}": g.numpy() for v, g in zip(model.trainable_variables, gradients)}
    found.update({f"logits:{name}": x.numpy() for name, x in logits.items()}, loss=total.numpy())
    return {f"{precision}:{key}": value for key, value in found.items()}


def _save(model, folder):
    module = tf.Module()
    module.weights = [compat.tf_variable(variable) for variable in model.weights]

    @tf.function(input_signature=[tf.TensorSpec((1, None, None, 3), tf.float32, name="image")])
    def serve(image):
        return {"probabilities": tf.nn.softmax(model(image, training=False)["main"])}

    module.serve = serve
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serve})


if __name__ == "__main__":
    main()
