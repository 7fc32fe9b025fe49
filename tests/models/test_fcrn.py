"""Tests of FCRN against the paper's tables and against the networks that it simulates (papers.md section 4)."""

import functools
import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.analysis import measures
from did_tf.common import compat
from did_tf.models.phases import PHASES, Interleave, Phases, shifted

TINY = {"depth": 14, "width": 8}
# Features at stride 4 (8x12) and, of the larger, at stride 8 have even sides; the image need not.
EVEN = [(32, 48), (30, 45)]
ODD = (33, 41)  # 9x11 at stride 4, 5x6 at stride 8


@functools.cache
def network(stride=8, dilation=2, simulation=False, classes=5, **options):
    """A small network; with the same random weights and statistics whatever its stride, dilation and simulation."""
    options = {**TINY, "kernel": 3, **options}
    model = models.build("fcrn", classes, output_stride=stride, dilation=dilation, simulation=simulation, **options)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        shape, path = tuple(weight.shape), compat.path(weight)
        if "kernel" in path:
            value = rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape)
        else:
            value = rng.uniform(0.5, 1.5, shape) if "gamma" in path or "variance" in path else rng.normal(0, 0.5, shape)
        weight.assign(value.astype(np.float32))
    return model


def scores(model):
    """The network up to its score map."""
    return keras.Model(model.input, models.own_resolution(model)["main"][0])


def image(size, count=2):
    return np.random.default_rng(1).uniform(0, 255, (count, *size, 3)).astype(np.float32)


def assert_same(actual, expected):
    """Alike but for the order of the sums in a convolution."""
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.parametrize(
    "depth, cityscapes, voc",
    [(50, 24.48, 24.58), (101, 43.47, 43.58), pytest.param(152, 59.12, 59.22, marks=pytest.mark.slow)],
)
def test_parameter_counts(depth, cityscapes, voc):
    """Of 19 and 21 classes; all that a class adds is its part of the classifier."""
    model = models.build("fcrn", 19, depth=depth)
    count = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    classifier = model.get_layer("head.main.conv").count_params()
    assert [round(n / 1e6, 2) for n in (count, count + classifier * 2 / 19)] == [cityscapes, voc]


@pytest.mark.parametrize(
    "stride, kernel, dilation, pixels",
    [
        (16, 3, 6, 208),
        (8, 3, 6, 104),
        (8, 3, 12, 200),
        (8, 3, 18, 296),
        (8, 5, 6, 200),
        (8, 5, 12, 392),
        (8, 5, 18, 584),
        (8, 7, 6, 296),
        (8, 7, 12, 584),
    ],
)
def test_field_of_view_is_that_of_tables_1_and_2(stride, kernel, dilation, pixels):
    """All different rows. From the model: cells that reach one score, times pixels from cell to cell."""
    model = models.build("fcrn", 5, (129, 129, 3), output_stride=stride, kernel=kernel, dilation=dilation, **TINY)
    classifier = model.get_layer("head.main.conv")
    cells = tf.ones([1, 99, 99, classifier.input.shape[-1]])
    with tf.GradientTape() as tape:
        tape.watch(cells)
        centre = tf.reduce_sum(classifier(cells)[0, 49, 49])
    reached = np.flatnonzero(tape.gradient(centre, cells).numpy()[0].any(axis=(1, 2)))
    measured = (129 - 1) // (classifier.output.shape[1] - 1)
    assert (reached[-1] - reached[0] + 1) * measured == pixels
    assert measures.field_of_view(model) == pixels


@pytest.mark.parametrize("size", [*EVEN, ODD])
def test_strides_give_the_same_on_the_subsampled_grid(size):
    x = image(size)
    maps = {stride: scores(network(stride, 32 // stride))(x).numpy() for stride in (16, 8, 4)}
    for stride in (16, 8):
        assert_same(maps[stride], maps[stride // 2][:, ::2, ::2])


@pytest.mark.parametrize("size", EVEN)
@pytest.mark.parametrize("stride", [16, 8])
def test_simulation_is_the_network_of_half_the_stride(stride, size):
    """Section 3.2: same weights, every dilation after the last halving doubled, the classifier's too."""
    x = image(size)
    size = [-(-side * 2 // stride) for side in size]
    assert [side % 2 for side in size] == [0, 0]
    simulated, true = network(stride, 2, simulation=True), network(stride // 2, 4)
    assert scores(simulated)(x).shape == (2, *size, 5)
    assert_same(scores(simulated)(x), scores(true)(x).numpy())
    assert_same(simulated(x)["main"], true(x)["main"].numpy())


def test_simulation_of_odd_sizes_is_exact_where_nothing_is_repeated():
    """Phase (0, 0) has the first and the last row and column; the others follow one that is repeated."""
    x = image(ODD)
    simulated, true = (scores(network(*options))(x).numpy() for options in ((8, 2, True), (4, 4)))
    assert simulated.shape == true.shape == (2, 9, 11, 5)
    assert_same(simulated[:, ::2, ::2], true[:, ::2, ::2])
    assert np.abs(simulated - true).max() > 0.01


@pytest.mark.parametrize("size", [*EVEN, ODD])
@pytest.mark.parametrize("simulation", [False, True])
def test_shifted_passes_put_together_are_the_network_of_half_the_stride(size, simulation):
    """Odd sizes as well, and whether or not the model simulates."""
    x, model = image(size), scores(network(8, 2, simulation))
    true = scores(network(4, 4))(x).numpy()
    together = np.full_like(true, np.nan)
    for dy, dx in PHASES:
        with shifted(dy, dx):
            together[:, dy::2, dx::2] = model(x)
    assert_same(together, true)


def test_gradients_of_shifted_passes_add_up_to_those_of_the_network_of_half_the_stride():
    x, target = image(EVEN[0]), np.random.default_rng(2).normal(size=(2, 8, 12, 5)).astype(np.float32)

    def gradients(model, target, phase=None):
        weights = [compat.tf_variable(v) for v in model.trainable_variables]
        with tf.GradientTape() as tape, shifted(*phase or (0, 0)):
            loss = tf.reduce_sum((scores(model)(x) - target) ** 2)
        return [gradient.numpy() for gradient in tape.gradient(loss, weights)]

    passes = [gradients(network(), target[:, dy::2, dx::2], (dy, dx)) for dy, dx in PHASES]
    true = network(4, 4)
    paths = [compat.path(v) for v in true.trainable_variables]
    assert paths == [compat.path(v) for v in network().trainable_variables]
    for path, total, expected in zip(paths, map(sum, zip(*passes)), gradients(true, target)):
        np.testing.assert_allclose(total, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max(), err_msg=path)


def test_gradients_of_the_simulation_are_those_of_the_network_of_half_the_stride():
    """Through the stacked phases and the interleaving."""
    x, found = image(EVEN[0]), []
    for model in (network(8, 2, True), network(4, 4)):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(scores(model)(x) ** 2)
        found.append(tape.gradient(loss, [compat.tf_variable(v) for v in model.trainable_variables]))
    for simulated, true in zip(*found):
        np.testing.assert_allclose(simulated, true, rtol=1e-3, atol=1e-4 * np.abs(true).max())


@pytest.mark.parametrize("traced", [False, True])
@pytest.mark.parametrize("size", [(6, 8), (5, 8), (5, 7), (1, 2), (1, 1)])
def test_interleaving_undoes_the_phases(size, traced):
    """Brute force: each feature says which image, row and column it comes from."""
    height, width = size
    places = np.stack(np.meshgrid(range(3), range(height), range(width), indexing="ij"), -1).astype(np.float32)
    features = keras.Input((None, None, 3))
    phases = Phases(simulation=True, name="phases")(features)
    model = keras.Model(features, [phases, Interleave(simulation=True, name="interleave")([phases, features])])
    assert [tuple(output.shape) for output in model.outputs] == [(None, None, None, 3)] * 2
    stacked, whole = (tf.function(model) if traced else model)(places)
    np.testing.assert_array_equal(whole, places)
    for position, phase in enumerate(PHASES):
        for number in range(3):
            for row, column in np.ndindex(-(-height // 2), -(-width // 2)):
                y, x = (min(2 * n + d, side - 1) for n, d, side in zip((row, column), phase, size))
                np.testing.assert_array_equal(stacked[3 * position + number, row, column], (number, y, x))


@pytest.mark.parametrize("simulation, batch", [(False, 2), (True, 8)])
def test_known_sizes_are_kept(simulation, batch):
    phases, interleave = Phases(simulation, name="phases"), Interleave(simulation, name="interleave")

    @tf.function
    def trace(x):
        halves = phases(x)
        return halves, interleave([halves, x])

    found = [tuple(shape) for shape in trace.get_concrete_function(tf.zeros([2, 5, 8, 3])).output_shapes]
    assert found == [(batch, 3, 4, 3), (2, 5, 8, 3) if simulation else (2, 3, 4, 3)]
    assert phases.compute_output_shape((2, 5, 8, 3)) == found[0]
    assert interleave.compute_output_shape([found[0], (2, 5, 8, 3)]) == found[1]


def test_a_phase_holds_within_its_context_and_thread():
    layer, x = Phases(name="phases"), np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    corners, other = [], []

    def corner():
        return int(layer(x)[0, 0, 0, 0])

    with shifted(1, 0):
        corners.append(corner())
        with pytest.raises(KeyError), shifted(1, 1):
            corners.append(corner())
            raise KeyError
        corners.append(corner())
        thread = threading.Thread(target=lambda: other.append(corner()))
        thread.start()
        thread.join()
    assert (corners, other, corner()) == ([4, 5, 4], [0], 0)
    with pytest.raises(ValueError, match=r"a phase is one of .*, got \(0, 2\)"), shifted(0, 2):
        pass


def test_models_that_simulate_survive_json():
    model, x = network(8, 2, True), image(ODD)
    copy = keras.models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    assert copy.get_layer("phases").simulation
    np.testing.assert_array_equal(copy(x)["main"], model(x)["main"])


def test_dropout_precedes_the_last_convolution_of_each_unit():
    rates = (0, 0.1, 0.3, 0.5)
    model = models.build("fcrn", 5, depth=26, width=8, dropouts=rates)
    drops = {layer.name: layer.rate for layer in model.layers if layer.name.endswith(".dropout")}
    units = [(stage, unit) for stage in (2, 3, 4) for unit in (1, 2)]
    assert drops == {f"stage{stage}.unit{unit}.conv2.dropout": rates[stage - 1] for stage, unit in units}
    for stage, unit in units:
        last, drop = (model.get_layer(f"stage{stage}.unit{unit}.{name}") for name in ("conv3.conv", "conv2.dropout"))
        assert last.input is drop.output


def test_the_classifier_is_one_dilated_convolution():
    model = network(kernel=7, dilation=6)
    heads = [layer.name for layer in model.layers if layer.name.startswith("head.")]
    assert heads == ["head.main.conv", "head.main.interleave", "head.main.up"]
    classifier = model.get_layer("head.main.conv")
    assert (classifier.kernel_size, classifier.dilation_rate, classifier.use_bias) == ((7, 7), (6, 6), True)
    biased = [layer.name for layer in model.layers if getattr(layer, "use_bias", False)]
    assert biased == ["head.main.conv"]


def test_batch_norm_and_placement():
    model = network(bn_momentum=0.9, bn_epsilon=1e-3, placement="areas")
    norms = [layer for layer in model.layers if layer.name.endswith(".bn")]
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.9, 1e-3)}
    assert [m.get_layer("head.main.up").placement for m in (model, network())] == ["areas", "exact"]


def test_the_first_scores_are_of_the_features_order():
    """A classifier of 25 * 2048 inputs must not start out sure of itself."""
    model = models.build("fcrn", 19, width=8, depth=14)
    classifier = model.get_layer("head.main.conv")
    features, logits = keras.Model(model.input, [classifier.input, classifier.output])(image((65, 65)))
    assert 0.1 < np.std(logits) / np.sqrt(np.mean(np.square(features))) < 3


@pytest.mark.parametrize(
    "options, message",
    [
        ({"depth": 34}, r"depth must be one of \(14, 26, 50, 101, 152\), got 34"),
        ({"output_stride": 32}, r"output_stride must be one of \(16, 8, 4\), got 32"),
        ({"kernel": 4}, r"kernel must be one of \(1, 3, 5, 7\), got 4"),
        ({"dropouts": (0.3, 0.5)}, r"dropouts must have 4 entries, got \(0.3, 0.5\)"),
        ({"dropouts": (0, 0, 0, 1.0)}, "dropouts must be a tuple of values, each a number in"),
        ({"output_stride": 4, "simulation": True}, "simulation halves an output_stride of 16 or 8, got 4"),
        ({"placement": "pixels"}, r"placement must be one of \('exact', 'corners', 'areas'\), got 'pixels'"),
        ({"mean": (1.0, 2.0)}, "mean must have 3 entries"),
        ({"input_shape": (8, 33, 3)}, "image height 8 is too small .* takes 9 or more"),
        ({"input_shape": (33, 16, 3), "output_stride": 16}, "image width 16 is too small .* takes 17 or more"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        models.build("fcrn", 5, **{**TINY, **options})
