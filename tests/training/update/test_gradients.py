"""What is asked of XLA."""

from types import SimpleNamespace

import numpy as np
import pytest
import small
import tensorflow as tf
from tensorflow import keras

from did_tf.common import compat
from did_tf.common.errors import ConfigError
from did_tf.models.layers import Convolution, Dropout, FusedBatchNormalization, Normalize, ResizeBilinear
from did_tf.training.distribution import make_strategy
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.schedules import Schedule
from did_tf.training.supervision import Supervision
from did_tf.training.train_step import TrainStep
from did_tf.training.update.gradients import Gradients

SHAPE, CLASSES = (4, 9, 7, 3), 3
SETTINGS = {"name": "sgd", "options": {}, "decay": "l2", "weight_decay": 1e-4, "clip_norm": 0.0}
SETTINGS |= {"undecayed": (), "multipliers": {}}
TRAIN = {"accumulate": 1, "parts": 1, "ema": 0.0, "precision": "float32", "sync_batch_norm": False}
TRAIN |= {"recompute": False, "jit_compile": False, "freeze_batch_norm": "", "freeze_batch_norm_from": 0}
TRAIN |= {"init": "", "encoder": ""}


def network(extra=None):
    """A layer of each kind of our own, and of Keras'."""
    image = keras.Input(SHAPE[1:])
    x = Normalize((0.1,) * 3, (0.9,) * 3)(image)
    x = Convolution(4, 3, padding="same", strides=2, name="first.conv")(x)
    x = keras.layers.ReLU()(FusedBatchNormalization(name="first.bn")(x))
    x = keras.layers.Concatenate()([x, Dropout(0.5, name="dropout")(extra(x) if extra else x)])
    return keras.Model(image, {"main": ResizeBilinear()([Convolution(CLASSES, 1, name="head.main")(x), image])})


def step_of(make=network, loss=None, **train):
    keras.utils.set_random_seed(0)
    strategy, train = make_strategy("cpu"), {**TRAIN, **train}
    with strategy.scope():
        model = make()
        schedule, supervision = Schedule("constant", 1e-2, 10), Supervision(model, SHAPE[1:3])
        return TrainStep(strategy, model, PixelCrossEntropy(**(loss or {})), supervision, schedule, SETTINGS, train, 1)


def updated(train_step, shape=SHAPE):
    """(values that an update gives, {path: array} of all weights and statistics after it)."""
    rng = np.random.default_rng(0)
    labels = shape[:3] if len(train_step.model.output["main"].shape) == 4 else shape[:1]
    image, label = rng.normal(size=shape).astype(np.float32), rng.integers(0, CLASSES, labels).astype(np.uint8)
    told = train_step({"image": tf.constant(image), "label": tf.constant(label)}, tf.constant(0))
    return told.numpy(), {compat.path(v): compat.tf_variable(v).numpy() for v in train_step.model.variables}


MINING = {"loss": {"keep": 20}, "accumulate": 2}


REGIONS = {"loss": {"terms": {"focal": 1.0, "generalised_dice": 1.0, "lovasz": 1.0}, "threshold": 0.4}, "parts": 2}


@pytest.mark.parametrize(
    "options", [{}, *(pytest.param(x, marks=pytest.mark.slow) for x in (MINING, REGIONS))], ids=str
)
def test_a_compiled_update_is_that_of_tensorflow(options):
    """The same features are dropped, too."""
    told, weights = updated(step_of(**options))
    compiled, compiled_weights = updated(step_of(**options, jit_compile=True))
    np.testing.assert_allclose(compiled, told, rtol=1e-4, atol=1e-6)
    for name, value in weights.items():
        np.testing.assert_allclose(compiled_weights[name], value, rtol=1e-5, atol=1e-6, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("name", small.SMALL)
def test_every_architecture_is_compiled(name):
    """Rounding turns single features on at ReLUs' corner, which changes gradients more than losses."""
    told, compiled = (
        updated(step_of(lambda: small.small(name), jit_compile=to), (2, 65, 65, 3)) for to in (False, True)
    )
    assert compiled[0][0] == pytest.approx(told[0][0], rel=1e-4)
    start = {compat.path(v): compat.tf_variable(v).numpy() for v in small.small(name).trainable_variables}
    changes = [np.concatenate([(after[path] - start[path]).ravel() for path in start]) for _, after in (told, compiled)]
    assert np.linalg.norm(changes[1] - changes[0]) < 0.02 * np.linalg.norm(changes[0])


def test_what_xla_cannot_compile_is_told_in_a_line():
    foreign = keras.layers.Lambda(lambda x: tf.ensure_shape(tf.py_function(lambda y: y, [x], tf.float32), x.shape))
    with pytest.raises(ConfigError, match=r"^train\.jit_compile=True: XLA .*EagerPyFunc.*") as error:
        updated(step_of(lambda: network(foreign), jit_compile=True))
    assert "\n" not in str(error.value)


def test_devices_that_share_statistics_are_not_compiled():
    model, train = network(), {**TRAIN, "jit_compile": True, "sync_batch_norm": True}
    supervision = Supervision(model, SHAPE[1:3])
    given = model, PixelCrossEntropy(), supervision, train, 1, tf.Variable(1.0)
    with pytest.raises(ConfigError, match=r"set train\.sync_batch_norm=False"):
        Gradients(SimpleNamespace(num_replicas_in_sync=2), *given)
    Gradients(SimpleNamespace(num_replicas_in_sync=1), *given)
