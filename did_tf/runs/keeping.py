"""What a training keeps of its state: checkpoints to go on from, and the weights to use."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json
from did_tf.runs import checkpoints, selection
from did_tf.runs.checkpoints import Damaged
from did_tf.runs.manifest import of_weights
from did_tf.runs.run_folder import RunFolder, read_json


class Keeper:
    """Writes checkpoints and best/ of a run, and finds the newest checkpoint that is whole.

    Args:
      run: whose folder it is.
      manifest: of the run, which the files carry a part of, see `manifest.of_weights`.
      keep: how many checkpoints stay.
      writes: whether there is a folder; else nothing is found, and nothing written, as with a worker but the chief.

    Attributes:
      saved_step: of the checkpoint that was last begun by `save`, or that `newest` found; None before.
    """

    def __init__(self, run: RunFolder, manifest: Mapping[str, Any], keep: int, writes: bool = True) -> None:
        self.run, self.manifest, self.keep, self.writes = run, manifest, keep, writes
        self.saved_step: int | None = None
        self._damaged: dict[Path, Damaged] = {}
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None

    def newest(self) -> tuple[Path, dict[str, np.ndarray]] | None:
        """The newest checkpoint that is whole, and its arrays; None where the run has none at all.

        A line tells where a run begins again. Nothing is touched: see `set_aside`.

        Raises `ConfigError` where there are checkpoints, and all of them are damaged, or nothing says what they are of.
        """
        saved = checkpoints.saved_steps(self.run.checkpoints)
        self._check_recorded(saved)
        for path in reversed(saved):
            try:
                arrays = checkpoints.read(path)
                self._check_place(path)
            except Damaged as error:
                self._damaged[path] = error
                continue
            self.saved_step = checkpoints.step_of(path)
            return path, arrays
        if self._damaged:
            raise ConfigError(f"{next(iter(self._damaged.values()))}; {self._way_on(len(self._damaged))}")
        if self.run.metrics.is_file():
            print(f"{self.run.folder} has no checkpoint: it begins again with its first step")
        return None

    def set_aside(self, path: Path) -> None:
        """Renames the damaged ones that `newest` has met before `path` to step_STEP.damaged, and tells of each.

        Raises OSError.
        """
        for bad, reason in self._damaged.items():
            bad.replace(bad.with_suffix(".damaged"))
            print(f"{reason}; it is {bad.stem}.damaged now, and {path.name}, from before it, takes its place")

    def check_best(self, score: tf.Variable) -> None:
        """Takes back the best `score` so far, and says so, where its weights in best/ are gone or damaged.

        Gone are they also where a process was killed when it had written later ones, and not yet their scores, or not
        yet the next checkpoint: the steps from there on are made again, and may have other scores.
        """
        if score < 0:
            return
        weights, scores = self.run.best / "weights.npz", self.run.best / "metrics.json"
        try:
            checkpoints.read(weights)
            scored, present = selection.steps_of_best(self.run)
            if scored != present:
                raise Damaged(f"{weights} is of step {present}, and {scores} of step {scored}")
            kept = [value for key, value in read_json(scores).items() if key != "step"][:1]
            if kept not in ([], [float(score)]):
                raise Damaged(f"{weights} is of a validation of step {scored} that the checkpoint does not know")
        except (ConfigError, FileNotFoundError) as error:
            print(f"{error}; the weights of the best validation are lost, those of the next one take their place")
            score.assign(-1.0)

    def save(self, step: int, state: Mapping[str, tf.Variable], may_be_discarded: bool = False) -> None:
        """Writes a checkpoint of `step` in a thread, from a copy of {name: variable} that is made here.

        Args:
          step: number of it.
          state: what it holds.
          may_be_discarded: whether as many others stay as without it, until there is another.

        Raises:
          OSError: the one before could not be written, which is told here or by `wait`.
        """
        self.wait()
        self.saved_step = step
        if not self.writes:
            return
        # Variables may lend their memory to an array and change it with the next update.
        arrays = {name: np.array(tf.convert_to_tensor(value)) for name, value in state.items()}
        about, keep = of_weights(self.manifest, step), self.keep + may_be_discarded
        self._writing = self._thread.submit(self._save, step, arrays, keep, about)

    def _save(self, *checkpoint):
        checkpoints.save_step(self.run.checkpoints, *checkpoint)
        self.run.publish()

    def wait(self) -> None:
        """Returns when all checkpoints are written. Raises OSError where one could not be."""
        writing, self._writing = self._writing, None
        try:
            if writing:
                writing.result()
        except OSError:
            self.saved_step = None
            raise

    def discard(self, step: int) -> None:
        """Deletes the checkpoint of `step`, if there is one: it proved to be no good. Raises OSError."""
        self.wait()
        for path in checkpoints.saved_steps(self.run.checkpoints):
            if checkpoints.step_of(path) == step:
                path.unlink()

    def keep_best(self, scores: Mapping[str, float], state: Mapping[str, tf.Variable]) -> None:
        """Writes {name: variable} of the weights to use into best/, with their "step" and scores. Raises OSError."""
        if not self.writes:
            return
        about = of_weights(self.manifest, int(scores["step"]))
        checkpoints.write(self.run.best / "weights.npz", state, about)
        write_json(self.run.best / "metrics.json", scores)
        self.run.publish()

    def _check_recorded(self, saved):
        """Raises `ConfigError` where there are checkpoints without settings or manifest: any others would fit."""
        lacking = [file for file in (self.run.config, self.run.manifest) if not file.is_file()]
        if saved and lacking:
            raise ConfigError(
                f"{lacking[0]} is missing, which says what the run's checkpoints were trained with: put it back, or go "
                f"on from their weights in another run, --run=dir --config.train.init={self.run.folder}"
            )

    def _check_place(self, path):
        """Raises `Damaged` where the file is of another step than it is named after, or of a run with another seed."""
        found = checkpoints.read_identity(path)
        if found is None:
            return
        started = read_json(self.run.manifest) if self.run.manifest.is_file() else {}
        for key, expected in (("step", checkpoints.step_of(path)), ("seed", started.get("seed", found["seed"]))):
            if found[key] != expected:
                raise Damaged(f"checkpoint {path} is of {key} {found[key]}, not {expected}")

    def _way_on(self, count):
        best = self.run.best / "weights.npz"
        start = f"start another run from its best weights, --run=dir --config.train.init={best}, or " * best.is_file()
        folder = self.run.checkpoints
        return f"none of the {count} checkpoints is whole: {start}delete {folder} to train the run from its first step"
