"""The loss of crops with two label maps, by adding up what each image and map gives by itself."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.common import compat
from did_tf.models.layers import Convolution, ResizeBilinear
from did_tf.training.distribution import make_strategy
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.schedules import Schedule
from did_tf.training.supervision import Supervision
from did_tf.training.train_step import TrainStep

SHAPE, CLASSES = (4, 9, 7, 3), 3
OUTPUTS = {"main": 0.7, "second": 0.3}
SETTINGS = {"name": "sgd", "options": {}, "decay": "l2", "weight_decay": 0.0, "clip_norm": 0.0}
SETTINGS |= {"undecayed": (), "multipliers": {}}
TRAIN = {"accumulate": 1, "parts": 1, "ema": 0.0, "precision": "float32", "sync_batch_norm": False}
TRAIN |= {"recompute": False, "jit_compile": False, "freeze_batch_norm": "", "freeze_batch_norm_from": 0}
TRAIN |= {"init": "", "encoder": ""}
WEIGHTS = np.float32([0.0, 0.4, 0.1, 0.5])


def batch():
    """Four crops, of which the first is not mixed, with void in both maps."""
    rng = np.random.default_rng(0)
    label, other = rng.choice(np.uint8([0, 1, 2, 255]), (2, *SHAPE[:3]))
    other[0], label[3] = 255, 255
    image = rng.normal(size=SHAPE).astype(np.float32)
    return {"image": image, "label": label, "other": other, "weight": WEIGHTS}


def step_of(loss, **train):
    keras.utils.set_random_seed(0)
    strategy = make_strategy("cpu")
    with strategy.scope():
        image = keras.Input(SHAPE[1:])
        x = Convolution(5, 3, padding="same", name="stem")(image)
        heads = {name: Convolution(CLASSES, 1, strides=2, name=f"head.{name}")(x) for name in OUTPUTS}
        model = keras.Model(image, {name: ResizeBilinear()([head, image]) for name, head in heads.items()})
        supervision, schedule = Supervision(model, SHAPE[1:3], OUTPUTS), Schedule("constant", 1.0, 10)
        return TrainStep(strategy, model, loss, supervision, schedule, SETTINGS, {**TRAIN, **train}, 1)


def by_hand(model, loss, data):
    """(loss, its gradients): a sum over images and maps, each by itself."""
    maps = [(data["label"], 1 - data["weight"]), (data["other"], data["weight"])]
    with tf.GradientTape() as tape:
        outputs, total = model(data["image"]), 0.0
        for name, share in OUTPUTS.items():
            pixels = weights = regions = images = 0.0
            for number in range(SHAPE[0]):
                logits = outputs[name][number : number + 1]
                for labels, factors in maps:
                    label, factor = labels[number : number + 1], factors[number]
                    flat = label.reshape(1, -1)
                    kept = loss.choose(tf.reshape(loss.hardness(logits, label), [1, -1]), flat).weights
                    pixels += factor * tf.reduce_sum(kept * tf.reshape(loss(logits, label), [1, -1]))
                    weights += factor * tf.reduce_sum(kept)
                    if loss.has_regions:
                        regions += factor * loss.of_regions(logits, label)[0]
                        images += factor * loss.images(label)[0]
            total += share * (pixels / weights + (regions / images if loss.has_regions else 0.0))
    return total, tape.gradient(total, model.trainable_variables)


LOSSES = {
    "cross entropy": {},
    "mined, weighted, smoothed": {"keep": 9, "class_weights": (1.0, 0.5, 3.0), "label_smoothing": 0.1},
    "regions": {"terms": {"focal": 1.0, "dice": 0.5, "lovasz": 0.25}, "class_weights": (1.0, 0.0, 2.0)},
}


@pytest.mark.parametrize("train", [{}, {"accumulate": 2}, {"parts": 2}], ids=str)
@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_is_that_of_both_maps_by_their_weights(name, train):
    loss, data = PixelCrossEntropy(**LOSSES[name]), batch()
    step = step_of(loss, **train)
    expected, gradients = by_hand(step.model, loss, data)
    before = [compat.tf_variable(v).numpy() for v in step.model.trainable_variables]
    told = step({key: tf.constant(value) for key, value in data.items()}, 0).numpy()
    assert told[0] == pytest.approx(float(expected), rel=1e-5)
    for old, variable, gradient in zip(before, step.model.trainable_variables, gradients):
        np.testing.assert_allclose(old - compat.tf_variable(variable).numpy(), gradient, rtol=1e-3, atol=1e-5)


def test_crops_that_are_not_mixed_are_as_ever():
    data = batch()
    alone = {**data, "other": np.full_like(data["other"], 255), "weight": np.zeros(4, np.float32)}
    loss = PixelCrossEntropy(**LOSSES["mined, weighted, smoothed"])
    mixed, plain = (
        step_of(loss)({key: tf.constant(alone[key]) for key in keys}, 0).numpy() for keys in (alone, ("image", "label"))
    )
    assert mixed[0] == pytest.approx(plain[0], rel=1e-6)
    assert mixed[:7] == pytest.approx(plain[:7], rel=1e-4), "up to ohem/threshold"
