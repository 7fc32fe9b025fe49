"""Program: updates of small linear networks, each computed in one of many ways, against `plain_update`.

`python same_update.py FAULTS.json CASES.json` writes {case: [what differs, ...]}. Devices are set once per process,
hence a program. For one case by hand: `PYTHONPATH=.:tests python tests/same_update.py - '["2,2,none,even,one,plain"]'`.
A case is ACCUMULATE,DEVICES,MINING,WEIGHTS,NETWORK,FINISH; but for "plain" features are computed again. For each of
them all batches of `batches` go through one trace.
"""

import functools
import json
import sys
from pathlib import Path

import numpy as np
import plain_update
import tensorflow as tf
from plain_update import IGNORE, Rule
from tensorflow import keras

from did_tf.common import compat
from did_tf.models.layers import ResizeBilinear
from did_tf.models.phases import Interleave, Phases
from did_tf.training.distribution import make_strategy
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.schedules import Schedule
from did_tf.training.supervision import Supervision
from did_tf.training.train_step import TrainStep

CLASSES, FEATURES, IMAGES, HEIGHT, WIDTH = 4, 5, 16, 5, 9
MINING = {
    "none": {},
    "threshold": {"threshold": 0.3},
    "image": {"keep": 12},
    "batch": {"keep": 60, "scope": "batch"},
    "threshold+image": {"threshold": 0.1, "keep": 12},
    "threshold+batch": {"threshold": 0.1, "keep": 60, "scope": "batch"},
    "all by threshold": {"threshold": 1.0, "keep": 3},
    "all by count": {"keep": 10_000},
    "hardest": {"keep": 1, "scope": "batch"},
    "dice": {"terms": {"cross_entropy": 0.5, "dice": 2.0}},
    "dice+threshold": {"terms": {"cross_entropy": 0.5, "dice": 2.0}, "threshold": 0.3},
}
WEIGHTS = {"even": None, "uneven": (0.5, 1.0, 2.5, 0.0)}
FULL, HALF, QUARTER = [np.s_[::1, ::1]], [np.s_[::2, ::2]], [np.s_[::4, ::4]]
SHIFTED = [np.s_[0::2, 0::2], np.s_[0::2, 1::2], np.s_[1::2, 0::2], np.s_[1::2, 1::2]]
# Of each network its outputs: views, size of the kernel, weight of the output.
NETWORKS = {
    "one": {"main": (FULL, 1, 1.0)},
    "three": {"main": (FULL, 1, 0.5), "side": (FULL, 3, 0.3), "deep": (FULL, 1, 0.4)},
    "features": {"main": (HALF, 1, 0.7), "side": (QUARTER, 1, 0.3)},
    "shifted": {"main": (SHIFTED, 3, 1.0)},
}
FINISHES = {
    "plain": {},
    "all": {
        "clip_norm": 0.3,
        "weight_decay": 0.01,
        "undecayed": ("head",),
        "multipliers": {"encoder": 0.25, "head": 2.0},
        "ema": 0.5,
    },
    "scaled": {"clip_norm": 0.3, "ema": 0.5},  # with the scaled loss of float16, which must cancel out
}
AXES = {
    "accumulate": (1, 2, 4),
    "devices": (1, 2, 4),
    "mining": ("none", "threshold", "image", "batch", "threshold+image", "threshold+batch", "dice", "dice+threshold"),
    "weights": tuple(WEIGHTS),
    "network": tuple(NETWORKS),
    "finish": tuple(FINISHES),
}


def label_patterns(rng):
    """{name: labels [N, H, W] uint8}: classes alike in all, ignored pixels in each way that splits a batch unevenly."""
    classes = rng.integers(0, CLASSES, (IMAGES, HEIGHT, WIDTH))
    draw, image = rng.random(classes.shape), np.arange(IMAGES)[:, None, None]
    corner = np.zeros((HEIGHT, WIDTH), bool)
    corner[0, 0] = True
    ignored = {
        "all valid": draw < 0,
        "scattered": draw < 0.3,
        "ever fewer": draw < image / IMAGES,
        "first half void": (image < IMAGES // 2) | (draw < 0.2),
        "last image alone": (image < IMAGES - 1) | (draw < 0.2),
        "every second image void": (image % 2 == 1) | (draw < 0.2),
        "single pixels": (image % 4 != 0) & ~((image % 4 == 1) & corner),
        "one pixel": ~((image == 5) & corner),
        "empty": draw < 2,
    }
    labels = {name: np.where(where, IGNORE, classes) for name, where in ignored.items()}
    labels["weight 0 alone"] = np.where(draw < 0.3, IGNORE, 3)
    return {name: value.astype(np.uint8) for name, value in labels.items()}


def batches(network):
    """Yields (name, weights, images [N, H, W, 3], labels [N, H, W]).

    "sure": whole numbers, times 256: probabilities round to 0 and 1, and many losses are equal, exactly in float32
    too. "level": all pixels have the same loss. Which of equal pixels comes first is not said where they are of
    several passes.
    """
    rng = np.random.default_rng(4)
    shape, patterns = (IMAGES, HEIGHT, WIDTH, 3), label_patterns(rng)
    weights = _weights(network, lambda size: rng.normal(0, 0.4, size))
    whole = _weights(network, lambda size: rng.integers(-1, 2, size))
    images, whole_images = rng.normal(size=shape), 256 * rng.integers(-2, 3, shape)
    level = {name: value if name.startswith("stem") else 0 * value for name, value in weights.items()}
    for name, labels in patterns.items():
        yield name, weights, images, labels
    if network != "shifted":
        for name in ("all valid", "ever fewer", "every second image void"):
            yield f"{name}, sure", whole, whole_images, patterns[name]
            yield f"{name}, level", level, images, patterns[name]


def make_train_step(
    strategy, model, pixel_loss, supervision, rule, accumulate, precision="float32", parts=1, recompute=False
):
    """A `TrainStep` of plain SGD at rate 1: what it adds to the weights is the gradient."""
    train = {"accumulate": accumulate, "parts": parts, "ema": rule.ema, "precision": precision, "recompute": recompute}
    train |= {"jit_compile": False, "sync_batch_norm": False, "freeze_batch_norm": "", "freeze_batch_norm_from": 0}
    train |= {"init": "", "encoder": ""}
    settings = {"name": "sgd", "options": {}, "decay": "l2", "weight_decay": rule.weight_decay}
    settings |= {key: getattr(rule, key) for key in ("clip_norm", "undecayed", "multipliers")}
    schedule = Schedule("constant", 1.0, 1000)
    return TrainStep(strategy, model, pixel_loss, supervision, schedule, settings, train, seed=1)


_strategy = functools.cache(make_strategy)  # two of them in one process take each other's messages


def ruined_batches(network):
    """Yields (name, weights, images, labels) with a valid pixel whose loss is not finite."""
    (_, weights, images, labels), *_ = batches(network)
    weights = {**weights, "main/bias": np.array([0.0, -np.inf, 0.0, 0.0])}
    alone = np.full_like(labels, IGNORE)
    alone[-1, 0, 0] = 1
    yield "an infinite loss", weights, images, labels
    yield "an infinite loss alone", weights, images, alone
    (_, weights, images, labels), *_ = batches(network)
    images[-1, 2, 2] = np.nan
    yield "a loss that is no number", weights, images, np.where(labels == 3, 0, labels)


class Case:
    """A `TrainStep` and the rule that it must follow."""

    def __init__(self, accumulate, devices, mining, weights, network, finish):
        self.network, outputs = network, NETWORKS[network]
        self.views = {output: views for output, (views, _, _) in outputs.items()}
        loss = {**MINING[mining], "class_weights": WEIGHTS[weights]}
        output_weights = {output: weight for output, (_, _, weight) in outputs.items()}
        self.rule = Rule(output_weights, **loss, **FINISHES[finish])
        self.strategy = _strategy("cpu" if devices == "1" else f"cpu*{devices}")
        self.train_step = self._train_step(
            int(accumulate),
            PixelCrossEntropy(**loss),
            "float16" if finish == "scaled" else "float32",
            finish != "plain",
        )
        self.names = [_name(compat.path(v)) for v in self.train_step.model.trainable_variables]
        self.variables = [compat.tf_variable(v) for v in self.train_step.model.trainable_variables]

    def faults(self):
        """Yields a line for each thing in which an update differs from `plain_update`."""
        for number, (name, weights, images, labels) in enumerate(batches(self.network)):
            done = (0, 3, 60)[number % 3]
            averages = {key: value + 1.0 for key, value in weights.items()}
            metrics, new, new_averages = plain_update.update(
                weights, averages, images, labels, self.views, self.rule, done
            )
            got_metrics, got, got_averages = self._update(weights, averages, images, labels, done)
            lines = [
                *_differences(got_metrics, {key: metrics[key] for key in metrics if key in got_metrics}),
                *_differing_arrays("change of ", _change(got, weights), _change(new, weights), weights),
                *(_differing_arrays("average of ", got_averages, new_averages, averages) if self.rule.ema else []),
            ]
            yield from (f"{name}: {line}" for line in lines)
        for name, weights, images, labels in ruined_batches(self.network):
            got, *_ = self._update(weights, weights, images, labels, 0)
            with np.errstate(invalid="ignore"):
                expected, _ = plain_update.loss_and_gradients(weights, images, labels, self.views, self.rule)
            if np.isfinite(got["loss"]):
                yield f"{name}: loss is {got['loss']:.6g}"
            kept = {"ohem/kept": expected["ohem/kept"]} if "ohem/kept" in got else {}
            yield from (f"{name}: {line}" for line in _differences(got, kept))

    def _train_step(self, accumulate, pixel_loss, precision, recompute):
        with self.strategy.scope():
            model = _model(self.network)
        resolution = "features" if self.network in ("features", "shifted") else "full"
        crop, shifted = (HEIGHT, WIDTH), self.network == "shifted"
        supervision = Supervision(model, crop, self.rule.output_weights, resolution, shifted)
        return make_train_step(
            self.strategy, model, pixel_loss, supervision, self.rule, accumulate, precision, recompute=recompute
        )

    def _update(self, weights, averages, images, labels, done):
        for name, variable in zip(self.names, self.variables):
            variable.assign(weights[name].astype(np.float32))
        for name, average in zip(self.names, self.train_step.averages):
            average.assign(averages[name].astype(np.float32))
        self.train_step.optimizer.iterations.assign(done)
        batch = {"image": self._shared(images.astype(np.float32)), "label": self._shared(labels)}
        values = self.train_step(batch, tf.constant(done, tf.int32)).numpy()
        found = ([v.numpy() for v in variables] for variables in (self.variables, self.train_step.averages))
        return dict(zip(self.train_step.metrics, values)), *(dict(zip(self.names, arrays)) for arrays in found)

    def _shared(self, array):
        shares = np.split(array, self.strategy.num_replicas_in_sync)
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(shares[context.replica_id_in_sync_group])
        )


def _model(network):
    image = keras.Input((HEIGHT, WIDTH, 3))
    stem = keras.layers.Conv2D(FEATURES, 3, padding="same", name="stem")(image)
    outputs = {}
    for output, (views, kernel, _) in NETWORKS[network].items():
        x = Phases(name="phases")(stem) if views is SHIFTED else stem
        stride = 1 if views is SHIFTED else views[0][0].step
        name = f"head.{output}"
        x = keras.layers.Conv2D(CLASSES, kernel, stride, padding="same", name=f"{name}.conv")(x)
        x = Interleave(name=f"{name}.interleave")([x, stem]) if views is SHIFTED else x
        outputs[output] = x if views is FULL else ResizeBilinear(name=f"{name}.up")([x, image])
    return keras.Model(image, outputs)


def _weights(network, draw):
    sizes = {"stem": (3, 3, FEATURES)}
    sizes |= {output: (kernel, FEATURES, CLASSES) for output, (_, kernel, _) in NETWORKS[network].items()}
    weights = {}
    for name, (kernel, channels, filters) in sizes.items():
        weights[f"{name}/kernel"] = draw(size=(kernel, kernel, channels, filters)) / 1.0
        weights[f"{name}/bias"] = draw(size=(filters,)) / 1.0
    # What both precisions start from.
    return {name: value.astype(np.float32).astype(np.float64) for name, value in weights.items()}


def _name(path):
    """ "main/kernel" of "head.main.conv/kernel"."""
    layer, kind = path.split("/")[-2:]
    return f"{layer.split('.')[1] if '.' in layer else layer}/{kind}"


def _change(new, old):
    return {name: new[name] - old[name] for name in old}


def _differences(got, expected, relative=1e-5, absolute=1e-6):
    for key, value in expected.items():
        if not abs(got[key] - value) <= relative * abs(value) + absolute:
            yield f"{key} is {got[key]:.6g}, not {value:.6g}"


def _differing_arrays(what, got, expected, weights):
    """Rounding of what was added up, and of the weights that it was added to, is let pass."""
    largest = max(np.abs(value).max() for value in expected.values())
    for name, value in expected.items():
        tolerance = 1e-5 * np.abs(value).max() + 1e-6 * largest + 5e-7 * np.abs(weights[name]).max()
        error = np.abs(got[name] - value).max()
        if not error <= tolerance:
            yield f"{what}{name} is off by {error:.3g}, where {np.abs(value).max():.3g} is the largest"


def faults(cases):
    """{case: [what differs, ...]}, all cases of one number of devices."""
    return {case: list(Case(*case.split(",")).faults()) for case in cases}


def main():
    output, cases = sys.argv[1:]
    text = json.dumps(faults(json.loads(cases)), indent=1)
    print(text) if output == "-" else Path(output).write_text(text)


if __name__ == "__main__":
    main()
