"""The trainer: the loop around the updates, with validation, checkpoints and logs."""

from __future__ import annotations

import contextlib
import functools
import signal
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, Protocol

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from data_pipelines.augment import Augmentation
from data_pipelines.pipeline import Loader, training_batches
from did_tf.cluster.workers import Workers
from did_tf.common.errors import NotFinite
from did_tf.common.stopping import OTHERS, Stopped, Stops
from did_tf.runs import checkpoints, identity
from did_tf.runs.keeping import Keeper
from did_tf.runs.logs import Logs, NoLogs
from did_tf.runs.run_folder import RunFolder, check_metrics
from did_tf.training import origin
from did_tf.training.distribution import distributed
from did_tf.training.endings import HOUR, TICKS, Budget, Ending, by_patience, by_time
from did_tf.training.health import TrainingFailed
from did_tf.training.train_step import TrainStep
from did_tf.training.window import Window

_YOUNGER = {"trainer/waited": np.array(0, np.int64)}
"""What checkpoints of versions up to 0.10 lack, as it was there."""


class Validation(Protocol):
    """What scores the network while it trains; `did_tf.scoring.validation` has one for each task."""

    @property
    def scores(self) -> Mapping[str, str]:
        """Names of the scores with what people call them. The first decides which weights are kept."""

    @property
    def remark(self) -> str:
        """What is to be said of the last scores; empty for nothing."""

    def __call__(
        self, split: str, progress: bool, between: Callable[[], None]
    ) -> tuple[dict[str, float], Callable[[], None]]:
        """({score: fraction in [0, 1]}, function that writes TensorBoard summaries) of `split`.

        `between` is called again and again meanwhile; what it raises ends the scoring.
        """


class Trainer:
    """Trains a network into a run folder, or goes on where an earlier process stopped.

    Args:
      run: a `RunFolder`.
      config: all settings, which are written into it and compared with those that it was started with.
      manifest: what else the run depends on, see `manifest.make`, likewise; weights that are saved carry it.
      settings: the section `train` of them (experiments/base.py lists them).
      seed: of the order and the augmentation of the samples.
      train_step: a `TrainStep`, with the network and the strategy.
      loader: `Loader` of the samples to train on.
      augmentation: the `Augmentation` of each.
      validation: what scores the network.
      val_split: what it is scored on; empty for nothing.

    Attributes:
      step: number of updates that have been made, a variable.
      steps: how many there are to be, those that the run was extended by among them; with `ended`, how many there were.
      ended: the `Ending` of a run that has ended before, else None.

    Raises:
      ConfigError: the run has other settings or data, or weights to start from don't fit. Nothing is trained then.
    """

    def __init__(
        self,
        run: RunFolder,
        config: Mapping[str, Any],
        manifest: Mapping[str, Any],
        settings: Mapping[str, Any],
        seed: int,
        train_step: TrainStep,
        loader: Loader,
        augmentation: Augmentation,
        validation: Validation,
        val_split: str,
    ) -> None:
        self.run, self.settings, self.seed, self.train_step = run, settings, seed, train_step
        self.manifest = manifest
        self.strategy, self.model = train_step.strategy, train_step.model
        self.workers = Workers(self.strategy)
        self.loader, self.augmentation = loader, augmentation
        self.validation, self.val_split = validation, val_split
        self.steps = identity.last_step(settings)
        self.ended: Ending | None = None
        self.step, self.best = tf.Variable(0, tf.int64), tf.Variable(-1.0, dtype=tf.float64)
        self.waited, self.budget = tf.Variable(0, dtype=tf.int64), Budget(settings["hours"])
        self.window, self.stops = Window(train_step.metrics), Stops(self.workers.count == 1)
        self.keeper = Keeper(run, manifest, settings["keep_checkpoints"], self.workers.chief)
        self._start_run(config)

    def _start_run(self, config):
        """Whatever is wrong is told before anything of the run is touched."""
        saved = self.keeper.newest()
        for line in self.run.check(config, self.manifest, self.keeper.saved_step or 0):
            print(line)
        if saved:
            arrays = {**_YOUNGER, **saved[1]}
            checkpoints.assign(self._state(), arrays, f"checkpoint {saved[0]}", checkpoints.ADVICE)
            self.keeper.check_best(self.best)
            if self.best < 0:  # it is lost, and the next one takes its place
                self.waited.assign(0)
        else:
            # Where that fails there is no folder yet, which would hold the wrong settings.
            origin.load_weights(self.model, self.settings, self.manifest)
            origin.tell_frozen(self.model, self.settings)
            self.train_step.start_averages()
        self.workers.share(self._state())
        self.window.load()
        self.done = self.keeper.saved_step = int(self.step)
        self.budget.load()
        self._move_on()
        self.logs = self._started(config) if self.workers.chief else NoLogs()
        if saved:
            self.keeper.set_aside(saved[0])
            print(f"resuming {self.run.folder} at step {self.done}{self._extension()}")

    def _started(self, config):
        """The logs of the run, which is there then."""
        validation = [f"val_{score}" for score in self.validation.scores]
        columns = ["step", "images", *self.train_step.metrics, "images_per_second", "input_wait", *validation]
        columns += ["hours"] if self.budget.hours else []
        last = self.done - self._is_unreported()
        check_metrics(self.run.metrics, columns, [step for step in range(1, last + 1) if self._is_logged(step)])
        self.run.start(config, self.manifest, self.done)
        return Logs(self.run, columns, last)

    def _extension(self):
        """What is to be said of the steps of a run that is extended: how many, and at which learning rate."""
        if not self.settings["extend"]:
            return ""
        schedule = self.train_step.schedule
        rate = f"{schedule.name} over all of them, {float(schedule(int(self.step))):.3g} from here"
        return f", extended by {self.settings['extend']} to {self.steps} steps; learning rate: {rate}"

    def fit(self) -> float | None:
        """Trains up to `steps`. Returns the best validation score in [0, 1], or None without validation.

        SIGTERM, SIGHUP and Ctrl-C save a checkpoint and leave with status 128 + the signal's number, also in the middle
        of a validation, which the next process makes again. A second one leaves at once. Errors that are none of an
        update leave a checkpoint too.

        Raises:
          TrainingFailed: losses, gradients, weights, statistics or probabilities are not finite (`health`).
        """
        total, name = self.steps, self.run.folder.name
        bar = tqdm(total=total, initial=self.done, desc=name, unit="step", disable=self._bar_off())
        with self.stops.watched(lambda reason: self._rescue()), bar:
            try:
                self._train(bar)
            except Stopped as stopped:
                self._leave(stopped.number)
            self.keeper.wait()
        if self.ended and self.workers.chief:
            self.run.end(self.steps, self.ended.reason)
        self.workers.agreed(0)  # none leaves before the chief has written all
        return float(self.best) if float(self.best) >= 0 else None

    def _train(self, bar):
        batches = iter(self._batches(self.done))
        self.window.restart_clock()
        self.budget.start()
        if self._is_unreported():
            self._conclude(self.done, bar)
        if self.done < self.steps:
            self._tell(f"step {self.done + 1} begins: TensorFlow builds the graph first, which may take minutes", bar)
        while self.done < self.steps:
            began = time.perf_counter()
            with self._rescued(), self.stops.waiting():
                batch = next(batches)
            waited = time.perf_counter() - began
            self.window.add(self.train_step(batch, self.done), waited)
            self.done += 1
            if self.workers.count > 1:
                with self.stops.waiting(OTHERS):
                    self.stops.signal = self.workers.agreed(self.stops.noted or 0) or None
            self._spend(bar)
            bar.update()
            if self.stops.signal or any(self._due(self.done, what) for what in ("log", "validate", "checkpoint")):
                self._conclude(self.done, bar)

    def _spend(self, bar):
        """Looks at the clock, all workers at the slowest one's: the schedule moves on, or the run ends here."""
        if self.budget.hours:
            with self.stops.waiting(OTHERS):
                self.budget.ticks = self.workers.agreed(self.budget.look())
        self._move_on()
        if self.ended:
            bar.write(f"step {self.steps}: the run ends here: {self.ended.reason}", sys.stdout)

    def _move_on(self):
        """Gives the schedule the time that is spent, and sees whether it is over, or there was no new best for long."""
        patience = self.settings["patience"]
        if self.budget.hours:
            self.train_step.schedule.share.assign(np.float32(self.budget.ticks / TICKS))
        if self.done < self.steps and self.budget.is_over:
            self.ended = by_time(self.budget.hours, self.run.folder)
        elif self.done < self.steps and patience and self.waited >= patience:
            self.ended = by_patience(int(self.waited), self.steps)
        if self.ended:
            self.steps = self.done

    def _conclude(self, done, bar):
        """After a step: logs, validates and saves, as far as it is due."""
        log, validate, save = (self._due(done, what) for what in ("log", "validate", "checkpoint"))
        self._settle()
        with self._rescued():
            if validate and self.val_split and save:
                self._save(before_validation=True)  # which may take long, and be stopped
            if log or validate:
                self._report(done, validate, bar)
            if self._due(done, "checkpoint"):  # also where the run has just come to its end
                self._save()
            self.stops.check()

    def _report(self, done, validate, bar):
        row = self._row(done)
        shown = {"loss": f"{float(row['loss']):.3f}", "images/s": row.get("images_per_second", "?")}
        if self.budget.hours:
            row["hours"] = f"{self.budget.spent() / HOUR:.7g}"
            shown["left"] = tqdm.format_interval(self.budget.left())
            if pace := self.window.pace():  # of a process that has made steps since the last row
                bar.total = min(self.steps, self.done + round(self.budget.left() * pace[0]))
        self._tell(f"step {done}: " + ", ".join(f"{key} {value}" for key, value in shown.items()), bar)
        with self._unreported():
            if validate and self.val_split and self._has_time_to_validate(done):
                self.stops.check()
                row.update(self._validate(done, bar))
                if done < self.steps:
                    self._spend(bar)
            if done == self.steps and not self.val_split:
                self._keep({"step": done})
            self.logs.write(row)
        self.window.restart()
        best = f"best {next(iter(self.validation.scores.values()))}"
        bar.set_postfix({**shown, best: f"{max(0, float(self.best)):.3f}"})
        if validate:
            self.logs.plot()

    @contextlib.contextmanager
    def _unreported(self):
        """Within it, what is raised leaves best score and patience as they were: the next process validates again."""
        best, waited = float(self.best), int(self.waited)
        try:
            yield
        except Exception:
            self.best.assign(best)
            self.waited.assign(waited)
            raise

    def _has_time_to_validate(self, done):
        """Whether the validation at the end does not come as soon as this one is made."""
        if not self.budget.hours or done == self.steps:
            return True
        return not self.workers.agreed(int(not self.budget.allows_validation()))

    def _is_unreported(self):
        """Whether the last step is to be logged or validated, and the process before was stopped before that."""
        return bool(self.window.steps) and self._is_logged(self.done)

    def _is_logged(self, step):
        """Whether there is a row of a step, once it is reported."""
        return any(self._due(step, what) for what in ("log", "validate"))

    def _batches(self, first):
        size = self.settings["batch_size"]
        batches = functools.partial(training_batches, self.loader, self.augmentation, size, self.seed, first * size)
        return distributed(self.strategy, batches, size)

    def _due(self, done, what):
        return done % self.settings[f"{what}_every"] == 0 or done == self.steps

    def _settle(self):
        """Waits for the steps that were made. Raises `TrainingFailed`."""
        if found := self.window.settle():
            before, what = found
            self._fail(what, self.done - before)

    def _fail(self, what: str, step: int) -> NoReturn:
        self.keeper.wait()
        saved = checkpoints.saved_steps(self.run.checkpoints)
        raise TrainingFailed(what, step, saved[-1] if saved else None)

    def _row(self, done):
        row = {"step": done, "images": done * self.settings["batch_size"]}
        row.update({name: f"{value:.7g}" for name, value in self.window.means().items()})
        if pace := self.window.pace():
            row["images_per_second"] = f"{pace[0] * self.settings['batch_size']:.4g}"
            row["input_wait"] = f"{pace[1]:.4f}"
        return row

    def _tell(self, words, bar):
        """Prints a line where no bar shows how far it is."""
        if bar.disable and self.settings["progress"]:
            print(words, flush=True)

    def _validate(self, done, bar):
        """Validation scores as entries of the log; keeps the weights where they are the best so far."""
        began = self.budget.spent()
        try:
            with self.train_step.averaged_weights():
                scores, summarize = self.validation(self.val_split, not self._bar_off(), self.stops.check)
        except NotFinite as error:
            self.keeper.discard(done)
            self._fail(f"validation: {error}", done)
        decisive = next(iter(scores.values()))
        if decisive > float(self.best):
            self._keep({"step": done, **scores})
            self.best.assign(decisive)
            self.waited.assign(0)
        else:
            self.waited.assign_add(1)
        self.budget.keep_free(self.budget.spent() - began)
        self.logs.summarize(done, summarize)
        named = [f"{self.validation.scores[name]} {100 * value:.2f} %" for name, value in scores.items()]
        remark = f" ({self.validation.remark})" if self.validation.remark else ""
        bar.write(f"step {done}: validation {', '.join(named)}{remark}", sys.stdout)
        return {f"val_{name}": f"{value:.7g}" for name, value in scores.items()}

    def _keep(self, scores):
        """Writes the weights to use, with averages in place of weights and statistics, into best/."""
        with self.train_step.averaged_weights():
            self.keeper.keep_best(scores, checkpoints.model_state(self.model))

    def _save(self, before_validation=False):
        if self.strategy.num_replicas_in_sync > 1:
            self.train_step.average_batch_norm()
        self.step.assign(self.done)
        self.window.store()
        self.budget.store()
        self.keeper.save(self.done, self._state(), may_be_discarded=before_validation)

    @contextlib.contextmanager
    def _rescued(self):
        """Within it, no update is under way: what goes wrong leaves a checkpoint of those that were made."""
        try:
            yield
        except (TrainingFailed, Stopped):
            raise
        except Exception:
            self._rescue()
            raise

    def _rescue(self):
        """Saves the last step where something else went wrong, which is told; of several workers some may be gone."""
        if self.workers.count == 1:
            with contextlib.suppress(Exception):
                self._save_last()

    def _save_last(self):
        """Saves the last step, if it isn't."""
        if self.keeper.saved_step != self.done:
            self._settle()
            self._save()
        self.keeper.wait()

    def _state(self):
        trainer = {"trainer/step": self.step, "trainer/window": self.window.saved, "trainer/best": self.best}
        trainer["trainer/waited"] = self.waited
        if self.budget.hours:
            trainer["trainer/time"] = self.budget.saved
        return {**self.train_step.state(), **trainer}

    def _leave(self, number: int) -> NoReturn:
        self._save_last()
        self.workers.agreed(0)
        saved = f"{signal.Signals(number).name}: saved step {self.done} in {self.run.folder}"
        with contextlib.suppress(OSError):  # after SIGHUP there may be nobody to read it
            print(f"{saved}; the same command goes on from there", flush=True)
        raise SystemExit(128 + number)

    def _bar_off(self):
        return not (self.settings["progress"] and sys.stderr.isatty())
