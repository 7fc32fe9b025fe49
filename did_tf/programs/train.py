"""Trains an experiment: `did_tf train --experiment=did_camvid [--run=dir] [--config.train.steps=100]`.

Run again with the same run folder it goes on where it stopped. --workers=2 trains with as many processes on this host;
--workers=slurm and --workers=kubernetes, or TF_CONFIG, say that this is one of several that were started elsewhere.
--experiment=auto --data=dir --hours=2 plans a training on your own data for this machine and that time first.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import contextlib
import itertools
import os
import shlex
import sys
from pathlib import Path

import tensorflow as tf
from absl import flags

from did_tf import wiring
from did_tf.cluster import local, places
from did_tf.cluster.workers import loss_told
from did_tf.common.errors import ConfigError, Failure
from did_tf.programs.auto import ensure_plan
from did_tf.programs.cli import FLAGS
from did_tf.runs import checkpoints, folds, lock
from did_tf.runs.run_folder import RunFolder, default_run
from did_tf.search import study
from did_tf.training.health import TrainingFailed

flags.DEFINE_string("workers", None, "How many processes on this host train together; or slurm or kubernetes.")
flags.DEFINE_float("hours", None, "Of --experiment=auto: how long it may take, with what planning takes.")
GENTLER = 10
"""What the learning rate is divided by in the command that is proposed after a failure."""


def main(config: wiring.Config, run: RunFolder) -> None:
    """Trains `config` into `run` and prints the best score of its validation.

    Raises:
      ConfigError, DataError: as `wiring.make_trainer` says, or another process trains into this run, or it is of a
        cross-validation or a search.
      Failure: the training went wrong; the message has a command that goes on with gentler settings. Or another worker
        is gone.
      SystemExit: a signal stopped it, after a checkpoint; the status is 128 plus the signal's number.
    """
    _check_is_run(run)
    with _own(run) as own, loss_told():
        _train(config, own)


def _check_is_run(run):
    """Raises `ConfigError` where the folder has something else, whose parts are runs."""
    folds.refuse(run.folder, "train")
    study.refuse(run.folder, "train")


@contextlib.contextmanager
def _own(run):
    """The run folder, held, for the chief; other workers have none, write nothing, and print nothing."""
    if places.is_chief(os.environ):
        with _mirrored(run), lock.held(run.folder):
            yield run
        return
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        # There can be no such folder: its files are missing, as of a run that begins, and can't be made.
        yield RunFolder(Path(os.devnull, run.folder.name), run.experiment, run.defaults)


def _mirrored(run):
    return run.mirror.trained() if run.mirror else contextlib.nullcontext()


def _train(config, run):
    trainer = wiring.make_trainer(config, run)
    if int(trainer.step) >= trainer.steps:
        print(_ended(trainer))
    try:
        best = trainer.fit()
    except TrainingFailed as error:
        raise Failure(f"{error}. Go on gently in another run: {_gentler(config, trainer, error.checkpoint)}") from error
    except OSError as error:
        saved = [0, *map(checkpoints.step_of, checkpoints.saved_steps(run.checkpoints))]
        raise Failure(f"{error}; once that is mended the same command goes on from step {saved[-1]}") from error
    score = next(iter(trainer.validation.scores.values()))
    print(f"done: {run.name}" + (f", best validation {score} {100 * best:.2f} %" if best is not None else ""))


def _ended(trainer):
    """What to say of a run that has come to its end already."""
    if trainer.ended:
        return f"it has ended at step {trainer.steps}: {trainer.ended.reason}; {trainer.ended.way_on}"
    return f"it has all of its {trainer.steps} steps: --config.train.extend=N adds N more to train.steps"


def _gentler(config, trainer, checkpoint):
    """The command line that was given, with another run folder, the last good weights, and gentler settings."""
    settings = {argument.partition("=")[0]: argument for argument in cli.config_arguments()}
    changes = {
        "schedule.learning_rate": config["schedule"]["learning_rate"] / GENTLER,
        "optimizer.clip_norm": config["optimizer"]["clip_norm"] or 1.0,
    }
    if trainer.settings["precision"] == "float16":
        changes["train.precision"] = "float32"
    if checkpoint:
        changes.update({"train.init": checkpoint, "train.encoder": ""})
    settings.update({f"--config.{key}": f"--config.{key}={value}" for key, value in changes.items()})
    data = [f"--data={FLAGS.data}"] if FLAGS.data else []
    name = trainer.run.plan if cli.is_auto(FLAGS.experiment) else FLAGS.experiment  # the other run has no plan
    flags = [f"--experiment={name}", f"--run={_another(trainer.run)}", *data, *_workers()]
    return shlex.join(["did_tf", "train", *flags, *settings.values()])


def _workers():
    """The flag --workers as it was given: of this host's workers each has one of its own, which says 1."""
    place = places.of_tensorflow(os.environ)
    given = len(place.addresses) if place and local.STARTED_BY in os.environ else FLAGS.workers
    return [f"--workers={given}"] if given else []


def _another(run):
    """A folder beside a run's that is not there: FOLDER_2, FOLDER_3, ..."""
    names = (f"{run.name}_{number}" for number in itertools.count(2))
    return next(name for name in names if run.mirror or not Path(name).exists())


def _start():
    """Trains, or starts the workers that do and ends as they do."""
    how = FLAGS.workers or "1"
    _plan()
    if how.isdecimal() and int(how) > 1:
        raise SystemExit(local.run(_command(), int(how), _gpus()))
    if how != "1":
        os.environ[places.VARIABLE] = places.of(how, os.environ).text()
    local.end_with_starter()
    main(*cli.chosen())


def _plan():
    """Has a run of `cli.AUTO` planned, by the first process of a training."""
    if not cli.is_auto(FLAGS.experiment):
        if FLAGS.hours is not None:
            raise ConfigError(f"--hours={FLAGS.hours:g} is for --experiment=auto; for others: --config.train.hours")
        return
    if (FLAGS.workers or "1").isdecimal() and not places.of_tensorflow(os.environ):
        run = wiring.open_run(FLAGS.run or default_run(FLAGS.experiment))
        _check_is_run(run)
        ensure_plan(FLAGS.experiment, run, FLAGS.data, FLAGS.hours)


def _command():
    """What each worker of this host runs."""
    if places.of_tensorflow(os.environ):
        raise ConfigError(f"--workers={FLAGS.workers}: {places.VARIABLE} names the workers already; unset one of both")
    return [sys.executable, "-m", "did_tf", "train", *sys.argv[1:], "--workers=1"]  # the last one counts


def _gpus():
    """How many GPUs the workers of this host share."""
    settings = dict(argument.partition("=")[::2] for argument in cli.config_arguments())
    return 0 if settings.get("--config.train.devices") == "cpu" else len(tf.config.list_physical_devices("GPU"))


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(_start, sys.modules[__name__])
