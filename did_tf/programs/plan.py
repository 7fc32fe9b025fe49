"""Plans a training on your data for the time that you have: `did_tf plan --data=DIR --hours=2 [--output=plan.py]`.

Looks at the data (sizes, bands, classes and how rare they are, objects) and at this machine (cores or GPUs, precision,
memory), measures for some seconds how fast it trains, and writes an experiment that a person can read and change, with
the reason above each setting. Then: did_tf train --experiment=plan.py. `did_tf train --experiment=auto --data=DIR
--hours=2` does both. --experiment=auto:camvid plans for another data set than a user's own. --machine=cores:8,memory:32
or gpus:8,memory:80 (GiB; of each GPU) plans for a machine that is not at hand, whose speed is assumed.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import copy
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from absl import flags
from tensorflow import keras

from data_pipelines.remote import is_remote
from data_pipelines.spec import AbsentSplit, Dataset, DatasetSpec
from did_tf import wiring
from did_tf.analysis.measures import multiply_adds
from did_tf.analysis.room import Need
from did_tf.common.errors import ConfigError, Failure
from did_tf.common.files import write_file
from did_tf.planning import choices, content, experiment, machine, trying
from did_tf.planning.choices import Choice, Network, Pace
from did_tf.planning.content import Content
from did_tf.planning.machine import Machine
from did_tf.wiring import Config

flags.DEFINE_float("hours", None, "How long the training may take, with its validations.")
flags.DEFINE_string("output", "plan.py", "The experiment file that is written.")
flags.DEFINE_string(
    "machine", None, "Another machine: cores:8,memory:32 or gpus:1,memory:24 (GiB), and precision:NAME."
)
flags.DEFINE_float("seconds", 20.0, "Of training for each measurement; 0: speed is assumed.", lower_bound=0.0)
flags.DEFINE_bool("planning_counts", False, "Take what planning takes off the hours.")
flags.DEFINE_bool("overwrite", False, "Replace an --output that is there.")
FLAGS = flags.FLAGS

START = 600.0
"""Seconds until a training that is measured must have made its first steps."""
MOST_HOURS = 10_000
FEW_CORES = 4
"""Up to so many, as many parts of a batch as cores may be faster than one: that is measured."""
STOPPED = (0, 143, -15)


def main() -> None:
    """Plans and writes the experiment, and prints it.

    Raises:
      ConfigError: hours that are no number above 0 or too few, an output that is there, a data set that is no good for
        a plan, or no network fits into the memory.
      DataError: a file of the data set is no good.
      Failure: the training that is measured went wrong.
    """
    began, output = time.monotonic(), Path(FLAGS.output)
    _check_flags(output)
    planner = _Planner(_config(), machine.described(FLAGS.machine) if FLAGS.machine else machine.here())
    pace = planner.measured(FLAGS.hours, FLAGS.seconds) if planner.machine.is_here else planner.assumed
    hours = max(0.0, FLAGS.hours - (time.monotonic() - began) / 3600 * FLAGS.planning_counts)
    found = planner.network(hours, pace)
    choices.check_time(found, hours)
    chosen = planner.choices(hours, found, pace)
    facts = planner.facts(found, pace)
    write_file(output, experiment.text(_title(), facts, FLAGS.hours, chosen).encode())
    print(*facts, "", experiment.table(chosen), "", f"written: {output}", sep="\n")
    if not FLAGS.planning_counts:
        print(f"next: did_tf train --experiment={output}")


def _check_flags(output):
    if FLAGS.hours is None or not 0 < FLAGS.hours <= MOST_HOURS:
        raise ConfigError(f"--hours={FLAGS.hours}: how long do you have? A number above 0, and at most {MOST_HOURS}")
    if output.suffix != ".py":
        raise ConfigError(f"--output={output}: an experiment is a .py file")
    if output.exists() and not FLAGS.overwrite:
        raise ConfigError(f"{output} is there: give another --output, or --overwrite")
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


class _Planner:
    """One plan: the data, the machine, and what networks cost on them."""

    def __init__(self, config: Config, place: Machine) -> None:
        self.config, self.machine = config, place
        dataset = wiring.make_dataset(config)
        dataset.check_statistics(progress=True)
        self.spec: DatasetSpec = dataset.spec
        self.content: Content = content.look(dataset, "train", _val_split(dataset), progress=True)
        self.assumed = Pace(place.rate, 1, "")
        self._model = functools.lru_cache(self._build)

    def network(self, hours: float, pace: Pace) -> Network:
        """What is trained. Raises `ConfigError`."""
        return choices.network(self.content, self.machine, hours, self, pace)

    def choices(self, hours: float, found: Network, pace: Pace) -> list[Choice]:
        """All settings."""
        dataset = self.config["dataset"]
        of_data = [Choice("dataset.name", dataset["name"], f"{self.content.images} images to train on")]
        if dataset["folder"]:
            of_data.append(Choice("dataset.folder", dataset["folder"], "as it was given; --data names another"))
        return [*of_data, *choices.choose(self.content, self.machine, hours, found, pace)]

    def measured(self, hours: float, seconds: float) -> Pace:
        """How fast this machine trains what is planned with the speed that was assumed, and then with that measured."""
        pace, tried = self.assumed, set()
        while seconds and (found := self.network(hours, pace))[:3] not in tried:
            tried.add(found[:3])
            pace = max(self._paces(hours, found, seconds), key=lambda pace: pace.rate)
        return pace

    def facts(self, found: Network, pace: Pace) -> list[str]:
        """What was found, in lines."""
        one = self.content
        shares = ", ".join(f"{name} {share:.1%}" for name, share in one.shares.items())
        seconds = choices.evaluation_seconds(one, found)
        how = pace.measured or "assumed, not measured"
        return [
            f"Data: {one.images} images to train on and {one.val_images} to validate on, {one.height}x{one.width} "
            f"(median), {self.spec.bands} bands of {self.spec.dtype}; of {one.looked_at} labels: {shares}.",
            f"Machine: {self.machine.told()}.",
            f"Expected: {found.steps:,} steps of {found.batch_size} crops, {choices.speed(found.crops)} ({how}); "
            f"an evaluation of whole images then takes about {choices.duration(seconds)}.",
        ]

    def multiply_adds(self, growth: int, side: int) -> int:
        """As `choices.Costs`."""
        return multiply_adds(self._model(growth), side, side)

    def memory(self, growth: int, side: int, **train: object) -> float:
        """As `choices.Costs`."""
        need = self._need(growth, side)(**train)
        return need.on_gpu / self.machine.devices if self.machine.gpus else need.total

    def _build(self, growth: int) -> keras.Model:
        changes = {"growth": growth, "dropout": 0.2, "use_bias": False}
        return wiring.make_model(self.config, self.spec, self.machine.precision, changes)

    def _need(self, growth: int, side: int) -> Need:
        config = copy.deepcopy(self.config)
        config["data"]["crop"] = (side, side)
        supervision = wiring.make_supervision(config, tf.distribute.get_strategy(), self._model(growth))
        return wiring.memory_needed(config, supervision, self.machine.devices)

    def _paces(self, hours, found, seconds):
        """`Pace` of a network, with one part, and on few cores with as many parts as these."""
        few = not self.machine.gpus and 1 < self.machine.cores <= FEW_CORES
        several = [self.machine.cores] if few and found.batch_size % self.machine.cores == 0 else []
        for parts in (1, *several):
            pace = Pace(self.assumed.rate, parts, "")
            yield pace._replace(rate=self._rate(hours, found, pace, seconds), measured="measured")

    def _rate(self, hours, found, pace, seconds):
        """Multiply-adds a second of a real training. Raises `Failure`."""
        chosen = self.choices(hours, found, pace)
        told = f"DID, growth {found.growth}, {found.batch_size} crops of {found.side}x{found.side}, parts {pace.parts}"
        print(f"measuring: {told} ...", end=" ", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(prefix="did_tf_plan_") as folder:
            file = Path(folder, "plan.py")
            write_file(file, experiment.text("Measured.", [], hours, chosen).encode())
            changes: dict[str, object] = {
                "train.hours": 0,
                "train.log_every": 2,
                "train.validate_every": 10**6,
                "train.progress": False,
            }
            changes |= {"train.steps": 10**6, "train.checkpoint_every": 10**6, "dataset.val_split": ""}
            arguments = [f"--experiment={file}", *(f"--config.{key}={value}" for key, value in changes.items())]
            tried = trying.train(arguments, Path(folder), START, seconds)
        if tried.status not in STOPPED or len(tried.rows) < 2:
            raise Failure(f"the training that was to be measured failed: {tried.error or 'it made no steps'}")
        crops = statistics.median(_speeds(tried.rows))
        print(choices.speed(crops), file=sys.stderr)
        return crops * self.multiply_adds(found.growth, found.side)


def _speeds(rows: Sequence[dict[str, str]]) -> list[float]:
    """Images a second of each step but the first, in which TensorFlow builds the graph."""
    return [float(row["images_per_second"]) for row in rows[1:] if row.get("images_per_second")]


def _val_split(dataset: Dataset) -> str:
    """ "val", or nothing where there is none."""
    try:
        return "val" if "val" in dataset.spec.splits and dataset.samples("val") else ""
    except AbsentSplit:
        return ""


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
