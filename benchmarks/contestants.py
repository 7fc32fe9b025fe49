"""Who takes part in `benchmarks.comparison`: trainings of did_tf, and programs of others in their own environments."""

import dataclasses
import json
import os
import time
from pathlib import Path

import did_tf
from benchmarks import trainings
from benchmarks.peers import contest
from benchmarks.peers.environments import python_of
from benchmarks.turns import ROOT
from data_pipelines.memory import cores
from did_tf import api, wiring
from did_tf.analysis import measures
from did_tf.common import processor
from did_tf.runs.run_folder import RunFolder, read_json

AUTO = "auto"
BESIDE, PLANNING = 12.0, 6.0
"""Seconds that `train.hours` does not count, of a process of did_tf: to start, and to end; and of one that plans."""


@dataclasses.dataclass(frozen=True)
class Task:
    """What every contestant is given.

    Attributes:
      dataset: its name, in did_tf.
      source: folder of its files, for did_tf.
      data: folder of the same as plain files, see `neutral.export`.
      minutes: that the training may take, from the start of its process to its end.
      seed: of all that is drawn.
    """

    dataset: str
    source: str
    data: Path
    minutes: float
    seed: int


@dataclasses.dataclass(frozen=True)
class Own:
    """A training of did_tf: of an experiment, or of what it plans for the data, the machine and the time.

    Nothing is validated meanwhile, as of all others.
    """

    experiment: str

    def install(self):
        """It is there."""

    def prepare(self, task, run, log):
        """Nothing: to plan is a part of the training."""

    def train(self, task, run, log):
        hours = (60 * task.minutes - BESIDE - PLANNING * (self.experiment == AUTO)) / 3600
        settings = {"seed": task.seed, "dataset.val_split": ""}
        if self.experiment == AUTO:
            trainings.train(f"{AUTO}:{task.dataset}", task.source, run, settings, f"--hours={hours:.6f}", log=log)
            return
        never = {f"train.{key}": trainings.NEVER for key in ("steps", "validate_every")}
        settings = {**settings, **never, "train.hours": f"{hours:.6f}"}
        trainings.train(self.experiment, task.source, run, settings, log=log)

    def label(self, task, run, log):
        network = did_tf.load(run)
        for path in contest.files(task.data, "val", "images"):
            contest.write(run / "labels" / path.name, network.see(*network.measured(contest.read(path))))

    def trained(self, run):
        """As of `contest.write_trained`."""
        folder = RunFolder(run)
        config, steps = folder.settings(), read_json(folder.best / "metrics.json", "step")["step"]
        network, _, _ = wiring.load_network(api.settings_of(folder), run)
        packages = read_json(folder.manifest, "packages")["packages"]
        return {
            "steps": steps,
            "crops": steps * config["train"]["batch_size"],
            "crop": config["data"]["crop"],
            "parameters": measures.parameters(network),
            "versions": {name: packages[name] for name in ("did_tf", "tensorflow", "keras")},
        }


@dataclasses.dataclass(frozen=True)
class Peer:
    """A program of `benchmarks.peers`, see `contest`.

    Attributes:
      program: its module there.
      own: what it is told beside what all are.
      prepares: whether something is to be done before the training.
    """

    program: str
    own: dict
    prepares: bool = False

    def install(self):
        python_of(self.program)

    def prepare(self, task, run, log):
        if self.prepares:
            self._do("prepare", task, run, log)

    def train(self, task, run, log):
        self._do("train", task, run, log)

    def label(self, task, run, log):
        self._do("label", task, run, log)

    def trained(self, run):
        """As of `contest.write_trained`."""
        return json.loads((run / "trained.json").read_text())

    def _do(self, part, task, run, log):
        python, began = python_of(self.program), time.time()
        told = {
            **{"data": str(task.data.absolute()), "run": str(run.absolute()), "seed": task.seed, "cores": cores()},
            **{"began": began, "until": began + 60 * task.minutes},
            **{"precision": "bfloat16" if processor.multiplies_bfloat16() else "float32", **self.own},
        }
        command = [python, "-m", f"benchmarks.peers.{self.program}", part, json.dumps(told)]
        places = {f"nnUNet_{what}": str(run.absolute() / what) for what in ("raw", "preprocessed", "results")}
        trainings.run_whole(command, stdout=log, stderr=log, cwd=ROOT, env={**os.environ, **places})


OWN = {"camvid": (AUTO, "did_camvid_quick"), "folders": (AUTO, "did_folders")}
"""{data set: experiments}."""
PEERS = {
    "unet": Peer("smp", {"network": "Unet", "rate": 1e-3, "plain": False}),
    "deeplabv3plus": Peer("smp", {"network": "DeepLabV3Plus", "rate": 1e-3, "plain": False}),
    "nnunet": Peer("nnunet", {"memory": 8}, prepares=True),
}
FURTHER = {
    "unet-example": Peer("smp", {"network": "Unet", "rate": 2e-4, "plain": True}),
    "deeplabv3plus-example": Peer("smp", {"network": "DeepLabV3Plus", "rate": 2e-4, "plain": True}),
    "nnunet-small": Peer("nnunet", {"memory": 2}, prepares=True),
}
"""Those that take part when they are named: with the rate and the loss of their package's example; with a batch that is
planned for a smaller GPU, for more updates in the time."""


def usual(dataset):
    """{name: contestant} that take part where none is named."""
    return {**{name: Own(name) for name in OWN[dataset]}, **PEERS}


def known(dataset):
    """{name: contestant} of all."""
    return {**usual(dataset), **FURTHER}
