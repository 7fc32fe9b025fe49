"""What every architecture for segmentation promises (docs/explanation/architecture.md).

A new one needs a line in `TINY`.
"""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.common import compat
from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints

CLASSES = 5
# name: (options that make it small, options that change a weight's shape, options that add weights)
TINY = {
    "did": ({"growth": 4, "units": (1, 1, 1, 1)}, {"growth": 8}, {"units": (1, 1, 1, 2)}),
    "duc": ({"depth": 14, "width": 8, "aspp": 2}, {"width": 16}, {"depth": 26}),
    "fc_densenet": ({"growth": 4, "units": (1,) * 5, "bottleneck": 1, "stem": 8}, {"growth": 8}, {"bottleneck": 2}),
    "fcrn": ({"depth": 14, "width": 8}, {"width": 16}, {"depth": 26}),
    "ladder": ({"growth": 4, "units": (1, 1, 1, 2), "width": 8}, {"growth": 8}, {"units": (1, 1, 2, 2)}),
    "sunet": ({"filters": 4, "depth": 1, "widths": (8, 12, 16, 20)}, {"filters": 8}, {"depth": 2}),
}
# name: other values of the options that the encoder does not depend on. SUNet's task, whose encoders have the same
# weights at another output stride, is in test_sunet.py.
BEYOND = {
    "did": {
        **{"task": "classification", "decoder": "plain", "smoothing": 3, "deep_supervision": False},
        "placement": "exact",
    },
    "duc": {"aspp": 4, "cell": 1, "upsampling": "bilinear", "placement": "areas"},
    "fc_densenet": {},
    "fcrn": {"kernel": 3, "dilation": 6, "placement": "corners"},
    "ladder": {"context": "spp", "decoder": "plain", "width": 16, "aux": False, "placement": "exact"},
    "sunet": {"degridding": True, "placement": "exact"},
}
# The smallest, 16n+1, even and odd; not square.
SIZES = [(17, 17), (33, 49), (40, 31)]

pytestmark = pytest.mark.parametrize("name", TINY)


def test_every_architecture_for_segmentation_is_here(name):
    assert {*TINY, "classifier"} == {*models.names()}


def build(name, shape=(None, None, 3), **options):
    return models.build(name, CLASSES, shape, **{**TINY[name][0], **options})


def without_dropout(name, shape=(None, None, 3)):
    return build(name, shape, **({"dropout": 0.0} if "dropout" in models.options(name) else {}))


@functools.cache
def with_dropout(name):
    """A network for tests that ask for its gradients alone."""
    return build(name)


@functools.cache
def shared(name):
    """A network for tests that leave it as it is; its statistics are not the initial ones."""
    keras.utils.set_random_seed(1)
    model = without_dropout(name)
    model(images((33, 33), count=4), training=True)
    return model


@functools.cache
def another(name):
    """A second network, for tests that leave its weights as they are or change them all."""
    return without_dropout(name)


def images(size, bands=3, count=2, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, *size, bands)).astype(np.uint8)


def arrays(outputs):
    return {output: logits.numpy() for output, logits in outputs.items()}


def assert_close(first, second, **tolerance):
    assert first.keys() == second.keys()
    for output in first:
        np.testing.assert_allclose(first[output], second[output], err_msg=output, **tolerance)


def test_logits_are_float32_at_the_size_of_the_image(name):
    model = shared(name)
    trace = tf.function(model, [tf.TensorSpec([None, None, None, 3], tf.uint8)], autograph=False)
    for size in SIZES:
        x = images(size)
        outputs = model(x)
        assert "main" in outputs
        assert {(logits.dtype, tuple(logits.shape)) for logits in outputs.values()} == {
            (tf.float32, (2, *size, CLASSES))
        }
        assert_close(arrays(trace(x)), arrays(outputs), rtol=1e-3, atol=1e-4)


def test_a_fixed_size_changes_nothing(name):
    x, model = images((33, 49)), shared(name)
    fixed = without_dropout(name, (33, 49, 3))
    fixed.set_weights(model.get_weights())
    assert {tuple(logits.shape) for logits in fixed.output.values()} == {(None, 33, 49, CLASSES)}
    assert_close(arrays(fixed(x)), arrays(model(x)), rtol=1e-3, atol=1e-4)


def test_bytes_and_floats_give_the_same(name):
    x, model = images((33, 49)), shared(name)
    assert_close(arrays(model(x)), arrays(model(x.astype(np.float32))), rtol=0)


def test_an_image_does_not_depend_on_the_others_of_its_batch(name):
    x, model = images((33, 33), count=3), shared(name)
    alone = {output: logits[1:2] for output, logits in arrays(model(x)).items()}
    assert_close(arrays(model(x[1:2])), alone, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bands", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_any_number_of_bands(name, bands):
    model = build(name, (33, 33, bands), mean=(100.0,) * bands, std=(50.0,) * bands)
    assert model.weights[0].shape[2] == bands  # what `training.transfer` fits to other bands
    x = images((33, 33), bands)
    before = model(x)["main"].numpy()
    assert before.shape == (2, 33, 33, CLASSES)
    x[..., -1] = 255 - x[..., -1]
    assert np.abs(model(x)["main"].numpy() - before).max() > 1e-3


def test_bfloat16_keeps_float32_weights_and_logits(name):
    exact = shared(name)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = without_dropout(name)
    model.set_weights(exact.get_weights())
    assert {tf.as_dtype(v.dtype) for v in model.weights} == {tf.float32}
    x = images((33, 49)) + np.float32(0.3)
    outputs, expected = model(x), arrays(exact(x))
    assert {logits.dtype for logits in outputs.values()} == {tf.float32}
    for output, logits in arrays(outputs).items():
        # Fifteen layers, each rounded to 8 bits: some hundredths of the logits' spread, and not nothing.
        error = np.sqrt(np.mean((logits - expected[output]) ** 2)) / expected[output].std()
        assert 1e-5 < error < 0.05, output


def test_bfloat16_still_reads_pixels_in_float32(name):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = build(name, (33, 33, 3), mean=(100.0,) * 3, std=(50.0,) * 3)
    first = keras.Model(model.input, model.layers[1].output)
    x = images((33, 33)) + np.float32(0.3)
    np.testing.assert_allclose(first(x), (x - 100.0) / 50.0, rtol=1e-5, atol=1e-6)


def test_names_are_the_same_every_time_and_unique(name):
    first, second = shared(name), another(name)
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    paths = [compat.path(v) for v in first.weights]
    assert paths == [compat.path(v) for v in second.weights]
    assert len(set(paths)) == len(paths)
    assert all(path.split("/")[0] == layer.name for layer in first.layers for path in map(compat.path, layer.weights))


def test_weights_load_by_name(name, tmp_path):
    x, model, other = images((33, 33)), shared(name), another(name)
    expected = arrays(model(x))
    assert np.abs(other(x)["main"] - expected["main"]).max() > 1e-3
    checkpoints.write(tmp_path / "w.npz", checkpoints.model_state(model))
    checkpoints.restore(tmp_path / "w.npz", checkpoints.model_state(other))
    assert_close(arrays(other(x)), expected, rtol=0)


def test_options_of_training_change_nothing_else(name, tmp_path):
    """Weights of a network trained with others are the same network's."""
    values = {"dropout": 0.5, "dropouts": (0.1, 0.2, 0.3, 0.4), "bn_momentum": 0.5}
    assert {*values} == {*models.TRAINING_OPTIONS}
    x, model = images((33, 33)), shared(name)
    other = build(name, **{key: value for key, value in values.items() if key in models.options(name)})
    checkpoints.write(tmp_path / "w.npz", checkpoints.model_state(model))
    checkpoints.restore(tmp_path / "w.npz", checkpoints.model_state(other))
    assert_close(arrays(other(x)), arrays(model(x)), rtol=0)


def test_the_encoder_does_not_depend_on_options_beyond_it(name):
    """Its layers, with the same weights, give the same whatever those options are."""
    changes = BEYOND[name]
    beyond = {*models._BEYOND_ENCODER[name]} - ({"task"} if name == "sunet" else set())
    assert {*changes} == beyond
    described = [models.of_encoder(models.described({"name": name, **TINY[name][0], **own})) for own in ({}, changes)]
    assert described[0] == described[1]
    model, other = shared(name), build(name, **changes)
    state = checkpoints.model_state(model)
    for weight, v in checkpoints.model_state(other).items():
        if models.part(weight[len("model/") :]) == "encoder":
            v.assign(state[weight])
    last = [layer.name for layer in other.layers if layer.weights and models.part(layer.name) == "encoder"][-1]
    features = (keras.Model(of.input, of.get_layer(last).output)(images((33, 33))) for of in (model, other))
    np.testing.assert_array_equal(*(tf.nest.flatten(found)[0] for found in features))


@pytest.mark.parametrize("difference, message", [(1, r"\(.*the model's is \("), (2, "missing")])
def test_weights_of_another_network_are_refused_by_name(name, difference, message, tmp_path):
    checkpoints.write(tmp_path / "w.npz", checkpoints.model_state(shared(name)))
    other = build(name, **TINY[name][difference])
    before = other.get_weights()
    with pytest.raises(ConfigError, match=rf"w\.npz does not fit this model: model/\S+/\w+ is {message}"):
        checkpoints.restore(tmp_path / "w.npz", checkpoints.model_state(other))
    for weight, old in zip(other.get_weights(), before):
        np.testing.assert_array_equal(weight, old)


@pytest.mark.parametrize("training", [False, True])
def test_gradients_reach_every_variable(name, training):
    model = with_dropout(name)
    with tf.GradientTape() as tape:
        outputs = model(images((33, 49), count=3), training=training)
        loss = tf.add_n([tf.reduce_mean(tf.square(logits - 1)) for logits in outputs.values()])
    gradients = tape.gradient(loss, [compat.tf_variable(v) for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients):
        assert gradient is not None and np.isfinite(gradient).all(), compat.path(variable)
        # In training, batch normalisation takes out the bias of a convolution before it.
        assert training or np.any(gradient), compat.path(variable)


def test_models_survive_json(name):
    model = shared(name)
    copy = keras.models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    assert [layer.name for layer in copy.layers] == [layer.name for layer in model.layers]
    x = images((33, 49))
    assert_close(arrays(copy(x)), arrays(model(x)), rtol=0)


def test_unknown_names_and_options_are_told(name):
    with pytest.raises(ValueError, match=f"unknown model '{name}x', did you mean '{name}'; known: .*{name}"):
        models.build(f"{name}x", CLASSES)
    option = list(models.options(name))[-1]
    with pytest.raises(ValueError, match=f"model '{name}' has no option '{option}x', did you mean '{option}'; known: "):
        models.build(name, CLASSES, **{f"{option}x": 1})


def test_gradients_in_bfloat16_point_where_those_in_float32_do(name):
    before, found = keras.mixed_precision.global_policy(), []
    weights = shared(name).get_weights()
    try:
        for policy in ("float32", "mixed_bfloat16"):
            keras.mixed_precision.set_global_policy(policy)
            model = without_dropout(name)
            model.set_weights(weights)
            with tf.GradientTape() as tape:
                outputs = model(images((33, 49)), training=True)
                loss = tf.add_n([tf.reduce_mean(tf.square(outputs[key] - 1)) for key in sorted(outputs)])
            slopes = tape.gradient(loss, [compat.tf_variable(v) for v in model.trainable_variables])
            found.append(np.concatenate([np.ravel(one) for one in slopes]))
    finally:
        keras.mixed_precision.set_global_policy(before)
    cosine = found[0] @ found[1] / np.prod([np.linalg.norm(one) for one in found])
    assert cosine > 0.85  # of so narrow networks, whose statistics are of a few cells
