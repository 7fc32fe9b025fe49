"""Losses of regions against binary ones in float64, a region at a time."""

import numpy as np
import pytest
import tensorflow as tf

from did_tf.common.readout import Readout
from did_tf.training.losses import PixelCrossEntropy

NESTED = Readout(((1, 2, 3), (2, 3), (3,)), (1, 2, 3))
EACH = Readout(((0,), (1,), (2,)), (0, 1, 2))
KINDS = [(NESTED, 4), (EACH, 3)]


def drawn(classes, seed=0):
    """(logits [N, H, W, 3], labels [N, H, W]): void pixels, a void image, one without the last class."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, (4, 5, 6)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.3] = 255
    labels[0] = 255
    labels[1] = np.where(labels[1] == classes - 1, 0, labels[1])
    return rng.normal(0, 3, (*labels.shape, 3)).astype(np.float32), labels


def value_and_gradient(loss, logits, labels):
    """As the trainer has it: the weighted mean over pixels, and the mean over images."""
    logits = tf.constant(logits)
    flat = labels.reshape(len(labels), -1)
    weights = tf.reshape(loss.choose(tf.reshape(loss.hardness(logits, labels), flat.shape), flat).weights, labels.shape)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = tf.reduce_sum(loss(logits, labels) * weights) / tf.reduce_sum(weights)
        if loss.has_regions:
            value += tf.reduce_sum(loss.of_regions(logits, labels)) / tf.reduce_sum(loss.images(flat))
    return float(value), tape.gradient(value, logits).numpy()


def inside(readout, labels):
    """[..., R] bool: whether pixels are in each region."""
    return np.stack([np.isin(labels, classes) for classes in readout.regions], -1)


def binary(logits, true, gamma=0.0):
    """-(1 - q)^gamma log(q), q the probability of what is there, in float64."""
    q = 1 / (1 + np.exp(np.where(true, -logits, logits).astype(float)))
    return -((1 - q) ** gamma) * np.log(q)


@pytest.mark.parametrize(("readout", "classes"), KINDS)
@pytest.mark.parametrize(("term", "gamma"), [("cross_entropy", 0.0), ("focal", 2.0)])
@pytest.mark.parametrize("weighted", [False, True])
def test_terms_of_pixels_are_the_mean_of_binary_ones(readout, classes, term, gamma, weighted):
    logits, labels = drawn(classes)
    own = tuple(np.linspace(0, 2, classes).tolist()) if weighted else None
    loss = PixelCrossEntropy(terms={term: 1.0}, class_weights=own, readout=readout)
    value, gradient = value_and_gradient(loss, logits, labels)
    valid = labels != 255
    each = [binary(logits[..., n], np.isin(labels, part), gamma) for n, part in enumerate(readout.regions)]
    of_pixels = np.mean(each, axis=0)[valid]
    assert value == pytest.approx(
        np.average(of_pixels, weights=np.array(own or (1,) * classes)[labels[valid]]), rel=1e-5
    )
    assert not gradient[~valid].any()
    if term == "cross_entropy" and not weighted:
        p = 1 / (1 + np.exp(-logits.astype(float)))
        wanted = np.where(valid[..., None], (p - inside(readout, labels)) / 3 / valid.sum(), 0)
        np.testing.assert_allclose(gradient, wanted, atol=1e-7)


def overlap_of(term, p, g):
    if term == "dice":
        return 1 - 2 * p[g].sum() / ((p**2).sum() + g.sum())
    return 1 - p[g].sum() / (p[g].sum() + 0.3 * p[~g].sum() + 0.7 * (1 - p[g]).sum())


@pytest.mark.parametrize(("readout", "classes"), KINDS)
@pytest.mark.parametrize("term", ["dice", "generalised_dice", "tversky"])
def test_terms_of_images_are_means_over_the_regions_that_are_there(readout, classes, term):
    logits, labels = drawn(classes)
    loss = PixelCrossEntropy(terms={term: 1.0}, readout=readout)
    value, gradient = value_and_gradient(loss, logits, labels)
    found = []
    for image, label in zip(1 / (1 + np.exp(-logits.astype(float))), labels):
        p, g = image[label != 255], inside(readout, label[label != 255])
        there = np.flatnonzero(g.any(0)) if len(g) else []
        if len(g) and term == "generalised_dice":
            w = {n: 1 / g[:, n].sum() ** 2 for n in there}
            overlap, areas = ((sum(w[n] * part[:, n].sum() for n in there)) for part in (p * g, p + g))
            found.append(1 - 2 * overlap / areas)
        elif len(g):
            found.append(np.mean([overlap_of(term, p[:, n], g[:, n]) for n in there]))
    assert len(found) == 3 and value == pytest.approx(np.mean(found), rel=1e-5)
    assert not gradient[labels == 255].any() and np.isfinite(gradient).all()


def test_mining_ranks_by_the_mean_of_all_regions():
    logits, labels = drawn(4)
    loss, flat = PixelCrossEntropy(keep=5, readout=NESTED), labels.reshape(4, -1)
    losses = tf.reshape(loss(logits, labels), flat.shape)
    np.testing.assert_array_equal(losses, tf.reshape(loss.hardness(logits, labels), flat.shape))
    kept = loss.choose(losses, flat).weights.numpy() > 0
    for image, chosen, label in zip(losses.numpy(), kept, flat):
        assert chosen.sum() == min(5, (label != 255).sum())
        assert not chosen.any() or image[chosen].min() >= image[~chosen & (label != 255)].max()


def test_right_predictions_cost_nothing():
    labels = np.array([[[0, 1, 2, 3]]], np.uint8)
    right = 1e4 * np.where(inside(NESTED, labels), 1, -1).astype(np.float32)
    terms = dict.fromkeys(("cross_entropy", "focal", "dice", "generalised_dice", "tversky"), 1.0)
    value, gradient = value_and_gradient(PixelCrossEntropy(terms=terms, readout=NESTED), right, labels)
    assert value == 0 and np.isfinite(gradient).all()


@pytest.mark.parametrize("term", ["dice", "generalised_dice", "tversky"])
def test_an_image_that_shows_no_region_costs_nothing(term):
    loss, labels = PixelCrossEntropy(terms={term: 1.0}, readout=NESTED), tf.zeros([1, 2, 3], tf.int32)
    logits = tf.fill([1, 2, 3, 3], -1e4)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        found = loss.of_regions(logits, labels)
    assert found.numpy().tolist() == [0.0]
    assert not tape.gradient(found, logits).numpy().any()
