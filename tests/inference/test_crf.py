"""The CRF against the formula of duc_hdc.md section 4.1.2, summed over all pairs of pixels, and its tiles."""

import dataclasses
import importlib.util
import time

import numpy as np
import pytest
from in_memory import SPEC

from did_tf.common.errors import ConfigError
from did_tf.common.streams import side_by_side
from did_tf.inference import crf as crf_module
from did_tf.inference import refining
from did_tf.inference.crf import CRF, mean_field, spans
from did_tf.scoring.evaluation import MAIN, Scored
from did_tf.scoring.metrics import ConfusionMatrix

NEEDS_PACKAGE = pytest.mark.skipif(
    not importlib.util.find_spec("pydensecrf"), reason="needs pydensecrf2: pip install -e .[crf]"
)
DUC = CRF(10, 3.0, 15.0, 3.0, 3.0, 1.0, low=(0.0,) * 3, factor=(1.0,) * 3)
SETTINGS = {key: getattr(DUC, key) for key in (field.name for field in dataclasses.fields(CRF))}
SETTINGS = {key: value for key, value in SETTINGS.items() if key not in ("low", "factor")}


def by_the_formula(crf, image, probabilities, iterations):
    """Mean field with loops over all pairs of pixels, in float64, by the energy as the paper states it."""
    height, width, classes = probabilities.shape
    pixels = [(y, x) for y in range(height) for x in range(width)]
    kernels = np.zeros((2, len(pixels), len(pixels)))
    for i, p in enumerate(pixels):
        for j, q in enumerate(pixels):
            apart = (p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2
            unlike = ((image[p].astype(float) - image[q]) ** 2).sum()
            kernels[0, i, j] = np.exp(-apart / (2 * crf.appearance_xy**2) - unlike / (2 * crf.appearance_colour**2))
            kernels[1, i, j] = np.exp(-apart / (2 * crf.smoothness_xy**2))
    norms = 1 / np.sqrt(kernels.sum(axis=2))
    kernels = kernels * norms[:, :, None] * norms[:, None]
    pairs = crf.appearance_weight * kernels[0] + crf.smoothness_weight * kernels[1]
    unary = np.log(probabilities.reshape(-1, classes).astype(float))
    marginals = np.exp(unary)
    for _ in range(iterations):
        marginals = np.exp(unary + pairs @ marginals)
        marginals /= marginals.sum(axis=1, keepdims=True)
    return marginals.reshape(probabilities.shape)


def unsure(seed, size=(10, 9), classes=3):
    """[H, W, classes] float32, random."""
    values = np.random.default_rng(seed).random((*size, classes)).astype(np.float32) + np.float32(0.2)
    return values / values.sum(axis=-1, keepdims=True)


def two_colours(seed, size=(10, 9)):
    """[H, W, 3] uint8 of two regions of noise."""
    image = np.random.default_rng(seed).integers(20, 60, (*size, 3))
    image[:, 5:] += 120
    return image.astype(np.uint8)


class Exact:
    """Stands for the package: sums in place of its lattice."""

    class DenseCRF:
        def __init__(self, pixels, classes):
            self.kernel = np.zeros((pixels, pixels))

        def setUnaryEnergy(self, unary):
            assert unary.dtype == np.float32 and unary.flags.c_contiguous and np.isfinite(unary).all()
            self.unary = unary.astype(float)

        def addPairwiseEnergy(self, features, weight):
            assert features.dtype == np.float32 and features.flags.c_contiguous
            values = features.astype(float)
            kernel = np.exp(-((values[:, :, None] - values[:, None]) ** 2).sum(axis=0) / 2)
            norm = 1 / np.sqrt(kernel.sum(axis=1))
            self.kernel += weight * kernel * norm * norm[:, None]

        def inference(self, iterations):
            found = np.exp(-self.unary)
            for _ in range(iterations):
                found = np.exp(found @ self.kernel - self.unary)
                found /= found.sum(axis=0)
            return found.astype(np.float32)


@pytest.fixture
def exact(monkeypatch):
    """The CRF by `Exact`, so that all but the lattice is tested without the package."""
    monkeypatch.setattr(crf_module, "package", lambda: Exact)


PARAMETERS = [
    {"iterations": 1, "appearance_xy": 4.0, "appearance_colour": 40.0},
    {"iterations": 1, "appearance_xy": 2.0, "appearance_colour": 15.0, "appearance_weight": 1.0, "smoothness_xy": 3.0},
    {"iterations": 3, "appearance_weight": 0.0, "smoothness_weight": 1.5, "smoothness_xy": 2.0},
]


@pytest.mark.parametrize("changes", PARAMETERS)
def test_parameters_are_those_of_the_formula(changes, exact):
    crf, image, probabilities = dataclasses.replace(DUC, **changes), two_colours(1), unsure(2)
    expected = by_the_formula(crf, image, probabilities, crf.iterations)
    np.testing.assert_allclose(crf(image, probabilities), expected, atol=1e-5)


@NEEDS_PACKAGE
@pytest.mark.parametrize("changes", PARAMETERS)
def test_the_package_approximates_the_formula(changes):
    crf, image, probabilities = dataclasses.replace(DUC, **changes), two_colours(1), unsure(2)
    expected = by_the_formula(crf, image, probabilities, crf.iterations)
    off = np.abs(crf(image, probabilities) - expected)
    moved = np.abs(probabilities - expected)
    assert off.mean() < 0.02 and off.mean() < 0.3 * moved.mean()


@NEEDS_PACKAGE
def test_a_lone_pixel_is_smoothed_away_and_edges_are_followed():
    image = two_colours(3, (24, 24))
    probabilities = np.full((24, 24, 2), 0.1, np.float32)
    probabilities[:, :7, 0] = probabilities[:, 7:, 1] = 0.9  # the image's edge is at column 5
    probabilities[12, 18] = 0.6, 0.4
    crf = dataclasses.replace(DUC, appearance_colour=20.0, appearance_weight=10.0)
    classes = crf.classes(image, probabilities)
    np.testing.assert_array_equal(classes, np.tile(np.arange(24) >= 5, (24, 1)))
    np.testing.assert_array_equal(crf(image, probabilities), crf(image, probabilities))


def test_pixels_without_data_take_no_part_and_stay_as_they_are(exact):
    image, probabilities, mask = two_colours(4), unsure(5), np.zeros((10, 9), bool)
    mask[4:, 3:] = True
    found = DUC(image, probabilities, mask)
    np.testing.assert_array_equal(found[mask], probabilities[mask])
    image[mask], probabilities[mask] = 7, unsure(6)[mask]
    np.testing.assert_array_equal(DUC(image, probabilities, mask)[~mask], found[~mask])
    assert np.abs(found[~mask] - DUC(image, probabilities)[~mask]).max() > 1e-3
    np.testing.assert_array_equal(DUC(image, probabilities, np.ones_like(mask)), probabilities)


def test_probabilities_of_0_are_finite(exact):
    certain = np.eye(3, dtype=np.float32)[np.zeros((4, 4), int)]
    assert np.isfinite(DUC(two_colours(7, (4, 4)), certain)).all()


# Tiles


def test_spans_cover_an_axis_once_with_margins_as_far_as_it_goes():
    for size in (1, 511, 512, 513, 1024, 1500):
        found = spans(size, 45)
        assert [p for inner, _, _ in found for p in range(*inner.indices(size))] == list(range(size))
        for inner, around, kept in found:
            assert inner.stop - inner.start <= 512
            assert (around.start, around.stop) == (max(0, inner.start - 45), min(size, inner.stop + 45))
            assert range(size)[around][kept] == range(size)[inner]
    assert len(spans(512, 45)) == 1 and len(spans(513, 45)) == 2


@pytest.fixture
def small_tiles(monkeypatch):
    """Tiles of 16 pixels, with a margin that a narrow kernel does not reach beyond."""
    monkeypatch.setattr(crf_module, "TILE", 16)
    monkeypatch.setattr(crf_module, "REACH", 6)


NARROW = dataclasses.replace(DUC, iterations=1, appearance_xy=1.0, appearance_colour=40.0)


@pytest.fixture
def refiner(exact):
    made = refining.Refiner(NARROW, 3)
    made.processes.count = 1
    return made


@pytest.mark.parametrize("heights", [(37,), (7,) * 5 + (2,), (30, 7), (1,) * 37])
def test_strips_of_any_height_give_what_the_whole_image_gives(heights, small_tiles, refiner):
    image, probabilities, mask = two_colours(8, (37, 20)), unsure(9, (37, 20)), np.zeros((37, 20), bool)
    mask[10:14, 3:9] = True
    strips, ends, told = refiner.strips(image, mask), np.cumsum((0, *heights)), []
    for start, stop in zip(ends, ends[1:]):
        told += strips.take(probabilities[start:stop])
    assert [row for rows, _ in told for row in range(37)[rows]] == list(range(37))
    found = np.concatenate([values for _, values in told])
    np.testing.assert_allclose(found, NARROW(image, probabilities, mask), atol=2e-4)
    np.testing.assert_array_equal(found, refiner(image, probabilities, mask))


def test_scores_are_those_of_the_refined_output(small_tiles, refiner):
    scores, expected = refining.RefinedScores({"a": NARROW, "b": DUC}, refiner), [ConfusionMatrix(3) for _ in "ab"]
    for seed in range(3):
        image, probabilities = two_colours(seed, (15, 16)), unsure(seed + 20, (15, 16))
        label = unsure(seed + 40, (15, 16)).argmax(axis=-1).astype(np.uint8)
        label[2:5] = 255
        scores.update(Scored(seed, None, image, label, {MAIN: probabilities}, {}))
        for matrix, crf in zip(expected, (NARROW, DUC)):
            matrix.update(label, crf(image, probabilities).argmax(axis=-1))
    for found, matrix in zip(scores.matrices().values(), expected):
        np.testing.assert_array_equal(found.counts, matrix.counts)


def test_further_scores_are_of_the_refined_output_in_order(small_tiles, refiner):
    taken = []
    scores = refining.RefinedScores({"a": NARROW}, refiner, lambda *given: taken.append(given))
    images = [(two_colours(seed, (20, 16)), unsure(seed + 20, (20, 16))) for seed in range(3)]
    label = np.zeros((20, 16), np.uint8)
    for seed, (image, probabilities) in enumerate(images):
        scores.update(Scored(seed, f"sample{seed}", image, label, {MAIN: probabilities}, {}))
    counts = scores.matrices()["a"].counts
    assert [sample for sample, _, _ in taken] == ["sample0", "sample1", "sample2"]
    for (_, given, refined), (image, probabilities) in zip(taken, images):
        np.testing.assert_array_equal(given, label)
        np.testing.assert_array_equal(refined, refiner(image, probabilities))
    expected = np.bincount(np.concatenate([refined.argmax(axis=-1).ravel() for *_, refined in taken]), minlength=3)
    np.testing.assert_array_equal(counts[0], expected)


def test_a_predictor_of_the_refined_output(refiner):
    image, probabilities = two_colours(1), unsure(2)
    found = refiner.predictor(lambda given: {"side": None, MAIN: probabilities})(image)
    assert list(found) == [MAIN]
    np.testing.assert_array_equal(found[MAIN], refiner(image, probabilities))


def test_processes_give_what_this_one_gives():
    processes = refining.Processes(1.0)
    processes.count = 2
    futures = [processes.submit(spans, size, 45) for size in (100, 600)]
    assert [refining.result(future) for future in futures] == [spans(100, 45), spans(600, 45)]


# Memory, and images side by side


def test_as_many_images_are_under_way_as_keep_all_processes_at_work(refiner):
    refiner.processes.count = 4
    assert [refiner.together(size) for size in ((300, 500), (1024, 500), (500, 1500), (2000, 2000))] == [4, 2, 2, 1]


def test_refining_takes_what_its_tiles_and_the_images_that_wait_do(refiner):
    """Three classes of float32 are 12 bytes a pixel."""
    margin = NARROW.margin
    assert NARROW.bytes_per_tile(3) == NARROW.bytes_per_tile(3, (5000, 5000)) == (512 + 2 * margin) ** 2 * 840
    assert NARROW.bytes_per_tile(3, (100, 50)) == 5000 * 840
    small, large, larger = (refiner.bytes_beside(size) for size in ((100, 100), (3000, 3000), (6000, 3000)))
    assert small == pytest.approx(1e4 * (840 + 4 * 12 + 3 * 12 + 3 * 12))
    assert larger - large == 3 * 12 * 3000 * 3000, "rows that wait are no more in a higher image"
    refiner.processes.count = 4
    assert refiner.bytes_beside((100, 100)) == pytest.approx(1e4 * (4 * (840 + 4 * 12) + 4 * 3 * 12 + 3 * 12))


def test_networks_are_called_in_turn_by_images_side_by_side(refiner):
    calling, most = [], []

    def strips(number):
        for part in range(3):
            calling.append(number)
            time.sleep(0.002)
            most.append(len(calling))
            calling.remove(number)
            yield number, part

    def work(number):
        return [*refiner.strips(two_colours(1)).in_turn(strips(number))]

    found = {number: made() for number, made in side_by_side(work, range(4), 4)}
    assert found == {number: [(number, part) for part in range(3)] for number in range(4)}
    assert max(most) == 1


# What it is made of


def test_bands_of_8_bits_count_as_they_are_and_others_by_their_spread(exact):
    eight = crf_module.make(SPEC, SETTINGS)
    assert eight == DUC
    wide = dataclasses.replace(SPEC, dtype="float32", mean=(100.0, 0.0, 5.0), std=(10.0, 2.0, 0.0))
    crf = crf_module.make(wide, SETTINGS)
    image = np.array([[[80.0, -4.0, 5.0], [120.0, 4.0, 5.0], [1e9, 0.0, 5.0]]], np.float32)
    _, (features, _) = crf.kernels(image)
    colours = features[2:, 0]
    np.testing.assert_allclose(colours[0], np.array([0, 255, 510]) / 3, rtol=1e-6)
    np.testing.assert_allclose(colours[1], np.array([0, 255, 127.5]) / 3, rtol=1e-6)
    assert np.isfinite(features).all()


def test_what_makes_no_sense_is_refused(exact):
    many = dataclasses.replace(SPEC, mean=(0.0,) * 9, std=(1.0,) * 9)
    with pytest.raises(ConfigError, match="has 9 bands, and up to 8 are compared: set .*appearance_weight=0"):
        crf_module.make(many, SETTINGS)
    assert crf_module.make(many, {**SETTINGS, "appearance_weight": 0.0}).kernels(np.zeros((2, 2, 9)))[1:] == []
    with pytest.raises(ConfigError, match="both 0: there is nothing to refine by"):
        crf_module.make(SPEC, {**SETTINGS, "appearance_weight": 0.0, "smoothness_weight": 0})


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pydensecrf", None)
    with pytest.raises(ConfigError, match=r"needs the package pydensecrf2 .*: pip install .*\[crf\]'"):
        mean_field(np.ones((2, 2), np.float32), [], 1)
