"""Losses of pixels and regions with ignored pixels, online hard example mining, the average over supervised outputs."""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from data_pipelines.spec import IGNORE, DatasetSpec
from did_tf.common.errors import ConfigError, nearest
from did_tf.common.readout import CLASSES, Readout
from did_tf.training import regions

SCOPES = ("image", "batch")
PIXEL_TERMS = ("cross_entropy", "focal")
"""Terms of the loss that are means over pixels."""
REGION_TERMS = ("dice", "generalised_dice", "tversky", "lovasz", "boundary")
"""Terms that are means over images, see `regions`."""
EXCLUSIVE_TERMS = ("lovasz", "boundary")
"""Those of `REGION_TERMS` that are of classes of which each pixel has one, see `Readout`."""
TERMS = (*PIXEL_TERMS, *REGION_TERMS)


class Chosen(NamedTuple):
    """Which pixels count, and how much: of one replica.

    Attributes:
      weights: [N, P] float32, the weight of each pixel's cross entropy in the loss; 0 where it doesn't count.
      kept: how many pixels were chosen, a float32 scalar.
      valid: how many could have been, likewise: those of a class that has a weight.
      threshold: mean over the images with such a pixel (or of the batch) of the probability up to which pixels were
        kept; 1 without mining.
    """

    weights: tf.Tensor
    kept: tf.Tensor
    valid: tf.Tensor
    threshold: tf.Tensor


@dataclasses.dataclass(frozen=True)
class PixelCrossEntropy:
    """Cross entropy over the pixels whose label is not `ignore`, optionally over the hardest of them only.

    The loss of a batch is sum(weights * losses) / sum(weights), 0 where no pixel has a weight: the sums run over the
    whole global batch, however many replicas and micro-batches it is computed in.

    Other `terms` may stand beside cross entropy or in its place. Those of pixels are weighted and mined as it is, by
    its own values. Those of regions are means over the images in which a pixel counts, 0 where there are none: a pixel
    does if its label is not `ignore` and its class has a weight above 0, whatever mining keeps. Class weights are what
    classes weigh in an image's mean over them. Of shifted passes each image of each pass is an image.

    Of data with regions (see `Readout`) cross entropy is the mean of the binary ones of all regions, and so is focal
    loss; an image's mean is over the regions that its labels show. The probability that mining goes by is then the
    geometric mean of the regions' own. Class weights are those of the pixels' classes, which the labels have.

    With MixUp an image has two label maps. Each counts as an image's, times what it weighs; mining keeps the hardest
    pixels of each map.

    Of the pixels that count mining keeps those whose true class has at most the probability `threshold`, and the `keep`
    with the largest loss: by threshold alone (keep=0), by count alone (threshold=0), or all that one of the two names
    (fcrn_online_bootstrapping.md, equation 1 and "bootstrapping"; its best setting keeps the 512 hardest of each crop).
    Of equal losses the first pixels are kept, so that there are never more than `keep` by count; where fewer count
    all of them are. A loss that is not finite is always kept, for it must be seen.

    Attributes:
      threshold: probability in [0, 1]; 0 for none.
      keep: number of pixels, of an image or of the global batch; 0 for none.
      scope: "image" or "batch": what `keep` counts over.
      class_weights: per class, or None for 1. The loss is the weighted mean.
      ignore: the label that doesn't count. For classification, whose ids may reach 255, one that no image has.
      terms: {one of `PIXEL_TERMS` or `REGION_TERMS`: weight}, empty for cross entropy alone.
      label_smoothing: in [0, 1), what part of a label is shared by all classes alike (Szegedy et al. 2016, section 7):
        of cross entropy.
      focal_gamma: 0 or more, the focusing parameter of focal loss (Lin et al. 2017), whose alpha is `class_weights`.
      tversky_alpha, tversky_beta: weights of false positives and of misses, see `regions.tversky`.
      readout: how logits are read. Of regions `label_smoothing`, lovasz, boundary, and class weights beside other terms
        of regions are not to be had: `settings.check_loss` refuses them.

    Raises:
      ConfigError: an attribute is out of its range.
    """

    threshold: float = 0.0
    keep: int = 0
    scope: str = "image"
    class_weights: tuple[float, ...] | None = None
    ignore: int = IGNORE
    terms: Mapping[str, float] = dataclasses.field(default_factory=dict)
    label_smoothing: float = 0.0
    focal_gamma: float = 2.0
    tversky_alpha: float = 0.3
    tversky_beta: float = 0.7
    readout: Readout = CLASSES

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

    @property
    def plain(self) -> bool:
        """Whether the loss of a pixel is its cross entropy, nothing else."""
        return self._used(PIXEL_TERMS) == {"cross_entropy": 1} and not self.label_smoothing

    @property
    def has_regions(self) -> bool:
        """Whether there are terms of regions."""
        return bool(self._used(REGION_TERMS))

    def __call__(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the terms of every pixel, float32 [N, H, W], of logits [N, H, W, C], labels [N, H, W].

        [N] of logits [N, C] against [N] likewise. Logits may be of any float type, labels of any whole one. Where the
        label is `ignore` it is the loss of class 0, which no weight of `choose` counts.
        """
        used = self._used(PIXEL_TERMS)
        if not used:
            return tf.zeros_like(labels, tf.float32)
        logits, ids = tf.cast(logits, tf.float32), self._ids(labels)
        each = self._entropies(logits, ids)
        of = {
            "cross_entropy": lambda: smoothed(self._mean(each), logits, ids, self.label_smoothing),
            "focal": lambda: self._mean(focal(each, self.focal_gamma)),
        }
        return _weighted_sum({name: (weight, of[name]()) for name, weight in used.items()})

    def hardness(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """What mining ranks pixels by: cross entropy, whatever the terms are. Arguments as of a call."""
        return self._mean(self._entropies(tf.cast(logits, tf.float32), self._ids(labels)))

    def of_regions(self, logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        """The weighted sum of the terms of regions, float32 [N], of logits [N, H, W, C] and labels [N, H, W].

        0 for an image in which no pixel counts.
        """
        counts, logits = self._counts(labels), tf.cast(logits, tf.float32)
        weights = tf.constant(self.class_weights or (1.0,) * logits.shape[-1], tf.float32)
        ids = self._ids(labels)
        found = regions.regions_of(logits, ids, counts, weights, self.readout)
        of = {
            "dice": regions.dice,
            "generalised_dice": regions.generalised_dice,
            "tversky": lambda x: regions.tversky(x, self.tversky_alpha, self.tversky_beta),
            "lovasz": regions.lovasz,
            "boundary": lambda x: regions.boundary(x, regions.distances_of(ids, counts, logits.shape[-1])),
        }
        total = _weighted_sum({name: (weight, of[name](found)) for name, weight in self._used(REGION_TERMS).items()})
        return tf.where(_any_of_image(counts), total, 0.0)

    def images(self, labels: tf.Tensor) -> tf.Tensor:
        """In which images of labels [N, H, W] a pixel counts, float32 [N] of 1 and 0."""
        return tf.cast(_any_of_image(self._counts(labels)), tf.float32)

    def choose(self, losses: tf.Tensor, labels: tf.Tensor) -> Chosen:
        """The pixels of this replica that count, of losses [N, P] and labels [N, P]: all pixels of N images.

        Within a replica context the "batch" is that of all replicas, all of which must call this.
        """
        # Nothing teaches a class of weight 0: its pixels are the hardest, and would take the places of all others.
        valid = self._counts(labels)
        chosen, threshold = self._hardest(tf.stop_gradient(losses), valid) if self.mines else (valid, tf.constant(1.0))
        return Chosen(tf.where(chosen, self._class_weights(labels), 0.0), _count(chosen), _count(valid), threshold)

    def _entropies(self, logits, ids):
        """Cross entropy of each pixel [...], or the binary ones of its regions [..., R]."""
        if not self.readout.regions:
            return cross_entropy(logits, ids)
        targets = self.readout.targets(ids, logits.shape[-1])
        return tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)

    def _mean(self, each):
        """What `_entropies` gives, or what was made of it, as one value a pixel."""
        return tf.reduce_mean(each, -1) if self.readout.regions else each

    def _used(self, names):
        return {name: weight for name, weight in used(self.terms).items() if name in names}

    def _counts(self, labels):
        valid = tf.not_equal(labels, self.ignore)
        return valid & (self._class_weights(labels) > 0) if self.class_weights else valid

    def _ids(self, labels):
        return tf.where(tf.equal(labels, self.ignore), 0, tf.cast(labels, tf.int32))

    def _class_weights(self, labels):
        if self.class_weights is None:
            return tf.ones_like(labels, tf.float32)
        return tf.gather(tf.constant(self.class_weights, tf.float32), self._ids(labels))

    def _hardest(self, losses, valid):
        """([N, P] whether a pixel is kept, `Chosen.threshold`). By loss: probabilities near 1 are all alike."""
        finite = tf.math.is_finite(losses)
        ranked = tf.where(valid, tf.where(finite, losses, math.inf), -math.inf)
        ranked = ranked if self.scope == "image" else tf.reshape(ranked, [1, -1])
        limit = -math.log(self.threshold) if self.threshold else math.inf
        chosen, last = ranked >= limit, tf.fill([tf.shape(ranked)[0], 1], limit)
        if self.keep:
            first, largest = largest_of(ranked, self.keep, shared=self.scope == "batch")
            chosen, last = chosen | first, tf.minimum(last, largest)
        chosen = (tf.reshape(chosen, tf.shape(valid)) | ~finite) & valid
        there = tf.reduce_any(ranked > -math.inf, 1, keepdims=True)
        return chosen, _mean_where(there, tf.minimum(tf.exp(-last), 1.0))


def used(terms: Mapping[str, float]) -> dict[str, float]:
    """{term: weight} of `loss.terms`: of those that have one, cross entropy where none is named."""
    return {name: weight for name, weight in (terms or {"cross_entropy": 1.0}).items() if weight}


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Softmax cross entropy, float32 [...], of float32 logits [..., C] with int32 labels [...] in [0, C).

    As TensorFlow's own, which on CPUs takes 2.5 times as long: its loops run over the classes, which are few. So here
    these come first. The gradient is kept from the forward pass, as by TensorFlow's.
    """
    if tf.config.list_physical_devices("GPU"):
        return tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
    classes = logits.shape[-1]

    @tf.custom_gradient
    def losses(logits):
        rows = tf.transpose(tf.reshape(logits, [-1, classes]))
        right = tf.equal(tf.range(classes)[:, None], tf.reshape(labels, [1, -1]))
        rows -= tf.reduce_max(rows, 0, keepdims=True)
        powers = tf.exp(rows)
        sums = tf.reduce_sum(powers, 0, keepdims=True)
        found = tf.math.log(sums[0]) - tf.reduce_sum(tf.where(right, rows, 0.0), 0)
        slopes = powers / sums - tf.cast(right, tf.float32)

        def gradient(weights):
            return tf.reshape(tf.transpose(slopes * tf.reshape(weights, [1, -1])), tf.shape(logits))

        return tf.reshape(found, tf.shape(labels)), gradient

    return losses(logits)


def smoothed(entropy: tf.Tensor, logits: tf.Tensor, ids: tf.Tensor, share: float) -> tf.Tensor:
    """Cross entropy against labels of which a share is spread over all classes alike (Szegedy et al. 2016, section 7).

    (1 - share) entropy + share times the mean of the cross entropies of all classes, of which each is the entropy of
    the label plus its logit minus that of the class.

    Args:
      entropy: float32 [...], of the labels themselves.
      logits: float32 [..., C].
      ids: int32 [...].
      share: in [0, 1).
    """
    if not share:
        return entropy
    right = tf.cast(tf.one_hot(ids, logits.shape[-1]), tf.bool)
    return entropy + share * (tf.reduce_sum(tf.where(right, logits, 0.0), -1) - tf.reduce_mean(logits, -1))


def focal(entropy: tf.Tensor, gamma: float) -> tf.Tensor:
    """(1 - p)^gamma times cross entropy, -log(p), float32 [...]: right pixels count less (Lin et al. 2017, equation 4).

    A pixel whose probability is 1 in float32 has the slope 0: that of a power below 1 would be infinite there.
    """
    return tf.pow(tf.maximum(-tf.math.expm1(-entropy), 1e-20), gamma) * entropy


def largest_of(values: tf.Tensor, keep: int, shared: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
    """The `keep` largest values of each row of [rows, P], of equal ones the first.

    Args:
      values: float32 without NaN.
      keep: how many; all where there are fewer.
      shared: whether a row goes on in the next replica. All must call this then.

    Returns:
      ([rows, P] whether each is one of them, [rows, 1] the smallest of them).
    """
    replicas = tf.distribute.get_replica_context()
    shared = shared and replicas.num_replicas_in_sync > 1
    largest = _top(values, keep)
    if shared:
        largest = _top(replicas.all_gather(largest, axis=1), keep)
    last = largest[:, -1:]
    above, equal = values > last, tf.equal(values, last)
    counts = tf.stack([_count_rows(above), _count_rows(equal)])[None]  # [1, 2, rows, 1]
    everywhere = replicas.all_gather(counts, axis=0) if shared else counts
    before = everywhere[: replicas.replica_id_in_sync_group if shared else 0, 1]
    room = tf.minimum(keep, tf.shape(largest)[1]) - tf.reduce_sum(everywhere[:, 0], 0) - tf.reduce_sum(before, 0)
    return above | (equal & (tf.cumsum(tf.cast(equal, tf.int32), axis=1) <= room)), last


def _top(values, keep):
    return tf.math.top_k(values, tf.minimum(keep, tf.shape(values)[1])).values


def _count_rows(flags):
    return tf.reduce_sum(tf.cast(flags, tf.int32), axis=1, keepdims=True)


def _weighted_sum(terms):
    """Of {name: (weight, values)}; the values themselves where one weighs 1."""
    return functools.reduce(operator.add, (x if weight == 1 else weight * x for weight, x in terms.values()))


def _any_of_image(flags):
    return tf.reduce_any(tf.reshape(flags, [tf.shape(flags)[0], -1]), 1)


def _mean_where(flags, values):
    """The mean of values [rows, 1] where flags [rows, 1] are; of all where none is, as in a replica without labels."""
    weights = tf.cast(flags | ~tf.reduce_any(flags), tf.float32)
    return tf.reduce_sum(weights * values) / tf.reduce_sum(weights)


def _count(flags):
    return tf.reduce_sum(tf.cast(flags, tf.float32))


def class_weights(given: Sequence[float] | Mapping[int | str, float], spec: DatasetSpec) -> tuple[float, ...]:
    """The weight of each class.

    Args:
      given: one per class, or empty for none; or {id in the label files, or name: weight}, 1 for classes without. An id
        may be a text, as keys of JSON are.
      spec: of the data set.

    Raises:
      ConfigError: there are more or fewer weights than classes, or a key names no class, or two name one.
    """
    if not isinstance(given, Mapping):
        if given and len(given) != spec.num_classes:
            raise ConfigError(
                f"loss.class_weights has {len(given)} entries; the data set has {spec.num_classes} classes"
            )
        return tuple(given)
    found: dict[int, float] = {}
    for key, weight in given.items():
        number = _class_of(str(key), spec)
        if number in found:
            raise ConfigError(f"loss.class_weights names the class {spec.classes[number]} twice")
        found[number] = weight
    return tuple(found.get(number, 1.0) for number in range(spec.num_classes)) if found else ()


def _class_of(key, spec):
    """The class that `key` names. Raises ConfigError for none, and for a name of one that is the id of another."""
    ids = [str(number) for number in spec.label_ids or range(spec.num_classes)]
    matches = {names.index(key) for names in (list(spec.classes), ids) if key in names}
    if len(matches) == 1:
        return matches.pop()
    known = ", ".join(f"{number} {name}" for number, name in zip(ids, spec.classes))
    why = "the name of one class and the id of another" if matches else f"no class{nearest(key, spec.classes)}"
    raise ConfigError(f"loss.class_weights names {key!r}, which is {why}; there are {known:.200}")


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
