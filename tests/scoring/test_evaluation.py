import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from data_pipelines.spec import DataError, Dataset, DatasetSpec, Sample, Window
from did_tf.common import visualize
from did_tf.scoring.evaluation import Evaluation, evaluate, table, told_interval, write_report
from did_tf.scoring.metrics import ConfusionMatrix

PALETTE = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
SIZE = (30, 40)


class InMemory(Dataset):
    """`pairs`: split -> list of (image, label), or of the message of a `DataError`."""

    def __init__(self, bands=3, dtype="uint8", mean=0.0, std=1.0, **pairs):
        self.pairs = pairs
        splits = {split: len(items) for split, items in pairs.items()}
        statistics = (mean,) * bands, (std,) * bands
        self.spec = DatasetSpec("memory", ("sky", "road", "car"), PALETTE, splits, *statistics, dtype=dtype)

    def samples(self, split):
        return [Sample(f"{split}{i}") for i in range(len(self.pairs[split]))]

    def read(self, sample):
        pair = self.pairs[sample.name[:-1]][int(sample.name[-1])]
        if isinstance(pair, str):
            raise DataError(pair)
        return pair


class Oracle:
    """Tells probabilities by the image's first pixel, which is its number; counts its calls."""

    def __init__(self, answers):
        self.answers, self.calls = answers, []

    def __call__(self, image):
        number = int(image[0, 0, 0])
        self.calls.append(number)
        return self.answers[number]


def scene(number, seed):
    rng = np.random.default_rng(seed)
    label = rng.integers(0, 3, SIZE).astype(np.uint8)
    label[rng.random(SIZE) < 0.1] = 255
    return np.full((*SIZE, 3), number, np.uint8), label


def noisy(label, errors, seed):
    """Probabilities [H, W, 3] whose best class is `label`, but for a part `errors` of the pixels."""
    rng = np.random.default_rng(seed)
    classes = np.where(rng.random(SIZE) < errors, rng.integers(0, 3, SIZE), label % 3)
    return (np.eye(3)[classes] * 0.5 + rng.dirichlet((1, 1, 1), SIZE) * 0.5).astype(np.float32)


@pytest.fixture
def problem():
    """Four images that get harder; the third has no labels at all."""
    scenes = [scene(i, i) for i in range(4)]
    scenes[2][1][:] = 255
    answers = [
        {"side": noisy(label, 0.5, 10 + i), "main": noisy(label, 0.2 * i, 20 + i), "deep": noisy(label, 0.7, 30 + i)}
        for i, (_, label) in enumerate(scenes)
    ]
    return InMemory(val=scenes), Oracle(answers)


def brute_force(scenes, predictions):
    """Mean IoU with loops over pixels."""
    ious = []
    for cls in range(3):
        both = either = 0
        for (_, label), prediction in zip(scenes, predictions):
            for truth, guess in zip(label.flat, prediction.flat):
                if truth != 255:
                    both += truth == cls and guess == cls
                    either += truth == cls or guess == cls
        if either:
            ious.append(both / either)
    return sum(ious) / len(ious) if ious else float("nan")


def test_evaluate_scores_every_output_and_the_blend(problem):
    dataset, oracle = problem
    evaluation = evaluate(oracle, dataset, "val", progress=False)
    assert list(evaluation.matrices) == ["main", "side", "deep", "blend"]
    scenes = dataset.pairs["val"]
    for output in ("main", "side", "deep"):
        expected = brute_force(scenes, [answer[output].argmax(-1) for answer in oracle.answers])
        assert evaluation.matrices[output].mean_iou() == pytest.approx(expected)
    blended = [np.mean([*answer.values()], axis=0).argmax(-1) for answer in oracle.answers]
    assert evaluation.matrices["blend"].mean_iou() == pytest.approx(brute_force(scenes, blended))

    assert [name for name, _ in evaluation.images] == ["val0", "val1", "val2", "val3"]
    for (_, score), pair, answer in zip(evaluation.images, scenes, oracle.answers):
        assert score == pytest.approx(brute_force([pair], [answer["main"].argmax(-1)]), nan_ok=True)


def test_evaluate_one_output_and_a_limit(problem):
    dataset, oracle = problem
    oracle.answers = [{"main": answer["main"]} for answer in oracle.answers]
    evaluation = evaluate(oracle, dataset, "val", progress=False, limit=2)
    assert list(evaluation.matrices) == ["main"]
    assert oracle.calls == [0, 1] and len(evaluation.images) == 2


def test_images_side_by_side_give_the_same_in_the_same_order(problem):
    dataset, oracle = problem
    seen = []
    one, many = (evaluate(oracle, dataset, "val", False, None, seen.append, streams) for streams in (1, 3))
    assert [scored.number for scored in seen] == [0, 1, 2, 3] * 2
    np.testing.assert_equal(many.images, one.images)
    for output, matrix in one.matrices.items():
        np.testing.assert_array_equal(many.matrices[output].counts, matrix.counts)


def test_side_by_side_too_every_damaged_image_is_told_and_no_score_given(problem, capsys):
    dataset, oracle = problem
    dataset.pairs["val"][1] = dataset.pairs["val"][3] = "not an image"
    with pytest.raises(DataError, match="2 images can't be read"):
        evaluate(oracle, dataset, "val", progress=False, streams=2)
    assert capsys.readouterr().err == "val1: not an image\nval3: not an image\n"


def test_progress_is_shown_on_request(problem, capsys):
    dataset, oracle = problem
    evaluate(oracle, dataset, "val", progress=False)
    assert capsys.readouterr().err == ""
    evaluate(oracle, dataset, "val")
    assert "val" in capsys.readouterr().err


def test_report_files(problem, tmp_path):
    dataset, oracle = problem
    evaluation = evaluate(oracle, dataset, "val", progress=False)
    oracle.calls.clear()
    folder, paper = tmp_path / "run" / "evaluation", {"miou": 68.3, "split": "test"}
    write_report(evaluation, dataset, oracle, folder, "val", {"tile": 321}, paper, pictures=2)

    names = ["best_1.png", "best_2.png", "confusion.png", "worst_1.png", "worst_2.png"]
    assert sorted(path.name for path in folder.iterdir()) == ["val.json", *(f"val_{name}" for name in names)]
    assert oracle.calls == [0, 1, 3, 1]  # only the pictured; image 2 has no score

    report = json.loads((folder / "val.json").read_text(), parse_constant=pytest.fail)
    assert report["split"] == "val" and report["protocol"] == {"tile": 321} and report["paper"] == paper
    assert list(report["outputs"]) == ["main", "side", "deep", "blend"]
    assert report["outputs"]["main"] == evaluation.matrices["main"].report(dataset.spec.classes)
    assert report["images"][0] == {"name": "val0", "miou": 1.0}
    assert report["images"][2] == {"name": "val2", "miou": None}
    assert report["interval"] is None, "of four images there is none"


def test_the_interval_is_over_images_or_those_that_windows_are_cut_from(problem, tmp_path, monkeypatch):
    dataset, oracle = problem
    dataset.pairs["val"] = [*dataset.pairs["val"], *dataset.pairs["val"]]
    evaluation = evaluate(oracle, dataset, "val", progress=False)
    assert np.array_equal(np.sum(evaluation.overlaps, axis=0), evaluation.matrices["main"].overlaps())
    found = evaluation.interval()
    assert found.count == 6, "the third has no labels, nor has its copy"
    assert found.miou[0] < evaluation.matrices["main"].mean_iou() < found.miou[1]
    (tmp_path / "val_worst_3.png").touch()  # of an earlier report
    write_report(evaluation, dataset, oracle, tmp_path, "val", {}, pictures=0)
    assert not (tmp_path / "val_worst_3.png").exists()
    told = json.loads((tmp_path / "val.json").read_text())["interval"]
    assert told == json.loads(json.dumps(found.report(dataset.spec.classes)))
    assert str(found) == told_interval(found) and "5 images" in told_interval(None)
    assert told_interval(found, ["main", "main+crf"]).startswith("95 % interval of main's mIoU: ")

    windows = [Sample(f"val{n}", Path(f"{n // 2}.tif"), window=Window(0, n % 2, 30, 40)) for n in range(8)]
    monkeypatch.setattr(dataset, "samples", lambda split: windows)
    assert evaluate(oracle, dataset, "val", progress=False).groups == [Path(f"{n // 2}.tif") for n in range(8)]


def test_pictures_show_image_label_and_all_outputs_from_coarse_to_fine(problem, tmp_path):
    dataset, oracle = problem
    evaluation = evaluate(oracle, dataset, "val", progress=False)
    options = {"pictures": 1, "refine": lambda image, probabilities, mask: probabilities[::-1]}
    write_report(evaluation, dataset, oracle, tmp_path, "val", {}, **options)
    picture = cv2.imread(str(tmp_path / "val_worst_1.png"))[..., ::-1]
    height, width = SIZE
    image, label, *shown = (picture[-height:, x : x + width] for x in range(0, 7 * (width + 4), width + 4))
    np.testing.assert_array_equal(image, dataset.pairs["val"][3][0])
    np.testing.assert_array_equal(label, visualize.colorize(dataset.pairs["val"][3][1], PALETTE))
    answer = oracle.answers[3]
    expected = [answer["side"], answer["deep"], answer["main"], sum(answer.values()), answer["main"][::-1]]
    assert len(shown) == len(expected)
    for panel, probabilities in zip(shown, expected):
        np.testing.assert_array_equal(panel, np.array(PALETTE)[probabilities.argmax(-1)])


def test_pictures_are_void_where_nothing_was_measured(problem, tmp_path, monkeypatch):
    dataset, oracle = problem
    evaluation, mask = evaluate(oracle, dataset, "val", progress=False), np.zeros(SIZE, bool)
    mask[2:4, 1:5] = True
    monkeypatch.setattr(dataset, "read_unmasked", lambda sample: (*dataset.read(sample), mask))
    write_report(evaluation, dataset, oracle, tmp_path, "val", {}, pictures=1)
    picture = cv2.imread(str(tmp_path / "val_worst_1.png"))[..., ::-1]
    height, width = SIZE
    for x in (0, width + 4, 2 * (width + 4)):
        shown = picture[-height:, x : x + width]
        assert not shown[mask].any() and shown[~mask].any()


def test_damaged_files_are_all_told_and_there_is_no_score(tmp_path, capsys):
    pixels, label = np.zeros((4, 5, 3), np.uint8), np.zeros((4, 5), np.uint8)
    dataset = InMemory(val=[(pixels, label), "cut", (pixels, label), "empty"])
    calls = []

    def predict(image):
        calls.append(image)
        return {"main": np.eye(3, dtype=np.float32)[label]}

    with pytest.raises(DataError, match="^2 images can't be read, listed above: val has no score without"):
        evaluate(predict, dataset, "val", progress=False)
    assert capsys.readouterr().err == "val1: cut\nval3: empty\n"
    assert len(calls) == 1, "nothing is predicted for a score that there will not be"


def test_confusion_picture_depends_on_the_matrix(tmp_path):
    dataset = InMemory(val=[])
    drawn = []
    for counts in (np.eye(3, dtype=int), np.diag([1, 7, 50]), [[1, 0, 0], [1, 0, 0], [1, 0, 0]]):
        evaluation = Evaluation({"main": ConfusionMatrix(3, counts)}, [])
        write_report(evaluation, dataset, None, tmp_path, "val", {})
        drawn.append(cv2.imread(str(tmp_path / "val_confusion.png")))
    np.testing.assert_array_equal(drawn[0], drawn[1])  # normalised by row
    assert (drawn[0] != drawn[2]).any()


def test_table_of_hand_worked_counts():
    main = ConfusionMatrix(3, [[6, 2, 0], [1, 11, 0], [0, 0, 0]])
    blend = ConfusionMatrix(3, [[8, 0, 0], [0, 12, 0], [0, 0, 0]])
    text = table(
        Evaluation({"main": main, "blend": blend}, []),
        ("sky", "road", "car"),
        {"miou": 68.3, "accuracy": 92.6, "mean_accuracy": 76.04, "split": "test"},
    )
    # 6/9, 11/14; their mean; 17/20; (6/8 + 11/12) / 2
    assert text.splitlines() == [
        "IoU, %             main   blend  paper (test)",
        "---------------------------------------------",
        "sky                66.7   100.0",
        "road               78.6   100.0",
        "car                   -       -",
        "---------------------------------------------",
        "mIoU               72.6   100.0          68.3",
        "  classes in it  2 of 3  2 of 3",
        "pixel accuracy     85.0   100.0          92.6",
        "mean accuracy      83.3   100.0          76.0",
        "  classes in it  2 of 3  2 of 3",
    ]


def test_table_with_a_papers_classes_and_the_last_step():
    main = ConfusionMatrix(3, [[6, 2, 0], [1, 11, 0], [0, 0, 0]])
    last = ConfusionMatrix(3, [[8, 0, 0], [0, 6, 0], [0, 6, 0]])
    paper = {
        "miou": 68.3,
        "accuracy": 92.55,
        "mean_accuracy": 76.2,
        "classes": {"car": 50, "sky": 93.8},
        "split": "val",
    }
    text = table(Evaluation({"main": main}, []), ("sky", "road", "car"), paper, last)
    # By the last step: 8/8, 6/12, 0/6; 14/20; (8/8 + 6/6 + 0/6) / 3
    assert text.splitlines() == [
        "IoU, %             main  last step  paper (val)",
        "-----------------------------------------------",
        "sky                66.7      100.0         93.8",
        "road               78.6       50.0",
        "car                   -        0.0         50.0",
        "-----------------------------------------------",
        "mIoU               72.6       50.0         68.3",
        "  classes in it  2 of 3     3 of 3",
        "pixel accuracy     85.0       70.0         92.5",
        "mean accuracy      83.3       66.7         76.2",
        "  classes in it  2 of 3     3 of 3",
    ]


def test_each_column_says_how_many_classes_its_means_are_of():
    """The car is nowhere in the labels: one output never predicts it, the other does, and its IoU of 0 counts."""
    without, with_car = (ConfusionMatrix(3, [[1, 0, 0], [0, 1, car], [0, 0, 0]]) for car in (0, 1))
    lines = table(Evaluation({"main": without, "aux": with_car}, []), ("sky", "road", "car")).splitlines()
    told = [lines[index + 1].split("  ")[-2:] for index, line in enumerate(lines) if line.startswith("m")]
    assert [[cell.strip() for cell in row] for row in told] == [["2 of 3", "3 of 3"], ["2 of 3", "2 of 3"]]
    assert [matrix.report("abc")["miou_classes"] for matrix in (without, with_car)] == [2, 3]
    whole = table(Evaluation({"main": ConfusionMatrix(2, np.eye(2, dtype=int))}, []), ("a", "b"))
    assert "classes in it" not in whole


def test_table_without_a_paper():
    text = table(Evaluation({"main": ConfusionMatrix(2, np.eye(2, dtype=int))}, []), ("a", "b"))
    assert text.splitlines()[0] == "IoU, %           main" and "paper" not in text
