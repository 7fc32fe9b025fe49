"""The trainer: the loop around the updates, with validation, checkpoints and logs."""

from __future__ import annotations

import contextlib
import functools
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NoReturn, Protocol

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from data_pipelines.augment import Augmentation
from data_pipelines.pipeline import Loader, training_batches
from did_tf.cluster.workers import Workers
from did_tf.common.errors import ConfigError, NotFinite
from did_tf.common.files import write_json
from did_tf.runs import checkpoints, identity
from did_tf.runs.curves import plot_metrics
from did_tf.runs.manifest import of_weights
from did_tf.runs.run_folder import MetricsFile, RunFolder
from did_tf.training import health, pretrained, transfer
from did_tf.training.distribution import distributed
from did_tf.training.health import TrainingFailed
from did_tf.training.train_step import TrainStep


class Validation(Protocol):
    """What scores the network while it trains; `did_tf.scoring.validation` has one for each task."""

    @property
    def scores(self) -> Mapping[str, str]:
        """Names of the scores with what people call them. The first decides which weights are kept."""

    @property
    def remark(self) -> str:
        """What is to be said of the last scores; empty for nothing."""

    def __call__(self, split: str, progress: bool) -> tuple[dict[str, float], Callable[[], None]]:
        """({score: fraction in [0, 1]}, function that writes TensorBoard summaries) of `split`."""


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
      steps: how many there are to be, those that the run was extended by among them.

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
        self.step, self.best = tf.Variable(0, tf.int64), tf.Variable(-1.0, dtype=tf.float64)
        self.window = tf.Variable(tf.zeros([1 + len(train_step.metrics)], tf.float64))
        self.stop_signal: int | None = None
        self._start_run(config)

    def _start_run(self, config):
        for line in self.run.check(config, self.manifest):
            print(line)
        saved = checkpoints.saved_steps(self.run.checkpoints)
        if saved:
            checkpoints.restore(saved[-1], self._state())
            print(f"resuming {self.run.folder} at step {int(self.step)}{self._extension()}")
        else:
            # Where that fails there is no folder yet, which would hold the wrong settings.
            self._load_initial_weights()
        self.workers.share(self._state())
        self.run.start(config, self.manifest, int(self.step))
        validation = [f"val_{score}" for score in self.validation.scores]
        columns = ["step", "images", *self.train_step.metrics, "images_per_second", "input_wait", *validation]
        self.metrics_file = MetricsFile(self.run.metrics, columns, int(self.step))
        self.writer = tf.summary.create_file_writer(str(self.run.tensorboard))

    def _extension(self):
        """What is to be said of the steps of a run that is extended: how many, and at which learning rate."""
        if not self.settings["extend"]:
            return ""
        schedule = self.train_step.schedule
        rate = f"{schedule.name} over all of them, {float(schedule(int(self.step))):.3g} from here"
        return f", extended by {self.settings['extend']} to {self.steps} steps; learning rate: {rate}"

    def _load_initial_weights(self):
        loads = (
            ("init", transfer.load_all, self.manifest, self.settings["init_options"]),
            ("encoder", pretrained.load_encoder, self.manifest),
        )
        for source, load, *arguments in loads:
            if self.settings[source]:
                try:
                    print(f"{source} weights from {load(self.model, self.settings[source], *arguments)}")
                except ConfigError as error:
                    raise ConfigError(f"train.{source}: {error}") from None
        self.train_step.start_averages()

    def fit(self) -> float | None:
        """Trains up to `steps`. Returns the best validation score in [0, 1], or None without validation.

        SIGTERM and Ctrl-C save a checkpoint and leave with status 128 + the signal's number.

        Raises:
          TrainingFailed: losses, gradients, weights, statistics or probabilities are not finite (`health`).
        """
        steps, first = self.steps, int(self.step)
        pending, window = [], self.window.numpy()
        batches, since, clock = _Timed(self._batches(first)), first, time.perf_counter()
        bar = tqdm(total=steps, initial=first, desc=self.run.folder.name, unit="step", disable=self._bar_off())
        with self._signals(), bar:
            for done, batch in zip(range(first + 1, steps + 1), batches):
                pending.append(self.train_step(batch, done - 1))
                self.stop_signal = self.workers.agreed(self.stop_signal or 0) or None
                bar.update()
                log, validate, save = (self._due(done, name) for name in ("log", "validate", "checkpoint"))
                if not (log or validate or save or self.stop_signal):
                    continue
                window = window + self._flush(pending, done)
                pending = []
                if log or validate:
                    seconds = time.perf_counter() - clock
                    row = self._row(done, window, (done - since) / seconds, batches.waited / seconds)
                    if validate and self.val_split:
                        row.update(self._validate(done, bar))
                    self._log(done, row, bar)
                    if validate:
                        plot_metrics(self.run)
                    window, since, clock = np.zeros_like(window), done, time.perf_counter()
                    batches.waited = 0.0
                if save or self.stop_signal:
                    self._save(done, window)
                if done == steps and not self.val_split:
                    self._keep({"step": done})
                if self.stop_signal:
                    self._leave(done, self.stop_signal)
        self.workers.agreed(0)  # none leaves before the chief has written all
        return float(self.best) if float(self.best) >= 0 else None

    def _batches(self, first):
        size = self.settings["batch_size"]
        batches = functools.partial(training_batches, self.loader, self.augmentation, size, self.seed, first * size)
        return distributed(self.strategy, batches, size)

    def _due(self, done, what):
        return done % self.settings[f"{what}_every"] == 0 or done == self.steps

    def _flush(self, pending, done):
        """Sums [1 + metrics] of the pending steps, the first entry their number. Raises `TrainingFailed`."""
        values, names = np.array([value.numpy() for value in pending], np.float64), self.train_step.metrics
        found = health.problem([*names, *health.VITALS], values)
        if found:
            index, what = found
            self._fail(what, done - len(pending) + 1 + index)
        return np.array([len(values), *values[:, : len(names)].sum(0)])

    def _fail(self, what: str, step: int) -> NoReturn:
        saved = checkpoints.saved_steps(self.run.checkpoints)
        raise TrainingFailed(what, step, saved[-1] if saved else None)

    def _row(self, done, window, steps_per_second, waiting):
        row = {"step": done, "images": done * self.settings["batch_size"]}
        row.update({name: f"{value:.7g}" for name, value in self._means(window).items()})
        row["images_per_second"] = f"{steps_per_second * self.settings['batch_size']:.4g}"
        row["input_wait"] = f"{waiting:.4f}"
        return row

    def _means(self, window):
        means = dict(zip(self.train_step.metrics, window[1:] / window[0]))
        if made := 1 - means.get(health.SKIPPED, 0):
            means["gradient_norm"] /= made  # those that were skipped have none
        return means

    def _log(self, done, row, bar):
        self.metrics_file.write(row)
        with self.writer.as_default(done):
            for name, value in row.items():
                if name not in ("step", "images"):
                    tf.summary.scalar(name, float(value))
        self.writer.flush()
        shown = {"loss": f"{float(row['loss']):.3f}", "images/s": row["images_per_second"]}
        best = f"best {next(iter(self.validation.scores.values()))}"
        bar.set_postfix({**shown, best: f"{max(0, float(self.best)):.3f}"})
        if bar.disable and self.settings["progress"]:
            print(f"step {done}: " + ", ".join(f"{key} {value}" for key, value in shown.items()), flush=True)

    def _validate(self, done, bar):
        """Validation scores as entries of the log; keeps the weights where they are the best so far."""
        try:
            with self.train_step.averaged_weights():
                scores, summarize = self.validation(self.val_split, not self._bar_off())
        except NotFinite as error:
            self._fail(f"validation: {error}", done)
        decisive = next(iter(scores.values()))
        if decisive > float(self.best):
            self.best.assign(decisive)
            self._keep({"step": done, **scores})
        with self.writer.as_default(done):
            summarize()
        named = [f"{self.validation.scores[name]} {100 * value:.2f} %" for name, value in scores.items()]
        remark = f" ({self.validation.remark})" if self.validation.remark else ""
        bar.write(f"step {done}: validation {', '.join(named)}{remark}", sys.stdout)
        return {f"val_{name}": f"{value:.7g}" for name, value in scores.items()}

    def _keep(self, scores):
        """Writes the weights to use, with averages in place of weights and statistics, into best/."""
        with self.train_step.averaged_weights():
            about = of_weights(self.manifest, scores["step"])
            checkpoints.write(self.run.best / "weights.npz", checkpoints.model_state(self.model), about)
        write_json(self.run.best / "metrics.json", scores)

    def _save(self, done, window):
        if self.strategy.num_replicas_in_sync > 1:
            self.train_step.average_batch_norm()
        self.step.assign(done)
        self.window.assign(window)
        about, keep = of_weights(self.manifest, done), self.settings["keep_checkpoints"]
        checkpoints.save_step(self.run.checkpoints, done, self._state(), keep, about)

    def _state(self):
        trainer = {"trainer/step": self.step, "trainer/window": self.window, "trainer/best": self.best}
        return {**self.train_step.state(), **trainer}

    @contextlib.contextmanager
    def _signals(self):
        """Within it, SIGTERM and SIGINT are noted and the step under way is finished."""

        def note(number, frame):
            self.stop_signal = number

        previous = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def _leave(self, done, number):
        self.workers.agreed(0)
        name = signal.Signals(number).name
        print(f"{name}: saved step {done} in {self.run.folder}; the same command goes on from there", flush=True)
        raise SystemExit(128 + number)

    def _bar_off(self):
        return not (self.settings["progress"] and sys.stderr.isatty())


class _Timed:
    """Iterates over `iterable`; `waited` is the time in seconds that its elements were waited for."""

    def __init__(self, iterable: Iterable[Any]) -> None:
        self._elements, self.waited = iter(iterable), 0.0

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        began = time.perf_counter()
        try:
            return next(self._elements)
        finally:
            self.waited += time.perf_counter() - began
