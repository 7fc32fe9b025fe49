"""Trains an experiment: `did_tf train --experiment=did_camvid [--run=dir] [--config.train.steps=100]`.

Run again with the same run folder it goes on where it stopped.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

from did_tf import wiring
from did_tf.runs.run_folder import RunFolder


def main(config: wiring.Config, run: RunFolder) -> None:
    """Trains `config` into `run` and prints the best score of its validation.

    Raises:
      ConfigError, DataError, ValueError: as `wiring.make_trainer` says.
      TrainingFailed: the loss is not finite.
      SystemExit: a signal stopped it, after a checkpoint; the status is 128 plus the signal's number.
    """
    trainer = wiring.make_trainer(config, run)
    best = trainer.fit()
    score = next(iter(trainer.validation.scores.values()))
    print(f"done: {run.folder}" + (f", best validation {score} {100 * best:.2f} %" if best is not None else ""))


def launch() -> None:
    """What the command line starts."""
    cli.run(main)
