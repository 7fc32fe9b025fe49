"""Gradients with features computed again against those with all kept."""

import numpy as np
import pytest
import tensorflow as tf
from models.test_contract import TINY
from tensorflow import keras

from did_tf import models
from did_tf.common import compat
from did_tf.models.layers import Dropout, frozen_batch_norm, random_seed
from did_tf.recompute.network import Recomputed, stored
from did_tf.training.distribution import set_precision

CASES = {
    **{name: (name, options) for name, (options, *_) in TINY.items()},
    "fcrn with dropout": ("fcrn", {**TINY["fcrn"][0], "dropouts": (0, 0, 0.3, 0.5)}),
    "split ladder": ("ladder", {**TINY["ladder"][0], "units": (2, 2, 2, 2), "context": "spp", "dropout": 0.2}),
    "degridding sunet": ("sunet", {**TINY["sunet"][0], "degridding": True, "output_stride": 8}),
    "deconvolutions": ("duc", {**TINY["duc"][0], "cell": 1, "upsampling": "deconv2x4"}),
    "residual classifier": ("classifier", {"encoder": "resnet14", "width": 8}),
    "dense classifier": ("classifier", {"encoder": "densenet121", "growth": 4, "units": (1, 1, 2, 1), "dropout": 0.2}),
}
FAST = ("did", "split ladder", "fcrn with dropout")


def network(case):
    keras.utils.set_random_seed(1)
    name, options = CASES[case]
    return models.build(name, 5, **options)


def passed(model, make, mode=""):
    """(outputs, gradients, statistics after) of one pass from the same statistics, with random slopes."""
    weights, moved = (
        [compat.tf_variable(v) for v in of] for of in (model.trainable_variables, model.non_trainable_variables)
    )
    before, rng = [v.numpy() for v in moved], np.random.default_rng(0)
    image = tf.constant(rng.uniform(0, 255, (2, 33, 49, 3)), tf.float32)
    with random_seed(tf.constant([3, 4])), frozen_batch_norm(mode):
        outputs, back = make(model)(image)
        slopes = {name: tf.constant(rng.normal(size=value.shape), value.dtype) for name, value in outputs.items()}
        gradients = back(slopes, weights)
    after = [v.numpy() for v in moved]
    for variable, value in zip(moved, before):
        variable.assign(value)
    return {name: value.numpy() for name, value in outputs.items()}, [g.numpy() for g in gradients], after


def joined(arrays):
    return np.concatenate([np.ravel(array).astype(np.float64) for array in arrays])


def check_alike(model, mode="", tolerance=1e-6):
    (kept, gradients, statistics), (again, others, moved) = (passed(model, make, mode) for make in (stored, Recomputed))
    for name in kept:
        np.testing.assert_array_equal(again[name], kept[name])
    assert np.linalg.norm(joined(gradients) - joined(others)) < tolerance * np.linalg.norm(joined(gradients))
    np.testing.assert_array_equal(joined(moved), joined(statistics))
    return gradients, statistics


@pytest.mark.parametrize("case", [pytest.param(case, marks=() if case in FAST else pytest.mark.slow) for case in CASES])
def test_gradients_and_statistics_are_those_of_the_plain_pass(case):
    """Outputs and statistics to the last bit: the same units are dropped, and statistics move once."""
    model = network(case)
    before = joined([v.numpy() for v in map(compat.tf_variable, model.non_trainable_variables)])
    gradients, statistics = check_alike(model)
    assert np.linalg.norm(joined(gradients)) > 0 and not np.array_equal(joined(statistics), before)


@pytest.mark.parametrize("mode", ["statistics", "all"])
def test_frozen_statistics_stay(mode):
    model = network("dense classifier")
    before = joined([v.numpy() for v in map(compat.tf_variable, model.non_trainable_variables)])
    assert np.array_equal(joined(check_alike(model, mode)[1]), before)


def test_features_of_16_bits():
    """Sums of gradients are rounded in another order."""
    set_precision("bfloat16")
    check_alike(network("dense classifier"), tolerance=0.03)


def ancestors(operation):
    """Names of all that an operation waits for."""
    found, waiting = set(), [operation]
    while waiting:
        operation = waiting.pop()
        if operation.name not in found:
            found.add(operation.name)
            waiting += [*operation.control_inputs, *(x.op for x in operation.inputs)]
    return found


def test_masks_are_drawn_again_when_the_gradient_has_come():
    """Those of the forward pass would else be kept until then: a third of what the paper's DID holds."""
    model = network("dense classifier")
    forward, weights = Recomputed(model), [compat.tf_variable(v) for v in model.trainable_variables]

    @tf.function(autograph=False)
    def passed(image, slope):
        with random_seed(tf.constant([3, 4])):
            return forward(image)[1]({"main": slope}, weights)

    shapes = tf.TensorSpec((1, 33, 33, 3)), tf.TensorSpec((1, 5))
    operations = passed.get_concrete_function(*shapes).graph.get_operations()
    drawn = ["slope" in ancestors(x) for x in operations if x.type.startswith("StatelessRandomUniform")]
    dropped = sum(isinstance(layer, Dropout) for layer in model.layers)
    assert sorted(drawn) == [False] * dropped + [True] * dropped and dropped > 2


def test_outputs_that_do_not_count_have_no_gradient():
    model = network("ladder")
    variables = [compat.tf_variable(v) for v in model.get_layer("head.aux.conv").trainable_variables]
    outputs, back = Recomputed(model)(tf.zeros((1, 33, 33, 3)))
    gradients = back({"main": tf.ones_like(outputs["main"])}, variables)
    assert [g.shape for g in gradients] == [v.shape for v in variables] and not any(g.numpy().any() for g in gradients)
