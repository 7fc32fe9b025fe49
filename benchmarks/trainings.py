"""Trainings, and other commands of did_tf, that benchmarks start; and how long they take."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time

from did_tf.cluster import local
from did_tf.common import stopping
from did_tf.common.files import write_json

NEVER = 10**6
"""A step that no run of some minutes comes to."""
RESULT = "result.json"


def train(experiment, data, run, settings, *flags, log=None):
    """`did_tf train` into the folder `run`, with {setting: value} that differ; `log` is as of `did_tf`."""
    given = [f"--config.{key}={value}" for key, value in {"train.progress": False, **settings}.items()]
    did_tf("train", f"--experiment={experiment}", f"--data={data}", f"--run={run}", *flags, *given, log=log)


def did_tf(*arguments, log=None):
    """Runs a command of did_tf; all that it says goes to `log`, a file. Without one only what goes wrong is told.

    Where this process is killed, that one ends too, as far as it is a training: else it would take the next one's time.
    """
    command, environment = [sys.executable, "-m", "did_tf", *arguments], local.environment_of_child()
    subprocess.run(command, check=True, stdout=log or subprocess.DEVNULL, stderr=log, env=environment)


def run_whole(command, **more):
    """As `subprocess.run(command, check=True, **more)`, but all that the command has started ends with it or with us.

    Loaders of its data in processes of their own would go on, and take the next one's time.
    """
    process = subprocess.Popen(command, start_new_session=True, **more)
    try:
        process.wait()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)


def minutes(part, *arguments):
    """That a function takes."""
    began = time.monotonic()
    part(*arguments)
    return (time.monotonic() - began) / 60


def has_result(name, run, make):
    """Whether there is a `RESULT` of a timed run. Where it is missing it is made anew: a part of a time says nothing.

    Args:
      name: to tell.
      run: its folder, which is emptied first; log.txt in it is what was said.
      make: function of that file which gives what the result is. Where a command that it starts fails, that is told;
        a signal that ends this process ends that command.
    """
    if (run / RESULT).is_file():
        return True
    print(f"{name}: {run}", flush=True)
    shutil.rmtree(run, ignore_errors=True)
    run.mkdir(parents=True)
    try:
        with open(run / "log.txt", "w") as log, contextlib.redirect_stdout(log), stopping.leaving():
            result = make(log)
    except subprocess.CalledProcessError:
        print(f"{name} failed: {run / 'log.txt'}", file=sys.stderr)
        return False
    write_json(run / RESULT, result)
    return True


def results(folder):
    """All that are in its folders, in the order of their names."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob(f"*/{RESULT}"))]
