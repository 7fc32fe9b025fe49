"""Tests of DID against the paper's Table 1, Fig. 2 and parameter counts (papers.md section 1)."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf import models

DENSE30, DENSE58 = (6, 8, 8, 8), (6, 12, 24, 16)
TINY = {"growth": 4, "units": (1, 1, 1, 1)}
PLAIN = {"decoder": "plain", "deep_supervision": False}


@functools.cache
def tiny(size=33, bands=3, **options):
    """A small network; one for all tests that want the same."""
    return models.build("did", 5, (size, size, bands), **{**TINY, **options})


def parameters(model, without=()):
    """Trainable parameters, less those of layers whose name starts with one of `without`."""
    kept = [layer for layer in model.layers if not layer.name.startswith(tuple(without))]
    return sum(int(np.prod(v.shape)) for layer in kept for v in layer.trainable_variables)


def kernels(model):
    """{layer: kernel size} of all convolutions."""
    return {layer.name: layer.kernel_size[0] for layer in model.layers if hasattr(layer, "kernel_size")}


def layer_names(model, ending):
    return [layer.name for layer in model.layers if layer.name.endswith(ending)]


@pytest.mark.parametrize(
    "millions, options",
    [
        (9.64, {"growth": 48, **PLAIN}),
        pytest.param(11.65, {"growth": 48}, marks=pytest.mark.slow),  # did_camvid, which tests/experiments counts
        (14.41, {"growth": 48, "smoothing": 3, "deep_supervision": False}),
        pytest.param(5.74, {"growth": 36, **PLAIN}, marks=pytest.mark.slow),
        pytest.param(3.23, {"growth": 36, "compression": 0.5, **PLAIN}, marks=pytest.mark.slow),
        (2.99, {"growth": 36, "compression": 0.5, "stem": "7x7", **PLAIN}),
        pytest.param(7.63, {"growth": 24, "units": DENSE58, **PLAIN}, marks=pytest.mark.slow),
    ],
)
def test_parameter_counts_are_the_papers(millions, options):
    """The plain rows count the encoder, without the classification head; with 11 classes."""
    model = models.build("did", 11, (321, 321, 3), **options)
    counted = parameters(model, without=["head."] if options.get("decoder") == "plain" else [])
    assert round(counted / 1e6, 2) == millions


def test_blocks_have_the_widths_and_sizes_of_table_1():
    model = models.build("did", 11, (321, 321, 3))
    blocks = [model.get_layer(f"block{i}.unit{units}.concat").output for i, units in enumerate(DENSE30, 1)]
    assert [tuple(block.shape[1:]) for block in blocks] == [
        (81, 81, 416),
        (41, 41, 800),
        (21, 21, 1184),
        (21, 21, 1568),
    ]
    laterals = [model.get_layer(f"decoder.lateral{i}").output for i in (1, 2, 3, 4)]
    assert [tuple(lateral.shape[1:]) for lateral in laterals] == [(n, n, 416) for n in (81, 41, 21, 21)]
    unit = [model.get_layer(f"block3.unit8.{conv}.conv") for conv in ("conv1x1", "conv3x3")]
    assert [(conv.filters, conv.kernel_size) for conv in unit] == [(192, (1, 1)), (48, (3, 3))]
    assert {output: tuple(x.shape[1:]) for output, x in model.output.items()} == dict.fromkeys(
        ("main", "block2", "block3"), (321, 321, 11)
    )


def test_the_decoder_adds_from_coarse_to_fine():
    """Figure 2: f0 = L4 + L3, f1 = up(conv(f0)) + L2, f2 = up(conv(f1)) + L1; "main" is f2's head."""
    model = tiny()
    names = [f"decoder.{n}" for n in ("lateral4", "lateral3", "lateral2", "lateral1", "add3", "smooth3", "add2")]
    names += ["decoder.smooth2", "decoder.add1"]
    taps = keras.Model(model.input, [model.get_layer(name).output for name in names])
    l4, l3, l2, l1, f0, c0, f1, c1, f2 = taps(np.random.default_rng(0).uniform(0, 255, (1, 33, 33, 3)))
    assert {tap.shape[-1] for tap in (l4, l3, l2, l1, c0, c1)} == {128 + 4}  # block 1's
    upsized = [tf.compat.v1.image.resize_bilinear(c, x.shape[1:3], align_corners=True) for c, x in ((c0, l2), (c1, l1))]
    for result, parts in ((f0, (l4, l3)), (f1, (upsized[0], l2)), (f2, (upsized[1], l1))):
        np.testing.assert_allclose(result, np.add(*parts), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("output, used", [("main", "1234"), ("block2", "234"), ("block3", "34")])
def test_an_output_depends_on_the_blocks_up_to_its_own(output, used):
    model = tiny()
    kernels = [model.get_layer(f"decoder.lateral{i}").trainable_variables[0] for i in (1, 2, 3, 4)]
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(np.ones((1, 33, 33, 3), np.float32))[output] ** 2)
    gradients = tape.gradient(total, kernels)
    assert "".join(str(i) for i, g in enumerate(gradients, 1) if g is not None) == used


@pytest.mark.parametrize(
    "options, outputs",
    [
        ({}, ["main", "block2", "block3"]),
        ({"deep_supervision": False}, ["main"]),
        ({"decoder": "plain"}, ["main"]),
        ({"decoder": "plain", "deep_supervision": False}, ["main"]),
    ],
)
def test_outputs(options, outputs):
    assert list(tiny(**options).output) == outputs


def test_batch_norm_has_the_papers_settings_and_convolutions_xavier():
    model = tiny()
    norms = [layer for layer in model.layers if layer.name.endswith(".bn")]
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.997)}
    convolutions = [layer for layer in model.layers if hasattr(layer, "kernel_size")]
    assert {type(layer.kernel_initializer).__name__ for layer in convolutions} == {"GlorotUniform"}


@pytest.mark.parametrize("dilations", [(1, 1, 2, 4), (1, 1, 1, 1), (1, 2, 3, 8)])
def test_dilation_is_that_of_each_blocks_3x3_convolutions(dilations):
    model = tiny(dilations=dilations, units=(1, 2, 1, 2))
    for block, dilation in enumerate(dilations, 1):
        found = {
            layer.kernel_size[0]: layer.dilation_rate[0]
            for layer in model.layers
            if layer.name.startswith(f"block{block}.") and hasattr(layer, "kernel_size")
        }
        assert found == {1: 1, 3: dilation}


@pytest.mark.parametrize("dilations", [(1, 1, 2, 4), (1, 1, 1, 1)])
def test_receptive_field_follows_from_the_dilations(dilations):
    """Where a pixel of block 4 reaches in the stem's output (stride 4), found through its gradient.

    Closed form: 1 + sum of (kernel - 1) * dilation * stride, over 3x3 convolutions and the two 2x2 pools.
    """
    model = tiny(size=513, dilations=dilations, units=(1, 1, 1, 2), dropout=0.0, **PLAIN)
    strides = (1, 2, 4, 4)
    reach = sum(2 * n * d * s for n, d, s in zip((1, 1, 1, 2), dilations, strides)) + 1 * 1 + 1 * 2
    encoder = keras.Model(model.get_layer("stem.pool").output, model.get_layer("block4.unit2.concat").output)
    # Positive weights and inputs: no ReLU cuts a path off, and no two paths cancel.
    encoder.set_weights([np.full(w.shape, 0.01) for w in encoder.get_weights()])
    x = tf.ones([1, 129, 129, encoder.input.shape[-1]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        pixel = tf.reduce_sum(encoder(x)[0, 16, 16])
    rows = np.flatnonzero(tape.gradient(pixel, x).numpy()[0].any(axis=(1, 2)))
    assert rows[-1] - rows[0] == reach


@pytest.mark.parametrize("smoothing", [1, 3])
def test_smoothing_is_the_kernel_after_the_additions(smoothing):
    sizes = kernels(tiny(smoothing=smoothing))
    assert {name: sizes[name] for name in sizes if "smooth" in name} == {
        "decoder.smooth3": smoothing,
        "decoder.smooth2": smoothing,
    }
    assert {sizes[name] for name in sizes if "lateral" in name or name.startswith("head.")} == {1}


@pytest.mark.parametrize("compression, widths", [(1.0, [132, 136, 140]), (0.5, [66, 35, 19])])
def test_compression_narrows_the_transitions(compression, widths):
    """128 from the stem, 4 of each block's one unit."""
    model = tiny(compression=compression)
    assert [model.get_layer(f"transition{i}.conv1x1.conv").filters for i in (1, 2, 3)] == widths


def test_stems():
    sizes = {stem: kernels(tiny(stem=stem)) for stem in ("3x3", "7x7")}
    stems = {stem: [k for name, k in found.items() if name.startswith("stem.conv")] for stem, found in sizes.items()}
    assert stems == {"3x3": [3, 3, 3], "7x7": [7]}
    shapes = [tuple(tiny(stem=stem).get_layer("stem.pool").output.shape[1:]) for stem in stems]
    assert shapes == [(9, 9, 128), (9, 9, 2 * TINY["growth"])]


@pytest.mark.parametrize("norm", [True, False])
def test_stem_norm_takes_the_place_of_the_biases(norm):
    model = tiny(stem_norm=norm)
    assert len([name for name in layer_names(model, ".bn") if name.startswith("stem.")]) == 3 * norm
    assert [model.get_layer(f"stem.conv{i}").use_bias for i in (1, 2, 3)] == [not norm] * 3


@pytest.mark.parametrize("kernel", [2, 3])
def test_stem_pool(kernel):
    assert tiny(stem_pool=kernel).get_layer("stem.pool").pool_size == (kernel, kernel)


def test_use_bias_leaves_the_heads_theirs():
    model = tiny(use_bias=False)
    biased = {layer.name for layer in model.layers if getattr(layer, "use_bias", False)}
    assert biased == {f"head.{output}.conv" for output in model.output}


def test_bn_momentum():
    model = tiny(bn_momentum=0.9)
    assert {model.get_layer(name).momentum for name in layer_names(model, ".bn")} == {0.9}


def test_dropout_follows_every_convolution_of_blocks_and_transitions():
    """Two for each of the four units, one for each of the three transitions."""
    model = tiny(dropout=0.3)
    drops = layer_names(model, ".dropout")
    assert {model.get_layer(name).rate for name in drops} == {0.3}
    convolutions = {n.replace(".conv", "") for n in kernels(model) if n.startswith(("block", "transition"))}
    assert len(drops) == 11 and {n[: -len(".dropout")].replace(".conv", "") for n in drops} == convolutions
    assert not layer_names(tiny(dropout=0), ".dropout")


def test_dropout_changes_training_alone():
    model = tiny(bands=1)
    x = np.random.default_rng(0).uniform(0, 255, (1, 33, 33, 1)).astype(np.float32)
    first, second = (model(x, training=True)["main"].numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(model(x)["main"], model(x)["main"])


def test_placement_reaches_every_resize():
    """33 is 2 * 16 + 1: with aligned corners the class scores at the grid points are those of the head itself."""
    x = np.random.default_rng(0).uniform(0, 255, (1, 33, 33, 3)).astype(np.float32)
    for placement in ("corners", "areas", "exact"):
        model = tiny(placement=placement)
        assert [model.get_layer(name).placement for name in layer_names(model, ".up")] == [placement] * 3
        assert [model.get_layer(f"decoder.up{i}").placement for i in (2, 3)] == [placement] * 2
        both = keras.Model(model.input, [model.get_layer("head.main.conv").output, model.output["main"]])
        scores, logits = both(x)
        assert np.array_equal(logits[:, ::4, ::4], scores) == (placement != "areas")  # an odd size moves nothing


def test_mean_and_std_are_part_of_the_model():
    raw, plain = tiny(bands=2, mean=(10, 20), std=(3, 4)), tiny(bands=2, mean=(0, 0), std=(1, 1))
    plain.set_weights(raw.get_weights())
    x = np.random.default_rng(0).uniform(0, 255, (1, 33, 33, 2)).astype(np.float32)
    expected = plain((x - np.float32([10, 20])) / np.float32([3, 4]))["main"]
    np.testing.assert_allclose(raw(x)["main"], expected, rtol=1e-4, atol=1e-4)
    assert np.abs(raw(x)["main"] - plain(x)["main"]).max() > 0.1


def test_mean_and_std_default_to_the_middle_of_the_pixel_values():
    layer = tiny(bands=4).get_layer("normalize")
    assert (layer.mean, layer.std) == ((127.5,) * 4, (127.5,) * 4)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"stem": "5x5"}, "stem must be one of .*3x3.*7x7.*, got '5x5'"),
        ({"decoder": "unet"}, "decoder must be one of .*did.*plain.*, got 'unet'"),
        ({"stem_pool": 4}, r"stem_pool must be one of \(2, 3\), got 4"),
        ({"smoothing": 2}, r"smoothing must be one of \(1, 3\), got 2"),
        ({"units": (6, 8, 8)}, r"units must have 4 entries, got \(6, 8, 8\)"),
        ({"dilations": (1, 1, 2, 4, 8)}, "dilations must have 4 entries"),
        ({"mean": (1.0, 2.0)}, "mean must have 3 entries"),
        ({"std": (1.0,) * 4}, "std must have 3 entries"),
        ({"std": (1.0, 0.0, 1.0)}, "std must be positive"),
        ({"dropout": 1.0}, "dropout must be a number in"),
        ({"size": 16}, "image height 16 is too small .* takes 17 or more"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)


def test_small_images_are_told_when_the_size_comes_late():
    model = tiny(size=None)
    assert model(np.zeros((1, 17, 17, 3), np.float32))["main"].shape == (1, 17, 17, 5)
    with pytest.raises(ValueError, match="image width 16 is too small"):
        model(np.zeros((1, 17, 16, 3), np.float32))
