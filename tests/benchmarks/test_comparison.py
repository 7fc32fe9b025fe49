"""did_tf beside others at an equal time: plain files, one score, the clock, and a table that goes on."""

import json
import subprocess

import numpy as np
import pytest
import tiny
from folders import write_image
from own_data import make_five_bands
from small import with_random_weights

import data_pipelines
from benchmarks import comparison, contestants, neutral
from benchmarks.peers import contest
from data_pipelines.spec import DataError
from did_tf import wiring
from did_tf.scoring import evaluation

NAMES = {"train": ["s0", "s1", "s2"], "val": ["s3", "s4"]}


@pytest.fixture
def membranes(tmp_path):
    """Folder of grey slices, ids 0 and 255, void 7, and {name: (image, classes)}."""
    rng, found = np.random.default_rng(0), {}
    for number, name in enumerate([*NAMES["train"], *NAMES["val"]]):
        image = rng.integers(0, 256, (12 + number, 16), np.uint8)
        ids = rng.choice(np.array([0, 7, 255], np.uint8), image.shape)
        write_image(tmp_path / "source" / "images" / f"{name}.png", image)
        write_image(tmp_path / "source" / "labels" / f"{name}.png", ids)
        found[name] = image, np.choose(np.searchsorted([0, 7, 255], ids), [0, 255, 1]).astype(np.uint8)
    description = {"images": "images", "labels": "labels", "bands": 1, "void": [7], "splits": NAMES}
    text = json.dumps({**description, "classes": {"0": "wall", "255": "cell"}})
    (tmp_path / "source" / "dataset.json").write_text(text)
    return tmp_path / "source", found


def test_plain_files_have_the_pixels_and_the_classes(membranes, tmp_path):
    source, found = membranes
    dataset = data_pipelines.load("folders", source)
    facts = neutral.export(dataset, tmp_path / "plain")
    assert facts == contest.facts(tmp_path / "plain")
    assert (facts["classes"], facts["bands"], facts["val"]) == (["wall", "cell"], 1, ["s3", "s4"])
    learnt = np.concatenate([found[name][0].ravel() for name in NAMES["train"]]).astype(float)
    np.testing.assert_allclose([facts["mean"], facts["std"]], [[learnt.mean()], [learnt.std()]], rtol=1e-3)
    for split, names in NAMES.items():
        for part in (0, 1):
            paths = contest.files(tmp_path / "plain", split, ("images", "labels")[part])
            for path, name in zip(paths, names, strict=True):
                np.testing.assert_array_equal(contest.read(path), found[name][part])


def test_plain_files_are_written_once_and_of_one_data_set(membranes, tmp_path):
    dataset = data_pipelines.load("folders", membranes[0])
    neutral.export(dataset, tmp_path / "plain")
    written = contest.files(tmp_path / "plain", "val", "images")[0]
    before = written.stat().st_mtime_ns
    neutral.export(dataset, tmp_path / "plain")
    assert written.stat().st_mtime_ns == before
    with pytest.raises(DataError, match="has other data"):
        neutral.export(data_pipelines.load("synthetic"), tmp_path / "plain")
    write_image(membranes[0] / "labels" / "s3.png", np.zeros((15, 16), np.uint8))
    with pytest.raises(DataError, match="has other data"):  # would be scored by the labels of before
        neutral.export(data_pipelines.load("folders", membranes[0]), tmp_path / "plain")
    make_five_bands(tmp_path / "bands", count=4)
    with pytest.raises(DataError, match="5 bands of uint16"):
        neutral.export(data_pipelines.load("folders", tmp_path / "bands"), tmp_path / "others")


def test_plain_files_of_what_was_stopped_are_not_mixed_in(membranes, tmp_path, monkeypatch):
    dataset, write = data_pipelines.load("folders", membranes[0]), contest.write

    def stopped(path, pixels):
        write(path.with_name("99999.png"), pixels)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(contest, "write", stopped)
        neutral.export(dataset, tmp_path / "plain")
    neutral.export(dataset, tmp_path / "plain")
    assert len(contest.files(tmp_path / "plain", "train", "images")) == 3
    (tmp_path / "plain" / "facts.json").unlink()
    with pytest.raises(DataError, match="plain is there without facts.json: delete it, or give another folder"):
        neutral.export(dataset, tmp_path / "plain")


def test_scores_of_labels_by_brute_force(tmp_path):
    rng, pairs = np.random.default_rng(1), []
    for number in range(6):
        truth = rng.choice(np.array([0, 1, 2, 255], np.uint8), (9, 7))
        given = rng.integers(0, 2, (9, 7), np.uint8)  # class 2 is never found, class 3 is nowhere
        contest.write(tmp_path / "truth" / f"{number}.png", truth)
        contest.write(tmp_path / "given" / f"{number}.png", given)
        pairs += [(t, g) for t, g in zip(truth.ravel(), given.ravel()) if t != 255]
    ious = [sum(t == g == c for t, g in pairs) / sum(c in (t, g) for t, g in pairs) for c in range(3)]
    scores = neutral.scores(tmp_path / "truth", tmp_path / "given", ["a", "b", "c", "d"])
    assert scores["miou"] == pytest.approx(np.mean(ious))
    assert [scores["classes"][name]["iou"] for name in "abcd"] == [*map(pytest.approx, ious), None]
    assert scores["pixel_accuracy"] == pytest.approx(np.mean([t == g for t, g in pairs]))
    assert scores["interval"][0] < scores["miou"] < scores["interval"][1]
    contest.write(tmp_path / "given" / "3.png", given[:-1])
    with pytest.raises(ValueError, match="must be equal"):
        neutral.scores(tmp_path / "truth", tmp_path / "given", ["a", "b", "c", "d"])
    (tmp_path / "given" / "3.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"3\.png"):
        neutral.scores(tmp_path / "truth", tmp_path / "given", ["a", "b", "c", "d"])


def test_a_run_of_did_tf_scores_by_its_labels_as_by_its_own_evaluation(tmp_path):
    config = tiny.config()
    dataset = wiring.make_dataset(config)
    model = with_random_weights(wiring.make_model(config, dataset.spec))
    tiny.save_run(tmp_path / "run", config, model)
    neutral.export(dataset, tmp_path / "plain")
    task = contestants.Task("synthetic", "", tmp_path / "plain", 1.0, 0)
    contestants.Own("did_synthetic").label(task, tmp_path / "run", None)
    labels = tmp_path / "plain" / "val" / "labels"
    scores = neutral.scores(labels, tmp_path / "run" / "labels", dataset.spec.classes)
    own = evaluation.evaluate(wiring.make_predictor(config, model), dataset, "val", False).matrices["main"]
    assert scores["miou"] == pytest.approx(own.mean_iou()) and scores["miou"] > 0
    ious = [scores["classes"][name]["iou"] for name in dataset.spec.classes]
    assert ious == pytest.approx(own.iou().tolist())


class Clock:
    """Steps that take so many seconds, one after the other."""

    def __init__(self, now, steps):
        self.now, self.steps = now, list(steps)

    def __call__(self):
        return self.now

    def step(self):
        self.now += self.steps.pop(0)


@pytest.mark.parametrize("steps, ends", [([3] * 9, 19), ([3, 5, 2, 9], 26), ([30], 37)])
def test_steps_are_made_as_long_as_one_like_the_last_fits(steps, ends):
    clock, spent = Clock(7, steps), []
    for share in contest.shares(5, 21, clock):
        spent.append((share, clock.now))
        clock.step()
    assert clock.now == ends
    assert all(share == (now - 5) / 16 < 1 for share, now in spent)


def test_a_time_that_is_over_has_no_steps():
    assert [*contest.shares(0, 5, Clock(6, []))] == []


def test_rates_rise_and_fall_to_nothing_at_the_end():
    spent = np.linspace(0, 1, 101)
    rates = np.array([contest.cosine(share) for share in spent])
    np.testing.assert_allclose(rates[[0, 1, 5, 100]], [0, 0.2, 1, 0], atol=1e-12)
    np.testing.assert_allclose(contest.cosine(0.525), 0.5)
    assert (np.diff(rates[5:]) < 0).all()
    np.testing.assert_allclose([contest.poly(share) for share in (0, 0.5, 1)], [1, 0.5**0.9, 0])


class Fake:
    """A contestant that labels everything with one class."""

    def __init__(self, number, fails=False):
        self.number, self.fails, self.trainings = number, fails, 0

    def install(self):
        pass

    def prepare(self, task, run, log):
        assert not [*run.glob("left*")]

    def train(self, task, run, log):
        self.trainings += 1
        print("step 1", file=log)
        if self.fails:
            (run / "left_over").touch()
            raise subprocess.CalledProcessError(1, "train")

    def label(self, task, run, log):
        for path in contest.files(task.data, "val", "labels"):
            contest.write(run / "labels" / path.name, np.full_like(contest.read(path), self.number))

    def trained(self, run):
        return {"steps": 5, "crops": 40, "crop": [8, 9], "parameters": 1_500_000, "versions": {"it": "1.2"}}


def test_who_is_missing_is_run_and_the_table_has_all(membranes, tmp_path, monkeypatch, capsys):
    fakes = {"walls": Fake(0), "cells": Fake(1, fails=True)}
    monkeypatch.setattr(contestants, "usual", lambda dataset: fakes)
    monkeypatch.setattr(contestants, "known", lambda dataset: fakes)
    folder, flags = tmp_path / "runs", ["--dataset=folders", f"--data={membranes[0]}", "--minutes=3"]

    def run(*names):
        with pytest.raises(SystemExit) as ended:
            comparison.main([str(folder), *flags, *names])
        return ended.value.code

    assert run() == 1
    assert f"cells failed: {folder / 'cells_3min_0' / 'log.txt'}" in capsys.readouterr().err
    assert [result["name"] for result in json.loads((folder / "table.json").read_text())] == ["walls"]
    fakes["cells"].fails = False
    assert (run("cells"), run()) == (0, 0)
    assert (fakes["walls"].trainings, fakes["cells"].trainings) == (1, 2)
    results = json.loads((folder / "table.json").read_text())
    assert [results[0]["minutes"], results[0]["seed"], results[0]["crops"]] == [3, 0, 40]
    labels = np.concatenate([membranes[1][name][1].ravel() for name in NAMES["val"]])
    shares = {"walls": (labels == 0).sum(), "cells": (labels == 1).sum()}
    wanted = {name: count / sum(shares.values()) / 2 for name, count in shares.items()}
    assert {result["name"]: result["scores"]["miou"] for result in results} == pytest.approx(wanted)
    rows = (folder / "table.md").read_text().splitlines()[-2:]
    best = max(wanted, key=wanted.get)
    assert rows[0].startswith(f"| {best} | 3 | 0.0 | {100 * wanted[best]:.1f} | ? to ? |")
    assert rows[0].endswith("| 5 | 8x9 | 40 | 1.50M | 0.0 | it 1.2 |")
    assert run("birds") == 2


def test_what_takes_part():
    camvid, folders = contestants.usual("camvid"), contestants.known("folders")
    assert [*camvid] == ["auto", "did_camvid_quick", "unet", "deeplabv3plus", "nnunet"]
    assert {*folders} == {"auto", "did_folders", *contestants.PEERS, *contestants.FURTHER}
