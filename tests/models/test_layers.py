"""Tests of the custom layers against NumPy, Keras' own layers and TensorFlow's own kernels."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.models.layers import (
    Convolution,
    Dropout,
    FusedBatchNormalization,
    Normalize,
    ResizeBilinear,
    frozen_batch_norm,
    gain_of,
    momentum_at_most,
    random_seed,
)
from did_tf.models.placement import PLACEMENTS, Step, interpolation_matrix

# A result computed in float32 and rounded once to 16 bits is off by half a unit in the last place at most:
# 2**-8 of it in bfloat16 (8 significant bits), 2**-11 in float16 (11). A little above, for ties of the float32 sums.
ROUNDING = {"float32": 0.0, "mixed_bfloat16": 1.02 * 2**-8, "mixed_float16": 1.02 * 2**-11}
POLICIES = pytest.mark.parametrize("policy", ROUNDING)


def seed(*numbers):
    return tf.constant(numbers, tf.int32)


def values(tensor):
    return np.asarray(tf.cast(tensor, tf.float32))


# Batch normalisation


def twins(shape, **options):
    """Our layer under the global policy and Keras' in float32, with the same random weights.

    Keras' gets [N, H * W, C], for which Keras 2 has no fused kernel either (which would use another variance).
    """
    rng = np.random.default_rng(1)
    options = {"momentum": 0.9, "epsilon": 1e-3, **options}
    pair = FusedBatchNormalization(**options), keras.layers.BatchNormalization(**options, dtype="float32")
    pair[0].build(shape)
    pair[1].build((shape[0], shape[1] * shape[2], shape[3]))
    weights = [*rng.uniform(-2, 2, (3, shape[3])), rng.uniform(0.5, 2, shape[3])]
    for layer in pair:
        layer.set_weights(weights)
    return pair


def drawn(shape, number=0, loc=3.0, scale=2.0):
    """Random tensor in the global policy's activation type."""
    pixels = np.random.default_rng(number).normal(loc, scale, shape)
    return tf.cast(pixels, keras.mixed_precision.global_policy().compute_dtype)


def flat(tensor):
    return tf.reshape(tf.cast(tensor, tf.float32), [tensor.shape[0], -1, tensor.shape[-1]])


def outputs_and_gradients(layer, x, direction):
    """[output, d/dx, d/dgamma, d/dbeta] of a training step, the gradients of the sum of output * direction."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        output = layer(x, training=True)
        total = tf.reduce_sum(output * direction)
    return [output, *tape.gradient(total, [x, *layer.trainable_variables])]


def test_fused_batch_norm_has_the_weights_of_keras():
    layers = twins((2, 4, 4, 3))
    ours, theirs = ([(w.name, tuple(w.shape), tf.as_dtype(w.dtype)) for w in layer.weights] for layer in layers)
    assert ours == theirs


@POLICIES
def test_fused_batch_norm_trains_like_keras(policy):
    keras.mixed_precision.set_global_policy(policy)
    shape = (3, 6, 5, 4)
    ours, theirs = twins(shape)
    x, direction = drawn(shape), drawn(shape, 1, 0, 1)
    results = outputs_and_gradients(ours, x, direction)
    expected = outputs_and_gradients(theirs, flat(x), flat(direction))
    compute = ours.compute_dtype
    assert [tf.as_dtype(r.dtype).name for r in results] == [compute, compute, "float32", "float32"]
    for result, reference in zip(results, expected):
        result = values(result).reshape(reference.shape)
        np.testing.assert_allclose(result, reference, rtol=1e-5 + ROUNDING[policy], atol=1e-5)


@POLICIES
@pytest.mark.parametrize("shape", [(3, 6, 5, 4), (2, 1, 1, 3), (1, 1, 1, 3)])
def test_fused_batch_norm_moves_its_statistics_like_keras(policy, shape):
    keras.mixed_precision.set_global_policy(policy)
    ours, theirs = twins(shape)
    for step in range(5):
        x = drawn(shape, step)
        ours(x, training=True)
        theirs(flat(x), training=True)
    for name, result, reference in zip(("gamma", "beta", "mean", "variance"), ours.get_weights(), theirs.get_weights()):
        assert result.dtype == np.float32
        np.testing.assert_allclose(result, reference, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    "momentum, limit, anew", [(0.75, None, True), (0.99, 0.75, True), (0.75, 0.99, True), (0.75, 0.5, False)]
)
def test_moving_variance_is_that_of_the_biased_variance(momentum, limit, anew):
    """The momentum is the layer's, or the limit that holds where it is smaller and what was there means nothing."""
    x = drawn((1, 2, 2, 1))
    layer = FusedBatchNormalization(momentum=momentum)
    layer.begins_anew = anew
    with momentum_at_most(limit):
        layer(x, training=True)
    mean, variance = layer.get_weights()[2:]
    np.testing.assert_allclose(mean, 0.25 * np.mean(x), rtol=1e-5)
    np.testing.assert_allclose(variance, 0.75 + 0.25 * np.var(x), rtol=1e-5)


@POLICIES
@pytest.mark.parametrize("training, trainable", [(False, True), (None, True), (True, False)])
def test_fused_batch_norm_infers_like_keras_and_keeps_its_statistics(policy, training, trainable):
    """Also where it is frozen: training then uses the moving statistics."""
    keras.mixed_precision.set_global_policy(policy)
    shape = (3, 6, 5, 4)
    ours, theirs = twins(shape)
    ours.trainable = theirs.trainable = trainable
    before, x = ours.get_weights(), drawn(shape)
    result, reference = ours(x, training=training), theirs(flat(x), training=training)
    assert result.dtype == ours.compute_dtype
    np.testing.assert_allclose(flat(result), reference, rtol=1e-5 + ROUNDING[policy], atol=1e-5)
    for weight, old in zip(ours.get_weights(), before):
        np.testing.assert_array_equal(weight, old)


@POLICIES
@pytest.mark.parametrize("mode", ["statistics", "all"])
def test_frozen_batch_norm_has_the_gradients_of_its_formula(policy, mode):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta with the moving statistics, which stay."""
    keras.mixed_precision.set_global_policy(policy)
    shape = (3, 6, 5, 4)
    layer, x, direction = twins(shape)[0], drawn(shape), drawn(shape, 1, 0, 1)
    before = layer.get_weights()
    gamma, beta, mean, variance = (w.astype(np.float64) for w in before)
    with frozen_batch_norm(mode):
        result, *gradients = outputs_and_gradients(layer, x, direction)
    normal = (values(x) - mean) / np.sqrt(variance + layer.epsilon)
    back = values(direction)
    expected = [normal * gamma + beta, back * gamma / np.sqrt(variance + layer.epsilon)]
    if mode == "statistics":
        expected += [(back * normal).sum((0, 1, 2)), back.sum((0, 1, 2))]
    else:
        assert gradients[1:] == [None, None]
    for found, wanted in zip([result, *gradients], expected):
        np.testing.assert_allclose(values(found), wanted, rtol=2e-5 + ROUNDING[policy], atol=1e-5)
    for weight, old in zip(layer.get_weights(), before):
        np.testing.assert_array_equal(weight, old)


# Bilinear resizing


STEPS = ((Step(3, 2, 1, 1),), (Step(2, 2),))  # rows stand at 2i, columns at 2i + 0.5


def resized(x, height, width, placement):
    """Bilinear resize of [N, h, w, C], one output pixel at a time; "exact" by `STEPS`."""

    def neighbours(position, size_in, size_out, offset):
        if placement == "corners":
            source = position * (size_in - 1) / (size_out - 1) if size_out > 1 else 0.0
        elif placement == "areas":
            source = (position + 0.5) * size_in / size_out - 0.5
        else:
            source = (position - offset) / 2
        source = min(max(source, 0.0), size_in - 1.0)
        low = int(source)
        return low, min(low + 1, size_in - 1), source - low

    result = np.zeros((x.shape[0], height, width, x.shape[3]))
    for row in range(height):
        top, bottom, down = neighbours(row, x.shape[1], height, 0.0)
        for column in range(width):
            left, right, across = neighbours(column, x.shape[2], width, 0.5)
            upper = (1 - across) * x[:, top, left] + across * x[:, top, right]
            lower = (1 - across) * x[:, bottom, left] + across * x[:, bottom, right]
            result[:, row, column] = (1 - down) * upper + down * lower
    return result


SIZES = [((3, 4), (9, 13)), ((5, 5), (7, 6)), ((1, 3), (4, 1)), ((1, 1), (3, 5)), ((6, 2), (6, 2)), ((9, 8), (4, 3))]
PLACED = pytest.mark.parametrize("placement", PLACEMENTS)


def pair(size_in, size_out, channels=2):
    rng = np.random.default_rng(2)
    return (
        rng.normal(0, 1, (2, *size_in, channels)).astype(np.float32),
        np.zeros((2, *size_out, channels + 1), np.float32),
    )


@PLACED
@pytest.mark.parametrize("size_in, size_out", SIZES)
def test_resize_is_that_of_single_pixels(size_in, size_out, placement):
    x, like = pair(size_in, size_out)
    result = ResizeBilinear(placement, STEPS)([x, like])
    np.testing.assert_allclose(result, resized(x, *size_out, placement), atol=2e-6)


@pytest.mark.parametrize("size_in, size_out", SIZES)
def test_resize_is_that_of_tensorflow(size_in, size_out):
    x, like = pair(size_in, size_out)
    np.testing.assert_allclose(ResizeBilinear("areas")([x, like]), tf.image.resize(x, size_out), atol=2e-6)
    aligned = tf.compat.v1.image.resize_bilinear(x, size_out, align_corners=True)
    np.testing.assert_allclose(ResizeBilinear("corners")([x, like]), aligned, atol=2e-6)


@PLACED
def test_resize_takes_sizes_unknown_to_the_graph(placement):
    layer = ResizeBilinear(placement, STEPS)
    shape = tf.TensorSpec([None, None, None, 2])
    traces = []

    @tf.function(input_signature=[shape, tf.TensorSpec([None, None, None, 3])])
    def resize(x, like):
        traces.append(layer([x, like]).shape)
        return layer([x, like])

    for size_in, size_out in SIZES:
        x, like = pair(size_in, size_out)
        np.testing.assert_allclose(resize(x, like), layer([x, like]), atol=1e-6)
    assert [tuple(shape) for shape in traces] == [(None, None, None, 2)]


@PLACED
def test_resize_has_the_gradient_of_finite_differences(placement):
    x, like = pair((3, 2), (5, 7), channels=1)
    layer = ResizeBilinear(placement, STEPS, dtype="float64")
    exact, numeric = tf.test.compute_gradient(lambda x: layer([x, like.astype(float)]), [x.astype(float)])
    assert np.abs(numeric[0]).max() > 0.4
    np.testing.assert_allclose(exact[0], numeric[0], atol=1e-6)


@PLACED
def test_resize_works_in_the_dtype_of_its_policy(placement):
    x, like = pair((3, 4), (9, 13))
    result = ResizeBilinear(placement, STEPS, dtype="mixed_bfloat16")([x, like])
    assert result.dtype == tf.bfloat16
    # Inputs, weights and both products are rounded: four times half a unit in the last place of values below 4.
    np.testing.assert_allclose(values(result), resized(x, 9, 13, placement), atol=4 * 2**-8 * 4)


@pytest.mark.parametrize("cells", range(1, 25))
def test_grid_points_coincide_exactly_on_sizes_of_16n_plus_1(cells):
    """As on those of any other multiple."""
    for factor in (2, 4, 16, 3, 7):
        matrix = interpolation_matrix(cells + 1, factor * cells + 1).numpy()
        np.testing.assert_array_equal(matrix[::factor], np.eye(cells + 1))


@PLACED
@pytest.mark.parametrize("size_in, size_out", [(21, 321), (7, 100), (50, 9), (1, 4), (4, 1)])
def test_interpolation_weights_sum_to_one(size_in, size_out, placement):
    matrix = interpolation_matrix(size_in, size_out, placement, STEPS[0]).numpy()
    assert matrix.shape == (size_out, size_in) and matrix.min() >= 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-5)


# Dropout


def mask(layer_name, step_seed, shape=(2, 8, 8, 8), rate=0.5):
    """Which units a dropout layer of that name keeps under that seed."""
    with random_seed(step_seed):
        return Dropout(rate, name=layer_name)(tf.ones(shape), training=True).numpy() > 0


@pytest.mark.parametrize("rate, shape", [(0.2, (8, 64, 64, 8)), (0.5, (8, 64, 64, 8)), (0.9, (16, 65, 61, 5))])
def test_dropout_drops_its_rate_and_keeps_the_mean(rate, shape):
    with random_seed(seed(3, 4)):
        output = Dropout(rate, name="some")(tf.fill(shape, 2.0), training=True).numpy()
    dropped = output == 0
    real = round(rate * 256) / 256
    np.testing.assert_allclose(output[~dropped], 2 / (1 - real), rtol=1e-6)
    deviation = np.sqrt(real * (1 - real) / dropped.size)
    assert abs(dropped.mean() - real) < 4 * deviation
    # Masks that share a 32-bit random number, and neighbours that don't, are independent.
    for axis in range(4):
        first, second = np.delete(dropped, -1, axis), np.delete(dropped, 0, axis)
        correlation = np.corrcoef(first.ravel(), second.ravel())[0, 1]
        assert abs(correlation) < 4 / np.sqrt(first.size), axis


def test_dropout_repeats_under_its_seed_only():
    masks = [mask("a", seed(0, 1)), mask("a", seed(0, 2)), mask("a", seed(1, 1)), mask("b", seed(0, 1))]
    np.testing.assert_array_equal(masks[0], mask("a", seed(0, 1)))
    for number, one in enumerate(masks):
        for other in masks[:number]:
            assert 0.4 < np.mean(one == other) < 0.6


def test_dropout_without_seed_follows_the_global_generator():
    layer = Dropout(0.5)
    draw = tf.function(lambda: layer(tf.ones([2, 8, 8, 8]), training=True))
    tf.random.set_seed(5)
    first, second = draw().numpy(), draw().numpy()
    assert 0.4 < np.mean(first == second) < 0.6
    tf.random.set_seed(5)
    np.testing.assert_array_equal(tf.function(lambda: layer(tf.ones([2, 8, 8, 8]), training=True))(), first)


def test_dropout_seeds_nest_and_end():
    tf.random.set_seed(0)
    draw = lambda: Dropout(0.5, name="a")(tf.ones([2, 8, 8, 8]), training=True).numpy() > 0  # noqa: E731
    with random_seed(seed(0, 1)):
        mask("a", seed(0, 2))
        inner = draw()
    np.testing.assert_array_equal(inner, mask("a", seed(0, 1)))
    assert np.any(draw() != draw())


@pytest.mark.parametrize("rate, training", [(0.5, False), (0.5, None), (0.0, True)])
def test_dropout_is_the_identity_in_inference_and_at_rate_0(rate, training):
    x = drawn((2, 5, 5, 3))
    np.testing.assert_array_equal(Dropout(rate)(x, training=training), x)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (1, 3, 3, 5), (3, 5, 7, 6), (2, 4, 4, 4)])
def test_dropout_takes_any_number_of_units(shape):
    layer = Dropout(0.5)
    draw = tf.function(lambda x: layer(x, training=True), [tf.TensorSpec([None, None, None, shape[-1]])])
    with random_seed(seed(0, 0)):
        output = draw(tf.ones(shape))
    assert output.shape == shape
    assert set(np.unique(output)) <= {0.0, 2.0}


def test_dropout_has_the_gradient_of_its_mask():
    x = tf.ones([2, 8, 8, 3])
    with tf.GradientTape() as tape, random_seed(seed(0, 0)):
        tape.watch(x)
        output = Dropout(0.25)(x, training=True)
    np.testing.assert_array_equal(tape.gradient(output, x), output)


def test_dropout_keeps_16_bits():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    with random_seed(seed(0, 0)):
        output = Dropout(0.2)(tf.ones([2, 8, 8, 4], tf.bfloat16), training=True)
    assert output.dtype == tf.bfloat16
    np.testing.assert_allclose(np.unique(values(output)), [0, 256 / (256 - 51)], rtol=2**-8)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_dropout_rejects_rates_that_are_none(rate):
    with pytest.raises(ValueError, match=f"dropout must be in .*, got {rate}"):
        Dropout(rate)


# Normalisation


@POLICIES
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_normalize_takes_bytes_and_floats_in_float32_under_any_policy(policy, dtype):
    keras.mixed_precision.set_global_policy(policy)
    x = np.random.default_rng(0).uniform(0, 255, (2, 17, 19, 2)).astype(dtype)
    result = Normalize((100.3, 20.7), (50.1, 3.3))(x)
    assert result.dtype == tf.float32
    expected = (x.astype(float) - [100.3, 20.7]) / [50.1, 3.3]
    np.testing.assert_allclose(result, expected, rtol=1e-5, atol=1e-6)


def test_normalize_rejects_what_it_cannot_do():
    layer = Normalize((0.0,), (1.0,), minimum=17)
    with pytest.raises(ValueError, match="image width 16 .*takes 17 or more"):
        layer(np.zeros((1, 17, 16, 1)))
    with pytest.raises(ValueError, match="std must be positive"):
        Normalize((0.0, 0.0), (1.0, 0.0))


# Serialisation


@pytest.mark.parametrize(
    "kind, settings",
    [
        (Dropout, {"rate": 0.3}),
        (FusedBatchNormalization, {"momentum": 0.9, "epsilon": 0.1}),
        (ResizeBilinear, {"placement": "exact", "steps": STEPS}),
        (Normalize, {"mean": (1.0, 2.0), "std": (3.0, 4.0), "minimum": 7}),
    ],
)
def test_layers_survive_json(kind, settings):
    image = keras.Input((8, 9, 2))
    like = keras.layers.ZeroPadding2D(3)(image)
    layer = kind(**settings, name="block1.some")
    model = keras.Model(image, layer([image, like] if kind is ResizeBilinear else image))
    copy = keras.models.model_from_json(model.to_json())
    twin = copy.get_layer("block1.some")
    assert type(twin) is kind
    assert {key: getattr(twin, key) for key in settings} == settings
    copy.set_weights(model.get_weights())
    x = drawn((2, 8, 9, 2))
    np.testing.assert_array_equal(copy(x), model(x))


def test_dropout_behind_a_convolution_that_scales_is_dropout_behind_one_that_does_not():
    x, made = drawn((2, 6, 5, 3)), []
    for gain, scaled in ((1.0, False), (gain_of(0.3), True)):
        convolution = Convolution(
            4, 3, gain=gain, bias_initializer="ones", kernel_initializer=lambda s, dtype: drawn(s)
        )
        drop = Dropout(0.3, scaled=scaled, name="drop")
        with tf.GradientTape() as tape, random_seed(seed(0, 0)):
            output = drop(convolution(x, training=True), training=True)
            whole = tf.reduce_sum(output**2)
        made.append([output, *tape.gradient(whole, convolution.trainable_variables)])
        np.testing.assert_allclose(convolution(x), convolution(x, training=False))
        assert np.any(convolution(x, training=True) != convolution(x)) == scaled
    for own, plain in zip(*made):
        np.testing.assert_allclose(own, plain, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [tf.bfloat16, tf.float16, tf.float32, tf.float64])
def test_dropout_of_any_float_type(dtype):
    x = tf.cast(drawn((2, 4, 4, 4)), dtype)
    with random_seed(seed(0, 0)):
        output = Dropout(0.5, dtype=dtype)(x, training=True)
    assert output.dtype == dtype and 0 < np.count_nonzero(output == 0) < tf.size(x)
    np.testing.assert_array_equal(output, tf.where(output == 0, output, 2 * x))
