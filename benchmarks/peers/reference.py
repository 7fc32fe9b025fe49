"""Program: did_tf's DID for the others: `python -m benchmarks.peers.reference FOLDER`.

Writes network.npz: its weights, drawn so that nothing in them is 0 or 1, and what it computes with them: logits and, in
training without dropout, the loss and its gradient. And the folder saved_model, which OpenVINO reads: an image
[1, H, W, 3] float32 -> the probabilities of the output that counts.
"""

from did_tf.programs import quiet  # noqa: F401  # isort: skip (first)

import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from benchmarks.ours import on_drawn_frames
from did_tf import wiring
from did_tf.common import compat
from did_tf.training.losses import PixelCrossEntropy

SIDE, BATCH = 65, 2
"""Of the images that are compared."""


def main():
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    config = on_drawn_frames("did_camvid", [])
    spec = wiring.make_spec(config)
    model = wiring.make_model(config, spec, changes={"dropout": 0.0})
    _draw(model)
    weights = {f"weight:{compat.path(v)}": compat.tf_variable(v).numpy() for v in model.variables}
    rng = np.random.default_rng(1)
    image = rng.uniform(0, 255, (BATCH, SIDE, SIDE, 3)).astype(np.float32)
    label = rng.integers(0, spec.num_classes, (BATCH, SIDE, SIDE), np.int32)
    np.savez(
        folder / "network.npz",
        classes=spec.num_classes,
        mean=np.float32(spec.mean),
        std=np.float32(spec.std),
        image=image,
        label=label,
        **weights,
        **_results(model, image, label),
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


def _results(model, image, label):
    logits = model(image, training=False)
    loss, weights = PixelCrossEntropy(), [compat.tf_variable(v) for v in model.trainable_variables]
    with tf.GradientTape() as tape:
        outputs = model(image, training=True)
        total = tf.add_n([tf.reduce_mean(loss(x, label)) for x in outputs.values()]) / len(outputs)
    gradients = tape.gradient(total, weights)
    found = {f"gradient:{compat.path(v)}": g.numpy() for v, g in zip(model.trainable_variables, gradients)}
    return {**{f"logits:{name}": x.numpy() for name, x in logits.items()}, "loss": total.numpy(), **found}


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
