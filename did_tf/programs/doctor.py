"""Says whether all is there that did_tf needs, and what to do about what is not: `did_tf doctor [--experiment=NAME]`.

Looks at Python, TensorFlow, Keras and the packages, the processor and the precision that it gives, GPUs with their
driver and libraries, memory, disk, and the data of an experiment; then it trains a small network on drawn data for ten
seconds on each device. --json prints the same for a bug report. Exit status 1 where something is wrong.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import contextlib
import json
import math
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from absl import flags

import did_tf
from data_pipelines import DataError
from did_tf import wiring
from did_tf.common.errors import ConfigError
from did_tf.programs.health import findings, machine, software, trial
from did_tf.programs.health.findings import GOOD, WRONG, Finding

# One process may import `cost` too, which has flags of these names and kinds.
flags.DEFINE_bool("json", False, "Print JSON, for a bug report.", allow_override=True)
flags.DEFINE_bool("paths", False, "Leave the names of your folders in; else they are . and ~.")
flags.DEFINE_float(
    "seconds", 10.0, "How long to train on each device; 0 for not at all.", lower_bound=0.0, allow_override=True
)
FLAGS = flags.FLAGS


def main() -> None:
    """Looks at everything and prints what was found.

    Raises:
      ConfigError: the experiment that is given is none, there is none for --data or settings, or --seconds no number.
      SystemExit: 1, where something is wrong.
    """
    if not math.isfinite(FLAGS.seconds):
        raise ConfigError(f"--seconds={FLAGS.seconds}: it must be a number")
    if not FLAGS.experiment and (FLAGS.data or cli.config_arguments()):
        raise ConfigError(
            "--data and settings are looked at as an experiment has them: give --experiment (make: EXP), did_folders "
            "for your own data"
        )
    found = []
    with contextlib.redirect_stdout(sys.stderr) if FLAGS.json else contextlib.nullcontext():  # notes are no JSON
        for one in _look():
            found.append(one)
            if not FLAGS.json:
                print(_told(findings.table([one])), flush=True)
    if FLAGS.json:
        print(_told(json.dumps(findings.report(found, did_tf.__version__), indent=2)))
    elif findings.healthy(found):
        print("\nall is well")
    else:
        print(f"\n{sum(one.state == WRONG for one in found)} of {len(found)} are wrong")
    if not findings.healthy(found):
        raise SystemExit(1)


def _look() -> Iterator[Finding]:
    config, run = cli.chosen() if FLAGS.experiment else (None, None)
    yield from software.look()
    folder = FLAGS.data or (config and wiring.folder_of(config))
    folders = {"disk, run": run.folder if run else Path(FLAGS.run or "runs")}
    yield from machine.look({**folders, "disk, temporary": Path(tempfile.gettempdir())})
    if config:
        yield _data(config, folder)
    if FLAGS.seconds:
        yield from trial.look(FLAGS.seconds)


def _data(config, folder):
    """Whether the data of the experiment are there, and how many samples."""
    name, facts = config["dataset"]["name"], {"dataset": config["dataset"]["name"], "folder": str(folder)}
    try:
        dataset = wiring.make_dataset(config)
        splits = [*config["dataset"]["train_split"].split("+"), *filter(None, [config["dataset"]["val_split"]])]
        counts = {split: len(dataset.samples(split)) for split in dict.fromkeys(splits)}
    except DataError as error:
        return Finding("data", WRONG, str(error), facts=facts)  # which says what to do
    told = ", ".join(f"{count} samples in {split}" for split, count in counts.items())
    return Finding("data", GOOD, f"{name}: {told}; `did_tf check-data` reads them all", facts={**facts, **counts})


def _told(text):
    return text if FLAGS.paths else findings.without_places(text)


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
