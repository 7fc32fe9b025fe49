"""The folder of one run: config.json, manifest.json, metrics.csv, checkpoints/, best/, tensorboard/, evaluation/."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_pipelines.writing import naming, sweep
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_file, write_json
from did_tf.runs import identity, older
from did_tf.runs.identity import flatten
from did_tf.runs.manifest import continuation
from did_tf.runs.mirror import Mirror

SECTIONS = ("dataset", "data", "model", "loss", "optimizer", "schedule", "train", "evaluate", "crf", "paper")
"""Of config.json, a map each."""


class RunFolder:
    """Paths and files of a run. Nothing is made before `start`.

    Args:
      folder: its path.
      experiment: name of the experiment, for the manifest; None where it has none.
      defaults: of all settings, nested, for those that a run's config.json is too old to have.
      mirror: of the run, where it is at a remote place and `folder` is the copy of it.

    Attributes:
      name: how the user names the run: its path, or its remote place.
      checkpoints: folder of the newest states of training, step_STEP.npz.
      best: folder of the weights to use, weights.npz, and their scores, metrics.json.
      tensorboard: folder of TensorBoard's event files.
      evaluation: folder of reports, SPLIT.json or PROTOCOL/SPLIT.json.
      saved_model: folder of the exported network.
      metrics: metrics.csv, a row per logged step.
      config: config.json, all settings.
      plan: plan.py, the experiment of a run that was planned.
      manifest: manifest.json, see `manifest.make`; "continued" lists the processes that went on, see `continuation`;
        "ended" is of a run that has ended before all of its steps, see `end`.
    """

    def __init__(
        self,
        folder: Path | str,
        experiment: str | None = None,
        defaults: Mapping[str, Any] | None = None,
        mirror: Mirror | None = None,
    ) -> None:
        self.folder, self.experiment, self.defaults = Path(folder), experiment, defaults or {}
        self.mirror, self.name = mirror, mirror.place if mirror else str(folder)
        self.checkpoints = self.folder / "checkpoints"
        self.best = self.folder / "best"
        self.tensorboard = self.folder / "tensorboard"
        self.evaluation = self.folder / "evaluation"
        self.saved_model = self.folder / "saved_model"
        self.metrics = self.folder / "metrics.csv"
        self.config = self.folder / "config.json"
        self.plan = self.folder / "plan.py"
        self.manifest = self.folder / "manifest.json"

    def publish(self) -> None:
        """Has what was written sent to the run's remote place, if it has one. Raises `mirror.Diverged`."""
        if self.mirror:
            self.mirror.publish()

    def trained_by(self) -> str | None:
        """Name of the experiment that the run is of, or None where nothing says it. Raises `ConfigError`."""
        return read_json(self.manifest).get("experiment") if self.manifest.is_file() else None

    def validated_by(self) -> str:
        """The protocol that images go by in validation, empty where nothing says it. Raises `ConfigError`."""
        if not self.manifest.is_file():
            return ""
        with damage_of(self.manifest, _way(self.manifest)):
            return str((read_json(self.manifest).get("validation") or {}).get("protocol", ""))

    def settings(self) -> dict[str, Any]:
        """What config.json has, in the words of this version. Raises `ConfigError` where it holds no settings."""
        own = read_json(self.config)
        if not _are_settings(own):
            raise ConfigError(f"{self.config} holds no settings; {_way(self.config)}")
        return older.settings(own)

    def check(self, config: Mapping[str, Any], manifest: Mapping[str, Any], made: int | None = 0) -> list[str]:
        """Compares what the run was started with, where it was, with what a process has that would go on with it.

        Args:
          config: all settings, nested, of JSON's types and tuples.
          manifest: see `manifest.make`.
          made: steps that the run has made; None for what can't be extended.

        Returns:
          Lines to tell of what differs and may, see `identity.check_facts`.

        Raises:
          ConfigError: settings or facts are others, and `identity.MAY_DIFFER` doesn't have them.
        """
        if self.config.is_file():
            # Through JSON, where tuples are lists.
            old, new = flatten(self.settings()), flatten(json.loads(json.dumps(config)))
            identity.check_settings(self.folder, {**self._younger(old), **old}, new, made, self.validated_by())
        if not self.manifest.is_file():
            return []
        with damage_of(self.manifest, _way(self.manifest)):
            return identity.check_facts(self.folder, read_json(self.manifest), manifest)

    def start(self, config: Mapping[str, Any], manifest: Mapping[str, Any], step: int = 0) -> None:
        """Creates the folder and records the settings and the manifest; where there is one, that the run goes on.

        Args:
          config, manifest: as for `check`.
          step: that the run goes on from.

        Raises:
          ConfigError: the folder can't be made or written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            write_json(self.config, config)
            write_json(self.manifest, self._continued(manifest, step))
        except OSError as error:
            raise ConfigError(f"cannot write to run folder {self.folder}: {error.strerror}; pass --run=dir") from None

    def end(self, step: int, reason: str) -> None:
        """Records, until it goes on, that the run has ended with `step`, before its last one, and why.

        Raises OSError.
        """
        write_json(self.manifest, {**read_json(self.manifest), "ended": {"step": step, "reason": reason}})
        self.publish()

    def _sweep(self):
        """Deletes what trainings that were killed have left half written; other commands may be writing elsewhere."""
        for own in (self.checkpoints, self.best, self.tensorboard):
            sweep(own)
        sweep(self.folder, "config.json", "manifest.json", "metrics.csv", "curves.png")

    def _younger(self, old):
        """Defaults of the settings that the run's own, `old`, are too old to have."""
        defaults = json.loads(json.dumps(self.defaults))
        # Of another model than the run's they are none of its settings.
        same = defaults.get("model", {}).get("name") == old.get("model.name")
        return flatten(defaults if same else {**defaults, "model": {}})

    def _continued(self, manifest, step):
        """What was recorded, which stays, with this process as its last continuation."""
        if not self.manifest.is_file():
            return {"experiment": self.experiment, **manifest}
        was = read_json(self.manifest)
        was.pop("ended", None)
        return {**was, "continued": [*was.get("continued", []), continuation(manifest, step)]}


def run_of(file: Path) -> RunFolder:
    """The run whose best/ or checkpoints/ a file lies in, if it is one; of a file in the root, the root itself."""
    return RunFolder(file.resolve().parent.parent)


def apart(folder: Path, protocol: str, limit: int | None) -> Path:
    """Where in a `folder` of scores those under a protocol go, of the first `limit` images alone or of all (None).

    Whole images are the rule; what is of other protocols, or partial, does not take their place.
    """
    parts = (protocol if protocol != "whole" else "", f"first_{limit}" if limit else "")
    return folder.joinpath(*filter(None, parts))


def default_run(experiment: str) -> Path:
    """Run folder of experiment NAME[:ARG] where none is given: "did_table3:row7" -> runs/did_table3_row7."""
    module, argument = split_name(experiment)
    return Path("runs") / "_".join(part for part in (Path(module).stem, Path(argument).name) if part)


def split_name(experiment: str) -> tuple[str, str]:
    """(name or path, argument or "") of an experiment: "did_table3:row7" -> ("did_table3", "row7")."""
    if file := re.fullmatch(r"(.+?\.py)(?::(.*))?", experiment, re.DOTALL):  # in whose folders there may be colons
        return file[1], file[2] or ""
    name, _, argument = experiment.partition(":")
    return name, argument


class MetricsFile:
    """metrics.csv: a row per logged step.

    Args:
      path: of the file, which may be there already.
      columns: their names, "step" among them.
      step: that the run goes on from. Rows beyond it, left by a run that was killed, are dropped.

    Raises:
      OSError: the file can't be read or written.
    """

    def __init__(self, path: Path | str, columns: Sequence[str], step: int) -> None:
        self.path, self.columns = Path(path), columns
        rows = [row for row in read_metrics(path) if int(row["step"]) <= step] if self.path.is_file() else []
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns)
        writer.writeheader()
        writer.writerows(rows)
        write_file(self.path, text.getvalue().encode())

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends `row` {column: value}; columns it lacks stay empty. It returns when the row is on the disk.

        Raises:
          OSError: it can't be written.
          ValueError: there is no such column.
        """
        with naming(self.path), open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self.columns).writerow(row)
            file.flush()
            os.fsync(file.fileno())


def check_metrics(path: Path, columns: Sequence[str], steps: Sequence[int]) -> None:
    """Compares a metrics.csv with what a training has logged. A line tells of rows that were given up.

    Args:
      path: of the file.
      columns: names of all that it may have.
      steps: those that have a row, in their order. Where the rows begin with a later step, or there is the header
        alone, those before were given up.

    Raises:
      ConfigError: it is gone, is something else, or lacks rows.
    """
    there, wrong = _steps_in(path, columns)
    first = min(there, default=math.inf)
    if not path.is_file() and steps:
        wrong = "is gone, which has the rows of the steps that were made"
    elif lacking := [step for step in steps if step > first and step not in there]:
        wrong = f"has no row of step {lacking[0]}, which was logged"
    if wrong:
        raise ConfigError(
            f"{path} {wrong}: put it back as it was, or give up what it lacks, by `echo step > {path}`; the same "
            "command goes on then"
        )
    if steps and first > steps[0]:
        begins = f"begins with step {first}" if there else "has no rows"
        print(f"{path} {begins}: those from step {steps[0]} on were given up, and curves lack them")


def _steps_in(path, columns):
    """(steps that have a row, what is wrong with the file or "")."""
    try:
        header, rows = _read_metrics(path) if path.is_file() else (["step"], [])
    except (csv.Error, UnicodeDecodeError) as error:
        return set(), f"is damaged ({error})"
    if "step" not in header or not {*header} <= {*columns}:
        return set(), f"has other columns than this training logs ({', '.join(map(str, header)) or 'none'!s:.80})"
    return {int(row["step"]) for row in rows}, ""


def read_metrics(path: Path | str) -> list[dict[str, str]]:
    """Rows of a metrics.csv, as {column: text}; a last line that was cut short is left out.

    Raises `ConfigError` where it is no such file, OSError unreadable.
    """
    try:
        return _read_metrics(path)[1]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is damaged ({error}); delete it or use another --run=dir") from None


def _read_metrics(path):
    """(names of the columns, rows) of a metrics.csv."""
    with open(path, newline="", encoding="utf-8") as file:
        text = file.read()
    lines = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    rows = [row for row in lines if None not in row and None not in row.values()]
    return lines.fieldnames or [], [row for row in rows if row.get("step", "").isdecimal() and row["step"].isascii()]


@contextlib.contextmanager
def damage_of(path: Path | str, way: str = "evaluate again, or delete it") -> Iterator[None]:
    """Within it, what a file lacks that it should have is a `ConfigError` that names it and ends with a `way` on."""
    try:
        yield
    except ConfigError:
        raise
    except (AttributeError, KeyError, TypeError, ValueError):
        raise ConfigError(f"{path} is damaged: it has not what it is written with; {way}") from None


def read_json(path: Path | str, *keys: str) -> dict[str, Any]:
    """Content of a JSON file. Raises `ConfigError` where it holds no object with the `keys`, OSError unreadable."""
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON, or no text at all
        raise ConfigError(f"{path} is no valid JSON ({error}); {_way(path)}") from None
    if not isinstance(found, dict):
        raise ConfigError(f"{path} is damaged: it has no map of names to values but {found!r:.40}; {_way(path)}")
    if lacking := [key for key in keys if key not in found]:
        raise ConfigError(f"{path} is damaged: it has no {lacking[0]!r}; {_way(path)}")
    return found


def _way(path):
    """What to do about a file that is damaged: a run does not go on without those that say what it is."""
    kept = Path(path).name in ("config.json", "manifest.json")
    return f"{'put it back as it was' if kept else 'delete it'}, or use another --run=dir"


def _are_settings(own):
    """Whether what config.json has is of the kinds that older versions are told apart by, and runs compared."""
    sections = [own.get(key, {}) for key in SECTIONS]
    if not all(isinstance(section, dict) for section in sections):
        return False
    train, evaluate = own.get("train", {}), own.get("evaluate", {})
    steps = [train.get(key, 0) for key in ("steps", "extend")]
    return isinstance(evaluate.get("options", {}), dict) and all(type(number) is int for number in steps)
