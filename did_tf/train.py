"""Trains an experiment: `python -m did_tf.train --experiment=did_camvid [--run=dir] [--config.train.steps=100]`.

Run again with the same run folder it goes on where it stopped.
"""

from did_tf import cli  # isort: skip (first, it quietens TensorFlow)

from did_tf.training import Trainer


def main(config, run):
    """Trains `config` into `run`."""
    trainer = Trainer(config, run)
    best = trainer.fit()
    score = next(iter(trainer.validation.scores.values()))
    print(f"done: {run.folder}" + (f", best validation {score} {100 * best:.2f} %" if best is not None else ""))


if __name__ == "__main__":
    cli.run(main)
