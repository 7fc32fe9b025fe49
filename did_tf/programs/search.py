"""Searches settings within a time: `did_tf search --experiment=NAME --over=schedule.learning_rate=log:1e-4..1e-2
--over=model.growth=16,24,32 --hours=3 --trial_hours=0.25 [--run=dir]`.

Each trial is a run, RUN/trial_000 and so on, trained as `did_tf train` does; the next one's settings are proposed by
what the former ones gave (Optuna), and one that is worse than the median of the others at the same place is ended. The
value of a trial is its best validation. Stopped at any moment, the same command goes on. TensorBoard shows all of them:
tensorboard --logdir=RUN, tab HParams.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import contextlib
import functools
import json
import math
import os
import shlex
import time
from pathlib import Path

import tensorflow as tf
from absl import flags

from data_pipelines.remote import is_remote
from did_tf import settings, wiring
from did_tf.common.errors import ConfigError, Failure
from did_tf.common.text import aligned, percent
from did_tf.planning import trying
from did_tf.runs import folds, lock, selection
from did_tf.runs.identity import content_difference, flatten, last_step
from did_tf.runs.run_folder import RunFolder, default_run, read_json
from did_tf.search import space
from did_tf.search.study import DONE, FAILED, FILE, PARTS, PRUNED, RUNNING, Study, Trial

flags.DEFINE_multi_string(
    "over", [], f"A setting that is searched, {space.FORM}, whole where it takes no other numbers; once for each."
)
flags.DEFINE_float(
    "hours",
    None,
    "No trial begins with less than --trial_hours left of so many of search; without these the last one may end long "
    "after. 0: any time.",
)
flags.DEFINE_float("trial_hours", 0.0, "Time of each trial, its train.hours; 0: the experiment's own steps.")
flags.DEFINE_integer("trials", 1000, "How many at most.", lower_bound=1)
FLAGS = flags.FLAGS

POLL = 1.0
RECORD = 60.0
"""Seconds of search that a kill may leave uncounted."""
FAILURES = 3
"""Trials in a row that fail before the search gives up."""


def main() -> None:
    """Runs trials until the time is over, and prints them from best to worst.

    Raises:
      ConfigError: a flag or setting is no good, the folder is of another search, or optuna is not installed.
      Failure: the first trial fails, or several in a row.
    """
    ranges = [space.parse(text) for text in FLAGS.over]
    _check_flags(ranges)
    config = _check_settings(ranges)
    ranges = [one.fitted(functools.partial(settings.may_be, config, one.key)) for one in ranges]
    folder = Path(FLAGS.run or f"{default_run(FLAGS.experiment)}_search")
    _check_folder(folder)
    with lock.held(folder):
        study = _study(folder / FILE, ranges, config)
        _search(study)
    _tell(study)


def _study(path, ranges, config):
    """The search that is recorded in a file, or a new one. Raises `ConfigError` where it is another one."""
    data = FLAGS.data and str(Path(FLAGS.data).absolute())
    facts = {
        "experiment": FLAGS.experiment,
        "data": data,
        "settings": cli.config_arguments(),
        "trial_hours": FLAGS.trial_hours,
        "seed": config["seed"],
    }
    wiring.set_data(config, data)
    defaults = json.loads(json.dumps(cli.defaults(config["model"]["name"])))
    study = Study(path, ranges, facts, flatten(config), flatten(defaults))
    if not study.is_compared:
        print(f"note: {path} is of a version that recorded no settings: whether they are the same is not known")
    return study


def _check_flags(ranges):
    keys = [one.key for one in ranges]
    if not ranges or len({*keys}) < len(keys):
        raise ConfigError(f"--over says what is searched, once for each setting: {space.FORM}")
    if FLAGS.hours is None:
        raise ConfigError("how long do you have? --hours=3; or --hours=0 --trials=20")
    if not FLAGS.hours >= 0 or not FLAGS.trial_hours >= 0:
        raise ConfigError(f"--hours={FLAGS.hours}, --trial_hours={FLAGS.trial_hours}: 0 or more")
    if FLAGS.hours and FLAGS.trial_hours > FLAGS.hours:
        raise ConfigError(f"--trial_hours={FLAGS.trial_hours:g} is more than --hours={FLAGS.hours:g}")
    if FLAGS.trial_hours and "train.hours" in [*keys, *cli.changes(cli.config_arguments())]:
        raise ConfigError(f"train.hours is what --trial_hours={FLAGS.trial_hours:g} sets: leave out one of them")


def _check_settings(ranges):
    """The experiment's settings. Raises `ConfigError` where a value at the end of a range can't be."""
    if not FLAGS.experiment:
        raise ConfigError(f"no experiment given, --experiment=NAME: one of {', '.join(cli.experiment_names())}")
    if cli.is_auto(FLAGS.experiment):
        raise ConfigError(
            f"--experiment={FLAGS.experiment} is planned for one run: did_tf plan --output=plan.py, and search with "
            "--experiment=plan.py"
        )
    nowhere, given = RunFolder(os.devnull), cli.config_arguments()
    ends = [f"--config.{one.key}={text}" for one in ranges for text in one.ends()]
    at_ends = [cli.resolve(FLAGS.experiment, nowhere, [*given, end]) for end in ends]
    config = cli.resolve(FLAGS.experiment, nowhere, given)
    if not config["dataset"]["val_split"]:
        raise ConfigError("dataset.val_split is empty: a search goes by validation")
    _tell_idle([one.key for one in ranges], [config, *at_ends])
    return config


def _tell_idle(searched, configs):
    """A note on each setting, searched or given, that changes no trial, by the settings at all ends of the ranges.

    Raises `ConfigError` where it is all that is searched. Trials use the protocol of validation alone.
    """
    used = [{**one, "evaluate": {**one["evaluate"], "protocols": [one["train"]["validation"]]}} for one in configs]
    task = cli.task_of(configs[0])
    for key in dict.fromkeys([*searched, *cli.changes(cli.config_arguments())]):
        lines = [settings.without_effect(config, [key], task) for config in used]
        if all(lines) and searched == [key]:
            raise ConfigError(f"--over={key}: {lines[-1][0]}")
        if all(lines):
            print(f"note: {lines[-1][0]}")
    if configs[0]["train"]["batch_size"] == "auto":
        print("note: train.batch_size=auto: trials may differ in it, for each takes as many crops as fit then")


def _check_folder(folder):
    if is_remote(FLAGS.run):
        raise ConfigError(f"--run={FLAGS.run}: a search is on this machine; name a folder")
    folds.refuse(folder, "search")
    if RunFolder(folder).config.is_file():
        raise ConfigError(f"{folder} is a run that was trained: pass another --run=dir")


def _search(study):
    while _goes_on(study):
        trial = study.next()
        # Refused as at the start where the experiment was edited meanwhile: a trial reads it anew.
        _study(study.path, study.ranges, cli.resolve(FLAGS.experiment, RunFolder(os.devnull), cli.config_arguments()))
        print(f"trial {trial.number}: {_settings(study, trial)}", flush=True)
        began, before = time.monotonic(), study.seconds
        run = _run(study, trial)
        with _process(study, trial, run) as process:
            while process.poll() is None:
                time.sleep(POLL)
                was, study.seconds = study.seconds, before + time.monotonic() - began
                if study.seconds // RECORD > was // RECORD:
                    study.write()
                if _look(study, trial, run):
                    trial.state, trial.value = PRUNED, max(trial.scores.values())
                    study.write()  # first: stopping takes a while, and whoever goes on after a kill leaves it out
                    trying.stop(process)
        _look(study, trial, run)
        _conclude(study, trial, run, process.returncode)
        _give_up(study)
    if study.is_exhausted():
        print("every combination of the settings was tried")


def _goes_on(study):
    """Whether there is time for one more trial, or one that was stopped."""
    if study.trials and study.trials[-1].state == RUNNING:
        return True
    left = 3600 * FLAGS.hours - study.seconds if FLAGS.hours else math.inf
    is_time = left > 0 and left >= 3600 * FLAGS.trial_hours
    return is_time and len(study.trials) < FLAGS.trials and not study.is_exhausted()


@contextlib.contextmanager
def _process(study, trial, run):
    """The training of a trial, which ends with this process."""
    arguments = [f"--experiment={FLAGS.experiment}", f"--run={run.folder}"]
    arguments += [f"--data={FLAGS.data}"] if FLAGS.data else []
    arguments += [*cli.config_arguments(), *(f"--config.{key}={text}" for key, text in study.texts(trial).items())]
    arguments += [f"--config.train.hours={FLAGS.trial_hours}"] if FLAGS.trial_hours else []
    with _log(run).open("a") as file:
        trying.wait_for(run, file)
        process = trying.begin(arguments, file, file)
        try:
            yield process
        finally:
            trying.stop(process)


def _run(study, trial):
    return RunFolder(study.path.parent / f"trial_{trial.number:03d}")


def _log(run):
    """What the training of a run has said."""
    return Path(f"{run.folder}.log")


def _look(study: Study, trial: Trial, run: RunFolder) -> bool:
    """Enters what the run has reached. Returns whether that is new and hopeless. Raises as `_check_data`."""
    scores: dict[int, float] = {}
    best = 0.0
    for part, score in _validations(run):
        scores[part] = best = max(best, score)
    if scores == trial.scores:
        return False
    _check_data(study, trial, run)
    trial.scores = scores
    study.write()
    return study.is_hopeless(trial)


def _check_data(study, trial, run):
    """Raises `ConfigError` where a trial learns from, or is validated on, other data than those before, which count.

    Its settings may say so themselves where those of the data are searched.
    """
    if any(one.key.startswith("dataset.") for one in study.ranges) or not run.manifest.is_file():
        return
    runs = (_run(study, one) for one in study.trials if one is not trial and one.state in (DONE, PRUNED))
    if not (first := next((one for one in runs if one.manifest.is_file()), None)):
        return
    was, now = read_json(first.manifest), read_json(run.manifest)
    parts = {"training": "data", "validation": "validation"}
    if others := [what for what, key in parts.items() if content_difference(was.get(key), now.get(key))]:
        raise ConfigError(
            f"{run.folder}: the {others[0]} data are not those of {first.folder}, with which it would be compared: put "
            f"them back and delete {run.folder}, or give another --run=dir"
        )


def _validations(run):
    """(part of the trial, score) of each row with a validation."""
    rows = trying.rows_of(run)
    try:
        train = run.settings()["train"] if rows else {}  # its own, for they may be what is searched
    except (ConfigError, OSError):  # it is just being written
        return
    for row in rows:
        found = [float(text) for name, text in row.items() if name.startswith("val_") and text]
        if found:
            yield min(PARTS, round(PARTS * _share(row, train))), found[0]


def _share(row, train):
    """How far a trial is at a row, by its steps or its time, whichever is further on, as its schedule is."""
    of_steps, hours = int(row["step"]) / last_step(train), train.get("hours", 0)
    return max(of_steps, float(row["hours"]) / hours) if hours else of_steps


def _conclude(study, trial, run, status):
    """What has become of a trial."""
    trial.value = max(trial.scores.values(), default=None)
    if status == 0 and trial.value is not None:
        trial.state = DONE
    elif trial.state != PRUNED:
        trial.state, trial.why = FAILED, _last_line(run, status)
    study.write()
    if trial.value is not None:
        _show_in_tensorboard(study, trial, run)
    told = trial.why if trial.state == FAILED or trial.value is None else f"{percent(trial.value)} %"
    print(f"trial {trial.number}: {trial.state}, {told}", flush=True)


def _last_line(run, status):
    said = _log(run).read_text(errors="replace").strip()
    return f"{trying.error_line(said) or said.rpartition(os.linesep)[2]} (exit status {status})"


def _show_in_tensorboard(study, trial, run):
    from tensorboard.plugins.hparams import api

    with tf.summary.create_file_writer(str(run.tensorboard)).as_default():
        api.hparams(study.texts(trial))
        tf.summary.scalar("search/validation", trial.value, step=trial.number)


def _give_up(study):
    """Raises `Failure` where the first trial has failed, or so many in a row."""
    last = [trial.state for trial in study.trials[-FAILURES:]]
    if {*last} == {FAILED} and (len(study.trials) == 1 or len(last) == FAILURES):
        trial = study.trials[-1]
        raise Failure(f"trial {trial.number} failed: {trial.why}; {_log(_run(study, trial))} has all")


def _settings(study, trial):
    return ", ".join(f"{key}={text}" for key, text in study.texts(trial).items())


def _tell(study):
    """All trials, and the command that trains with the best settings."""
    rows = [["trial", "state", "best validation, %", *(one.key for one in study.ranges)]]
    others = [trial for trial in study.trials if trial.state != DONE]
    for trial in [*study.ranked(), *others]:
        score = "-" if trial.value is None else percent(trial.value)
        rows.append([str(trial.number), trial.state, score, *study.texts(trial).values()])
    print(f"\n{len(study.trials)} trials in {study.seconds / 3600:.2f} hours, recorded in {study.path}")
    print(aligned(rows))
    if told := selection.of_several_versions("trials", [_run(study, trial) for trial in study.trials]):
        print(f"note: {told}")
    if not study.ranked():
        print("none is done: give more --hours")
        return
    best = study.ranked()[0]
    of, split = len(study.ranked()), study.settings.get("dataset.val_split", "validation")
    print(f"the best of {of}, chosen on {split}, whose score is favourable for that; with its settings:")
    given = [f"--data={FLAGS.data}"] if FLAGS.data else []
    settings = [f"--config.{key}={text}" for key, text in study.texts(best).items()]
    print(
        shlex.join(["did_tf", "train", f"--experiment={FLAGS.experiment}", *given, *cli.config_arguments(), *settings])
    )


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
