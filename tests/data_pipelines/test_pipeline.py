"""Tests of the training batches, on a data set whose images say which one they are."""

import contextlib
import errno
import itertools
import json
import threading
from collections import Counter
from unittest.mock import Mock

import numpy as np
import pytest
import tensorflow as tf
from folders import make_imagenet
from in_memory import InMemory, pairs
from own_data import write_png

import data_pipelines.spec
from data_pipelines import load, pipeline
from data_pipelines.augment import Augmentation
from data_pipelines.pipeline import Loader, shared_samples, training_batches
from data_pipelines.records import Record
from data_pipelines.spec import IGNORE, DataError, Dataset, DatasetSpec, Sample, Window, share_pixels

COUNT, SIZE = 7, (12, 15)
SPEC = DatasetSpec("numbered", ("a", "b", "c"), ((0, 0, 0),) * 3, {}, (100.0, 50.0), (1.0, 1.0))
PLAIN = Augmentation(SIZE)
WILD = Augmentation((9, 9), (0.7, 1.5), 0.15, True, True, 0.2)


class Numbered(Dataset):
    """Sample n of split "train" has the value 10 n in its first row, and noise below."""

    spec = SPEC

    def __init__(self, bad=None):
        self.bad, self.reads = bad, 0

    def samples(self, split):
        return [Sample(f"{split}/{n}") for n in range({"train": COUNT, "val": 2}[split])]

    def read(self, sample):
        self.reads += 1
        split, number = sample.name.split("/")
        if self.bad == sample.name:
            raise DataError(f"cannot decode {sample.name}.png")
        rng = np.random.default_rng(int(number) + 100 * (split == "val"))
        image = rng.integers(0, 256, (*SIZE, 2)).astype(np.uint8)
        image[0] = 10 * int(number) + (split == "val")
        label = rng.integers(0, 3, SIZE).astype(np.uint8)
        label[rng.random(SIZE) < 0.2] = IGNORE
        return image, label


def loader(split="train", cache=True, bad=None):
    return Loader(Numbered(bad), split, cache, progress=False)


def elements(count, options=WILD, seed=0, first=0, source=None):
    """The next `count` (image, label) from element `first` on, cut into batches of 1."""
    batches = training_batches(source or loader(), options, 1, seed, first)
    return [(b["image"].numpy()[0], b["label"].numpy()[0]) for b in itertools.islice(batches, count)]


def numbers(count, **settings):
    """Which samples the next `count` elements are."""
    return [round(float(image[0, 0, 0]) / 10) for image, _ in elements(count, PLAIN, **settings)]


def assert_same(first, second):
    assert len(first) == len(second)
    for one, other in zip(first, second):
        for part, same in zip(one, other):
            np.testing.assert_array_equal(part, same)


def test_the_end_of_an_iterator_waits_for_nobody():
    """TensorFlow's autotuning looks every so often, up to a minute apart, and may keep the end waiting for that."""
    assert training_batches(loader(), WILD, 1, 0, 0).options().autotune.enabled is False


def test_every_sample_comes_once_an_epoch_in_a_new_order():
    order = np.reshape(numbers(4 * COUNT), (4, COUNT))
    np.testing.assert_array_equal(np.sort(order), [range(COUNT)] * 4)
    assert len(set(map(tuple, order))) == 4


def test_batches_are_full_and_of_the_declared_type():
    batches = training_batches(loader(), WILD, 4, seed=0)
    assert batches.element_spec == {
        "image": tf.TensorSpec((4, 9, 9, 2), tf.float32),
        "label": tf.TensorSpec((4, 9, 9), tf.uint8),
    }
    for batch in itertools.islice(batches, 5):
        assert batch["image"].shape == (4, 9, 9, 2) and batch["label"].shape == (4, 9, 9)


def test_a_batch_may_span_epochs():
    batches = itertools.islice(training_batches(loader(), PLAIN, 3, seed=4), 7)
    joined = np.concatenate([batch["image"].numpy()[:, 0, 0, 0] for batch in batches])
    np.testing.assert_array_equal(np.round(joined / 10), numbers(21, seed=4))


def test_pairs_are_those_of_the_data_set_where_nothing_changes_them():
    source = loader()
    for number, (image, label) in zip(numbers(COUNT), elements(COUNT, PLAIN)):
        np.testing.assert_allclose(image, source(number)[0], atol=1e-4)
        np.testing.assert_array_equal(label, source(number)[1])


@pytest.mark.parametrize("first", [1, 3, COUNT, COUNT + 3, 3 * COUNT - 1])
def test_a_run_goes_on_where_it_stopped(first):
    whole = elements(first + 10)
    assert_same(elements(10, first=first), whole[first:])


@pytest.mark.parametrize("parts", [2, 3])
def test_parts_of_workers_are_the_batches_of_one(parts):
    """In their order, over the end of an epoch, from the middle of a run."""
    whole, each = list(itertools.islice(training_batches(loader(), WILD, 6, 0, 4), 3)), 6 // parts
    for part in range(parts):
        batches = training_batches(loader(cache=False), WILD, 6, 0, 4, (part, parts))
        for batch, own in zip(whole, itertools.islice(batches, 3), strict=True):
            for key in ("image", "label"):
                np.testing.assert_array_equal(own[key], batch[key][part * each : (part + 1) * each])


def test_a_worker_reads_its_own_samples_alone():
    """The first of two, in batches of 6: the first three of each, of the next ones too, which are read ahead."""
    count, read = 600, []

    class Watched(Numbered):
        def samples(self, split):
            return [Sample(f"{split}/{n}") for n in range(count)]

        def read(self, sample):
            read.append(int(sample.name.split("/")[1]))
            return np.zeros((*SIZE, 2), np.uint8), np.zeros(SIZE, np.uint8)

    source = Loader(Watched(), "train", cache=False, progress=False)
    order = pipeline._order(count, 0, np.int64(0)).numpy()
    assert len(list(training_batches(source, PLAIN, 6, 0, 0, (0, 2)).take(1))) == 1
    assert {*order[:3]} <= {*read} <= {*order.reshape(-1, 6)[:, :3].ravel()}


def test_equal_seeds_replay_and_others_do_not():
    assert_same(elements(COUNT, seed=3), elements(COUNT, seed=3))
    assert numbers(COUNT, seed=3) != numbers(COUNT, seed=4)


def test_a_sample_is_augmented_anew_every_epoch():
    order, pairs = numbers(3 * COUNT), elements(3 * COUNT)
    images = [image for number, (image, _) in zip(order, pairs) if number == 2]
    assert len(images) == 3
    for one, other in itertools.combinations(images, 2):
        assert np.abs(one - other).max() > 1


def test_the_cache_changes_no_element_and_reads_once():
    cached, fresh = loader(), loader(cache=False)
    assert cached.dataset.reads == COUNT and fresh.dataset.reads == 0
    assert_same(elements(2 * COUNT, source=cached), elements(2 * COUNT, source=fresh))
    assert cached.dataset.reads == COUNT and fresh.dataset.reads >= 2 * COUNT


@pytest.mark.parametrize("cache", [True, False])
def test_splits_are_joined(cache):
    joined = loader("train+val", cache)
    assert len(joined) == COUNT + 2
    assert [int(joined(index)[0][0, 0, 0]) for index in range(len(joined))] == [*range(0, 10 * COUNT, 10), 1, 11]
    seen = sorted(round(float(image[0, 0, 0])) for image, _ in elements(COUNT + 2, PLAIN, source=joined))
    assert seen == sorted([*range(0, 10 * COUNT, 10), 1, 11])


def test_a_bad_file_is_met_before_training_where_it_is_cached():
    with pytest.raises(DataError, match="cannot decode train/4.png"):
        loader(bad="train/4")


@pytest.mark.parametrize("free", [3780, 3072])
def test_a_cache_that_does_not_fit_is_refused_at_once(monkeypatch, free):
    """A pair has 12 x 15 x (2 + 1) = 540 bytes, the split 7 of them: 3780 just fit."""
    monkeypatch.setattr(pipeline, "free_memory", lambda: free)
    if free >= 3780:
        assert len(loader()) == COUNT
        return
    data = Numbered()
    with pytest.raises(
        DataError, match="take 3.78e-06 GB of memory and 3.07e-06 GB .*data.cache=False.*did_tf prepare"
    ):
        Loader(data, "train", progress=False)
    assert data.reads == 1
    assert len(Loader(data, "train", cache=False)) == COUNT


@pytest.mark.parametrize("enough", [True, False])
def test_a_cache_is_as_large_as_all_images_are_by_their_headers(tmp_path, monkeypatch, enough):
    """The first is the smallest: 10 x 20 and 30 x 40 pixels of three bands and a label are 5600 bytes."""
    for name, size in (("a", (10, 20)), ("b", (30, 40))):
        write_png(tmp_path / "images" / f"{name}.png", np.zeros((*size, 3), np.uint8))
        write_png(tmp_path / "labels" / f"{name}.png", np.zeros(size, np.uint8))
    content = {"images": "images", "labels": "labels", "classes": ["one", "two"], "splits": {"train": ["a", "b"]}}
    (tmp_path / "dataset.yaml").write_text(json.dumps(content))
    data = load("folders", tmp_path)
    monkeypatch.setattr(pipeline, "free_memory", lambda: 5600 - (not enough))
    with contextlib.nullcontext() if enough else pytest.raises(DataError, match="would take 5.6e-06 GB"):
        Loader(data, "train", progress=False)


def test_a_bad_file_is_named_where_it_is_met_in_training():
    source = loader(cache=False, bad="train/4")
    with pytest.raises(tf.errors.OpError, match="DataError: cannot decode train/4.png"):
        elements(COUNT, source=source)


@pytest.mark.parametrize("number, met", [(errno.EIO, 3), (errno.ESTALE, 3), (errno.ENOENT, 1)])
def test_what_may_pass_is_read_again(monkeypatch, number, met):
    """Twice, after a while; a file that is not there, once."""
    dataset, asked, waited = InMemory({"train": pairs(1)}), [], []

    def failing(sample):
        asked.append(sample)
        try:
            raise OSError(number, "told")
        except OSError:
            raise DataError("cannot read it") from None

    monkeypatch.setattr(dataset, "read", failing)
    monkeypatch.setattr(pipeline.time, "sleep", waited.append)
    with pytest.raises(DataError, match="cannot read it"):
        Loader(dataset, "train", cache=False)(0)
    assert (len(asked), waited) == (met, [*pipeline.WAITS][: met - 1])


@pytest.mark.parametrize("cache", [True, False])
def test_class_counts(cache):
    data = Numbered()
    labels = [data.read(sample)[1] for split in ("train", "val") for sample in data.samples(split)]
    expected = [sum(int((label == cls).sum()) for label in labels) for cls in range(3)]
    counts = loader("train+val", cache).class_counts().pixels
    assert counts.dtype == np.int64 and counts.tolist() == expected


def test_classes_are_counted_in_threads(monkeypatch):
    source, met = Loader(Numbered(), "train", cache=False, progress=False, threads=COUNT), threading.Barrier(COUNT)
    alone = Loader(Numbered(), "train", cache=False, progress=False, threads=1).class_counts()
    read = source.dataset.read

    def together(sample):
        met.wait(20)
        return read(sample)

    monkeypatch.setattr(source.dataset, "read", together)
    counts = source.class_counts()
    for what in ("pixels", "images", "around", "void"):
        np.testing.assert_array_equal(getattr(counts, what), getattr(alone, what))
    assert counts.pixels.all() and counts.void


def test_a_bad_label_is_named_where_classes_are_counted():
    with pytest.raises(DataError, match="cannot decode train/4.png"):
        loader(cache=False, bad="train/4").class_counts()


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    """A data set of 3 classes with 4 training images each, of a colour per class."""
    folder = tmp_path_factory.mktemp("imagenet")
    make_imagenet(folder)
    return load("imagenet", folder)


BOXES = Augmentation((16, 20), flip_horizontal=True, area=(0.3, 1.0))


def test_batches_for_classification(classified):
    source = Loader(classified, "train", cache=False)
    batches = training_batches(source, BOXES, 6, seed=0)
    assert batches.element_spec == {
        "image": tf.TensorSpec((6, 16, 20, 3), tf.float32),
        "label": tf.TensorSpec((6,), tf.int32),
    }
    colours = [np.mean([source(4 * cls + n)[0].mean(axis=(0, 1)) for n in range(4)], axis=0) for cls in range(3)]
    epoch = list(itertools.islice(batches, 2))
    assert sorted(np.concatenate([batch["label"] for batch in epoch])) == [0] * 4 + [1] * 4 + [2] * 4
    for batch in epoch:
        # Each image has the colour of its class.
        distances = np.linalg.norm(batch["image"].numpy().mean(axis=(1, 2))[:, None] - colours, axis=2)
        np.testing.assert_array_equal(distances.argmin(axis=1), batch["label"])


@pytest.mark.parametrize("cache", [True, False])
def test_classification_replays_from_seed_and_position(classified, cache):
    settings = {"options": BOXES, "seed": 3, "source": Loader(classified, "train", cache, progress=False)}
    whole = elements(20, **settings)
    assert_same(elements(6, first=14, **settings), whole[14:])
    assert np.abs(whole[0][0] - elements(1, **{**settings, "seed": 4})[0][0]).max() > 1


def test_images_per_class_are_counted_without_reading(classified, monkeypatch):
    source = Loader(classified, "train+val", cache=False)
    monkeypatch.setattr(classified, "read", None)
    counts = source.class_counts()
    assert counts.pixels.tolist() == counts.images.tolist() == [6, 6, 6]


# What two splits have in common


def window(top, left, **kind):
    """A window of 10x20 pixels of an image "a", as `patches.cut` names it; a record of it where there is `content`."""
    kind = kind or {"image": "a.png"}
    sample = Record if "content" in kind else Sample
    return sample(f"a_r{top}_c{left}", window=Window(top, left, 10, 20), **kind)


PAIRS = {
    "same file": (Sample("x", image="d/a.png"), Sample("y", image="d/../d/a.png"), True),
    "same name in another folder": (Sample("a", image="train/a.png"), Sample("a", image="val/a.png"), False),
    "drawn": (Sample("train_0"), Sample("train_0"), True),
    "drawn for another split": (Sample("train_0"), Sample("val_0"), False),
    "windows that overlap": (window(0, 0), window(9, 19), True),
    "windows below each other": (window(0, 0), window(10, 0), False),
    "windows side by side": (window(0, 0), window(0, 20), False),
    "a window and all of it": (Sample("a", image="a.png"), window(5, 5), True),
    "prepared": (Record("a", content="94"), Record("a", content="94"), True),
    "prepared from others of that name": (Record("a", content="94"), Record("a", content="95"), False),
    "prepared windows that overlap": (window(0, 0, content="9"), window(5, 5, content="9"), True),
    "prepared windows that don't": (window(0, 0, content="9"), window(10, 0, content="9"), False),
}


@pytest.mark.parametrize("case", PAIRS)
def test_samples_that_show_the_same(case):
    one, other, shared = PAIRS[case]
    assert shared_samples([one], [other]) == ([other] if shared else [])
    assert shared_samples([other], [one]) == ([one] if shared else [])
    assert shared_samples([], [other]) == []


def windows_of(rng, count, images=3):
    """Random ones, a few of which are all of an image or beyond it."""
    found = [
        None if rng.random() < 0.02 else Window(*rng.integers(-9, 30, 2), *rng.integers(0, 13, 2)) for _ in range(count)
    ]
    return [Sample(f"{n}", image=f"{rng.integers(images)}.png", window=one) for n, one in enumerate(found)]


def test_windows_that_share_pixels_are_those_of_all_pairs():
    rng, times = np.random.default_rng(0), Counter()
    for _ in range(60):
        first, second = windows_of(rng, rng.integers(20)), windows_of(rng, rng.integers(20), 4)
        pairs = itertools.product(second, first)
        expected = {a.name for a, b in pairs if a.image == b.image and share_pixels(a.window, b.window)}
        assert [one.name for one in shared_samples(first, second)] == [
            one.name for one in second if one.name in expected
        ]
        times.update(one.name in expected for one in second)
    assert min(times.values()) > 50


def test_windows_of_a_raster_are_compared_with_those_around_them_alone(monkeypatch):
    rows = [
        [Sample("", image="a.png", window=Window(9 + 16 * n, left, 16, 16)) for n in range(300)] for left in (5, 21)
    ]
    counted = Mock(wraps=share_pixels)
    monkeypatch.setattr(data_pipelines.spec, "share_pixels", counted)
    assert shared_samples(*rows) == [] and 300 <= counted.call_count < 10 * 300
