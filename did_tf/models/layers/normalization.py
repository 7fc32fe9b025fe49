"""Batch normalisation through the fused kernel, and what may be asked of it from without."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import tensorflow as tf
from tensorflow import keras

from did_tf.common.ambient import Ambient

_statistics = Ambient()
_frozen = Ambient()
_limit = Ambient()


def only_looking() -> AbstractContextManager[None]:
    """Within it, a network that is called in training moves none of its statistics: it will be called again."""
    return statistics_to(lambda *_: None)


def statistics_to(
    take: Callable[[FusedBatchNormalization, tf.Tensor, tf.Tensor], None],
) -> AbstractContextManager[None]:
    """Within it, batch norm in training calls `take(layer, mean, variance)` where it would `move`."""
    return _statistics.holding(take)


def frozen_batch_norm(mode: str) -> AbstractContextManager[None]:
    """Within it, batch norm takes its moving statistics in training too, and leaves them.

    Scales and offsets are trained with "statistics", not with "all"; with "" all is as outside.
    """
    return _frozen.holding(mode)


def momentum_at_most(limit: tf.Tensor) -> AbstractContextManager[None]:
    """Within it, statistics that began anew move with a layer's momentum or `limit`, a float32 scalar: the smaller."""
    return _limit.holding(limit)


@keras.utils.register_keras_serializable("did_tf")
class FusedBatchNormalization(keras.layers.BatchNormalization):
    """Keras' batch normalisation over the last axis of [N, H, W, C], through TensorFlow's fused kernel.

    Keras 3 has no fused kernel on TensorFlow and works in float32 even under a 16-bit policy. This layer has the same
    weights, the same results and the same moving statistics (of the biased variance), with 16-bit activations kept
    16 bits wide. Statistics stay in float32.

    Attributes:
      synchronized: whether replicas share the batch's statistics. Set by the trainer before the first trace. Without
        it each replica keeps moving statistics of its own part; the trainer averages them before they are used.
      begins_anew: whether its moving statistics may have begun as zeros and ones, which mean nothing. Set likewise.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.synchronized, self.begins_anew = False, True

    def add_weight(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras'; each replica has its own statistics, which Keras 2 would average whenever they are read."""
        own = {key: value for key, value in kwargs.items() if key not in ("synchronization", "aggregation")}
        return super().add_weight(*args, **own)

    def call(self, inputs: tf.Tensor, training: bool | None = None, mask: tf.Tensor | None = None) -> tf.Tensor:
        """[N, H, W, C] in the dtype of the inputs: normalised by the batch in training, else by the moving statistics.

        A layer that is not trainable, or is in a context `frozen_batch_norm`, uses the moving statistics in training
        too, and leaves them. `mask` is ignored.
        """
        if not (training and self.trainable) or _frozen.value:
            mean, variance = tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)
            return self._fused(inputs, mean, variance)
        replicas = tf.distribute.get_replica_context()
        if self.synchronized and replicas and replicas.num_replicas_in_sync > 1:
            outputs, mean, variance = self._across(replicas, inputs)
        else:
            outputs, mean, variance = self._within(inputs)
        (_statistics.value or FusedBatchNormalization.move)(self, mean, variance)
        return outputs

    def move(self, mean: tf.Tensor, variance: tf.Tensor) -> None:
        """Moves the moving statistics towards those of a batch, the biased variance among them.

        See `momentum_at_most`.
        """
        limited = self.begins_anew and _limit.value is not None
        momentum = tf.minimum(self.momentum, _limit.value) if limited else self.momentum
        for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(moving + (batch - moving) * (1 - momentum))

    def _fused(self, inputs, mean, variance, training=False):
        scale, offset = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        if _frozen.value == "all":
            scale, offset = tf.stop_gradient(scale), tf.stop_gradient(offset)
        result = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=scale,
            offset=offset,
            mean=mean,
            variance=variance,
            epsilon=self.epsilon,
            is_training=training,
        )
        return (result.y, result.batch_mean, result.batch_variance) if training else result.y

    def _within(self, inputs):
        outputs, mean, unbiased = self._fused(inputs, tf.constant([]), tf.constant([]), training=True)
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
        return outputs, mean, unbiased * ((count - 1) / count)

    def _across(self, replicas, inputs):
        x = tf.cast(inputs, tf.float32)
        # Two passes: the mean of squares less the square of the mean loses digits, layer after layer.
        mean = replicas.all_reduce(tf.distribute.ReduceOp.MEAN, tf.reduce_mean(x, [0, 1, 2]))
        spread = tf.reduce_mean(tf.math.squared_difference(x, mean), [0, 1, 2])
        variance = replicas.all_reduce(tf.distribute.ReduceOp.MEAN, spread)
        outputs = tf.nn.batch_normalization(x, mean, variance, self.beta, self.gamma, self.epsilon)
        return tf.cast(outputs, inputs.dtype), tf.stop_gradient(mean), tf.stop_gradient(variance)
