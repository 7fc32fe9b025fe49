import re

import cv2
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import expit
from tensorflow import keras

from data_pipelines.spec import DataError
from did_tf.common.errors import ConfigError
from did_tf.common.readout import Readout
from did_tf.inference.predictor import Predictor
from did_tf.inference.rows import resize
from did_tf.inference.tiles import tile_starts, tile_stride
from did_tf.models import build
from did_tf.models.layers import Normalize

MEAN, STD = (90.0, 120.0, 60.0, 30.0, 200.0), (50.0, 60.0, 70.0, 20.0, 40.0)


def network(kernel=3, bands=3, classes=4, minimum=1, size=(None, None), extra=(), symmetric=False, seed=0):
    """Two outputs, random weights; the kernel is its own mirror image where `symmetric`."""
    image = keras.Input((*size, bands))
    x = Normalize(MEAN[:bands], STD[:bands], minimum, name="normalize")(image)
    for layer in extra:
        x = layer(x)
    outputs = {name: keras.layers.Conv2D(classes, kernel, padding="same", name=name)(x) for name in ("main", "side")}
    model = keras.Model(image, outputs)
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0, 1, w.shape) for w in model.get_weights()]
    if symmetric:
        weights = [w + w[:, ::-1] if w.ndim == 4 else w for w in weights]
    model.set_weights(weights)
    return model


def picture(height, width, bands=3, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, bands)).astype(np.uint8)


def softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def direct(model, image, name="main"):
    """One call of the model itself."""
    return softmax(model(image[None].astype(np.float32), training=False)[name].numpy()[0])


def same(actual, expected):
    np.testing.assert_allclose(actual, expected, rtol=0, atol=2e-6)


def test_whole_image_is_the_softmax_of_the_model():
    model, image = network(), picture(13, 22)
    result = Predictor(model)(image)
    assert set(result) == {"main", "side"}
    for name, values in result.items():
        assert values.dtype == np.float32 and values.shape == (13, 22, 4)
        same(values, direct(model, image, name))
    assert abs(result["main"] - result["side"]).max() > 0.1


def test_dropout_is_off():
    model, image = network(extra=[keras.layers.Dropout(0.5)]), picture(9, 9)
    same(Predictor(model)(image)["main"], direct(model, image))


def test_float_and_uint8_images_are_the_same_pixels():
    predict, image = Predictor(network()), picture(9, 9)
    same(predict(image)["main"], predict(image.astype(np.float64))["main"])


@pytest.mark.parametrize("tile, overlap", [(8, 1 / 3), ((5, 11), 0.0), ((7, 9), 0.75), (40, 0.5)])
def test_tiles_do_not_matter_to_a_pointwise_model(tile, overlap):
    model, image = network(kernel=1), picture(21, 34)
    same(Predictor(model, tile, overlap, batch_size=3)(image)["side"], Predictor(model)(image)["side"])


def test_tiles_are_averaged_where_they_overlap():
    model, image = network(kernel=5), picture(20, 27)
    # Strides ceil(2/3 * 8) = 6 and ceil(2/3 * 10) = 7; the last tiles are shifted back from 18 and 21.
    total, cover = np.zeros((20, 27, 4)), np.zeros((20, 27, 1))
    for y in (0, 6, 12):
        for x in (0, 7, 14, 17):
            part = direct(model, image[y : y + 8, x : x + 10])
            for dy in range(8):
                for dx in range(10):
                    total[y + dy, x + dx] += part[dy, dx]
                    cover[y + dy, x + dx] += 1
    same(Predictor(model, (8, 10), batch_size=5)(image)["main"], total / cover)
    # The tiles' borders show, so the test above can fail.
    assert abs(total / cover - direct(model, image)).max() > 0.1


@pytest.mark.parametrize(
    "options, minimum, padded", [({"tile": (16, 12)}, 1, (16, 14)), ({}, 16, (16, 16)), ({"tile": 16}, 12, (16, 16))]
)
def test_small_images_are_padded_with_the_mean(options, minimum, padded):
    model, image = network(minimum=minimum), picture(7, 14)
    frame = np.empty((*padded, 3), np.float32)
    frame[:] = MEAN[:3]
    frame[:7, :14] = image
    if padded[1] == 14:  # two tiles of width 12, at 0 and 2
        expected = np.zeros((7, 14, 4))
        expected[:, :12] += direct(model, frame[:, :12])[:7]
        expected[:, 2:] += direct(model, frame[:, 2:])[:7]
        expected[:, 2:12] /= 2
    else:
        expected = direct(model, frame)[:7, :14]
    same(Predictor(model, **options)(image)["main"], expected)


def test_scales_are_resized_there_and_back_and_averaged():
    # tf.image.resize is an implementation of its own; five bands and six classes are more than OpenCV's usual four.
    model, image = network(bands=5, classes=6), picture(20, 31, bands=5)
    expected = direct(model, image) / 3
    for size in ((10, 16), (35, 54)):  # round(15.5) is 16, round(54.25) 54
        scaled = tf.image.resize(image, size).numpy()
        expected += tf.image.resize(direct(model, scaled), (20, 31)).numpy() / 3
    actual = Predictor(model, scales=(0.5, 1, 1.75))(image)["main"]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)


def test_one_pixel_networks_at_scales_are_opencv_by_hand():
    """Whole images, three scales, both ways, of a network that is known: its logits are -2, 0 and 3 times pixels."""
    model, image = network(kernel=1, bands=1, classes=3), picture(14, 23, bands=1)
    weights = {w.shape: w for w in (np.array([[[[-2, 0, 3]]]]), np.zeros(3))}
    model.set_weights([weights[w.shape] for w in model.get_weights()])
    expected = np.zeros((14, 23, 3))
    for height, width in ((7, 12), (14, 23), (18, 29)):  # 0.5, 1 and 1.25: round(11.5), 17.5 and 28.75
        for step in (1, -1):
            scaled = cv2.resize(image[:, ::step].astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
            found = softmax((scaled[..., None] - MEAN[0]) / STD[0] * np.array([-2, 0, 3]))
            expected += cv2.resize(found, (23, 14), interpolation=cv2.INTER_LINEAR)[:, ::step] / 6
    same(Predictor(model, scales=(0.5, 1.0, 1.25), flip=True)(image)["main"], expected)


def test_a_scale_below_the_networks_minimum_is_padded():
    model, image = network(minimum=12), picture(16, 40)
    small = np.empty((12, 20, 3), np.float32)
    small[:] = MEAN[:3]
    small[:8] = tf.image.resize(image, (8, 20)).numpy()
    expected = tf.image.resize(direct(model, small)[:8], (16, 40)).numpy()
    np.testing.assert_allclose(Predictor(model, scales=(0.5,))(image)["main"], expected, rtol=0, atol=1e-4)


def test_flip_averages_with_the_mirrored_image():
    model, image = network(), picture(12, 17)
    expected = (direct(model, image) + direct(model, image[:, ::-1])[:, ::-1]) / 2
    same(Predictor(model, flip=True)(image)["main"], expected)
    assert abs(expected - direct(model, image)).max() > 0.1


def test_flip_does_not_matter_to_a_symmetric_model():
    model, image = network(symmetric=True), picture(12, 17)
    same(Predictor(model, flip=True)(image)["main"], Predictor(model)(image)["main"])


def test_everything_together_still_sums_to_one():
    predict = Predictor(network(bands=1), 9, scales=(0.1, 0.5, 1.5), flip=True)
    result = predict(picture(25, 14, bands=1))
    same(result["main"].sum(-1), np.ones((25, 14)))


def test_the_network_is_traced_once():
    calls = []

    class Spy(keras.layers.Layer):
        def call(self, inputs):
            calls.append(inputs.shape)
            return inputs

        def compute_output_shape(self, input_shape):
            return input_shape

    model = network(extra=[Spy()])
    calls.clear()
    predict = Predictor(model, scales=(0.5, 1), flip=True)
    tiled = Predictor(model, 6, batch_size=4)
    for height, width in ((8, 8), (9, 20), (31, 7)):
        predict(picture(height, width))
        predict(picture(height, width).astype(np.float64))
        tiled(picture(height, width))
    assert len(calls) == 2  # once for each predictor


def test_new_weights_are_used():
    model, image = network(), picture(8, 8)
    predict = Predictor(model)
    before = predict(image)["main"]
    model.set_weights([-weights for weights in model.get_weights()])
    same(predict(image)["main"], direct(model, image))
    assert abs(predict(image)["main"] - before).max() > 0.1


def test_models_without_normalisation_are_padded_with_zeros():
    image = keras.Input((None, None, 2))
    model = keras.Model(image, {"main": keras.layers.Conv2D(3, 3, padding="same")(image)})
    pixels = picture(4, 6, bands=2) / 255
    expected = direct(model, np.pad(pixels, ((0, 4), (0, 2), (0, 0))))[:4, :6]
    same(Predictor(model, 8)(pixels)["main"], expected)


def test_a_model_of_fixed_size_takes_tiles_of_that_size():
    model, image = network(kernel=1, size=(8, 12)), picture(20, 20)
    expected = Predictor(network(kernel=1))(image)["main"]
    same(Predictor(model, (8, 12))(image)["main"], expected)
    for tile in (None, 8):
        with pytest.raises(ValueError, match=r"built for \(8, 12\)"):
            Predictor(model, tile)


def test_did():
    model = build("did", 3, growth=4, units=(1, 1, 1, 1))
    result = Predictor(model, 17, scales=(0.5, 1))(picture(20, 31))
    assert list(result)[0] == "main" and set(result) == {"main", "block2", "block3"}
    assert all(values.shape == (20, 31, 3) for values in result.values())
    with pytest.raises(ValueError, match=r"\(40, 16\) is too small: the network takes 17 or more"):
        Predictor(model, (40, 16))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"overlap": 1.0}, "overlap .* got 1.0"),
        ({"overlap": -0.1}, "overlap .* got -0.1"),
        ({"scales": ()}, "scales"),
        ({"scales": (1.0, 0.0)}, "scales"),
        ({"batch_size": 0}, "batch_size .* got 0"),
        ({"tile": 0}, "too small"),
        ({"tile": (8, 8, 8)}, r"one size or \(height, width\)"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(ValueError, match=message):
        Predictor(network(), **options)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (1, 8, 8, 3)])
def test_bad_images(shape):
    with pytest.raises(ValueError, match=re.escape(f"[height, width, 3], got {shape}")):
        Predictor(network())(np.zeros(shape, np.uint8))


def test_tile_starts_cover_every_pixel():
    for size in range(1, 40):
        for tile in range(1, 12):
            for stride in range(1, tile + 1):
                starts = tile_starts(size, tile, stride)
                covered = {start + i for start in starts for i in range(tile)}
                assert covered == set(range(max(size, tile)))
                assert starts[0] == 0 and starts == sorted(set(starts))
                steps = np.diff(starts)
                assert (steps[:-1] == stride).all() and (steps <= stride).all()


@pytest.mark.parametrize("stride", [0, 6])
def test_tile_starts_without_gaps_only(stride):
    with pytest.raises(ValueError, match="stride must be 1 to 5"):
        tile_starts(9, 5, stride)


def test_tile_stride_is_exact():
    assert tile_stride(321, 1 / 3) == 214  # the paper's; (1 - 1/3) * 321 is more than that in floating point
    for tile in range(1, 1000):
        assert tile_stride(tile, 0) == tile
        for parts in (2, 3, 5, 7):
            assert tile_stride(tile, 1 / parts) == -(-tile * (parts - 1) // parts)


@pytest.mark.parametrize("channels", [1, 4, 5, 200])
def test_resize_keeps_the_channels_apart(channels):
    image = np.random.default_rng(1).random((9, 13, channels)).astype(np.float32)
    for size in ((4, 7), (20, 13)):
        np.testing.assert_allclose(resize(image, size), tf.image.resize(image, size).numpy(), rtol=0, atol=1e-5)


def test_outputs_that_are_not_wanted_are_left_out():
    model, image = network(), picture(9, 9)
    wanted = Predictor(model, outputs=["side"])(image)
    assert list(wanted) == ["side"]
    same(wanted["side"], Predictor(model)(image)["side"])
    with pytest.raises(ValueError, match="no output 'aux'; it has "):
        Predictor(model, outputs=["aux"])


@pytest.mark.parametrize("options", [{}, {"flip": True}, {"scales": (0.5, 1)}])
@pytest.mark.parametrize(("tile", "overlap"), [(None, 0.3), (7, 0.0), (7, 1 / 3), ((5, 40), 0.75), ((40, 6), 0.5)])
def test_strips_are_the_whole_in_order(tile, overlap, options):
    model, image = network(kernel=5), picture(20, 27)
    predict = Predictor(model, tile, overlap, **options)
    whole, bottom = predict(image), 0
    for rows, values in predict.strips(image):
        assert rows.start == bottom < rows.stop
        bottom = rows.stop
        for name, part in values.items():
            np.testing.assert_array_equal(part, whole[name][rows])
    assert bottom == 20


def test_a_strip_has_no_more_rows_than_a_tile():
    predict = Predictor(network(kernel=1), (7, 40), 1 / 3, batch_size=3, flip=True)
    assert max(rows.stop - rows.start for rows, _ in predict.strips(picture(50, 27))) <= 7


def test_what_is_not_finite_is_found_in_any_strip():
    image = picture(20, 27).astype(np.float32)
    image[-1, -1] = np.nan
    with pytest.raises(DataError, match="not finite"):
        Predictor(network(kernel=1), 7)(image)


@pytest.mark.parametrize(("streams", "batch_size"), [(2, 4), (3, 2), (5, 5)])
def test_tiles_in_several_streams_give_the_same(streams, batch_size):
    model, image = network(), picture(29, 41)
    options = {"tile": (9, 12), "scales": (0.75, 1.0), "flip": True, "batch_size": batch_size}
    same(Predictor(model, streams=streams, **options)(image)["main"], Predictor(model, **options)(image)["main"])


def test_tiles_at_once_are_those_of_all_streams():
    model, image, sizes = network(kernel=1), picture(20, 60), []

    def forward(pixels):
        sizes.append(len(pixels))
        return {"main": direct(model, pixels[0])[None].repeat(len(pixels), 0)}

    Predictor(model, 20, 0, outputs=["main"], forward=forward, batch_size=4, streams=2)(image)
    assert sorted(sizes) == [1, 2]  # of three tiles, no batch has more than its stream's half of four


# Of rows


class Asked:
    """An image that gives rows when they are asked for, and remembers them."""

    def __init__(self, image):
        self.image, self.shape, self.most, self.first = image, image.shape, 0, len(image)

    def __getitem__(self, rows):
        part = self.image[rows]
        self.most, self.first = max(self.most, len(part)), min(self.first, rows.start)
        return part


OPTIONS = [{}, {"flip": True}, {"scales": (0.5, 1.0, 1.75)}, {"scales": (1.5,), "flip": True, "turns": True}]


@pytest.mark.parametrize("options", [*OPTIONS, {"blend": "gaussian", "average": "logits"}])
def test_rows_that_are_asked_for_give_what_the_array_gives(options):
    image, predict = picture(50, 23), Predictor(network(), 8, **options)
    asked = Asked(image)
    found = list(predict.strips(asked))
    same(np.concatenate([values["main"] for _, values in found]), predict(image)["main"])
    assert asked.most <= 8 / min(options.get("scales", (1,))) + 2
    assert len(found) > 4 and found[-1][0].stop == 50


@pytest.mark.parametrize("options", [*OPTIONS, {"blend": "gaussian"}])
@pytest.mark.parametrize("begin", [1, 17, 30, 49])
def test_strips_from_a_row_on_are_those_of_all(options, begin):
    image, predict = picture(50, 23), Predictor(network(), 8, **options)
    asked, whole = Asked(image), predict(image)["main"]
    found = list(predict.strips(asked, begin))
    assert found[0][0].start == begin
    same(np.concatenate([values["main"] for _, values in found]), whole[begin:])
    assert asked.first >= begin - 8 / min(options.get("scales", (1,))) - 2, "rows that are done are not looked at"


def test_gaussian_tiles_count_less_towards_their_borders():
    model, image = network(kernel=5), picture(20, 27)
    weight = np.exp(-0.5 * ((np.arange(8) - 3.5) / 1) ** 2)[:, None] * np.exp(
        -0.5 * ((np.arange(10) - 4.5) / 1.25) ** 2
    )
    total, cover = np.zeros((20, 27, 4)), np.zeros((20, 27, 1))
    for y in (0, 6, 12):
        for x in (0, 7, 14, 17):
            total[y : y + 8, x : x + 10] += weight[..., None] * direct(model, image[y : y + 8, x : x + 10])
            cover[y : y + 8, x : x + 10] += weight[..., None]
    found = Predictor(model, (8, 10), blend="gaussian")(image)["main"]
    same(found, total / cover)
    assert abs(found - Predictor(model, (8, 10))(image)["main"]).max() > 0.1


def test_gaussian_tiles_do_not_matter_to_a_pointwise_model():
    model, image = network(kernel=1), picture(21, 34)
    np.testing.assert_allclose(
        Predictor(model, 8, blend="gaussian")(image)["side"], Predictor(model)(image)["side"], atol=1e-5
    )


def test_turns_average_with_the_turned_image():
    model, image = network(), picture(12, 17)
    expected = np.mean([np.rot90(direct(model, np.rot90(image, k)), -k) for k in range(4)], axis=0)
    same(Predictor(model, turns=True)(image)["main"], expected)
    assert abs(expected - direct(model, image)).max() > 0.1
    with pytest.raises(ConfigError, match="turns need a network of any size or of squares, .* for 8x9"):
        Predictor(network(size=(8, 9)), (8, 9), turns=True)


def test_logits_are_averaged_where_that_is_wanted():
    model, image = network(), picture(12, 17)
    logits = [
        model(part[None].astype(np.float32), training=False)["main"].numpy()[0] for part in (image, image[:, ::-1])
    ]
    expected = softmax((logits[0] + logits[1][:, ::-1]) / 2)
    found = Predictor(model, flip=True, average="logits")(image)["main"]
    same(found, expected)
    assert abs(found - Predictor(model, flip=True)(image)["main"]).max() > 0.01


@pytest.mark.parametrize("option", ["blend", "average"])
def test_unknown_ways_of_averaging(option):
    with pytest.raises(ConfigError, match=f"{option} must be one of .*, got 'none'"):
        Predictor(network(), **{option: "none"})


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_regions_are_told_each_by_itself_in_tiles_and_both_ways(average):
    model, image, readout = network(), picture(12, 17), Readout(((0, 1, 2), (1, 2), (2,), (3,)), (0, 1, 2, 3))
    parts = image, image[:, ::-1]
    logits = [model(part[None].astype(np.float32), training=False)["main"].numpy()[0] for part in parts]
    both = [logits[0], logits[1][:, ::-1]]
    expected = expit(np.mean(both, 0)) if average == "logits" else np.mean(expit(both), 0)
    same(Predictor(model, flip=True, average=average, readout=readout)(image)["main"], expected)
    tiled = Predictor(network(kernel=1), (7, 9), 1 / 3, average=average, readout=readout)(image)["main"]
    same(tiled, expit(network(kernel=1)(image[None].astype(np.float32), training=False)["main"][0]))
