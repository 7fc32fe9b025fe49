"""Tests of FC-DenseNet against its paper's layers and counts (papers.md section 6)."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf import models

VARIANTS = {
    56: {"growth": 12, "units": (4,) * 5, "bottleneck": 4},
    67: {"growth": 16, "units": (5,) * 5, "bottleneck": 5},
    103: {},
}
DOWN = (4, 5, 7, 10, 12)
TINY = {"growth": 4, "units": (1, 2), "bottleneck": 2, "stem": 8}


@functools.cache
def tiny(size=24, bands=3, **options):
    """A small network; one for all tests that want the same."""
    return models.build("fc_densenet", 5, (size, size, bands), **{**TINY, **options})


@functools.cache
def full(variant=103, classes=11):
    return models.build("fc_densenet", classes, (224, 224, 3), **VARIANTS[variant])


def count(variables):
    return sum(int(np.prod(v.shape)) for v in variables)


def convolutions(model):
    return [layer for layer in model.layers if hasattr(layer, "kernel_size")]


def width(model, layer):
    return model.get_layer(layer).output.shape[-1]


def test_parameter_counts_are_the_papers():
    """9.4M and 3.5M; of the smallest it prints 1.5M, which its own blocks don't give."""
    assert count(full().trainable_variables) == 9_322_091
    assert count(full().variables) == 9_425_163
    assert round(count(full(67).trainable_variables) / 1e6, 1) == 3.5
    assert count(full(56).trainable_variables) == 1_376_795


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_number_in_the_name_counts_the_convolutions(variant):
    assert len(convolutions(full(variant))) == variant


def test_blocks_have_the_papers_maps():
    """Its Table 2, which from the bottleneck to the last block but one counts what goes into a block's last unit."""
    model = full()
    down = [width(model, f"down{i}.unit{units}.concat") for i, units in enumerate(DOWN, 1)]
    assert down == [112, 192, 304, 464, 656]
    assert width(model, "bottleneck.unit15.bn") == 880
    assert [width(model, f"decoder.up{i}.unit{DOWN[i - 1]}.bn") for i in (5, 4, 3, 2)] == [1072, 800, 560, 368]
    assert width(model, "decoder.up1.unit4.concat") == 256
    sides = [model.get_layer(f"down{i}.transition.pool").output.shape[1] for i in (1, 2, 3, 4, 5)]
    assert sides == [112, 56, 28, 14, 7]


def test_only_the_new_maps_of_a_block_go_up():
    model = full()
    assert [width(model, f"decoder.up{i}.deconv") for i in (5, 4, 3, 2, 1)] == [240, 192, 160, 112, 80]
    small = tiny(dropout=0.0)
    x = np.random.default_rng(0).uniform(0, 255, (1, 24, 24, 3)).astype(np.float32)
    news = [small.get_layer(f"bottleneck.unit{i}.conv").output for i in (1, 2)]
    *news, given = keras.Model(small.input, [*news, small.get_layer("decoder.up2.deconv").input])(x)
    np.testing.assert_array_equal(given, np.concatenate(news, axis=-1))


@pytest.mark.parametrize("size", [24, 23, 22, 21])
def test_the_way_up_meets_each_skip_at_its_size(size):
    """Cut below and on the right: pixel 2i of what goes up lies on pixel 2i of the skip, whatever the size."""
    model = tiny(size=None, dropout=0.0)
    names = ["decoder.up1.deconv", "decoder.up1.cut", "down1.unit1.concat"]
    x = np.random.default_rng(0).uniform(0, 255, (1, size, size, 3)).astype(np.float32)
    whole, cut, skip = keras.Model(model.input, [model.get_layer(name).output for name in names])(x)
    assert cut.shape[1:3] == skip.shape[1:3] == (size, size)
    np.testing.assert_array_equal(cut, whole[:, :size, :size])


def test_transposed_convolutions_are_the_papers():
    """Its library's "valid" transposed convolution, cut to the size of the skip: rows 2i to 2i + 2 get map i."""
    layer = tiny().get_layer("decoder.up1.deconv")
    x = np.random.default_rng(0).normal(size=(1, 12, 12, layer.input.shape[-1])).astype(np.float32)
    kernel, bias = (v.numpy() for v in layer.weights)
    expected = np.zeros((1, 25, 25, kernel.shape[2]))
    for dy, dx in np.ndindex(3, 3):
        expected[:, dy : dy + 23 : 2, dx : dx + 23 : 2] += x @ kernel[dy, dx].T
    np.testing.assert_allclose(layer(x), expected[:, :24, :24] + bias, rtol=1e-4, atol=1e-5)


def test_order_of_a_unit_and_of_a_transition():
    """BN-ReLU-convolution-dropout; the transitions then take the maximum of two by two."""
    names = [layer.name for layer in tiny().layers]
    for here, last in (("down2.unit1", "concat"), ("down1.transition", "pool")):
        steps = [name[len(here) + 1 :] for name in names if name.startswith(f"{here}.")]
        assert steps == ["bn", "relu", "conv", "dropout", last]
    pool = tiny().get_layer("down1.transition.pool")
    assert type(pool).__name__ == "MaxPooling2D" and pool.pool_size == (2, 2)


def test_kernels_and_initializers():
    found = {layer.name: layer for layer in convolutions(tiny())}
    assert {type(layer.kernel_initializer).__name__ for layer in found.values()} == {"HeUniform"}
    ones = {name for name, layer in found.items() if layer.kernel_size == (1, 1)}
    assert ones == {"down1.transition.conv", "down2.transition.conv", "head.main.conv"}
    assert {layer.kernel_size for name, layer in found.items() if name not in ones} == {(3, 3)}
    assert all(layer.use_bias for layer in found.values())


def test_dropout_follows_units_and_transitions_down():
    """Three units on the way down, two in the bottleneck, three on the way up, two transitions."""
    model = tiny(dropout=0.3)
    drops = [layer for layer in model.layers if layer.name.endswith(".dropout")]
    assert len(drops) == 3 + 2 + 3 + 2 and {layer.rate for layer in drops} == {0.3}
    assert not [layer for layer in tiny(dropout=0.0).layers if layer.name.endswith(".dropout")]


def test_the_parts_of_the_network():
    parts = {layer.name.split(".")[0]: models.part(layer.name) for layer in tiny().layers if layer.weights}
    assert parts == {
        **dict.fromkeys(["stem", "down1", "down2", "bottleneck"], "encoder"),
        "decoder": "decoder",
        "head": "head",
    }


def test_scores_are_at_full_resolution():
    model = tiny()
    logits, _, _ = models.own_resolution(model)["main"]
    assert tuple(logits.shape) == (None, 24, 24, 5)


def test_batch_norm_settings():
    norms = [layer for layer in tiny(bn_momentum=0.9, bn_epsilon=1e-3).layers if layer.name.endswith(".bn")]
    assert {(layer.momentum, layer.epsilon) for layer in norms} == {(0.9, 1e-3)}


def test_every_pixel_of_an_odd_image_counts():
    """The last row and column too, which the authors' pooling leaves out."""
    model = tiny(size=21, units=(1, 1), dropout=0.0)
    coarse = keras.Model(model.input, model.get_layer("down2.transition.pool").output)
    x = tf.constant(np.random.default_rng(0).uniform(0, 255, (1, 21, 21, 3)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(x)
        corner = tf.reduce_sum(coarse(x)[0, -1, -1])
    assert np.any(tape.gradient(corner, x)[0, -1, -1])


@pytest.mark.parametrize(
    "options, message",
    [
        ({"units": ()}, r"units must be .* or a tuple of 1 or more values"),
        ({"units": (2, 0)}, r"units must be .*, got \(2, 0\)"),
        ({"bottleneck": 0}, "bottleneck must be .*, got 0"),
        ({"dropout": 1.0}, "dropout must be a number in"),
        ({"mean": (1.0, 2.0)}, "mean must have 3 entries"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)
