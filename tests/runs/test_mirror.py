"""A run at a remote place, with a folder as its stand-in: nothing is lost, and what was trained twice is told."""

import json
import shutil
import time

import pytest

from data_pipelines import remote
from data_pipelines.spec import DataError
from did_tf import wiring
from did_tf.common.errors import ConfigError, Failure
from did_tf.runs import lock, mirror
from did_tf.runs.mirror import Diverged, Mirror


@pytest.fixture
def bucket(tmp_path, monkeypatch):
    monkeypatch.setattr(mirror, "PAUSES", (0.0,))
    monkeypatch.setattr(lock, "BEAT", 0.01)
    on(monkeypatch, tmp_path, "here")
    return tmp_path / "bucket"


def on(monkeypatch, tmp_path, machine):
    """What follows is done on another machine: with another cache folder."""
    monkeypatch.setenv("DID_TF_CACHE", str(tmp_path / machine))


def place(bucket):
    return f"file://{bucket}/run"


def train(bucket, step, text="row\n"):
    """One training that writes a checkpoint, of which one is kept."""
    run = Mirror(place(bucket))
    with run.trained():
        folder = run.folder / "checkpoints"
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*"):
            old.unlink()
        (folder / f"step_{step:08d}.npz").write_text(text)
        with open(run.folder / "metrics.csv", "a") as file:
            file.write(text)
    return run


def content(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.[cn][sp]*")}


def test_a_run_goes_to_its_place_and_comes_from_it(bucket, tmp_path, monkeypatch):
    train(bucket, 1)
    assert content(bucket / "run") == {"checkpoints/step_00000001.npz": "row\n", "metrics.csv": "row\n"}
    on(monkeypatch, tmp_path, "there")
    train(bucket, 2)
    assert content(bucket / "run") == {"checkpoints/step_00000002.npz": "row\n", "metrics.csv": "row\nrow\n"}
    on(monkeypatch, tmp_path, "here")
    again = Mirror(place(bucket))
    again.fetch()
    assert content(again.folder) == content(bucket / "run")
    assert not (bucket / "run" / "lock.json").exists()


def test_what_refers_to_others_goes_after_them(bucket, monkeypatch):
    sent = []
    monkeypatch.setattr(remote, "send", lambda source, target: sent.append(target.partition("/run/")[2]))
    run = Mirror(place(bucket))
    with run.trained():
        for name in ("best/metrics.json", "best/weights.npz", "checkpoints/step_00000003.npz", "metrics.csv", ".half"):
            (run.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (run.folder / name).write_text("")
    assert sent == ["metrics.csv", "best/weights.npz", "best/metrics.json", "checkpoints/step_00000003.npz"]


@pytest.mark.parametrize("operation", range(3))
def test_killed_while_sending_the_earlier_checkpoint_stands_and_both_copies_go_on(
    bucket, tmp_path, monkeypatch, operation
):
    train(bucket, 1)
    left, send, write = [operation], remote.send, remote.write

    def counted(function):
        def call(source, target):
            if "lock.json" not in str(source):
                left[0] -= 1
                if left[0] < 0:
                    raise SystemExit(137)
            function(source, target)

        return call

    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        patch.setattr(remote, "send", counted(send))
        patch.setattr(remote, "write", counted(write))
        train(bucket, 2)
    assert (bucket / "run/checkpoints/step_00000001.npz").is_file()
    shutil.copytree(bucket, tmp_path / "other/bucket")
    train(bucket, 3)
    assert content(bucket / "run") == {"checkpoints/step_00000003.npz": "row\n", "metrics.csv": "row\n" * 3}
    on(monkeypatch, tmp_path, "there")
    other = Mirror(place(tmp_path / "other/bucket"))
    other.fetch()
    assert (other.folder / "checkpoints/step_00000001.npz").is_file()


def broken(*_):
    raise OSError(5, "no network")


def test_sending_that_fails_leaves_training_alone_and_is_tried_again(bucket, monkeypatch, capsys):
    run = Mirror(place(bucket))
    with run.trained():
        run.folder.mkdir(parents=True)
        (run.folder / "metrics.csv").write_text("row\n")
        with monkeypatch.context() as patch:
            patch.setattr(remote, "send", broken)
            run.publish()
            while not (told := capsys.readouterr().err):
                time.sleep(0.01)
        run.publish()
    assert "note: " in told and "no network" in told and told.count("\n") == 1
    assert content(bucket / "run") == {"metrics.csv": "row\n"}


def test_two_machines_that_both_trained_are_refused(bucket, tmp_path, monkeypatch):
    train(bucket, 1)
    with monkeypatch.context() as patch, pytest.raises(Failure, match="no network"):
        patch.setattr(remote, "send", broken)
        train(bucket, 2)
    on(monkeypatch, tmp_path, "there")
    train(bucket, 3)
    on(monkeypatch, tmp_path, "here")
    with pytest.raises(ConfigError, match="was trained elsewhere since, and here too: delete the copy here"):
        train(bucket, 4)
    assert (bucket / "run/checkpoints/step_00000003.npz").is_file()


def test_results_that_were_not_sent_are_not_called_a_training(bucket, tmp_path, monkeypatch):
    """Nor deleted for what was trained elsewhere since."""
    train(bucket, 1)
    run = Mirror(place(bucket))
    run.fetch()
    (run.folder / "report.csv").write_text("1")
    with monkeypatch.context() as patch, pytest.raises(Failure, match="the next command on this run sends it"):
        patch.setattr(remote, "send", broken)
        run.send()
    on(monkeypatch, tmp_path, "there")
    train(bucket, 2)
    on(monkeypatch, tmp_path, "here")
    with pytest.raises(ConfigError, match="what other commands have written here was not sent .keep.*: delete the"):
        Mirror(place(bucket)).fetch()
    assert (run.folder / "report.csv").is_file()


def test_a_run_that_is_gone_from_its_place_is_refused_and_the_copy_stays(bucket):
    run = train(bucket, 1)
    shutil.rmtree(bucket / "run")
    with pytest.raises(ConfigError, match="is gone"):
        train(bucket, 2)
    assert (run.folder / "metrics.csv").is_file()


def test_a_training_ends_where_another_machine_has_taken_the_run(bucket):
    run = Mirror(place(bucket))
    with pytest.raises(Diverged, match="another process has trained"), run.trained():
        run.folder.mkdir(parents=True)
        (run.folder / "metrics.csv").write_text("row\n")
        (run.folder / "report.csv").write_text("of weights that are not there")
        (bucket / "run" / "mirror.json").write_text("another")
    run.send()
    assert content(bucket) == {}


def test_what_a_program_writes_beside_goes_up_without_a_training(bucket, tmp_path, monkeypatch):
    train(bucket, 1)
    on(monkeypatch, tmp_path, "there")
    reader, mark = Mirror(place(bucket)), (bucket / "run/mirror.json").read_text()
    reader.fetch()
    (reader.folder / "evaluation").mkdir()
    (reader.folder / "evaluation/val.csv").write_text("1")
    reader.send()
    assert (bucket / "run/evaluation/val.csv").read_text() == "1"
    assert (bucket / "run/mirror.json").read_text() == mark


def test_what_a_command_has_left_unsent_goes_up_with_the_next_one(bucket, tmp_path, monkeypatch):
    """But nothing of a training, which sends it under a mark of its own."""
    train(bucket, 1)
    on(monkeypatch, tmp_path, "there")
    for name in ("a", "b"):
        run = Mirror(place(bucket))
        run.fetch()
        (run.folder / "predictions").mkdir(exist_ok=True)
        (run.folder / f"predictions/{name}.csv").write_text(name)
    (run.folder / "checkpoints/step_00000001.npz").rename(run.folder / "checkpoints/step_00000002.npz")
    run.send()
    assert content(bucket / "run") == {
        "checkpoints/step_00000001.npz": "row\n",
        "metrics.csv": "row\n",
        "predictions/a.csv": "a",
        "predictions/b.csv": "b",
    }


@pytest.mark.parametrize("error", [DataError("a photo is damaged"), KeyboardInterrupt()])
def test_what_a_command_has_written_goes_up_though_an_error_ends_it(bucket, error):
    train(bucket, 1)
    with pytest.raises(type(error)), wiring.runs_sent():
        (wiring.open_run(place(bucket)).folder / "report.csv").write_text("1")
        raise error
    assert (bucket / "run/report.csv").read_text() == "1"


def test_an_error_is_told_beside_what_can_not_be_sent(bucket, monkeypatch, capsys):
    train(bucket, 1)
    monkeypatch.setattr(remote, "send", broken)
    with pytest.raises(DataError, match="a photo is damaged"), wiring.runs_sent():
        (wiring.open_run(place(bucket)).folder / "report.csv").write_text("1")
        raise DataError("a photo is damaged")
    assert capsys.readouterr().err.startswith(f"error: {place(bucket)} can't be written: no network")


def test_a_claim_without_signs_of_life_is_taken_over_and_another_is_not(bucket, monkeypatch):
    other = {**lock._of_process(1), "machine": "elsewhere", "since": "noon", "kept": False, "beats": 1}
    (bucket / "run").mkdir(parents=True)
    (bucket / "run/lock.json").write_text(json.dumps(other))
    train(bucket, 1)
    (bucket / "run/lock.json").write_text(json.dumps(other))
    alive = json.dumps({**other, "beats": 2})
    monkeypatch.setattr(lock.time, "sleep", lambda _: (bucket / "run/lock.json").write_text(alive))
    with pytest.raises(ConfigError, match="in use by process 1 on .* since noon"):
        train(bucket, 2)


def test_a_file_system_that_there_is_not_is_named():
    with pytest.raises(DataError, match="no file system foo://, but .*; install tensorflow-io"):
        Mirror("foo://bucket/run")
