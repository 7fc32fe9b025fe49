"""The pixel loss and its mining against loops in float64, where logits, labels, sizes and settings are extreme."""

import dataclasses
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf

from did_tf.common.errors import ConfigError
from did_tf.training.losses import PixelCrossEntropy, largest_of, output_weights


def cross_entropies(logits, labels, ignore=255):
    """float64, of the labels' shape; 0 where they are ignored."""
    found = np.zeros(labels.shape)
    for at in np.ndindex(labels.shape):
        if labels[at] != ignore:
            row = np.asarray(logits[at], float)
            highest = row.max()
            found[at] = highest + np.log(np.exp(row - highest).sum()) - row[int(labels[at])]
    return found


def hardest(losses, valid, threshold=0.0, keep=0, scope="image"):
    """[N, P] bool: one pixel at a time, the largest loss first and of equal ones the first pixel."""
    chosen = np.zeros(losses.shape, bool)
    places = [at for at in np.ndindex(losses.shape) if valid[at]]
    groups = [[at for at in places if at[0] == n] for n in range(len(losses))] if scope == "image" else [places]
    for group in groups:
        for rank, at in enumerate(sorted(group, key=lambda at: -losses[at])):
            chosen[at] = rank < keep or (threshold > 0 and np.exp(-losses[at]) <= threshold)
    return chosen


def drawn(classes, scale=3.0, shape=(2, 3, 4), dtype=np.float32, ignored=0.25):
    rng = np.random.default_rng(classes)
    labels = rng.integers(0, classes, shape)
    labels.flat[:2] = (0, classes - 1)
    labels.reshape(-1)[2:][rng.random(labels.size - 2) < ignored] = 255
    return tf.cast(rng.normal(0, scale, (*shape, classes)), dtype), labels.astype(np.uint8)


def assert_losses(logits, labels, ignore=255, rtol=2e-6):
    losses = PixelCrossEntropy(ignore=ignore)(logits, labels)
    assert losses.dtype == tf.float32 and losses.shape == labels.shape
    expected = cross_entropies(tf.cast(logits, tf.float64).numpy(), labels, ignore)
    valid = labels != ignore
    np.testing.assert_allclose(losses.numpy()[valid], expected[valid], rtol=rtol, atol=1e-6)
    assert np.isfinite(losses).all()


@pytest.mark.parametrize("classes", [1, 2, 19, 255])
@pytest.mark.parametrize("scale", [0.0, 3.0, 1e4])
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float32, tf.float64])
def test_losses_of_any_logits(classes, scale, dtype):
    """Logits of 16 bits are taken as they are: what they lost was lost in the network."""
    assert_losses(*drawn(classes, scale, dtype=dtype))


@pytest.mark.parametrize("dtype, largest", [(tf.float16, 65504.0), (tf.bfloat16, 1e38), (tf.float32, 1e38)])
def test_logits_as_large_as_their_type_holds(dtype, largest):
    """A class that is right costs nothing, a wrong one the distance; the gradients are 0 and +-1."""
    logits = tf.cast([[[[largest, -largest, 0.0]] * 3]], dtype)
    labels, loss = tf.constant([[[0, 1, 2]]]), PixelCrossEntropy()
    with tf.GradientTape() as tape:
        tape.watch(logits)
        losses = loss(logits, labels)
        total = tf.reduce_sum(losses)
    largest = float(logits[0, 0, 0, 0])
    np.testing.assert_allclose(losses.numpy().ravel(), [0, 2 * largest, largest], rtol=1e-6)
    np.testing.assert_array_equal(
        tf.cast(tape.gradient(total, logits), tf.float32)[0, 0], [[0, 0, 0], [1, -1, 0], [1, 0, -1]]
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.int32, np.int64])
@pytest.mark.parametrize("view", [lambda x: x, lambda x: x[:, ::-1, ::2], lambda x: np.swapaxes(x, 1, 2)])
def test_labels_of_any_integer_type_and_layout(dtype, view):
    logits, labels = drawn(255)
    assert_losses(view(logits.numpy()), view(labels).astype(dtype))


@pytest.mark.parametrize("ignore", [255, -1, 300, 0])
def test_another_label_may_be_ignored(ignore):
    """Classification may have 256 classes and more: 255 is one of them then."""
    logits = np.random.default_rng(0).normal(0, 1, (5, 300)).astype(np.float32)
    labels = np.array([0, 255, 299, 7, ignore])
    assert_losses(logits, labels, ignore)
    chosen = PixelCrossEntropy(ignore=ignore).choose(tf.zeros([5, 1]), labels.reshape(5, 1))
    np.testing.assert_array_equal(chosen.weights[:, 0], labels != ignore)
    assert float(chosen.valid) == float(chosen.kept) == (labels != ignore).sum()


SETTINGS = [
    {"keep": 1},
    {"keep": 3},
    {"keep": 12},
    {"keep": 13, "threshold": 0.5},
    {"threshold": 0.5},
    {"threshold": 1.0},
    {"keep": 2, "threshold": 0.2},
]
CLASS_WEIGHTS = (0.25, 0.0, 3.0)


@pytest.mark.parametrize("class_weights", [None, CLASS_WEIGHTS])
@pytest.mark.parametrize("scope", ["image", "batch"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_pixels_are_chosen_as_one_at_a_time(settings, scope, class_weights):
    """Losses of few different values, so that most tie; labels from none to all ignored."""
    loss = PixelCrossEntropy(scope=scope, class_weights=class_weights, **settings)
    rng = np.random.default_rng(0)
    for share in (0.0, 0.5, 0.9, 1.0):
        values = rng.choice([0.0, 0.25, 1.5, 1.5, 30.0], (3, 12)).astype(np.float32)
        labels = rng.integers(0, 3, values.shape)
        labels[rng.random(labels.shape) < share] = 255
        weights = np.array(class_weights or (1.0, 1.0, 1.0))[np.where(labels == 255, 0, labels)]
        valid = (labels != 255) & (weights > 0)
        chosen = hardest(values, valid, scope=scope, **settings)
        found = loss.choose(tf.constant(values), labels)
        np.testing.assert_array_equal(found.weights, np.where(chosen, weights, 0))
        assert (float(found.kept), float(found.valid)) == (chosen.sum(), valid.sum())


@pytest.mark.parametrize("classes", [2, 4, 8])
def test_a_probability_at_the_threshold_is_kept(classes):
    """All classes are equally likely, with a probability that float32 has exactly."""
    logits, labels = tf.zeros([1, 6, classes]), tf.zeros([1, 6], tf.int32)
    for threshold, kept in ((1 / classes, 6), (1.001 / classes, 6), (0.999 / classes, 0)):
        loss = PixelCrossEntropy(threshold=threshold)
        assert float(loss.choose(loss(logits, labels), labels).kept) == kept


@pytest.mark.parametrize("threshold", [1e-30, 0.3, 1.0])
@pytest.mark.parametrize("keep", [0, 1, 4])
def test_the_threshold_told_is_the_probability_of_the_last_pixel(threshold, keep):
    losses = np.array([[0.1, 5.0, 2.0, 1.0, 9.0, 0.5], [3.0, 0.2, 4.0, 50.0, 7.0, 0.0]], np.float32)
    labels = np.array([[0, 1, 0, 1, 0, 255], [0] * 6])
    for scope in ("image", "batch"):
        rows = losses if scope == "image" else losses.reshape(1, -1)
        last = [max(threshold, np.exp(-np.sort(row)[::-1][keep - 1]) if keep else 0) for row in rows]
        loss = PixelCrossEntropy(threshold=threshold, keep=keep, scope=scope)
        assert float(loss.choose(losses, labels).threshold) == pytest.approx(np.mean(last), rel=1e-5)
    assert float(PixelCrossEntropy().choose(losses, labels).threshold) == 1


@pytest.mark.parametrize("settings", [{}, *SETTINGS], ids=str)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_ignored_is_never_chosen(settings, bad):
    losses, labels = tf.constant([[1.0, bad, 2.0, bad]]), tf.constant([[0, 255, 0, 255]])
    found = PixelCrossEntropy(**settings).choose(losses, labels)
    np.testing.assert_array_equal(found.weights[:, 1::2], 0)
    assert float(found.valid) == 2


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_what_is_not_finite_is_chosen_beside_the_hardest(settings):
    losses, labels = tf.constant([[1.0, np.nan, 2.0, np.inf, np.nan, 0.0]]), tf.zeros([1, 6], tf.int32)
    found = PixelCrossEntropy(**settings).choose(losses, labels)
    np.testing.assert_array_equal(tf.gather(found.weights, [1, 3, 4], axis=1), 1)
    assert float(found.kept) == found.weights.numpy().sum()


@pytest.mark.parametrize("settings", [{}, *SETTINGS], ids=str)
def test_images_of_one_pixel_right_wrong_or_ignored(settings):
    logits = tf.constant([[[50.0, -50.0]], [[-50.0, 50.0]], [[0.0, 0.0]]] * 2)
    loss, labels = PixelCrossEntropy(**settings), np.array([[0]] * 3 + [[255]] * 3)
    losses = loss(logits, labels)
    chosen = hardest(losses.numpy(), labels == 0, **settings) if settings else labels == 0
    found = loss.choose(losses, labels)
    np.testing.assert_array_equal(found.weights, chosen)
    assert np.isfinite(found.threshold)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("rows, columns", [(1, 1), (1, 9), (3, 7)])
def test_largest_of_each_row(rows, columns, shared):
    """With ties and infinities, for every count up to more than there are; `shared` is the same on one device."""
    rng = np.random.default_rng(0)
    for keep in range(1, columns + 3):
        values = rng.choice([-np.inf, -1.0, 0.0, 0.0, 2.0, np.inf], (rows, columns)).astype(np.float32)
        expected, last = np.zeros(values.shape, bool), []
        for n, row in enumerate(values):
            order = sorted(range(columns), key=lambda i: (-row[i], i))[:keep]
            expected[n, order] = True
            last.append([row[order[-1]]])
        found, smallest = largest_of(tf.constant(values), keep, shared)
        np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(smallest, last)


def in_replicas(monkeypatch, count, function):
    """[function(i) of each of `count` replicas], which are threads that wait for each other where they gather."""
    barrier, given, mine = threading.Barrier(count, timeout=60), [None] * count, threading.local()

    class Replica:
        num_replicas_in_sync = count

        def __init__(self, number):
            self.replica_id_in_sync_group = number

        def all_gather(self, value, axis):
            given[self.replica_id_in_sync_group] = value
            barrier.wait()
            whole = tf.concat(given, axis)
            barrier.wait()
            return whole

    def run(number):
        mine.replica = Replica(number)
        return function(number)

    monkeypatch.setattr(tf.distribute, "get_replica_context", lambda: mine.replica)
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


@pytest.mark.parametrize("keep", [1, 2, 5, 9, 11, 12, 40])
@pytest.mark.parametrize("replicas", [1, 2, 3, 4])
def test_a_row_goes_on_in_the_next_replica(monkeypatch, replicas, keep):
    """Of equal values those of the first replica come first; without `shared` each keeps as many for itself."""
    columns = 12 // replicas
    values = np.random.default_rng(keep).choice([-np.inf, -1.0, 0.0, 0.0, 2.0], (1, 12)).astype(np.float32)
    parts = np.split(values, replicas, axis=1)
    expected, last = largest_of(tf.constant(values), keep)
    found = in_replicas(monkeypatch, replicas, lambda i: largest_of(tf.constant(parts[i]), keep, shared=True))
    np.testing.assert_array_equal(np.concatenate([kept for kept, _ in found], axis=1), expected)
    assert {float(smallest[0, 0]) for _, smallest in found} == {float(last[0, 0])}
    alone = in_replicas(monkeypatch, replicas, lambda i: largest_of(tf.constant(parts[i]), keep))
    assert [int(kept.numpy().sum()) for kept, _ in alone] == [min(keep, columns)] * replicas


@pytest.mark.parametrize("scope", ["image", "batch"])
@pytest.mark.parametrize("settings", [{"keep": 3}, {"keep": 7, "threshold": 0.3}, {"threshold": 0.3}], ids=str)
def test_a_batch_is_that_of_all_replicas(monkeypatch, settings, scope):
    rng = np.random.default_rng(0)
    losses, labels = rng.choice([0.1, 1.0, 2.0, 2.0], (4, 6)).astype(np.float32), rng.integers(0, 2, (4, 6))
    labels[rng.random(labels.shape) < 0.4] = 255
    loss = PixelCrossEntropy(scope="".join([*scope]), **settings)
    found = in_replicas(monkeypatch, 2, lambda i: loss.choose(losses[2 * i : 2 * i + 2], labels[2 * i : 2 * i + 2]))
    chosen = np.concatenate([part.weights for part in found])
    np.testing.assert_array_equal(chosen, hardest(losses, labels != 255, scope=scope, **settings))


@pytest.mark.parametrize("made", [PixelCrossEntropy(), PixelCrossEntropy().choose(tf.zeros([1, 1]), np.zeros([1, 1]))])
def test_settings_and_choices_cannot_be_changed(made):
    fields = [field.name for field in dataclasses.fields(made)] if dataclasses.is_dataclass(made) else made._fields
    for field in fields:
        with pytest.raises(AttributeError):
            setattr(made, field, None)


@pytest.mark.parametrize("threshold", [-1e-9, -0.5, -1, 1.0000001, 2, np.nan, np.inf, -np.inf])
def test_thresholds_out_of_range(threshold):
    with pytest.raises(ConfigError, match=r"loss.ohem_threshold must be in \[0, 1\], got "):
        PixelCrossEntropy(threshold=threshold)


@pytest.mark.parametrize("scope", ["", "a", "images", "Image", "batch ", "z", None])
def test_scopes_that_there_are_not(scope):
    with pytest.raises(ConfigError, match="loss.ohem_scope must be one of"):
        PixelCrossEntropy(keep=1, scope=scope)


@pytest.mark.parametrize("scope", ["image", "batch"])
def test_scopes_are_compared_by_what_they_say(scope):
    """A scope read from a file is another object than that of this module."""
    read, losses = "".join([*scope]), tf.constant([[4.0, 3.0], [2.0, 1.0]])
    labels = tf.zeros([2, 2], tf.int32)
    expected = [[1, 0], [1, 0]] if scope == "image" else [[1, 0], [0, 0]]
    found = PixelCrossEntropy(keep=1, scope=read).choose(losses, labels)
    np.testing.assert_array_equal(found.weights, expected)


@pytest.mark.parametrize("threshold, keep, mines", [(0, 0, False), (1e-9, 0, True), (0, 1, True), (1, 0, True)])
def test_whether_there_is_mining(threshold, keep, mines):
    assert PixelCrossEntropy(threshold=threshold, keep=keep).mines is mines


def test_output_weights_keep_the_models_order_and_drop_zeros():
    outputs = ["main", "block2", "block3"]
    chosen = output_weights(outputs, {"block3": 0.25, "main": 2, "block2": 0.0})
    assert [*chosen.items()] == [("main", 2), ("block3", 0.25)]
    assert output_weights(["main"]) == {"main": 1.0}
    assert sum(output_weights(outputs).values()) == pytest.approx(1)


@pytest.mark.parametrize("chosen", [{"main": -1.0}, {"main": 0.0, "aux": -0.5}, {"main": 0, "aux": 0}])
def test_output_weights_that_train_nothing(chosen):
    with pytest.raises(ConfigError, match="leaves nothing to train"):
        output_weights(["main", "aux"], chosen)
