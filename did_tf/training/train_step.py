"""One update on all devices: losses, micro-batches, precision, clipping, decay, averages of weights and statistics."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras

from did_tf import models
from did_tf.common import compat
from did_tf.models.layers import FusedBatchNormalization, frozen_batch_norm, momentum_at_most
from did_tf.runs import checkpoints
from did_tf.training import health, optimizers
from did_tf.training.losses import PixelCrossEntropy
from did_tf.training.schedules import Schedule
from did_tf.training.supervision import Supervision
from did_tf.training.update.compiling import refusals
from did_tf.training.update.gradients import Gradients

_SUM, _MEAN = tf.distribute.ReduceOp.SUM, tf.distribute.ReduceOp.MEAN


class TrainStep:
    """One update over all replicas: batch -> gradients -> weights.

    Args:
      strategy: a `tf.distribute.Strategy`; everything with variables was and is made in its scope.
      model: built in the strategy's scope.
      pixel_loss: a `PixelCrossEntropy`.
      supervision: the `Supervision` of the model.
      schedule: the `Schedule` of the learning rate.
      settings: the section `optimizer` of the settings.
      train: the section `train`.
      seed: of dropout, int32.

    Attributes:
      metrics: names of what a step gives: the loss, the loss of each output, the learning rate that was used, the
        gradient's norm before clipping, with mining the share of pixels kept and the threshold, and with loss scaling
        whether the update overflowed and was left out ("skipped", 1 or 0; the norm is 0 then).
      averages: moving averages of the trainable weights, in their order; empty without.

    Raises:
      ConfigError: a bad setting of the optimizer.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        model: keras.Model,
        pixel_loss: PixelCrossEntropy,
        supervision: Supervision,
        schedule: Schedule,
        settings: Mapping[str, Any],
        train: Mapping[str, Any],
        seed: int,
    ) -> None:
        self.strategy, self.model, self.pixel_loss = strategy, model, pixel_loss
        self.supervision, self.schedule = supervision, schedule
        self.ema_decay, self._compiles = train["ema"], train["jit_compile"]
        self.clip_norm = settings["clip_norm"]
        decoupled = optimizers.is_decoupled(settings["name"], settings["decay"])
        self.l2, self.undecayed = 0.0 if decoupled else settings["weight_decay"], settings["undecayed"]
        self._freezes, self._freezes_from = train["freeze_batch_norm"], train["freeze_batch_norm_from"]
        for layer in self._batch_norms():
            layer.synchronized = train["sync_batch_norm"]
            layer.begins_anew = not _brought(layer.name, train)
            # What is fixed from the start has no slots in the optimizer and no averages.
            layer.trainable = self._freezes != "all" or self._freezes_from > 0
        self.multipliers = _multipliers(model, settings["multipliers"])
        with strategy.scope():
            self.optimizer = optimizers.make(
                settings["name"],
                schedule,
                settings["options"],
                settings["weight_decay"],
                settings["decay"],
                model.trainable_variables,
                settings["undecayed"],
            )
            self.loss_scale = optimizers.LossScale(train["precision"] == "float16")
            self.averages = [tf.Variable(v, trainable=False) for v in self._weights()] if self.ema_decay else []
        scale = self.loss_scale.scale
        self._gradients = Gradients(strategy, model, pixel_loss, supervision, train, seed, scale)
        self.metrics = [
            "loss",
            *(f"loss/{name}" for name in self.supervision.weights),
            "learning_rate",
            "gradient_norm",
        ]
        self.metrics += ["ohem/kept", "ohem/threshold"] if pixel_loss.mines else []
        self.metrics += [health.SKIPPED] if self.loss_scale.enabled else []

    def state(self) -> dict[str, tf.Variable]:
        """{name: tf.Variable} of everything that must outlive the process, weights included."""
        state = checkpoints.model_state(self.model)
        state.update({f"optimizer/{i}": v for i, v in enumerate(compat.optimizer_variables(self.optimizer))})
        paths = [compat.path(v) for v in self.model.trainable_variables]
        state.update({f"{checkpoints.AVERAGE}{path}": v for path, v in zip(paths, self.averages)})
        state.update({"loss_scale/scale": self.loss_scale.scale, "loss_scale/good_steps": self.loss_scale.good_steps})
        return state

    def __call__(self, batch: Mapping[str, Any], step: int | tf.Tensor) -> tf.Tensor:
        """One update; gives the values of `metrics`, then those of `health.VITALS`: a float32 vector.

        Args:
          batch: distributed {"image": [N, H, W, C], "label": [N, H, W] or [N]}, as `pipeline.training_batches` gives
            them; with "other" labels too, the loss is of both, by the "weight" of these.
          step: number of the update, from 0. From `train.freeze_batch_norm_from` on batch norm is frozen.

        Raises:
          ConfigError: XLA is to compile it, and can't.
        """
        frozen = self._freezes if int(step) >= self._freezes_from else ""
        if frozen and int(step) == self._freezes_from > 0 and self.strategy.num_replicas_in_sync > 1:
            self.average_batch_norm()  # replicas normalise by them from here on, wherever the run is stopped
        with refusals() if self._compiles else contextlib.nullcontext():
            # TensorFlow keeps a tensor for ever for each number of Python's that it has seen, but none for NumPy's.
            return self._update_of(batch, tf.constant(np.int32(step)), frozen)

    @tf.function(autograph=False)  # which would double the time to the first update
    def _update_of(self, batch, step, frozen):
        """As `__call__`, traced once for each of what is frozen."""
        labels = [batch[key] for key in ("label", "other", "weight") if key in batch]
        values = self.strategy.run(self._replica_step, (batch["image"], labels, step, frozen))
        # Every replica holds the same values, reduced already.
        return self.strategy.experimental_local_results(values)[0]

    @tf.function(autograph=False)
    def average_batch_norm(self) -> None:
        """Gives every replica the mean of the replicas' moving statistics.

        Each moves by its own batches; moving averages are linear, so averaging them now and then is the same as
        averaging the statistics of every batch.
        """
        self.strategy.run(self._average_batch_norm)

    @contextlib.contextmanager
    def averaged_weights(self) -> Iterator[None]:
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

    def start_averages(self) -> None:
        """Starts the averages of the weights from the weights as they are."""
        for average, weight in zip(self.averages, self._weights()):
            average.assign(tf.convert_to_tensor(weight))

    def _weights(self):
        return [compat.tf_variable(v) for v in self.model.trainable_variables]

    def _statistics(self):
        return [compat.tf_variable(v) for v in self.model.non_trainable_variables if "moving" in compat.path(v)]

    def _updates_made(self):
        """How many the optimizer has counted, which scales its rate by them: those that were skipped are none."""
        return tf.convert_to_tensor(self.optimizer.iterations)

    def _replica_step(self, images, labels, step, frozen):
        context = tf.distribute.get_replica_context()
        with frozen_batch_norm(frozen), momentum_at_most(_memory(step)):
            gradients, losses, mining = self._gradients(images, labels, step)
        gradients = context.all_reduce(_SUM, gradients)
        scale, rate = tf.identity(self.loss_scale.scale), self.schedule(self._updates_made())
        if self.loss_scale.enabled:
            gradients = [g / scale for g in gradients]
        gradients = [self._decayed(g, v) for g, v in zip(gradients, self._weights())]
        norm = tf.linalg.global_norm(gradients)
        if self.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self.clip_norm, norm)
        finite = tf.math.is_finite(norm)
        self._apply(context, gradients, finite, frozen)
        skipped = []
        if self.loss_scale.enabled:
            norm, skipped = tf.where(finite, norm, 0.0), [tf.cast(~finite, tf.float32)]
        values = [*self._reduced_losses(context, losses), rate, norm, *self._reduced_mining(context, mining), *skipped]
        return tf.stack([*values, *health.vitals(self._weights(), self._statistics(), scale)])

    def _reduced_losses(self, context, losses):
        losses = context.all_reduce(_SUM, losses)
        return [tf.add_n([weight * loss for weight, loss in zip(self.supervision.weights.values(), losses)]), *losses]

    def _reduced_mining(self, context, mining):
        if not self.pixel_loss.mines:
            return []
        kept, valid = context.all_reduce(_SUM, [mining.kept, mining.valid])
        return [tf.math.divide_no_nan(kept, valid), context.all_reduce(_MEAN, mining.threshold)]

    def _decayed(self, gradient, variable):
        decays = self.l2 and optimizers.decays(variable, self.undecayed)
        return gradient + self.l2 * variable if decays else gradient

    def _factors(self, frozen):
        """`multipliers`, and 0 for what is frozen though it was trained: momentum would move it on."""
        fixed = {id(v) for layer in self._batch_norms() for v in (layer.gamma, layer.beta)} if frozen == "all" else ()
        trained = zip(self.model.trainable_variables, self.multipliers)
        return [0 if id(variable) in fixed else factor for variable, factor in trained]

    def _batch_norms(self):
        return [layer for layer in self.model.layers if isinstance(layer, FusedBatchNormalization)]

    def _apply(self, context, gradients, finite, frozen):
        if self.loss_scale.enabled:
            # Outside of the replicas: inside of a condition they can't wait for each other, as optimizers do.
            context.merge_call(self._apply_where_finite, (gradients, finite, frozen))
            self.loss_scale.update(finite)
        else:
            self._update(gradients, frozen)

    def _apply_where_finite(self, strategy, gradients, finite, frozen):
        def apply():
            strategy.extended.call_for_each_replica(self._update, (gradients, frozen))

        tf.cond(strategy.experimental_local_results(finite)[0], apply, lambda: None)

    def _update(self, gradients, frozen):
        factors = zip(self._weights(), self._factors(frozen))
        before = [(v, tf.identity(v), factor) for v, factor in factors if factor != 1]
        compat.apply_reduced(self.optimizer, gradients, self.model.trainable_variables)
        for variable, old, factor in before:
            # Whatever the optimizer's rule, its change is what the learning rate scales.
            variable.assign(old + factor * (variable - old))
        if self.averages:
            decay = tf.minimum(self.ema_decay, _memory(self._updates_made()))
            for average, weight in zip(self.averages, self._weights()):
                average.assign(average * decay + weight * (1 - decay))

    def _average_batch_norm(self):
        context = tf.distribute.get_replica_context()
        moving = self._statistics()
        for variable, mean in zip(moving, context.all_reduce(_MEAN, [tf.identity(v) for v in moving])):
            variable.assign(mean)


def _brought(layer_name, train):
    """Whether a layer surely has what `train.init` or `train.encoder` brings: a head is new to other classes."""
    part = models.part(layer_name)
    return bool(train["init"]) and part != "head" or bool(train["encoder"]) and part == "encoder"


def _memory(updates):
    """Largest decay of moving averages after so many updates: short at first, or their initial values would stay."""
    updates = tf.cast(updates, tf.float32)
    return (1 + updates) / (10 + updates)


def _multipliers(model, factors):
    """Factor of the learning rate of each trainable variable, from {part: factor}. Raises ConfigError."""
    models.check_parts("optimizer.multipliers", factors)
    return [factors.get(models.part(compat.path(variable)), 1) for variable in model.trainable_variables]
