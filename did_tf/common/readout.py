"""What the logits of a network say: which class a pixel has, or, of sets of classes, in which of them it is.

Such regions may overlap, and each is told by itself, by a sigmoid. They are painted one over the other where they are
likelier than not, which gives each pixel a class again (as nnU-Net's region-based training does, Isensee et al.
2021). Where that gives not every class, as of pixels with several labels, a pixel has the likeliest: that of the
largest product of its regions' probabilities to be there, and of the others' not to be.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from scipy.special import expit, logit, softmax

from data_pipelines.spec import IGNORE, DatasetSpec

HALF, ZERO = 0.5, 0.0
"""Above which a region is there: of probabilities, and of logits."""
_LEAST = np.float32(1e-7)  # of a probability whose logarithm is taken
_AT_ONCE = 1 << 16  # pixels, of which each has a value for every class


@dataclasses.dataclass(frozen=True)
class Readout:
    """How the logits of a network are read: L of them for each pixel, or image.

    Attributes:
      regions: the classes of each logit's region, in the order in which they are painted. Empty: logits are of classes,
        of which one is there.
      painted: the class that each region paints.
      beneath: the class of a pixel that is in no region.
      sets: (class, whether each region has it) of all, where the likeliest counts and nothing is painted.
    """

    regions: tuple[tuple[int, ...], ...] = ()
    painted: tuple[int, ...] = ()
    beneath: int = 0
    sets: tuple[tuple[int, tuple[bool, ...]], ...] = ()

    def probabilities(self, logits: tf.Tensor) -> tf.Tensor:
        """[..., L], as the logits: of classes, which add up to 1; or of regions, each in [0, 1]."""
        return tf.sigmoid(logits) if self.regions else tf.nn.softmax(logits)

    def probabilities_of(self, logits: np.ndarray) -> np.ndarray:
        """`probabilities` of an array."""
        return expit(logits) if self.regions else softmax(logits, axis=-1)

    def classes(self, values: np.ndarray, half: float = HALF) -> np.ndarray:
        """Numbers of the classes, int64 [...], by probabilities [..., L]; by logits where `half` is `ZERO`."""
        if not self.regions:
            return values.argmax(axis=-1)
        if self.sets:
            return self._likeliest(values, half)
        found = np.full(values.shape[:-1], self.beneath)
        for number, painted in enumerate(self.painted):
            found[values[..., number] > half] = painted
        return found

    def classes_of(self, logits: tf.Tensor) -> tf.Tensor:
        """`classes` of a tensor of logits, int32."""
        if not self.regions:
            return tf.argmax(logits, -1, tf.int32)
        if self.sets:
            likelihoods = tf.matmul(tf.cast(logits, tf.float32), self._table)
            return tf.gather(self._numbers, tf.argmax(likelihoods, -1, tf.int32))
        found = tf.zeros_like(logits[..., 0], tf.int32) + self.beneath
        for number, painted in enumerate(self.painted):
            found = tf.where(logits[..., number] > ZERO, painted, found)
        return found

    def lead(self, values: np.ndarray, classes: np.ndarray, half: float = HALF) -> np.ndarray:
        """How far values [..., L], as of `classes`, are from saying `classes` [...]: 0 where they do.

        Of classes it is the largest value less that of the given one. Of regions that are others, the least that one
        of them is from `half`, on which side of it rounding decides; of `sets` also how much likelier another class is.
        """
        if not self.regions:
            return values.max(-1) - np.take_along_axis(values, classes[..., None].astype(int), -1)[..., 0]
        lead, others = np.zeros(classes.shape, np.float32), self.classes(values, half) != classes
        lead[others] = np.abs(values[others] - half).min(axis=-1)
        if self.sets:
            likelihoods, place = self._likelihoods(values[others], half), np.argsort(self._numbers)[classes[others]]
            behind = likelihoods.max(axis=-1) - np.take_along_axis(likelihoods, place[:, None], -1)[:, 0]
            lead[others] = np.minimum(lead[others], behind)
        return lead

    @property
    def _numbers(self):
        return np.array([number for number, _ in self.sets], np.int32)

    @property
    def _table(self):
        """[L, classes] float32: 1 where a region has a class of `sets`."""
        return np.array([regions for _, regions in self.sets], np.float32).T

    def _likelihoods(self, values, half):
        """[N, classes], of [N, L]: logarithms, up to what all classes of `sets` have in common."""
        # Each factor p by the p / (1 - p) of a region that is there: (1 - p) is then in all products.
        logits = values if half == ZERO else logit(np.clip(values / (2 * half), _LEAST, 1 - _LEAST))
        return logits.astype(np.float32) @ self._table

    def _likeliest(self, values, half):
        flat, numbers = values.reshape(-1, values.shape[-1]), self._numbers
        found = np.empty(len(flat), np.int64)
        for start in range(0, len(flat), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            found[part] = numbers[self._likelihoods(flat[part], half).argmax(axis=-1)]
        return found.reshape(values.shape[:-1])

    @property
    def members(self) -> np.ndarray:
        """[256, L] bool: whether the region of each logit has a class, by its number. Void is in none."""
        table = np.zeros((IGNORE + 1, len(self.regions)), bool)
        for number, classes in enumerate(self.regions):
            table[list(classes), number] = True
        return table

    def targets(self, ids: tf.Tensor, count: int) -> tf.Tensor:
        """What the `count` logits are to say of pixels of the classes `ids`, int32 [...]: float32 [..., L], 1 or 0."""
        return tf.gather(self.members.astype(np.float32), ids) if self.regions else tf.one_hot(ids, count)

    def mean(self, logits: Sequence[tf.Tensor]) -> tf.Tensor:
        """Logits whose probabilities are the mean of those of several, of one shape and float32."""
        if not self.regions:
            of_each = [tf.nn.log_softmax(values) for values in logits]
            return tf.reduce_logsumexp(of_each, axis=0) - math.log(len(logits))
        there, not_there = ([tf.math.log_sigmoid(sign * values) for values in logits] for sign in (1, -1))
        return tf.reduce_logsumexp(there, axis=0) - tf.reduce_logsumexp(not_there, axis=0)


CLASSES = Readout()
"""That of data without regions."""


def readout_of(spec: DatasetSpec) -> Readout:
    """How networks for the data of `spec` are read."""
    if not spec.regions:
        return CLASSES
    beneath, *painted = spec.painting
    return Readout(tuple(classes for _, classes in spec.regions), tuple(painted), beneath, spec.sets)
