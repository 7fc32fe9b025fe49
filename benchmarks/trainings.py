"""Trainings of did_tf that benchmarks start, each by its own command."""

import subprocess
import sys

NEVER = 10**6
"""A step that no run of some minutes comes to."""


def train(experiment, data, run, settings, *flags, log=None):
    """`did_tf train` into the folder `run`, with {setting: value} that differ; all that it says goes to `log`, a file.

    Without one only what goes wrong is told.
    """
    given = [f"--config.{key}={value}" for key, value in {"train.progress": False, **settings}.items()]
    command = [sys.executable, "-m", "did_tf", "train", f"--experiment={experiment}", f"--data={data}", f"--run={run}"]
    subprocess.run([*command, *flags, *given], check=True, stdout=log or subprocess.DEVNULL, stderr=log)
