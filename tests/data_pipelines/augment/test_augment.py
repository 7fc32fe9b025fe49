"""Tests of the augmentation. Most read the geometry off an image whose two bands are its rows and columns."""

import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.augment import Augmentation, augment
from data_pipelines.spec import IGNORE, DataError, DatasetSpec

HEIGHT, WIDTH = 40, 53
FILL = (-700.3, -900.1)
LABEL = (np.arange(HEIGHT)[:, None] // 3 + np.arange(WIDTH) // 4).astype(np.uint8)
SEEDS = [(7, number) for number in range(40)]
traced = functools.partial(tf.function, autograph=False)  # as the pipeline does it


def coordinates(height=HEIGHT, width=WIDTH):
    """Image [H, W, 2] whose bands are each pixel's row and column."""
    return np.stack(np.mgrid[:height, :width], axis=-1).astype(np.float32)


def bands(mean=FILL, std=None, dtype="float32", names=()):
    """A spec of bands with these facts."""
    return DatasetSpec("bands", (), (), {}, mean, std or (1.0,) * len(mean), dtype=dtype, band_names=names)


def run(options, seeds=SEEDS, image=None, label=LABEL, spec=None):
    """[(image, label)] of a pair augmented under every seed."""
    image, spec = coordinates() if image is None else image, spec or bands()
    draw = traced(lambda seed: augment(image, label, seed, options, spec))
    return [tuple(part.numpy() for part in draw(tf.constant(seed))) for seed in seeds]


def steps(image):
    """Source (rows, columns) per output (row, column), from the ramps of `coordinates`, inside the source image."""
    inside = np.all(image > -0.5, axis=-1)
    rows, columns = (np.flatnonzero(inside.any(axis=axis))[2:-2] for axis in (1, 0))
    ys, xs = image[rows, columns[0], 0], image[rows[0], columns, 1]
    return np.polyfit(rows, ys, 1)[0], np.polyfit(columns, xs, 1)[0]


@pytest.mark.parametrize("crop", [(21, 30), (40, 53), (40, 8), (1, 1)])
def test_a_crop_without_scaling_copies_pixels(crop):
    corners = set()
    for image, label in run(Augmentation(crop)):
        assert (image.shape, image.dtype) == ((*crop, 2), np.float32)
        assert (label.shape, label.dtype) == (crop, np.uint8)
        top, left = np.round(image[0, 0]).astype(int)
        corners.add((top, left))
        np.testing.assert_allclose(image, coordinates()[top : top + crop[0], left : left + crop[1]], atol=1e-3)
        np.testing.assert_array_equal(label, LABEL[top : top + crop[0], left : left + crop[1]])
    free = HEIGHT - crop[0], WIDTH - crop[1]
    for starts, last in zip(zip(*corners), free):
        assert 0 <= min(starts) <= 0.15 * last and 0.85 * last <= max(starts) <= last


def test_bytes_are_copied_exactly():
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    cut, _ = run(Augmentation((HEIGHT, WIDTH)), SEEDS[:1], image, spec=bands((105.0, 108.4, 110.3)))[0]
    np.testing.assert_allclose(cut, image, atol=1e-4)


@pytest.mark.parametrize("crop", [(60, 70), (60, 20), (20, 70)])
def test_what_lies_outside_is_ignored_and_has_the_fill_value(crop):
    places = set()
    for image, label in run(Augmentation(crop)):
        outside = image[..., 0] < -1
        np.testing.assert_allclose(image[outside], np.broadcast_to(np.float32(FILL), (outside.sum(), 2)))
        np.testing.assert_array_equal(label == IGNORE, outside)
        rows, columns = np.round(image[~outside]).astype(int).T
        np.testing.assert_allclose(image[~outside], np.stack([rows, columns], axis=-1), atol=1e-3)
        np.testing.assert_array_equal(label[~outside], LABEL[rows, columns])
        assert (~outside).sum() == min(crop[0], HEIGHT) * min(crop[1], WIDTH)
        places.add((*np.argwhere(~outside)[0], rows[0], columns[0]))
    assert len(places) > 10


@pytest.mark.parametrize("vertical", [False, True])
@pytest.mark.parametrize("horizontal", [False, True])
def test_half_of_the_pairs_are_mirrored(horizontal, vertical):
    options = Augmentation((HEIGHT, WIDTH), flip_horizontal=horizontal, flip_vertical=vertical)
    mirrored = []
    for image, label in run(options, [(3, n) for n in range(80)]):
        down, across = np.sign(np.diff(image[:2, 0, 0])[0]), np.sign(np.diff(image[0, :2, 1])[0])
        turn = np.s_[:: int(down), :: int(across)]
        np.testing.assert_allclose(image, coordinates()[turn], atol=1e-3)
        np.testing.assert_array_equal(label, LABEL[turn])
        mirrored.append((down < 0, across < 0))
    # Within 3.6 standard deviations of a fair coin, and the two coins are not the same.
    for share, may in zip(np.mean(mirrored, axis=0), (vertical, horizontal)):
        assert 0.3 < share < 0.7 if may else share == 0
    assert len(set(mirrored)) == 2 ** (horizontal + vertical)


@pytest.mark.parametrize("rotation", [0.0, 20.0])
def test_image_and_label_stay_together_under_everything(rotation):
    options = Augmentation((45, 45), (0.7, 1.5), 0.15, True, True, rotation=rotation)
    # A third band says where the image isn't blended with what fills its outside.
    source, compared = np.dstack([coordinates(), np.ones((HEIGHT, WIDTH), np.float32)]), 0
    for image, label in run(options, image=source, spec=bands((*FILL, 0.0))):
        values = np.unique(label)
        assert np.isin(values, [*np.unique(LABEL), IGNORE]).all()
        inside, image = image[..., 2] > 0.9999, image[..., :2]
        # Less the pixels halfway between two of the source, which either may go to.
        inside &= np.all(np.abs(image % 1 - 0.5) > 0.01, axis=-1)
        rows, columns = np.round(image[inside]).astype(int).T
        np.testing.assert_array_equal(label[inside], LABEL[rows, columns])
        compared += inside.sum()
    assert compared > 0.5 * len(SEEDS) * 45**2


@pytest.mark.parametrize("scale, aspect", [((0.7, 1.5), 0.15), ((0.5, 2.0), 0.0), ((1.25, 1.25), 0.0)])
def test_scales_and_aspect_fill_their_bounds_and_stay_within(scale, aspect):
    options = Augmentation((60, 60), scale, aspect)
    sources = [steps(image) for image, _ in run(options, [(1, n) for n in range(100)])]
    sizes = 60 * np.array(sources)
    np.testing.assert_allclose(sizes, np.round(sizes), atol=1e-2)
    # Scales and ratios are those of boxes of whole pixels.
    assert sizes.min() >= round(60 / scale[1]) - 1e-2 and sizes.max() <= round(60 / scale[0]) + 1e-2
    scales, slack = 60 / sizes, 1 / sizes.min()
    ratios = scales[:, 1] / scales[:, 0]
    assert np.abs(ratios - 1).max() <= (aspect and aspect + slack) + 1e-3
    margin = 0.1 * (scale[1] - scale[0]) + slack
    assert scales.min() <= scale[0] + margin and scales.max() >= scale[1] - margin
    assert ratios.min() <= 1 - 0.8 * aspect + 2e-3 and ratios.max() >= 1 + 0.8 * aspect - 2e-3


def test_scale_place_and_mirrors_are_drawn_independently():
    options = Augmentation((12, 12), (0.7, 1.5), 0.0, True, True)
    drawn = []
    for image, _ in run(options, [(2, n) for n in range(300)]):
        image = image[1:-1, 1:-1]  # less what may be blended with the fill value
        down, across = image[-1, 0, 0] - image[0, 0, 0], image[0, -1, 1] - image[0, 0, 1]
        free = np.subtract((HEIGHT, WIDTH), np.abs([down, across]))
        drawn.append([abs(down), *(image.min(axis=(0, 1)) / free), down > 0, across > 0])
    correlations = np.corrcoef(np.transpose(drawn)) - np.eye(5)
    assert np.abs(correlations).max() < 4 / np.sqrt(300)


def test_twice_the_size_is_that_of_half_pixels():
    image, label = run(Augmentation((2 * HEIGHT, 2 * WIDTH), (2.0, 2.0)))[0]
    np.testing.assert_array_equal(label, LABEL.repeat(2, axis=0).repeat(2, axis=1))
    expected = tf.image.resize(coordinates(), (2 * HEIGHT, 2 * WIDTH)).numpy()
    np.testing.assert_allclose(image, expected, atol=1e-3)


def test_equal_seeds_give_equal_pairs_and_others_do_not():
    options = Augmentation((30, 30), (0.7, 1.5), 0.15, True, True, 0.2, 0.2)
    first, again, *others = run(options, [(5, 1), (5, 1), (5, 2), (6, 1)])
    for part, same in zip(first, again):
        np.testing.assert_array_equal(part, same)
    for other in others:
        assert np.mean(first[0] != other[0]) > 0.5


def lit(spec=None, **light):
    """[(pair under these settings, the same without light)], of bright and dark noise; crops lie within the image."""
    image = np.random.default_rng(0).uniform(60, 160, (HEIGHT, WIDTH, 2)).astype(np.float32)
    geometry = {"crop": (30, 30), "scale": (0.8, 1.2), "flip_horizontal": True}
    runs = [run(Augmentation(**geometry, **more), image=image, spec=spec or bands()) for more in (light, {})]
    return list(zip(*runs))


def test_brightness_moves_all_pixels_by_parts_of_the_bands_deviations():
    moved = []
    spec = bands(std=(10.0, 40.0))
    for (image, label), (plain, plain_label) in lit(spec, brightness=0.3):
        np.testing.assert_array_equal(label, plain_label)
        moved.append(np.median((image - plain)[..., 0]) / 10)
        np.testing.assert_allclose(image, plain + moved[-1] * np.array([10, 40]), atol=1e-3)
    assert -0.3 <= min(moved) < -0.24 and 0.24 < max(moved) <= 0.3


def test_contrast_multiplies_the_distance_from_the_mean():
    gains = []
    for (image, label), (plain, plain_label) in lit(contrast=0.3):
        np.testing.assert_array_equal(label, plain_label)
        gains.append(np.median(image.std(axis=(0, 1)) / plain.std(axis=(0, 1))))
        mean = plain.mean(axis=(0, 1))
        np.testing.assert_allclose(image, mean + (plain - mean) * gains[-1], atol=1e-2)
    assert 0.7 <= min(gains) < 0.76 and 1.24 < max(gains) <= 1.3


@pytest.mark.parametrize(
    "names, light_bands, expected",
    [
        (("red", "surface_temperature"), (), [True, False]),
        (("DSM 10m", "nir"), (), [False, True]),
        (("depth", "red"), ("depth",), [True, False]),
        (("demand", "b2"), (), [True, True]),
        ((), (), [True, True]),
    ],
)
def test_light_is_of_photometric_bands_alone(names, light_bands, expected):
    options = {"brightness": 0.5, "contrast": 0.5, "light_bands": light_bands}
    pairs = lit(bands(std=(10.0, 10.0), names=names), **options)
    changed = [np.abs(image - plain).max(axis=(0, 1)) > 0.1 for (image, _), (plain, _) in pairs[:6]]
    assert np.mean(changed, axis=0).tolist() == expected


def test_light_without_a_band_of_it_is_refused():
    spec = bands((285.0,), (10.0,), names=("temperature",))
    with pytest.raises(
        DataError, match=r"which no band of bands is \(temperature\): name those that are in data.light_bands"
    ):
        Augmentation((8, 8), brightness=0.1).check(spec)
    Augmentation((8, 8), brightness=0.1, light_bands=("temperature",)).check(spec)
    with pytest.raises(DataError, match="data.light_bands names 'temp'; the bands of bands have temperature"):
        Augmentation((8, 8), light_bands=("temp",)).check(spec)


@pytest.mark.parametrize("rotation", [0.0, 30.0])
@pytest.mark.parametrize("light", [{"brightness": 0.9}, {"contrast": 0.9}, {"noise": 2.0}, {"blur": 3.0}])
def test_no_light_falls_outside_of_the_image(light, rotation):
    options, mean = {"crop": (60, 70), "rotation": rotation}, np.float32([100.5, 50.25])
    spec = bands(tuple(mean.tolist()), (30.0, 30.0))
    for image, label in run(Augmentation(**options, **light), SEEDS[:5], spec=spec):
        outside = label == IGNORE
        assert outside.any() and not outside.all()
        np.testing.assert_array_equal(image[outside], np.broadcast_to(mean, (outside.sum(), 2)))
        assert (image[~outside] != mean).any()


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_no_light_falls_where_nothing_was_measured(dtype):
    """Such pixels are void and hold the mean, rounded; of a class, or of other values, they are pixels as any."""
    image = np.random.default_rng(0).integers(150, 200, (HEIGHT, WIDTH, 2)).astype(dtype)
    label, spec = np.zeros((HEIGHT, WIDTH), np.uint8), bands((100.4, 50.6), (30.0, 30.0), dtype)
    hole = np.round(spec.mean) if dtype == "uint8" else spec.mean
    image[:8], label[:8], image[10:14], label[20:24] = hole, IGNORE, hole, IGNORE
    options = Augmentation((HEIGHT, WIDTH), brightness=0.9)
    for changed, _ in run(options, [(2, 1), (2, 5)], image, label, spec):
        np.testing.assert_allclose(changed[:8], np.broadcast_to(np.float32(spec.mean), (8, WIDTH, 2)))
        assert np.all(np.abs(changed[8:] - image[8:].astype(np.float32)) > 0.1)


@pytest.mark.parametrize("crop", [(8, 50), (45, 60)])
def test_crops_lie_everywhere_equally_often(crop):
    """Of 53 columns a crop of 50 has four places, at the border as often as within; so has the image in one of 60."""
    seeds = [(11, number) for number in range(2000)]
    draw = traced(lambda seed: augment(coordinates(), LABEL, seed, Augmentation(crop), bands())[0][:, :, 1])
    columns = np.stack([draw(tf.constant(seed)).numpy() for seed in seeds])
    free = WIDTH - crop[1]
    inside = columns > -1
    places = columns[:, crop[0] // 2, 0] if free > 0 else inside.any(axis=1).argmax(axis=1)
    counts = np.bincount(np.round(places).astype(int), minlength=abs(free) + 1)
    assert len(counts) == abs(free) + 1
    # Within four standard deviations of as many each.
    expected = len(seeds) / len(counts)
    assert np.abs(counts - expected).max() < 4 * np.sqrt(expected), counts


@pytest.mark.parametrize("light", [{"brightness": 0.5, "contrast": 0.5}, {"noise": 1.0}])
@pytest.mark.parametrize("dtype, largest", [("uint8", 255), ("uint16", 65535), ("float32", None)])
def test_light_stays_within_pixel_values(light, dtype, largest):
    unit = (largest or 255) // 255
    image = np.full((HEIGHT, WIDTH, 2), 250 * unit, dtype)
    image[::2] = 2 * unit
    spec = bands((0.0, 0.0), (100.0 * unit,) * 2, dtype)
    results = np.stack([lit for lit, _ in run(Augmentation((HEIGHT, WIDTH), **light), SEEDS[:20], image, spec=spec)])
    if largest:
        assert (results.min(), results.max()) == (0, largest)
    else:
        assert results.min() < -1 and results.max() > 256


def fitted(image):
    """Matrix [2, 3] of output (column, row, 1) to source (column, row), from the ramps of `coordinates`."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width].reshape(2, -1)
    near = np.hypot(rows - (height - 1) / 2, columns - (width - 1) / 2) < min(height, width) / 2 - 2
    points = np.stack([columns, rows, np.ones_like(rows)], axis=1)[near]
    values = image.reshape(-1, 2)[near, ::-1].astype(float)
    matrix, residuals, *_ = np.linalg.lstsq(points, values, rcond=None)
    assert residuals.max() < 1e-3 * len(points)  # pixels squared; averages of a part of a pixel are a little off
    return matrix.T


def turned_by_hand(image, label, matrix, fill):
    """(bilinear image, nearest label) under output -> source, pixel by pixel, `fill` and 255 outside."""
    height, width = label.shape
    turned, ids = np.empty(image.shape), np.empty(label.shape, np.uint8)
    for row, column in np.ndindex(height, width):
        x, y = matrix @ (column, row, 1)
        total = np.zeros(image.shape[2])
        for j in (int(np.floor(y)), int(np.floor(y)) + 1):
            for i in (int(np.floor(x)), int(np.floor(x)) + 1):
                inside = 0 <= j < height and 0 <= i < width
                total += (1 - abs(y - j)) * (1 - abs(x - i)) * (image[j, i] if inside else np.array(fill))
        turned[row, column] = total
        j, i = round(y), round(x)
        ids[row, column] = label[j, i] if 0 <= j < height and 0 <= i < width else IGNORE
    return turned, ids


def test_pairs_turn_about_the_centre_by_up_to_the_angle():
    angles = []
    for image, _ in run(
        Augmentation((HEIGHT, WIDTH), rotation=30.0), [(4, n) for n in range(150)], spec=bands((0.0, 0.0))
    ):
        matrix = fitted(image)
        np.testing.assert_allclose(matrix[:, :2] @ matrix[:, :2].T, np.eye(2), atol=1e-4)
        assert np.linalg.det(matrix[:, :2]) > 0
        centre = (WIDTH - 1) / 2, (HEIGHT - 1) / 2
        np.testing.assert_allclose(matrix @ (*centre, 1), centre, atol=1e-3)
        angles.append(np.degrees(np.arctan2(matrix[1, 0], matrix[0, 0])))
    assert -30 <= min(angles) < -27 and 27 < max(angles) <= 30
    # The mean and the spread of a uniform distribution, within four standard errors.
    assert abs(np.mean(angles)) < 4 * (60 / np.sqrt(12)) / np.sqrt(150)
    assert abs(np.std(angles) - 60 / np.sqrt(12)) < 4 * 60 * 0.13 / np.sqrt(150)


def test_turned_pixels_by_hand():
    noise = np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH, 2)).astype(np.float32)
    options, fill = Augmentation((HEIGHT, WIDTH), rotation=45.0), (90.0, 30.0)
    for seed in SEEDS[3:6]:
        matrix = fitted(run(options, [seed], spec=bands((0.0, 0.0)))[0][0])
        (image, label) = run(options, [seed], noise, spec=bands(fill))[0]
        expected, ids = turned_by_hand(noise, LABEL, matrix, fill)
        np.testing.assert_allclose(image, expected, atol=0.1)
        # But for the points halfway between two pixels.
        assert (label == ids).mean() > 0.99
        assert (label == IGNORE).any()


def test_turned_pairs_are_those_of_tensorflow_addons():
    tfa = pytest.importorskip("tensorflow_addons")
    noise = np.random.default_rng(0).uniform(0, 255, (HEIGHT, WIDTH, 2)).astype(np.float32)
    options, fill = Augmentation((HEIGHT, WIDTH), rotation=45.0), (90.0, 30.0)
    for seed in SEEDS[3:8]:
        matrix = fitted(run(options, [seed], spec=bands((0.0, 0.0)))[0][0])
        angle = np.arctan2(matrix[1, 0], matrix[0, 0])
        (image, label) = run(options, [seed], noise, spec=bands(fill))[0]
        expected = tfa.image.rotate(noise - np.float32(fill), angle, "bilinear") + fill
        np.testing.assert_allclose(image, expected, atol=0.1)
        ids = tfa.image.rotate(LABEL[..., None], angle, "nearest", fill_value=float(IGNORE))[..., 0]
        assert (label == ids.numpy()).mean() > 0.99


def test_turning_moves_no_other_draw():
    settings = {"crop": (21, 25), "scale": (0.7, 1.5), "aspect": 0.15, "flip_horizontal": True, "flip_vertical": True}
    straight, turned = (run(Augmentation(**settings, **more)) for more in ({}, {"rotation": 20.0}))
    for (image, _), (other, _) in zip(straight, turned):
        np.testing.assert_allclose(image[10, 12], other[10, 12], atol=1e-3)
    assert np.mean([np.abs(one - other).max() > 1 for (one, _), (other, _) in zip(straight, turned)]) > 0.7


def test_elements_are_those_of_earlier_versions():
    """Runs that go on need the draws of old, and figures that were measured nearly these.

    The first two were recorded before boxes were of whole pixels, which moved them by less than two, and before those
    at the border were as likely as others, which moved them by up to one; the others after.
    """
    recorded = [
        ((5.830505, 20.638062), (28.850403, 46.654053), (6.071429, 21.04), (28.928572, 46.96), 7163),
        ((4.070801, 40.445435), (30.189514, 8.226074), (4.142857, 39.82), (29.857143, 7.18), 5673),
        ((3.616272, 40.379456), (18.584534, 19.280396), (3.0, 40.0), (18.0, 19.0), 5325),
    ]
    pairs = run(Augmentation((21, 25), (0.7, 1.5), 0.15, True, True), [(0, 0), (0, 1), (1, 2**40)])
    for (image, label), (old_first, old_last, first, last, total) in zip(pairs, recorded):
        np.testing.assert_allclose([image[0, 0], image[-1, -1]], [old_first, old_last], atol=1.5)
        np.testing.assert_allclose([image[0, 0], image[-1, -1]], [first, last], atol=1e-3)
        assert label.sum(dtype=int) == total


def boxes(options, count, height=HEIGHT, width=WIDTH):
    """[count, 4]: top, left, height and width of the boxes of the image that become the crop."""
    image, found = coordinates(height, width), []
    draw = traced(lambda seed: augment(image, 0, seed, options, bands((0.0, 0.0))))
    for number in range(count):
        (step_x, _, left), (_, step_y, top) = fitted(draw(tf.constant((9, number)))[0].numpy())
        found.append(
            (top + 0.5 - step_y / 2, left + 0.5 - step_x / 2, step_y * options.crop[0], step_x * options.crop[1])
        )
    return np.array(found)


# The small crop reduces the image on the way, the large one doesn't.
@pytest.mark.parametrize("crop", [(12, 15), (60, 80)])
def test_boxes_have_the_areas_and_ratios_and_lie_within(crop):
    tops, lefts, heights, widths = boxes(Augmentation(crop, area=(0.08, 1.0)), 200).T
    # Places are rounded to pixels of the crop.
    slack = 0.01 + 0.5 * heights.max() / crop[0]
    assert tops.min() > -slack and (tops + heights).max() < HEIGHT + slack
    assert lefts.min() > -slack and (lefts + widths).max() < WIDTH + slack
    np.testing.assert_allclose(heights, np.round(heights), atol=0.06)
    areas, ratios = heights * widths / (HEIGHT * WIDTH), widths / heights
    # Areas and ratios are those of boxes of whole pixels.
    assert 0.075 < areas.min() < 0.15 and 0.85 < areas.max() < 1.001
    assert 0.73 < ratios.min() < 0.78 and 1.29 < ratios.max() < 1.37
    for place, free in ((tops, HEIGHT - heights), (lefts, WIDTH - widths)):
        share = (place / free)[free > 8]
        assert share.min() < 0.1 and share.max() > 0.9 and abs(share.mean() - 0.5) < 0.12


def test_boxes_are_distributed_as_by_trial_and_error():
    rng, expected = np.random.default_rng(0), []
    while len(expected) < 4000:
        area, ratio = rng.uniform(0.08, 1) * HEIGHT * WIDTH, np.exp(rng.uniform(np.log(0.75), np.log(4 / 3)))
        height, width = np.sqrt(area / ratio), np.sqrt(area * ratio)
        if height <= HEIGHT and width <= WIDTH:
            expected.append((height, width))
    found = boxes(Augmentation((60, 80), area=(0.08, 1.0)), 300)[:, 2:]
    error = np.std(expected, axis=0) / np.sqrt(300)
    np.testing.assert_array_less(np.abs(np.mean(found, axis=0) - np.mean(expected, axis=0)), 4 * error)


def test_where_no_box_fits_the_largest_of_an_allowed_ratio_is_taken():
    for height, width, ratio in ((15, 200, 4 / 3), (200, 15, 3 / 4)):
        found = boxes(Augmentation((20, 20), area=(0.5, 1.0)), 10, height, width)
        short = found[:, 2] if height < width else found[:, 3]
        np.testing.assert_allclose(short, 15, rtol=1e-3)
        np.testing.assert_allclose(found[:, 3] / found[:, 2], ratio, rtol=1e-3)
        assert np.ptp(found[:, 1] if height < width else found[:, 0]) > 50


@pytest.mark.parametrize("stripes", [np.s_[::2], np.s_[:, ::2]])
def test_much_smaller_boxes_are_averages(stripes):
    image = np.zeros((200, 240, 2), np.uint8)
    image[stripes] = 200  # single pixels would be black or white
    draw = traced(lambda seed: augment(image, 0, seed, options, bands((0.0, 0.0))))
    options = Augmentation((20, 20), area=(0.7, 1.0))
    for seed in SEEDS[:10]:
        np.testing.assert_allclose(draw(tf.constant(seed))[0][1:-1, 1:-1], 100, atol=15)


def test_boxes_are_turned_and_mirrored_like_crops():
    options = Augmentation((14, 15), flip_horizontal=True, rotation=25.0, area=(0.9, 1.0), ratio=(1.0, 1.0))
    for seed in SEEDS[:20]:
        image, label = augment(coordinates(), 7, tf.constant(seed), options, bands((0.0, 0.0)))
        assert (int(label), label.shape) == (7, ())
        matrix = fitted(image.numpy())
        scales = np.linalg.norm(matrix[:, :2], axis=1)
        turn = matrix[:, :2] / scales[:, None] * [[np.sign(matrix[0, 0])], [1]]
        assert abs(np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))) <= 25.1
        np.testing.assert_allclose(turn @ turn.T, np.eye(2), atol=2e-3)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"crop": (0, 5)}, r"data.crop must be positive, got \(0, 5\)"),
        ({"crop": (5.5, 5)}, r"data.crop must be two whole numbers of pixels, got \(5.5, 5\)"),
        ({"crop": ("a", "b")}, "data.crop must be two whole numbers"),
        ({"scale": (1, "2")}, r"data.scale must be two numbers, got \(1, '2'\)"),
        ({"scale": (1.0, math.inf)}, "data.scale must be"),
        ({"scale": (1.5, 0.7)}, r"data.scale must be \(low, high\) .* got \(1.5, 0.7\)"),
        ({"scale": (0.0, 1.0)}, "data.scale must be"),
        ({"scale": (0.5, 1.0, 2.0)}, r"data.scale must be two numbers, got \(0.5, 1.0, 2.0\)"),
        ({"crop": (33,)}, r"data.crop must be two whole numbers of pixels, got \(33,\)"),
        ({"area": (0.5,)}, "data.area must be two numbers"),
        ({"aspect": 1.0}, r"data.aspect must be in \[0, 1\), got 1.0"),
        ({"brightness": -0.1}, "data.brightness must be in"),
        ({"contrast": 1.2}, "data.contrast must be in"),
        ({"rotation": -1.0}, "data.rotation must be 0 to 180 degrees, got -1.0"),
        ({"area": (0.0, 1.0)}, "data.area must be empty or"),
        ({"area": (0.5, 1.5)}, r"data.area must be .*, got \(0.5, 1.5\)"),
        ({"ratio": (2.0, 1.0)}, "data.ratio must be"),
    ],
)
def test_bad_settings_are_told(settings, message):
    with pytest.raises(DataError, match=message):
        Augmentation(**{"crop": (8, 8), **settings})
