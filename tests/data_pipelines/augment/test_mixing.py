"""Tests of parts of another crop, on images that say of each pixel where it is from."""

import itertools

import numpy as np
import pytest
from in_memory import InMemory

from data_pipelines.augment import Augmentation
from data_pipelines.pipeline import Loader, training_batches, training_labels
from data_pipelines.spec import IGNORE, DataError

HEIGHT, WIDTH, COUNT = 24, 29, 60
CROP = (13, 16)
CLASSES = ("a", "b", "c", "d", "e")
PASTED = {"paste_classes": ("d", "b")}
KINDS = {"cutmix": {"cutmix": 1.0}, "classmix": {"classmix": 1.0}, "paste": {"paste": 1.0, **PASTED}}


def patches(seed):
    """[H, W] uint8: five classes and void in patches of three by three pixels."""
    small = np.random.default_rng(seed).choice(np.uint8([0, 1, 2, 3, 4, IGNORE]), (8, 10))
    return small.repeat(3, axis=0).repeat(3, axis=1)[:HEIGHT, :WIDTH]


ROWS, COLUMNS = np.indices(CROP)
LABELS = [patches(seed) for seed in range(4)]


def loader(dtype="uint8", **changes):
    """Four samples whose bands are their number, and each pixel's row and column."""
    ramps = np.mgrid[:HEIGHT, :WIDTH]
    images = [np.stack([np.full_like(ramps[0], number), *ramps], axis=-1).astype(dtype) for number in range(4)]
    facts = {"classes": CLASSES, "palette": ((0, 0, 0),) * 5, "dtype": dtype, **changes}
    return Loader(InMemory({"train": list(zip(images, LABELS))}, **facts), "train", progress=False)


SOURCE = loader()


def elements(first=0, source=SOURCE, **settings):
    """The (image, label) from element `first` to `COUNT`, as whole numbers."""
    batches = training_batches(source, Augmentation(CROP, **settings), 1, 3, first)
    found = itertools.islice(batches, COUNT - first)
    return [(np.round(batch["image"].numpy()[0]).astype(int), batch["label"].numpy()[0]) for batch in found]


@pytest.fixture(scope="module")
def runs():
    """{kind: the elements that are all mixed by it}, and those that nothing is mixed into by "plain"."""
    return {name: elements(**settings) for name, settings in {"plain": {}, **KINDS}.items()}


def mixed(runs, kind):
    """[(which pixels [h, w] are of the other crop, the label of all of that)], having checked all pixels."""
    found = []
    for (image, label), (plain, plain_label) in zip(runs[kind], runs["plain"]):
        shown = (image != plain).any(axis=-1)
        np.testing.assert_array_equal(label[~shown], plain_label[~shown])
        if shown.any():
            y, x = np.nonzero(shown)
            numbers, rows, columns = image[shown].T
            ((number, top, left),) = {*zip(numbers, rows - y, columns - x)}  # of one crop, at its place
            theirs = LABELS[number][top : top + CROP[0], left : left + CROP[1]]
            np.testing.assert_array_equal(label[shown], theirs[shown])
            found.append((shown, theirs))
    return found


def test_cutmix_shows_boxes_of_another_crop(runs):
    areas, places, void = [], [], 0
    for shown, theirs in mixed(runs, "cutmix"):
        rows, columns = (np.flatnonzero(shown.any(axis=axis)) for axis in (1, 0))
        assert shown.sum() == len(rows) * len(columns) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
        assert abs(len(rows) / CROP[0] - len(columns) / CROP[1]) < 0.5 / CROP[0] + 0.5 / CROP[1]
        areas.append(shown.mean())
        places.append((rows[0], columns[0]))
        void += np.sum(theirs[shown] == IGNORE)
    assert void and len(areas) > 0.9 * COUNT
    assert abs(np.mean(areas) - 0.5) < 4 / np.sqrt(12 * COUNT) + 0.02 and min(areas) < 0.1 and max(areas) > 0.9
    assert len({*places}) > 20


def test_classmix_shows_half_of_the_classes_and_no_void(runs):
    chosen = []
    for shown, theirs in mixed(runs, "classmix"):
        there, some = (np.setdiff1d(part, [IGNORE]) for part in (theirs, theirs[shown]))
        assert len(some) == len(there) // 2
        np.testing.assert_array_equal(shown, np.isin(theirs, some))
        chosen.extend(some)
    assert np.bincount(chosen).min() > 0.1 * len(chosen)


def regions(theirs, classes):
    """Pixels of each connected region, by flooding from pixel to neighbour."""
    left = {place for place in np.ndindex(theirs.shape) if theirs[place] in classes}
    while left:
        region, edge = set(), [left.pop()]
        while edge:
            y, x = edge.pop()
            region.add((y, x))
            near = {(y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            near = {place for place in near if theirs[place] == theirs[y, x]}
            left -= near
            edge.extend(near)
        yield region


def test_copy_paste_shows_whole_regions_of_some_classes(runs):
    pasted = []
    for shown, theirs in mixed(runs, "paste"):
        expected = np.zeros(CROP, bool)
        for region in regions(theirs, (1, 3)):
            pasted.append(shown[min(region)])
            for place in region:
                expected[place] = pasted[-1]
        np.testing.assert_array_equal(shown, expected)
    assert len(pasted) > 200 and abs(np.mean(pasted) - 0.5) < 4 * 0.5 / np.sqrt(len(pasted))


def test_a_crop_is_mixed_in_one_way_or_none(runs):
    shares = {"cutmix": 0.3, "classmix": 0.2, "paste": 0.4}
    counts = dict.fromkeys(runs, 0)
    for number, (image, label) in enumerate(elements(**shares, **PASTED)):
        alike = [
            name
            for name, elements in runs.items()
            if np.array_equal(image, elements[number][0]) and np.array_equal(label, elements[number][1])
        ]
        assert alike
        for name in alike:
            counts[name] += 1 / len(alike)
    for name, share in {"plain": 0.1, **shares}.items():
        assert abs(counts[name] / COUNT - share) < 4 * np.sqrt(share * (1 - share) / COUNT)


def test_no_share_changes_nothing(runs):
    for (image, label), (plain, plain_label) in zip(elements(cutmix=1e-9, paste=1e-9, **PASTED), runs["plain"]):
        np.testing.assert_array_equal(image, plain)
        np.testing.assert_array_equal(label, plain_label)


def blended(count=3 * COUNT, **settings):
    """[(image, label, other label, its weight)]."""
    batches = itertools.islice(training_batches(SOURCE, Augmentation(CROP, **settings), 1, 3), count)
    return [[batch[key].numpy()[0] for key in ("image", "label", "other", "weight")] for batch in batches]


def test_mixup_is_the_weighted_mean_of_two_crops_with_both_labels(runs):
    for (image, label, other, weight), (plain, plain_label) in zip(blended(mixup=1.0), runs["plain"]):
        np.testing.assert_array_equal(label, plain_label)
        assert 0 <= weight <= 0.5
        if weight > 0.01:
            theirs = np.round((image - (1 - weight) * plain) / weight).astype(int)
            number, top, left = theirs[0, 0]
            np.testing.assert_allclose(image, (1 - weight) * plain + weight * theirs, atol=1e-3)
            np.testing.assert_array_equal(theirs - theirs[0, 0], np.stack([0 * ROWS, ROWS, COLUMNS], axis=-1))
            np.testing.assert_array_equal(other, LABELS[number][top : top + CROP[0], left : left + CROP[1]])


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_weights_are_of_a_beta_distribution(alpha):
    weights = [weight for *_, weight in blended(mixup=1.0, mixup_alpha=alpha)]
    expected = np.random.default_rng(0).beta(alpha, alpha, 10_000)
    expected = np.minimum(expected, 1 - expected)
    assert abs(np.mean(weights) - expected.mean()) < 4 * expected.std() / np.sqrt(len(weights))
    assert abs(np.std(weights) / expected.std() - 1) < 0.25


def test_a_crop_that_is_not_blended_has_one_label(runs):
    """Of those that may have parts of another crop, and those that are left alone."""
    kinds = dict.fromkeys(("cutmix", "plain", "mixup"), 0)
    for number, (image, label, other, weight) in enumerate(blended(COUNT, cutmix=0.3, mixup=0.4)):
        alike = [
            name
            for name in ("cutmix", "plain")
            if np.array_equal(np.round(image), runs[name][number][0]) and np.array_equal(label, runs[name][number][1])
        ]
        kinds[alike[0] if weight == 0 else "mixup"] += 1
        assert weight > 0 or (other == IGNORE).all()
    for name, share in {"cutmix": 0.3, "plain": 0.3, "mixup": 0.4}.items():
        assert abs(kinds[name] / COUNT - share) < 4 * np.sqrt(share * (1 - share) / COUNT)


ALL = {"cutmix": 0.3, "classmix": 0.3, "paste": 0.3, **PASTED}


def test_a_run_goes_on_with_the_same_mixes_and_so_do_its_parts_and_labels():
    """From the middle of an epoch; each of two workers has its part; what is looked at before has the same labels."""
    whole, rest = elements(**ALL), elements(first=5, **ALL)
    for (image, label), (again, label_again) in zip(whole[5:], rest):
        np.testing.assert_array_equal(image, again)
        np.testing.assert_array_equal(label, label_again)
    options = Augmentation(CROP, **ALL)
    for part in range(2):
        batches = itertools.islice(training_batches(SOURCE, options, 6, 3, 5, (part, 2)), 3)
        for number, batch in enumerate(batches):
            own = whole[5 + 6 * number + 3 * part :][:3]
            np.testing.assert_array_equal(np.round(batch["image"]), [image for image, _ in own])
            np.testing.assert_array_equal(batch["label"], [label for _, label in own])
    np.testing.assert_array_equal([*training_labels(SOURCE, options, 3, 20)], [label for _, label in whole[:20]])


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_values_of_other_types_are_mixed_likewise(runs, dtype):
    for (image, label), (same, same_label) in zip(elements(source=loader(dtype), cutmix=1.0), runs["cutmix"]):
        np.testing.assert_array_equal(image, same)
        np.testing.assert_array_equal(label, same_label)


def test_what_the_data_cannot_have_is_told():
    with pytest.raises(DataError, match="data.paste_classes names 'car'; memory has a, b, c, d, e"):
        Augmentation(CROP, paste_classes=("car",)).check(SOURCE.dataset.spec)
    with pytest.raises(DataError, match="data.cutmix needs a class per pixel; memory is for classification"):
        Augmentation(CROP, cutmix=0.5).check(InMemory({}, task="classification").spec)
