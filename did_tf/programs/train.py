"""Trains an experiment: `did_tf train --experiment=did_camvid [--run=dir] [--config.train.steps=100]`.

Run again with the same run folder it goes on where it stopped.
"""

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

from did_tf import wiring


def main(config, run):
    """Trains `config` into `run`."""
    trainer = wiring.make_trainer(config, run)
    best = trainer.fit()
    score = next(iter(trainer.validation.scores.values()))
    print(f"done: {run.folder}" + (f", best validation {score} {100 * best:.2f} %" if best is not None else ""))


def launch():
    """What the command line starts."""
    cli.run(main)
