"""A benchmark's scores and results from the programs: `make evaluate` and `make submit` of a run on KITTI road."""

import json
import re
import zipfile

import numpy as np
import pytest
import story
import tiny
from kitti_folder import make_kitti
from PIL import Image
from program import launch_here

from data_pipelines.records import Prepared
from did_tf import wiring
from did_tf.inference.engines import Engine
from did_tf.runs import lock, weights
from did_tf.runs.identity import flatten
from did_tf.scoring import official

NUMBER = re.compile(r"\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(settings, model, run folder, arguments of the programs)."""
    folder = tmp_path_factory.mktemp("kitti")
    make_kitti(folder / "data", frames=5, test=1)
    settings = story.config("duc_kitti", folder / "data", {"dataset.options": {"patch": 64, "stride": 50}})
    model = wiring.make_model(settings, wiring.make_spec(settings))
    run = tiny.save_run(folder / "run", settings, model)
    return settings, model, run, ["--experiment=duc_kitti", f"--run={run.folder}"]


def launch_twice(program, arguments, more):
    """`launch_here` of a program with `arguments`, then with `more` as well."""
    return [launch_here(program, *arguments, *own) for own in ([], more)]


def numbers(text):
    return [float(number) for number in NUMBER.findall(text)]


def test_the_benchmarks_scores_are_printed_and_reported(made):
    settings, model, run, arguments = made
    done, of_train = launch_twice("evaluate", arguments, ["--split=train", "--limit=1"])
    assert (done.returncode, of_train.returncode) == (0, 0), done.stderr + of_train.stderr
    dataset = wiring.make_dataset(settings)
    benchmark, predictor = official.find("kitti_road")(dataset), wiring.make_predictor(settings, model, engine=Engine())
    for sample in dataset.samples("val"):
        image, label = dataset.read(sample)
        benchmark.update(sample, label, predictor(image)["main"])
    reported = json.loads((run.evaluation / "val.json").read_text())["official"]
    # Other threads sum in another order, and a pixel at a threshold falls on its other side.
    assert flatten(reported) == pytest.approx(flatten(benchmark.scores()), abs=2e-4)
    expected = f"{benchmark.title}\n{benchmark.table(settings['paper'])}"
    start = done.stdout.index(benchmark.title)
    printed = done.stdout[start : start + len(expected)]
    assert NUMBER.sub("#", printed) == NUMBER.sub("#", expected)
    assert numbers(printed) == pytest.approx(numbers(expected), abs=0.03)  # percent

    assert (
        f"train has parts of images: no scores of {benchmark.title}, which are of whole ones; where they overlap, the "
        "table counts pixels more than once\n"
    ) in of_train.stdout
    assert "official" not in json.loads((run.evaluation / "first_1" / "train.json").read_text())


def test_records_without_their_files_are_refused(made, monkeypatch):
    monkeypatch.setattr(wiring, "make_dataset", lambda config: Prepared.__new__(Prepared))
    done = launch_here("submit", *made[3], "--split=val")
    assert done.returncode == 2 and "error: results are of a data set's files" in done.stderr, done.stderr


def test_results_are_written_and_not_mixed_with_those_of_other_settings(made):
    settings, model, run, arguments = made
    done, other = launch_twice("submit", arguments, ["--config.evaluate.flip=True"])
    assert (done.returncode, other.returncode) == (0, 2)
    folder, packed = run.folder / "submission" / "test", run.folder / "submission" / "test.zip"
    assert f"3 files written and checked in {folder}; upload {packed} to the KITTI road benchmark" in done.stdout
    (error,) = (line for line in other.stderr.splitlines() if line.startswith("error: "))
    assert f"{folder} holds results of other weights or settings" in error

    recorded = json.loads((run.folder / "submission" / "test.json").read_text())
    assert recorded["weights"] == weights.digest(run.best / "weights.npz")
    assert (recorded["images"]["split"], recorded["images"]["samples"]) == ("test", 3)

    names = ["um_road_000000.png", "umm_road_000000.png", "uu_road_000000.png"]
    assert zipfile.ZipFile(packed).namelist() == names
    dataset = wiring.make_dataset(settings)
    (sample, *_) = dataset.images("test")
    again = folder / "again.png"
    benchmark = official.find("kitti_road")(dataset)
    predictor = wiring.make_predictor(settings, model, engine=Engine())
    benchmark.write(again, predictor(dataset.read_image(sample))["main"], sample)
    bytes_of = [np.asarray(Image.open(file)).astype(int) for file in (again, folder / names[0])]
    assert np.ptp(bytes_of[0]) > 50 and np.abs(bytes_of[0] - bytes_of[1]).max() <= 1  # rounded, by other threads


def test_one_process_at_a_time_writes_results(made, tmp_path):
    with lock.held(tmp_path / "out"):
        done = launch_here("submit", *made[3], f"--output={tmp_path / 'out'}")
        assert [path.name for path in tmp_path.rglob("*")] == ["out", "lock-1.json"]
    assert done.returncode == 2 and "out is in use by process" in done.stderr and "another --output=dir" in done.stderr
