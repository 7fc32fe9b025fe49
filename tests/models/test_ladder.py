"""Tests of Ladder DenseNet against the paper's sections 3 and 5 and the counts of papers.md section 2."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.common import compat
from did_tf.models.ladder import GridPooling

TINY = {"growth": 4, "units": (1, 1, 1, 2), "width": 8}
TINY_RESNET = {"encoder": "resnet14", "growth": 32, "units": None, "split": ()}


@functools.cache
def tiny(size=65, bands=3, **options):
    """A small network; one for all tests that want the same."""
    return models.build("ladder", 5, (size, size, bands), **{**TINY, **options})


@functools.cache
def paper(encoder):
    """The paper's network for Cityscapes, on images of 128x256."""
    return models.build("ladder", 19, (128, 256, 3), encoder=encoder, split=() if "resnet" in encoder else (4,))


def large(*case):
    """A case that takes seconds, of whose kind there is a smaller one."""
    return pytest.param(*case, marks=pytest.mark.slow)


def parameters(model, part=None):
    """Trainable parameters, of one part or all."""
    kept = [layer for layer in model.layers if part in (None, models.part(layer.name))]
    return sum(int(np.prod(v.shape)) for layer in kept for v in layer.trainable_variables)


def pixels(*shape, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


def steps_up(model):
    """Strides that the way up passes, coarsest first."""
    names = [layer.name.split(".")[1] for layer in model.layers if layer.name.endswith(".blend.conv")]
    return [int(name[len("up") :]) for name in names]


def sizes(model):
    """{output: (height, width) of its logits at the network's own resolution}."""
    return {output: tuple(logits.shape[1:3]) for output, (logits, *_) in models.own_resolution(model).items()}


@functools.cache
def randomised(size=65, **options):
    """A small network like `tiny`, whose normalisations and biases all do something."""
    model = models.build("ladder", 5, (size, size, 3), **{**TINY, **options})
    random = np.random.default_rng(0)
    model.set_weights([random.uniform(0.5, 1.5, w.shape) if w.ndim == 1 else w for w in model.get_weights()])
    return model


@pytest.mark.parametrize("encoder, count", [("densenet121", 9_588_390), large("densenet169", 15_529_894)])
def test_parameter_counts_are_those_of_the_reference(encoder, count):
    assert parameters(paper(encoder)) == count


@pytest.mark.parametrize(
    "encoder, classifier, without",
    [
        ("densenet121", 7_978_856, 1025 * 1000 + 2 * 1024),
        large("densenet169", 14_149_480, 1665 * 1000 + 2 * 1664),
        ("resnet50", 25_557_032, 2049 * 1000),
    ],
)
def test_encoders_have_the_parameters_of_the_imagenet_networks(encoder, classifier, without):
    """torchvision's counts, without the fully connected layer and, of DenseNets, the last normalisation."""
    assert parameters(paper(encoder), "encoder") == classifier - without


@pytest.mark.parametrize(
    "encoder, taps, last",
    [
        ("densenet121", (256, 512, 1024, 768), 1024),
        pytest.param("densenet169", (256, 512, 1280, 1152), 1664, marks=pytest.mark.slow),
        ("resnet50", (256, 512, 1024), 2048),
    ],
)
def test_taps_have_the_papers_features_and_halve_in_size(encoder, taps, last):
    model = paper(encoder)
    strides = [2**i for i in range(2, 2 + len(taps))]
    for stride, features in zip(strides, taps):
        tap = model.get_layer(f"decoder.up{stride}.project.bn").input
        assert tuple(tap.shape[1:]) == (128 // stride, 256 // stride, features)
    assert steps_up(model) == strides[::-1]
    bottom = 2 * strides[-1]
    context = model.get_layer("decoder.context.project.bn").input
    assert tuple(context.shape[1:]) == (128 // bottom, 256 // bottom, last)
    convolutions = [model.get_layer(f"decoder.context.{name}.conv") for name in ("project", "dilated")]
    found = [(conv.filters, conv.kernel_size[0], conv.dilation_rate[0]) for conv in convolutions]
    assert found == [(512, 1, 1), (128, 3, 2)]


def test_main_is_predicted_at_a_quarter_and_aux_at_a_64th():
    model = paper("densenet121")
    assert sizes(model) == {"main": (32, 64), "aux": (2, 4)}
    assert {output: tuple(x.shape[1:]) for output, x in model.output.items()} == dict.fromkeys(
        ("main", "aux"), (128, 256, 19)
    )


@pytest.mark.parametrize(
    "options, up, main, aux",
    [
        ({}, [32, 16, 8, 4], 64, 4),
        ({"aux": False}, [32, 16, 8, 4], 64, None),
        ({"split": ()}, [16, 8, 4], 64, 8),
        ({"split": (3, 4), "units": (1, 1, 2, 2)}, [64, 32, 16, 8, 4], 64, 2),
        ({"split": (), "output_stride": 8}, [4], 64, 32),
        ({"split": (), "output_stride": 16}, [8, 4], 64, 16),
        ({"split": (), "decoder": "plain"}, [], 8, None),
        ({"context": "spp"}, [32, 16, 8, 4], 64, 4),
        ({"stem_pool": 2}, [32, 16, 8, 4], 64, 4),
        (TINY_RESNET, [16, 8, 4], 64, 8),
        ({**TINY_RESNET, "output_stride": 8}, [4], 64, 32),
        ({**TINY_RESNET, "decoder": "plain"}, [], 8, None),
    ],
)
def test_structures_of_table_1(options, up, main, aux):
    """Steps of the way up, and sizes of the logits of a 256x256 image."""
    model = tiny(256, **options)
    assert steps_up(model) == up
    assert sizes(model) == {"main": (main, main), **({"aux": (aux, aux)} if aux else {})}


def test_the_papers_networks_have_four_dense_blocks_and_pool_in_the_middle_of_the_last():
    names = [layer.name for layer in paper("densenet169").layers]
    units = [len([n for n in names if n.startswith(f"block{i}.") and n.endswith(".concat")]) for i in (1, 2, 3, 4)]
    assert units == [6, 12, 32, 32]
    split = names.index("block4.split")
    assert names.index("block4.unit16.concat") < split < names.index("block4.unit17.concat")


def test_splitting_and_dilating_leave_the_encoders_weights_as_they_are():
    """ImageNet weights, and those of any other variant, fit."""

    def weights(**options):
        model = tiny(units=(1, 1, 2, 2), **options)
        variables = [v for layer in model.layers if models.part(layer.name) == "encoder" for v in layer.weights]
        return [(compat.path(v), tuple(v.shape)) for v in variables]

    whole = weights(split=())
    for options in ({"split": (4,)}, {"split": (3, 4)}, {"split": (), "output_stride": 8}):
        assert weights(**options) == whole


def test_dilation_takes_the_place_of_the_last_poolings():
    model = tiny(units=(1, 1, 2, 2), split=(), output_stride=8)
    dilations = [model.get_layer(f"block{i}.unit1.conv3x3.conv").dilation_rate[0] for i in (1, 2, 3, 4)]
    assert dilations == [1, 1, 2, 4]


@pytest.mark.parametrize("options", [{}, TINY_RESNET, {"context": "spp"}])
@pytest.mark.parametrize("height, width", [(17, 17), (65, 97), (130, 71)])
def test_odd_sizes_round_up_at_every_level(options, height, width):
    model = randomised(None, **options)
    bottom = 32 if "encoder" in options else 64
    own = keras.Model(model.input, {output: x for output, (x, *_) in models.own_resolution(model).items()})
    scores = own(pixels(1, height, width, 3))
    assert {output: tuple(x.shape[1:3]) for output, x in scores.items()} == {
        "main": (-(-height // 4), -(-width // 4)),
        "aux": (-(-height // bottom), -(-width // bottom)),
    }
    assert all(np.isfinite(x).all() for x in scores.values())


def activated(model, x, name):
    """Batch normalisation and ReLU of layer `name`, by its formula."""
    norm = model.get_layer(f"{name}.bn")
    gamma, beta, mean, variance = (v.astype(np.float64) for v in norm.get_weights())
    return np.maximum((x - mean) / np.sqrt(variance + 1e-5) * gamma + beta, 0)


@pytest.mark.parametrize("stride", [32, 16, 8, 4])
def test_a_step_up_is_resizing_projection_concatenation_and_one_3x3(stride):
    model = randomised(130)
    below = "decoder.context.dilated.conv" if stride == 32 else f"decoder.up{2 * stride}.blend.conv"
    names = [below, f"decoder.up{stride}.blend.conv"]
    tap = model.get_layer(f"decoder.up{stride}.project.bn").input
    parts = keras.Model(model.input, [model.get_layer(name).output for name in names] + [tap])
    coarse, result, tap = (x.numpy() for x in parts(pixels(2, 130, 130, 3)))
    resized = tf.image.resize(coarse, tap.shape[1:3], "bilinear").numpy()  # half pixel
    kernel = model.get_layer(f"decoder.up{stride}.project.conv").get_weights()[0][0, 0]
    joined = np.concatenate([resized, activated(model, tap, f"decoder.up{stride}.project") @ kernel], -1)
    joined = activated(model, joined, f"decoder.up{stride}.blend")
    kernel = model.get_layer(f"decoder.up{stride}.blend.conv").get_weights()[0]
    expected = tf.nn.conv2d(joined, kernel.astype(np.float64), 1, "SAME")
    assert kernel.shape == (3, 3, 16, 8)
    np.testing.assert_allclose(result, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 7), (6, 6), (13, 18)])
@pytest.mark.parametrize("cells", [1, 2, 3, 6])
def test_grid_pooling_is_the_mean_of_each_cell(size, cells):
    x = pixels(2, *size, 3)

    def spans(length):
        return [slice(length * i // cells, int(np.ceil(length * (i + 1) / cells))) for i in range(cells)]

    expected = [[x[:, rows, columns].mean((1, 2)) for columns in spans(size[1])] for rows in spans(size[0])]
    np.testing.assert_allclose(GridPooling(cells)(x), np.moveaxis(expected, 2, 0), rtol=1e-4)


def test_the_pyramid_joins_four_grids_and_the_features():
    model = randomised(257, context="spp")
    names = ["project.conv", "grid1.up", "grid2.up", "grid3.up", "grid6.up", "concat"]
    parts = keras.Model(model.input, [model.get_layer(f"decoder.context.{name}").output for name in names])
    features, *grids, joined = (x.numpy() for x in parts(pixels(1, 257, 257, 3)))
    assert [x.shape for x in (features, *grids)] == [(1, 5, 5, 32)] + 4 * [(1, 5, 5, 8)]
    np.testing.assert_array_equal(joined, np.concatenate([features, *grids], -1))
    for cells, grid in zip((1, 2, 3, 6), grids):
        pooled = activated(model, GridPooling(cells)(features).numpy(), f"decoder.context.grid{cells}")
        pooled = pooled @ model.get_layer(f"decoder.context.grid{cells}.conv").get_weights()[0][0, 0]
        expected = tf.image.resize(pooled, (5, 5), "bilinear")
        np.testing.assert_allclose(grid, expected, rtol=1e-3, atol=1e-3 * np.abs(grid).max())


def test_the_heads_are_relu_and_1x1_with_a_bias_and_nothing_else_has_one():
    model = randomised()
    biased = {layer.name for layer in model.layers if getattr(layer, "use_bias", False)}
    assert biased == {"head.main.conv", "head.aux.conv"}
    names = ("decoder.up4.blend.conv", "head.main.conv", "decoder.context.dilated.conv", "head.aux.conv")
    parts = keras.Model(model.input, [model.get_layer(name).output for name in names])
    fine, main, coarse, aux = (x.numpy() for x in parts(pixels(1, 65, 65, 3)))
    for features, scores, name in ((fine, main, names[1]), (coarse, aux, names[3])):
        kernel, bias = model.get_layer(name).get_weights()
        np.testing.assert_allclose(scores, np.maximum(features, 0) @ kernel[0, 0] + bias, rtol=1e-3, atol=1e-3)


def test_aux_teaches_everything_up_to_the_context_and_main_all():
    model = tiny()

    def reached(output):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model(pixels(1, 65, 65, 3))[output] ** 2)
        variables = {compat.path(v).split("/")[0]: compat.tf_variable(v) for v in model.trainable_variables}
        gradients = tape.gradient(total, variables)
        return {name for name, gradient in gradients.items() if gradient is not None}

    main, aux = reached("main"), reached("aux")
    assert main - aux == {name for name in main if name.startswith(("decoder.up", "head.main"))}
    assert aux - main == {"head.aux.conv"}


def test_layers_belong_to_the_parts_that_the_recipe_treats_apart():
    parts = {part: set() for part in models.PARTS}
    for layer in tiny().layers:
        parts[models.part(layer.name)].add(layer.name.split(".")[0])
    assert parts["decoder"] == {"decoder"} and parts["head"] == {"head"}
    blocks = {f"block{i}" for i in (1, 2, 3, 4)} | {f"transition{i}" for i in (1, 2, 3)}
    assert parts["encoder"] == {"image", "normalize", "stem", *blocks}


def test_batch_norm_has_the_authors_settings():
    for model in (tiny(), tiny(**TINY_RESNET)):
        norms = [layer for layer in model.layers if layer.name.endswith(".bn")]
        assert {(layer.epsilon, layer.momentum) for layer in norms} == {(1e-5, 0.9)}


def test_dropout_is_in_the_encoder_and_changes_training_alone():
    assert not [layer for layer in tiny().layers if layer.name.endswith(".dropout")]
    model = tiny(dropout=0.3)
    drops = [layer.name for layer in model.layers if layer.name.endswith(".dropout")]
    assert {model.get_layer(name).rate for name in drops} == {0.3}
    assert len(drops) == 2 * 5 + 3 and {models.part(name) for name in drops} == {"encoder"}
    x = pixels(1, 65, 65, 3)
    np.testing.assert_array_equal(model(x)["main"], model(x)["main"])
    first, second = (model(x, training=True)["main"].numpy() for _ in range(2))
    assert np.abs(first - second).max() > 1e-3


@pytest.mark.parametrize("placement", ["corners", "areas", "exact"])
def test_placement_reaches_every_resize(placement):
    """The cells of the pyramid are areas of the map, wherever that stands."""
    model = tiny(context="spp", placement=placement)
    resizes = [layer for layer in model.layers if layer.name.endswith(".up")]
    assert len(resizes) == 4 + 4 + 2
    kinds = {layer.placement for layer in resizes if ".grid" not in layer.name}
    assert kinds == {placement}
    assert {layer.placement for layer in resizes} - kinds == ({"areas"} if placement == "exact" else set())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"encoder": "densenet120"}, "encoder must be one of .*densenet121.*resnet50.*, got 'densenet120'"),
        ({"output_stride": 4}, r"output_stride must be one of \(32, 16, 8\), got 4"),
        ({"split": (5,)}, r"split must be one of \(1, 2, 3, 4\), got 5"),
        ({"context": "aspp"}, "context must be one of .*block.*spp.*, got 'aspp'"),
        ({"decoder": "32x"}, "decoder must be one of .*ladder.*plain.*, got '32x'"),
        ({"units": 3}, "units must be a tuple of values, each a whole number, or None, got 3"),
        ({"stem_pool": 4}, r"stem_pool must be one of \(2, 3\), got 4"),
        ({"units": (6, 12, 24)}, r"units must have 4 entries, got \(6, 12, 24\)"),
        ({**TINY_RESNET, "split": (4,)}, r"resnet14 has no split: it must be \(\), got \(4,\)"),
        ({**TINY_RESNET, "growth": 48}, "resnet14 has no growth: it must be 32, got 48"),
        ({**TINY_RESNET, "dropout": 0.2}, "resnet14 has no dropout: it must be 0.0, got 0.2"),
        ({"mean": (1.0, 2.0)}, "mean must have 3 entries"),
        ({"dropout": 1.0}, "dropout must be a number in"),
        ({"size": 16}, "image height 16 is too small .* takes 17 or more"),
    ],
)
def test_bad_options_are_told(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)
