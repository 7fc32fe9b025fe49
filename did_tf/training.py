"""The trainer: the step (deep supervision, mining, precision, accumulation, replicas) and the loop around it."""

import contextlib
import math
import signal
import sys
import time

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tqdm import tqdm

from data_pipelines.pipeline import Loader, training_batches
from did_tf import checkpoints, compat, evaluation, optimizers, visualize, wiring
from did_tf.distribution import make_strategy
from did_tf.errors import ConfigError
from did_tf.files import write_json
from did_tf.losses import output_weights
from did_tf.models.layers import FusedBatchNormalization, check_size, random_seed
from did_tf.run_folder import MetricsFile, fingerprint, make_manifest, read_metrics
from did_tf.schedules import Schedule

_SUM, _MEAN = tf.distribute.ReduceOp.SUM, tf.distribute.ReduceOp.MEAN


class TrainingFailed(RuntimeError):
    """Training can't go on; the message names the step."""


class LossScale:
    """Dynamic loss scaling for float16: halved where a gradient overflows, doubled after `patience` good steps."""

    def __init__(self, enabled, initial=2.0**15, patience=2000):
        self.enabled, self.patience = enabled, patience
        self.scale = tf.Variable(initial if enabled else 1.0, trainable=False)
        self.good_steps = tf.Variable(0, trainable=False)

    def update(self, finite):
        """Call once a step, with whether all gradients were finite."""
        if self.enabled:
            good = tf.where(finite, self.good_steps + 1, 0)
            grown = good >= self.patience
            factor = tf.where(finite, tf.where(grown, 2.0, 1.0), 0.5)
            self.scale.assign(tf.maximum(self.scale * factor, 1.0))
            self.good_steps.assign(tf.where(grown, 0, good))


class TrainStep:
    """One update over all replicas: batch -> gradients -> weights.

    Args:
      strategy: a `tf.distribute.Strategy`; everything with variables was and is made in its scope.
      model: built in the strategy's scope.
      pixel_loss: a `PixelCrossEntropy`.
      config: the run's settings.
    """

    def __init__(self, strategy, model, pixel_loss, config):
        self.strategy, self.model, self.pixel_loss = strategy, model, pixel_loss
        self.seed, train, settings = config["seed"], config["train"], config["optimizer"]
        self.accumulate, self.ema_decay = train["accumulate"], train["ema"]
        self.output_weights = output_weights(list(model.output), config["loss"]["output_weights"])
        self.clip_norm = settings["clip_norm"]
        decoupled = optimizers.is_decoupled(settings["name"], settings["decay"])
        self.l2 = 0.0 if decoupled else settings["weight_decay"]
        for layer in model.layers:
            if isinstance(layer, FusedBatchNormalization):
                layer.synchronized = train["sync_batch_norm"]
        with strategy.scope():
            self.schedule = _schedule(config)
            self.optimizer = optimizers.make(
                settings["name"],
                self.schedule,
                settings["options"],
                settings["weight_decay"],
                settings["decay"],
                model.trainable_variables,
            )
            self.loss_scale = LossScale(train["precision"] == "float16")
            self.averages = [tf.Variable(v, trainable=False) for v in self._weights()] if self.ema_decay else []
        self.metrics = ["loss", *(f"loss/{name}" for name in self.output_weights), "learning_rate", "gradient_norm"]
        self.metrics += ["ohem/kept", "ohem/threshold"] if pixel_loss.mines else []

    def state(self):
        """{name: tf.Variable} of everything that must outlive the process, weights included."""
        state = checkpoints.model_state(self.model)
        state.update({f"optimizer/{i}": v for i, v in enumerate(compat.optimizer_variables(self.optimizer))})
        state.update({f"average/{i}": v for i, v in enumerate(self.averages)})
        state.update({"loss_scale/scale": self.loss_scale.scale, "loss_scale/good_steps": self.loss_scale.good_steps})
        return state

    @tf.function
    def __call__(self, batch, step):
        """Values of `metrics` [len(metrics)] float32 for a distributed `batch` at update `step` (int32 scalar)."""
        values = self.strategy.run(self._replica_step, (batch["image"], batch["label"], step))
        # Every replica holds the same values, reduced already.
        return self.strategy.experimental_local_results(values)[0]

    @tf.function
    def average_batch_norm(self):
        """Gives every replica the mean of the replicas' moving statistics.

        Each moves by its own batches; moving averages are linear, so averaging them now and then is the same as
        averaging the statistics of every batch.
        """
        self.strategy.run(self._average_batch_norm)

    @contextlib.contextmanager
    def averaged_weights(self):
        """Within it, the model has its averaged weights (where there are any) and averaged statistics."""
        if self.strategy.num_replicas_in_sync > 1:
            self.average_batch_norm()
        current = [v.numpy() for v in self._weights()] if self.averages else []
        for weight, average in zip(self._weights(), self.averages):
            weight.assign(average.numpy())
        try:
            yield
        finally:
            for weight, value in zip(self._weights(), current):
                weight.assign(value)

    def _weights(self):
        return [compat.tf_variable(v) for v in self.model.trainable_variables]

    def _replica_step(self, images, labels, step):
        context = tf.distribute.get_replica_context()
        gradients, losses, mining = self._gradients(context, images, labels, step)
        gradients = context.all_reduce(_SUM, gradients)
        gradients = [self._decayed(g / self.loss_scale.scale, v) for g, v in zip(gradients, self._weights())]
        norm = tf.linalg.global_norm(gradients)
        if self.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, norm)
        rate = self.schedule(step)
        self._apply(context, gradients, tf.math.is_finite(norm))
        losses = context.all_reduce(_SUM, losses)
        total = tf.add_n([weight * loss for weight, loss in zip(self.output_weights.values(), losses)])
        values = [total, *losses, rate, norm]
        return tf.stack(values + (context.all_reduce(_MEAN, mining) if self.pixel_loss.mines else []))

    def _gradients(self, context, images, labels, step):
        """This replica's share: (gradients, loss of each output, [kept, threshold]), summed over micro-batches."""
        full_weight = context.all_reduce(_SUM, self.pixel_loss.full_weight(labels))
        gradients, losses, mining = None, None, None
        parts = zip(tf.split(images, self.accumulate), tf.split(labels, self.accumulate))
        for number, (image, label) in enumerate(parts):
            seed = (step * context.num_replicas_in_sync + context.replica_id_in_sync_group) * self.accumulate + number
            # One after the other, or nothing is saved: each waits for the gradients of the one before.
            with tf.control_dependencies(gradients or []), random_seed(tf.stack([self.seed, seed])):
                new = self._micro_gradients(context, tf.identity(image), label, full_weight)
            gradients, losses, mining = (
                [a + b for a, b in zip(old, more)] if old else more
                for old, more in zip((gradients, losses, mining), new)
            )
        return gradients, losses, [value / self.accumulate for value in mining]

    def _micro_gradients(self, context, image, label, full_weight):
        losses, terms = [], None
        with tf.GradientTape() as tape:
            outputs = self.model(image, training=True)
            for name in self.output_weights:
                own = self.pixel_loss(outputs[name], label)
                terms = terms or own
                losses.append(tf.math.divide_no_nan(own.total, self._divisor(context, own, full_weight)))
            total = tf.add_n([weight * loss for weight, loss in zip(self.output_weights.values(), losses)])
            scaled = total * self.loss_scale.scale
        gradients = tape.gradient(scaled, self._weights())
        return gradients, losses, [terms.kept, terms.threshold]

    def _divisor(self, context, terms, full_weight):
        """Weight of the whole global batch: known from the labels, or with mining once the pixels are chosen."""
        if not self.pixel_loss.mines:
            return full_weight
        return context.all_reduce(_SUM, tf.stop_gradient(terms.weight)) * self.accumulate

    def _decayed(self, gradient, variable):
        return gradient + self.l2 * variable if self.l2 and optimizers.is_kernel(variable) else gradient

    def _apply(self, context, gradients, finite):
        if self.loss_scale.enabled:
            # Outside of the replicas: inside of a condition they can't wait for each other, as optimizers do.
            context.merge_call(self._apply_where_finite, (gradients, finite))
            self.loss_scale.update(finite)
        else:
            self._update(gradients)

    def _apply_where_finite(self, strategy, gradients, finite):
        def apply():
            strategy.extended.call_for_each_replica(self._update, (gradients,))

        tf.cond(strategy.experimental_local_results(finite)[0], apply, lambda: None)

    def _update(self, gradients):
        compat.apply_reduced(self.optimizer, gradients, self.model.trainable_variables)
        if self.averages:
            done = tf.cast(tf.convert_to_tensor(self.optimizer.iterations), tf.float32)
            # Short memory at first, or the initial weights would stay in the average.
            decay = tf.minimum(self.ema_decay, (1 + done) / (10 + done))
            for average, weight in zip(self.averages, self._weights()):
                average.assign(average * decay + weight * (1 - decay))

    def _average_batch_norm(self):
        context = tf.distribute.get_replica_context()
        moving = [compat.tf_variable(v) for v in self.model.non_trainable_variables if "moving" in compat.path(v)]
        for variable, mean in zip(moving, context.all_reduce(_MEAN, [tf.convert_to_tensor(v) for v in moving])):
            variable.assign(mean)


class Trainer:
    """Trains `config` into a run folder, or goes on where an earlier process stopped.

    Args:
      config: resolved settings, a plain dict (experiments/base.py lists them).
      run: a `RunFolder`.

    Raises:
      ConfigError, DataError, ValueError: before anything is trained.
    """

    def __init__(self, config, run):
        self.config, self.run, self.settings = config, run, config["train"]
        _check(config)
        self.augmentation = wiring.make_augmentation(config)
        self.dataset = wiring.make_dataset(config)
        split, self.val_split = config["dataset"]["train_split"], config["dataset"]["val_split"]
        if "test" in split.split("+") or self.val_split == "test":
            raise ConfigError("the test split is for `evaluate` alone: train on train or train+val, validate on val")
        if self.val_split:
            self.dataset.samples(self.val_split)
        self.strategy = make_strategy(self.settings["devices"])
        self._check_batch()
        self.loader = Loader(self.dataset, split, config["data"]["cache"], self.settings["progress"])
        pixel_loss = wiring.make_pixel_loss(config, self.loader)
        keras.utils.set_random_seed(config["seed"])  # of the initial weights
        with self.strategy.scope():
            self.model = wiring.make_model(config, self.dataset.spec, self.settings["precision"])
            _check_crop(config, self.model)
            self.train_step = TrainStep(self.strategy, self.model, pixel_loss, config)
        self.step, self.best = tf.Variable(0, tf.int64), tf.Variable(-1.0, dtype=tf.float64)
        self.window = tf.Variable(tf.zeros([1 + len(self.train_step.metrics)], tf.float64))
        self.predictor = wiring.make_predictor(config, self.model)
        self._start_run(split, pixel_loss)
        self.stop_signal = None

    def _start_run(self, split, pixel_loss):
        devices = [str(device) for device in self.strategy.extended.worker_devices]
        data = {"split": split, "samples": len(self.loader), "fingerprint": fingerprint(self.loader.samples)}
        manifest = make_manifest(self.config["seed"], devices, data, pixel_loss.class_weights)
        self.run.start(self.config, manifest)
        saved = checkpoints.saved_steps(self.run.checkpoints)
        if saved:
            checkpoints.restore(saved[-1], self._state())
            print(f"resuming {self.run.folder} at step {int(self.step)}")
        elif self.settings["init"]:
            print(f"weights from {checkpoints.load_weights(self.model, self.settings['init'])}")
            for average, weight in zip(self.train_step.averages, self.model.trainable_variables):
                average.assign(tf.convert_to_tensor(weight))
        validation = ["val_miou", "val_accuracy"]
        columns = ["step", "images", *self.train_step.metrics, "images_per_second", *validation]
        self.metrics_file = MetricsFile(self.run.metrics, columns, int(self.step))
        self.writer = tf.summary.create_file_writer(str(self.run.tensorboard))

    def fit(self):
        """Trains up to `train.steps`. Returns the best validation mIoU in [0, 1], or None without validation.

        SIGTERM and Ctrl-C save a checkpoint and leave with status 128 + the signal's number.

        Raises:
          TrainingFailed: the loss is not finite.
        """
        steps, first = self.settings["steps"], int(self.step)
        pending, window = [], self.window.numpy()
        since, clock = first, time.perf_counter()
        bar = tqdm(total=steps, initial=first, desc=self.run.folder.name, unit="step", disable=self._bar_off())
        with self._signals(), bar:
            for done, batch in zip(range(first + 1, steps + 1), self._batches(first)):
                pending.append(self.train_step(batch, tf.constant(done - 1, tf.int32)))
                bar.update()
                log, validate, save = (self._due(done, name) for name in ("log", "validate", "checkpoint"))
                if not (log or validate or save or self.stop_signal):
                    continue
                window = window + self._flush(pending, done)
                pending = []
                if log or validate:
                    row = self._row(done, window, (done - since) / (time.perf_counter() - clock))
                    if validate and self.val_split:
                        row.update(self._validate(done, bar))
                    self._log(done, row, bar)
                    if validate:
                        plot_metrics(self.run)
                    window, since, clock = np.zeros_like(window), done, time.perf_counter()
                if save or self.stop_signal:
                    self._save(done, window)
                if done == steps and not self.val_split:
                    self._keep({"step": done})
                if self.stop_signal:
                    self._leave(done)
        return float(self.best) if float(self.best) >= 0 else None

    def _batches(self, first):
        size, seed = self.settings["batch_size"], self.config["seed"]
        batches = training_batches(self.loader, self.augmentation, size, seed, first * size)
        return self.strategy.experimental_distribute_dataset(batches)

    def _due(self, done, what):
        return done % self.settings[f"{what}_every"] == 0 or done == self.settings["steps"]

    def _flush(self, pending, done):
        """Sums [1 + metrics] of the pending steps, the first entry their number. Raises `TrainingFailed` on NaN."""
        values = np.array([value.numpy() for value in pending], np.float64)
        bad = np.flatnonzero(~np.isfinite(values[:, 0]))
        if bad.size:
            step = done - len(pending) + 1 + bad[0]
            raise TrainingFailed(
                f"the loss is {values[bad[0], 0]} at step {step}; the newest checkpoint is from before it. "
                "Try a lower schedule.learning_rate, optimizer.clip_norm=1, or train.precision=float32"
            )
        return np.array([len(values), *values.sum(0)])

    def _row(self, done, window, steps_per_second):
        means = window[1:] / window[0]
        row = {"step": done, "images": done * self.settings["batch_size"]}
        row.update({name: f"{value:.7g}" for name, value in zip(self.train_step.metrics, means)})
        row["images_per_second"] = f"{steps_per_second * self.settings['batch_size']:.4g}"
        return row

    def _log(self, done, row, bar):
        self.metrics_file.write(row)
        with self.writer.as_default(done):
            for name, value in row.items():
                if name not in ("step", "images"):
                    tf.summary.scalar(name, float(value))
        self.writer.flush()
        shown = {"loss": f"{float(row['loss']):.3f}", "images/s": row["images_per_second"]}
        bar.set_postfix({**shown, "best mIoU": f"{max(0, float(self.best)):.3f}"})
        if bar.disable and self.settings["progress"]:
            print(f"step {done}: " + ", ".join(f"{key} {value}" for key, value in shown.items()), flush=True)

    def _validate(self, done, bar):
        """Validation scores as entries of the log; keeps the weights where they are the best so far."""
        with self.train_step.averaged_weights():
            result = evaluation.evaluate(self.predictor, self.dataset, self.val_split, not self._bar_off())
            matrix = result.matrices["main"]
            miou, accuracy = float(matrix.mean_iou()), float(matrix.pixel_accuracy())
            if miou > float(self.best):
                self.best.assign(miou)
                self._keep({"step": done, "miou": miou, "accuracy": accuracy})
            self._show(done, matrix)
        bar.write(f"step {done}: validation mIoU {100 * miou:.2f} %, accuracy {100 * accuracy:.2f} %", sys.stdout)
        return {"val_miou": f"{miou:.7g}", "val_accuracy": f"{accuracy:.7g}"}

    def _keep(self, scores):
        """Writes the weights to use, with averages in place of weights and statistics, into best/."""
        with self.train_step.averaged_weights():
            checkpoints.write(self.run.best / "weights.npz", checkpoints.model_state(self.model))
        write_json(self.run.best / "metrics.json", scores)

    def _show(self, done, matrix):
        """Per-class IoU and panels of image, label and prediction, for TensorBoard."""
        spec, panels = self.dataset.spec, []
        for sample in self.dataset.samples(self.val_split)[: self.settings["panels"]]:
            image, label = self.dataset.read(sample)
            predicted = self.predictor(image)["main"].argmax(-1)
            shown = [visualize.to_rgb(image), *(visualize.colorize(ids, spec.palette) for ids in (label, predicted))]
            panels.append(visualize.side_by_side(shown, ["image", "label", "prediction"]))
        with self.writer.as_default(done):
            for name, iou in zip(spec.classes, matrix.iou()):
                if not math.isnan(iou):
                    tf.summary.scalar(f"val_iou/{name}", float(iou))
            for number, panel in enumerate(panels):
                tf.summary.image(f"validation/{number}", panel[None])

    def _save(self, done, window):
        if self.strategy.num_replicas_in_sync > 1:
            self.train_step.average_batch_norm()
        self.step.assign(done)
        self.window.assign(window)
        checkpoints.save_step(self.run.checkpoints, done, self._state(), self.settings["keep_checkpoints"])

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

    def _leave(self, done):
        name = signal.Signals(self.stop_signal).name
        print(f"{name}: saved step {done} in {self.run.folder}; the same command goes on from there", flush=True)
        raise SystemExit(128 + self.stop_signal)

    def _bar_off(self):
        return not (self.settings["progress"] and sys.stderr.isatty())

    def _check_batch(self):
        size, parts = self.settings["batch_size"], self.strategy.num_replicas_in_sync * self.settings["accumulate"]
        if size % parts:
            raise ConfigError(
                f"train.batch_size={size} can't be shared by {self.strategy.num_replicas_in_sync} devices "
                f"x {self.settings['accumulate']} micro-batches: use a multiple of {parts}"
            )


def plot_metrics(run):
    """Draws RUN/curves.png from metrics.csv: the loss of each output, and validation mIoU and accuracy."""
    rows = read_metrics(run.metrics)
    names = [name for name in rows[0] if name.startswith("loss/")] + ["val_miou", "val_accuracy"]
    points = {name: [(int(row["step"]), float(row[name])) for row in rows if row[name]] for name in names}
    series = {name: tuple(zip(*pairs)) for name, pairs in points.items() if pairs}
    visualize.plot_curves(run.folder / "curves.png", series, "step", "loss; fraction", run.folder.name)


def _schedule(config):
    settings = config["schedule"]
    return Schedule(
        settings["name"],
        settings["learning_rate"],
        config["train"]["steps"],
        settings["warmup"],
        settings["boundaries"],
        settings["divisor"],
        settings["power"],
    )


def _check_crop(config, model):
    try:
        check_size((None, *config["data"]["crop"]), model.get_layer("normalize").minimum)
    except ValueError as error:
        raise ConfigError(f"data.crop={tuple(config['data']['crop'])}: {error}") from None


def _check(config):
    """Settings that no part would refuse by itself."""
    counts = (
        "steps",
        "batch_size",
        "accumulate",
        "log_every",
        "checkpoint_every",
        "validate_every",
        "keep_checkpoints",
    )
    for name in counts:
        if config["train"][name] < 1:
            raise ConfigError(f"train.{name} must be 1 or more, got {config['train'][name]}")
    if not 0 <= config["train"]["ema"] < 1:
        raise ConfigError(f"train.ema must be in [0, 1), got {config['train']['ema']}")
