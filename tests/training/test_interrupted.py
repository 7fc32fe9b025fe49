"""A training that is killed, stopped or failed by its disk at any moment ends as if nothing had been."""

import contextlib
import errno
import os
import shutil
import signal
import threading
from pathlib import Path

import by_hand
import numpy as np
import pytest
import tensorflow as tf

from data_pipelines.spec import DataError
from did_tf.cluster.workers import Workers
from did_tf.common.errors import ConfigError, NotFinite
from did_tf.runs import checkpoints, keeping, logs, selection
from did_tf.runs.run_folder import RunFolder, read_metrics
from did_tf.training.health import TrainingFailed

SCORES = {3: 0.5, 6: 0.9, 8: 0.7}
"""{step that is validated: what it scores}."""
TRAIN = {"steps": 8, "log_every": 2, "validate_every": 3, "checkpoint_every": 3, "keep_checkpoints": 2}


class Killed(BaseException):
    """The process is gone."""


class Disk:
    """Lets `count` operations of writing happen; at the next the process is killed, and nothing happens any more."""

    def __init__(self, monkeypatch, count):
        self.left = count
        for owner, name in ((os, "replace"), (os, "fsync"), (Path, "unlink"), (Path, "replace")):
            monkeypatch.setattr(owner, name, self.counted(getattr(owner, name)))

    def counted(self, operation):
        def call(*args, **kwargs):
            self.left -= 1
            if self.left < 0:
                raise Killed
            return operation(*args, **kwargs)

        return call


class Scores:
    """Stands for a validation: what it says depends on the step alone. `before` is called with each step first."""

    scores, remark = {"told": "what was told"}, ""

    def __init__(self, before=lambda step: None):
        self.before, self.trainer = before, None

    def __call__(self, split, progress, between):
        self.before(self.trainer.done)
        between()
        return {"told": SCORES.get(self.trainer.done, 0.6)}, lambda: None


@pytest.fixture(scope="module")
def make():
    """Function of a run folder that gives its `Trainer` as a new process would make it. Batches depend on the step."""
    train_step = by_hand.train_step()
    state = {name: v.numpy() for name, v in train_step.state().items()}
    images, labels = zip(*(by_hand.red_or_not(seed) for seed in range(4 * TRAIN["steps"])))
    batches = [
        {"image": np.stack(images[i : i + 4]), "label": np.stack(labels[i : i + 4])} for i in range(0, len(images), 4)
    ]

    def made(folder, validation=None, **train):
        checkpoints.assign(train_step.state(), state, "", "")
        validation = validation or Scores()
        validation.trainer = trainer = by_hand.trainer(folder, validation, train_step, **{**TRAIN, **train})
        trainer._batches = lambda first: batches[first:]
        return trainer

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs.Logs, "plot", lambda self: None)
        yield made


@pytest.fixture(scope="module")
def whole(make, tmp_path_factory):
    """Folder of a run that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("whole")
    make(folder).fit()
    return folder


@pytest.fixture
def finished(whole, tmp_path):
    """A copy of it."""
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run"


def check_same(run, whole):
    assert rows(run) == rows(whole)
    assert logged(run) == logged(whole)
    for file in ("best/weights.npz", "best/metrics.json", "checkpoints/step_00000008.npz"):
        assert (run / file).read_bytes() == (whole / file).read_bytes(), file


def rows(run):
    """metrics.csv, but for the clock."""
    return [{**row, "images_per_second": "", "input_wait": ""} for row in read_metrics(run / "metrics.csv")]


def logged(run):
    """(step, tag) of all of TensorBoard's scalars, but for the clock."""
    files = (run / "tensorboard").glob("events.out.tfevents.*")
    found = [event for file in files for event in tf.compat.v1.train.summary_iterator(str(file))]
    tags = [(event.step, value.tag) for event in found for value in event.summary.value]
    return sorted((step, tag) for step, tag in tags if tag not in ("images_per_second", "input_wait"))


def check_killed(make, whole, folder, operation):
    """Whether there was such an operation."""
    with pytest.MonkeyPatch.context() as patch:
        disk = Disk(patch, operation)
        with contextlib.suppress(Killed):
            make(folder).fit()
    make(folder).fit()
    check_same(folder, whole)
    assert not [*folder.rglob("*.partial")] and not [*folder.glob(".*")]
    return disk.left < 0


@pytest.mark.parametrize("operation", range(0, 40, 4))
def test_killed_before_a_writing_it_goes_on_to_the_same_end(make, whole, tmp_path, operation):
    assert check_killed(make, whole, tmp_path / "run", operation)


@pytest.mark.slow
def test_killed_before_each_writing_of_all(make, whole, tmp_path):
    count = 0
    while check_killed(make, whole, tmp_path / str(count), count):
        count += 1
    assert count > 40


def stopped(trainer):
    with pytest.raises(SystemExit) as caught:
        trainer.fit()
    return caught.value.code


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_a_validation_between_images(make, whole, tmp_path, number, capsys):
    def interrupt(step):
        os.kill(os.getpid(), number)

    run = tmp_path / "run"
    assert stopped(make(run, Scores(interrupt), checkpoint_every=4)) == 128 + number
    assert f"{number.name}: saved step 3 in " in capsys.readouterr().out
    assert [path.name for path in checkpoints.saved_steps(run / "checkpoints")] == ["step_00000003.npz"]
    assert [row["step"] for row in rows(run)] == ["2"]
    make(run).fit()
    check_same(run, whole)


def test_a_step_is_saved_before_its_validation(make, whole, tmp_path):
    """Which is killed then: neither a handler nor a context has a say."""

    def kill(step):
        trainer.keeper.wait()
        raise Killed

    trainer = make(tmp_path / "run", Scores(kill))
    with pytest.raises(Killed):
        trainer.fit()
    trainer = make(tmp_path / "run")
    assert int(trainer.step) == 3 and [row["step"] for row in rows(tmp_path / "run")] == ["2"]
    trainer.fit()
    check_same(tmp_path / "run", whole)


def test_weights_that_were_kept_without_their_scores_are_not_taken_for_those_before(make, tmp_path, monkeypatch):
    """Killed between the two files of best/. Here the validation that is made again says a little less, by rounding."""
    run, write_json = tmp_path / "run", keeping.write_json

    def kill(path, scores):
        if scores["step"] == 6:
            raise Killed
        write_json(path, scores)

    monkeypatch.setattr(keeping, "write_json", kill)
    with pytest.raises(Killed):
        make(run).fit()
    monkeypatch.undo()
    monkeypatch.setitem(SCORES, 6, SCORES[3])
    make(run, steps=6).fit()
    assert selection.steps_of_best(RunFolder(run)) == (6, 6)


@pytest.mark.parametrize("failing", ["write", "plot"])
def test_a_validation_counts_once_where_its_log_can_not_be_written(make, tmp_path, monkeypatch, failing):
    """It is made again where its row is not there. Two after the best have none that is better."""
    call = getattr(logs.Logs, failing)

    def fail(self, *given):
        if trainer.done == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        call(self, *given)

    monkeypatch.setitem(SCORES, 6, 0.4)
    monkeypatch.setitem(SCORES, 8, 0.3)
    with monkeypatch.context() as patch:
        patch.setattr(logs.Logs, failing, fail)
        trainer = make(tmp_path / "run", checkpoint_every=2)
        with pytest.raises(OSError, match="No space left"):
            trainer.fit()
    assert checkpoints.saved_steps(tmp_path / "run" / "checkpoints")[-1].name == "step_00000003.npz"
    trainer = make(tmp_path / "run", checkpoint_every=2)
    assert trainer.fit() == 0.5 and int(trainer.waited) == 2
    assert [row["val_told"] for row in rows(tmp_path / "run") if row["val_told"]] == ["0.5", "0.4", "0.3"]


def test_data_that_vanish_leave_a_checkpoint_of_the_steps_that_were_made(make, whole, tmp_path):
    trainer = make(tmp_path / "run")
    batches = trainer._batches

    def vanishing(first):
        yield from batches(first)[:4]
        raise DataError("a.png is gone")

    trainer._batches = vanishing
    with pytest.raises(DataError, match="a.png is gone"):
        trainer.fit()
    trainer = make(tmp_path / "run")
    assert int(trainer.step) == 4
    trainer.fit()
    check_same(tmp_path / "run", whole)


def test_what_validation_finds_ruined_is_saved_neither(make, tmp_path):
    def ruined(step):
        if step == 6:
            raise NotFinite("its output is not finite")

    good = tmp_path / "run" / "checkpoints" / "step_00000003.npz"
    with pytest.raises(TrainingFailed, match=f"at step 6; nothing of it was saved, .* checkpoint is {good}"):
        make(tmp_path / "run", Scores(ruined), keep_checkpoints=1).fit()
    assert checkpoints.saved_steps(good.parent) == [good]


# Other workers than the chief


def test_a_worker_that_is_not_the_chief_writes_nothing(make, whole, monkeypatch):
    """It trains and validates like the chief, with a folder that can't be."""
    monkeypatch.setattr(Workers, "chief", property(lambda self: False))
    trainer = make(Path(os.devnull, "run"))
    best = trainer.fit()
    assert (int(trainer.step), best) == (8, 0.9)
    assert float(checkpoints.read(whole / "checkpoints" / "step_00000008.npz")["trainer/best"]) == best


# Saving


def test_training_goes_on_while_a_checkpoint_is_written(make, tmp_path, monkeypatch):
    """Its writer does not begin before the next step was made; what is saved is the state of before it."""
    went_on, write, before = threading.Event(), keeping.Keeper._save, {}

    def slowly(self, step, *more):
        assert step != 3 or went_on.wait(10)
        write(self, step, *more)

    monkeypatch.setattr(keeping.Keeper, "_save", slowly)
    trainer = make(tmp_path / "run", validate_every=8, steps=5)
    update = trainer.train_step.__call__

    def told(batch, number):
        if number == 3:
            before.update({name: v.numpy() for name, v in checkpoints.model_state(trainer.model).items()})
        values = update(batch, number)
        if number == 3:
            values.numpy()  # which waits until it is made
            went_on.set()
        return values

    monkeypatch.setattr(type(trainer.train_step), "__call__", lambda self, *given: told(*given))
    trainer.fit()
    assert went_on.is_set()
    saved = checkpoints.read(tmp_path / "run" / "checkpoints" / "step_00000003.npz", ("model/",))
    assert saved.keys() == before.keys()
    for name, value in saved.items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_gets_room_from_older_checkpoints(make, whole, tmp_path, monkeypatch, capsys, number):
    write, full = checkpoints._write_arrays, []

    def write_arrays(path, arrays):
        if int(arrays.get("trainer/step", 0)) == 8 and not full:
            full.append(path)
            raise OSError(number, os.strerror(number))
        write(path, arrays)

    monkeypatch.setattr(checkpoints, "_write_arrays", write_arrays)
    make(tmp_path / "run").fit()
    assert f"{os.strerror(number)}: {tmp_path}/run/checkpoints/step_00000003.npz is deleted" in capsys.readouterr().out
    check_same(tmp_path / "run", whole)


def test_a_checkpoint_that_can_not_be_written_is_told_and_nothing_is_lost(make, whole, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "_write_arrays", lambda *given: os.write(-1, b""))
        with pytest.raises(OSError, match=r"cannot write: Bad file descriptor: '.*\.npz'"):
            make(tmp_path / "run").fit()
    make(tmp_path / "run").fit()
    check_same(tmp_path / "run", whole)


# Damage


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "flipped":
        data[len(data) // 2] ^= 1
    path.write_bytes({"empty": b"", "cut": data[: len(data) // 2], "none": b"no archive"}.get(how, bytes(data)))


@pytest.mark.parametrize("how", ["empty", "cut", "flipped", "none"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(make, whole, finished, capsys, how):
    damage(finished / "checkpoints" / "step_00000008.npz", how)
    trainer = make(finished)
    assert int(trainer.step) == 6
    assert "it is step_00000008.damaged now, and step_00000006.npz, from before it, takes" in capsys.readouterr().out
    trainer.fit()
    check_same(finished, whole)


@pytest.mark.parametrize("refused", ["settings", "rows"])
def test_a_run_that_is_refused_stays_as_it_is(make, finished, refused):
    """Though its newest checkpoint is damaged."""
    damage(finished / "checkpoints" / "step_00000008.npz", "cut")
    if refused == "settings":
        (finished / "config.json").write_text('{"made": "otherwise"}')
    else:
        (finished / "metrics.csv").unlink()
    before = {path: path.is_file() and path.read_bytes() for path in finished.rglob("*")}
    with pytest.raises(ConfigError, match=r"started with other settings|metrics\.csv is gone"):
        make(finished)
    assert {path: path.is_file() and path.read_bytes() for path in finished.rglob("*")} == before


def test_steps_of_a_damaged_checkpoint_are_not_made(make, finished, monkeypatch):
    """Who asks whether all are, as an extension does, is not told of it."""
    asked = []
    monkeypatch.setattr(RunFolder, "check", lambda self, config, manifest, made: asked.append(made) or [])
    damage(finished / "checkpoints" / "step_00000008.npz", "cut")
    make(finished)
    assert asked == [6]


def test_a_checkpoint_under_another_name_is_told(make, finished, capsys):
    saved = finished / "checkpoints"
    shutil.copy(saved / "step_00000006.npz", saved / "step_00000008.npz")
    assert int(make(finished).step) == 6
    assert f"checkpoint {saved}/step_00000008.npz is of step 6, not 8; it is" in capsys.readouterr().out


def test_a_member_of_another_checkpoint_is_told(finished):
    """Each member is whole, and so is the archive."""
    older, newer = checkpoints.saved_steps(finished / "checkpoints")
    arrays = [dict(np.load(path)) for path in (older, newer)]
    name = "model/head.main/kernel"
    assert not np.array_equal(arrays[0][name], arrays[1][name])
    np.savez(newer, **{**arrays[1], name: arrays[0][name]})
    with pytest.raises(checkpoints.Damaged, match="its checksum is another"):
        checkpoints.read(newer)


def test_checkpoints_of_before_there_were_checksums_are_read(make, finished):
    newest = checkpoints.saved_steps(finished / "checkpoints")[-1]
    arrays = dict(np.load(newest))
    del arrays["checksum"]
    np.savez(newest, **arrays)
    assert int(make(finished).step) == 8


def test_where_all_are_damaged_nothing_is_trained_and_the_way_on_is_told(make, finished):
    for path in checkpoints.saved_steps(finished / "checkpoints"):
        damage(path, "cut")
    before = sorted(finished.rglob("*"))
    way_on = f"--run=dir --config.train.init={finished}/best/weights.npz, or delete {finished}/checkpoints"
    with pytest.raises(ConfigError, match=f"none of the 2 checkpoints is whole: .* {way_on}"):
        make(finished)
    assert sorted(finished.rglob("*")) == before


def test_rows_that_are_gone_can_be_given_up(make, whole, finished):
    """By the command that the refusal names; the process after the next does not ask again."""
    (finished / "checkpoints" / "step_00000008.npz").unlink()
    metrics = finished / "metrics.csv"
    metrics.unlink()
    with pytest.raises(ConfigError, match=f"metrics.csv is gone, .* by `echo step > {metrics}`; the same command"):
        make(finished)
    metrics.write_text("step\n")
    make(finished).fit()
    assert rows(finished) == rows(whole)[-1:]
    assert int(make(finished).step) == 8


def test_a_metrics_file_that_was_cut_within_a_number_loses_nothing(make, whole, tmp_path):
    """A row cut short may look whole: the end of its last number is gone with the end of its line."""
    run = tmp_path / "run"

    def kill(step):
        if step == 6:
            raise Killed

    with pytest.raises(Killed):
        make(run, Scores(kill)).fit()
    metrics = run / "metrics.csv"
    metrics.write_bytes(metrics.read_bytes() + b"6,24,0.1,0.1,0.1,0.1,1,0.5,0.")
    make(run).fit()
    check_same(run, whole)
