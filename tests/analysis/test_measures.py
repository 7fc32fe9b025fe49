"""What a network costs and sees, against closed forms, Keras' own arithmetic and gradients."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf
from models.test_contract import TINY
from tensorflow import keras

from did_tf import models
from did_tf.analysis import gridding, measures
from did_tf.analysis.graph import Graph
from did_tf.models.ladder import GridPooling
from did_tf.models.layers import DenseUpsampling, ResizeBilinear
from did_tf.models.phases import Interleave, Phases
from did_tf.models.placement import Step
from did_tf.models.sunet import Deconvolution

layers = keras.layers


def network(*made, size=(None, None), bands=1):
    """Model of `layers` in a row."""
    image = x = keras.Input((*size, bands), name="image")
    for layer in made:
        x = layer(x)
    return keras.Model(image, {"main": x})


def chain(convolutions):
    """(kernel, stride, dilation) of convolutions in a row -> model."""
    made = [layers.Conv2D(1, k, s, "same", dilation_rate=d, name=f"c{i}") for i, (k, s, d) in enumerate(convolutions)]
    return network(*made)


def transparent(model):
    """The same graph with weights that let every path be seen in a gradient.

    Positive kernels on positive features: no ReLU cuts a path off and no two paths cancel. Average pooling in place of
    max pooling, which passes on one path alone. Kernels keep the features' size within what float32 holds.
    """

    def swapped(layer):
        if not isinstance(layer, layers.MaxPooling2D):
            return type(layer).from_config(layer.get_config())
        kept = {key: layer.get_config()[key] for key in ("name", "pool_size", "strides", "padding")}
        return layers.AveragePooling2D(**kept)

    copy = keras.models.clone_model(model, clone_function=swapped)
    for layer in copy.layers:
        for v in layer.weights:
            if len(v.shape) > 1:
                v.assign(tf.fill(v.shape, 1 / (3 * v.shape[-2])))
    return copy


def moved_by(model, size, output, position=None):
    """bool [height, width]: where the gradient of one place of a layer's output is not zero."""
    inner = keras.Model(model.input, model.get_layer(output).output)
    x = tf.fill((1, *size, model.input.shape[-1]), 255.0)
    with tf.GradientTape() as tape:
        tape.watch(x)
        features = inner(x)
        row, column = position or (features.shape[1] // 2, features.shape[2] // 2)
        place = tf.reduce_sum(features[:, row, column])
    return tape.gradient(place, x).numpy()[0].any(axis=-1)


@pytest.mark.parametrize(
    "convolutions, field",
    [
        ([(3, 1, 1)] * 4, 9),
        ([(7, 2, 1), (3, 2, 1), (3, 1, 1)], 7 + 2 * 2 + 2 * 4),
        ([(3, 1, 2), (3, 1, 4), (5, 1, 3)], 1 + 4 + 8 + 12),
        ([(1, 2, 1), (3, 1, 1)], 1 + 2 * 2),
        ([(3, 2, 1)] * 9, 1 + sum(2 * 2**i for i in range(9))),
        ([(5, 1, 500)], 2001),
    ],
)
def test_receptive_field_of_chains(convolutions, field):
    """1 + sum of (kernel - 1) * dilation * the strides before it."""
    assert measures.receptive_field(chain(convolutions)) == (field, field)


def test_receptive_field_is_told_for_each_axis():
    assert measures.receptive_field(network(layers.Conv2D(1, (3, 5), dilation_rate=(4, 1)))) == (9, 5)


def test_a_network_that_pools_the_whole_image_sees_all_of_it():
    pooled = network(layers.Conv2D(4, 3), layers.GlobalAveragePooling2D(), layers.Dense(2))
    assert measures.receptive_field(pooled) == (math.inf, math.inf)
    assert measures.reach(pooled, 7, 9).all()


@pytest.mark.parametrize("rates, pixels", [((2, 2, 2), 7 * 7), ((1, 2, 3), 13 * 13), ((1, 2, 5, 9), 35 * 35)])
def test_reach_is_figure_2_of_duc(rates, pixels):
    """(a) and (b) of the figure see 13x13 pixels: every second one, and all."""
    reached = measures.reach(chain([(3, 1, rate) for rate in rates]), 41, 41)
    assert reached.sum() == pixels
    side = measures.extent(reached[20])
    cut = slice(20 - side // 2, 21 + side // 2)
    np.testing.assert_array_equal(reached[cut, cut], gridding.coverage(rates))
    assert measures.coverage(reached) == pixels / side**2


@pytest.mark.parametrize("dilations", [(1, 1, 2, 4), (1, 1, 1, 1)])
def test_reach_within_did(dilations):
    """From block 4 to the stem's output: (kernel - 1) * dilation * stride of the 3x3 convolutions and the two pools."""
    model = models.build("did", 5, growth=4, units=(1, 1, 1, 2), dilations=dilations, dropout=0.0)
    expected = sum(2 * n * d * s for n, d, s in zip((1, 1, 1, 2), dilations, (1, 2, 4, 4))) + 1 * 1 + 1 * 2
    reached = measures.reach(model, 513, 513, "block4.unit2.concat", (16, 16), source="stem.pool")
    assert reached.shape == (129, 129)
    assert measures.extent(reached.any(axis=1)) == expected + 1


def single(layer, with_image=False, size=(None, None)):
    """Model of one layer after a convolution that changes nothing; some layers take an image for its size as well."""
    image = keras.Input((*size, 1), name="image")
    x = layers.Conv2D(1, 1, name="before")(image)
    return keras.Model(image, {"main": layer([x, image] if with_image else x)})


SINGLE = {
    "same": lambda: layers.Conv2D(1, 3, padding="same"),
    "valid": lambda: layers.Conv2D(1, 3),
    "strided": lambda: layers.Conv2D(1, 3, 2, "same"),
    "strided by 3": lambda: layers.Conv2D(1, (2, 4), 3, "same"),
    "dilated": lambda: layers.Conv2D(1, 3, padding="same", dilation_rate=(2, 1)),
    "even kernel": lambda: layers.Conv2D(1, 4, padding="same"),
    "depthwise": lambda: layers.DepthwiseConv2D(3, 2),
    "transposed": lambda: layers.Conv2DTranspose(1, 3, 2, "same"),
    "transposed, valid": lambda: layers.Conv2DTranspose(1, (2, 3), 2),
    "transposed by 4": lambda: layers.Conv2DTranspose(1, 8, 4, "same"),
    "transposed, small": lambda: layers.Conv2DTranspose(1, 2, 3, "same"),
    "pooled": lambda: layers.AveragePooling2D(2, 2, "same"),
    "pooled, valid": lambda: layers.AveragePooling2D((3, 2), 2),
    "padded": lambda: layers.ZeroPadding2D(((1, 0), (2, 3))),
    "cropped": lambda: layers.Cropping2D(((1, 0), (2, 1))),
    "nearest": lambda: layers.UpSampling2D((2, 3)),
    "bilinear": lambda: layers.UpSampling2D(4, interpolation="bilinear"),
    "grid": lambda: GridPooling(3),
    "fine grid": lambda: GridPooling(12),
    "phase": lambda: Phases(),
    "normalised": lambda: layers.BatchNormalization(),
    "global": lambda: layers.GlobalAveragePooling2D(),
}


@pytest.mark.parametrize("size", [(9, 10), (7, 11)])
@pytest.mark.parametrize("case", SINGLE)
def test_each_layer_reaches_where_its_gradient_is(case, size):
    check_everywhere(single(SINGLE[case](), size=size), size)


SIZED = {  # a halving of the image, which the layer brings back
    "resize": lambda: ResizeBilinear(),
    "half pixel": lambda: ResizeBilinear("areas"),
    "exact": lambda: ResizeBilinear("exact", [[Step(3, 2)]] * 2),
    "deconvolution": lambda: Deconvolution(1, 2),
    "deconvolution, dilated": lambda: Deconvolution(1, 2, 2),
    "dense": lambda: DenseUpsampling(2),
    "dense, coarse": lambda: DenseUpsampling(2, cell=2),
}


@pytest.mark.parametrize("size", [(9, 10), (7, 11)])
@pytest.mark.parametrize("case", SIZED)
def test_each_layer_that_takes_a_size_reaches_where_its_gradient_is(case, size):
    image = keras.Input((*size, 1), name="image")
    half = layers.Conv2D(4 if "dense" in case else 1, 3, 2, "same")(image)
    check_everywhere(keras.Model(image, {"main": SIZED[case]()([half, image])}), size)


def test_undilated_deconvolution_and_simulation_reach_where_their_gradients_are():
    for size in ((9, 10), (8, 12)):
        image = keras.Input((*size, 1), name="image")
        x = Deconvolution(1, 1, 2, name="apart")([image, image])
        x = Interleave(True)([layers.Conv2D(1, 3, padding="same")(Phases(True)(x)), x])
        check_everywhere(keras.Model(image, {"main": x}), size)


def check_everywhere(model, size):
    """The sizes are Keras', and each pixel alone moves those places that it is reached from."""
    model, output = transparent(model), model.layers[-1].name
    graph = Graph(model, *size)
    for layer in model.layers:
        shape = tuple(layer.output.shape)
        assert graph.sizes[layer.name][1:] == (shape[1:3] if len(shape) == 4 else (1, 1)), layer.name
    # All layers are linear here: an image that is zero but for one pixel shows where that pixel goes.
    pixels = np.eye(math.prod(size), dtype=np.float32).reshape(-1, *size, 1)
    moved = np.asarray(model(pixels)["main"]).reshape(*size, *graph.sizes[output][1:], -1).any(axis=-1)
    for position in np.ndindex(graph.sizes[output][1:]):
        found = graph.reach(output, position, "image")
        np.testing.assert_array_equal(found, moved[(..., *position)], str(position))


@functools.cache
def tiny(name):
    options = {key: 0.0 for key in ("dropout",) if key in models.options(name)}
    return transparent(models.build(name, 5, **TINY[name][0], **options))


@pytest.mark.parametrize("name", TINY)
def test_networks_reach_where_their_gradients_are(name):
    """At the outputs, at the last layers of a few others on the way, and off the centre."""
    model, size = tiny(name), (65, 98)
    for output in model.output:
        last = next(layer.name for layer in model.layers if layer.output is model.output[output])
        for position in (None, (3, 95)):
            expected = moved_by(model, size, last, position)
            np.testing.assert_array_equal(measures.reach(model, *size, output, position), expected, output)
    names = [layer.name for layer in model.layers if hasattr(layer, "kernel_size")]
    for inner in names[1 :: max(len(names) // 4, 1)]:
        np.testing.assert_array_equal(measures.reach(model, *size, inner), moved_by(model, size, inner), inner)


@pytest.mark.parametrize("name", TINY)
def test_rows_and_columns_alone_give_the_box_of_the_map(name):
    model = tiny(name)
    graph = Graph(model, 97, 130)
    last = next(layer.name for layer in model.layers if layer.output is model.output["main"])
    centre = tuple(size // 2 for size in graph.sizes[last][1:])
    both = graph.reach(last, centre, "image")
    for axis in (0, 1):
        np.testing.assert_array_equal(graph.reach(last, centre[axis : axis + 1], "image", (axis,)), both.any(1 - axis))


def test_the_search_for_a_large_enough_image_agrees_with_the_map():
    model = tiny("did")
    rows, columns = measures.receptive_field(model)
    reached = measures.reach(model, 1025, 1025)
    assert (measures.extent(reached.any(1)), measures.extent(reached.any(0))) == (rows, columns)


@pytest.mark.parametrize(
    "kernel, dilation, pixels", [(3, 6, 104), (5, 6, 200), (5, 12, 392), (7, 12, 584), (5, 18, 584)]
)
def test_field_of_view_is_the_papers(kernel, dilation, pixels):
    """Table 1 of fcrn_online_bootstrapping.md counts stride * ((kernel - 1) * dilation + 1)."""
    model = models.build("fcrn", 21, depth=14, width=8, output_stride=8, kernel=kernel, dilation=dilation)
    assert measures.field_of_view(model) == pixels


def test_multiply_adds_by_hand():
    """Image 20x30: halved, 3x3 from 3 to 4; grouped 3x3 (valid); transposed 2x2; dense on each pixel; depthwise."""
    model = network(
        layers.Conv2D(4, 3, 2, "same", name="a"),
        layers.Conv2D(6, 3, groups=2, name="b"),
        layers.Conv2DTranspose(5, 2, 2, name="c"),
        layers.BatchNormalization(),
        layers.Dense(7, name="d"),
        layers.DepthwiseConv2D(3, padding="same", name="e"),
        layers.GlobalAveragePooling2D(),
        layers.Dense(11, name="f"),
        bands=3,
    )
    by_hand = 10 * 15 * 9 * 3 * 4 + 8 * 13 * 9 * 2 * 6 + 8 * 13 * 4 * 6 * 5
    by_hand += 16 * 26 * (5 * 7 + 9 * 7) + 7 * 11
    assert measures.multiply_adds(model, 20, 30) == by_hand


def test_multiply_adds_count_the_four_passes_of_the_simulation():
    shape = {"depth": 14, "width": 8, "output_stride": 8}
    plain, four = (models.build("fcrn", 5, simulation=simulation, **shape) for simulation in (False, True))
    before = Graph(plain, 64, 64)
    once = measures.multiply_adds(plain, 64, 64)
    ahead = sum(
        math.prod(before.sizes[layer.name]) * math.prod(layer.kernel.shape)
        for layer in plain.layers
        if layer.name.startswith(("stem.", "stage1.")) and hasattr(layer, "kernel")
    )
    # The last halving is stage 2's: what comes after it runs four times.
    assert measures.multiply_adds(four, 64, 64) == ahead + 4 * (once - ahead)


def test_multiply_adds_of_resnet50_are_the_published():
    """3.86 G at 224x224, the strides in the first 1x1 of each stage (He et al. 2016, Table 1: 3.8)."""
    total, channels = 112**2 * 7**2 * 3 * 64, 64
    for units, width, side in ((3, 64, 56), (4, 128, 28), (6, 256, 14), (3, 512, 7)):
        for unit in range(units):
            shortcut = 0 if unit else channels * 4 * width
            total += side**2 * (channels * width + 9 * width**2 + 4 * width**2 + shortcut)
            channels = 4 * width
    total += 2048 * 1000
    model = keras.applications.ResNet50(weights=None)
    assert measures.multiply_adds(model, 224, 224) == total
    assert round(total / 1e9, 2) == 3.86


def test_parameters_are_the_trainable():
    """Of batch normalisation two of four."""
    model = network(layers.Conv2D(4, 3, use_bias=True), layers.BatchNormalization(), bands=3)
    assert measures.parameters(model) == 9 * 3 * 4 + 4 + 2 * 4


def test_footprint_is_the_kernel_of_a_convolution():
    """Turned by nothing: the centre's gradient with respect to the pixel a row above is the kernel's upper row."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 1)).astype(np.float32)
    layer = layers.Conv2D(1, 3, padding="same", use_bias=False)
    model = network(layer, bands=2)
    layer.set_weights([kernel])
    found = measures.footprint(model, np.zeros((2, 9, 9, 2), np.float32))
    expected = np.abs(kernel).sum(axis=(2, 3))
    np.testing.assert_allclose(found[3:6, 3:6], expected / expected.sum(), rtol=1e-5)
    np.testing.assert_allclose(found.sum(), 1)


def test_footprint_stays_within_the_reach():
    model = models.build("duc", 5, depth=14, width=8, dilation="plain")
    images = np.random.default_rng(0).uniform(0, 255, (2, 97, 97, 3))
    found = measures.footprint(model, images)
    assert not found[~measures.reach(model, 97, 97)].any()
    assert 1 < measures.effective_size(found) <= 97


def test_footprint_tells_where_nothing_is_measured():
    layer = layers.Conv2D(1, 3)
    model = network(layer)
    layer.set_weights([np.zeros((3, 3, 1, 1)), np.zeros(1)])
    with pytest.raises(ValueError, match="gradient of output 'main' is zero"):
        measures.footprint(model, np.ones((1, 9, 9, 1)))


def test_effective_size():
    spread = np.zeros((21, 31))
    spread[10, 15] = 0.5
    assert measures.effective_size(spread) == 1
    spread[10, 20] = 0.4
    spread[2, 15] = 0.1
    assert measures.effective_size(spread, 0.89) == 11
    assert measures.effective_size(spread) == 17
    assert measures.effective_size(np.ones((20, 20)) / 400, share=1.0) == 21


def test_dilations_are_those_of_the_dilated_stages():
    model = models.build("duc", 5, depth=26, width=8, dilation="bigger")
    assert measures.dilations(model) == {"stage3": [1, 2], "stage4": [5, 9]}
    assert measures.dilations(models.build("did", 5, growth=4, units=(1, 1, 2, 3))) == {
        "block3": [2, 2],
        "block4": [4, 4, 4],
    }


def test_layers_without_a_rule_are_told():
    model = network(layers.Conv2D(2, 3), layers.LayerNormalization(name="odd"))
    with pytest.raises(ValueError, match="no rule for layer 'odd' of type LayerNormalization"):
        measures.reach(model, 9, 9)


def test_layers_that_are_called_twice_are_told():
    layer, image = layers.Conv2D(1, 3, name="twice"), keras.Input((None, None, 1))
    model = keras.Model(image, {"main": layers.ReLU(name="last")(layer(layer(image)))})
    with pytest.raises(ValueError, match="layer 'last' takes the output of a layer that is called more than once"):
        measures.reach(model, 9, 9)


def test_unknown_outputs_are_told():
    for names in ({"output": "aux"}, {"source": "aux"}):
        with pytest.raises(ValueError, match="no output or layer 'aux'; outputs: main"):
            measures.reach(network(layers.Conv2D(1, 3)), 9, 9, **names)
