"""Trains an experiment: `did_tf train --experiment=did_camvid [--run=dir] [--config.train.steps=100]`.

Run again with the same run folder it goes on where it stopped.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import itertools
import shlex
from pathlib import Path

from did_tf import wiring
from did_tf.common.errors import Failure
from did_tf.programs.cli import FLAGS
from did_tf.runs import lock
from did_tf.runs.run_folder import RunFolder
from did_tf.training.health import TrainingFailed

GENTLER = 10
"""What the learning rate is divided by in the command that is proposed after a failure."""


def main(config: wiring.Config, run: RunFolder) -> None:
    """Trains `config` into `run` and prints the best score of its validation.

    Raises:
      ConfigError, DataError: as `wiring.make_trainer` says, or another process trains into this run.
      Failure: the training went wrong; the message has a command that goes on with gentler settings.
      SystemExit: a signal stopped it, after a checkpoint; the status is 128 plus the signal's number.
    """
    with lock.held(run.folder):
        _train(config, run)


def _train(config, run):
    trainer = wiring.make_trainer(config, run)
    if int(trainer.step) >= trainer.steps:
        print(f"it has all of its {trainer.steps} steps: --config.train.extend=N adds N more to train.steps")
    try:
        best = trainer.fit()
    except TrainingFailed as error:
        raise Failure(f"{error}. Go on gently in another run: {_gentler(config, run, error.checkpoint)}") from error
    score = next(iter(trainer.validation.scores.values()))
    print(f"done: {run.folder}" + (f", best validation {score} {100 * best:.2f} %" if best is not None else ""))


def _gentler(config, run, checkpoint):
    """The command line that was given, with another run folder, the last good weights, and gentler settings."""
    settings = {argument.partition("=")[0]: argument for argument in cli.config_arguments()}
    changes = {
        "schedule.learning_rate": config["schedule"]["learning_rate"] / GENTLER,
        "optimizer.clip_norm": config["optimizer"]["clip_norm"] or 1.0,
    }
    if run.settings()["train"]["precision"] == "float16":
        changes["train.precision"] = "float32"
    if checkpoint:
        changes.update({"train.init": checkpoint, "train.encoder": ""})
    settings.update({f"--config.{key}": f"--config.{key}={value}" for key, value in changes.items()})
    data = [f"--data={FLAGS.data}"] if FLAGS.data else []
    flags = [f"--experiment={FLAGS.experiment}", f"--run={_another(run.folder)}", *data]
    return shlex.join(["did_tf", "train", *flags, *settings.values()])


def _another(folder):
    """A folder beside `folder` that is not there: FOLDER_2, FOLDER_3, ..."""
    names = (Path(f"{folder}_{number}") for number in itertools.count(2))
    return next(name for name in names if not name.exists())


def launch() -> None:
    """What the command line starts."""
    cli.run(main)
