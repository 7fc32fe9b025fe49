"""Pixel cross entropy with ignored pixels, online hard example mining, and the average over supervised outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import tensorflow as tf

from data_pipelines.spec import IGNORE
from did_tf.common.errors import ConfigError

SCOPES = ("image", "batch")


@dataclasses.dataclass(frozen=True)
class Terms:
    """A loss before division, so that replicas and micro-batches can be added up first: float32 scalars.

    Attributes:
      total: sum over pixels of weight * cross entropy.
      weight: sum of the weights of the pixels in `total`: the loss is total / weight, and 0 where weight is 0.
      kept: share of the valid pixels that are in `total`.
      threshold: mean over images (or the batch) of the probability up to which pixels were kept; 1 without mining.
    """

    total: tf.Tensor
    weight: tf.Tensor
    kept: tf.Tensor
    threshold: tf.Tensor


@dataclasses.dataclass(frozen=True)
class PixelCrossEntropy:
    """Cross entropy over the pixels whose label is not `ignore`, optionally over the hardest of them only.

    Mining keeps the valid pixels with p <= max(threshold, the keep-th smallest p), p the probability given to the true
    class: by threshold alone (keep=0), by count alone (threshold=0), or both (fcrn_online_bootstrapping.md, equation 1
    and "bootstrapping"; its best setting keeps the 512 hardest of each crop). Pixels that tie with the last one are
    kept too, and where fewer than `keep` are valid all of them are.

    Attributes:
      threshold: probability in [0, 1]; 0 for none.
      keep: number of pixels, of an image or of a replica's batch; 0 for none.
      scope: "image" or "batch": what `keep` counts over. A batch is one replica's share.
      class_weights: per class, or None for 1. The loss is the weighted mean.
      ignore: the label that doesn't count. For classification, whose ids may reach 255, one that no image has.

    Raises:
      ConfigError: an attribute is out of its range.
    """

    threshold: float = 0.0
    keep: int = 0
    scope: str = "image"
    class_weights: tuple[float, ...] | None = None
    ignore: int = IGNORE

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ConfigError(f"loss.ohem_threshold must be in [0, 1], got {self.threshold}")
        if self.keep < 0:
            raise ConfigError(f"loss.ohem_keep must be 0 or more, got {self.keep}")
        if self.scope not in SCOPES:
            raise ConfigError(f"loss.ohem_scope must be one of {SCOPES}, got {self.scope!r}")

    @property
    def mines(self) -> bool:
        """Whether only the hardest pixels count."""
        return self.threshold > 0 or self.keep > 0

    def __call__(self, logits: tf.Tensor, labels: tf.Tensor) -> Terms:
        """`Terms` of logits [N, H, W, C] against labels [N, H, W], or [N, C] against [N].

        Logits may be of any float type, labels of any whole one; all is worked out in float32.
        """
        valid = tf.not_equal(labels, self.ignore)
        ids = tf.where(valid, tf.cast(labels, tf.int32), 0)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(ids, tf.cast(logits, tf.float32))
        chosen, threshold = self._hardest(losses, valid) if self.mines else (valid, tf.constant(1.0))
        weights = tf.where(chosen, self._pixel_weights(ids), 0.0)
        count = tf.reduce_sum(tf.cast(valid, tf.float32))
        kept = tf.math.divide_no_nan(tf.reduce_sum(tf.cast(chosen, tf.float32)), count)
        return Terms(tf.reduce_sum(losses * weights), tf.reduce_sum(weights), kept, threshold)

    def full_weight(self, labels: tf.Tensor) -> tf.Tensor:
        """Sum of the weights of all valid pixels of labels [N, H, W] or [N], a float32 scalar."""
        valid = tf.not_equal(labels, self.ignore)
        ids = tf.where(valid, tf.cast(labels, tf.int32), 0)
        return tf.reduce_sum(tf.where(valid, self._pixel_weights(ids), 0.0))

    def _pixel_weights(self, ids):
        if self.class_weights is None:
            return tf.ones_like(ids, tf.float32)
        return tf.gather(tf.constant(self.class_weights, tf.float32), ids)

    def _hardest(self, losses, valid):
        rows = 1 if self.scope == "batch" else tf.shape(losses)[0]
        probability = tf.exp(-tf.stop_gradient(losses))
        # Above any probability, so that ignored pixels come last.
        probability = tf.reshape(tf.where(valid, probability, 2.0), [rows, -1])
        limit = tf.fill([rows, 1], tf.cast(self.threshold, tf.float32))
        if self.keep:
            count = tf.minimum(self.keep, tf.shape(probability)[1])
            limit = tf.maximum(limit, -tf.math.top_k(-probability, count).values[:, -1:])
        chosen = tf.reshape(probability <= limit, tf.shape(valid)) & valid
        return chosen, tf.reduce_mean(tf.minimum(limit, 1.0))


def output_weights(outputs: Sequence[str], chosen: Mapping[str, float] | None = None) -> dict[str, float]:
    """{output: weight} of what is supervised: the plain mean (did.md, "Loss Function"), or `chosen` without its zeros.

    Raises:
      ConfigError: `chosen` names an output that the model doesn't have, or leaves none with a positive weight.
    """
    if not chosen:
        return {output: 1 / len(outputs) for output in outputs}
    unknown = sorted(set(chosen) - set(outputs))
    if unknown:
        raise ConfigError(f"loss.output_weights names {', '.join(unknown)}; the model has {', '.join(outputs)}")
    if not any(weight > 0 for weight in chosen.values()):
        raise ConfigError(f"loss.output_weights leaves nothing to train: {dict(chosen)}")
    return {output: chosen[output] for output in outputs if chosen.get(output)}
