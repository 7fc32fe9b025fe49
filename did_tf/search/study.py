"""The record of a search, which is all that a search goes on by, and what Optuna proposes after it.

Optuna (Akiba et al. 2019) is given the trials anew each time, so that a search that was stopped goes on as one that was
not: by its Tree-structured Parzen Estimator (Bergstra et al. 2011) and its median pruner.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from data_pipelines import extras
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json
from did_tf.runs.identity import changed, differences
from did_tf.runs.run_folder import read_json
from did_tf.search.space import Range

FILE = "search.json"
"""Record of a search, in its folder."""
RESOLVED = "resolved"
"""Key of the record with all settings, but those that are searched."""
RUNNING, DONE, PRUNED, FAILED = "running", "done", "pruned", "failed"
AT_RANDOM = 5
"""Trials before any is proposed by what others gave."""
BEFORE_PRUNING = 3
"""Trials that have to be done before any is ended early."""
PARTS = 10
"""Of a trial; in which of them a validation was is what it is compared by."""
EARLIEST = 2
"""First of these parts that a trial may be ended in."""
MANY = 1000
"""Combinations of settings beyond which it is left to chance that none is tried twice."""
BETWEEN_TRIALS = (
    *("dataset.folder", "dataset.prepared", "train.patience", "train.devices"),
    *("train.recompute", "train.jit_compile", "data.cache"),  # how many steps a trial makes in its time
)
"""Settings that may differ within a run, which knows its data by content and its devices, and not between trials."""


@dataclasses.dataclass
class Trial:
    """One run.

    Attributes:
      number: from 0, in their order.
      settings: {key: value} of those that are searched.
      state: RUNNING, DONE, PRUNED (ended early, for others were better at that place) or FAILED.
      scores: {part of the trial, of `PARTS`: best validation score up to there}.
      value: its best validation score, once it has ended.
      why: it failed, in words.
    """

    number: int
    settings: dict[str, Any]
    state: str = RUNNING
    scores: dict[int, float] = dataclasses.field(default_factory=dict)
    value: float | None = None
    why: str = ""


def refuse(folder: Path, command: str) -> None:
    """Raises `ConfigError` where a folder has a search, with which `command` does nothing."""
    if (folder / FILE).is_file():
        raise ConfigError(
            f"{folder} is a search, with which {command} can't go on: pass another --run=dir, or a trial's, "
            f"{folder}/trial_000"
        )


class Study:
    """Trials over `ranges`, recorded in a file.

    Args:
      path: of the file, which may be there already.
      ranges: what is searched.
      facts: of the search, which have to be the same when it goes on: experiment, seed and others.
      settings: of all trials, flat, of JSON's types, which have to be the same too where results depend on them.
      defaults: likewise, for those that a record is too old to have.

    Attributes:
      trials: in their order.
      seconds: that the search has taken.
      is_compared: whether its settings are known to be those that it was begun with; versions before recorded none.

    Raises:
      ConfigError: the file is of another search, or optuna is not installed.
    """

    def __init__(
        self,
        path: Path,
        ranges: Sequence[Range],
        facts: Mapping[str, Any],
        settings: Mapping[str, Any],
        defaults: Mapping[str, Any],
    ) -> None:
        self.path, self.ranges = path, ranges
        searched = {one.key for one in ranges}
        self.settings = {key: value for key, value in settings.items() if key not in searched}
        self.defaults = {key: value for key, value in defaults.items() if key in self.settings}
        self.facts = {**facts, "over": [one._asdict() | {"choices": list(one.choices)} for one in ranges]}
        self.trials: list[Trial] = []
        self.seconds = 0.0
        self.is_compared = True
        self._optuna = _optuna()
        if path.is_file():
            self._read()

    def next(self) -> Trial:
        """The one that was not ended, else a new one, which is recorded."""
        if self.trials and self.trials[-1].state == RUNNING:
            return self.trials[-1]
        asked = dict(self._study().ask(self._distributions()).params)
        if others := self._untried():
            # The estimator may propose what it has seen to be good once more.
            asked = asked if asked in others else random.Random(self.facts["seed"] + len(self.trials)).choice(others)
        self.trials.append(Trial(len(self.trials), asked))
        self.write()
        return self.trials[-1]

    def is_exhausted(self) -> bool:
        """Whether no combination of settings is left that was not tried."""
        return self._untried() == []

    def is_hopeless(self, trial: Trial) -> bool:
        """Whether a running trial is worse than the median of the others where it is."""
        if not trial.scores:
            return False
        study = self._study()
        study.enqueue_trial(trial.settings)
        asked = study.ask(self._distributions())
        for part, score in sorted(trial.scores.items()):
            asked.report(score, part)
        return asked.should_prune()

    def ranked(self) -> list[Trial]:
        """Those that are done, the best first."""
        done = [trial for trial in self.trials if trial.state == DONE and trial.value is not None]
        return sorted(done, key=lambda trial: -(trial.value or 0.0))

    def texts(self, trial: Trial) -> dict[str, str]:
        """{key: value} of a trial as the command line has them."""
        return {one.key: one.text(trial.settings[one.key]) for one in self.ranges}

    def write(self) -> None:
        """Records all."""
        trials = [dataclasses.asdict(trial) for trial in self.trials]
        seconds = round(self.seconds, 1)
        write_json(self.path, {**self.facts, RESOLVED: self.settings, "seconds": seconds, "trials": trials})

    def _untried(self):
        """The combinations of settings that no trial has; None where they are more than `MANY` with those tried."""
        values = {one.key: one.values() for one in self.ranges}
        if not all(values.values()) or math.prod(map(len, values.values())) > MANY:
            return None
        tried = [trial.settings for trial in self.trials]
        every = (dict(zip(values, chosen)) for chosen in itertools.product(*values.values()))
        return [settings for settings in every if settings not in tried]

    def _read(self):
        found = read_json(self.path)
        other = [key for key, value in self.facts.items() if found.get(key) != value]
        if other:
            raise ConfigError(
                f"{self.path} is of another search, whose {other[0]} is {found.get(other[0])!r}: give another --run=dir"
            )
        try:
            self.seconds = float(found["seconds"])
            self.trials = [_trial(entry) for entry in found["trials"]]
            was = dict(found.get(RESOLVED, {}))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"{self.path} is no record of a search ({error!r}): give another --run=dir") from None
        if RESOLVED in found:
            self._check_settings({**self.defaults, **was})
        else:
            self.is_compared = False

    def _check_settings(self, was):
        """Raises `ConfigError` where trials of before had other settings, `was`."""
        keys = changed(was, self.settings)
        keys += [key for key in BETWEEN_TRIALS if was.get(key) != self.settings.get(key)]
        if keys:
            raise ConfigError(
                f"{self.path} is of a search with other settings: {differences(was, self.settings, keys)}; put them "
                "back, or give another --run=dir"
            )

    def _study(self) -> Any:
        """Optuna's, with the trials that have ended."""
        optuna = self._optuna
        sampler = optuna.samplers.TPESampler(seed=self.facts["seed"] + len(self.trials), n_startup_trials=AT_RANDOM)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=BEFORE_PRUNING, n_warmup_steps=EARLIEST)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        states = {DONE: optuna.trial.TrialState.COMPLETE, PRUNED: optuna.trial.TrialState.PRUNED}
        for trial in self.trials:
            if trial.state in states:
                made = optuna.trial.create_trial(
                    state=states[trial.state],
                    params=trial.settings,
                    distributions=self._distributions(),
                    value=trial.value,
                    intermediate_values=trial.scores,
                )
                study.add_trial(made)
        return study

    def _distributions(self) -> dict[str, Any]:
        kinds = self._optuna.distributions
        found: dict[str, Any] = {}
        for one in self.ranges:
            if one.choices:
                found[one.key] = kinds.CategoricalDistribution(one.choices)
            else:
                kind = kinds.IntDistribution if one.whole else kinds.FloatDistribution
                found[one.key] = kind(one.low, one.high, log=one.log)
        return found


def _trial(entry: Mapping[str, Any]) -> Trial:
    return Trial(**{**entry, "scores": {int(part): float(score) for part, score in entry["scores"].items()}})


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"`did_tf search` needs optuna ({error}): {extras.install('search')}") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
