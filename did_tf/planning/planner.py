"""A plan, from looking at the data to the settings: over content, machine, choices and short trainings."""

from __future__ import annotations

import copy
import functools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf
from tensorflow import keras

from data_pipelines.spec import AbsentSplit, Dataset, DatasetSpec
from did_tf import wiring
from did_tf.analysis.measures import multiply_adds
from did_tf.analysis.room import Need
from did_tf.common.errors import Failure
from did_tf.common.files import write_file
from did_tf.planning import choices, content, experiment, trying
from did_tf.planning.choices import Choice, Network, Pace
from did_tf.planning.content import Content
from did_tf.planning.machine import Machine
from did_tf.wiring import Config

START = 600.0
"""Seconds until a training that is measured must have made its first steps."""
MEASURING = 0.03
"""Share of the hours after which no further measurement begins; the first is always made."""
FEW_CORES = 4
"""Up to so many, as many parts of a batch as cores are mostly faster than one: they are measured first, where the batch
allows them."""
STOPPED = (0, 143, -15)


class Planner:
    """One plan: the data, the machine, and what networks cost on them.

    Args:
      config: all settings, of which the section `dataset` says what the plan is for.
      place: the machine that it is for.

    Attributes:
      assumed: `Pace` of the machine, where it is not measured.

    Raises:
      ConfigError: the data are no good for a plan.
      DataError: a file of them is no good.
    """

    def __init__(self, config: Config, place: Machine) -> None:
        self.config, self.machine = config, place
        dataset = wiring.make_dataset(config)
        dataset.check_statistics(progress=True)
        self.spec: DatasetSpec = dataset.spec
        self.content: Content = content.look(dataset, "train", _val_split(dataset), progress=True)
        self.assumed = Pace(place.rate, 1, "")
        self._widest = math.inf
        self._model = functools.cache(self._build)
        self._need = functools.cache(self._reckoned)

    def network(self, hours: float, pace: Pace) -> Network:
        """What is trained. Raises `ConfigError` where nothing fits into the memory."""
        return choices.network(self.content, self.machine, hours, self, pace, self._widest)

    def choices(self, hours: float, found: Network, pace: Pace) -> list[Choice]:
        """All settings."""
        dataset = self.config["dataset"]
        of_data = [Choice("dataset.name", dataset["name"], f"{self.content.images} images to train on")]
        if dataset["folder"]:
            of_data.append(Choice("dataset.folder", dataset["folder"], "as it was given; --data names another"))
        return [*of_data, *choices.choose(self.content, self.machine, hours, found, pace)]

    def measured(self, hours: float, seconds: float) -> Pace:
        """How fast this machine trains what is planned with the speed that is assumed, and then with that measured.

        Args:
          hours: of the training, of which measuring takes a small share.
          seconds: of training in each measurement; 0: nothing is measured.

        Raises:
          ConfigError: no network fits into the memory.
          Failure: the training that is measured goes wrong.
        """
        pace, until = self.assumed, time.monotonic() + 3600 * MEASURING * hours
        paces: dict[tuple[object, ...], Pace] = {}
        while seconds and (found := self.network(hours, pace))[:3] not in paces:
            if paces and time.monotonic() > until:
                return pace
            pace = paces[found[:3]] = max(self._paces(hours, found, seconds, until), key=lambda pace: pace.rate)
            if (fits := self.network(hours, pace).growth) < found.growth:
                self._widest = fits  # what was too slow when it was measured is not chosen by another's speed
        return paces.get(found[:3], pace) if seconds else pace

    def facts(self, found: Network, pace: Pace) -> list[str]:
        """What was found, in lines."""
        one = self.content
        shares = ", ".join(f"{name} {share:.1%}" for name, share in one.shares.items())
        seconds = choices.evaluation_seconds(one, found) * self.machine.in_float32
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

    def _reckoned(self, growth: int, side: int) -> Need:
        config = copy.deepcopy(self.config)
        config["data"]["crop"] = (side, side)
        supervision = wiring.make_supervision(config, tf.distribute.get_strategy(), self._model(growth))
        return wiring.memory_needed(config, supervision, self.machine.devices)

    def _paces(self, hours, found, seconds, until):
        """`Pace` of a network, on few cores with as many parts as these; and with one part, unless time is over."""
        few = not self.machine.gpus and 1 < self.machine.cores <= FEW_CORES
        allowed = few and found.batch.allows(self.machine.cores)
        several = [self.machine.cores] if allowed else []
        for parts in (*several, 1):
            if parts == 1 and several and time.monotonic() > until:
                return
            pace = Pace(self.assumed.rate, parts, "")
            rate = self._rate(hours, found._replace(parts=parts), pace, seconds)
            yield pace._replace(rate=rate, measured=f"measured with growth {found.growth}")

    def _rate(self, hours, found, pace, seconds):
        """Multiply-adds a second of a real training, as if without `train.recompute`. Raises `Failure`."""
        chosen = self.choices(hours, found, pace)
        told = f"DID, growth {found.growth}, {found.batch_size} crops of {found.side}x{found.side}, parts {found.parts}"
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
        speeds = _speeds(tried.rows)
        if tried.status not in STOPPED or not speeds:
            raise Failure(f"the training that was to be measured failed: {tried.error or 'it made no steps'}")
        crops = statistics.median(speeds)
        print(choices.speed(crops), file=sys.stderr)
        slower = choices.RECOMPUTING if found.recompute else 1
        return crops * slower * self.multiply_adds(found.growth, found.side)


def _speeds(rows: Sequence[dict[str, str]]) -> list[float]:
    """Images a second of each step but the first, in which TensorFlow builds the graph."""
    return [float(row["images_per_second"]) for row in rows[1:] if row.get("images_per_second")]


def _val_split(dataset: Dataset) -> str:
    """ "val", or nothing where there is none."""
    try:
        return "val" if "val" in dataset.spec.splits and dataset.samples("val") else ""
    except AbsentSplit:
        return ""
