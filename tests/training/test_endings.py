"""Trainings that end before all of their steps are made: by the time, or where nothing gets better any more."""

import shutil
import types

import by_hand
import numpy as np
import pytest

from did_tf.runs import checkpoints
from did_tf.runs.run_folder import read_json, read_metrics
from did_tf.training.endings import TICKS, Budget
from did_tf.training.schedules import NAMES, Schedule, Timed

STEP, VALIDATION = 40.0, 200.0
"""Seconds that an update and a validation take by the clock of these tests."""


class Clock:
    """Seconds that pass where the test says so alone."""

    def __init__(self):
        self.now = 1e6

    def __call__(self):
        return self.now


class Slow:
    """A validation that takes time and scores as it is told."""

    scores, remark = {"told": "what was told"}, ""

    def __init__(self, clock, *values):
        self.clock, self.values, self.steps, self.trainer = clock, values, [], None

    def __call__(self, split, progress, between):
        between()
        self.clock.now += VALIDATION
        self.steps.append(self.trainer.done)
        return {"told": self.values[len(self.steps) - 1] if self.values else 0.5}, lambda: None


def training(folder, clock, *values, stop_at=None, schedule="poly", **train):
    """A trainer whose updates take `STEP` seconds; a signal comes after the update `stop_at`."""
    train = {"steps": 1000, "hours": 1.0, "log_every": 4, "validate_every": 20, "checkpoint_every": 20, **train}
    validation = Slow(clock, *values)
    made = (Timed if train["hours"] else Schedule)(schedule, 0.1, train["steps"], 4)
    step = by_hand.train_step(made)
    trainer = validation.trainer = by_hand.trainer(folder, validation, step, **train)
    trainer.budget.clock = clock

    def update(batch, number):
        clock.now += STEP
        if number + 1 == stop_at:
            trainer.stops.signal = 15
        return step(batch, number)

    trainer.train_step = Around(step, update)
    return trainer


class Around:
    """A train step with another call."""

    def __init__(self, inner, call):
        self.inner, self.call = inner, call

    def __call__(self, batch, number):
        return self.call(batch, number)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def rates(trainer, column="learning_rate"):
    return [float(row[column]) for row in read_metrics(trainer.run.metrics)]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A trainer that has ended with its hour."""
    trainer = training(tmp_path_factory.mktemp("whole") / "run", Clock())
    trainer.fit()
    return trainer


def test_a_run_ends_with_its_time_at_the_end_of_its_schedule(tmp_path, capsys):
    """An hour: 70 updates, 2800 s, and four validations, of which the last one begins when 3400 s are spent."""
    clock = Clock()
    trainer = training(tmp_path / "run", clock)
    began = clock.now
    assert trainer.fit() == 0.5
    assert 3600 <= clock.now - began <= 3600 + STEP
    assert trainer.steps == trainer.done == trainer.validation.steps[-1] == 70
    assert trainer.validation.steps == [20, 40, 60, 70]
    assert checkpoints.saved_steps(trainer.run.checkpoints)[-1].name == "step_00000070.npz"
    assert "step 70: the run ends here: its time is over (train.hours=1)\n" in capsys.readouterr().out
    assert read_json(trainer.run.manifest)["ended"] == {"step": 70, "reason": "its time is over (train.hours=1)"}
    found = rates(trainer)
    assert all(np.diff(found[1:]) < 0) and found[1] > 0.09 and found[-1] < 0.006


@pytest.mark.parametrize("stop_at", [pytest.param(30, marks=pytest.mark.slow), 70])
def test_time_is_carried_on_and_what_lies_between_does_not_count(undisturbed, tmp_path, stop_at):
    """Stopped, also where its end has been decided, it ends where a run that nothing has stopped does."""
    clock = Clock()
    with pytest.raises(SystemExit):
        training(tmp_path / "run", clock, stop_at=stop_at).fit()
    clock.now += 1e5
    trainer = training(tmp_path / "run", clock)
    trainer.fit()
    assert trainer.done == 70 and trainer.validation.steps[-1] == 70
    np.testing.assert_allclose(rates(trainer), rates(undisturbed), rtol=1e-5)
    np.testing.assert_allclose(rates(trainer, "hours"), rates(undisturbed, "hours"))


def test_a_process_that_has_made_no_step_yet_expects_no_other_number(tmp_path):
    """Stopped between the last step and its validation, which the next process makes first."""
    clock = Clock()
    with pytest.raises(SystemExit):
        training(tmp_path / "run", clock, stop_at=20).fit()
    trainer = training(tmp_path / "run", clock)
    bar = types.SimpleNamespace(disable=True, total=1000, set_postfix=lambda told: None)
    assert trainer._is_unreported()
    trainer._report(trainer.done, False, bar)
    assert bar.total == 1000


def test_a_run_whose_time_is_over_makes_no_more_updates(undisturbed, tmp_path):
    shutil.copytree(undisturbed.run.folder, tmp_path / "run")
    again = training(tmp_path / "run", Clock())
    assert again.ended.reason == "its time is over (train.hours=1)" and again.steps == 70
    assert "train.init=" in again.ended.way_on
    again.fit()
    assert again.done == 70 and not again.validation.steps
    assert read_json(again.run.manifest)["ended"]["step"] == 70


def test_a_machine_that_makes_all_steps_in_time_has_the_schedule_of_the_steps(tmp_path):
    clock = Clock()
    timed = training(tmp_path / "timed", clock, steps=40, hours=10.0)
    plain = training(tmp_path / "plain", clock, steps=40, hours=0.0)
    for trainer in (timed, plain):
        trainer.fit()
        assert trainer.done == 40 and trainer.ended is None and "ended" not in read_json(trainer.run.manifest)
    assert rates(timed) == rates(plain)
    assert "hours" not in read_metrics(plain.run.metrics)[0]


def test_a_validation_that_would_take_the_last_updates_is_left_out(tmp_path):
    """After 76 updates and one validation it would be from 3240 to 3440 s: that at the end begins at 3400."""
    trainer = training(tmp_path / "run", Clock(), validate_every=38, log_every=50)
    trainer.fit()
    assert trainer.validation.steps == [38, 80]
    scored = {int(row["step"]): bool(row["val_told"]) for row in read_metrics(trainer.run.metrics)}
    assert scored == {38: True, 50: False, 76: False, 80: True}
    assert training(tmp_path / "run", Clock(), validate_every=38, log_every=50).done == 80


def test_time_never_goes_back():
    clock = Clock()
    budget = Budget(1.0, clock)
    budget.start()
    clock.now += 1700
    budget.keep_free(200.0)
    budget.ticks = budget.look()
    assert budget.ticks == TICKS // 2 and budget.left() == 1700
    budget.keep_free(0.0)
    assert budget.look() == TICKS // 2
    clock.now += 1899
    budget.ticks = budget.look()
    assert not budget.is_over and budget.allows_validation()
    budget.keep_free(0.6)
    assert not budget.allows_validation()
    clock.now += 1
    budget.ticks = budget.look()
    assert budget.is_over and budget.left() == 0


@pytest.mark.parametrize("name", NAMES)
def test_the_rate_is_that_of_steps_or_time_whichever_is_further_on(name):
    timed, plain = Timed(name, 0.3, 100, 10, (0.25, 0.5)), Schedule(name, 0.3, 100, 10, (0.25, 0.5))
    steps = (0, 9, 10, 24, 25, 60, 99)
    assert [float(timed(step)) for step in steps] == [float(plain(step)) for step in steps]
    timed.share.assign(0.4)
    expected = [min(float(plain(step)), float(plain(40))) for step in steps]
    assert [float(timed(step)) for step in steps] == pytest.approx(expected, rel=1e-5)
    timed.share.assign(1.0)
    assert float(timed(20)) == pytest.approx(float(plain(100)), abs=1e-8)


# No new best


def patient(folder, *values, **train):
    return training(folder, Clock(), *values, hours=0.0, steps=30, validate_every=2, checkpoint_every=50, **train)


def test_validations_without_a_new_best_end_a_run(tmp_path, capsys):
    trainer = patient(tmp_path / "run", 0.5, 0.4, 0.6, 0.6, 0.1, 0.2, patience=3)
    assert trainer.fit() == 0.6
    reason = "3 validations in a row gave no new best (train.patience)"
    assert f"step 12: the run ends here: {reason}\n" in capsys.readouterr().out
    assert trainer.done == 12 and trainer.ended.reason == reason
    assert checkpoints.saved_steps(trainer.run.checkpoints)[-1].name == "step_00000012.npz"
    assert read_json(trainer.run.manifest)["ended"] == {"step": 12, "reason": reason}
    assert read_json(trainer.run.best / "metrics.json")["step"] == 6
    again = patient(tmp_path / "run", patience=3)
    assert again.ended.reason == reason and "patience=0" in again.ended.way_on
    again.fit()
    assert again.done == 12 and not again.validation.steps


def test_what_was_waited_is_carried_on(tmp_path):
    """Two validations in the first process, one in the second."""
    with pytest.raises(SystemExit):
        patient(tmp_path / "run", 0.5, 0.4, 0.4, patience=3, stop_at=7).fit()
    trainer = patient(tmp_path / "run", 0.3, patience=3)
    trainer.fit()
    assert trainer.done == 8 and trainer.validation.steps == [8]


@pytest.mark.slow
def test_a_run_that_has_ended_goes_on_with_more_patience_by_the_same_schedule(tmp_path):
    patient(tmp_path / "run", 0.5, 0.4, 0.4, patience=2).fit()
    trainer = patient(tmp_path / "run", patience=0)
    trainer.fit()
    assert trainer.done == 30 and trainer.ended is None
    assert "ended" not in read_json(trainer.run.manifest)
    whole = patient(tmp_path / "whole", patience=0)
    whole.fit()
    assert rates(trainer) == pytest.approx(rates(whole), rel=1e-5)


def test_the_last_of_all_steps_is_no_early_end(tmp_path):
    trainer = patient(tmp_path / "run", *[0.5] * 15, patience=14)
    trainer.fit()
    assert trainer.done == 30 and trainer.ended is None


def test_a_checkpoint_from_before_there_was_patience_has_waited_for_nothing(tmp_path):
    with pytest.raises(SystemExit):
        patient(tmp_path / "run", 0.5, 0.4, patience=2, stop_at=5).fit()
    (file,) = checkpoints.saved_steps(tmp_path / "run" / "checkpoints")
    arrays = checkpoints.read(file)
    assert arrays.pop("trainer/waited") == 1
    checkpoints.write(file, arrays, checkpoints.read_identity(file))
    assert int(patient(tmp_path / "run", patience=2).waited) == 0


def test_where_the_best_is_lost_there_is_nothing_to_wait_for(tmp_path):
    with pytest.raises(SystemExit):
        patient(tmp_path / "run", 0.5, 0.4, patience=2, stop_at=5).fit()
    (tmp_path / "run" / "best" / "weights.npz").unlink()
    assert int(patient(tmp_path / "run", patience=2).waited) == 0
