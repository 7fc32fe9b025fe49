"""Trainings, and other commands of did_tf, that benchmarks start."""

import subprocess
import sys

NEVER = 10**6
"""A step that no run of some minutes comes to."""


def train(experiment, data, run, settings, *flags, log=None):
    """`did_tf train` into the folder `run`, with {setting: value} that differ; `log` is as of `did_tf`."""
    given = [f"--config.{key}={value}" for key, value in {"train.progress": False, **settings}.items()]
    did_tf("train", f"--experiment={experiment}", f"--data={data}", f"--run={run}", *flags, *given, log=log)


def did_tf(*arguments, log=None):
    """Runs a command of did_tf; all that it says goes to `log`, a file. Without one only what goes wrong is told."""
    subprocess.run(
        [sys.executable, "-m", "did_tf", *arguments], check=True, stdout=log or subprocess.DEVNULL, stderr=log
    )
