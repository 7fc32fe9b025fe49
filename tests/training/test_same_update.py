"""An update is the same however it is computed: in micro-batches, on several devices, in shifted passes, with mining.

`plain_update` says in NumPy what the whole global batch asks for, and `same_update` compares `TrainStep` with it.
"""

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import plain_update
import pytest
import same_update
import tensorflow as tf
from plain_update import IGNORE, Rule
from tensorflow import keras

from did_tf.common import compat
from did_tf.models.layers import Dropout, FusedBatchNormalization
from did_tf.training.distribution import make_strategy
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.supervision import Supervision

TESTS = Path(__file__).parents[1]


def meetings(case, number):
    """Every `number` choices of a case, with the axes that they are of."""
    return set(itertools.combinations(enumerate(case), number))


def work(case):
    """About the time that tracing takes, which grows with the passes and the outputs."""
    accumulate, devices, _, _, network, _ = case
    return devices * (4 + accumulate * {"one": 1, "features": 2, "three": 3, "shifted": 4}[network])


def covering(axes, number):
    """Few and quick cases in which any `number` choices of different axes meet."""
    cases = {case: meetings(case, number) for case in itertools.product(*axes)}
    missing, chosen = set().union(*cases.values()), []
    while missing:
        chosen.append(max(cases, key=lambda case: len(cases[case] & missing) / work(case)))
        missing -= cases[chosen[-1]]
    return chosen


def by_name(cases):
    return [",".join(map(str, case)) for case in cases]


# What the slow test does besides: four devices, which need a process of their own and the most time, and choices that
# add little to the others.
QUICK = {
    **same_update.AXES,
    "devices": (1, 2),
    "mining": ("none", "threshold", "image", "batch", "threshold+batch", "dice+threshold"),
    "network": ("one", "features", "shifted"),
}
FAST = [*by_name(covering(QUICK.values(), 2)), "2,2,hardest,uneven,one,plain"]


def faults_of(cases, folder):
    """{case: [what differs, ...]}: one device in this process, others in one for each number, at the same time."""
    groups = {devices: list(group) for devices, group in itertools.groupby(sorted(cases, key=devices_of), devices_of)}
    alone = groups.pop("1", [])
    started = {devices: start(group, folder / devices) for devices, group in groups.items()}
    faults = same_update.faults(alone)
    for devices, process in started.items():
        assert process.wait() == 0, Path(f"{folder / devices}.log").read_text()
        faults |= json.loads(Path(f"{folder / devices}.json").read_text())
    return faults


def start(cases, path):
    """The process that writes `path`.json, and `path`.log."""
    environment = {**os.environ, "PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}"}
    command = [sys.executable, str(TESTS / "same_update.py"), f"{path}.json", json.dumps(cases)]
    with open(f"{path}.log", "w") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=log)


def devices_of(case):
    return case.split(",")[1]


def check_none(faults):
    """Of {case: [what differs, ...]}."""
    assert not any(faults.values()), "\n".join(f"{case}: {lines[0]}" for case, lines in faults.items() if lines)


@pytest.mark.parametrize("case", [case for case in FAST if devices_of(case) == "1"])
def test_update_is_that_of_the_whole_batch(case):
    """As long as micro-batches were weighed alike (REVIEW.md A3) and ties turned mining off (A6) it was not."""
    (found,) = same_update.faults([case]).values()
    assert not found, "\n".join(found[:5])


def test_updates_on_two_devices_are_those_of_the_whole_batch(tmp_path):
    """In one test, for they share a process."""
    check_none(faults_of([case for case in FAST if devices_of(case) == "2"], tmp_path))


@pytest.mark.slow
def test_updates_are_those_of_the_whole_batch_wherever_three_choices_meet(tmp_path):
    """Of all 1296 cases about a tenth: what goes wrong is mostly due to one choice, to two, or rarely to three."""
    check_none(faults_of(by_name(covering(same_update.AXES.values(), 3)), tmp_path))


@pytest.mark.parametrize("mining", [*same_update.AXES["mining"], "hardest"])
@pytest.mark.parametrize("network", same_update.NETWORKS)
def test_plain_gradients_are_the_slopes_of_the_plain_loss(network, mining):
    """Otherwise the comparison would be with nothing."""
    outputs = same_update.NETWORKS[network]
    views, output_weights = ({output: x[i] for output, x in outputs.items()} for i in (0, 2))
    rule = Rule(output_weights, class_weights=same_update.WEIGHTS["uneven"], **same_update.MINING[mining])
    _, weights, images, labels = next(same_update.batches(network))
    _, gradients = plain_update.loss_and_gradients(weights, images, labels, views, rule)
    rng = np.random.default_rng(0)
    for name in weights:
        direction = rng.normal(size=weights[name].shape)
        ahead, behind = (
            plain_update.loss_and_gradients(
                {**weights, name: weights[name] + step * direction}, images, labels, views, rule
            )[0]["loss"]
            for step in (1e-6, -1e-6)
        )
        assert (ahead - behind) / 2e-6 == pytest.approx((gradients[name] * direction).sum(), rel=1e-4, abs=1e-7), name


@pytest.mark.parametrize(
    "mining, expected",
    [
        ({}, [[1, 1, 1, 0], [1, 1, 1, 1]]),
        ({"threshold": 0.1}, [[1, 0, 1, 0], [0, 0, 0, 1]]),
        ({"keep": 1}, [[1, 0, 0, 0], [0, 0, 0, 1]]),
        ({"keep": 2}, [[1, 0, 1, 0], [1, 0, 0, 1]]),
        ({"keep": 2, "scope": "batch"}, [[1, 0, 1, 0], [0, 0, 0, 0]]),
        ({"keep": 4, "scope": "batch"}, [[1, 1, 1, 0], [0, 0, 0, 1]]),
        ({"keep": 4}, [[1, 1, 1, 0], [1, 1, 1, 1]]),
        ({"keep": 1, "threshold": 0.1}, [[1, 0, 1, 0], [0, 0, 0, 1]]),
        ({"keep": 2, "threshold": 0.1}, [[1, 0, 1, 0], [1, 0, 0, 1]]),
    ],
)
def test_plain_choice_of_pixels(mining, expected):
    """Of equal losses the first; the ignored pixel, whose loss is the largest, never."""
    losses, valid = np.array([[3.0, 1.0, 3.0, 9.0], [1.0, 1.0, 0.5, 3.0]]), np.ones((2, 4), bool)
    valid[0, 3] = False
    chosen = plain_update.chosen_pixels(losses, valid, Rule({}, **mining))
    np.testing.assert_array_equal(chosen, expected)


SHAPE, CLASSES, FILTERS, MOMENTUM = (4, 3, 4, 3), 3, 6, 0.9


class Updates:
    """Updates in two micro-batches of a network with batch normalisation and dropout, all from the same weights."""

    def __init__(self):
        self.strategy = make_strategy("cpu")
        with self.strategy.scope():
            self.model = self._network()
        self.variables = {compat.path(v): compat.tf_variable(v) for v in self.model.weights}
        rng = np.random.default_rng(0)
        self.start = {name: rng.uniform(0.2, 1, v.shape) for name, v in self.variables.items()}
        self.images = rng.normal(size=SHAPE).astype(np.float32)
        self.labels = rng.integers(0, CLASSES, SHAPE[:3]).astype(np.uint8)
        self.labels[0, 1], self.labels[3, :, :3] = IGNORE, IGNORE
        self.steps = {}

    def _network(self):
        image = keras.Input(SHAPE[1:])
        x = keras.layers.Conv2D(FILTERS, 3, padding="same", name="stem")(image)
        x = FusedBatchNormalization(momentum=MOMENTUM, name="norm")(x)
        x = Dropout(0.5, name="drop")(keras.layers.ReLU()(x))
        x = keras.layers.Conv2D(CLASSES, 3, padding="same", name="head.main.conv")(x)
        return keras.Model(image, {"main": x})

    def __call__(self, labels, step=7, **mining):
        """({name: change} of all weights and statistics, {metric: value})."""
        for name, variable in self.variables.items():
            variable.assign(self.start[name])
        train_step = self._train_step(mining)
        values = train_step({"image": self.images, "label": labels}, tf.constant(step)).numpy()
        change = {name: v.numpy() - self.start[name] for name, v in self.variables.items()}
        return change, dict(zip(train_step.metrics, values))

    def _train_step(self, mining):
        if str(mining) not in self.steps:
            supervision = Supervision(self.model, SHAPE[1:3])
            parts = self.strategy, self.model, PixelCrossEntropy(**mining), supervision
            self.steps[str(mining)] = same_update.make_train_step(*parts, Rule(supervision.weights), accumulate=2)
        return self.steps[str(mining)]


@pytest.fixture(scope="module")
def updates():
    return Updates()


KEPT = [{"keep": 3}, {"keep": 5, "scope": "batch"}, {"threshold": 0.2, "keep": 2}]


@pytest.mark.parametrize("mining, step, momentum", [*((one, 700, MOMENTUM) for one in ({}, *KEPT)), ({}, 7, 8 / 17)])
def test_each_micro_batch_moves_the_statistics_once(updates, mining, step, momentum):
    """Choosing the pixels needs a look at all micro-batches first, which must leave no trace."""
    change, _ = updates(updates.labels, step, **mining)
    features = plain_update.convolved(updates.images, updates.start["stem/kernel"], updates.start["stem/bias"])
    for name, statistic in {"norm/moving_mean": np.mean, "norm/moving_variance": np.var}.items():
        moving = updates.start[name]
        for half in np.split(features, 2):
            moving = momentum * moving + (1 - momentum) * statistic(half, axis=(0, 1, 2))
        np.testing.assert_allclose(updates.start[name] + change[name], moving, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("mining", [{"threshold": 1.0}, {"keep": 1000, "scope": "batch"}], ids=str)
def test_mining_that_keeps_all_changes_nothing(updates, mining):
    """Dropout's masks included."""
    (change, metrics), (mined, mined_metrics) = updates(updates.labels), updates(updates.labels, **mining)
    assert mined_metrics["loss"] == pytest.approx(metrics["loss"], rel=1e-6)
    for name in change:
        np.testing.assert_allclose(mined[name], change[name], rtol=1e-4, atol=2e-6, err_msg=name)


def test_steps_differ_in_what_they_drop(updates):
    """Otherwise the tests of dropout's masks would test nothing."""
    assert updates(updates.labels, step=7)[1]["loss"] != updates(updates.labels, step=8)[1]["loss"]


@pytest.mark.parametrize("mining", KEPT, ids=str)
def test_mined_update_is_the_mean_of_those_of_its_pixels(updates, mining):
    """The pixels are chosen under the masks and the statistics that the gradient is then taken under."""
    valid, alone = updates.labels != IGNORE, {}
    for at in zip(*np.nonzero(valid)):
        labels = np.full_like(updates.labels, IGNORE)
        labels[at] = updates.labels[at]
        alone[at] = updates(labels)
    losses = np.zeros(SHAPE[:3])
    for at, (_, metrics) in alone.items():
        losses[at] = metrics["loss"]
    rows = (SHAPE[0], -1)
    chosen = plain_update.chosen_pixels(losses.reshape(rows), valid.reshape(rows), Rule({}, **mining))
    chosen = list(zip(*np.nonzero(chosen.reshape(SHAPE[:3]))))
    change, metrics = updates(updates.labels, **mining)
    assert metrics["loss"] == pytest.approx(np.mean([losses[at] for at in chosen]), rel=1e-5)
    assert metrics["ohem/kept"] == pytest.approx(len(chosen) / valid.sum(), rel=1e-6)
    assert 0 < metrics["ohem/threshold"] < 1
    for name in change:
        mean = np.mean([alone[at][0][name] for at in chosen], axis=0)
        np.testing.assert_allclose(change[name], mean, rtol=1e-4, atol=1e-5, err_msg=name)
