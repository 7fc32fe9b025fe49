"""Cityscapes scores and results against the benchmark's own program."""

import math

import numpy as np
import pytest
from folders import make_cityscapes, write_image
from PIL import Image
from story import story

pytest.importorskip("cityscapesscripts", reason="needs `pip install -e .[cityscapes]`")
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as program
from cityscapesscripts.helpers.labels import category2labels, labels

from data_pipelines import DataError, load
from data_pipelines.datasets.cityscapes import CLASSES, LABEL_IDS
from did_tf.scoring import official
from did_tf.scoring.evaluation import MAIN
from did_tf.scoring.official import submission
from did_tf.scoring.official.cityscapes import CATEGORIES, SIZES, Cityscapes


@pytest.fixture
def evaluate(monkeypatch):
    """A function of (result files, label files) that gives what the benchmark's program finds."""
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # NumPy 2.4 has no more in1d, which the program calls
    for key, value in {"quiet": True, "JSONOutput": False}.items():
        monkeypatch.setattr(program.args, key, value)
    return lambda found, truth: program.evaluateImgLists([*map(str, found)], [*map(str, truth)], program.args)


def agree(ours, theirs):
    """Both dicts of scores, names and averages, are equal; theirs has NaN where ours has None."""

    def check(mine, other):
        assert (math.isnan(other) and mine is None) or abs(mine - other) <= 1e-12

    for kind, key, average in (("class", "class", "Classes"), ("category", "category", "Categories")):
        check(ours[kind]["miou"], theirs[f"averageScore{average}"])
        check(ours[kind]["miiou"], theirs[f"averageScoreInst{average}"])
        for name in ours[kind]["iou"]:
            check(ours[kind]["iou"][name], theirs[f"{key}Scores"][name])
            check(ours[kind]["iiou"][name], theirs[f"{key}InstScores"][name])


def scatter(rng, size, ids):
    """Labels and instances [H, W] of overlapping boxes of random ids, some of them groups."""
    label, instances, count = np.zeros(size, np.uint8), np.zeros(size, np.uint16), 0
    for _ in range(60):
        top, left = rng.integers(0, size[0] - 1), rng.integers(0, size[1] - 1)
        box = slice(top, top + rng.integers(1, 20)), slice(left, left + rng.integers(1, 30))
        label[box] = instances[box] = label_id = rng.choice(ids)
        if next(entry.hasInstances for entry in labels if entry.id == label_id) and rng.random() < 0.8:
            instances[box] = label_id * 1000 + count
            count += 1
    return label, instances


def write_frame(folder, number, size, label, instances):
    stem = f"x_{number:06d}_000019"
    write_image(folder / "leftImg8bit" / "val" / "x" / f"{stem}_leftImg8bit.png", np.zeros((*size, 3), np.uint8))
    write_image(folder / "gtFine" / "val" / "x" / f"{stem}_gtFine_labelIds.png", label)
    write_image(folder / "gtFine" / "val" / "x" / f"{stem}_gtFine_instanceIds.png", instances)


def scored(folder, predict):
    """(benchmark, result files) after all frames of val, where `predict` makes class ids of a label."""
    dataset = load("cityscapes", folder)
    benchmark, files = Cityscapes(dataset), []
    for sample in dataset.samples("val"):
        _, label = dataset.read(sample)
        probabilities = np.eye(len(CLASSES), dtype=np.float32)[predict(label)]
        benchmark.update(sample, label, probabilities)
        files.append(folder / "results" / benchmark.place(sample))
        benchmark.write(files[-1], probabilities, sample)
        benchmark.check(files[-1], label.shape)
    return benchmark, files


@pytest.mark.parametrize(
    "ids, noise",
    [
        (range(34), 0.3),
        (range(34), 1.0),
        ([0, 3, 7, 11, 23, 26], 0.1),  # classes and categories that are absent, and predicted now and then
        ([7, 8, 23], 0.0),  # no instances at all
        ([0, 4, 9, 29, 30], 0.5),  # nothing that is scored
        ([24, 25, 29, 30, 33], 0.4),
    ],
)
def test_scores_are_those_of_the_benchmarks_program(tmp_path, evaluate, ids, noise):
    rng = np.random.default_rng(len(ids))
    for number, size in enumerate([(40, 64), (33, 70), (64, 128), (1, 37)]):
        write_frame(tmp_path, number, size, *(scatter(rng, size, list(ids)) if size[0] > 1 else [np.full(size, 7)] * 2))

    def predict(label):
        wrong = (label == 255) | (rng.random(label.shape) < noise)
        return np.where(wrong, rng.integers(0, len(CLASSES), label.shape), label)

    benchmark, files = scored(tmp_path, predict)
    agree(benchmark.scores(), evaluate(files, sorted((tmp_path / "gtFine" / "val" / "x").glob("*_labelIds.png"))))
    assert "note" not in benchmark.scores()


def test_iiou_by_hand(tmp_path):
    """A car of 2 pixels found by half, one of 8 that is taken for a bus, and 4 pixels of road taken for a car."""
    label = np.full((2, 8), 7, np.uint8)
    instances = label.astype(np.uint16)
    label[0, :2], instances[0, :2] = 26, 26000
    label[1], instances[1] = 26, 26001
    prediction = np.zeros((2, 8), np.uint8)
    car, bus = CLASSES.index("car"), CLASSES.index("bus")
    prediction[0, [0, 3, 4, 5, 6]], prediction[1] = car, bus
    write_frame(tmp_path, 0, (2, 8), label, instances)
    benchmark, _ = scored(tmp_path, lambda label: prediction)
    found, lost = SIZES["car"] / 2, SIZES["car"] / 2 + SIZES["car"]
    scores = benchmark.scores()
    assert scores["class"]["iiou"]["car"] == pytest.approx(found / (found + 4 + lost), abs=1e-15)
    assert scores["class"]["iou"]["car"] == 1 / 14
    found, lost = 1.5 * SIZES["car"], SIZES["car"] / 2  # a bus is a vehicle too
    assert scores["category"]["iiou"]["vehicle"] == pytest.approx(found / (found + 4 + lost), abs=1e-15)
    assert scores["category"]["iou"]["vehicle"] == 9 / 14
    assert scores["class"]["iiou"]["road"] is scores["category"]["iiou"]["flat"] is None


def test_the_papers_figures_stand_beside_ours(tmp_path):
    write_frame(tmp_path, 0, (2, 8), np.full((2, 8), 7, np.uint8), np.full((2, 8), 7, np.uint16))
    benchmark, _ = scored(tmp_path, lambda label: np.zeros(label.shape, np.uint8))
    classes = {"road": 98.4, "sky": 95.6}
    paper = {"split": "test", "miou": 73.7, "category_miou": 89.66, "classes": classes}
    lines = benchmark.table(paper).splitlines()
    assert lines[0].split("  ")[-1] == "paper (test): IoU"
    rows = [line.rsplit("  ", 1) for line in lines]
    ends = [row[-1].strip() for row in rows if row[-1].strip() in ("98.4", "95.6", "73.7", "89.7")]
    assert ends == ["98.4", "95.6", "73.7", "95.6", "89.7"], "road, sky, mean, category of sky, mean"
    mean = next(line for line in benchmark.table({**paper, "miiou": 51.54}).splitlines() if "mean of class" in line)
    assert mean.split()[-2:] == ["73.7", "51.5"]
    assert "paper" not in benchmark.table()


def test_categories_and_classes_with_instances_are_the_packages():
    valid = {name: [e.name for e in entries if not e.ignoreInEval] for name, entries in category2labels.items()}
    assert {name: list(classes) for name, classes in CATEGORIES.items()} == {k: v for k, v in valid.items() if v}
    assert set(SIZES) == {entry.name for entry in labels if entry.hasInstances and not entry.ignoreInEval}
    assert {name: program.args.avgClassSize[name] for name in SIZES} == SIZES


def test_without_instances_there_is_iou_alone_and_the_table_says_so(tmp_path):
    make_cityscapes(tmp_path)
    for path in sorted((tmp_path / "gtFine" / "val").rglob("*_instanceIds.png"))[1:]:
        path.unlink()
    benchmark, _ = scored(tmp_path, lambda label: np.where(label == 255, 0, label))
    scores = benchmark.scores()
    assert scores["class"]["miou"] == scores["category"]["miou"] == 1
    assert scores["class"]["miiou"] is scores["category"]["miiou"] is None
    assert set(scores["class"]["iiou"].values()) == {None}
    assert scores["note"].startswith("no iIoU: valb_000001_000019 has no file of instances beside ")
    lines = benchmark.table().splitlines()
    assert lines[-1] == scores["note"]
    assert lines[-3].split() == ["mean", "of", "category", "100.0", "-"]
    assert lines[-2].split()[-3:] == ["0", "of", str(len(CATEGORIES))]


@pytest.mark.parametrize(
    "instance, shape, line",
    [
        (7000, (2, 4), "hold 7000: classes of id 7 have none"),
        (34001, (2, 4), "hold 34001: "),
        (26000, (2, 5), r"are \(2, 5\), but its label is \(2, 4\)"),
    ],
)
def test_wrong_instances_are_named(tmp_path, instance, shape, line):
    write_frame(tmp_path, 0, (2, 4), np.full((2, 4), 7, np.uint8), np.full(shape, instance, np.uint16))
    with pytest.raises(DataError, match=line):
        scored(tmp_path, lambda label: label)


def test_parts_of_frames_are_not_what_the_benchmark_scores(tmp_path):
    make_cityscapes(tmp_path)
    benchmark = official.find("cityscapes")
    assert benchmark is Cityscapes
    assert benchmark.scores_samples_of(load("cityscapes", tmp_path), "val")
    assert benchmark.scores_samples_of(load("cityscapes", tmp_path, patches="twelve"), "val")
    assert not benchmark.scores_samples_of(load("cityscapes", tmp_path, patches="twelve"), "train")
    assert not benchmark.scores_samples_of(load("cityscapes", tmp_path, half=True), "val")


def test_results_are_found_by_the_benchmarks_program(tmp_path, monkeypatch):
    make_cityscapes(tmp_path, {"val": 4})
    dataset = load("cityscapes", tmp_path)
    places = {sample.label: Cityscapes(dataset).place(sample) for sample in dataset.samples("val")}
    assert len(set(places.values())) == 4
    for place in places.values():
        write_image(tmp_path / "results" / place, np.zeros((4, 4), np.uint8))
    monkeypatch.setattr(program.args, "predictionPath", str(tmp_path / "results"))
    monkeypatch.setattr(program.args, "predictionWalk", None)
    for label, place in places.items():
        assert program.getPrediction(program.args, str(label)) == str(tmp_path / "results" / place)


def png(pixels, mode=None):
    return lambda path: (Image.fromarray(pixels) if mode is None else Image.fromarray(pixels).convert(mode)).save(path)


ROAD = np.full((4, 6), 7, np.uint8)


@pytest.mark.parametrize(
    "write, line",
    [
        (png(np.where(np.eye(4, 6), 0, ROAD).astype(np.uint8)), "holds 0, which is no id of a class that is scored"),
        (png(np.full((4, 6), 29, np.uint8)), "holds 29, "),
        (png(np.full((4, 6), 255, np.uint8)), "holds 255, "),
        (png(ROAD[:, :5]), "is 4x5: the benchmark takes 4x6"),
        (png(ROAD, "RGB"), "is PNG of mode RGB: the benchmark takes PNG with one channel of 8 bits"),
        (png(ROAD.astype(np.uint16)), "is PNG of mode I"),
        (png(ROAD, "P"), "is PNG of mode P"),
        (lambda path: Image.fromarray(ROAD).save(path, format="JPEG"), "is JPEG of mode L"),
        (lambda path: path.write_bytes(b""), "cannot decode"),
        (lambda path: None, "cannot decode"),
    ],
)
def test_results_that_the_benchmark_would_not_take_are_named(tmp_path, write, line):
    path = tmp_path / "x.png"
    write(path)
    with pytest.raises(DataError, match=line) as error:
        Cityscapes(None).check(path, (4, 6))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


def test_a_truncated_result_is_named(tmp_path):
    path = tmp_path / "x.png"
    noise = np.array(LABEL_IDS, np.uint8)[np.random.default_rng(0).integers(0, 19, (64, 64))]
    write_image(path, noise)
    Cityscapes(None).check(path, (64, 64))
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DataError, match="cannot decode"):
        Cityscapes(None).check(path, (64, 64))


@pytest.mark.slow
def test_from_training_to_a_result_that_the_benchmark_scores_alike(tmp_path, evaluate):
    make_cityscapes(tmp_path / "data")
    benchmarks = []

    def watch(scored):
        if not benchmarks:
            benchmarks.append(Cityscapes(load("cityscapes", tmp_path / "data")))
        benchmarks[0].update(scored.sample, scored.label, scored.probabilities[MAIN])

    told = story("did_cityscapes", tmp_path / "data", tmp_path / "run", watch=watch)
    scores = benchmarks[0].scores()
    assert scores["class"]["miou"] == pytest.approx(told.evaluation.matrices[MAIN].mean_iou(), abs=1e-15)

    for split, count in (("val", 2), ("test", 1)):
        folder = tmp_path / split
        benchmark = Cityscapes(told.dataset)
        assert submission.write(benchmark, told.predictor, split, folder, {}) == (count, tmp_path / f"{split}.zip")
        assert len(list(folder.iterdir())) == count
    truth = [sample.label for sample in told.dataset.samples("val")]
    results = [tmp_path / "val" / benchmark.place(sample) for sample in told.dataset.samples("val")]
    agree(scores, evaluate(results, truth))
