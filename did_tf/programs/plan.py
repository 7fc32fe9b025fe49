"""Plans a training on your data for the time that you have: `did_tf plan --data=DIR --hours=2 [--output=plan.py]`.

Looks at the data (sizes, bands, classes and how rare they are, objects) and at this machine (cores or GPUs, precision,
memory), measures for some seconds how fast it trains, and writes an experiment that a person can read and change, with
the reason above each setting. Then: did_tf train --experiment=plan.py. `did_tf train --experiment=auto --data=DIR
--hours=2` does both. --experiment=auto:camvid plans for another data set than a user's own. --machine=cores:8,memory:32
or gpus:8,memory:80 (GiB; of each GPU) plans for a machine that is not at hand, whose speed is assumed.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import time
from pathlib import Path

from absl import flags

from data_pipelines.remote import is_remote
from data_pipelines.writing import check_writable
from did_tf.cluster import local
from did_tf.common import stopping
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_file
from did_tf.planning import choices, experiment, machine
from did_tf.planning.planner import Planner

flags.DEFINE_float("hours", None, "How long the training may take, with its validations.")
flags.DEFINE_string("output", "plan.py", "The experiment file that is written.")
flags.DEFINE_string(
    "machine", None, "Another machine: cores:8,memory:32 or gpus:1,memory:24 (GiB), and precision:NAME."
)
flags.DEFINE_float("seconds", 20.0, "Of training for each measurement; 0: speed is assumed.", lower_bound=0.0)
flags.DEFINE_bool("planning_counts", False, "Take what planning takes off the hours.")
flags.DEFINE_bool("overwrite", False, "Replace an --output that is there.")
FLAGS = flags.FLAGS
SETTINGS = False
"""See `cli.SETTINGS`."""

MOST_HOURS = 10_000


def main() -> None:
    """Plans and writes the experiment, and prints it.

    Raises:
      ConfigError: hours that are no number above 0 or too few, an output that is there, a data set that is no good for
        a plan, or no network fits into the memory.
      DataError: a file of the data set is no good, or the output can't be written.
      Failure: the training that is measured went wrong.
      SystemExit: a signal stopped it.
    """
    began, output = time.monotonic(), Path(FLAGS.output)
    _check_flags(output)
    local.end_with_starter()
    planner = Planner(_config(), machine.described(FLAGS.machine) if FLAGS.machine else machine.here())
    with stopping.leaving():
        pace = planner.measured(FLAGS.hours, FLAGS.seconds) if planner.machine.is_here else planner.assumed
    hours = max(0.0, FLAGS.hours - (time.monotonic() - began) / 3600 * FLAGS.planning_counts)
    found = planner.network(hours, pace)
    choices.check_time(planner.content, found, FLAGS.hours, hours)
    chosen = planner.choices(hours, found, pace)
    facts = planner.facts(found, pace)
    if output.exists() and not FLAGS.overwrite:
        raise ConfigError(f"another process has written {output} meanwhile: train by it (auto: the same command does)")
    write_file(output, experiment.text(_title(), facts, FLAGS.hours, chosen).encode())
    print(*facts, "", experiment.table(chosen), "", f"written: {output}", sep="\n")
    if not FLAGS.planning_counts:
        print(f"next: did_tf train --experiment={output}")


def _check_flags(output):
    if FLAGS.hours is None or not 0 < FLAGS.hours <= MOST_HOURS:
        raise ConfigError(f"--hours={FLAGS.hours}: how long do you have? A number above 0, and at most {MOST_HOURS}")
    if FLAGS.planning_counts and not FLAGS.machine and 3600 * FLAGS.hours <= FLAGS.seconds:
        raise ConfigError(f"--hours={FLAGS.hours:g}: planning alone takes some {FLAGS.seconds:g} seconds and more")
    if output.suffix != ".py":
        raise ConfigError(f"--output={output}: an experiment is a .py file")
    if output.exists() and not FLAGS.overwrite:
        raise ConfigError(f"{output} is there: give another --output, or --overwrite")
    check_writable(output.parent, "give another --output=plan.py")
    if FLAGS.experiment and not cli.is_auto(FLAGS.experiment):
        raise ConfigError(f"--experiment={FLAGS.experiment} has its settings; what is planned is auto or auto:DATASET")
    if cli.config_arguments():
        raise ConfigError(f"{cli.config_arguments()[0]}: change the file that is written, or give it to train")
    if is_remote(FLAGS.data):
        raise ConfigError(f"--data={FLAGS.data}: a plan looks at files; name a folder of this machine")


def _config():
    """All defaults, with the data set."""
    config = cli.defaults("did")
    folder = str(Path(FLAGS.data).absolute()) if FLAGS.data else ""
    config["dataset"].update(name=cli.planned_dataset(FLAGS.experiment), folder=folder)
    return config


def _title():
    return f"Planned by `did_tf plan` for {FLAGS.hours:g} hours of training; change what you know better."


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
