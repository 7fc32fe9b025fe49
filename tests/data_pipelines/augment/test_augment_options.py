"""Tests of balanced crops, colour, noise and blur, and of what augmentation adds to the graph."""

import colorsys
import functools

import cv2
import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.augment import Augmentation, augment, geometry
from data_pipelines.augment.geometry import draw_view
from data_pipelines.spec import IGNORE, DataError, DatasetSpec

HEIGHT, WIDTH = 36, 47
RNG = np.random.default_rng(0)
NOISE = RNG.uniform(20, 200, (HEIGHT, WIDTH, 5)).astype(np.float32)
LABEL = RNG.integers(0, 4, (HEIGHT, WIDTH)).astype(np.uint8)
NAMES = ("infrared", "blue", "green", "red", "depth")
MEAN, STD = (90.0, 80.0, 70.0, 60.0, 50.0), (10.0, 20.0, 30.0, 40.0, 50.0)
SPEC = DatasetSpec("five", (), (), {}, MEAN, STD, dtype="float32", band_names=NAMES)
WILD = {"crop": (25, 27), "scale": (0.7, 1.5), "aspect": 0.15, "flip_horizontal": True, "flip_vertical": True}
traced = functools.partial(tf.function, autograph=False)  # as the pipeline does it


def run(options, count, image=NOISE, label=LABEL, spec=SPEC):
    """[(image, label)] of a pair augmented under seeds (5, 0), (5, 1), ..."""
    draw = traced(lambda seed: augment(image, label, seed, options, spec))
    return [tuple(part.numpy() for part in draw(tf.constant((5, number)))) for number in range(count)]


def changed(count, image=NOISE, crop=(HEIGHT, WIDTH), **light):
    """[(image under these settings, the same without)], the labels of both being equal."""
    pairs = list(zip(run(Augmentation(crop, **light), count, image), run(Augmentation(crop), count, image)))
    for (_, label), (_, plain_label) in pairs:
        np.testing.assert_array_equal(label, plain_label)
    return [(image, plain) for (image, _), (plain, _) in pairs]


@pytest.mark.parametrize("flips", [False, True])
def test_boxes_are_cut_and_resized_as_by_opencv(flips):
    options = Augmentation((30, 41), (0.5, 2.0), 0.3, flips, flips)
    for number, (image, label) in enumerate(run(options, 40)):
        seed = tf.constant((5, number))
        draw = tf.unstack(tf.random.stateless_uniform([8], seed))[:6]
        view = draw_view(tf.constant((HEIGHT, WIDTH)), tf.constant(LABEL), seed, draw, options)
        (top, left), (height, width) = view.corner.numpy(), view.size.numpy()
        around = np.full((3 * HEIGHT, 3 * WIDTH, 5), np.float32(MEAN))
        around[HEIGHT : 2 * HEIGHT, WIDTH : 2 * WIDTH] = NOISE
        box = around[HEIGHT + top : HEIGHT + top + height, WIDTH + left : WIDTH + left + width]
        turn = tuple(slice(None, None, -1 if flips and mirrored else 1) for mirrored in view.mirrored) if flips else ...
        expected = cv2.resize(box, (41, 30), interpolation=cv2.INTER_LINEAR)[turn]
        np.testing.assert_allclose(image, expected, atol=0.05)
        ids = np.full((3 * HEIGHT, 3 * WIDTH), IGNORE, np.uint8)
        ids[HEIGHT : 2 * HEIGHT, WIDTH : 2 * WIDTH] = LABEL
        rows = np.floor((np.arange(30) + 0.5) * height / 30).astype(int) + HEIGHT + top
        columns = np.floor((np.arange(41) + 0.5) * width / 41).astype(int) + WIDTH + left
        np.testing.assert_array_equal(label, ids[rows][:, columns][turn])


def test_16_bit_values_are_copied():
    image = RNG.integers(0, 65536, (HEIGHT, WIDTH, 5)).astype(np.uint16)
    spec = DatasetSpec("five", (), (), {}, MEAN, STD, dtype="uint16")
    np.testing.assert_array_equal(run(Augmentation((HEIGHT, WIDTH)), 1, image, spec=spec)[0][0], image)


NEW = {"balance": 0.5, "hue": 0.2, "saturation": 0.3, "noise": 0.3, "blur": 1.5, "rotation": 20.0}
NEW.update({"brightness": 0.2, "contrast": 0.2, "colour_noise": 0.3, "erase": 0.5})


def ops(**settings):
    """Types of the ops of a graph, those of its branches among them."""
    options = Augmentation(**{**WILD, **settings})
    draw = traced(lambda image, label, seed: augment(image, label, seed, options, SPEC))
    shapes = ((None, None, 5), tf.float32), ((None, None), tf.uint8), ((2,), tf.int64)
    graph = draw.get_concrete_function(*(tf.TensorSpec(*shape) for shape in shapes)).graph.as_graph_def()
    branches = [node for function in graph.library.function for node in function.node_def]
    return [node.op for node in (*graph.node, *branches)]


def test_what_is_off_adds_no_ops():
    plain, every = ops(), ops(**NEW)
    assert sum(op.startswith("StatelessRandomUniform") for op in plain) == 1
    others = {"StatelessRandomNormalV2", "DenseBincount", "MirrorPad", "MatMul", "Mean", "ImageProjectiveTransformV3"}
    assert others <= set(every) and not others & set(plain)


def test_no_option_moves_the_draws_of_others():
    """Options so weak that they change nothing, beside the same pairs without them."""
    weak = {name: 1e-6 for name in NEW if name != "rotation"}  # which looks beyond the border of the box
    strong, plain = (run(Augmentation(**WILD, **more), 20) for more in (weak, {}))
    for (image, label), (plain_image, plain_label) in zip(strong, plain):
        np.testing.assert_allclose(image, plain_image, atol=0.02)
        np.testing.assert_array_equal(label, plain_label)


def balanced_label():
    """Few pixels of class 1, one of class 2 in a corner, void beside it, and class 0 everywhere else."""
    label = np.zeros((HEIGHT, WIDTH), np.uint8)
    label[20:22, 30:33] = 1
    label[-1, -1] = 2
    label[:, 5:9] = IGNORE
    return label


def places(balance, count, label):
    """(row, column) of the corners of unscaled crops of 9x11 pixels."""
    ramps = np.stack(np.mgrid[:HEIGHT, :WIDTH], axis=-1).astype(np.float32)
    spec = DatasetSpec("ramps", (), (), {}, (0.0, 0.0), (1.0, 1.0), dtype="float32")
    pairs = run(Augmentation((9, 11), balance=balance), count, ramps, label, spec)
    return [tuple(image[0, 0].astype(int)) for image, _ in pairs]


def test_balanced_crops_are_placed_as_by_brute_force():
    label, expected = balanced_label(), {}
    for class_id in (0, 1, 2):
        pixels = np.argwhere(label == class_id)
        for row, column in pixels:
            place = min(max(row - 4, 0), HEIGHT - 9), min(max(column - 5, 0), WIDTH - 11)
            expected[place] = expected.get(place, 0) + 1 / 3 / len(pixels)
    count = 700
    found = places(1.0, count, label)
    assert set(found) <= set(expected)
    often = [place for place, share in expected.items() if share > 0.03]
    assert len(often) == 7  # six of class 1, and the corner
    for place in often:
        share, error = expected[place], np.sqrt(expected[place] * (1 - expected[place]) / count)
        assert abs(found.count(place) / count - share) < 4 * error
    # Those of class 0 are spread like its pixels.
    rest = np.array([place for place in found if place not in often])
    others = np.array([place for place in expected if place not in often])
    weights = [expected[tuple(place)] for place in others]
    mean = np.average(others, axis=0, weights=weights)
    spread = np.sqrt(np.average((others - mean) ** 2, axis=0, weights=weights))
    np.testing.assert_array_less(np.abs(rest.mean(axis=0) - mean), 4 * spread / np.sqrt(len(rest)))
    np.testing.assert_array_less(np.abs(rest.std(axis=0) / spread - 1), 0.15)


def test_the_drawn_pixel_is_that_of_a_list_of_all():
    """Of which none is made: of a class that fills a large image it takes gigabytes."""
    for inside in (balanced_label() == 0, balanced_label() == 1, balanced_label() == 2, np.ones((3, 1), bool)):
        pixels = np.argwhere(inside)
        for uniform in (0.0, 0.1, 0.3, 0.5, 2 / 3, 0.9, np.nextafter(1, 0)):
            found = geometry._nth_pixel(tf.constant(inside), tf.constant(uniform, tf.float64))
            assert found.dtype == tf.int32
            assert found.numpy().tolist() == pixels[int(uniform * len(pixels))].tolist()


def test_a_share_of_the_crops_is_balanced_and_the_others_are_those_of_old():
    label = np.full((HEIGHT, WIDTH), IGNORE, np.uint8)
    label[3, 40] = 6
    plain, some = places(0.0, 200, label), places(0.3, 200, label)
    about = (0, 40 - 5)
    assert all(place in (old, about) for place, old in zip(some, plain))
    assert abs(some.count(about) / 200 - 0.3) < 4 * np.sqrt(0.3 * 0.7 / 200)


def test_without_labelled_pixels_crops_are_as_ever():
    void = np.full((HEIGHT, WIDTH), IGNORE, np.uint8)
    assert places(1.0, 20, void) == places(0.0, 20, void)


@pytest.mark.parametrize("crop", [(15, 9), (60, 80)])
def test_a_balanced_crop_shows_its_pixel_under_everything(crop):
    # Twice as large, every pixel is the nearest of some of the crop's, turned or not.
    options = Augmentation(crop, (1.5, 2.0), 0.1, True, True, rotation=180.0, balance=1.0)
    draw = traced(lambda label, seed: augment(NOISE, label, seed, options, SPEC)[1])
    for row, column in ((0, 0), (0, WIDTH - 1), (HEIGHT - 1, 20), (17, 23)):
        label = np.full((HEIGHT, WIDTH), IGNORE, np.uint8)
        label[row, column] = 3
        for number in range(25):
            assert np.any(draw(tf.constant(label), tf.constant((5, number))) == 3)


def chroma(image):
    """(luma, colour as complex numbers) of the red, green and blue of `NAMES`, as of colorsys."""
    yiq = np.array([colorsys.rgb_to_yiq(*rgb) for rgb in image[..., [3, 2, 1]].reshape(-1, 3)])
    return yiq[:, 0], yiq[:, 1] + 1j * yiq[:, 2]


def test_hue_and_saturation_turn_and_scale_the_colour_alone():
    turns = []
    for image, plain in changed(40, crop=(12, 13), hue=0.25, saturation=0.4):
        np.testing.assert_array_equal(image[..., [0, 4]], plain[..., [0, 4]])
        (luma, colour), (plain_luma, plain_colour) = chroma(image), chroma(plain)
        np.testing.assert_allclose(luma, plain_luma, atol=2.5)  # colorsys has rounded coefficients
        strong = np.abs(plain_colour) > 20
        turn = (colour / plain_colour)[strong]
        assert np.abs(turn - np.median(turn.real) - 1j * np.median(turn.imag)).max() < 0.15
        turns.append(np.median(turn.real) + 1j * np.median(turn.imag))
    for values, bound in ((np.angle(turns) / (2 * np.pi), 0.25), (np.abs(turns) - 1, 0.4)):
        assert -1.05 * bound < values.min() < -0.75 * bound and 0.75 * bound < values.max() < 1.05 * bound
    assert abs(np.corrcoef(np.angle(turns), np.abs(turns))[0, 1]) < 4 / np.sqrt(40)


def test_hue_is_that_of_tensorflow_addons():
    tfa = pytest.importorskip("tensorflow_addons")
    for image, plain in changed(5, hue=0.2):
        angle = np.angle(np.median(chroma(image)[1] / chroma(plain)[1]))
        rgb = tf.constant(plain[..., [3, 2, 1]])
        expected = [tfa.image.adjust_hsv_in_yiq(rgb, delta_hue=sign * angle).numpy() for sign in (-1, 1)]
        assert min(np.abs(image[..., [3, 2, 1]] - other).max() for other in expected) < 3


def test_grey_has_no_colour_to_change():
    grey = np.repeat(NOISE[..., :1], 5, axis=-1)
    for image, plain in changed(5, grey, hue=0.5, saturation=0.9):
        np.testing.assert_allclose(image, plain, rtol=1e-5)


def test_colour_noise_is_gaussian_along_imagenets_principal_components():
    """One shift for all pixels of a crop; back along the orthogonal components it has their deviations."""
    vectors = np.array([(-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203)])
    deviations = 255 * np.array((0.2175, 0.0188, 0.0045))
    shifts = []
    for image, plain in changed(300, crop=(4, 5), colour_noise=0.1):
        shift = image - plain
        np.testing.assert_allclose(shift, np.broadcast_to(shift[0, 0], shift.shape), atol=1e-3)
        assert not shift[..., [0, 4]].any()
        shifts.append(shift[0, 0, [3, 2, 1]] @ vectors / deviations)
    shifts = np.array(shifts)
    np.testing.assert_allclose(shifts.mean(axis=0), 0, atol=0.03)
    np.testing.assert_allclose(shifts.std(axis=0), 0.1, rtol=0.15)
    np.testing.assert_allclose(np.corrcoef(shifts.T), np.eye(3), atol=0.2)


def test_noise_is_gaussian_of_a_part_of_each_bands_deviation():
    strengths, fields = [], []
    for image, plain in changed(60, noise=0.5):
        noise = (image - plain) / np.float32(STD)
        strengths.append(noise.std())
        field = noise.reshape(-1, 5) / noise.std()
        fields.append(field)
        np.testing.assert_allclose(field.std(axis=0), 1, atol=0.1)
    assert 0 < min(strengths) < 0.05 and 0.45 < max(strengths) < 0.51
    assert abs(np.mean(strengths) - 0.25) < 4 * 0.5 / np.sqrt(12 * 60)
    values = np.concatenate(fields)
    assert abs(values.mean()) < 4 / np.sqrt(values.size)
    for power, moment in ((3, 0), (4, 3)):
        assert abs(np.mean(values**power) - moment) < 0.03
    # Independent between bands, pixels, and samples.
    pairs = (values[:, :4], values[:, 1:]), (values[1:], values[:-1]), (fields[0], fields[1])
    for one, other in pairs:
        assert abs(np.mean(one * other)) < 4 / np.sqrt(one.size)


def impulse():
    image = np.zeros((HEIGHT, WIDTH, 5), np.float32)
    image[18, 23] = 1
    return image


def test_blur_is_that_of_opencv():
    sigmas, radius = [], 6
    for (spot, _), (image, plain) in zip(changed(40, impulse(), blur=2.0), changed(40, blur=2.0)):
        profile = spot[..., 0].sum(axis=0)
        # The ratio of the two middle weights tells sigma: exp(-0.5 / sigma**2).
        ratio = profile[24] / profile[23]
        sigmas.append(np.sqrt(-0.5 / np.log(ratio)) if ratio > 1e-30 else 0.0)
        if sigmas[-1] > 0:
            size = (2 * radius + 1,) * 2
            expected = cv2.GaussianBlur(plain, size, sigmas[-1], borderType=cv2.BORDER_REFLECT)
            np.testing.assert_allclose(image, expected, atol=0.02)
    assert max(sigmas) <= 2.001 and max(sigmas) > 1.8 and min(sigmas) < 0.3
    assert abs(np.mean(sigmas) - 1) < 4 * 2 / np.sqrt(12 * 40)
    scales = [float(tf.random.stateless_uniform([8], (5, number))[0]) for number in range(40)]
    assert abs(np.corrcoef(sigmas, scales)[0, 1]) < 4 / np.sqrt(40)


@pytest.mark.parametrize("crop", [(1, 1), (2, 30)])
def test_blur_of_crops_smaller_than_it(crop):
    for image, plain in changed(5, crop=crop, blur=3.0):
        assert image.shape == (*crop, 5)
        assert plain.min() - 1e-3 <= image.min() and image.max() <= plain.max() + 1e-3


RGB = DatasetSpec("rgb", (), (), {}, (0.0,) * 3, (1.0,) * 3)
GREY = DatasetSpec("grey", (), (), {}, (0.0,), (1.0,))
FALSE_COLOUR = DatasetSpec("false", (), (), {}, (0.0,) * 3, (1.0,) * 3, band_names=("infrared", "red", "green"))
WHOLE = DatasetSpec("whole", (), (), {}, (0.0,) * 3, (1.0,) * 3, task="classification")


@pytest.mark.parametrize(
    "settings, spec, message",
    [
        ({"hue": 0.1}, GREY, "need the bands red, green and blue; grey has 1 without names: name its bands"),
        ({"saturation": 0.1}, FALSE_COLOUR, "false has infrared, red, green"),
        (
            {"colour_noise": 0.1},
            FALSE_COLOUR,
            "colour_noise is along .* 8-bit red, green and blue, which false has not",
        ),
        ({"colour_noise": 0.1}, SPEC, "which five has not: set it to 0"),
        ({"balance": 0.1}, WHOLE, "data.balance needs a class per pixel; whole is for classification"),
    ],
)
def test_what_the_data_cannot_have_is_told(settings, spec, message):
    Augmentation((8, 8)).check(spec)
    Augmentation((8, 8), **settings).check(RGB)
    with pytest.raises(DataError, match=message):
        Augmentation((8, 8), **settings).check(spec)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"balance": 1.5}, "data.balance must be 0 to 1, got 1.5"),
        ({"hue": 0.6}, "data.hue must be 0 to 0.5, got 0.6"),
        ({"colour_noise": 11}, "data.colour_noise must be 0 to 10, got 11"),
        ({"saturation": -0.1}, "data.saturation must be 0 to 1, got -0.1"),
        ({"noise": float("nan")}, "data.noise must be 0 to 10, got nan"),
        ({"blur": -1.0}, "data.blur must be 0 to 100, got -1.0"),
    ],
)
def test_bad_settings_are_told(settings, message):
    with pytest.raises(DataError, match=message):
        Augmentation((8, 8), **settings)
