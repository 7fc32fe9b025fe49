"""Tests of ResNet-DUC-HDC against the paper's section 4.1 and papers.md section 3."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.analysis import gridding
from did_tf.models import resnet
from did_tf.models.duc import DILATIONS, UPSAMPLINGS, unit_dilations
from did_tf.models.layers import DenseUpsampling

CLASSES = 5
TINY = {"depth": 14, "width": 4, "aspp": 2}


@functools.cache
def tiny(size=40, **options):
    """A small network; one for all tests that want the same."""
    return models.build("duc", CLASSES, (size, size, 3), **{**TINY, **options})


def parameters(model, start=""):
    layers = [layer for layer in model.layers if layer.name.startswith(start)]
    return sum(int(np.prod(v.shape)) for layer in layers for v in layer.trainable_variables)


def convolutions(model, start):
    return [layer for layer in model.layers if layer.name.startswith(start) and hasattr(layer, "kernel_size")]


def pixels(size, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (2, *size, 3)).astype(np.float32)


def rearranged(x, factor):
    """NumPy's word for what DUC does: x [N, h, w, classes * factor ** 2] -> [N, h * factor, w * factor, classes]."""
    count, height, width, channels = x.shape
    result = np.full((count, height * factor, width * factor, channels // factor**2), np.nan, x.dtype)
    for channel in range(channels):
        label, dy, dx = np.unravel_index(channel, (channels // factor**2, factor, factor))
        result[:, dy::factor, dx::factor, label] = x[..., channel]
    return result


def test_parameter_counts():
    """papers.md: ResNet-101 with the 3x3 stem, ASPP-4, 19 classes. The head depends on the encoder's width alone."""
    model = models.build("duc", 19, depth=101, stem="3x3", aspp=4, cell=2)
    encoder = parameters(model) - parameters(model, "head.")
    per_pixel = models.build("duc", 19, depth=14, stem="3x3", aspp=4, cell=1)
    counts = encoder, parameters(model), encoder + parameters(per_pixel, "head.")
    assert [round(count / 1e6, 2) for count in counts] == [42.62, 65.04, 132.28]


@pytest.mark.parametrize("size", [(24, 40), (17, 18), (23, 1)])
@pytest.mark.parametrize("factor, cell", [(8, 1), (4, 2), (4, 1), (1, 1)])
def test_dense_upsampling_puts_every_score_where_it_belongs(factor, cell, size):
    grid = [-(-side // (factor * cell)) for side in size]
    x = np.random.default_rng(0).normal(size=(2, *grid, 3 * factor**2)).astype(np.float32)
    image = np.zeros((2, *size, 1), np.float32)
    cells = tuple(-(-side // cell) for side in size)
    expected = rearranged(x, factor)[:, : cells[0], : cells[1]]
    layer = DenseUpsampling(factor, cell)
    np.testing.assert_array_equal(layer([x, image]), expected)
    copy = DenseUpsampling.from_config(layer.get_config())
    np.testing.assert_array_equal(tf.function(copy)([x, image]), expected)
    assert tuple(layer.compute_output_shape([x.shape, image.shape])) == expected.shape


@pytest.mark.parametrize("cell", [1, 2])
def test_a_channel_of_the_head_is_a_class_at_a_place_in_every_cell(cell):
    """Channel (class, dy, dx), class-major, of otherwise empty scores: logits at rows 8i + dy and columns 8j + dx."""
    model = tiny(cell=cell, upsampling="duc", depth=26)
    factor, (label, dy, dx) = 8 // cell, (3, 8 // cell - 1, 2)
    first, second = convolutions(model, "head.main.aspp")
    for conv in (first, second):
        conv.set_weights([np.zeros_like(w) for w in conv.get_weights()])
    bias = np.zeros((CLASSES, factor, factor), np.float32)
    bias[label, dy, dx] = 1
    first.set_weights([first.get_weights()[0], bias.ravel()])
    own = keras.Model(model.input, models.own_resolution(model)["main"][0])
    expected = np.zeros((2, 40 // cell, 40 // cell, CLASSES), np.float32)
    expected[:, dy::factor, dx::factor, label] = 1
    np.testing.assert_array_equal(own(pixels((40, 40))), expected)


@pytest.mark.parametrize("options", [{"cell": 1}, {"cell": 2}, {"cell": 2, "output_stride": 4, "dilation": "plain"}])
@pytest.mark.parametrize("aspp", [0, 1, 3])
def test_the_head_is_the_summed_branches_rearranged(aspp, options):
    """Recomputed with TensorFlow from the features: dilations 6, 12, 18, biases, the sum, the place, the resize."""
    model = tiny(aspp=aspp, **options)
    convs = convolutions(model, "head.main.aspp")
    rng = np.random.default_rng(0)
    for conv in convs:
        conv.set_weights([conv.get_weights()[0], rng.normal(size=conv.filters)])
    outputs = [model.get_layer("stage4.unit1.relu").output, models.own_resolution(model)["main"][0], model.output]
    x = pixels((40, 40))
    features, own, logits = keras.Model(model.input, outputs)(x)
    rates = [6, 12, 18][:aspp] or [1]
    assert len(convs) == len(rates)
    expected = sum(
        tf.nn.conv2d(features, kernel, 1, "SAME", dilations=rate) + bias
        for rate, (kernel, bias) in zip(rates, (conv.get_weights() for conv in convs))
    )
    stride, cell = options.get("output_stride", 8), options["cell"]
    assert features.shape[1] == 40 // stride
    expected = rearranged(expected.numpy(), stride // cell)
    np.testing.assert_allclose(own, expected, rtol=1e-4, atol=1e-4)
    resized = tf.image.resize(expected, (40, 40)) if cell > 1 else expected
    np.testing.assert_allclose(logits["main"], resized, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options, own",
    [
        ({"cell": 1}, (37, 45)),
        ({"cell": 2}, (19, 23)),
        ({"upsampling": "bilinear"}, (5, 6)),
        ({"upsampling": "bilinear", "output_stride": 4, "dilation": "plain"}, (10, 12)),
        ({"upsampling": "deconv8"}, (37, 45)),
        ({"upsampling": "deconv2x4", "cell": 1}, (37, 45)),
    ],
)
def test_logits_and_their_own_resolution(options, own):
    """At a size that is no multiple of 8, known and not, in 16 bits too."""
    model = tiny(None, **options)
    logits, placement, _ = models.own_resolution(model)["main"]
    both = keras.Model(model.input, [logits, model.output["main"]])
    x = pixels((37, 45))
    assert [tuple(y.shape[1:3]) for y in both(x)] == [own, (37, 45)]
    assert placement == ("corners" if own == (37, 45) else "exact")
    fixed = models.build("duc", CLASSES, (37, 45, 3), **{**TINY, **options})
    assert tuple(models.own_resolution(fixed)["main"][0].shape[1:]) == (*own, CLASSES)
    assert tuple(fixed.output["main"].shape[1:]) == (37, 45, CLASSES)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    small = models.build("duc", CLASSES, **{**TINY, **options})
    assert small(x)["main"].dtype == tf.float32


def test_the_bilinear_baseline_is_aspp_resized():
    model = tiny(upsampling="bilinear", placement="areas")
    both = keras.Model(model.input, [model.get_layer("head.main.sum").output, model.output["main"]])
    scores, logits = both(pixels((40, 40)))
    assert scores.shape == (2, 5, 5, CLASSES)
    np.testing.assert_allclose(logits, tf.image.resize(scores, (40, 40)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "upsampling, layers",
    [
        ("deconv8", [(304, 19, 8)]),
        ("deconv2x4", [(304, 76, 2), (76, 19, 4)]),
    ],
)
def test_deconvolutions_have_nearly_the_parameters_of_duc(upsampling, layers):
    """Section 4.1.2: "approximately the same number"; with the ASPP-6 and cell 2 of the model that it compares."""
    model, dense = (
        models.build("duc", 19, (32, 32, 3), depth=14, aspp=6, upsampling=chosen) for chosen in (upsampling, "duc")
    )
    found = [(x.input.shape[-1], x.filters, x.strides[0]) for x in convolutions(model, "head.main.deconv")]
    assert found == layers
    assert {x.kernel_size[0] for x in convolutions(model, "head.main.deconv")} == {2 * factor for *_, factor in layers}
    assert 1 < parameters(model, "head.") / parameters(dense, "head.") < 1.05


@pytest.mark.parametrize("upsampling, first, last", [("deconv8", -4, 11), ("deconv2x4", -4, 11)])
def test_deconvolutions_reach_evenly_around_their_features(upsampling, first, last):
    """Feature i stands for pixels 8i to 8i + 7; a kernel of twice the factor reaches half of it further.

    The kernel of the first of two reaches one of the middle grid's pixels further, which is 4, and that of the second
    2 of them more.
    """
    first, last = (first - 2, last + 2) if upsampling == "deconv2x4" else (first, last)
    layers = convolutions(tiny(upsampling=upsampling), "head.main.deconv")
    x = np.zeros((1, 5, 5, layers[0].input.shape[-1]), np.float32)
    x[0, 2, 3] = 1
    for layer in layers:
        layer.set_weights([np.abs(w) for w in layer.get_weights()])
        x = layer(x)
    rows, columns = (np.flatnonzero(x.numpy()[0].any(axis)) for axis in ((1, 2), (0, 2)))
    assert (rows.min(), rows.max()) == (16 + first, 16 + last)
    assert (columns.min(), columns.max()) == (24 + first, 24 + last)


@pytest.mark.parametrize(
    "dilation, res4b, res5b, increase",
    [
        ("none", (1,) * 23, (1, 1, 1), 52),
        ("conv", (2, 1) * 11 + (2,), (2, 1, 2), 80),
        ("rf", (1, 2, 3) * 7 + (2, 2), (3, 4, 5), 116),
        ("bigger", (1, 2, 5, 9) * 5 + (1, 2, 5), (5, 9, 17), 248),
        ("plain", (2,) * 23, (4, 4, 4), 116),
    ],
)
def test_rates_of_resnet_101(dilation, res4b, res5b, increase):
    """Section 4.1.3, and the increase as it is computed; Table 2 prints 54, 88, 116 and 256 for the first four."""
    model = tiny(depth=101, width=1, aspp=0, dilation=dilation)
    found = {
        stage: tuple(x.dilation_rate[0] for x in convolutions(model, f"stage{stage}.") if "conv2" in x.name)
        for stage in (1, 2, 3, 4)
    }
    assert found == {1: (1,) * 3, 2: (1,) * 4, 3: res4b, 4: res5b}
    assert gridding.increase(res4b + res5b) == increase


@pytest.mark.parametrize(
    "depth, dilation, expected",
    [
        (152, "conv", {3: (2, 1) * 18, 4: (2, 1, 2)}),
        (152, "rf", {3: (1, 2, 3) * 12, 4: (3, 4, 5)}),
        (152, "bigger", {3: (1, 2, 5, 9) * 9, 4: (5, 9, 17)}),
        (50, "bigger", {3: (1, 2, 5, 9, 1, 2), 4: (5, 9, 17)}),
        (26, "bigger", {3: (1, 2), 4: (5, 9)}),
        (26, "rf", {3: (2, 2), 4: (4, 4)}),
        (14, "plain", {3: (2,), 4: (4,)}),
    ],
)
def test_rates_of_other_depths(depth, dilation, expected):
    assert unit_dilations(depth, dilation) == expected


def test_plain_dilation_is_the_encoders_own():
    """That is what keeps the fields of the strides; so at stride 4, from one stage earlier."""
    for depth in resnet.UNITS:
        _, _, third, fourth = resnet.UNITS[depth]
        assert unit_dilations(depth, "plain") == {3: (2,) * third, 4: (4,) * fourth}
    model = tiny(output_stride=4, dilation="plain")
    rates = [model.get_layer(f"stage{stage}.unit1.conv2.conv").dilation_rate[0] for stage in (1, 2, 3, 4)]
    assert rates == [1, 2, 4, 8]


def test_only_plain_dilation_has_holes():
    """What HDC is for: through both stages of a ResNet-101, plain dilation sees a quarter of its square."""
    covered = {name: gridding.check(sum(unit_dilations(101, name).values(), ())).covered for name in DILATIONS}
    assert covered["plain"] < 0.26
    assert {name for name in covered if covered[name] == 1} == {"none", "conv", "rf", "bigger"}


def test_biases_are_in_the_head_alone_and_batch_norm_in_the_encoder():
    model = tiny(bn_momentum=0.95, bn_epsilon=1e-3, upsampling="deconv8")
    biased = {layer.name for layer in model.layers if getattr(layer, "use_bias", False)}
    assert biased == {"head.main.aspp1", "head.main.aspp2", "head.main.deconv1"}
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.95, 1e-3)}
    assert {models.part(layer.name) for layer in norms} == {"encoder"}
    assert {layer.epsilon for layer in tiny().layers if layer.name.endswith(".bn")} == {1e-6}


def test_stems():
    kernels = {stem: [x.kernel_size[0] for x in convolutions(tiny(stem=stem), "stem.conv")] for stem in resnet.STEMS}
    assert kernels == {"7x7": [7], "3x3": [3, 3, 3]}


def test_first_scores_are_no_larger_than_the_features():
    """So that training starts from a loss near log(classes), though 2048 * 9 * branches products are summed."""
    model = models.build("duc", 11, (64, 64, 3), depth=14, width=16, aspp=4)
    both = keras.Model(
        model.input, [model.get_layer("stage4.unit1.relu").output, model.get_layer("head.main.sum").output]
    )
    features, scores = both(pixels((64, 64)), training=True)
    assert tf.math.reduce_std(scores) < 2 * tf.sqrt(tf.reduce_mean(features**2))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"depth": 34}, "duc: depth must be one of .*101, 152.*, got 34"),
        ({"stem": "5x5"}, "stem must be one of .*7x7.*3x3.*, got '5x5'"),
        ({"output_stride": 16}, r"output_stride must be one of \(8, 4\), got 16"),
        ({"dilation": "hdc"}, "dilation must be one of .*plain.*bigger.*, got 'hdc'"),
        ({"cell": 4}, r"cell must be one of \(1, 2\), got 4"),
        ({"upsampling": "deconv"}, f"upsampling must be one of .*{UPSAMPLINGS[-1]}.*, got 'deconv'"),
        ({"aspp": -1}, "aspp must be 0 or more, got -1"),
        ({"output_stride": 4}, "output_stride=4 goes with dilation='plain' .*, got 'bigger' and 'duc'"),
        ({"output_stride": 4, "dilation": "plain", "upsampling": "deconv8"}, "got 'plain' and 'deconv8'"),
        ({"size": 8}, "image height 8 is too small .* takes 9 or more"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)
