"""Terms of the loss against their papers' formulas in float64: an image, a class, a pixel at a time."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from did_tf.training.losses import REGION_TERMS, TERMS, PixelCrossEntropy
from did_tf.training.regions import signed_distances

IGNORE = 255


def drawn(seed):
    """(logits [N, H, W, C] float64, labels [N, H, W]) of some shape: void pixels, a void image, classes missing."""
    rng = np.random.default_rng(seed)
    images, height, width, classes = rng.integers([2, 1, 1, 2], [4, 6, 6, 6])
    labels = rng.integers(0, rng.integers(1, classes + 1), (images, height, width)).astype(np.uint8)
    labels[rng.random(labels.shape) < 0.3] = IGNORE
    labels[0] = IGNORE
    labels[-1, 0, 0] = rng.integers(classes)
    logits = rng.normal(0, 2, (*labels.shape, classes)).astype(np.float32)
    return logits.astype(float), labels


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def jaccard_loss(wrong, true):
    """1 - IoU of a class whose pixels are `true` [P] where those of `wrong` [P] are predicted wrongly."""
    predicted = true ^ wrong
    return 1 - (predicted & true).sum() / (predicted | true).sum() if (predicted | true).any() else 0.0


def lovasz_of_class(p, true):
    """The Lovasz extension as it is defined: the mean of the set function over all thresholds of the errors."""
    errors = np.abs(true - p)
    levels = np.unique([0.0, *errors, 1.0])
    return sum((high - low) * jaccard_loss(errors > (low + high) / 2, true) for low, high in itertools.pairwise(levels))


def dice_of_class(p, true):
    return 1 - 2 * p[true].sum() / ((p**2).sum() + true.sum())


def tversky_of_class(p, true, alpha=0.3, beta=0.7):
    hit = p[true].sum()
    return 1 - hit / (hit + alpha * p[~true].sum() + beta * (1 - p[true]).sum())


@functools.cache
def distances(label, shape, known, cls):
    """Signed distances in diagonals, over all pairs of pixels; of an image as bytes, so that they are kept."""
    ids, known = np.frombuffer(label, np.uint8).reshape(shape), np.frombuffer(known, bool).reshape(shape)
    inside, outside = (np.argwhere(known & x) for x in (ids == cls, ids != cls))
    found = np.zeros(shape)
    if len(inside) and len(outside):
        for at in np.ndindex(shape):
            to_inside, to_outside = (np.hypot(*(places - at).T).min() for places in (inside, outside))
            found[at] = to_inside if to_inside else 1 - to_outside
    return found / np.hypot(*shape)


def boundary_loss(p, label, counts, weights):
    """Equation 5 of Kervadec et al. 2019 less its value at the labels, of an image: p [P, C] of pixels that count."""
    ids, means = label[counts], []
    for cls in np.unique(ids):
        phi = distances(label.tobytes(), label.shape, counts.tobytes(), int(cls))[counts]
        means.append((phi * (p[:, cls] - (ids == cls))).sum() / len(ids))
    return np.average(means, weights=weights[np.unique(ids)])


OF_CLASS = {"dice": dice_of_class, "tversky": tversky_of_class, "lovasz": lovasz_of_class}


def region_loss(name, logits, labels, class_weights=None):
    """The mean over the images in which a pixel counts."""
    weights = np.ones(logits.shape[-1]) if class_weights is None else np.array(class_weights)
    found = []
    for p, label in zip(softmax(logits), labels):
        counts = np.array([[id_ != IGNORE and weights[id_] > 0 for id_ in row] for row in label])
        image, p, ids = label, p[counts], label[counts]
        present = sorted(set(ids))
        if not present:
            continue
        if name == "generalised_dice":
            w = {c: weights[c] / (ids == c).sum() ** 2 for c in present}
            overlap = sum(w[c] * p[ids == c, c].sum() for c in present)
            found.append(1 - 2 * overlap / sum(w[c] * ((ids == c).sum() + p[:, c].sum()) for c in present))
        elif name == "boundary":
            found.append(boundary_loss(p, image, counts, weights))
        else:
            of_class = [OF_CLASS[name](p[:, c], ids == c) for c in present]
            found.append(np.average(of_class, weights=weights[present]))
    return np.mean(found) if found else 0.0


def pixel_loss(name, logits, labels, class_weights=None, smoothing=0.0, gamma=2.0):
    """The weighted mean over the valid pixels, by the cross entropy against a distribution of Szegedy et al."""
    weights = np.ones(logits.shape[-1]) if class_weights is None else np.array(class_weights)
    total = weight = 0.0
    for at in zip(*np.nonzero(labels != IGNORE)):
        p, label = softmax(logits[at]), labels[at]
        target = (1 - smoothing) * np.eye(len(p))[label] + smoothing / len(p)
        loss = -(target * np.log(p)).sum() if name == "cross_entropy" else -((1 - p[label]) ** gamma) * np.log(p[label])
        total, weight = total + weights[label] * loss, weight + weights[label]
    return total / weight if weight else 0.0


def expected(name, logits, labels, class_weights=None):
    of = region_loss if name in REGION_TERMS else pixel_loss
    return of(name, logits, labels, class_weights)


def value_and_gradient(loss, logits, labels):
    """(loss of a batch, its gradient with respect to the logits [N, H, W, C])."""
    logits, flat = tf.constant(logits, tf.float32), labels.reshape(len(labels), -1)
    weights = tf.reshape(loss.choose(loss.hardness(logits, labels), labels).weights, labels.shape)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = tf.math.divide_no_nan(tf.reduce_sum(loss(logits, labels) * weights), tf.reduce_sum(weights))
        if loss.has_regions:
            value += tf.math.divide_no_nan(
                tf.reduce_sum(loss.of_regions(logits, labels)), tf.reduce_sum(loss.images(flat))
            )
    return float(value), tape.gradient(value, logits, unconnected_gradients="zero").numpy()


def slopes(function, x, step=1e-6):
    """The gradient of a function of x by central differences."""
    found = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        ahead, behind = x.copy(), x.copy()
        ahead[at] += step
        behind[at] -= step
        found[at] = (function(ahead) - function(behind)) / (2 * step)
    return found


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", TERMS)
def test_a_term_is_its_papers_formula(name, seed):
    logits, labels = drawn(seed)
    weights = None if seed % 2 else tuple(np.linspace(0, 2, logits.shape[-1]))
    loss = PixelCrossEntropy(class_weights=weights, terms={name: 1.0})
    value, gradient = value_and_gradient(loss, logits, labels)
    assert value == pytest.approx(expected(name, logits, labels, weights), rel=1e-5, abs=1e-6)
    wanted = slopes(lambda x: expected(name, x, labels, weights), logits)
    np.testing.assert_allclose(gradient, wanted, rtol=1e-3, atol=2e-6)
    assert not gradient[labels == IGNORE].any()


def test_a_sum_of_terms():
    logits, labels = drawn(5)
    terms = {name: 0.25 * number for number, name in enumerate(TERMS)}
    value, _ = value_and_gradient(PixelCrossEntropy(terms=terms), logits, labels)
    assert value == pytest.approx(sum(w * expected(name, logits, labels) for name, w in terms.items()), rel=1e-5)


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_smoothed_labels(share):
    logits, labels = drawn(6)
    value, gradient = value_and_gradient(PixelCrossEntropy(label_smoothing=share), logits, labels)

    def wanted(x):
        return pixel_loss("cross_entropy", x, labels, smoothing=share)

    assert value == pytest.approx(wanted(logits), rel=1e-5)
    np.testing.assert_allclose(gradient, slopes(wanted, logits), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 5.0])
def test_focusing(gamma):
    logits, labels = drawn(7)
    loss = PixelCrossEntropy(terms={"focal": 1.0}, focal_gamma=gamma)
    value, gradient = value_and_gradient(loss, logits, labels)

    def wanted(x):
        return pixel_loss("focal", x, labels, gamma=gamma)

    assert value == pytest.approx(wanted(logits), rel=1e-5)
    np.testing.assert_allclose(gradient, slopes(wanted, logits), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("alpha, beta", [(0.5, 0.5), (0.0, 1.0), (2.0, 0.1)])
def test_false_alarms_and_misses(alpha, beta):
    """Which of the two is which is told by an image whose pixels are all of the class: it has misses alone."""
    logits, labels = drawn(8)
    loss = PixelCrossEntropy(terms={"tversky": 1.0}, tversky_alpha=alpha, tversky_beta=beta)
    value, _ = value_and_gradient(loss, logits[-1:], labels[-1:])
    p, ids = softmax(logits[-1])[labels[-1] != IGNORE], labels[-1][labels[-1] != IGNORE]
    assert value == pytest.approx(
        np.mean([tversky_of_class(p[:, c], ids == c, alpha, beta) for c in sorted(set(ids))]), rel=1e-5
    )
    value, _ = value_and_gradient(loss, np.zeros((1, 2, 2, 2)), np.zeros((1, 2, 2), np.uint8))
    assert value == pytest.approx(1 - 0.5 / (0.5 + beta * 0.5), rel=1e-5)


@pytest.mark.parametrize("name", REGION_TERMS)
def test_right_predictions_cost_nothing_and_wrong_ones_all(name):
    labels = np.array([[[0, 0, 2]]], np.uint8)
    loss = PixelCrossEntropy(terms={name: 1.0})
    value, gradient = value_and_gradient(loss, 1e4 * np.eye(4)[labels], labels)
    assert value == 0 and not gradient.any()
    value, gradient = value_and_gradient(loss, 1e4 * np.eye(4)[(labels + 1) % 4], labels)
    # Of a boundary: one pixel of class 0 is one pixel inside it, and no class that is there is predicted.
    assert value == pytest.approx(1 / 6 / np.sqrt(10) if name == "boundary" else 1) and np.isfinite(gradient).all()


def test_a_boundary_that_is_farther_off_costs_more_and_void_is_no_boundary():
    loss = PixelCrossEntropy(terms={"boundary": 1.0})
    labels = np.zeros((1, 4, 12), np.uint8)
    labels[:, :, 6:] = 1

    def cost(predicted, labels=labels):
        return value_and_gradient(loss, 1e4 * np.eye(2)[predicted], labels)[0]

    off = [np.arange(12) >= edge for edge in (6, 7, 9, 11)]
    costs = [cost(np.broadcast_to(row, labels.shape).astype(int)) for row in off]
    assert costs == sorted(costs) and len({*costs}) == 4 and costs[0] == 0
    void = labels.copy()
    void[:, :, :3] = IGNORE
    distances = [signed_distances(x.astype(int), x != IGNORE, 2)[..., 3:, :] for x in (labels, void)]
    np.testing.assert_array_equal(*distances)


def test_distances_are_those_of_all_pairs_of_pixels():
    rng = np.random.default_rng(0)
    for shape in ((1, 7), (9, 1), (13, 17)):
        ids, counts = rng.integers(0, 3, (2, *shape)).astype(np.uint8), rng.random((2, *shape)) < 0.8
        expected = [
            [distances(label.tobytes(), shape, known.tobytes(), cls) for cls in range(4)]
            for label, known in zip(ids, counts)
        ]
        found = signed_distances(ids.astype(np.int32), counts, 4)
        known = np.broadcast_to(counts[..., None], found.shape)
        np.testing.assert_allclose(found[known], np.moveaxis(expected, 1, -1)[known], rtol=1e-5, atol=1e-6)
    alone = signed_distances(np.ones((1, 4, 5), int), np.ones((1, 4, 5), bool), 2)
    assert not alone.any()


@pytest.mark.parametrize("name", TERMS)
def test_nothing_that_counts_costs_nothing(name):
    logits, labels = drawn(9)
    loss = PixelCrossEntropy(class_weights=(1.0, *(0.0,) * (logits.shape[-1] - 1)), terms={name: 1.0})
    for none in (np.full_like(labels, IGNORE), np.ones_like(labels)):
        value, gradient = value_and_gradient(loss, logits, none)
        assert value == 0 and not gradient.any()


@pytest.mark.parametrize("name", TERMS)
def test_a_pixel_that_is_not_finite_is_seen(name):
    logits, labels = drawn(10)
    labels[-1, 0, 0], logits[-1, 0, 0, 0] = 0, np.nan
    assert not np.isfinite(value_and_gradient(PixelCrossEntropy(terms={name: 1.0}), logits, labels)[0])


@pytest.mark.parametrize("name", TERMS)
def test_16_bit_logits_are_computed_with_in_32(name):
    logits, labels = drawn(11)
    logits = tf.cast(logits, tf.bfloat16)
    loss = PixelCrossEntropy(terms={name: 1.0})
    wide = tf.cast(logits, tf.float32)
    for of in (loss, loss.of_regions) if name in REGION_TERMS else (loss,):
        found = of(logits, labels)
        assert found.dtype == tf.float32
        np.testing.assert_array_equal(found, of(wide, labels))


def test_mining_ranks_by_cross_entropy_whatever_the_terms_are():
    """By focal loss a threshold would be another one; and regions take the pixels that are not kept, too."""
    logits, labels = drawn(12)
    plain = PixelCrossEntropy(threshold=0.3)
    other = PixelCrossEntropy(threshold=0.3, terms={"focal": 1.0, "dice": 1.0}, label_smoothing=0.1)
    flat = labels.reshape(len(labels), -1)
    kept = [x.choose(tf.reshape(x.hardness(logits, labels), flat.shape), flat).weights for x in (plain, other)]
    np.testing.assert_array_equal(*kept)
    assert 0 < np.sum(kept[0]) < (labels != IGNORE).sum()
    unmined = PixelCrossEntropy(terms={"dice": 1.0})
    np.testing.assert_array_equal(other.of_regions(logits, labels), unmined.of_regions(logits, labels))


@pytest.mark.parametrize(
    "settings, plain, regions",
    [
        ({}, True, False),
        ({"terms": {"cross_entropy": 1.0, "dice": 0.0}}, True, False),
        ({"terms": {"cross_entropy": 1.0, "dice": 0.5}}, True, True),
        ({"terms": {"cross_entropy": 2.0}}, False, False),
        ({"terms": {"lovasz": 1.0}}, False, True),
        ({"label_smoothing": 0.1}, False, False),
    ],
)
def test_what_a_loss_is_made_of(settings, plain, regions):
    loss = PixelCrossEntropy(**settings)
    assert (loss.plain, loss.has_regions) == (plain, regions)
