"""Tests of the augmentation. Most read the geometry off an image whose two bands are its rows and columns."""

import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.augment import Augmentation, augment
from data_pipelines.spec import IGNORE, DataError

HEIGHT, WIDTH = 40, 53
FILL = (-700.3, -900.1)
LABEL = (np.arange(HEIGHT)[:, None] // 3 + np.arange(WIDTH) // 4).astype(np.uint8)
SEEDS = [(7, number) for number in range(40)]


def coordinates(height=HEIGHT, width=WIDTH):
    """Image [H, W, 2] whose bands are each pixel's row and column."""
    return np.stack(np.mgrid[:height, :width], axis=-1).astype(np.float32)


def run(options, seeds=SEEDS, image=None, label=LABEL, fill=FILL):
    """[(image, label)] of a pair augmented under every seed."""
    image = coordinates() if image is None else image
    fill = tf.constant(fill)
    draw = tf.function(lambda seed: augment(image, label, seed, options, fill))
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
    cut, _ = run(Augmentation((HEIGHT, WIDTH)), SEEDS[:1], image, fill=(105.0, 108.4, 110.3))[0]
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


def test_image_and_label_stay_together_under_everything():
    options = Augmentation((45, 45), (0.7, 1.5), 0.15, True, True)
    compared = 0
    for image, label in run(options):
        values = np.unique(label)
        assert np.isin(values, [*np.unique(LABEL), IGNORE]).all()
        inside = np.all((image > 0) & (image < (HEIGHT - 1, WIDTH - 1)), axis=-1)
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
    scales = 1 / np.array(sources)
    assert scales.min() >= scale[0] - 1e-3 and scales.max() <= scale[1] + 1e-3
    ratios = scales[:, 1] / scales[:, 0]
    assert np.abs(ratios - 1).max() <= aspect + 2e-3
    margin = 0.1 * (scale[1] - scale[0])
    assert scales.min() <= scale[0] + margin + 1e-3 and scales.max() >= scale[1] - margin - 1e-3
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
    np.testing.assert_allclose(image[1:-1, 1:-1], expected[1:-1, 1:-1], atol=1e-3)


def test_equal_seeds_give_equal_pairs_and_others_do_not():
    options = Augmentation((30, 30), (0.7, 1.5), 0.15, True, True, 0.2, 0.2)
    first, again, *others = run(options, [(5, 1), (5, 1), (5, 2), (6, 1)])
    for part, same in zip(first, again):
        np.testing.assert_array_equal(part, same)
    for other in others:
        assert np.mean(first[0] != other[0]) > 0.5


def lit(**light):
    """[(pair under these settings, the same without light)], of bright and dark noise."""
    image = np.random.default_rng(0).uniform(60, 160, (HEIGHT, WIDTH, 2)).astype(np.float32)
    geometry = {"crop": (30, 30), "scale": (0.8, 1.2), "flip_horizontal": True}
    runs = [run(Augmentation(**geometry, **more), image=image, fill=(100.0, 50.0)) for more in (light, {})]
    return list(zip(*runs))


def test_brightness_multiplies_the_image_alone():
    gains = []
    for (image, label), (plain, plain_label) in lit(brightness=0.3):
        np.testing.assert_array_equal(label, plain_label)
        gains.append(np.median(image / plain))
        np.testing.assert_allclose(image, plain * gains[-1], rtol=1e-4)
    assert 0.7 <= min(gains) < 0.76 and 1.24 < max(gains) <= 1.3


def test_contrast_multiplies_the_distance_from_the_mean():
    gains = []
    for (image, label), (plain, plain_label) in lit(contrast=0.3):
        np.testing.assert_array_equal(label, plain_label)
        gains.append(image.std() / plain.std())
        np.testing.assert_allclose(image, plain.mean() + (plain - plain.mean()) * gains[-1], atol=1e-2)
    assert 0.7 <= min(gains) < 0.76 and 1.24 < max(gains) <= 1.3


def test_light_stays_within_pixel_values():
    image = np.full((HEIGHT, WIDTH, 2), 250, np.uint8)
    image[::2] = 2
    options = Augmentation((HEIGHT, WIDTH), brightness=0.5, contrast=0.5)
    results = np.stack([lit for lit, _ in run(options, image=image)])
    assert (results.min(), results.max()) == (0, 255)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"crop": (0, 5)}, r"data.crop must be positive, got \(0, 5\)"),
        ({"scale": (1.5, 0.7)}, r"data.scale must be \(low, high\) .* got \(1.5, 0.7\)"),
        ({"scale": (0.0, 1.0)}, "data.scale must be"),
        ({"aspect": 1.0}, r"data.aspect must be in \[0, 1\), got 1.0"),
        ({"brightness": -0.1}, "data.brightness must be in"),
        ({"contrast": 1.2}, "data.contrast must be in"),
    ],
)
def test_bad_settings_are_told(settings, message):
    with pytest.raises(DataError, match=message):
        Augmentation(**{"crop": (8, 8), **settings})
