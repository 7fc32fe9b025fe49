"""Preparing: what stands in the folder, stops and goes on, refuses and verifies."""

import contextlib
import dataclasses
import json
import struct
import subprocess
import sys
import threading

import pytest
from folders import rewrite
from noise import COUNT, SOURCE, Noise, spoil
from own_data import make_rgbd

from data_pipelines import load
from data_pipelines.programs import prepare as program
from data_pipelines.programs.prepare import main, prepare, verify
from data_pipelines.records import Prepared
from data_pipelines.spec import DataError
from data_pipelines.writing import beside

LAST = 2 * COUNT - 1


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    """A "megabyte" of 3000 bytes: some samples of 20x16x(3+1) bytes or a few more in each shard."""
    monkeypatch.setattr(program, "MEGABYTE", 3000)


def make(dataset, folder, **settings):
    return prepare(dataset, "train", folder, SOURCE, **{"shard_megabytes": 1, "threads": 2, **settings})


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_shards_are_as_large_as_they_may_be(tmp_path):
    manifest = make(Noise(), tmp_path)
    sizes = [shard["bytes"] for shard in manifest["shards"]]
    assert len(sizes) > 3
    assert sorted(content(tmp_path)) == sorted(["train.json", *(f"train-{n:05d}.tfrecord" for n in range(len(sizes)))])
    for path, size in zip(sorted(tmp_path.glob("*.tfrecord")), sizes):
        assert path.stat().st_size == size <= 3000
    for number, shard in enumerate(manifest["shards"][1:]):
        following = (tmp_path / shard["file"]).read_bytes()
        first = struct.unpack("<Q", following[:8])[0] + 16  # length, its CRC, that of the data
        assert sizes[number] + first > 3000
    assert json.loads((tmp_path / "train.json").read_text()) == manifest


def test_a_record_that_is_larger_than_a_shard_gets_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(program, "MEGABYTE", 100)
    assert len(make(Noise(), tmp_path)["shards"]) == 2 * COUNT


def test_all_splits_and_options_give_the_same_bytes_again(tmp_path):
    make(Noise(), tmp_path / "one", threads=1)
    make(Noise(), tmp_path / "other", threads=3)
    assert content(tmp_path / "one") == content(tmp_path / "other")


def test_prepared_again_nothing_is_read(tmp_path):
    make(Noise(), tmp_path)
    before = content(tmp_path)
    again = Noise()
    make(again, tmp_path)
    assert again.reads == []
    assert content(tmp_path) == before


@pytest.mark.parametrize("stopped_at", [0, 3, 4, 9, LAST])
def test_stopped_it_goes_on_with_the_unfinished_shard(tmp_path, stopped_at):
    whole = make(Noise(), tmp_path / "whole")
    names = [sample.name for sample in Noise().samples("train")]
    folder = tmp_path / "stopped"
    with pytest.raises(DataError, match="cannot decode"):
        make(Noise(bad=names[stopped_at]), folder)
    finished = sorted(path.name for path in folder.glob("*.tfrecord"))
    assert not (folder / "train.json").exists() and not list(folder.glob("*.partial"))
    with pytest.raises(DataError, match="no prepared records"):
        Prepared(folder)
    there = [shard for shard in whole["shards"] if shard["file"] in finished]
    done = sum(len(shard["records"]) for shard in there)
    assert there == whole["shards"][: len(there)] and done <= stopped_at < done + len(whole["shards"][0]["records"]) + 1

    goes_on = Noise()
    assert make(goes_on, folder) == whole
    assert sorted(goes_on.reads) == sorted(names[done:])
    assert content(folder) == content(tmp_path / "whole")


def test_what_a_killed_process_has_left_is_removed(tmp_path):
    for name in ("train.json", "train.progress", "train-00000.tfrecord"):
        beside(tmp_path / name).with_suffix(".1.partial").touch()
    make(Noise(), tmp_path)
    assert not list(tmp_path.glob("*.partial"))


def test_a_line_of_the_log_that_was_cut_short_costs_its_shard(tmp_path):
    whole = make(Noise(), tmp_path / "whole")
    with pytest.raises(DataError):
        make(Noise(bad=Noise().samples("train")[LAST].name), tmp_path / "stopped")
    log = tmp_path / "stopped" / "train.progress"
    log.write_text(log.read_text()[:-40])
    known = len(log.read_text().splitlines()) - 2  # without the header, and the line that was cut
    goes_on = Noise()
    assert make(goes_on, tmp_path / "stopped") == whole
    assert known > 2
    assert len(goes_on.reads) == sum(len(shard["records"]) for shard in whole["shards"][known:])
    assert content(tmp_path / "stopped") == content(tmp_path / "whole")


def test_a_deleted_shard_is_written_again(tmp_path):
    whole = make(Noise(), tmp_path)
    before = content(tmp_path)
    (tmp_path / "train-00001.tfrecord").unlink()
    again = Noise()
    make(again, tmp_path)
    assert sorted(again.reads) == sorted(record[0] for record in whole["shards"][1]["records"])
    assert content(tmp_path) == before


def test_a_deleted_shard_is_written_again_where_another_split_has_grown(tmp_path):
    make(Noise(), tmp_path)
    (tmp_path / "train-00001.tfrecord").unlink()
    grown = Noise()
    grown.spec = dataclasses.replace(grown.spec, splits={"train": 14, "val": 3})
    make(grown, tmp_path)
    assert verify(tmp_path, "train") == []


def test_a_shard_that_comes_out_otherwise_is_refused(tmp_path):
    make(Noise(), tmp_path)
    (tmp_path / "train-00001.tfrecord").unlink()
    changed = Noise()
    changed.read = lambda sample: Noise.read(changed, changed.samples("train")[0])
    with pytest.raises(DataError, match="train-00001.tfrecord can't be written as it was: its samples changed"):
        make(changed, tmp_path)
    assert not (tmp_path / "train-00001.tfrecord").exists()


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(
    "dataset, settings, told",
    [
        (Noise(bands=4), {}, r"mean was \[100.0, 100.0, 100.0\] and is"),
        (Noise(), {"source": {"name": "noise", "options": {"patch": 2}}}, "patch was None and is 2"),
        (Noise(), {"encoding": "zlib"}, "encoding was 'raw' and is 'zlib'"),
        (Noise(), {"shard_megabytes": 2}, "shard_megabytes was 1 and is 2"),
    ],
)
def test_other_data_or_options_are_refused(tmp_path, complete, dataset, settings, told):
    with contextlib.nullcontext() if complete else pytest.raises(DataError):
        make(Noise(bad=None if complete else Noise().samples("train")[LAST].name), tmp_path)
    before = content(tmp_path)
    with pytest.raises(DataError, match=f"made from other files or with other options: {told}.*another --output"):
        prepare(dataset, "train", tmp_path, **{"source": SOURCE, "shard_megabytes": 1, **settings})
    assert content(tmp_path) == before


def test_changed_files_are_refused(tmp_path):
    make(Noise(), tmp_path)
    fewer = Noise()
    fewer.samples = lambda split: Noise.samples(fewer, split)[:-1]
    with pytest.raises(DataError, match="fingerprint was '.*' and is"):
        make(fewer, tmp_path)


@pytest.mark.parametrize("folder", ["rgb", "depth", "labels"])
@pytest.mark.parametrize("complete", [True, False])
def test_files_that_changed_in_the_same_size_are_refused(tmp_path, folder, complete):
    """Labels drawn anew are often as large as the old ones, and a copy keeps the time."""
    data, output = make_rgbd(tmp_path / "data"), tmp_path / "records"
    if not complete:
        (data / "labels" / "scene05.png").rename(tmp_path / "kept")
        (data / "labels" / "scene05.png").write_bytes(b"no image")
    with contextlib.nullcontext() if complete else pytest.raises(DataError):
        make(load("folders", data), output)
    assert (output / "train.json").exists() == complete
    rewrite(data / folder / "scene01.png")
    if folder != "labels":
        (data / "statistics.json").unlink()
    with pytest.raises(DataError, match="holds records of train made from other files"):
        make(load("folders", data), output)


def test_a_file_that_changes_while_it_is_prepared_is_refused(tmp_path):
    data = load("folders", make_rgbd(tmp_path / "data"))
    read = data.read

    def changing(sample):
        if sample.name == "scene03":
            rewrite(data.samples("train")[0].label)
        return read(sample)

    data.read = changing
    with pytest.raises(DataError, match="files of train changed while they were prepared: take another --output"):
        make(data, tmp_path / "records", threads=1)
    assert not (tmp_path / "records" / "train.json").exists()


def test_statistics_of_other_images_are_not_prepared(tmp_path):
    data = make_rgbd(tmp_path / "data")
    load("folders", data)
    rewrite(data / "rgb" / "scene01.png")
    with pytest.raises(DataError, match="statistics.json was measured on other images"):
        make(load("folders", data), tmp_path / "records")


def test_records_of_a_version_that_knew_fewer_facts_go_on(tmp_path):
    make(Noise(), tmp_path)
    path = tmp_path / "train.json"
    whole = json.loads(path.read_text())
    del whole["spec"]["combinations"], whole["spec"]["regions"]
    path.write_text(json.dumps(whole))
    assert make(Noise(), tmp_path)["shards"] == whole["shards"]


def test_records_of_an_older_format_are_refused(tmp_path):
    """They say nothing of what the files held."""
    make(Noise(), tmp_path)
    manifest = json.loads((tmp_path / "train.json").read_text())
    (tmp_path / "train.json").write_text(json.dumps({**manifest, "format": 1}))
    told = r"train.json is of records in format 1, .* reads format 2 alone: delete .* and prepare again"
    for again in (lambda: make(Noise(), tmp_path), lambda: Prepared(tmp_path), lambda: verify(tmp_path, "train")):
        with pytest.raises(DataError, match=told):
            again()


def test_few_samples_are_held_at_once(tmp_path, monkeypatch):
    """However slowly they are written: here nothing is, until reading has come to rest."""
    read, resting = Noise(), threading.Event()
    seen = []

    def slow(sample, data):
        resting.wait(0.05)
        seen.append(len(read.reads) - len(seen))
        return entry(sample, data)

    entry = program.records.entry
    monkeypatch.setattr(program.records, "entry", slow)
    make(read, tmp_path, threads=2)
    assert len(seen) == 2 * COUNT
    assert max(seen) <= 2 * program.AHEAD


def test_damage_is_found_by_verifying(tmp_path):
    manifest = make(Noise(), tmp_path)
    assert verify(tmp_path, "train") == []
    files = [tmp_path / shard["file"] for shard in manifest["shards"]]
    spoil(files[0], 100)
    files[1].write_bytes(files[1].read_bytes()[:-1])
    files[2].unlink()
    problems = verify(tmp_path, "train")
    assert len(problems) == 3
    for path, problem in zip(files, problems):
        assert problem.startswith(f"{path} is damaged")


def test_bits_that_no_read_needs_are_found_by_the_sum(tmp_path):
    """Here a record's own length, which TensorFlow's reader needs."""
    make(Noise(), tmp_path)
    spoil(tmp_path / "train-00000.tfrecord", 3)
    assert Prepared(tmp_path).read(Prepared(tmp_path).samples("train")[0])
    assert ["its sha256 isn't the manifest's" in problem for problem in verify(tmp_path, "train")] == [True]


def run(capsys, *arguments):
    """(exit status, stdout, lines of stderr)."""
    status = main(["--dataset", "synthetic", *map(str, arguments)])
    out, err = capsys.readouterr()
    return status, out, err.splitlines()


OPTIONS = ("--option", "height=32", "--option", "width=40", "--option", "sizes={'train': 3, 'val': 2}")


def test_program(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(program, "MEGABYTE", 10**6)
    status, out, err = run(capsys, "--output", tmp_path, "--compress", *OPTIONS)
    assert (status, err) == (0, [])
    assert json.loads((tmp_path / "train.json").read_text())["encoding"] == "zlib"
    assert f"train: 3 samples in 1 shard, 0 MB, in {tmp_path}" in out
    assert f"--config.dataset.prepared={tmp_path}" in out
    copy = Prepared(tmp_path)
    assert [len(copy.samples(split)) for split in ("train", "val")] == [3, 2]
    assert copy.read(copy.samples("val")[1])[0].shape == (32, 40, 3)
    assert run(capsys, "--output", tmp_path, "--verify")[::2] == (0, [])
    spoil(tmp_path / "val-00000.tfrecord", 500)
    status, _, err = run(capsys, "--output", tmp_path, "--verify")
    assert status == 2 and len(err) == 1
    assert err[0].startswith(f"problem: {tmp_path / 'val-00000.tfrecord'} is damaged")


@pytest.mark.parametrize(
    "arguments, told",
    [
        (["--option", "height"], "option 'height': expected KEY=VALUE"),
        (["--option", "hight=3"], "has no option 'hight'"),
        (["--splits", "trian"], "'trian'"),
        (["--shard-megabytes", "0"], "use at least 1"),
        (["--verify"], "cannot read"),
    ],
)
def test_bad_arguments_are_one_line(capsys, tmp_path, arguments, told):
    status, _, err = run(capsys, "--output", tmp_path, *arguments)
    assert status == 2 and len(err) == 1
    assert told in err[0]


@pytest.mark.slow
def test_killed_it_goes_on(tmp_path):
    """SIGKILL after the first shard: the same command completes what a run without a break gives."""
    options = ("--option", "height=180", "--option", "width=240", "--option", "sizes={'train': 60}", "--splits=train")
    command = [sys.executable, "-m", "did_tf", "prepare", "--dataset=synthetic", "--shard-megabytes=2", *options]
    subprocess.run([*command, "--output", tmp_path / "whole"], check=True)
    with subprocess.Popen([*command, "--output", tmp_path / "killed"]) as process:
        while not (tmp_path / "killed" / "train-00000.tfrecord").exists() and process.poll() is None:
            pass
        process.kill()
    assert process.returncode == -9
    assert not (tmp_path / "killed" / "train.json").exists()
    subprocess.run([*command, "--output", tmp_path / "killed"], check=True)
    assert content(tmp_path / "killed") == content(tmp_path / "whole")
