"""PASCAL VOC's scores and results, and the way of its experiments from data to a submission."""

import tarfile

import numpy as np
import pytest
from coco_folder import make_coco
from folders import make_pascal_voc, make_sbd, write_image, write_palette_png
from PIL import Image
from story import story

from data_pipelines import DataError, load
from did_tf.scoring import official
from did_tf.scoring.official import submission

RESULTS = "results/VOC2012/Segmentation/comp6_test_cls"


@pytest.fixture
def benchmark(tmp_path):
    make_pascal_voc(tmp_path / "voc")
    return official.find("pascal_voc")(load("pascal_voc", tmp_path / "voc"))


def certain(ids):
    """Probabilities [H, W, 21] of a network that is sure of `ids`."""
    return np.eye(21, dtype=np.float32)[ids]


def test_scores_are_those_of_counting_pixel_by_pixel(benchmark):
    rng = np.random.default_rng(0)
    pairs = []
    for size in ((40, 30), (25, 50), (33, 33)):
        label = rng.integers(0, 21, size).astype(np.uint8)
        prediction = np.where(rng.random(size) < 0.6, label, rng.integers(0, 21, size)).astype(np.uint8)
        label[:, ::5] = 255  # whatever is predicted there
        pairs.append((label, prediction))
        benchmark.update(None, label, certain(prediction))

    expected = []
    for index in range(21):
        hits = false = missed = 0
        for label, prediction in pairs:
            for truth, found in zip(label.ravel().tolist(), prediction.ravel().tolist()):
                if truth != 255:
                    hits += truth == found == index
                    false += found == index != truth
                    missed += truth == index != found
        expected.append(hits / (hits + false + missed))
    scores = benchmark.scores()
    np.testing.assert_allclose(list(scores["iou"].values()), expected, rtol=1e-12)
    assert scores["mean_iou"] == pytest.approx(sum(expected) / 21, rel=1e-12)
    lines = benchmark.table().splitlines()
    assert lines[-1].split() == ["mean", f"{100 * scores['mean_iou']:.3f}"]
    assert lines[2].split() == ["background", f"{100 * expected[0]:.3f}"]


def test_a_class_that_is_nowhere_is_not_in_the_mean(benchmark):
    label = np.array([[0, 0, 15, 15]], np.uint8)
    benchmark.update(None, label, certain(np.array([[0, 0, 0, 15]])))
    scores = benchmark.scores()
    assert (scores["iou"]["person"], scores["iou"]["cat"]) == (1 / 2, None)
    assert scores["mean_iou"] == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_the_papers_classes_stand_beside_ours(benchmark):
    label = np.full((4, 4), 3, np.uint8)
    benchmark.update(None, label, certain(label))
    lines = benchmark.table({"split": "val", "miou": 74.8, "classes": {"bird": 86.5}}).splitlines()
    assert lines[0].endswith("  paper (val)") and lines[-1].split() == ["mean", "100.000", "74.8"]
    assert [line.split() for line in lines if line.startswith("bird")] == [["bird", "100.000", "86.5"]]


def test_a_result_is_a_palette_png_with_vocs_colours(benchmark, tmp_path):
    sample = benchmark.dataset.images("test")[0]
    assert benchmark.place(sample) == f"{RESULTS}/2008_test00.png"
    path = tmp_path / benchmark.place(sample)
    ids = np.arange(21).reshape(3, 7)
    benchmark.write(path, certain(ids), sample)
    benchmark.check(path, (3, 7))
    with Image.open(path) as image:
        assert (image.format, image.mode) == ("PNG", "P")
        np.testing.assert_array_equal(np.asarray(image), ids)
        np.testing.assert_array_equal(
            np.asarray(image.convert("RGB")), np.array(benchmark.dataset.spec.palette)[ids].astype(np.uint8)
        )


def test_results_of_val_lie_where_the_kit_looks_for_them(benchmark, tmp_path):
    def nothing_there(image):
        return {"main": certain(np.zeros(image.shape[:2], int))}

    _, packed = submission.write(benchmark, nothing_there, "val", tmp_path / "val", {}, False)
    with tarfile.open(packed) as archive:
        assert {name.rpartition("/")[0] for name in archive.getnames()} == {RESULTS.replace("test", "val")}


def other_colours(path):
    picture = Image.fromarray(np.full((3, 7), 5, np.uint8))
    picture.putpalette(list(range(30)))
    picture.save(path)


WRONG = {
    "missing": (lambda path: path.unlink(missing_ok=True), "cannot decode"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:60]), "cannot decode"),
    "grey": (lambda path: write_image(path, np.zeros((3, 7), np.uint8)), "PNG of mode L: .* palette"),
    "colours": (lambda path: write_image(path, np.zeros((3, 7, 3), np.uint8)), "mode RGB"),
    "size": (lambda path: write_palette_png(path, np.zeros((7, 3), np.uint8)), "is 7x3: the benchmark takes 3x7"),
    "void": (lambda path: write_palette_png(path, np.full((3, 7), 255, np.uint8)), "holds 255: expected .* 0 to 20"),
    "palette": (other_colours, "other colours than VOC's"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_wrong_result_is_refused(benchmark, tmp_path, fault):
    spoil, message = WRONG[fault]
    path = tmp_path / "2008_test00.png"
    benchmark.write(path, certain(np.zeros((3, 7), int)), None)
    spoil(path)
    with pytest.raises(DataError, match=message) as error:
        benchmark.check(path, (3, 7))
    assert str(path) in str(error.value)


@pytest.mark.slow
def test_from_sbd_to_a_submission(tmp_path):
    voc, benchmarks = tmp_path / "voc", []
    make_pascal_voc(voc, augmented=False)
    make_sbd(voc / "benchmark_RELEASE", voc)

    def watch(scored):
        if not benchmarks:
            benchmarks.append(official.find("pascal_voc")(load("pascal_voc", voc)))
        benchmarks[0].update(scored.sample, scored.label, scored.probabilities["main"])

    result = story("ladder169_voc", voc, tmp_path / "run", watch=watch)
    assert result.config["dataset"]["train_split"] == "trainaug"
    assert {sample.label.suffix for sample in result.dataset.samples("trainaug")} == {".png", ".mat"}
    assert benchmarks[0].scores()["mean_iou"] == result.evaluation.matrices["main"].mean_iou()

    count, packed = submission.write(benchmarks[0], result.predictor, "test", tmp_path / "submission", {}, False)
    assert (count, packed.name) == (2, "submission.tar.gz")
    with tarfile.open(packed) as archive:
        assert set(archive.getnames()) == {f"{RESULTS}/2008_test00.png", f"{RESULTS}/2008_test01.png"}


@pytest.mark.slow
def test_from_coco_over_voc_as_the_papers_stages_do(tmp_path):
    make_coco(tmp_path / "coco")
    make_pascal_voc(tmp_path / "voc")
    first = story(
        "sunet_voc:coco",
        tmp_path / "coco",
        tmp_path / "first",
        overrides={"dataset.options": {"voc": str(tmp_path / "voc")}, "data.crop": (64, 64)},
    )
    assert len(first.evaluation.images) == 2
    start = {"train.init": str(tmp_path / "first"), "data.crop": (64, 64)}
    second = story("sunet_voc:trainaug", tmp_path / "voc", tmp_path / "second", overrides=start)
    assert second.config["train"]["init"] and np.isfinite(second.evaluation.matrices["main"].mean_iou())
