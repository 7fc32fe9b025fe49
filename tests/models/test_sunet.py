"""Tests of SUNet against the paper's Table 1, Figs. 1 and 2, and its parameter counts (papers.md section 5)."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.common import compat
from did_tf.models.sunet import Deconvolution
from did_tf.runs import checkpoints
from did_tf.training import pretrained

TINY = {"filters": 3, "depth": 1, "widths": (4, 5, 6, 7)}
VARIANTS = {
    "64": {"filters": 64, "depth": 4, "widths": (256, 512, 768, 1024)},
    "128": {"filters": 128, "depth": 4, "widths": (512, 1024, 1536, 2048)},
    "7-128": {"filters": 128, "depth": 7, "widths": (512, 1280, 1792, 2304)},
}
CLASSIFICATION = {"task": "classification"}


@functools.cache
def tiny(size=None, bands=3, **options):
    """A small network with statistics, scales and offsets of its own; one for all tests that want the same."""
    model = models.build("sunet", 5, (size, size, bands), **{**TINY, **options})
    randomize(model)
    return model


@functools.cache
def imagenet(variant):
    return models.build("sunet", 1000, (224, 224, 3), **VARIANTS[variant], **CLASSIFICATION)


def randomize(model):
    rng = np.random.default_rng(0)
    for weight in model.weights:
        kernel = compat.path(weight).endswith("kernel")
        value = rng.normal(0, 0.3, weight.shape) if kernel else rng.uniform(0.5, 1.5, weight.shape)
        compat.tf_variable(weight).assign(value.astype(np.float32))


def kernels(model):
    """{layer: the layer} of all convolutions."""
    return {layer.name: layer for layer in model.layers if hasattr(layer, "kernel_size")}


def between(model, first, *last):
    """The part of `model` from the output of layer `first` to those of the layers `last`."""
    return keras.Model(model.get_layer(first).output, [model.get_layer(name).output for name in last])


def encoder_weights(model):
    found = {compat.path(v): tuple(v.shape) for v in model.weights}
    return {path: shape for path, shape in found.items() if models.part(path) == "encoder"}


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    "variant, parameters, layers", [("64", 6_910_248, 110), ("128", 24_704_360, 110), ("7-128", 37_731_944, 170)]
)
def test_parameters_and_layers_are_the_papers(variant, parameters, layers):
    """Table 1 counts convolutions and the fully-connected layer; not the five 1x1 of the shortcuts."""
    model = imagenet(variant)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == parameters
    shortcuts = [name for name in kernels(model) if name.endswith(".shortcut")]
    assert shortcuts == ["residual.shortcut", *(f"block{i}.unet1.shortcut" for i in (1, 2, 3, 4))]
    assert len(kernels(model)) - len(shortcuts) + 1 == layers


@pytest.mark.parametrize("variant", VARIANTS)
def test_blocks_have_the_sizes_of_table_1(variant):
    model, depth = imagenet(variant), VARIANTS[variant]["depth"]
    names = ["stem.conv", "residual.add", *(f"block{i}.unet{n}.add" for i, n in enumerate((2, depth, depth, 1), 1))]
    shapes = [(112, 112, 64), (56, 56, 128)]
    shapes += [(n, n, width) for n, width in zip((56, 28, 14, 7), VARIANTS[variant]["widths"])]
    assert [tuple(model.get_layer(name).output.shape[1:]) for name in names] == shapes
    assert tuple(model.output["main"].shape) == (None, 1000)


def test_a_module_has_the_layers_of_figure_1():
    """In 56x56: sizes of the outputs, filters and kernels of the ten convolutions; u-net+ in block 4 has six."""
    convolutions = kernels(imagenet("64"))
    module = {
        "reduce.conv": (56, 64, 1),
        "e1.down.conv": (28, 64, 3),
        "e1.conv.conv": (28, 64, 3),
        "e2.down.conv": (14, 64, 3),
        "e2.conv.conv": (14, 64, 3),
        "d2.up.deconv": (28, 64, 3),
        "d2.conv.conv": (28, 64, 3),
        "d1.up.deconv": (56, 64, 3),
        "d1.conv.conv": (56, 64, 3),
        "expand.conv": (56, 256, 1),
    }
    found = {name: layer for name, layer in convolutions.items() if name.startswith("block1.unet2.")}
    shapes = {
        name[len("block1.unet2.") :]: (layer.output.shape[1], layer.filters, layer.kernel_size[0])
        for name, layer in found.items()
    }
    assert shapes == module
    assert found["block1.unet2.d1.up.deconv"].input[0].shape[-1] == 2 * 64
    last = [name.split(".", 2)[2] for name in convolutions if name.startswith("block4.")]
    assert set(last) == {"shortcut", *(name for name in module if "2." not in name)}
    assert {convolutions[f"block4.unet1.{name}"].output.shape[1] for name in ("e1.down.conv", "e1.conv.conv")} == {4}


@pytest.mark.parametrize("variant", ["plain", "expanding"])
@pytest.mark.parametrize("size", [(8, 8), (5, 7), (6, 3), (1, 2)])
def test_a_module_is_the_one_of_figure_1(variant, size):
    """Against the same recomputed with PyTorch's padding; 5 -> 3 -> 2 -> 3 -> 5."""
    model = tiny()
    name, first = {"plain": ("block1.unet2", "block1.unet1.add"), "expanding": ("block1.unet1", "residual.add")}[
        variant
    ]
    part = between(model, first, f"{name}.add")

    def bn_relu(x, layer):
        gamma, beta, mean, variance = model.get_layer(f"{name}.{layer}.bn").get_weights()
        return np.maximum((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)

    def conv(x, layer, strides=1):
        kernel, bias = model.get_layer(f"{name}.{layer}").get_weights()
        pad = (kernel.shape[0] // 2,) * 2
        return tf.nn.conv2d(np.pad(x, ((0, 0), pad, pad, (0, 0))), kernel, strides, "VALID").numpy() + bias

    def deconv(x, layer, like):
        kernel, bias = model.get_layer(f"{name}.{layer}").get_weights()
        return deconvolved(x, kernel, like.shape[1:3], 2, 1) + bias

    x = noise(2, *size, part.input.shape[-1])
    activated = bn_relu(x, "reduce")
    reduced = conv(activated, "reduce.conv")
    e1 = conv(bn_relu(conv(bn_relu(reduced, "e1.down"), "e1.down.conv", 2), "e1.conv"), "e1.conv.conv")
    e2 = conv(bn_relu(conv(bn_relu(e1, "e2.down"), "e2.down.conv", 2), "e2.conv"), "e2.conv.conv")
    d2 = conv(bn_relu(deconv(bn_relu(e2, "d2.up"), "d2.up.deconv", e1), "d2.conv"), "d2.conv.conv")
    joined = np.concatenate([d2, e1], -1)
    d1 = conv(bn_relu(deconv(bn_relu(joined, "d1.up"), "d1.up.deconv", reduced), "d1.conv"), "d1.conv.conv")
    expected = conv(bn_relu(d1, "expand"), "expand.conv")
    expected = expected + (x if variant == "plain" else conv(activated, "shortcut"))
    np.testing.assert_allclose(part(x)[0] if isinstance(part(x), list) else part(x), expected, rtol=1e-3, atol=1e-3)


def deconvolved(x, kernel, size, strides, dilation):
    """Point i of x is spread over the points strides * i + dilation * (-1, 0, 1) of `size`, one tap at a time."""
    outputs = np.zeros((len(x), *size, kernel.shape[2]))
    for i, j, a, b in np.ndindex(*x.shape[1:3], 3, 3):
        row, column = strides * i + dilation * (a - 1), strides * j + dilation * (b - 1)
        if 0 <= row < size[0] and 0 <= column < size[1]:
            outputs[:, row, column] += x[:, i, j] @ kernel[a, b].T
    return outputs


@pytest.mark.parametrize("size", [(8, 6), (9, 7), (5, 4), (1, 2)])
@pytest.mark.parametrize("strides, dilation", [(1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (2, 4)])
def test_deconvolution(strides, dilation, size):
    layer = Deconvolution(3, strides, dilation, "glorot_normal")
    x = noise(2, *(-(-side // strides) for side in size), 4)
    like = np.zeros((2, *size, 1), np.float32)
    layer([x, like])
    layer.set_weights([noise(3, 3, 3, 4), noise(3)])
    kernel, bias = layer.get_weights()
    expected = deconvolved(x, kernel, size, strides, dilation) + bias
    dynamic = tf.function(
        lambda *inputs: layer(list(inputs)),
        input_signature=[tf.TensorSpec([None] * 3 + [4])] * 1 + [tf.TensorSpec([None] * 4)],
    )
    for outputs in (layer([x, like]), dynamic(x, like)):
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-4)


def test_deconvolution_tells_what_it_does_not_take():
    for strides, dilation in ((3, 1), (2, 3)):
        with pytest.raises(ValueError, match=f"strides {strides} with dilation {dilation}: takes"):
            Deconvolution(4, strides, dilation)


@pytest.mark.parametrize("size", [(96, 64), (97, 31)])
@pytest.mark.parametrize("output_stride, multigrid", [(32, True), (16, True), (8, True), (8, False)])
def test_output_stride_is_that_of_the_logits(output_stride, multigrid, size):
    model = tiny(output_stride=output_stride, multigrid=multigrid)
    logits, placement, _ = models.own_resolution(model)["main"]
    both = keras.Model(model.input, [logits, model.output["main"]])
    own, full = both(noise(1, *size, 3))
    assert own.shape == (1, *(-(-side // output_stride) for side in size), 5)
    assert full.shape == (1, *size, 5) and placement == "areas"


MULTIGRID = {
    32: {3: {"e1": (1, 1), "e2": (1, 1), "d2": (1, 1), "d1": (1, 1)}, 4: {"e1": (1, 1), "d1": (1, 1)}},
    16: {3: {"e1": (1, 1), "e2": (1, 1), "d2": (1, 1), "d1": (1, 1)}, 4: {"e1": (2, 4), "d1": (4, 2)}},
    8: {3: {"e1": (2, 4), "e2": (4, 8), "d2": (8, 4), "d1": (4, 2)}, 4: {"e1": (4, 8), "d1": (8, 4)}},
}


@pytest.mark.parametrize("output_stride", [32, 16, 8])
def test_multigrid_dilations_are_those_of_figure_2(output_stride):
    convolutions = kernels(tiny(depth=2, output_stride=output_stride))
    for block, modules in ((1, 2), (2, 2), (3, 2), (4, 1)):
        for module in range(1, modules + 1):
            expected = MULTIGRID[output_stride].get(block, MULTIGRID[32][3])
            for part, dilations in expected.items():
                first = "down.conv" if part.startswith("e") else "up.deconv"
                pair = [convolutions[f"block{block}.unet{module}.{part}.{name}"] for name in (first, "conv.conv")]
                assert tuple(layer.dilation_rate[0] for layer in pair) == dilations
                assert [layer.strides[0] for layer in pair] == [1 if max(dilations) > 1 else 2, 1]
    assert {layer.dilation_rate[0] for name, layer in convolutions.items() if "unet" not in name} == {1}


@pytest.mark.parametrize("block, feed, factor", [(3, "block2.unet1.add", 2), (4, "block3.unet1.add", 4)])
@pytest.mark.parametrize("size", [(24, 16), (21, 9)])
def test_multigrid_gives_on_the_subsampled_grid_what_strides_give(block, feed, factor, size):
    """Down to the innermost convolution. Not up again: a dilated transposed convolution has all its taps everywhere,
    one with stride 2 only the middle one on the points that both have."""
    multigrid, strided = tiny(output_stride=8), tiny(output_stride=32)
    strided.set_weights(multigrid.get_weights())
    ends = [f"block{block}.unet1.e{level}.conv.conv" for level in (1, 2)[: 5 - block]]
    x = noise(1, *size, TINY["widths"][block - 2])
    fine = between(multigrid, feed, *ends)(x)
    coarse = between(strided, f"transition{block - 1}.pool", *ends)(x[:, ::factor, ::factor])
    for level, (found, expected) in enumerate(zip(tf.nest.flatten(fine), tf.nest.flatten(coarse)), 1):
        assert found.shape[1:3] == size
        step = factor * 2**level
        np.testing.assert_allclose(found[:, ::step, ::step], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("output_stride, rate", [(32, 1), (8, 2)])
def test_the_innermost_convolution_sees_19_points(output_stride, rate):
    """Section 3.1; with multigrid 19 points at twice the distance, which is as far as before."""
    model = tiny(output_stride=output_stride)
    inner = between(model, "block3.unet1.e1.down.relu", "block3.unet1.e2.conv.conv")
    inner.set_weights([np.full(w.shape, 0.1) for w in inner.get_weights()])
    x = tf.ones([1, 64, 64, 3])
    with tf.GradientTape() as tape:
        tape.watch(x)
        outputs = tf.nest.flatten(inner(x))[0]
        pixel = tf.reduce_sum(outputs[0, outputs.shape[1] // 2, outputs.shape[2] // 2])
    rows = np.flatnonzero(tape.gradient(pixel, x).numpy()[0].any(axis=(1, 2)))
    assert rows[-1] - rows[0] == 18 * rate


@pytest.mark.parametrize("size", [(16, 12), (13, 11)])
def test_the_strided_alternative_keeps_strides_and_drops_alternate_points(size):
    """Section 7.3: "alternate feature points are dropped without being processed by any of the filters"."""
    model, block = tiny(output_stride=8, multigrid=False), "block3.unet1"
    names = ["e1.conv.conv", "e2.conv.conv", "d2.up.deconv", "d1.up.deconv", "expand.conv"]
    part = between(model, f"{block}.reduce.conv", *(f"{block}.{name}" for name in names))
    x = noise(1, *size, 3)
    e1, e2, d2, d1, expanded = part(x)
    halves = [tuple(-(-side // step) for side in size) for step in (1, 2, 4)]
    assert [tuple(tap.shape[1:3]) for tap in (e1, e2, d2, d1, expanded)] == [halves[i] for i in (1, 2, 1, 0, 0)]
    other = noise(1, *size, 3, seed=1)
    other[:, ::2, ::2] = x[:, ::2, ::2]
    np.testing.assert_array_equal(part(other)[0], e1)
    bias = model.get_layer(f"{block}.d1.up.deconv").get_weights()[1]
    np.testing.assert_allclose(d1[:, 1::2], np.broadcast_to(bias, d1[:, 1::2].shape), rtol=1e-6)
    np.testing.assert_allclose(d1[:, :, 1::2], np.broadcast_to(bias, d1[:, :, 1::2].shape), rtol=1e-6)
    assert np.abs(d1[:, ::2, ::2] - bias).min() > 0


def test_strided_dilations_are_the_same_throughout_a_module():
    """Section 5.2: 2 in block 3, 4 in block 4. A convolution after every second point counts its dilation twice."""
    model = tiny(output_stride=8, multigrid=False)
    convolutions, names = kernels(model), {layer.name for layer in model.layers}
    for block, rate in ((3, 2), (4, 4)):
        for name, layer in convolutions.items():
            if name.startswith(f"block{block}.") and layer.kernel_size == (3, 3):
                halved = name.endswith(".down.conv")
                assert not halved or name.replace(".down.conv", ".down.every2") in names
                assert layer.dilation_rate[0] * (2 if halved else 1) == rate
                assert layer.strides[0] == (2 if name.endswith(".deconv") else 1)


def test_an_encoder_has_the_same_weights_whatever_it_is_for():
    expected = encoder_weights(tiny(**CLASSIFICATION))
    for options in (
        {"output_stride": 32},
        {"output_stride": 16},
        {"output_stride": 8},
        {"output_stride": 16, "multigrid": False},
        {"output_stride": 8, "multigrid": False},
        {"output_stride": 8, "degridding": True},
    ):
        assert encoder_weights(tiny(**options)) == expected
    own = {path for path in map(compat.path, tiny(**CLASSIFICATION).weights) if path not in expected}
    assert own == {"head.main.dense/kernel", "head.main.dense/bias"}
    assert {"tail.bn/gamma", "residual.shortcut/kernel", "block4.unet1.d1.up.deconv/kernel"} <= set(expected)


@pytest.mark.parametrize("stride, told", [(32, ""), (16, ", trained with other settings: output_stride (32, here 16)")])
def test_segmentation_starts_from_a_classification_run(stride, told, tmp_path):
    """Its features are of output stride 32: with another they differ, and a line says so; what is new stays."""
    classifier, model = tiny(**CLASSIFICATION), models.build("sunet", 5, **TINY, output_stride=stride)
    head, file = model.get_layer("head.main.conv").get_weights(), tmp_path / "best" / "weights.npz"
    was, own = (
        {"network": models.described({"name": "sunet", **TINY, **options}), "data": {"bands": 3}}
        for options in (CLASSIFICATION, {"output_stride": stride})
    )
    checkpoints.write(file, checkpoints.model_state(classifier), was)
    assert pretrained.load_encoder(model, str(tmp_path), own) == f"{file}{told}"
    x = noise(1, 40, 31, 3)
    first, second = (keras.Model(m.input, m.get_layer("tail.relu").output)(x) for m in (classifier, model))
    assert np.array_equal(first, second) == (not told)
    for new, old in zip(model.get_layer("head.main.conv").get_weights(), head):
        np.testing.assert_array_equal(new, old)


def test_classification_is_a_dense_layer_on_the_mean_of_the_features():
    model = tiny(**CLASSIFICATION)
    dense = model.get_layer("head.main.dense")
    for size in ((64, 64), (33, 49), (17, 17)):
        x = np.random.default_rng(0).uniform(0, 255, (2, *size, 3)).astype(np.float32)
        features = tf.nest.flatten(between(model, "image", "tail.relu")(x))[0].numpy()
        kernel, bias = dense.get_weights()
        logits = model(x)["main"]
        assert features.min() >= 0 and logits.dtype == tf.float32
        np.testing.assert_allclose(logits, features.mean((1, 2)) @ kernel + bias, rtol=1e-3, atol=1e-3)


def test_classification_is_at_output_stride_32_whatever_segmentation_has():
    first, second = (tiny(64, output_stride=stride, **CLASSIFICATION) for stride in (32, 8))
    assert first.get_layer("tail.relu").output.shape[1] == second.get_layer("tail.relu").output.shape[1] == 2


def test_classification_survives_json_and_16_bits():
    model = tiny(**CLASSIFICATION)
    copy = keras.models.model_from_json(model.to_json())
    copy.set_weights(model.get_weights())
    x = noise(2, 40, 31, 3)
    np.testing.assert_allclose(copy(x)["main"], model(x)["main"], rtol=1e-5)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    narrow = models.build("sunet", 5, (None, None, 3), **TINY, **CLASSIFICATION)
    assert narrow(x)["main"].dtype == tf.float32
    assert {tf.as_dtype(v.dtype) for v in narrow.weights} == {tf.float32}


def test_degridding_adds_two_convolutions_of_falling_dilation():
    plain, model = tiny(), tiny(degridding=True)
    added = [layer.name for layer in model.layers if layer.name not in {other.name for other in plain.layers}]
    assert {models.part(name) for name in added} == {"decoder"}
    convolutions = [layer for name, layer in kernels(model).items() if name in added]
    assert [(c.filters, c.kernel_size[0], c.dilation_rate[0]) for c in convolutions] == [(512, 3, 2), (512, 3, 1)]
    assert [layer.name for layer in model.layers if layer.name.startswith("decoder.degrid2.")] == [
        f"decoder.degrid2.{end}" for end in ("conv", "bn", "relu")
    ]
    assert model.get_layer("head.main.conv").input.shape[-1] == 512


def test_batch_norm_biases_and_initializers():
    model = models.build("sunet", 5, **TINY)
    norms = [layer for layer in model.layers if layer.name.endswith(".bn")]
    assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.99)}
    assert {tiny(bn_momentum=0.9).get_layer(layer.name).momentum for layer in norms} == {0.9}
    for name, layer in kernels(model).items():
        assert len(layer.weights) == 2, name
        initializer = layer.kernel_initializer.get_config()
        expected = {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"}
        if name != "head.main.conv":
            assert {key: initializer[key] for key in expected} == expected, name


def test_a_new_head_starts_with_small_logits():
    """Over a fan-out of 5 classes they would have a spread of the order of ten."""
    model = models.build("sunet", 5, **{**TINY, "widths": (4, 5, 6, 1024)})
    model(noise(2, 64, 64, 3) * 100 + 127, training=True)
    assert model(noise(2, 64, 64, 3) * 100 + 127, training=True)["main"].numpy().std() < 3


@pytest.mark.parametrize("placement", ["corners", "areas"])
def test_aligned_corners_put_scores_on_every_stride_th_pixel(placement):
    """49 is 3 * 16 + 1: with aligned corners the scores at the grid points are the head's own."""
    model = tiny(placement=placement)
    both = keras.Model(model.input, [model.get_layer("head.main.conv").output, model.output["main"]])
    scores, logits = both(noise(1, 49, 49, 3))
    assert np.array_equal(logits[:, ::16, ::16], scores) == (placement == "corners")


@pytest.mark.parametrize(
    "options, message",
    [
        ({"task": "detection"}, "sunet: task must be one of .*segmentation.*classification.*, got 'detection'"),
        ({"output_stride": 4}, r"output_stride must be one of \(32, 16, 8\), got 4"),
        ({"widths": (1, 2, 3)}, r"widths must have 4 entries, got \(1, 2, 3\)"),
        ({"mean": (1.0, 2.0)}, "mean must have 3 entries"),
        ({"size": 16}, "image height 16 is too small .* takes 17 or more"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)
