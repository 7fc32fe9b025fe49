"""What is drawn, described, told and kept in the measurement of more bands."""

import json
import subprocess

import cv2
import numpy as np
import pytest

from benchmarks import drawn_bands, more_bands, trainings
from benchmarks.drawn_bands import ALL, BENCH, FIELDS, RGB
from data_pipelines import IGNORE, load
from data_pipelines.programs import describe
from did_tf.runs.run_folder import RunFolder

COUNT, SIZE = 40, (64, 80)
CASES = [pytest.param(drawn, way, id=f"{drawn.name}-{way}") for drawn in (FIELDS, BENCH) for way in drawn.ways]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Of small scenes of both data sets, in folders of their names."""
    folder = tmp_path_factory.mktemp("drawn")
    for name, drawn in drawn_bands.SETS.items():
        drawn_bands.write(drawn, folder / name, COUNT, SIZE)
    return folder


@pytest.fixture
def here(monkeypatch):
    """did_tf in this process: what describes; evaluating gives everybody the same report."""
    said = []

    def did_tf(name, *arguments, log=None):
        said.append(name)
        if name == "describe-data":
            assert describe.main([*arguments]) == 0
            return
        (run,) = (word.partition("=")[2] for word in arguments if word.startswith("--run="))
        main = {"miou": 0.5, "classes": {name: {"iou": 0.25} for name in (*FIELDS.classes, *BENCH.classes)}}
        report = {"outputs": {"main": main}, "interval": {"miou": [0.4, 0.625]}}
        evaluation = RunFolder(run).evaluation
        evaluation.mkdir(parents=True)
        (evaluation / "val.json").write_text(json.dumps(report))

    monkeypatch.setattr(trainings, "did_tf", did_tf)
    return said


def described(folder, drawn, way):
    return load("folders", more_bands.described(drawn, way, folder))


@pytest.mark.parametrize("drawn, way", CASES)
def test_a_data_set_is_described_by_the_command_and_names(drawn, way, folder, here):
    spec = described(folder, drawn, way).spec
    bands = (*drawn.bands, *([drawn.band] if drawn is BENCH else ()))
    assert spec.band_names == (bands if way == ALL else ("red", "green", "blue"))
    assert spec.classes == drawn.classes
    assert spec.dtype == ("uint8" if (drawn, way) == (BENCH, RGB) else "uint16")
    assert here == ["describe-data"] and described(folder, drawn, way) and here == ["describe-data"]


@pytest.mark.parametrize("drawn", [FIELDS, BENCH], ids=lambda drawn: drawn.name)
def test_one_band_alone_tells_two_classes_apart(drawn, folder, here):
    """By how much of their deviation two means differ."""
    dataset = described(folder, drawn, ALL)
    pixels = {name: [] for name in (drawn.telling, drawn.alike)}
    for image, label in map(dataset.read, dataset.samples("train")):
        for name, found in pixels.items():
            found.append(image[label == drawn.classes.index(name)])
    telling, alike = (np.ma.masked_equal(np.concatenate(found), 0) for found in pixels.values())
    apart = abs(telling.mean(0) - alike.mean(0)) / np.sqrt((telling.var(0) + alike.var(0)) / 2)
    told = dataset.spec.band_names.index(drawn.band.replace(" ", "_"))
    assert apart[told] > 2 and np.delete(apart, told).max() < 0.5


@pytest.mark.parametrize("drawn", [FIELDS, BENCH], ids=lambda drawn: drawn.name)
def test_the_same_images_are_learnt_with_fewer_bands(drawn, folder, here):
    every, colours = (described(folder, drawn, way) for way in drawn.ways)
    for split in ("train", "val"):
        samples = every.samples(split), colours.samples(split)
        assert [one.name for one in samples[0]] == [one.name for one in samples[1]] and samples[0]
        (image, label), (fewer, same) = every.read(samples[0][0]), colours.read(samples[1][0])
        np.testing.assert_array_equal(image[..., :3], fewer)
        np.testing.assert_array_equal(label, same)


def test_bands_are_of_16_bits_and_corners_of_some_are_void(folder, here):
    dataset = described(folder, FIELDS, ALL)
    scenes = [dataset.read(sample) for sample in dataset.samples("train")]
    assert max(image.max() for image, _ in scenes) > 4000
    assert 0 < sum((label == IGNORE).any() for _, label in scenes) < len(scenes) / 2
    depth = cv2.imread(str(folder / "bench" / "depth" / "000.png"), cv2.IMREAD_UNCHANGED)
    assert depth.dtype == np.uint16 and depth.max() > 900 and 0 < (depth == 0).mean() < 0.05


def test_a_scene_is_drawn_once_and_the_same_again(folder, tmp_path):
    for name, drawn in drawn_bands.SETS.items():
        files = [path for path in sorted((folder / name).rglob("*")) if path.stem in ("000", "001") and path.is_file()]
        written = [path.stat().st_mtime_ns for path in files]
        drawn_bands.write(drawn, folder / name, 2, SIZE)
        drawn_bands.write(drawn, tmp_path / name, 2, SIZE)
        assert len(files) == 6 and [path.stat().st_mtime_ns for path in files] == written
        for path in files:
            assert path.read_bytes() == (tmp_path / name / path.relative_to(folder / name)).read_bytes()


class Fake:
    """A contestant, whose training with all bands of `fails` goes wrong."""

    def __init__(self):
        self.fails, self.trained_on = "bench", []

    def train(self, task, run, log):
        assert not [*run.glob("left*")] and load(task.dataset, task.source).samples("val")
        self.trained_on.append(run.name)
        if task.source.endswith(f"/{self.fails}_all"):
            (run / "left_over").touch()
            raise subprocess.CalledProcessError(1, "train")

    def trained(self, run):
        return {"steps": 1500, "crops": 6000, "crop": [65, 65], "parameters": 10, "versions": {}}


def test_what_is_missing_is_run_and_the_table_has_all(here, tmp_path, monkeypatch, capsys):
    fake = Fake()
    monkeypatch.setattr(more_bands, "OWN", fake)
    monkeypatch.setattr(trainings, "minutes", lambda part, *arguments: part(*arguments) or 3.9)
    monkeypatch.setattr(drawn_bands, "COUNT", 12)
    monkeypatch.setattr(drawn_bands, "SIZE", SIZE)

    def run(*names):
        with pytest.raises(SystemExit) as ended:
            more_bands.main([str(tmp_path), "--minutes=4", *names])
        return ended.value.code

    assert run("fields") == 0 and fake.trained_on == ["fields_all_4min_0", "fields_rgb_4min_0"]
    assert run() == 1
    assert f"bench_all_4min_0 failed: {tmp_path / 'bench_all_4min_0' / 'log.txt'}" in capsys.readouterr().err
    fake.fails = ""
    assert (run(), run("bench")) == (0, 0)
    assert fake.trained_on[2:] == ["bench_all_4min_0", "bench_rgb_4min_0", "bench_all_4min_0"]
    assert here.count("describe-data") == here.count("evaluate") == 4
    rows = (tmp_path / "table.md").read_text().splitlines()[-4:]
    each = "4 | 3.90 | -2.5 | 1,500 | 65x65 | 6,000 | 50.0 | 40.0 to 62.5"
    assert rows == [
        f"| bench | red, green, blue, uint8, and depth, uint16 | {each} | box | 25.0 |",
        f"| bench | red, green, blue, uint8 | {each} | box | 25.0 |",
        f"| fields | red, green, blue, near and short-wave infrared, uint16 | {each} | turf | 25.0 |",
        f"| fields | red, green, blue, uint16 | {each} | turf | 25.0 |",
    ]
    results = json.loads((tmp_path / "table.json").read_text())
    assert [(one["telling"], one["alike"], one["band"]) for one in results[1:3]] == [
        ("box", "mat", "depth"),
        ("turf", "meadow", "near infrared"),
    ]
    assert run("birds") == 2
