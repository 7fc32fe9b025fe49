"""Where features stand: computed from the graph, and measured by gradients as the centre of what they are made of."""

import functools
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
from analysis.test_measures import transparent
from models.test_contract import TINY
from tensorflow import keras

from did_tf import models
from did_tf.analysis import measures
from did_tf.models.layers import ResizeBilinear
from did_tf.models.placement import Step, _between, grid, interpolation_matrix, nearest_pixels, steps_between, steps_of
from did_tf.models.sunet import Deconvolution

layers = keras.layers

# (architecture, options, layers whose output is looked at; None for all outputs, before and after they are resized)
BOTTOM = ["bottleneck.unit1.conv"]
CASES = {
    "did": ("did", {}, None),
    "ladder": ("ladder", {}, None),
    "duc": ("duc", {"aspp": 0}, ["stage4.unit1.relu"]),
    "fcrn": ("fcrn", {"kernel": 3, "dilation": 1}, None),
    "sunet": ("sunet", {}, None),
    "fc_densenet": ("fc_densenet", {"units": (1, 1, 1)}, BOTTOM),
}
VARIANTS = {
    "did, 7x7 stem, pool of 2, 3x3 smoothing": ("did", {"stem": "7x7", "stem_pool": 2, "smoothing": 3}, None),
    "did, plain decoder": ("did", {"decoder": "plain"}, None),
    "ladder on resnet14": ("ladder", {"encoder": "resnet14", "growth": 32, "units": None, "split": ()}, None),
    "ladder on resnet18, dilated": (
        "ladder",
        {"encoder": "resnet18", "growth": 32, "units": None, "split": (), "output_stride": 16},
        None,
    ),
    "ladder to 1/128": ("ladder", {"units": (1, 1, 2, 2), "split": (3, 4)}, None),
    "ladder, pool of 2, dilated": ("ladder", {"stem_pool": 2, "output_stride": 8, "split": ()}, None),
    "duc, bilinear": ("duc", {"aspp": 0, "upsampling": "bilinear"}, None),
    "duc, 3x3 stem, stride 4": (
        "duc",
        {"aspp": 0, "upsampling": "bilinear", "stem": "3x3", "output_stride": 4, "dilation": "plain"},
        None,
    ),
    "fcrn, stride 16": ("fcrn", {"kernel": 3, "dilation": 1, "output_stride": 16}, None),
    "fcrn, stride 4": ("fcrn", {"kernel": 3, "dilation": 1, "output_stride": 4}, None),
    "fcrn, simulation": ("fcrn", {"kernel": 3, "dilation": 1, "simulation": True}, None),
    "sunet, stride 8": ("sunet", {"output_stride": 8}, None),
    # Dilated and strided at once, every second score sees twice as much: what is interpolated leans towards it.
    "sunet, strided": ("sunet", {"multigrid": False, "degridding": True}, ["head.main.conv"]),
    "sunet, stride 32": ("sunet", {"output_stride": 32}, None),
    "fc_densenet to 1/32": ("fc_densenet", {}, BOTTOM),
}
BEYOND = (0, 1, 2, 3, 5, 6, 11, 20, 37, 63)  # ten sizes, odd and even, of many remainders by every stride
NARROW = 17  # the other side, for speed
# Pixels. A fault is half a pixel or more; oneDNN's float32 alone has moved what is measured by 0.055 of 1407 pixels,
# where TensorFlow's own kernels move it by 0.004.
ROUNDING = 0.1


@functools.cache
def network(case):
    """(model from the image to all that is looked at, {features: `Axes`}, full-size outputs, receptive field)."""
    name, options, inner = {**CASES, **VARIANTS}[case]
    known = {"dropout": 0.0, "placement": "exact"}
    options = {**TINY[name][0], **{k: v for k, v in known.items() if k in models.options(name)}, **options}
    model = transparent(models.build(name, 2, **options))
    for layer in model.layers:
        if isinstance(layer, Deconvolution) and layer.strides[0] == 2:
            # All points weigh as much, those on a coarse one and those between two.
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel * np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])[..., None, None], bias])
    if inner:
        features, full = {layer: model.get_layer(layer).output for layer in inner}, {}
    else:
        features = {f"own {output}": placed.features for output, placed in models.own_resolution(model).items()}
        full = dict(model.output)
    seen = keras.Model(model.input, {**features, **full})
    return seen, {key: steps_of(x) for key, x in features.items()}, list(full), max(measures.receptive_field(model))


def pixels(values):
    """An image of 3 bands that a network reads as `values` [..., H, W]."""
    return np.repeat((127.5 * (1 + values))[..., None], 3, axis=-1).astype(np.float32)


def measured(model, size, axis):
    """{output: centres of mass of its features' gradients along `axis`}, in the middle of the other.

    These networks are linear where all is positive: what they make of the pixels' numbers over what they make of ones
    is the mean of the numbers by the gradient, for all features at once.
    """
    numbers = np.moveaxis(
        np.broadcast_to(np.arange(size[axis]) / size[axis], size[::-1] if axis == 0 else size), -1, axis
    )
    found = model(pixels(np.stack([np.ones(size), numbers])))
    totals = {key: np.moveaxis(x.numpy().sum(axis=-1), 1 + axis, 1) for key, x in found.items()}
    return {key: (x[1] / x[0])[:, x.shape[2] // 2] * size[axis] for key, x in totals.items()}


def check(case, beyond, axis):
    model, steps, full, field = network(case)
    long = field + 66 + beyond
    size = (long, NARROW) if axis == 0 else (NARROW, long)
    found = measured(model, size, axis)
    for key, axes in steps.items():
        doubled, stride, count = grid(axes[axis], long)
        assert len(found[key]) == count
        compare(found[key], doubled / 2 + stride * np.arange(count), field, long, key)
    for output in full:
        compare(found[output], np.arange(long), field, long, output)


def compare(found, expected, field, long, key):
    """Of features that see no border."""
    inside = (expected >= field / 2) & (expected < long - field / 2)
    assert inside.any()
    np.testing.assert_allclose(found[inside], expected[inside], atol=ROUNDING, err_msg=key)


@pytest.mark.parametrize("case", CASES)
def test_features_and_scores_stand_where_gradients_say(case):
    """Rows and columns in turn; with exact placement every full-size score is of its own pixel."""
    for number, beyond in enumerate(BEYOND[::3]):
        check(case, beyond, number % 2)


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("case", [*CASES, *VARIANTS])
def test_all_variants_stand_where_gradients_say_at_ten_sizes(case, axis):
    for beyond in BEYOND:
        check(case, beyond, axis)


@pytest.mark.parametrize("case", ["did", pytest.param("ladder", marks=pytest.mark.slow)])
def test_the_measure_is_the_centre_of_the_gradient(case):
    """Of a single score, by backpropagation."""
    model, _, _, field = network(case)
    size, at = (field + 70, NARROW), (field + 66) // 2
    x = tf.constant(pixels(np.ones((1, *size))))
    with tf.GradientTape() as tape:
        tape.watch(x)
        score = tf.reduce_sum(model(x)["main"][0, at, NARROW // 2])
    mass = tape.gradient(score, x).numpy()[0].sum(axis=(1, 2))
    assert mass.min() >= 0 and mass[at] > 0
    np.testing.assert_allclose((mass * np.arange(len(mass))).sum() / mass.sum(), at, atol=0.05)
    np.testing.assert_allclose(measured(model, size, 0)["main"][at], at, atol=0.05)


# Geometry


def test_known_places():
    """A symmetric stem, TensorFlow's padding of even and odd sizes, pooling, and a dilated kernel."""
    same, symmetric, pool = Step(3, 2), Step(7, 2, 3, 3), Step(2, 2)
    assert grid([symmetric, Step(3, 2, 1, 1)], 504) == (0, 4, 126)
    assert grid([same], 33) == (0, 2, 17) and grid([same], 32) == (2, 2, 16)
    assert grid([pool, pool], 9) == (3, 4, 3)
    assert grid([Step(5, 1, 0, 0)], 9) == (4, 1, 5)
    assert grid([], 9) == (0, 1, 9)


@pytest.mark.parametrize("size", [7, 16, 33])
def test_sizes_may_be_tensors(size):
    steps = [Step(3, 2), Step(1, 1, 2, 2), Step(2, 2), Step(7, 2)]
    doubled, stride, count = grid(steps, tf.constant(size))
    assert (int(doubled), stride, int(count)) == grid(steps, size)


@pytest.mark.parametrize("size", range(1, 30))
def test_labels_are_those_of_the_nearest_pixel(size):
    """By brute force; of two as near the later, and at the border the last one."""
    for steps in ([Step(3, 2), Step(2, 2)], [Step(2, 2)] * 3, [Step(7, 2, 3, 3)], [Step(1, 1, 3, 0)]):
        doubled, stride, count = grid(steps, size)
        distances = np.abs(np.subtract.outer(doubled + 2 * stride * np.arange(count), 2 * np.arange(size)))
        expected = size - 1 - distances[:, ::-1].argmin(axis=1)
        assert nearest_pixels(count, size, "exact", steps) == expected.tolist()


def test_exact_interpolation_is_linear_between_the_places_and_constant_beyond():
    steps, places = [Step(2, 2), Step(2, 2)], [1.5, 5.5, 9.5]
    values = np.array([[2.0], [6.0], [4.0]], np.float32)
    found = interpolation_matrix(3, 12, "exact", steps) @ values
    np.testing.assert_allclose(found[:, 0], np.interp(np.arange(12), places, values[:, 0]), atol=1e-6)


@pytest.mark.parametrize(
    "placement, source",
    [
        ("corners", lambda place, n, m: Fraction(place * (n - 1), m - 1)),
        ("areas", lambda place, n, m: Fraction((2 * place + 1) * n, 2 * m) - Fraction(1, 2)),
        ("exact", lambda place, n, m: max(Fraction(2 * place - 3, 8), Fraction(0))),
    ],
)
def test_places_are_right_where_products_of_sizes_are_beyond_32_bits(placement, source):
    n, m = 62_501, 250_001
    found = _between(tf.constant(n), tf.constant(m), placement, [Step(2, 2), Step(2, 2)])
    whole, part, unit = (np.asarray(numbers, np.int64) for numbers in found)
    places = [*range(0, m, 997), m - 2, m - 1]
    assert [Fraction(int(whole[p] * unit + part[p]), int(unit)) for p in places] == [source(p, n, m) for p in places]
    assert part.min() >= 0 and part.max() < unit


@pytest.mark.parametrize("placement", ["corners", "areas"])
@pytest.mark.parametrize("n, m", [(1, 1), (1, 7), (3, 1), (5, 17), (6, 23), (9, 4)])
def test_interpolation_is_linear_between_samples_and_constant_beyond(placement, n, m):
    places = np.linspace(0, n - 1, m) if placement == "corners" else (np.arange(m) + 0.5) * n / m - 0.5
    values = np.random.default_rng(0).normal(size=n)
    found = interpolation_matrix(n, m, placement).numpy() @ values
    np.testing.assert_allclose(found, np.interp(places, np.arange(n), values), atol=1e-6)


@pytest.mark.parametrize("size", [33, 65])
def test_aligned_corners_are_exact_where_sizes_fit(size):
    """A symmetric network of stride 8 on 8n+1 pixels, to the last digit; not on others."""
    symmetric = [Step(7, 2, 3, 3), Step(3, 2, 1, 1), Step(1, 2)]
    exact, corners = (interpolation_matrix(size // 8 + 1, size, kind, symmetric) for kind in ("exact", "corners"))
    np.testing.assert_array_equal(exact, corners)
    exact, corners = (interpolation_matrix(size // 8, size - 1, kind, symmetric) for kind in ("exact", "corners"))
    assert np.abs(exact - corners).max() > 0.5


@pytest.mark.parametrize(
    "case, size, places",
    [
        ("did", 321, [(0, 4, 81), (2, 8, 41), (6, 16, 21)]),
        ("ladder", 448, [(0, 4, 112), (30, 64, 7)]),
        ("sunet", 512, [(6, 16, 32)]),
        ("fcrn", 504, [(0, 8, 63)]),
        ("duc", 800, [(0, 8, 100)]),
    ],
)
def test_places_in_the_papers_crops(case, size, places):
    """As docs/explanation/papers.md has them: offset, stride and number of each output."""
    _, steps, _, _ = network(case)
    found = [grid(rows, size) for rows, _ in steps.values()]
    assert sorted((doubled / 2, stride, count) for doubled, stride, count in found) == places


# The graph


def image():
    return keras.Input((None, None, 2))


def test_padding_and_what_it_pads_are_one_step_and_centred_ones_none():
    x = layers.ZeroPadding2D(((1, 2), (3, 4)))(image())
    x = layers.Conv2D(1, (4, 8), 2, name="strided")(x)
    x = layers.Conv2D(1, 3, padding="same", dilation_rate=2)(x)
    x = layers.Conv2D(1, 3, dilation_rate=2)(layers.ZeroPadding2D(2)(x))
    assert steps_of(x) == ((Step(4, 2, 1, 2),), (Step(8, 2, 3, 4),))


def test_features_that_are_joined_stand_in_the_same_places():
    start = image()
    symmetric = layers.Conv2D(1, 3, 2)(layers.ZeroPadding2D(1)(start))
    joined = layers.Add()([symmetric, layers.Conv2D(1, 1, 2)(start)])
    assert [grid(steps, 31) for steps in steps_of(joined)] == [(0, 2, 16)] * 2
    shifted = layers.AveragePooling2D(2, 2, "same")(start)
    with pytest.raises(ValueError, match="layer 'both' joins features that stand in different places"):
        steps_of(layers.Concatenate(name="both")([symmetric, shifted]))


def test_what_is_not_known_is_told():
    x = image()
    with pytest.raises(ValueError, match="layer 'up', a Conv2DTranspose, stands is not known"):
        steps_of(layers.Conv2DTranspose(1, 2, 2, name="up")(x))
    halved, pooled = layers.Conv2D(1, 3, 2, "same", name="halved")(x), layers.MaxPooling2D(2, 2, name="pooled")(x)
    with pytest.raises(ValueError, match="pooled is not made of the grid of halved"):
        steps_between(pooled, halved)


def test_steps_between_are_those_from_the_finer_features_on():
    fine = layers.Conv2D(1, 3, 2, "same")(image())
    coarse = layers.AveragePooling2D(2, 2, "same")(fine)
    assert steps_between(coarse, fine) == ((Step(2, 2),),) * 2
    assert steps_between(ResizeBilinear()([coarse, fine]), fine) == ((), ())


# Networks


def test_exact_placement_survives_json_and_does_not_ask_whether_sizes_are_known():
    options = {**TINY["did"][0], "dropout": 0.0, "placement": "exact"}
    model, fixed = (models.build("did", 3, shape, **options) for shape in ((None, None, 3), (40, 31, 3)))
    fixed.set_weights(model.get_weights())
    copy = keras.models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    x = np.random.default_rng(0).uniform(0, 255, (1, 40, 31, 3)).astype(np.float32)
    for output, logits in model(x).items():
        np.testing.assert_allclose(fixed(x)[output], logits, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(copy(x)[output], logits)
    assert models.own_resolution(copy)["block3"][1:] == models.own_resolution(model)["block3"][1:]


def test_exact_placement_survives_a_saved_model(tmp_path):
    """Of any size, odd and even, which decide what "same" padding does."""
    start = image()
    x = layers.Conv2D(2, 3, 2, "same")(start)
    x = ResizeBilinear("exact", steps_between(x, start))([x, start])
    model = keras.Model(start, x)
    serve = tf.function(lambda image: model(image), input_signature=[tf.TensorSpec([None, None, None, 2])])
    module = tf.Module()
    module.model, module.serve = model, serve
    tf.saved_model.save(module, str(tmp_path))
    read = tf.saved_model.load(str(tmp_path))
    for size in ((7, 8), (10, 5)):
        drawn = np.random.default_rng(0).normal(size=(1, *size, 2)).astype(np.float32)
        np.testing.assert_allclose(read.serve(drawn), model(drawn), atol=1e-6)
