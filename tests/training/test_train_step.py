"""Updates of a small linear network against the same written out in NumPy, in float64, and what a step keeps."""

import functools
import itertools
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.common import compat
from did_tf.common.errors import ConfigError
from did_tf.common.readout import Readout
from did_tf.models.layers import Dropout, FusedBatchNormalization
from did_tf.models.phases import PHASES
from did_tf.training import health
from did_tf.training.distribution import make_strategy
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.optimizers import LossScale
from did_tf.training.schedules import Schedule
from did_tf.training.supervision import Supervision
from did_tf.training.train_step import TrainStep

SHAPE, CLASSES, BASE, STEPS = (4, 3, 5, 2), 3, 0.5, 10
OUTPUTS = {"main": 0.7, "side": 0.3}
LAYERS = {"stem": (2, 4), "decoder.mix": (4, 4), "head.main.conv": (4, CLASSES), "head.side.conv": (4, CLASSES)}
DECAYED = {"stem": True, "decoder.mix": True, "head.main.conv": False, "head.side.conv": False}
SETTINGS = {"name": "sgd", "options": {}, "decay": "l2", "weight_decay": 0.0, "clip_norm": 0.0}
SETTINGS |= {"undecayed": ("head",), "multipliers": {}}
TRAIN = {"accumulate": 1, "parts": 1, "ema": 0.0, "precision": "float32", "sync_batch_norm": False}
TRAIN |= {"recompute": False, "jit_compile": False, "freeze_batch_norm": "", "freeze_batch_norm_from": 0}
TRAIN |= {"init": "", "encoder": ""}


def network():
    """Four 1x1 convolutions in the three parts of a network, without anything between them."""
    image = keras.Input(SHAPE[1:])
    layers = {name: keras.layers.Conv2D(width, 1, name=name) for name, (_, width) in LAYERS.items()}
    features = layers["decoder.mix"](layers["stem"](image))
    return keras.Model(image, {output: layers[f"head.{output}.conv"](features) for output in OUTPUTS})


STRATEGY = make_strategy("cpu")
NESTED = Readout(((0, 1, 2), (1, 2), (2,)), (0, 1, 2))


def step_of(make=network, loss=None, outputs=None, settings=None, train=None, seed=1, passes=(None,)):
    with STRATEGY.scope():
        model = make()
    supervision = Supervision(model, SHAPE[1:3], outputs or OUTPUTS)
    supervision.passes = passes
    settings, train = {**SETTINGS, **(settings or {})}, {**TRAIN, **(train or {})}
    schedule = Schedule("poly", BASE, STEPS, power=1.0)
    return TrainStep(STRATEGY, model, PixelCrossEntropy(**(loss or {})), supervision, schedule, settings, train, seed)


def values(train_step):
    """{path: array} of the trainable weights."""
    variables = train_step.model.trainable_variables
    return {compat.path(v): tf.convert_to_tensor(compat.tf_variable(v)).numpy() for v in variables}


def batch(seed=0, ignored=0.3):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, SHAPE[:3]).astype(np.uint8)
    labels[rng.random(labels.shape) < ignored] = 255
    return rng.normal(0, 1, SHAPE).astype(np.float32), labels


def took(train_step, images, labels, step=0):
    """{metric: value} of an update; the vitals are in it."""
    told = train_step({"image": tf.constant(images), "label": tf.constant(labels)}, tf.constant(step)).numpy()
    return dict(zip([*train_step.metrics, *health.VITALS], told, strict=True))


def loss_and_gradients(weights, images, labels, class_weights=(1.0, 1.0, 1.0)):
    """({metric: loss}, {path: gradient}) of the weighted mean over the valid pixels of the batch, all in float64."""
    kernels = {name: weights[f"{name}/kernel"][0, 0].astype(float) for name in LAYERS}
    biases = {name: weights[f"{name}/bias"].astype(float) for name in LAYERS}
    x, valid = images.reshape(-1, SHAPE[-1]).astype(float), labels.ravel() != 255
    stem = x @ kernels["stem"] + biases["stem"]
    mixed = stem @ kernels["decoder.mix"] + biases["decoder.mix"]
    ids = np.where(valid, labels.ravel(), 0)
    share = np.where(valid, np.array(class_weights)[ids], 0)
    share = share / share.sum() if share.any() else share
    losses, gradients, back = {"loss": 0.0}, {}, 0.0
    for output, weight in OUTPUTS.items():
        name = f"head.{output}.conv"
        logits = mixed @ kernels[name] + biases[name]
        softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        losses[f"loss/{output}"] = -(np.log(softmax[np.arange(len(ids)), ids]) * share).sum()
        losses["loss"] += weight * losses[f"loss/{output}"]
        slope = weight * share[:, None] * (softmax - np.eye(CLASSES)[ids])
        gradients |= {f"{name}/kernel": (mixed.T @ slope)[None, None], f"{name}/bias": slope.sum(axis=0)}
        back = back + slope @ kernels[name].T
    gradients |= {"decoder.mix/kernel": (stem.T @ back)[None, None], "decoder.mix/bias": back.sum(axis=0)}
    back = back @ kernels["decoder.mix"].T
    return losses, gradients | {"stem/kernel": (x.T @ back)[None, None], "stem/bias": back.sum(axis=0)}


class ByHand:
    """What SGD makes of the gradients: decay, clipping, momentum, factors and averages, in the order of the papers."""

    def __init__(self, weights, settings, train, class_weights):
        self.weights = {name: value.astype(float) for name, value in weights.items()}
        self.settings, self.train, self.class_weights = {**SETTINGS, **settings}, {**TRAIN, **train}, class_weights
        self.velocity = dict.fromkeys(weights, 0.0)
        self.averages, self.done = dict(self.weights), 0

    def update(self, images, labels):
        """{metric: value}."""
        metrics, gradients = loss_and_gradients(self.weights, images, labels, self.class_weights)
        decay, decoupled = self.settings["weight_decay"], self.settings["decay"] == "decoupled"
        shrinks = {name: decay * (name.endswith("kernel") and DECAYED[name.split("/")[0]]) for name in gradients}
        if not decoupled:
            gradients = {name: g + shrinks[name] * self.weights[name] for name, g in gradients.items()}
        norm, limit = np.sqrt(sum((g**2).sum() for g in gradients.values())), self.settings["clip_norm"]
        scale = limit / max(norm, limit) if limit else 1.0
        rate = BASE * (1 - self.done / STEPS)
        momentum = self.settings["options"].get("momentum", 0.0)
        for name, gradient in gradients.items():
            self.velocity[name] = momentum * self.velocity[name] - rate * scale * gradient
            change = self.velocity[name] - (rate * shrinks[name] * self.weights[name] if decoupled else 0)
            part = name.split(".")[0] if name.startswith(("head", "decoder")) else "encoder"
            self.weights[name] = self.weights[name] + self.settings["multipliers"].get(part, 1) * change
        self.done += 1
        memory = min(self.train["ema"], (1 + self.done) / (10 + self.done))
        self.averages = {name: memory * self.averages[name] + (1 - memory) * v for name, v in self.weights.items()}
        return {**metrics, "learning_rate": rate, "gradient_norm": norm}


ALL = {"weight_decay": 0.2, "clip_norm": 0.3, "multipliers": {"encoder": 0.5, "decoder": 0, "head": 2.0}}
FINISHES = [
    ({}, {"ema": 0.2}),
    ({"weight_decay": 0.2, "clip_norm": 1e6}, {"ema": 0.9}),
    ({"weight_decay": 0.2, "decay": "decoupled", "multipliers": {"encoder": 0.0, "head": 1.5}}, {"accumulate": 2}),
    ({**ALL, "options": {"momentum": 0.9}}, {"precision": "float16", "ema": 0.3}),
]


@pytest.mark.parametrize("settings, train", FINISHES, ids=str)
def test_updates_are_those_by_hand(settings, train):
    """Three in a row, with weighted classes; the norm is told before clipping and after decay."""
    class_weights = (0.5, 2.0, 1.0)
    train_step = step_of(settings=settings, train=train, loss={"class_weights": class_weights})
    by_hand = ByHand(values(train_step), settings, train, class_weights)
    for step in range(3):
        images, labels = batch(step)
        told, expected = took(train_step, images, labels, step), by_hand.update(images, labels)
        assert {key: told[key] for key in expected} == pytest.approx(expected, rel=1e-4)
        for name, value in values(train_step).items():
            np.testing.assert_allclose(value, by_hand.weights[name], rtol=1e-4, atol=1e-6, err_msg=name)
        for name, average in zip(values(train_step), train_step.averages):
            np.testing.assert_allclose(average, by_hand.averages[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_vitals_are_norms_of_all_weights_and_the_scale():
    train_step = step_of(train={"precision": "float16"})
    told = took(train_step, *batch())
    norm = np.sqrt(sum((value.astype(float) ** 2).sum() for value in values(train_step).values()))
    assert told["weights_norm"] == pytest.approx(norm, rel=1e-6)
    assert (told["statistics_norm"], told["loss_scale"]) == (0, 2**15)


def test_without_labels_nothing_but_decay_moves():
    train_step = step_of(settings={"weight_decay": 0.5})
    before = values(train_step)
    told = took(train_step, batch()[0], np.full(SHAPE[:3], 255, np.uint8))
    assert (told["loss"], told["loss/main"], told["loss/side"]) == (0, 0, 0)
    for name, value in values(train_step).items():
        shrunk = name.endswith("kernel") and DECAYED[name.split("/")[0]]
        factor = 1 - BASE * 0.5 * shrunk
        np.testing.assert_allclose(value, factor * before[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("split", [{"accumulate": 2}, {"accumulate": 2, "parts": 2}])
def test_losses_of_regions_are_the_same_however_a_batch_is_split(split):
    """Of all outputs; the first half of the batch has a single label."""
    terms, (images, labels) = {"cross_entropy": 0.5, "focal": 1.0, "dice": 2.0}, batch(ignored=0)
    labels[:2] = 255
    labels[1, 0, 0] = 2
    steps = [step_of(loss={"readout": NESTED, "terms": terms}, train=how) for how in ({}, split)]
    steps[1].model.set_weights(steps[0].model.get_weights())
    whole, parts = ({**took(step, images, labels), **values(step)} for step in steps)
    for name, value in whole.items():
        np.testing.assert_allclose(parts[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_outputs_without_weight_train_nothing_of_their_own():
    train_step = step_of(outputs={"main": 1.0, "side": 0.0})
    before = values(train_step)
    told = took(train_step, *batch())
    assert train_step.metrics == ["loss", "loss/main", "learning_rate", "gradient_norm"]
    assert told["loss"] == told["loss/main"] > 0
    same = {name for name, value in values(train_step).items() if np.array_equal(value, before[name])}
    assert same == {"head.side.conv/kernel", "head.side.conv/bias"}


@pytest.mark.parametrize(
    "loss, precision, more",
    [
        ({}, "float32", []),
        ({"keep": 2}, "float32", ["ohem/kept", "ohem/threshold"]),
        ({}, "float16", ["skipped"]),
        ({"threshold": 0.5}, "float16", ["ohem/kept", "ohem/threshold", "skipped"]),
    ],
)
def test_metrics_in_their_order(loss, precision, more):
    train_step = step_of(loss=loss, train={"precision": precision})
    assert train_step.metrics == ["loss", "loss/main", "loss/side", "learning_rate", "gradient_norm", *more]
    if len(more) == 3:
        assert len(took(train_step, *batch())) == 8 + len(health.VITALS)


def test_mining_tells_of_the_first_output_and_the_whole_batch():
    train_step = step_of(loss={"keep": 2}, train={"accumulate": 2})
    images, labels = batch()
    labels[1], labels[2, 0, 0] = 255, 0
    outputs = train_step.model(images)
    losses = PixelCrossEntropy()(outputs["main"], labels).numpy().reshape(4, -1)
    valid = labels.reshape(4, -1) != 255
    last = [np.sort(row[ok])[-2] if ok.sum() >= 2 else 0 for row, ok in zip(losses, valid) if ok.any()]
    told = took(train_step, images, labels)
    assert told["ohem/kept"] == pytest.approx(np.minimum(valid.sum(axis=1), 2).sum() / valid.sum(), rel=1e-5)
    assert told["ohem/threshold"] == pytest.approx(np.exp(-np.array(last)).mean(), rel=1e-4)


def test_an_update_that_overflows_is_left_out_and_told():
    """Weights, averages and the count of updates stay; the rate of the next update is that of this one."""
    train_step = step_of(train={"precision": "float16", "ema": 0.5}, settings={"weight_decay": 0.1})
    before, (images, labels) = values(train_step), batch()
    images *= 100
    train_step.loss_scale.scale.assign(3e38)
    told = took(train_step, images, labels)
    assert (told["skipped"], told["gradient_norm"], told["loss_scale"]) == (1, 0, np.float32(3e38))
    assert float(train_step.loss_scale.scale) == pytest.approx(1.5e38)
    for name, average in zip(before, train_step.averages):
        np.testing.assert_array_equal(values(train_step)[name], before[name])
        np.testing.assert_array_equal(average, before[name])
    train_step.loss_scale.scale.assign(8.0)
    again = took(train_step, images, labels, 1)
    assert (again["skipped"], again["learning_rate"], again["loss_scale"]) == (0, BASE, 8)
    assert again["gradient_norm"] > 0 and again["loss"] == pytest.approx(told["loss"])
    assert took(train_step, images, labels, 2)["learning_rate"] == pytest.approx(0.9 * BASE)


def test_nan_without_loss_scaling_is_told():
    train_step, (images, labels) = step_of(), batch(ignored=0)
    images[0, 0, 0, 0] = np.nan
    told = took(train_step, images, labels)
    assert np.isnan([told["loss"], told["gradient_norm"], told["weights_norm"]]).all()


@pytest.mark.parametrize("precision, scale", [("float16", 2**15), ("float32", 1), ("bfloat16", 1)])
def test_losses_are_scaled_for_float16_alone(precision, scale):
    train_step = step_of(train={"precision": "".join([*precision])})  # as if it had been read
    assert train_step.loss_scale.enabled is (precision == "float16")
    assert float(train_step.loss_scale.scale) == scale and int(train_step.loss_scale.good_steps) == 0
    assert not (train_step.loss_scale.scale.trainable or train_step.loss_scale.good_steps.trainable)


def test_loss_scale_halves_to_one_and_doubles_after_its_patience():
    scale, seen = LossScale(True, initial=4.0, patience=3), []
    for finite in (True, True, True, True, False, False, False, False, True, True, False, True, True, True):
        scale.update(tf.constant(finite))
        seen.append((float(scale.scale), int(scale.good_steps)))
    assert seen[:5] == [(4, 1), (4, 2), (8, 0), (8, 1), (4, 0)]
    assert seen[5:] == [(2, 0), (1, 0), (1, 0), (1, 1), (1, 2), (1, 0), (1, 1), (1, 2), (2, 0)]


def test_loss_scale_by_default():
    scale = LossScale(True)
    scale.good_steps.assign(1998)
    for expected in (2**15, 2**16):
        scale.update(tf.constant(True))
        assert float(scale.scale) == expected
    idle = LossScale(False, initial=64.0)
    idle.update(tf.constant(False))
    assert (float(idle.scale), int(idle.good_steps)) == (1, 0)


def test_state_is_everything_by_name():
    train_step = step_of(train={"ema": 0.5}, settings={"name": "adam"})
    names, state = [*values(train_step)], train_step.state()
    assert {f"model/{name}" for name in names} | {f"average/{name}" for name in names} < {*state}
    others = {key for key in state if not key.startswith(("model/", "average/"))}
    assert {"loss_scale/scale", "loss_scale/good_steps"} < others
    slots = others - {"loss_scale/scale", "loss_scale/good_steps"}
    assert slots == {f"optimizer/{i}" for i in range(len(slots))} and len(slots) >= 2 * len(names) + 1
    for name, average in zip(names, train_step.averages):
        assert state[f"average/{name}"] is average and not average.trainable
    assert not any(key.startswith("average/") for key in step_of().state())


def test_averaged_weights_are_there_within_and_gone_after():
    train_step = step_of(train={"ema": 0.5})
    took(train_step, *batch())
    own, averages = values(train_step), [average.numpy() for average in train_step.averages]
    assert not any(np.array_equal(value, average) for value, average in zip(own.values(), averages))
    with pytest.raises(KeyboardInterrupt), train_step.averaged_weights():
        for value, average in zip(values(train_step).values(), averages):
            np.testing.assert_array_equal(value, average)
        raise KeyboardInterrupt
    for name, value in values(train_step).items():
        np.testing.assert_array_equal(value, own[name])
    train_step.start_averages()
    for value, average in zip(own.values(), train_step.averages):
        np.testing.assert_array_equal(average, value)


def test_without_averages_the_weights_are_their_own():
    train_step = step_of()
    before = values(train_step)
    with train_step.averaged_weights():
        for name, value in values(train_step).items():
            np.testing.assert_array_equal(value, before[name])
    train_step.start_averages()
    assert train_step.averages == []


def normalised(momentum=0.5):
    image = keras.Input(SHAPE[1:])
    x = FusedBatchNormalization(momentum=momentum, name="stem.bn")(keras.layers.Conv2D(4, 1, name="stem")(image))
    x = Dropout(0.5, name="drop")(x)
    return keras.Model(image, {"main": keras.layers.Conv2D(CLASSES, 1, name="head.main.conv")(x)})


def in_parts():
    """Batch norm in each part of a network."""
    x = image = keras.Input(SHAPE[1:])
    for name in ("stem", "decoder.mix", "head.main"):
        x = FusedBatchNormalization(name=f"{name}.bn")(keras.layers.Conv2D(CLASSES, 1, name=f"{name}.conv")(x))
    return keras.Model(image, {"main": x})


@pytest.mark.parametrize("synchronised, frozen", [(False, False), (True, True)])
def test_batch_norm_is_synchronised_and_frozen_as_said(synchronised, frozen):
    train = {"sync_batch_norm": synchronised, "freeze_batch_norm": "all" if frozen else ""}
    train_step = step_of(normalised, outputs={"main": 1.0}, train=train)
    model = train_step.model
    layer = model.get_layer("stem.bn")
    assert (layer.synchronized, layer.trainable) == (synchronised, not frozen)
    assert any("bn" in name for name in values(train_step)) is not frozen
    before = [v.numpy() for v in model.get_layer("stem.bn").weights]
    told = took(train_step, *batch())
    moved = [not np.array_equal(v, old) for v, old in zip(model.get_layer("stem.bn").weights, before)]
    assert moved == [not frozen] * 4
    statistics = [v.numpy().astype(float) for v in model.non_trainable_variables if "moving" in compat.path(v)]
    assert told["statistics_norm"] == pytest.approx(np.sqrt(sum((v**2).sum() for v in statistics)), rel=1e-5)
    train_step.average_batch_norm()
    for v, value in zip([v for v in model.non_trainable_variables if "moving" in compat.path(v)], statistics):
        np.testing.assert_allclose(v.numpy(), value)


@pytest.mark.parametrize("frozen, moving", [("statistics", [True, True, False, False]), ("all", [False] * 4)])
@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_batch_norm_is_frozen_from_its_step_on(frozen, moving, precision):
    """Momentum of the steps before moves nothing that is fixed, nor do its gradients count in the norm."""
    train = {"freeze_batch_norm": frozen, "freeze_batch_norm_from": 2, "precision": precision}
    momentum = {"options": {"momentum": 0.9}}
    train_step = step_of(normalised, outputs={"main": 1.0}, settings=momentum, train=train)
    moved, told = [], []
    for step in range(4):
        before = train_step.model.get_layer("stem.bn").get_weights()
        told.append(took(train_step, *batch(), step))
        after = train_step.model.get_layer("stem.bn").get_weights()
        moved.append([not np.array_equal(a, b) for a, b in zip(after, before)])
    assert moved == [[True] * 4, [True] * 4, moving, moving]
    assert not any(values.get("skipped") for values in told)
    start = step_of(normalised, outputs={"main": 1.0}, settings=momentum, train={**train, "freeze_batch_norm_from": 0})
    start.model.set_weights(train_step.model.get_weights())
    norms = [took(one, *batch(), 9)["gradient_norm"] for one in (train_step, start)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)


class Pair:
    """Stands for a strategy of two replicas, which it has not."""

    num_replicas_in_sync = 2

    def __getattr__(self, name):
        return getattr(STRATEGY, name)


@pytest.mark.parametrize("first, averaged", [(0, []), (2, [2])])
def test_replicas_have_the_same_statistics_from_where_batch_norm_is_frozen(monkeypatch, first, averaged):
    train = {"freeze_batch_norm": "statistics", "freeze_batch_norm_from": first}
    train_step = step_of(normalised, outputs={"main": 1.0}, train=train)
    train_step.strategy, found = Pair(), []
    monkeypatch.setattr(train_step, "average_batch_norm", lambda: found.append(step))
    for step in range(4):
        took(train_step, *batch(), step)
    assert found == averaged


@pytest.mark.parametrize(
    "train, anew",
    [({}, [True] * 3), ({"init": "run"}, [False, False, True]), ({"encoder": "run"}, [False, True, True])],
)
def test_statistics_that_were_brought_are_not_forgotten(train, anew):
    """Those of a head are not brought to other classes."""
    model = step_of(in_parts, outputs={"main": 1.0}, train=train).model
    assert [model.get_layer(f"{name}.bn").begins_anew for name in ("stem", "decoder.mix", "head.main")] == anew


STILL = {"multipliers": {"encoder": 0, "head": 0}}


@pytest.mark.parametrize("parts", [1, 2])
def test_a_short_run_forgets_what_the_statistics_began_with(parts):
    """With one batch and fixed weights 5 updates leave 5! 9! / 14!; a momentum of 0.999 alone would leave 0.995."""
    train = {"parts": parts} if parts > 1 else None
    train_step = step_of(lambda: normalised(0.999), outputs={"main": 1.0}, settings=STILL, train=train)
    images, labels = batch()
    features = train_step.model.get_layer("stem")(images).numpy().astype(float)
    halves = np.split(features, parts)
    of_batch = [np.mean([statistic(half, (0, 1, 2)) for half in halves], 0) for statistic in (np.mean, np.var)]
    for step in range(5):
        took(train_step, images, labels, step)
    left = math.factorial(5) * math.factorial(9) / math.factorial(14)
    for found, began, value in zip(train_step.model.get_layer("stem.bn").get_weights()[2:], (0, 1), of_batch):
        np.testing.assert_allclose(found, left * began + (1 - left) * value, rtol=1e-5)


def test_every_step_and_seed_drops_otherwise():
    """Also where nothing else has changed; the same step of the same seed drops the same."""
    images, labels = batch(ignored=0)
    seen = []
    for seed in (1, 2):
        train_step = step_of(normalised, None, {"main": 1.0}, STILL, {"freeze_batch_norm": "all"}, seed)
        for v in train_step.model.trainable_variables:
            v.assign(tf.ones(v.shape) * tf.reshape(tf.range(float(v.shape[-1])), [1] * (len(v.shape) - 1) + [-1]))
        seen.append([took(train_step, images, labels, step)["loss"] for step in (0, 1, 2, 3, 0, 1)])
        assert seen[-1][4:] == seen[-1][:2]
    assert len({*seen[0], *seen[1]}) == 8


class Reached(Exception):
    """A step is stopped there: its passes are known."""


def stopped(monkeypatch, compute):
    """(number of the first pass, how many micro-batches) of each turn of what is then stopped."""
    taken, module = [], "did_tf.training.update.gradients"

    def note(supervision, images, labels, micro_batches, seed, first):
        taken.append((int(first), micro_batches))
        return []

    def stop(self, passes_of):
        [passes_of(turn) for turn in range(self._turns)]
        raise Reached

    monkeypatch.setattr(f"{module}.split", note)
    monkeypatch.setattr(f"{module}.Gradients._known_shares", stop)
    with pytest.raises(Reached):
        compute()
    return taken


@pytest.mark.parametrize("accumulate, shifts", [(1, 1), (2, 1), (1, 4), (2, 4)])
def test_passes_are_numbered_through_steps_and_replicas(monkeypatch, accumulate, shifts):
    """Every number once, or two passes would drop alike."""

    train_step, found = step_of(train={"accumulate": accumulate}, passes=PHASES[:shifts]), []
    images, labels = batch()
    for step, replica in itertools.product(range(4), range(3)):
        context = SimpleNamespace(num_replicas_in_sync=3, replica_id_in_sync_group=replica)
        monkeypatch.setattr(tf.distribute, "get_replica_context", functools.partial(SimpleNamespace, **vars(context)))
        taken = stopped(monkeypatch, functools.partial(train_step._gradients, images, [labels], tf.constant(step)))
        found += [number for first, count in taken for number in range(first, first + count * shifts)]
    assert sorted(found) == [*range(12 * accumulate * shifts)]


def test_two_micro_batches_drop_what_two_steps_would():
    (images, labels), losses = batch(ignored=0), {}
    for accumulate in (1, 2):
        train = {"accumulate": accumulate, "freeze_batch_norm": "all"}
        keras.utils.set_random_seed(0)
        train_step = step_of(normalised, None, {"main": 1.0}, STILL, train)
        parts = np.split(images, 3 - accumulate), np.split(labels, 3 - accumulate)
        losses[accumulate] = [took(train_step, *part, step)["loss"] for step, part in enumerate(zip(*parts))]
    assert losses[2] == pytest.approx([np.mean(losses[1])], rel=1e-5)


@pytest.mark.parametrize("cut", [{"parts": 2}, {"accumulate": 2, "parts": 2}])
def test_parts_are_the_update_of_micro_batches(cut):
    """Units dropped, gradients and losses; with batch norm, whose statistics are those of a part."""
    images, labels = (np.repeat(array, 2, axis=0) for array in batch())
    found = {}
    for name, train in {"parts": cut, "micro-batches": {"accumulate": 2 * cut.get("accumulate", 1)}}.items():
        keras.utils.set_random_seed(0)
        train_step = step_of(normalised, None, {"main": 1.0}, None, train)
        found[name] = {**took(train_step, images, labels), **values(train_step)}
        found[name].pop("statistics_norm")
    for name, value in found["micro-batches"].items():
        np.testing.assert_allclose(found["parts"][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("cut", [{"parts": 2}, {"accumulate": 2, "parts": 2}])
def test_parts_compute_features_again_as_they_were(cut):
    """Side by side: the units dropped, each part's own statistics, and one move of the moving ones."""
    found = {}
    for again in (False, True):
        keras.utils.set_random_seed(0)
        train_step = step_of(normalised, None, {"main": 1.0}, None, {**cut, "recompute": again})
        before = values(train_step)
        found[again] = {**took(train_step, *batch(ignored=0)), **values(train_step)}
        found[again] |= {compat.path(v): v.numpy() for v in train_step.model.non_trainable_variables}
        assert any(np.abs(value - before[name]).max() > 1e-3 for name, value in values(train_step).items())
    for name, value in found[False].items():
        np.testing.assert_allclose(found[True][name], value, rtol=1e-5, atol=1e-6, err_msg=name)


def test_parts_move_the_statistics_of_batch_norm_once_by_their_mean():
    images, labels = batch()
    moving = []
    for train, cut in (({}, slice(0, 2)), ({}, slice(2, 4)), ({"parts": 2}, slice(0, 4))):
        keras.utils.set_random_seed(0)
        train_step = step_of(normalised, None, {"main": 1.0}, None, train)
        took(train_step, images[cut], labels[cut])
        moving.append(train_step.model.get_layer("stem.bn").get_weights()[2:])
    for first, second, both in zip(*moving):
        np.testing.assert_allclose(both, (first + second) / 2, rtol=1e-5)
        assert not np.allclose(first, second)


@pytest.mark.parametrize("setting", ["multipliers", "undecayed"])
def test_parts_that_there_are_not(setting):
    with pytest.raises(ConfigError, match=f"optimizer.{setting} names 'neck'"):
        step_of(settings={setting: {"neck": 0.5}})


def test_factors_scale_the_change_of_a_part_whatever_the_rule():
    """Of Adam too, for which scaling the gradient would change nothing."""
    changes, weights = [], None
    for factors in ({}, {"encoder": 0.2, "head": 0.0}):
        train_step = step_of(settings={"name": "adam", "multipliers": factors})
        weights = weights or train_step.model.get_weights()
        train_step.model.set_weights(weights)
        before = values(train_step)
        took(train_step, *batch())
        changes.append({name: value - before[name] for name, value in values(train_step).items()})
    factor_of = {"stem": 0.2, "decoder.mix": 1, "head.main.conv": 0, "head.side.conv": 0}
    for name, change in changes[0].items():
        assert np.abs(change).max() > 0.1
        np.testing.assert_allclose(changes[1][name], factor_of[name.split("/")[0]] * change, rtol=1e-4, atol=1e-6)


def test_a_step_is_not_kept_by_tensorflow_for_its_number():
    """It keeps a tensor for each number of Python's that it is given: 0.7 KiB a step, 0.7 GiB in a million."""
    train_step, number = step_of(), 123_456_789
    images, labels = batch()
    data = {"image": tf.constant(images), "label": tf.constant(labels)}
    before = sys.getrefcount(number)
    train_step(data, number)
    assert sys.getrefcount(number) == before
