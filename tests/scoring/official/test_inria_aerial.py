"""Inria's scores against loops over pixels, its files of results, and the whole way with a tiny network."""

import json
import zipfile

import numpy as np
import pytest
import rasterio
import tifffile
from inria_folder import make_inria, write_tiff
from story import story

from data_pipelines import DataError, Sample, load
from did_tf.scoring import official
from did_tf.scoring.official import submission

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("inria")
    make_inria(path, cities=("austin", "tyrol-w"))
    return path


@pytest.fixture
def benchmark(folder):
    return official.find("inria_aerial")(load("inria_aerial", folder))


def sample(folder, name):
    return Sample(name, folder / "train" / "images" / f"{name.split('_')[0]}.tif")


def probabilities_of(answer):
    """Probabilities [H, W, 2] whose larger one is that of `answer` [H, W]."""
    road = np.where(answer == 1, 0.9, 0.4).astype(np.float32)
    return np.stack([1 - road, road], axis=-1)


def by_loops(pairs):
    """(IoU of class 1, accuracy) of pairs of maps, pixel by pixel."""
    both = either = right = count = 0
    for label, answer in pairs:
        for truth, found in zip(label.ravel().tolist(), answer.ravel().tolist()):
            if truth != 255:
                both += truth == found == 1
                either += truth == 1 or found == 1
                right += truth == found
                count += 1
    return both / either, right / count


def test_scores_equal_loops_over_the_pixels(folder, benchmark):
    rng = np.random.default_rng(3)
    pairs = {"austin": [], "chicago": [], "tyrol-w": []}
    for number, (city, size) in enumerate([("austin", 20), ("chicago", 30), ("austin", 11), ("tyrol-w", 9)]):
        label, answer = rng.integers(0, 2, (2, size, size + 1)).astype(np.uint8)
        label[0, : number + 1] = 255  # as beyond a tile that is smaller than its window
        pairs[city].append((label, answer))
        benchmark.update(sample(folder, f"{city}{number + 1}_r0_c0"), label, probabilities_of(answer))
    scores = benchmark.scores()
    assert list(scores["cities"]) == ["austin", "chicago", "tyrol-w"]
    for city, own in pairs.items():
        assert tuple(scores["cities"][city].values()) == pytest.approx(by_loops(own))
    # All pixels count alike: this is no mean over cities.
    overall = by_loops(sum(pairs.values(), []))
    assert tuple(scores["overall"].values()) == pytest.approx(overall)
    lines = benchmark.table().splitlines()
    assert lines[-1].split() == ["overall", *(f"{100 * figure:.1f}" for figure in overall)]
    json.dumps(scores)


def test_without_a_building_there_is_no_iou(folder, benchmark):
    benchmark.update(sample(folder, "austin1"), np.zeros((3, 3), np.uint8), probabilities_of(np.zeros((3, 3))))
    assert benchmark.scores()["cities"]["austin"] == {"iou": None, "accuracy": 1.0}
    assert benchmark.table().splitlines()[2].split() == ["austin", "-", "100.0"]


def test_the_papers_cities_stand_beside_ours(folder, benchmark):
    answer = np.uint8([[1, 1, 0, 0]])
    benchmark.update(sample(folder, "austin1"), np.uint8([[1, 0, 0, 0]]), probabilities_of(answer))
    cities = {"austin": {"iou": 70.73}, "sfo": {"iou": 76.1, "accuracy": 91.8}}
    paper = {"split": "test", "building_iou": 74.95, "accuracy": 96.29, "cities": cities}
    assert benchmark.table(paper).splitlines() == [
        "%        IoU of buildings  accuracy  paper (test): IoU  accuracy",
        "----------------------------------------------------------------",
        "austin               50.0      75.0               70.7",
        "sfo                     -         -               76.1      91.8",
        "----------------------------------------------------------------",
        "overall              50.0      75.0               75.0      96.3",
    ]
    assert "paper" not in benchmark.table() + benchmark.table({"split": "test", "miou": 3.0})


@pytest.mark.parametrize(("patch", "scored"), [(0, True), (500, True), (1000, True), (512, False)])
def test_patches_that_overlap_are_not_scored(folder, patch, scored):
    dataset = load("inria_aerial", folder, patch=patch)
    assert official.find("inria_aerial").scores_samples_of(dataset, "val") is scored


def test_a_result_is_a_tiff_of_one_band_without_loss(tmp_path, benchmark):
    answer = np.random.default_rng(0).integers(0, 2, (50, 70))
    path = tmp_path / "bellingham1.tif"
    benchmark.write(path, probabilities_of(answer), None)
    benchmark.check(path, (50, 70))
    with tifffile.TiffFile(path) as file:
        (page,) = file.pages
        assert (page.bitspersample, page.samplesperpixel, page.compression) == (8, 1, 5)
    np.testing.assert_array_equal(read(path), answer * 255)


def read(path):
    """What GDAL makes of a TIFF, [H, W]."""
    with rasterio.open(path) as file:
        (band,) = file.read()
    return band


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's about a damaged file
def test_results_that_are_none_are_named(tmp_path, benchmark):
    def refused(pixels, message):
        path = tmp_path / "sfo1.tif"
        write_tiff(path, pixels)
        with pytest.raises(DataError, match=message):
            benchmark.check(path, (20, 30))

    fine = np.zeros((20, 30), np.uint8)
    refused(fine[1:], r"sfo1\.tif is 19x30: the benchmark takes 20x30")
    refused(np.stack([fine] * 3, axis=-1), "is TIFF of mode RGB: the benchmark takes TIFF of one 8-bit band")
    refused(fine + 1, "holds the value 1: expected 0 and 255 alone")

    path = tmp_path / "sfo2.tif"
    benchmark.write(path, probabilities_of(np.random.default_rng(0).integers(0, 2, (20, 30))), None)
    whole = path.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"no TIFF"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"cannot decode .*sfo2\.tif: the file is damaged or no image"):
            benchmark.check(path, (20, 30))


@pytest.mark.slow
def test_the_whole_way(folder, tmp_path):
    """Trained on patches, scored, and results of the whole test tiles written, checked and packed."""
    told, overrides = [], {"dataset.options.patch": 50, "dataset.options.validation": "first_five"}
    done = story("did_inria", folder, tmp_path / "run", overrides=overrides, watch=told.append)
    assert len(done.evaluation.images) == 2 * 4
    benchmark = official.find("inria_aerial")(done.dataset)
    for scored in told:
        benchmark.update(scored.sample, scored.label, scored.probabilities["main"])
    matrix = done.evaluation.matrices["main"]
    assert benchmark.scores()["overall"]["iou"] == pytest.approx(matrix.iou()[1], nan_ok=True)
    assert benchmark.scores()["overall"]["accuracy"] == pytest.approx(matrix.pixel_accuracy())

    results = tmp_path / "results"
    count, packed = submission.write(benchmark, done.predictor, "test", results, {}, progress=False)
    assert count == 2 and zipfile.ZipFile(packed).namelist() == ["bellingham1.tif", "tyrol-e1.tif"]
    for tile in done.dataset.images("test"):
        expected = done.predictor(done.dataset.read_image(tile))["main"].argmax(axis=-1) * 255
        np.testing.assert_array_equal(read(results / f"{tile.name}.tif"), expected)
