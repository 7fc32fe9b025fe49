"""Tests of the ResNet encoder: sizes, dilation against strides, and the known parameter counts."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf.models import resnet
from did_tf.models.units import Units


def network(size=(67, 90), width=4, depth=26, **options):
    """{stride: features} of a small encoder, as a model."""
    image = keras.Input((*size, 3))
    return keras.Model(image, resnet.encoder(Units(use_bias=False), image, depth, width=width, **options))


def randomize(model, seed=0):
    """Gives a model weights and statistics of which no two are the same; returns them."""
    rng = np.random.default_rng(seed)
    # Variables of one axis are scales, offsets and statistics, of which the variances must be positive.
    weights = [
        rng.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else rng.normal(0, np.prod(w.shape[:-1]) ** -0.5, w.shape)
        for w in model.get_weights()
    ]
    model.set_weights(weights)
    return weights


@functools.cache
def strided(depth, stem):
    """A small encoder at stride 32 with weights as of `randomize`; one for all tests that want the same."""
    model = network(depth=depth, stem=stem, output_stride=32)
    randomize(model)
    return model


def image(size, seed=0):
    return np.random.default_rng(seed).normal(size=(2, *size, 3)).astype(np.float32)


def convolutions(model, ending, stage):
    return [x for x in model.layers if x.name.startswith(f"stage{stage}.") and x.name.endswith(f"{ending}.conv")]


@pytest.mark.parametrize("depth, stem", [*((26, stem) for stem in resnet.STEMS), (18, "7x7")])
@pytest.mark.parametrize("output_stride", [16, 8, 4])
def test_dilation_gives_on_the_subsampled_grid_what_strides_give(output_stride, depth, stem):
    dilated = network(depth=depth, stem=stem, output_stride=output_stride)
    dilated.set_weights(strided(depth, stem).get_weights())
    x = image((67, 90))
    coarse, fine = strided(depth, stem)(x), dilated(x)
    assert list(fine) == [stride for stride in (4, 8, 16, 32) if stride <= output_stride]
    step = 32 // output_stride
    assert fine[output_stride].shape[1:3] == (-(-67 // output_stride), -(-90 // output_stride))
    np.testing.assert_allclose(fine[output_stride][:, ::step, ::step], coarse[32], rtol=1e-4, atol=1e-4)
    assert coarse[32].numpy().std() > 0.1
    if depth in resnet.BASIC:
        return
    # Undilated, it is something else.
    plain = network(stem=stem, output_stride=output_stride, dilations=dict.fromkeys(range(1, 5), (1, 1)))
    plain.set_weights(dilated.get_weights())
    assert np.abs(plain(x)[output_stride][:, ::step, ::step] - coarse[32]).max() > 0.1


@pytest.mark.parametrize("size", [(64, 96), (33, 65), (17, 40)])
def test_taps_have_the_sizes_and_widths_of_the_stages(size):
    taps = network(size).output
    assert {stride: tuple(x.shape[1:]) for stride, x in taps.items()} == {
        stride: (-(-size[0] // stride), -(-size[1] // stride), channels)
        for stride, channels in ((4, 16), (8, 32), (16, 64), (32, 128))
    }


@pytest.mark.parametrize("size", [32, 33, 34, 35])
@pytest.mark.parametrize("stem, reach", [("7x7", 5), ("3x3", 7)])
def test_features_are_centred_on_their_pixels(size, stem, reach):
    """Feature (4, 4) of the stem sees as many pixels on either side of pixel (16, 16), whatever the image's size."""
    model = network((size, size), depth=14, stem=stem)
    model = keras.Model(model.input, model.get_layer("stem.pool").output)
    # Positive weights: no ReLU cuts a path off, and no two paths cancel.
    model.set_weights([np.full(w.shape, 0.1) for w in model.get_weights()])
    lit = np.zeros((size, size, size, 3), np.float32)
    lit[range(size), range(size), 16] = 1
    for images in (lit, lit.transpose(0, 2, 1, 3)):
        changed = np.flatnonzero((model(images)[:, 4, 4] != model(0 * images)[:, 4, 4]).numpy().any(-1))
        assert changed.tolist() == list(range(16 - reach, 16 + reach + 1))


@pytest.mark.parametrize(
    "depth, stem, count",
    [
        (50, "7x7", 23_508_032),
        pytest.param(101, "7x7", 42_500_160, marks=pytest.mark.slow),  # test_fcrn counts it too
        pytest.param(152, "7x7", 58_143_808, marks=pytest.mark.slow),
        (101, "3x3", 42_623_936),
    ],
)
def test_parameter_counts_are_the_known_ones(depth, stem, count):
    model = network((None, None), 64, depth, stem=stem)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == count


@pytest.mark.parametrize(
    "output_stride, dilations, expected",
    [
        (32, None, [[1, 1, 1], [1] * 4, [1] * 6, [1] * 3]),
        (16, None, [[1, 1, 1], [1] * 4, [1] * 6, [2] * 3]),
        (8, None, [[1, 1, 1], [1] * 4, [2] * 6, [4] * 3]),
        (4, None, [[1, 1, 1], [2] * 4, [4] * 6, [8] * 3]),
        (8, {3: (1, 2, 3, 1, 2, 3)}, [[1, 1, 1], [1] * 4, [1, 2, 3, 1, 2, 3], [4] * 3]),
        (32, {1: (3, 2, 1), 4: [5, 9, 17]}, [[3, 2, 1], [1] * 4, [1] * 6, [5, 9, 17]]),
    ],
)
def test_dilations_of_the_units(output_stride, dilations, expected):
    model = network(depth=50, output_stride=output_stride, dilations=dilations)
    found = [[layer.dilation_rate[0] for layer in convolutions(model, "conv2", stage)] for stage in (1, 2, 3, 4)]
    assert found == expected
    # The 1x1 convolutions have none, and no strided one is dilated.
    others = [x for x in model.layers if isinstance(x, keras.layers.Conv2D) and not x.name.endswith("conv2.conv")]
    assert {layer.dilation_rate for layer in others} == {(1, 1)}


def test_strides_are_on_the_first_1x1_convolution_of_a_stage():
    model = network(output_stride=16)
    strided = {layer.name for layer in model.layers if getattr(layer, "strides", (1, 1)) == (2, 2)}
    first = {f"stage{stage}.unit1.{name}.conv" for stage in (2, 3) for name in ("conv1", "shortcut")}
    assert strided == {"stem.conv1.conv", "stem.pool", *first}


def test_units_are_bottlenecks_of_four_times_their_width():
    model = network(depth=50)
    for stage, width in enumerate((4, 8, 16, 32), 1):
        layers = {ending: convolutions(model, ending, stage) for ending in ("conv1", "conv2", "conv3", "shortcut")}
        assert {ending: len(found) for ending, found in layers.items()} == {
            **dict.fromkeys(("conv1", "conv2", "conv3"), resnet.UNITS[50][stage - 1]),
            "shortcut": 1,
        }
        assert {(x.filters, x.kernel_size) for x in layers["conv1"]} == {(width, (1, 1))}
        assert {(x.filters, x.kernel_size) for x in layers["conv2"]} == {(width, (3, 3))}
        assert {(x.filters, x.kernel_size) for x in layers["conv3"]} == {(4 * width, (1, 1))}


def test_a_basic_unit_is_two_3x3_convolutions_and_a_shortcut():
    """The first unit of stage 2, whose stride is on its first convolution, by TensorFlow's own operations."""
    model = network((16, 22), depth=18)
    randomize(model)
    x, end = (model.get_layer(f"stage{name}.relu").output for name in ("1.basic2", "2.basic1"))
    x, found = (value.numpy() for value in keras.Model(model.input, [x, end])(image((16, 22))))

    def conv_bn(x, name, strides, pad):
        conv, bn = (model.get_layer(f"stage2.basic1.{name}.{kind}") for kind in ("conv", "bn"))
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        scale, offset, mean, variance = bn.get_weights()
        new = tf.nn.conv2d(padded, conv.get_weights()[0], strides, "VALID").numpy()
        return (new - mean) / np.sqrt(variance + bn.epsilon) * scale + offset

    new = np.maximum(conv_bn(x, "conv1", 2, 1), 0)
    expected = np.maximum(conv_bn(new, "conv2", 1, 1) + conv_bn(x, "shortcut", 2, 0), 0)
    assert expected.shape == (2, 2, 3, 8)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert not [layer for layer in model.layers if layer.name.startswith("stage1.") and "shortcut" in layer.name]


@pytest.mark.parametrize("depth, unit, before, last", [(26, "unit", "conv2", "conv3"), (18, "basic", "conv1", "conv2")])
def test_dropouts_are_before_the_last_convolution_of_the_units(depth, unit, before, last):
    model = network(depth=depth, dropouts=(0, 0, 0.3, 0.5))
    rates = {x.name: x.rate for x in model.layers if x.name.endswith(".dropout")}
    assert rates == {
        f"stage{stage}.{unit}{i}.{before}.dropout": rate for stage, rate in ((3, 0.3), (4, 0.5)) for i in (1, 2)
    }
    for name in rates:
        assert model.get_layer(name.replace(f"{before}.dropout", f"{last}.conv")).input is model.get_layer(name).output


def test_the_last_halving_can_be_given():
    """A function that takes every other feature does what the stride does."""
    strided = network(output_stride=16)
    halves = []

    def halve(x):
        halves.append(x.shape[-1])
        return keras.layers.MaxPooling2D(1, 2, padding="same", name="halve")(x)

    replaced = network(output_stride=16, halve=halve)
    assert halves == [32]  # stage 2's, once
    replaced.set_weights(randomize(strided))
    x = image((67, 90))
    for stride, expected in strided(x).items():
        np.testing.assert_allclose(replaced(x)[stride], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"depth": 20}, "resnet: depth must be one of .*50, 101, 152, 18, 34.*, got 20"),
        ({"depth": 18, "dilations": {3: (1, 2)}}, "units of depth 18 take neither dilations nor halve"),
        ({"output_stride": 2}, "output_stride must be one of .*, got 2"),
        ({"stem": "5x5"}, "stem must be one of .*7x7.*3x3.*, got '5x5'"),
        ({"dropouts": (0.5,)}, "dropouts must have 4 entries"),
        ({"dilations": {3: (1, 2, 3)}}, r"dilations\[3\] must have 2 entries, got \(1, 2, 3\)"),
        ({"dilations": {4: ()}}, r"dilations\[4\] must have 2 entries"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        network(**options)
