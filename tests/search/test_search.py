"""What is searched, what is proposed, what is ended early, and how a search goes on."""

import json

import pytest

from did_tf.common.errors import ConfigError
from did_tf.search import space
from did_tf.search.space import Range
from did_tf.search.study import DONE, PRUNED, RUNNING, Study

FACTS = {"experiment": "e", "seed": 0}
RATE = space.parse("schedule.learning_rate=log:1e-4..1e-2")
GROWTH = space.parse("model.growth=16,24,32")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("a.b=1..8", Range("a.b", (), 1, 8, False, True)),
        ("--config.a.b=0.5..1", Range("a.b", (), 0.5, 1.0, False, False)),
        ("a.b=log:1e-4..1e-2", Range("a.b", (), 1e-4, 1e-2, True, False)),
        ("a.b=x,y", Range("a.b", ("x", "y"))),
        ("a.b=(1, 2),(3,4),{'k': [5,6]}", Range("a.b", ("(1, 2)", "(3,4)", "{'k': [5,6]}"))),
    ],
)
def test_ranges(text, expected):
    assert space.parse(text) == expected


@pytest.mark.parametrize("text", ["a.b", "=1,2", "a.b=", "a.b=1", "a.b=1,1", "a.b=2..1", "a.b=log:0..1", "a=1..1e999"])
def test_what_is_no_range(text):
    with pytest.raises(ConfigError, match="--over"):
        space.parse(text)


@pytest.mark.parametrize("text, whole", [("a=0..1", True), ("a=0.0..1", False), ("a=log:1..8", True), ("a=x,y", False)])
def test_numbers_are_whole_where_the_setting_takes_no_others(text, whole):
    assert space.parse(text).fitted(lambda value: False).whole == whole
    assert not space.parse(text).fitted(lambda value: value % 1 == 0.5).whole


def test_values_as_the_command_line_has_them():
    assert space.parse("a=1..8").text(3) == "3" and RATE.text(0.001) == "0.001" and GROWTH.ends() == ["16", "24", "32"]


@pytest.fixture
def optuna():
    return pytest.importorskip("optuna")


def score(settings):
    """Best at 1e-3 and growth 24."""
    import math

    return 1 - 0.3 * abs(math.log10(settings["schedule.learning_rate"]) + 3) - (settings["model.growth"] != "24") * 0.2


def searched(path, count):
    study = Study(path, [RATE, GROWTH], FACTS, {}, {})
    while len(study.ranked()) < count:
        trial = study.next()
        trial.scores, trial.value, trial.state = {10: score(trial.settings)}, score(trial.settings), DONE
        study.write()
    return study


def test_it_finds_what_is_best(optuna, tmp_path):
    study = searched(tmp_path / "search.json", 25)
    best = study.ranked()[0]
    assert best.settings["model.growth"] == "24" and best.value > 0.93
    late = [trial.value for trial in study.trials[10:]]
    early = [trial.value for trial in study.trials[:5]]
    assert sum(late) / len(late) > sum(early) / len(early)
    assert study.texts(best) == {"schedule.learning_rate": str(best.settings[RATE.key]), "model.growth": "24"}


def test_one_that_was_stopped_goes_on_as_one_that_was_not(optuna, tmp_path):
    whole = searched(tmp_path / "whole.json", 8)
    parts = [searched(tmp_path / "parts.json", count) for count in (3, 6, 8)][-1]
    assert [trial.settings for trial in parts.trials] == [trial.settings for trial in whole.trials]
    began = parts.next()
    again = Study(tmp_path / "parts.json", [RATE, GROWTH], FACTS, {}, {})
    assert again.next() == began and began.state == RUNNING and len(again.trials) == 9


def test_no_combination_is_tried_twice_while_another_is_left(optuna, tmp_path):
    study = Study(tmp_path / "search.json", [GROWTH, space.parse("train.batch_size=1..2")], FACTS, {}, {})
    for _ in range(6):
        assert not study.is_exhausted()
        trial = study.next()
        trial.state, trial.value = DONE, float(trial.settings["model.growth"] == "24")
    assert len({(*trial.settings.values(),) for trial in study.trials}) == 6
    assert study.is_exhausted()
    assert study.next().settings in [trial.settings for trial in study.trials[:6]]


def test_of_fractions_there_is_no_end(optuna, tmp_path):
    assert not Study(tmp_path / "search.json", [GROWTH, RATE], FACTS, {}, {}).is_exhausted()


def test_the_median_of_the_others_is_what_ends_a_trial(optuna, tmp_path):
    study = Study(tmp_path / "search.json", [RATE, GROWTH], FACTS, {}, {})
    for value in (0.3, 0.5, 0.7):
        trial = study.next()
        assert not study.is_hopeless(trial)
        trial.scores, trial.value, trial.state = {3: value / 2, 6: value, 10: value}, value, DONE
    trial = study.next()
    for scores, expected in (({1: 0.0}, False), ({6: 0.49}, True), ({6: 0.51}, False), ({3: 0.1, 6: 0.51}, False)):
        trial.scores = scores
        assert study.is_hopeless(trial) == expected, scores
    trial.scores, trial.value, trial.state = {6: 0.4}, 0.4, PRUNED
    assert [one.value for one in study.ranked()] == [0.7, 0.5, 0.3] and study.next().number == 4


def test_a_record_of_another_search_is_refused(optuna, tmp_path):
    path = tmp_path / "search.json"
    searched(path, 1)
    with pytest.raises(ConfigError, match="another search, whose experiment is 'e'"):
        Study(path, [RATE, GROWTH], {**FACTS, "experiment": "f"}, {}, {})
    with pytest.raises(ConfigError, match="another search, whose over is"):
        Study(path, [RATE], FACTS, {}, {})
    path.write_text(json.dumps({**json.loads(path.read_text()), "trials": [{"number": "x"}]}))
    with pytest.raises(ConfigError, match="no record of a search"):
        Study(path, [RATE, GROWTH], FACTS, {}, {})
