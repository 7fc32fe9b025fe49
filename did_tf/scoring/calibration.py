"""Whether a network is as sure as it is often right, and the temperature that makes it so (Guo et al. 2017).

The confidence of a pixel is its largest probability. Where a network is calibrated, 80 % of the pixels of confidence
0.8 are right. A temperature divides all logits by one number: above 1 it makes a network less sure, below 1 surer, and
it changes no label.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from scipy.optimize import brentq

from data_pipelines.learnable import classes_in
from data_pipelines.spec import IGNORE, DataError, Dataset, DatasetSpec, Sample
from did_tf.common.errors import ConfigError
from did_tf.common.text import aligned
from did_tf.scoring.metrics import jsonable, ratio

BINS = 15
"""Of confidence, as in the paper."""
COOLEST, HOTTEST = 0.05, 20.0
"""Temperatures that are looked among."""
VALUES = 2**24
"""Probabilities that are kept at most, in float32, of pixels drawn from all images."""
_TWO = "a temperature takes two images with labels, one to fit it on, one to look at it: leave --calibration out"
_SMALLEST = np.finfo(np.float32).tiny  # of a probability whose logarithm is taken


def at_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Probabilities [..., C] float32 of logits divided by `temperature`: p^(1 / temperature) / their sum.

    The classes keep their order, but for those that rounding makes equal. NaN stays NaN.
    """
    if temperature == 1:
        return probabilities
    powers = probabilities / probabilities.max(axis=-1, keepdims=True)  # whose largest is 1, whatever the power
    np.power(powers, np.float32(1 / temperature), out=powers)
    return np.divide(powers, powers.sum(axis=-1, keepdims=True), out=powers)


@dataclasses.dataclass(frozen=True)
class Pixels:
    """Some pixels.

    Attributes:
      probabilities: [n, C] float32.
      labels: [n] class ids.
      weights: [n] float64: how many pixels each stands for.
    """

    probabilities: np.ndarray
    labels: np.ndarray
    weights: np.ndarray

    def at(self, temperature: float) -> Pixels:
        """The same at a temperature."""
        return dataclasses.replace(self, probabilities=at_temperature(self.probabilities, temperature))

    def nll(self) -> float:
        """The mean of -log of the true class's probability."""
        true = np.take_along_axis(self.probabilities, self.labels[:, None].astype(int), axis=1)[:, 0]
        return float(np.average(-np.log(np.maximum(true, _SMALLEST).astype(np.float64)), weights=self.weights))


def joined(parts: Sequence[Pixels]) -> Pixels:
    """The pixels of all."""
    names = [field.name for field in dataclasses.fields(Pixels)]
    return Pixels(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


@dataclasses.dataclass(frozen=True)
class Reliability:
    """What pixels of each of `BINS` of confidence are, [BINS] each; NaN where a bin is empty.

    Attributes:
      share: of all pixels, 0 in an empty bin.
      confidence: the mean.
      accuracy: the part that is right.
    """

    share: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray

    def error(self) -> float:
        """Expected calibration error: the mean of |accuracy - confidence| over the bins, by their share.

        Guo et al. 2017, equation 3 (after Naeini et al. 2015).
        """
        return float(np.nansum(self.share * np.abs(self.accuracy - self.confidence)))

    def report(self) -> dict[str, list[float | None]]:
        """Everything as a JSON-serialisable dict, None for NaN."""
        return {key: [jsonable(value) for value in values] for key, values in dataclasses.asdict(self).items()}


def reliability(pixels: Pixels) -> Reliability:
    """`Reliability` of pixels; bin m, from 0, has the confidences in (m / BINS, (m + 1) / BINS]."""
    confidence = pixels.probabilities.max(axis=-1).astype(np.float64)
    right = pixels.probabilities.argmax(axis=-1) == pixels.labels
    places = np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)
    count, sure, hits = (
        np.bincount(places, pixels.weights * values, minlength=BINS) for values in (1.0, confidence, right)
    )
    return Reliability(count / count.sum(), ratio(sure, count), ratio(hits, count))


def fit(pixels: Pixels) -> float:
    """The temperature of the least `Pixels.nll` in [`COOLEST`, `HOTTEST`].

    The loss is convex in 1 / temperature: where its slope is 0 it is the least.
    """
    logits = np.log(np.maximum(pixels.probabilities, _SMALLEST))
    logits -= logits.max(axis=1, keepdims=True)
    true = np.take_along_axis(logits, pixels.labels[:, None].astype(int), axis=1)[:, 0]

    def slope(coolness):
        powers = np.exp(logits * np.float32(coolness))
        mean = np.einsum("nc,nc->n", powers, logits) / powers.sum(axis=1)
        return float(np.dot((mean - true).astype(np.float64), pixels.weights))

    if slope(1 / HOTTEST) >= 0:
        return HOTTEST
    if slope(1 / COOLEST) <= 0:
        return COOLEST
    return float(1 / brentq(slope, 1 / HOTTEST, 1 / COOLEST, xtol=1e-5))


@dataclasses.dataclass(frozen=True)
class Measured:
    """What `Calibration` has found.

    Attributes:
      temperature: that of all images, or the one that was given.
      halves: those of the first and the second half of the images; empty where one was given.
      pixels: how many were looked at.
      of: how many there are.
      before, after: reliability without a temperature and with one.
      nll: (before, after).
    """

    temperature: float
    halves: tuple[float, ...]
    pixels: int
    of: int
    before: Reliability
    after: Reliability
    nll: tuple[float, float]


def check(spec: DatasetSpec) -> None:
    """Raises `ConfigError` where a network's probabilities are not of classes of which each pixel has one."""
    if spec.regions:
        raise ConfigError(
            f"{spec.name} has regions in its dataset.yaml, and a temperature is of classes that exclude each other: "
            "leave --calibration and --calibrated out"
        )


def check_labelled(dataset: Dataset, samples: Sequence[Sample]) -> None:
    """Raises `DataError` where fewer than two samples have labels, which no temperature can be fitted on.

    Labels are read up to the second that has a class.
    """
    labelled = (sample for sample in samples if classes_in(dataset.read(sample)[1], dataset.spec))
    if len([*itertools.islice(labelled, 2)]) < 2:
        raise DataError(_TWO)


class Calibration:
    """Calibration error and temperature of a network, over pixels drawn from each image alike.

    A temperature that is reported on the images that it was fitted on looks better than it is. So one is fitted on the
    first half of the images, in their order, as neighbours are alike, and looked at on the second half, and the other
    way round; what is given to use is fitted on all.

    Args:
      spec: of the data.
      images: how many there will be, which share the room for pixels.
      given: a temperature to look at, in place of one that is fitted.
      room: probabilities that are kept at most.
      seed: of the pixels that are drawn.

    Attributes:
      title: what is scored, for people.

    Raises:
      DataError: a temperature is to be fitted, and there are fewer than two images.
    """

    title = "calibration: is the network as sure as it is often right?"

    def __init__(
        self, spec: DatasetSpec, images: int, given: float | None = None, room: int = VALUES, seed: int = 0
    ) -> None:
        if given is None and images < 2:
            raise DataError(_TWO)
        self._given, self._rng = given, np.random.default_rng(seed)
        self._each = max(1, room // (spec.num_classes * images))
        self._images: list[Pixels] = []

    def update(self, sample: Sample, label: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds one image.

        Args:
          sample: isn't used.
          label: [H, W] uint8, class ids and 255.
          probabilities: [H, W, num_classes] float32.
        """
        labels, flat = label.reshape(-1), probabilities.reshape(-1, probabilities.shape[-1])
        valid = np.flatnonzero(labels != IGNORE)
        if not valid.size:
            return
        kept = min(valid.size, self._each)
        drawn = valid if kept == valid.size else self._rng.choice(valid, kept, replace=False)
        self._images.append(Pixels(flat[drawn], labels[drawn], np.full(kept, valid.size / kept)))

    @functools.cached_property
    def measured(self) -> Measured:
        """Of all images. Raises `DataError` of fewer than two with labels, where a temperature is fitted."""
        if self._given is None and len(self._images) < 2:
            raise DataError(_TWO)
        pixels = joined(self._images)
        temperature, halves, after = self._at_given(pixels) if self._given else self._at_fitted(pixels)
        counts = len(pixels.labels), round(pixels.weights.sum())
        nll = pixels.nll(), after.nll()
        return Measured(temperature, halves, *counts, reliability(pixels), reliability(after), nll)

    def scores(self) -> dict[str, Any]:
        """`Measured` as a JSON-serialisable dict."""
        found = self.measured
        before, after = (
            {"ece": of.error(), "nll": nll, "bins": of.report()}
            for of, nll in zip((found.before, found.after), found.nll)
        )
        told = {"temperature": found.temperature, "halves": list(found.halves), "pixels": found.pixels, "of": found.of}
        return {**told, "before": before, "after": after}

    def table(self) -> str:
        """Text to print."""
        found = self.measured
        errors = [f"{100 * of.error():.2f}" for of in (found.before, found.after)]
        rows = [
            ["", "as it is", "at the temperature"],
            [f"calibration error (ECE, {BINS} bins), %", *errors],
            ["negative log-likelihood", *(f"{nll:.4f}" for nll in found.nll)],
        ]
        return f"{aligned(rows)}\n{self._told()}"

    def figure(self) -> Figure:
        """The part of pixels that are right by their confidence, before and after; and how many have that."""
        found = self.measured
        figure = Figure(figsize=(9, 4.5), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for axes, title, of in zip(panels, ("as it is", "at the temperature"), (found.before, found.after)):
            places = (np.arange(BINS) + 0.5) / BINS
            axes.bar(places, np.nan_to_num(of.accuracy), 0.9 / BINS, label="right, of those with the confidence")
            axes.step(places, of.share, where="mid", color="black", linewidth=0.8, label="share of the pixels")
            axes.plot([0, 1], [0, 1], color="grey", linestyle="--")
            axes.set(xlabel="confidence", xlim=(0, 1), ylim=(0, 1), title=f"{title}: ECE {100 * of.error():.2f} %")
        panels[0].legend(loc="upper left")
        return figure

    def _at_given(self, pixels):
        return self._given, (), pixels.at(self._given)

    def _at_fitted(self, pixels):
        """(temperature of all, those of the halves, pixels of each half at that of the other)."""
        half = (len(self._images) + 1) // 2
        first, second = joined(self._images[:half]), joined(self._images[half:])
        halves = fit(first), fit(second)
        return fit(pixels), halves, joined([first.at(halves[1]), second.at(halves[0])])

    def _told(self):
        found = self.measured
        drawn = f"{found.pixels} of {found.of} pixels"
        if self._given:
            return f"temperature {found.temperature:.3f}, fitted before, on other images; {drawn}"
        first, second = found.halves
        return (
            f"temperature {found.temperature:.3f}, fitted on all images; what is at the temperature is of each half of "
            f"them\nat that of the other half, {second:.3f} and {first:.3f}; {drawn}"
        )
