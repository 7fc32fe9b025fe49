"""How the weights to use of a run were chosen, and those of its last step, which were not."""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tensorflow import keras

from data_pipelines.datasets.inria_aerial import InriaAerial
from data_pipelines.identity import fingerprint
from data_pipelines.own_data.folders import Folders
from data_pipelines.pipeline import shared_samples
from data_pipelines.spec import Dataset, Sample
from did_tf.common.errors import ConfigError
from did_tf.runs import checkpoints, identity, weights
from did_tf.runs.run_folder import RunFolder, damage_of, read_json, read_metrics, run_of
from did_tf.runs.weights import Weights

VALIDATION = "val_"
"""What the columns of metrics.csv with scores of validation begin with."""


@dataclasses.dataclass(frozen=True)
class Selection:
    """Weights that had the best score of several validations on the same split.

    A score of them on that split is favourable: of scores that are equal but for chance, the luckiest was taken.

    Attributes:
      split: that they were scored on.
      validations: how many there were.
      step: of the best.
      last_step: that the training ends with, which nobody chose by a score.
      checkpoint: with the weights of that step, averaged where these are validated; None where it isn't there.
    """

    split: str
    validations: int
    step: int
    last_step: int
    checkpoint: Path | None

    def __str__(self) -> str:
        chosen = f"weights of step {self.step}, the best of {self.validations} validations on {self.split}"
        none = "" if self.checkpoint else ", of which there are no weights"
        last = "they are those of the last step" if self.is_last else f"the last step is {self.last_step}{none}"
        return f"{chosen}: slightly favourable; {last}"

    @property
    def is_last(self) -> bool:
        """Whether the best are those of the last step."""
        return self.step == self.last_step

    @contextlib.contextmanager
    def last_weights(self, model: keras.Model) -> Iterator[str]:
        """Within it, `model` has the weights of `checkpoint`, which is there; their digest. Raises `ConfigError`."""
        assert self.checkpoint
        before = model.get_weights()
        try:
            yield weights.load(model, self.checkpoint)
        finally:
            model.set_weights(before)


def of(file: Path, dataset: str, content: Mapping[str, Any], partial: bool = False) -> Selection | None:
    """How the weights in `file` were chosen, if among several and by scores on the samples of `content`; or None.

    Args:
      file: of weights. Those of best/weights.npz of a run folder were chosen where the run was validated.
      dataset: name in the settings of the data set that they are to be scored on.
      content: of the samples, as of `manifest.content`.
      partial: whether these are but some of the split's, which are then taken to be those of the run's data.

    Raises:
      ConfigError: a file of the run is no JSON.
    """
    run = run_of(file)
    found = of_run(run) if file.resolve().parent == run.best.resolve() else None
    if found is None or found.split != content["split"] or read_json(run.config)["dataset"]["name"] != dataset:
        return None
    validated = _validated_on(run) or content
    return found if partial or validated["fingerprint"] == content["fingerprint"] else None


def of_run(run: RunFolder) -> Selection | None:
    """How the best weights of a run were chosen; None where nothing says it or there were less than two validations."""
    files = (run.config, run.best / "metrics.json", run.metrics)
    if not all(file.is_file() for file in files):
        return None
    config, step = read_json(run.config, "train", "dataset"), steps_of_best(run)[1]
    validated = _validations(run)
    if len(validated) < 2:
        return None
    with damage_of(run.config, "delete it, or use another --run=dir"):
        split, last = config["dataset"]["val_split"], ended_with(run, config["train"])
    saved = {checkpoints.step_of(path): path for path in checkpoints.saved_steps(run.checkpoints)}
    return Selection(split, len(validated), step, last, saved.get(last))


def steps_of_best(run: RunFolder) -> tuple[int, int]:
    """Steps that the scores in best/ and the weights there are of: two where a process was killed between writing them.

    Weights that don't say it, or are damaged, are taken to be those that were scored. Raises `ConfigError` where the
    scores are damaged, OSError where they can't be read.
    """
    scored = read_json(run.best / "metrics.json", "step")["step"]
    try:
        return scored, (checkpoints.read_identity(run.best / "weights.npz") or {}).get("step", scored)
    except checkpoints.Damaged:
        return scored, scored


def held_out_otherwise(runs: Sequence[RunFolder]) -> Iterator[str]:
    """A line on each run that other images were held out for than for the first, where both say which."""
    first, *others = map(_validated_on, runs)
    for run, validated in zip(runs[1:], others):
        if first and validated and validated["fingerprint"] != first["fingerprint"]:
            yield (
                f"{run.folder} was validated on other images than {runs[0].folder}: it may have been trained on "
                "some of those that are compared"
            )


def learnt(
    name: object, found: Weights, dataset: Dataset, samples: Sequence[Sample], split: str, trained_on: str = ""
) -> str:
    """A line where weights have learnt from images that they are scored on, or may have; empty where nothing says so.

    Args:
      name: of the weights, for people.
      found: whose identity says what they were trained on.
      dataset: theirs, as it is now; splits of a user's own may be others than they were. Where its options divide it
        otherwise than the weights' run did, that counts which the run had.
      samples: that they are scored on, of `split`: whole, or windows that need not be those that were learnt.
      trained_on: the splits that they were trained on, joined by "+", where their identity does not say it.

    Raises:
      ConfigError: the manifest or settings of their run are damaged.
      DataError: not all images of these splits are there.
    """
    was = (found.identity or {}).get("data", {})
    splits = was.get("split", trained_on)
    then = sharing(_as_divided(found, dataset), splits, split, isinstance(dataset, InriaAerial))
    mark = was.get("fingerprint") if isinstance(dataset, Folders) else None
    if mark and not _held_out(found, dataset.samples(split)) and mark != fingerprint(then, progress=True):
        now = f"{splits} has other images or labels now than {name} has learnt from"
        return f"{now}: it may have learnt some of {split}"
    seen = len(shared_samples(_resolved(then), _resolved(samples)))
    return f"{name} has learnt {seen} of the {len(samples)} images: its figures are favourable" if seen else ""


def sharing(dataset: Dataset, splits: str, split: str, every: bool = False) -> list[Sample]:
    """Samples of those of `splits`, joined by "+", that may have some of `split`: to list others may take minutes.

    With `every`, all of them, as where `split` may be of the data set divided otherwise. Raises `DataError` where they
    are not there.
    """
    own = every or isinstance(dataset, Folders)  # whose lists may be any
    near = {split, *(one for pair in dataset.overlapping if split in pair for one in pair)}
    parts = [part for part in splits.split("+") if part and (own or part in near)]
    return [sample for part in parts for sample in dataset.samples(part)]


def last_scores(run: RunFolder) -> dict[str, float]:
    """{score: fraction} of the validation of the last step of a run; empty where it was not validated (yet)."""
    selection = of_run(run)
    row = _validations(run).get(selection.last_step, {}) if selection else {}
    with damage_of(run.metrics, "train again, into another --run=dir"):
        return {key[len(VALIDATION) :]: float(text) for key, text in row.items() if key.startswith(VALIDATION) and text}


def ended_with(run: RunFolder, train: Mapping[str, Any]) -> int:
    """The step that a run ends with by `train` of its settings, or has ended with before. Raises `ConfigError`."""
    ended = read_json(run.manifest).get("ended") if run.manifest.is_file() else None
    return ended["step"] if ended else identity.last_step(train)


def versions(run: RunFolder) -> list[str]:
    """Versions of did_tf that have trained a run, each with its commit where that is known; none where nothing says it.

    Raises `ConfigError` where its manifest is no JSON.
    """
    was = read_json(run.manifest) if run.manifest.is_file() else {}
    told = ((one.get("packages", {}).get("did_tf"), one.get("git_commit")) for one in (was, *was.get("continued", [])))
    found = dict.fromkeys((version, commit) for version, commit in told if version)
    return [f"{version} ({commit})" if commit else version for version, commit in found]


def of_several_versions(what: str, runs: Sequence[RunFolder]) -> str:
    """A line where not all of `runs`, which are compared as `what`, were trained by one version; else empty.

    Of those whose manifest is damaged nothing is known.
    """
    known: set[str] = set()
    for run in runs:
        with contextlib.suppress(ConfigError):
            known.update(versions(run))
    found = sorted(known)
    return f"{what} were trained by did_tf {' and '.join(found)}, which may learn otherwise" if len(found) > 1 else ""


def _validated_on(run):
    """What a run was validated on, as of `manifest.content`; None where nothing says it."""
    return read_json(run.manifest).get("validation") if run.manifest.is_file() else None


def _held_out(found, samples):
    """Whether the run of some weights was validated on these samples, as they are now."""
    validated = _validated_on(run_of(found.file)) or {}
    return validated.get("fingerprint") == fingerprint(samples, progress=True)


def _as_divided(found, dataset):
    """`dataset`, or that of the run of some weights where an option has divided it into splits otherwise."""
    run = run_of(found.file)
    if not isinstance(dataset, InriaAerial) or not run.config.is_file():
        return dataset
    with damage_of(run.config, "put it back as it was"):
        settings = read_json(run.config, "dataset")["dataset"]
        same = settings["name"] == dataset.spec.name
        return InriaAerial(dataset.folder, **settings["options"]) if same else dataset


def _resolved(samples):
    """The samples, with the files in place of links to them: splits may have one image by two names."""
    files = (sample.image and Path(os.path.realpath(sample.image)) for sample in samples)
    return [dataclasses.replace(sample, image=file) for sample, file in zip(samples, files)]


def _validations(run):
    """{step: row of metrics.csv} of those that have scores of validation."""
    rows = read_metrics(run.metrics)
    return {int(row["step"]): row for row in rows if any(row[key] for key in row if key.startswith(VALIDATION))}
