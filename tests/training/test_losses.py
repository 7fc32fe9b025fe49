"""Tests of the losses against loops over single pixels."""

import numpy as np
import pytest
import tensorflow as tf

from did_tf.training.losses import PixelCrossEntropy, output_weights

CLASSES = 4
WEIGHTS = (0.5, 1.0, 2.0, 0.0)


def pixels(seed=0, shape=(2, 4, 6), ignored=0.3):
    """(logits [N, H, W, C] float32, labels [N, H, W] uint8 of which a share is 255)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, shape).astype(np.uint8)
    labels[rng.random(shape) < ignored] = 255
    return rng.normal(0, 2, (*shape, CLASSES)).astype(np.float32), labels


def by_pixel(logits, labels, threshold=0.0, keep=0, scope="image", class_weights=None):
    """(total, weight, kept, threshold, chosen [N, H, W]) as the paper words it: one pixel at a time."""
    logits = logits.astype(float)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    truth = {at: probabilities[at][labels[at]] for at in np.ndindex(labels.shape) if labels[at] != 255}
    groups = [truth]
    if scope == "image":
        groups = [{at: p for at, p in truth.items() if at[0] == n} for n in range(len(labels))]
    chosen, limits = np.zeros(labels.shape, bool), []
    for group in groups:
        hardest_first = sorted(group.values())
        limit = threshold if threshold or keep else 1.0
        if keep:
            limit = max(limit, hardest_first[keep - 1] if keep <= len(group) else 1.0)
        limits.append(limit)
        for at, p in group.items():
            chosen[at] = p <= limit
    weight = {at: class_weights[labels[at]] if class_weights else 1.0 for at in truth if chosen[at]}
    total = sum(-np.log(truth[at]) * w for at, w in weight.items())
    return total, sum(weight.values()), len(weight) / max(len(truth), 1), np.mean(limits), chosen


def terms_and_gradient(loss, logits, labels):
    logits = tf.constant(logits)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        terms = loss(logits, labels)
        value = tf.math.divide_no_nan(terms.total, terms.weight)
    return terms, value.numpy(), tape.gradient(value, logits).numpy()


MINING = [
    {},
    {"threshold": 0.3},
    {"threshold": 1e-6},
    {"keep": 5},
    {"keep": 5, "scope": "batch"},
    {"keep": 1},
    {"keep": 3, "threshold": 0.3},
    {"keep": 12, "threshold": 0.1},
    {"keep": 12, "threshold": 0.1, "scope": "batch"},
    {"keep": 20},
]


@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
@pytest.mark.parametrize("mining", MINING, ids=str)
def test_terms_and_gradient_are_those_of_single_pixels(mining, class_weights):
    """With 24 pixels an image, some 17 of them valid: fewer than the last case keeps."""
    logits, labels = pixels()
    loss = PixelCrossEntropy(class_weights=class_weights, **mining)
    terms, value, gradient = terms_and_gradient(loss, logits, labels)
    total, weight, kept, limit, chosen = by_pixel(logits, labels, class_weights=class_weights, **mining)
    np.testing.assert_allclose(
        [terms.total, terms.weight, terms.kept, terms.threshold], [total, weight, kept, limit], rtol=1e-5, atol=1e-6
    )
    assert value == pytest.approx(total / weight if weight else 0, rel=1e-5)
    counts = chosen & (labels != 3) if class_weights else chosen
    np.testing.assert_array_equal(gradient.any(axis=-1), counts)


def test_gradient_is_that_of_the_mean_over_the_chosen():
    """d loss / d logits is (softmax - one-hot) * weight / sum of weights."""
    logits, labels = pixels(1)
    loss = PixelCrossEntropy(threshold=0.3, class_weights=WEIGHTS)
    *_, gradient = terms_and_gradient(loss, logits, labels)
    _, weight, _, _, chosen = by_pixel(logits, labels, threshold=0.3, class_weights=WEIGHTS)
    ids = np.where(chosen, labels, 0)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    scale = np.where(chosen, np.array(WEIGHTS)[ids], 0) / weight
    np.testing.assert_allclose(gradient, (softmax - np.eye(CLASSES)[ids]) * scale[..., None], rtol=1e-4, atol=1e-6)


def of_probabilities(*rows):
    """Two-class logits [N, 1, W, 2] that give class 1 these probabilities, and labels of class 1."""
    p = np.array(rows)[:, None]
    return np.log(np.stack([1 - p, p], axis=-1)).astype(np.float32), np.ones(p.shape, np.uint8)


def mean_loss(loss, logits, labels):
    terms = loss(logits, labels)
    return float(terms.total / terms.weight)


@pytest.mark.parametrize(
    "mining, hardest",
    [({"keep": 2}, [0.1, 0.3]), ({"threshold": 0.6}, [0.1, 0.3, 0.5]), ({"keep": 1, "threshold": 0.4}, [0.1, 0.3])],
)
def test_the_hardest_pixels_are_kept(mining, hardest):
    """A published DID variant took the easiest by mistake."""
    loss = PixelCrossEntropy(**mining)
    assert mean_loss(loss, *of_probabilities([0.9, 0.1, 0.7, 0.3, 0.5])) == pytest.approx(-np.log(hardest).mean())


def test_pixels_that_tie_are_all_kept():
    terms = PixelCrossEntropy(keep=2)(*of_probabilities([0.2, 0.5, 0.5, 0.5, 0.9]))
    assert float(terms.kept) == pytest.approx(4 / 5)
    assert float(terms.threshold) == pytest.approx(0.5)


@pytest.mark.parametrize("scope, hardest", [("image", [0.1, 0.2, 0.6, 0.7]), ("batch", [0.1, 0.2])])
def test_the_count_is_per_image_or_per_batch(scope, hardest):
    loss = PixelCrossEntropy(keep=2, scope=scope)
    batch = of_probabilities([0.1, 0.2, 0.3], [0.6, 0.7, 0.8])
    assert mean_loss(loss, *batch) == pytest.approx(-np.log(hardest).mean(), rel=1e-5)


@pytest.mark.parametrize("keep", [4, 5, 1000])
def test_all_valid_pixels_are_kept_where_there_are_fewer(keep):
    logits, labels = of_probabilities([0.9, 0.2, 0.4, 0.6, 0.01, 0.02])
    labels[0, 0, 4:] = 255
    terms = PixelCrossEntropy(keep=keep)(logits, labels)
    assert float(terms.kept) == 1
    assert float(terms.total) == pytest.approx(-np.log([0.9, 0.2, 0.4, 0.6]).sum(), rel=1e-5)


@pytest.mark.parametrize("mining", MINING, ids=str)
def test_a_batch_without_labels_costs_nothing(mining):
    logits, labels = pixels(ignored=1.1)
    terms, value, gradient = terms_and_gradient(PixelCrossEntropy(**mining), logits, labels)
    assert (float(terms.total), float(terms.weight), float(terms.kept), value) == (0, 0, 0, 0)
    assert np.isfinite(terms.threshold)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("mining", MINING[:4], ids=str)
def test_an_image_without_labels_adds_nothing(mining):
    logits, labels = pixels()
    labels[0] = 255
    loss = PixelCrossEntropy(**mining)
    both, alone = loss(logits, labels), loss(logits[1:], labels[1:])
    assert float(both.total) == pytest.approx(float(alone.total), rel=1e-6)
    assert (float(both.weight), float(both.kept)) == (float(alone.weight), float(alone.kept))


@pytest.mark.parametrize("class_weights", [None, WEIGHTS])
def test_full_weight_is_that_of_all_valid_pixels(class_weights):
    _, labels = pixels()
    loss = PixelCrossEntropy(class_weights=class_weights, keep=2)
    expected = by_pixel(np.zeros((*labels.shape, CLASSES)), labels, class_weights=class_weights)[1]
    assert float(loss.full_weight(labels)) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_labels_of_any_integer_type_and_16_bit_logits(dtype):
    logits, labels = pixels()
    logits = tf.cast(logits, tf.bfloat16)
    terms = PixelCrossEntropy(keep=5)(logits, labels.astype(dtype))
    expected = by_pixel(tf.cast(logits, tf.float32).numpy(), labels, keep=5)
    assert terms.total.dtype == tf.float32
    assert float(terms.total) == pytest.approx(expected[0], rel=1e-5)


def test_sizes_may_be_unknown_to_the_graph():
    loss, (logits, labels) = PixelCrossEntropy(keep=5, threshold=0.2), pixels()
    signature = [tf.TensorSpec([None, None, None, CLASSES]), tf.TensorSpec([None, None, None], tf.uint8)]
    total = tf.function(lambda *batch: loss(*batch).total, input_signature=signature)(logits, labels)
    assert float(total) == pytest.approx(by_pixel(logits, labels, 0.2, 5)[0], rel=1e-5)


@pytest.mark.parametrize("settings, mines", [({}, False), ({"keep": 1}, True), ({"threshold": 0.1}, True)])
def test_mines(settings, mines):
    assert PixelCrossEntropy(**settings).mines == mines


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"threshold": 1.5}, r"loss.ohem_threshold must be in \[0, 1\], got 1.5"),
        ({"keep": -1}, "loss.ohem_keep must be 0 or more, got -1"),
        ({"scope": "epoch"}, "loss.ohem_scope must be one of .*, got 'epoch'"),
    ],
)
def test_bad_settings_are_told(settings, message):
    with pytest.raises(ValueError, match=message):
        PixelCrossEntropy(**settings)


@pytest.mark.parametrize(
    "chosen, expected",
    [
        (None, {"main": 1 / 3, "block2": 1 / 3, "block3": 1 / 3}),
        ({}, {"main": 1 / 3, "block2": 1 / 3, "block3": 1 / 3}),
        ({"main": 0.7, "block3": 0.3}, {"main": 0.7, "block3": 0.3}),
        ({"main": 1.0, "block2": 0.0}, {"main": 1.0}),
    ],
)
def test_output_weights(chosen, expected):
    assert output_weights(["main", "block2", "block3"], chosen) == pytest.approx(expected)


@pytest.mark.parametrize(
    "chosen, message",
    [
        ({"main": 1.0, "aux": 0.3}, "loss.output_weights names aux; the model has main, block2"),
        ({"main": 0.0}, "loss.output_weights leaves nothing to train"),
    ],
)
def test_bad_output_weights_are_told(chosen, message):
    with pytest.raises(ValueError, match=message):
        output_weights(["main", "block2"], chosen)
