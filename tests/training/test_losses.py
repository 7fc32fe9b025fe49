"""Tests of the losses against loops over single pixels."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from did_tf.training.losses import PixelCrossEntropy, cross_entropy, output_weights

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
    logits -= logits.max(axis=-1, keepdims=True)
    losses = np.log(np.exp(logits).sum(axis=-1)) - np.take_along_axis(logits, (labels % 255)[..., None], -1)[..., 0]
    counts = [*(class_weights or (1.0,) * CLASSES), *(0.0,) * (256 - CLASSES)]
    valid = [at for at in np.ndindex(labels.shape) if counts[labels[at]]]
    groups = [[at for at in valid if at[0] == n] for n in range(len(labels))] if scope == "image" else [valid]
    chosen, limits = np.zeros(labels.shape, bool), []
    for group in groups:
        hardest_first = sorted(group, key=lambda at: -losses[at])[:keep]  # which is stable: ties go to the first
        under = [at for at in group if losses[at] >= -np.log(threshold)] if threshold else []
        for at in [*hardest_first, *under] if threshold or keep else group:
            chosen[at] = True
        easiest = [np.exp(-losses[hardest_first[-1]]) if len(group) >= keep else 1.0] if keep else []
        limits.append(max([threshold, *easiest]) if threshold or keep else 1.0)
    weight = {at: class_weights[labels[at]] if class_weights else 1.0 for at in valid if chosen[at]}
    total = sum(losses[at] * w for at, w in weight.items())
    return total, sum(weight.values()), len(weight) / max(len(valid), 1), np.mean(limits), chosen


@dataclasses.dataclass
class Terms:
    """What a loss says of a batch."""

    total: float
    weight: float
    kept: float
    threshold: float
    chosen: np.ndarray


def terms_of(loss, logits, labels):
    """`Terms` of logits [N, H, W, C] and labels [N, H, W]."""
    flat = np.reshape(labels, (len(labels), -1))
    losses = tf.reshape(loss(logits, labels), flat.shape)
    found = loss.choose(losses, flat)
    kept = float(tf.math.divide_no_nan(found.kept, found.valid))
    weights = found.weights.numpy()
    total = float(tf.reduce_sum(losses * weights))
    return Terms(total, float(weights.sum()), kept, float(found.threshold), weights.reshape(labels.shape))


def terms_and_gradient(loss, logits, labels):
    """(`Terms`, the loss, its gradient with respect to the logits)."""
    logits, terms = tf.constant(logits), terms_of(loss, logits, labels)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total = tf.reduce_sum(loss(logits, labels) * terms.chosen)
        value = tf.math.divide_no_nan(total, terms.weight)
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
    np.testing.assert_array_equal(gradient.any(axis=-1), chosen)


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
    terms = terms_of(loss, logits, labels)
    return terms.total / terms.weight


@pytest.mark.parametrize(
    "mining, hardest",
    [({"keep": 2}, [0.1, 0.3]), ({"threshold": 0.6}, [0.1, 0.3, 0.5]), ({"keep": 1, "threshold": 0.4}, [0.1, 0.3])],
)
def test_the_hardest_pixels_are_kept(mining, hardest):
    """A published DID variant took the easiest by mistake."""
    loss = PixelCrossEntropy(**mining)
    assert mean_loss(loss, *of_probabilities([0.9, 0.1, 0.7, 0.3, 0.5])) == pytest.approx(-np.log(hardest).mean())


def test_pixels_of_a_class_of_weight_0_take_no_place_of_others():
    """Nothing teaches them: they were the hardest, and with all places taken by them the loss was 0 for good."""
    loss = PixelCrossEntropy(keep=2, class_weights=(1.0, 0.0))
    found = loss.choose(tf.constant([[1.0, 9.0, 8.0, 2.0, 0.5]]), tf.constant([[0, 1, 1, 0, 0]]))
    np.testing.assert_array_equal(found.weights, [[1, 0, 0, 1, 0]])
    assert (float(found.kept), float(found.valid)) == (2, 3)
    assert float(found.threshold) == pytest.approx(np.exp(-1))


@pytest.mark.parametrize("scope", ["image", "batch"])
def test_images_without_labels_have_no_threshold(scope):
    """Of MixUp a crop that is not blended has a second label map, of void alone."""
    losses = tf.constant([[2.0, 1.0], [2.0, 1.0]])
    found = PixelCrossEntropy(keep=1, scope=scope).choose(losses, tf.constant([[0, 0], [255, 255]]))
    assert float(found.threshold) == pytest.approx(np.exp(-2))


def test_ties_are_cut_to_the_count():
    """Of the three that tie for the second place the first is kept."""
    terms = terms_of(PixelCrossEntropy(keep=2), *of_probabilities([0.9, 0.5, 0.2, 0.5, 0.5]))
    np.testing.assert_array_equal(terms.chosen.ravel(), [0, 1, 1, 0, 0])
    assert terms.threshold == pytest.approx(0.5)


@pytest.mark.parametrize("scope", ["image", "batch"])
def test_mining_is_not_turned_off_where_nearly_all_is_right(scope):
    """In float32 the probability of a right pixel is 1 for all: ranked by it, all 1,000 tie with the fourth hardest."""
    labels = np.zeros((1, 1, 1000), np.uint8)
    logits = np.zeros((1, 1, 1000, 2), np.float32)
    logits[..., 0] = 15 + np.linspace(0, 0.5, 1000)  # losses of 3e-7 and less
    logits[0, 0, [10, 500, 900]] = (0, 9)
    terms = terms_of(PixelCrossEntropy(keep=5, scope=scope), logits, labels)
    assert np.flatnonzero(terms.chosen).size == 5
    assert {10, 500, 900} <= set(np.flatnonzero(terms.chosen))


@pytest.mark.parametrize(
    "mining", [{}, {"keep": 1}, {"threshold": 0.3}, {"keep": 1, "threshold": 0.3, "scope": "batch"}], ids=str
)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_valid_pixel_that_is_not_finite_makes_the_loss_so(mining, bad):
    """No comparison with NaN is true: mining would pass it over."""
    logits, labels = pixels(ignored=0)
    logits[1, 2, 3] = bad
    _, value, _ = terms_and_gradient(PixelCrossEntropy(**mining), logits, labels)
    assert not np.isfinite(value)


@pytest.mark.parametrize("mining", [{}, {"keep": 3}, {"threshold": 0.5}], ids=str)
def test_logits_of_ten_thousand(mining):
    logits, labels = pixels()
    logits *= 1e4
    terms, value, gradient = terms_and_gradient(PixelCrossEntropy(**mining), logits, labels)
    total, weight, *_, chosen = by_pixel(logits, labels, **mining)
    assert value == pytest.approx(total / weight, rel=1e-5)
    np.testing.assert_array_equal(terms.chosen, chosen)
    assert np.isfinite(gradient).all()


@pytest.mark.parametrize("scope, hardest", [("image", [0.1, 0.2, 0.6, 0.7]), ("batch", [0.1, 0.2])])
def test_the_count_is_per_image_or_per_batch(scope, hardest):
    loss = PixelCrossEntropy(keep=2, scope=scope)
    batch = of_probabilities([0.1, 0.2, 0.3], [0.6, 0.7, 0.8])
    assert mean_loss(loss, *batch) == pytest.approx(-np.log(hardest).mean(), rel=1e-5)


@pytest.mark.parametrize("keep", [4, 5, 1000])
def test_all_valid_pixels_are_kept_where_there_are_fewer(keep):
    logits, labels = of_probabilities([0.9, 0.2, 0.4, 0.6, 0.01, 0.02])
    labels[0, 0, 4:] = 255
    terms = terms_of(PixelCrossEntropy(keep=keep), logits, labels)
    assert terms.kept == 1
    assert terms.total == pytest.approx(-np.log([0.9, 0.2, 0.4, 0.6]).sum(), rel=1e-5)


@pytest.mark.parametrize("mining", MINING, ids=str)
def test_a_batch_without_labels_costs_nothing(mining):
    logits, labels = pixels(ignored=1.1)
    terms, value, gradient = terms_and_gradient(PixelCrossEntropy(**mining), logits, labels)
    assert (terms.total, terms.weight, terms.kept, value) == (0, 0, 0, 0)
    assert np.isfinite(terms.threshold)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize("mining", MINING[:4], ids=str)
def test_an_image_without_labels_adds_nothing(mining):
    logits, labels = pixels()
    labels[0] = 255
    loss = PixelCrossEntropy(**mining)
    both, alone = terms_of(loss, logits, labels), terms_of(loss, logits[1:], labels[1:])
    assert both.total == pytest.approx(alone.total, rel=1e-6)
    assert (both.weight, both.kept) == (alone.weight, alone.kept)


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_labels_of_any_integer_type_and_16_bit_logits(dtype):
    logits, labels = pixels()
    logits = tf.cast(logits, tf.bfloat16)
    loss = PixelCrossEntropy(keep=5)
    expected = by_pixel(tf.cast(logits, tf.float32).numpy(), labels, keep=5)
    assert loss(logits, labels.astype(dtype)).dtype == tf.float32
    assert terms_of(loss, logits, labels.astype(dtype)).total == pytest.approx(expected[0], rel=1e-5)


def test_sizes_may_be_unknown_to_the_graph():
    loss, (logits, labels) = PixelCrossEntropy(keep=5, threshold=0.2), pixels()
    signature = [tf.TensorSpec([None, None, None, CLASSES]), tf.TensorSpec([None, None, None], tf.uint8)]

    @tf.function(input_signature=signature)
    def weights(logits, labels):
        flat = tf.reshape(labels, [tf.shape(labels)[0], -1])
        return loss.choose(tf.reshape(loss(logits, labels), tf.shape(flat)), flat).weights

    chosen = by_pixel(logits, labels, 0.2, 5)[-1]
    np.testing.assert_array_equal(weights(logits, labels), chosen.reshape(len(labels), -1))


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


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (6, 1000), (2, 3, 3, 1)])
def test_cross_entropy_is_tensorflows(shape):
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 50, shape).astype(np.float32)
    logits[0].flat[:3] = [-np.inf, 1e30, -1e30][: logits[0].size]
    logits[1].flat[0] = np.nan
    x, labels = tf.constant(logits), tf.constant(rng.integers(shape[-1], size=shape[:-1]), tf.int32)
    weights = tf.constant(rng.uniform(size=shape[:-1]), tf.float32)
    made = []
    for function in (cross_entropy, lambda x, y: tf.nn.sparse_softmax_cross_entropy_with_logits(y, x)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            losses = function(x, labels)
            whole = tf.reduce_sum(weights * losses)
        made.append((losses, tape.gradient(whole, x)))
    for own, theirs in zip(*made):
        assert own.shape == theirs.shape
        np.testing.assert_allclose(own, theirs, rtol=1e-5, atol=1e-6)
