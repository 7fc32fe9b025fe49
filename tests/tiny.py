"""The smallest run that is still a run: settings for tests that train."""

import numpy as np
import tensorflow as tf

from did_tf import wiring
from did_tf.common.files import write_json
from did_tf.inference import export
from did_tf.programs import cli
from did_tf.runs import checkpoints
from did_tf.runs.run_folder import RunFolder

OVERRIDES = {
    "dataset.options.height": 48,
    "dataset.options.width": 64,
    "dataset.options.sizes": {"train": 12, "val": 3, "test": 2},
    "model.growth": 4,
    "model.units": (1, 1, 1, 1),
    "model.decoder": "plain",
    "model.use_bias": False,
    "data.crop": (33, 33),
    "schedule.warmup": 2,
    "train.steps": 20,
    "train.batch_size": 4,
    "train.log_every": 4,
    "train.checkpoint_every": 6,
    "train.validate_every": 12,
    "train.progress": False,
}


def config(**overrides):
    """Resolved settings of did_synthetic made tiny; `overrides` have "__" for the dots."""
    settings = {**OVERRIDES, **{key.replace("__", "."): value for key, value in overrides.items()}}
    resolved = cli.resolve("did_synthetic", RunFolder("/nonexistent"), [])
    for key, value in settings.items():
        *parents, last = key.split(".")
        node = resolved
        for parent in parents:
            node = node[parent]
        node[last] = value
    return resolved


def network(settings):
    """An untrained network in which no class is the likeliest everywhere: each is as likely as another in noise."""
    spec = wiring.make_spec(settings)
    model = wiring.make_model(settings, spec)
    noise = np.random.default_rng(0).integers(0, 256, (1, 48, 64, spec.bands)).astype(np.float32)
    logits = model(noise, training=False)["main"].numpy()
    head = model.get_layer("head.main.conv")
    kernel, bias = head.get_weights()
    head.set_weights([kernel, bias - logits.mean((0, 1, 2))])
    return model


def save_run(folder, settings, model):
    """`RunFolder` that looks as if `model` had been trained in it with `settings`."""
    run = RunFolder(folder)
    checkpoints.write(run.best / "weights.npz", checkpoints.model_state(model))
    write_json(run.config, settings)
    return run


def serve(saved_model, image):
    """(classes, probabilities) that a SavedModel gives for one image [H, W, bands] uint8."""
    outputs = tf.saved_model.load(str(saved_model)).signatures[export.SIGNATURE](image=tf.constant(image[None]))
    return outputs["classes"].numpy()[0], outputs["probabilities"].numpy()[0]
