"""KITTI road's scores against loops over thresholds and pixels, its view from above, and the whole way."""

import json
import zipfile

import cv2
import numpy as np
import pytest
from folders import write_image
from kitti_folder import P2, R0_RECT, TR_CAM_TO_ROAD, make_kitti, write_calibration
from story import story

from data_pipelines import DataError, Sample, load
from did_tf.scoring import official
from did_tf.scoring.official import kitti_road, submission

FULL = (375, 1242)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("kitti")
    make_kitti(path, frames=6, test=1)
    return path


@pytest.fixture
def benchmark(folder):
    return official.find("kitti_road")(load("kitti_road", folder))


def frame(folder, name, scale=1.0):
    """A `Sample` with a calibration, and no image."""
    write_calibration(folder / "training" / "calib" / f"{name}.txt", scale)
    return Sample(name, folder / "training" / "image_2" / f"{name}.png")


def probabilities_of(confidence):
    """[H, W, 2] of the probability of road in levels, [H, W] uint8."""
    road = (confidence / 255).astype(np.float32)
    return np.stack([1 - road, road], axis=-1)


def by_loops(truths, levels):
    """The figures of arrays of truths and levels, one threshold at a time."""
    road, rest = (truths == 1).sum(), (truths == 0).sum()
    rows = []
    for threshold in range(256):
        found = ((truths == 1) & (levels >= threshold)).sum()
        false = ((truths == 0) & (levels >= threshold)).sum()
        precision, recall = found / (found + false) if found else 0.0, found / road
        measure = 2 * precision * recall / (precision + recall) if found else 0.0
        rows.append((measure, precision, recall, false / rest, 1 - recall, threshold / 255))
    best = max(rows, key=lambda row: row[0])
    average = np.mean([max(row[1] for row in rows if row[2] >= tenth * 0.1) for tenth in range(11)])
    return dict(zip(("maxf", "ap", "precision", "recall", "fpr", "fnr", "threshold"), (best[0], average, *best[1:])))


def pixel_of(right, ahead, scale):
    """(column, row), from 1, where a place on the road is seen: one transformation after the other."""
    to_road = np.array(TR_CAM_TO_ROAD).reshape(3, 4)
    camera = np.linalg.solve(to_road[:, :3], np.array([right, 0, ahead]) - to_road[:, 3])
    projection = np.array(P2).reshape(3, 4) * np.array([[scale], [scale], [1]])
    across, down, depth = projection[:, :3] @ np.array(R0_RECT).reshape(3, 3) @ camera + projection[:, 3]
    return across / depth, down / depth


def test_scores_equal_loops_over_thresholds(tmp_path, benchmark):
    rng, scale, told = np.random.default_rng(1), 0.2, {}
    right, ahead = np.meshgrid(-10 + 0.05 * (np.arange(400) + 0.5), 46 - 0.05 * (np.arange(800) + 0.5))
    columns, rows = seen(right.ravel(), ahead.ravel(), scale)
    inside = (columns >= 1) & (rows >= 1) & (columns <= 248) & (rows <= 75)
    above = rows[inside].astype(int) - 1, columns[inside].astype(int) - 1
    for name in ("um_000000", "um_000001", "umm_000000", "uu_000003"):
        label = rng.choice([0, 1, 255], (75, 248), p=(0.6, 0.3, 0.1)).astype(np.uint8)
        # Few levels and much noise, so that the threshold matters.
        confidence = np.clip((label == 1) * 60 + rng.integers(0, 40, label.shape) * 5, 0, 255).astype(np.uint8)
        benchmark.update(frame(tmp_path, name, scale), label, probabilities_of(confidence))
        for view, pixels in (("perspective", np.s_[:, :]), ("birds_eye", above)):
            truth, level = label[pixels].ravel(), confidence[pixels].ravel()
            for category in (name.split("_")[0], "urban_road"):
                told.setdefault((view, category), []).append((truth[truth != 255], level[truth != 255]))
    scores = benchmark.scores()
    for (view, category), parts in told.items():
        assert scores[view][category] == pytest.approx(by_loops(*map(np.concatenate, zip(*parts))))
    json.dumps(scores)


def seen(right, ahead, scale):
    """`pixel_of` for arrays, through four known places: a plane is seen by a homography."""
    corners = [(-10, 6), (10, 6), (-10, 46), (10, 46)]
    targets = np.float64([pixel_of(x, z, scale) for x, z in corners])
    rows = []
    for (x, z), (u, v) in zip(corners, targets):
        rows += [[x, z, 1, 0, 0, 0, -u * x, -u * z], [0, 0, 0, x, z, 1, -v * x, -v * z]]
    matrix = np.append(np.linalg.solve(rows, targets.ravel()), 1).reshape(3, 3)
    across, down, depth = matrix @ np.stack([right, ahead, np.ones_like(ahead)])
    return across / depth, down / depth


def test_figures_of_a_case_worked_out_by_hand(tmp_path, benchmark):
    # Three pixels of road at 200, 100, 50; two others at 100 and 10.
    sample = frame(tmp_path, "uu_000000")
    label, confidence = np.uint8([[1, 1, 1, 0, 0, 255]]), np.uint8([[200, 100, 50, 100, 10, 255]])
    benchmark.update(sample, label, probabilities_of(confidence))
    figures = benchmark.scores()["perspective"]["uu"]
    # At 50: precision 3/4, recall 1, F 6/7. Precision is 1 up to recall 1/3 and 3/4 beyond.
    assert figures == pytest.approx({
        "maxf": 6 / 7, "ap": (4 * 1 + 7 * 0.75) / 11, "precision": 0.75, "recall": 1, "fpr": 0.5, "fnr": 0,
        "threshold": 11 / 255,
    })  # fmt: skip
    assert benchmark.scores()["perspective"]["urban_road"] == figures
    assert set(benchmark.scores()["perspective"]["um"].values()) == {None}
    lines = benchmark.table().splitlines()
    assert lines[0].split() == ["%", "MaxF", "AP", "PRE", "REC", "FPR", "FNR"]
    assert lines[4].split() == ["uu,", "perspective", "85.7", "84.1", "75.0", "100.0", "50.0", "0.0"]
    paper = {"split": "test", "maxf": 96.41, "ap": 93.88, "scenes": {"um": {"maxf": 95.64, "ap": 93.5}}}
    lines = benchmark.table(paper).splitlines()
    assert lines[0].endswith("  paper (test): MaxF    AP")
    # The server scores the view from above.
    theirs = {line.split("  ")[0]: line.split()[-2:] for line in lines if line.split()[-1] in ("93.5", "93.9")}
    assert theirs == {"um, birds_eye": ["95.6", "93.5"], "urban_road, birds_eye": ["96.4", "93.9"]}


def test_the_view_from_above_shows_where_a_place_is(tmp_path):
    places = kitti_road.from_above(kitti_road.read_calibration(kitti_file(tmp_path)), FULL)
    assert places.shape == (800, 400)
    rng, found = np.random.default_rng(0), 0
    for i, j in zip(rng.integers(0, 800, 300), rng.integers(0, 400, 300)):
        column, row = pixel_of(-10 + 0.05 * (j + 0.5), 46 - 0.05 * (i + 0.5), 1)
        shown = 1 <= column <= FULL[1] and 1 <= row <= FULL[0]
        assert places[i, j] == ((int(row) - 1) * FULL[1] + int(column) - 1 if shown else -1)
        found += shown
    assert 200 < found < 300  # the nearest corners are out of sight


def kitti_file(folder):
    write_calibration(folder / "calib.txt")
    return folder / "calib.txt"


def test_a_straight_road_is_straight_from_above(tmp_path):
    mask = np.zeros(FULL, np.uint8)
    edges = [pixel_of(x, z, 1) for x, z in ((-3, 5), (-3, 60), (3, 60), (3, 5))]
    cv2.fillPoly(mask, [np.int32(np.rint(np.array(edges) - 1))], 1)
    places = kitti_road.from_above(kitti_road.read_calibration(kitti_file(tmp_path)), FULL)
    above = kitti_road.take(mask, places, 0)
    near = above[400:750]  # 8.5 to 26 metres, where the image has small pixels
    assert near[:, 150:250].all() and not near[:, :130].any() and not near[:, 270:].any()


def test_a_result_is_the_view_from_above(folder, tmp_path, benchmark):
    (sample, *_) = load("kitti_road", folder).images("test")
    place = benchmark.place(sample)
    assert place == "um_road_000000.png"
    confidence = np.random.default_rng(0).integers(1, 256, (94, 310)).astype(np.uint8)
    benchmark.write(tmp_path / place, probabilities_of(confidence), sample)
    benchmark.check(tmp_path / place, (94, 310))
    places = kitti_road.from_above(
        kitti_road.read_calibration(folder / "testing" / "calib" / "um_000000.txt"), (94, 310)
    )
    expected = np.array([confidence.ravel()[i] if i >= 0 else 0 for i in places.ravel()]).reshape(800, 400)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / place), cv2.IMREAD_UNCHANGED), expected)
    assert (expected == 0).any() and (expected > 0).any()


def test_results_that_are_none_are_named(tmp_path, benchmark):
    path = tmp_path / "um_road_000000.png"
    write_image(path, np.zeros((375, 1242), np.uint8))
    with pytest.raises(DataError, match=r"um_road_000000\.png is 375x1242: the benchmark takes 800x400"):
        benchmark.check(path, FULL)
    write_image(path, np.zeros((800, 400, 3), np.uint8))
    with pytest.raises(DataError, match="is PNG of mode RGB: the benchmark takes PNG with one channel of 8"):
        benchmark.check(path, FULL)
    write_image(path, np.zeros((800, 400), np.uint16))
    with pytest.raises(DataError, match="is PNG of mode I"):
        benchmark.check(path, FULL)
    for damaged in (b"", b"no PNG"):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"cannot decode .*um_road_000000\.png"):
            benchmark.check(path, FULL)


@pytest.mark.parametrize("text", ["P2: 1 2 3\n", "R0_rect: 1 0 0 0 1 0 0 0 1\n", "", "P2: " + "x " * 12])
def test_a_calibration_that_is_none_is_named(tmp_path, text):
    path = tmp_path / "um_000000.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=r"um_000000\.txt has no P2 of 12 numbers"):
        kitti_road.read_calibration(path)
    with pytest.raises(DataError, match=r"cannot read .*um_000001\.txt: No such file"):
        kitti_road.read_calibration(tmp_path / "um_000001.txt")


def test_windows_of_frames_are_not_scored(folder):
    scored, dataset = official.find("kitti_road").scores_samples_of, load("kitti_road", folder, patch=64, stride=50)
    assert [scored(dataset, split) for split in ("train", "val")] == [False, True]
    assert scored(load("kitti_road", folder), "train")


@pytest.mark.slow
def test_the_whole_way(folder, tmp_path):
    """Trained on patches, scored on whole frames, and results of the test frames written, checked and packed."""
    told = []
    overrides = {"dataset.options.patch": 64, "dataset.options.stride": 50}
    done = story("duc_kitti", folder, tmp_path / "run", overrides=overrides, watch=told.append)
    assert [scored.sample.name for scored in told] == ["um_000004", "umm_000004", "uu_000004"]
    benchmark = official.find("kitti_road")(done.dataset)
    for scored in told:
        benchmark.update(scored.sample, scored.label, scored.probabilities["main"])
    for view in benchmark.scores().values():
        assert all(0 < figures["maxf"] <= 1 and 0 < figures["ap"] <= 1 for figures in view.values())

    count, packed = submission.write(benchmark, done.predictor, "test", tmp_path / "results", {}, progress=False)
    names = ["um_road_000000.png", "umm_road_000000.png", "uu_road_000000.png"]
    assert count == 3 and zipfile.ZipFile(packed).namelist() == names
