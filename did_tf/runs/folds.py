"""The run folder of a cross-validation: a run for each fold, and what says how the images were dealt to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.identity import with_content
from data_pipelines.own_data.folds import Folds, Image
from data_pipelines.spec import Sample
from data_pipelines.writing import sweep
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json
from did_tf.runs.run_folder import RunFolder, damage_of, read_json, run_of

_FOLDER = "cross_validation"
_WAY = "put it back as it was, or use another --run=dir"


class CrossValidation:
    """Paths and files of a cross-validation. Nothing is made before `write`.

    Args:
      folder: the run folder.

    Attributes:
      folder: as given.
      file: folds.json, how the images are dealt.
      report: report.json, the figures.
      predictions: folder of the labels that each image has by the network that has not learnt from it.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.file = self.folder / _FOLDER / "folds.json"
        self.report = self.folder / _FOLDER / "report.json"
        self.predictions = self.folder / _FOLDER / "predictions"

    def run(self, number: int) -> Path:
        """Run folder of a fold, from 1 on."""
        return self.folder / f"fold-{number}"

    def data(self, number: int) -> Path:
        """Folder of the dataset.yaml of a fold."""
        return self.run(number) / "data"

    def held_out(self, number: int) -> Path:
        """File of the counts of a fold on the images that it has not learnt from."""
        return self.run(number) / "held_out.json"

    def read(self) -> Folds:
        """How the images were dealt. Raises `ConfigError` where folds.json is damaged."""
        asked = (field.name for field in dataclasses.fields(Folds) if field.default is dataclasses.MISSING)
        told = read_json(self.file, *asked)
        with damage_of(self.file, _WAY):
            return Folds(**{**told, "images": {name: Image(**image) for name, image in told["images"].items()}})

    @property
    def begun(self) -> bool:
        """Whether a fold has begun to train: before, all may be chosen anew."""
        return any(self.folder.glob("fold-*/config.json"))

    @property
    def first(self) -> RunFolder | None:
        """The run of the first fold that has begun to train, which the others are trained like; None before.

        Raises `ConfigError` where folds.json is damaged.
        """
        runs = (RunFolder(self.run(number)) for number in range(1, self.read().count + 1))
        return next((run for run in runs if run.config.is_file()), None)

    def check(self, folds: Folds) -> None:
        """Raises `ConfigError` where images were dealt otherwise, the data are others than then, or nothing says it."""
        if not self.file.is_file():
            raise ConfigError(f"{self.file} is missing, which says how images were dealt to the folds: {_WAY}")
        if found := _difference(self.read(), folds):
            raise ConfigError(f"{self.folder} was started {found}; put that back, or use another --run=dir")

    def write(self, folds: Folds) -> None:
        """Writes how the images are dealt. Raises OSError."""
        write_json(self.file, dataclasses.asdict(folds))

    def sweep(self) -> None:
        """Deletes what killed processes have left half written beside the report. For when none writes any more."""
        for folder in {path.parent for path in self.report.parent.rglob("*")}:
            sweep(folder)

    def counts(self, number: int) -> Mapping[str, Any]:
        """What `held_out` of a fold holds. Raises `ConfigError` where the fold is not finished, or it is damaged."""
        path = self.held_out(number)
        if not path.is_file():
            raise ConfigError(
                f"{self.folder} is a cross-validation whose fold {number} is not finished: run `did_tf "
                "cross-validate` again, which goes on, or pass the run of a fold"
            )
        return read_json(path, "weights", "way", "images")


class FoldRun(RunFolder):
    """The run folder of a fold.

    Args:
      folder, experiment, defaults: as of `RunFolder`.
      first: `CrossValidation.first`, on as many devices as which this one is trained.
    """

    def __init__(
        self, folder: Path, experiment: str | None, defaults: Mapping[str, Any], first: RunFolder | None
    ) -> None:
        super().__init__(folder, experiment, defaults)
        self.first = first

    def check(self, config: Mapping[str, Any], manifest: Mapping[str, Any], made: int | None = 0) -> list[str]:
        """As of `RunFolder`; raises `ConfigError` for another number of devices than the first fold's, too."""
        told = super().check(config, manifest, made)
        if self.first and self.first.manifest.is_file():
            was, now = read_json(self.first.manifest).get("replicas"), manifest["replicas"]
            if was not in (None, now):
                raise ConfigError(
                    f"{self.first.folder} was trained on {was} devices, here are {now}: folds are trained alike; set "
                    "train.devices to as many, or use another --run=dir"
                )
        return told


def is_in(source: Path | str) -> bool:
    """Whether there is a cross-validation in the folder `source`."""
    return CrossValidation(source).file.is_file()


def data_of(weights: Path) -> Path | None:
    """Folder of the data of the fold that a weights file is of; None where it is of none."""
    run = run_of(weights).folder
    return run / "data" if is_in(run.parent) else None


def refuse(source: Path | str, command: str) -> None:
    """Raises `ConfigError` where the folder `source` has a cross-validation, with which `command` does nothing."""
    if is_in(source):
        raise ConfigError(f"{source} is a cross-validation, with which {command} can't go on: pass another --run=dir")


def check_unseen(source: Path | str, samples: Sequence[Sample], split: str) -> None:
    """Raises `ConfigError` where `source` has a cross-validation and a fold of it has learnt from one of the samples.

    Every one of its images was learnt by all folds but one, so that a score of them together would be flattering.
    """
    if not is_in(source):
        return
    found = CrossValidation(source)
    learnt = {image.pixels for image in found.read().images.values()}
    pixels = with_content([dataclasses.replace(sample, label=None, masks=()) for sample in samples])
    if seen := sum(sample.content in learnt for sample in pixels):
        raise ConfigError(
            f"{seen} of the {len(samples)} images of {split} were learnt by folds of {source}: a score of all folds "
            f"together would be flattering; {found.report} has that of each image by the fold that has not learnt "
            "it, or pass a --split of other images"
        )


def _difference(was: Folds, now: Folds) -> str:
    """What differs, in words; empty where nothing does."""
    if was.count != now.count:
        return f"with {was.count} folds, and here are {now.count}"
    if was.seed != now.seed:
        return f"with seed {was.seed}, and here is {now.seed}"
    if was.meaning != now.meaning or was.grouped != now.grouped:
        return "with another description of the data: classes, regions, bands, void or groups are others"
    if was.windows not in ("", now.windows):
        return f"with another patch or overlap: windows {was.windows}, and here {now.windows}"
    if others := sorted(was.images.keys() ^ now.images.keys()):
        return f"with {len(was.images)} images, and here are {len(now.images)}: {others[0]!r} is in one of both alone"
    for name, image in was.images.items():
        if image != now.images[name]:
            return f"with other content, or another group, of image {name!r}"
    return ""
