"""The filter's gradient by products is that of TensorFlow's own kernel, and is taken where it was measured faster."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.common import processor
from did_tf.models.layers import Convolution, convolution
from did_tf.models.layers.convolution import faster_by_products, filter_gradient

RNG = np.random.default_rng(0)


def by_hand(x, slopes, size, padding, dilation):
    """The definition, in float64: each tap is the features that it saw times the slopes of what it gave."""
    reach = [(side - 1) * apart for side, apart in zip(size, dilation)]
    around = [(side // 2, side - side // 2) if padding == "same" else (0, 0) for side in reach]
    x, (height, width) = np.pad(x.astype(float), [(0, 0), *around, (0, 0)]), slopes.shape[1:3]
    rows, columns = (np.arange(side) * apart for side, apart in zip(size, dilation))
    seen = [[x[:, row : row + height, column : column + width] for column in columns] for row in rows]
    return np.einsum("rcnhwi,nhwo->rcio", np.array(seen), slopes.astype(float))


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("size", [(3, 3), (1, 1), (2, 4), (5, 3)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 2), (1, 3)])
def test_the_filters_gradient_is_its_definition(size, padding, dilation):
    x = RNG.normal(size=(2, 10, 11, 5)).astype(np.float32)
    reach = [(side - 1) * apart for side, apart in zip(size, dilation)]
    shape = (10, 11) if padding == "same" else (10 - reach[0], 11 - reach[1])
    slopes = RNG.normal(size=(2, *shape, 3)).astype(np.float32)
    found = filter_gradient(tf.constant(x), tf.constant(slopes), size, padding, dilation)
    np.testing.assert_allclose(found, by_hand(x, slopes, size, padding, dilation), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("padding, dilation", [("same", 1), ("valid", 1), ("same", 2), ("same", (3, 1))])
@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("dtype, error", [("float32", 1e-5), ("mixed_bfloat16", 0.04)])
def test_training_gives_what_keras_layer_gives(monkeypatch, padding, dilation, biased, dtype, error):
    taken = []
    monkeypatch.setattr(convolution, "faster_by_products", lambda *what: taken.append(what) or True)
    options = {"padding": padding, "use_bias": biased, "bias_initializer": "normal", "dtype": dtype}
    options["dilation_rate"] = dilation
    own, plain = Convolution(4, 3, **options), keras.layers.Conv2D(4, 3, **options)
    x, results = tf.constant(RNG.normal(size=(2, 8, 9, 3)), tf.float32), []
    for layer in (own, plain):
        layer.build(x.shape)
        layer.set_weights(own.get_weights())
        weights = [tf.convert_to_tensor(v) for v in layer.trainable_variables]
        results.append([weights, *gradients(layer, x)])
    assert len(taken) == 1
    for found, expected in zip(tf.nest.flatten(results[0]), tf.nest.flatten(results[1])):
        assert found.dtype == expected.dtype
        scale = np.abs(tf.cast(expected, tf.float32)).max()
        np.testing.assert_allclose(
            tf.cast(found, tf.float32), tf.cast(expected, tf.float32), rtol=0, atol=error * scale
        )


@pytest.mark.parametrize("options", [{"strides": 2}, {"padding": "valid"}, {"kernel_size": 2}, {"use_bias": False}])
@pytest.mark.parametrize("products", [True, False])
def test_one_image_gives_what_keras_layer_gives(monkeypatch, options, products):
    monkeypatch.setattr(processor, "onednn_is_asked_for", lambda: True)
    monkeypatch.setattr(convolution, "faster_by_products", lambda *what: products)
    options = {"kernel_size": 3, "padding": "same", "bias_initializer": "normal", **options}
    own, plain = Convolution(4, **options), keras.layers.Conv2D(4, **options)
    x = tf.constant(RNG.normal(size=(1, 8, 9, 3)), tf.float32)
    for found, expected in compared(own, plain, x):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "size, shape, dtype, volume",
    [
        ((3, 3), (1, 9, 9, 4), tf.float32, True),
        ((3, 3), (2, 9, 9, 4), tf.float32, False),
        ((3, 3), (None, 9, 9, 4), tf.float32, False),
        ((1, 1), (1, 9, 9, 4), tf.float32, False),
        ((3, 3), (1, 9, 9, 4), tf.bfloat16, False),
    ],
)
def test_one_image_becomes_a_volume_where_its_convolution_is_slow(monkeypatch, size, shape, dtype, volume):
    kinds = set()
    for asked in (True, False):
        monkeypatch.setattr(processor, "onednn_is_asked_for", lambda asked=asked: asked)
        layer = Convolution(4, size, dtype="mixed_bfloat16" if dtype == tf.bfloat16 else None)
        layer.build(shape)
        graph = tf.function(lambda x, layer=layer: layer(x, training=True)).get_concrete_function(
            tf.TensorSpec(shape, dtype)
        )
        kinds |= {x.type for x in _operations(graph) if asked and x.type.startswith("Conv")}
        assert asked or "Conv3D" not in {x.type for x in _operations(graph)}
    assert ("Conv3D" in kinds) == volume


def _operations(function):
    graphs = [function.graph, *(x.graph for x in function.graph._functions.values())]
    return [operation for graph in graphs for operation in graph.get_operations()]


def gradients(layer, x):
    """Outputs, and the gradients of inputs and weights, as training takes them."""
    call = tf.function(lambda x: layer(x, training=True) if isinstance(layer, Convolution) else layer(x))
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = call(x)
        loss = tf.reduce_sum(tf.cast(outputs, tf.float32) ** 2)
    variables = [v if isinstance(v, tf.Variable) else v.value for v in layer.trainable_variables]
    return outputs, tape.gradient(loss, [x, *variables])


def compared(own, plain, x):
    """Pairs of `gradients` of two layers of equal weights."""
    results = []
    for layer in (own, plain):
        layer.build(x.shape)
        layer.set_weights(own.get_weights())
        results.append(gradients(layer, x))
    return zip(tf.nest.flatten(results[0]), tf.nest.flatten(results[1]))


OTHERS = [
    {"strides": 2},
    {"groups": 3},
    {"dilation_rate": 2, "padding": "valid"},
    {"dilation_rate": 2, "kernel_size": 2},
]


@pytest.mark.parametrize("options", OTHERS)
def test_what_is_no_plain_convolution_is_left_to_keras(monkeypatch, options):
    monkeypatch.setattr(convolution, "faster_by_products", lambda *what: pytest.fail("it was asked for"))
    layer = Convolution(6, **{"kernel_size": 3, "padding": "same", **options})
    layer(tf.zeros((1, 9, 9, 3)), training=True)


@pytest.mark.parametrize("padding, size", [("valid", 3), ("same", 2), ("valid", 2), ("same", 3)])
def test_gradients_of_dilated_convolutions_with_a_bias_in_bfloat16(padding, size):
    """Which neither products nor Keras give; SUNet's are "valid"."""
    options = {"padding": padding, "kernel_size": size, "dilation_rate": 2, "dtype": "mixed_bfloat16"}
    own, plain = Convolution(4, **options), keras.layers.Conv2D(4, **options)
    x = tf.constant(RNG.normal(size=(2, 9, 8, 3)), tf.float32)
    for found, expected in compared(own, plain, x):
        expected = tf.cast(expected, tf.float32)
        assert found.shape == expected.shape
        np.testing.assert_allclose(tf.cast(found, tf.float32), expected, atol=0.04 * np.abs(expected).max())


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_filters_with_dilation_learn_without_onednn(monkeypatch, padding):
    """TensorFlow's own kernel for their gradient refuses dilation; with a `gain` Keras does not part them."""
    monkeypatch.setattr(processor, "has_onednn", lambda: False)
    monkeypatch.setattr(convolution.tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(tf.raw_ops, "Conv2DBackpropFilter", lambda **_: pytest.fail("it refuses dilation"))
    layer = Convolution(4, 3, padding=padding, dilation_rate=2, gain=1.25)
    x = tf.constant(RNG.normal(size=(2, 9, 8, 3)), tf.float32)
    layer.build(x.shape)
    outputs, (_, kernel, bias) = gradients(layer, x)
    slopes = 2 * outputs.numpy()
    np.testing.assert_allclose(kernel, 1.25 * by_hand(x.numpy(), slopes, (3, 3), padding, (2, 2)), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(bias, 1.25 * slopes.sum((0, 1, 2)), rtol=1e-4, atol=1e-4)


def test_testing_is_keras_own(monkeypatch):
    monkeypatch.setattr(convolution, "faster_by_products", lambda *what: pytest.fail("it was asked for"))
    Convolution(6, 3)(tf.zeros((1, 9, 9, 3)), training=False)


# (kernel, features, dtype, whether it is faster on a processor with AVX2 alone, with bfloat16)
CASES = [
    ((3, 3), (4, 81, 81, 192), tf.float32, True, False),
    ((3, 3), (4, 31, 31, 192), tf.float32, False, False),
    ((3, 3), (4, 81, 81, 3), tf.float32, False, False),
    ((1, 1), (4, 81, 81, 192), tf.float32, False, False),
    ((1, 1), (4, 21, 21, 272), tf.bfloat16, False, True),
    ((3, 3), (4, 81, 81, 192), tf.bfloat16, False, False),
]


@pytest.mark.parametrize("size, shape, dtype, avx2, bfloat16", CASES)
@pytest.mark.parametrize("gpus", [[], ["gpu"]])
def test_products_are_taken_where_they_were_measured_faster(monkeypatch, size, shape, dtype, avx2, bfloat16, gpus):
    monkeypatch.setattr(convolution.tf.config, "list_physical_devices", lambda kind: gpus)
    inputs = tf.TensorSpec(shape, dtype)
    for alone in (True, False):
        monkeypatch.setattr(processor, "is_avx2_alone", lambda alone=alone: alone)
        monkeypatch.setattr(processor, "has_bfloat16", lambda alone=alone: not alone)
        assert faster_by_products(size, inputs) == (not gpus and (avx2 if alone else bfloat16))


def test_features_are_padded_when_the_slopes_have_come():
    """Or the padded ones would be kept from the forward pass on, beside the features."""
    operations = []

    @tf.function(autograph=False)
    def gradient(x, slopes):
        found = filter_gradient(x, slopes, (3, 3), "same")
        operations.extend(tf.compat.v1.get_default_graph().get_operations())
        return found

    gradient.get_concrete_function(tf.TensorSpec((2, 8, 8, 4)), tf.TensorSpec((2, 8, 8, 5)))
    [features] = [x for x in operations if x.type == "Pad" and x.inputs[0].shape[-1] == 4]
    [waited] = features.inputs[0].op.control_inputs
    assert waited.name == "slopes"


@pytest.mark.parametrize("size, dilation", [(1, 1), (3, 1), (3, 2)])
def test_the_gradient_of_a_bias_is_not_summed_in_16_bits(size, dilation):
    layer = Convolution(2, size, padding="same", dilation_rate=dilation, dtype="mixed_bfloat16")
    x, slopes = (tf.random.stateless_normal((4, 65, 65, 2), (0, seed), dtype=tf.bfloat16) for seed in (1, 2))
    layer(x)

    @tf.function(autograph=False)
    def gradient():
        with tf.GradientTape() as tape:
            made = layer(x, training=True)
        return tape.gradient(made, layer.bias, slopes)

    exact = np.sum(slopes.numpy().astype(np.float64), (0, 1, 2))
    np.testing.assert_allclose(gradient(), exact, atol=0.01 * np.sqrt(4 * 65 * 65))
