"""Tests of elastic deformation, by fields read off an image whose bands are its rows and columns."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from data_pipelines.augment import Augmentation, augment, augment_label
from data_pipelines.augment.geometry import _field
from data_pipelines.spec import IGNORE, DatasetSpec

HEIGHT, WIDTH, CROP = 100, 120, (48, 60)
RAMPS = np.indices((HEIGHT, WIDTH)).transpose(1, 2, 0).astype(np.float32)
RNG = np.random.default_rng(0)
IDS = ndimage.zoom(RNG.choice(np.uint8([0, 1, 2, 3, IGNORE]), (10, 12)), 10, order=0)
WILD = {"scale": (0.8, 1.4), "flip_horizontal": True, "flip_vertical": True, "rotation": 25.0}
traced = functools.partial(tf.function, autograph=False)  # as the pipeline does it


def run(image, label=IDS, count=20, mean=None, dtype="float32", **settings):
    """[(image, label)] under seeds (5, 0), (5, 1), ..."""
    bands = image.shape[-1]
    spec = DatasetSpec("ramps", (), (), {}, mean or (0.0,) * bands, (1.0,) * bands, dtype=dtype)
    options = Augmentation(CROP, **{"elastic": 2.0, **settings})
    draw = traced(lambda seed: augment(image, label, seed, options, spec))
    return [tuple(part.numpy() for part in draw(tf.constant((5, number)))) for number in range(count)]


@pytest.mark.parametrize("settings", [{}, WILD])
def test_image_and_label_are_sampled_at_the_same_places(settings):
    """By SciPy, at the places that the ramps say: bilinear values, and the nearest pixel's class."""
    noise = RNG.uniform(0, 255, (HEIGHT, WIDTH, 2)).astype(np.float32)
    source = np.concatenate([RAMPS, np.ones((HEIGHT, WIDTH, 1), np.float32), noise], axis=-1)
    compared, moved = 0, []
    for image, label in run(source, **settings):
        inside = image[..., 2] > 0.9999
        places = image[inside][:, :2].T
        for band in (3, 4):
            expected = ndimage.map_coordinates(source[..., band], places, order=1)
            np.testing.assert_allclose(image[inside][:, band], expected, atol=0.05)
        sure = (np.abs(places % 1 - 0.5) > 0.01).all(axis=0)  # less what is halfway between two pixels
        rows, columns = np.round(places[:, sure]).astype(int)
        np.testing.assert_array_equal(label[inside][sure], IDS[rows, columns])
        compared += sure.sum()
        moved.append(np.abs(np.diff(image[1:-1, 1:-1, :2], 2, axis=0)).max())
    assert compared > 0.7 * 20 * np.prod(CROP)
    assert np.max(moved) > 0.02  # no affine map


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_an_image_of_ids_shows_its_label(dtype):
    """Where no class is near, image and label are equal; void stays void, and no other id comes up."""
    for image, label in run(IDS[..., None].astype(dtype), mean=(float(IGNORE),), dtype=dtype, **WILD):
        assert {*np.unique(label)} <= {*np.unique(IDS), IGNORE}
        most = ndimage.maximum_filter(label, 9, mode="constant", cval=254)  # beyond the crop there may be others
        flat = most == ndimage.minimum_filter(label, 9)
        assert flat.any()
        np.testing.assert_allclose(image[flat][:, 0], label[flat], atol=1e-3)


def test_the_label_alone_is_that_of_the_pair():
    options = Augmentation(CROP, elastic=2.0, elastic_nodes=3, **WILD)
    for number, (_, label) in enumerate(run(RAMPS, count=5, **WILD)):
        np.testing.assert_array_equal(augment_label(IDS, tf.constant((5, number)), options), label)


def displacements(count=150, **settings):
    """[count, h, w, 2], where crops are as large as the image and else nothing is drawn."""
    options = Augmentation((40, 50), **settings)
    return np.stack([_field(tf.constant((5, number)), options).numpy() for number in range(count)])


def test_displacements_have_the_deviation_and_nodes_of_the_settings():
    fields = displacements(elastic=1.5, elastic_nodes=3)
    nodes = fields[:, [6, 20, 33]][:, :, [8, 25, 41]]  # about in the middle of each third
    assert np.abs(nodes).max() < 2 * 1.5 * 1.05
    # A uniform share of a deviation, times a Gaussian number that ends at two: of deviation 0.88.
    assert abs(nodes.std() / (1.5 * 0.88 / np.sqrt(3)) - 1) < 0.15
    assert np.abs(nodes.mean(axis=0)).max() < 4 * 0.77 / np.sqrt(150)
    flat = nodes.reshape(150, -1)
    assert np.abs(np.corrcoef(flat.T) - np.eye(18)).max() < 0.4  # independent
    finer = displacements(10, elastic=1.0, elastic_nodes=5)
    assert np.abs(np.diff(finer, 2, axis=1)).mean() > 2 * np.abs(np.diff(fields, 2, axis=1)).mean() / 1.5


def test_the_strongest_field_folds_no_row_or_column(monkeypatch):
    signs = np.where(RNG.random((200, 4, 4, 2)) < 0.5, -2.0, 2.0).astype(np.float32)
    draws = iter(signs)
    monkeypatch.setattr(tf.random, "stateless_truncated_normal", lambda *_: tf.constant(next(draws)))
    monkeypatch.setattr(tf.random, "stateless_uniform", lambda *_: tf.constant(1.0))
    fields = displacements(200, elastic=40 / 4 / 8, elastic_nodes=4)
    assert np.diff(fields[..., 0], axis=1).min() > -1 and np.diff(fields[..., 1], axis=2).min() > -1
    assert np.diff(fields[..., 0], axis=1).min() < -0.6  # the bound is near


def test_no_deformation_changes_no_pair():
    noise = RNG.uniform(0, 255, (HEIGHT, WIDTH, 5)).astype(np.float32)
    for settings in ({}, WILD):
        for (image, label), (plain, expected) in zip(
            run(noise, count=8, elastic=1e-6, **settings), run(noise, count=8, elastic=0.0, **settings)
        ):
            np.testing.assert_allclose(image, plain, atol=0.1)
            assert (label == expected).mean() > 0.995  # but halfway between two pixels
