"""Whether an exported network is what its checkpoint is: nothing is called written before it has passed here."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from data_pipelines.spec import IGNORE
from did_tf.common.errors import Failure, NotFinite
from did_tf.common.text import percent
from did_tf.inference import alone
from did_tf.inference.contract import Network
from did_tf.inference.predictor import Predictor
from did_tf.inference.rows import resize
from did_tf.inference.served import Served
from did_tf.scoring.calibration import at_temperature
from did_tf.scoring.evaluation import MAIN

TOLERANCE = 1e-3
"""Of probabilities in float32. A hundred layers of float32 alone can differ by a tenth of it."""
POINTS = 0.005
"""Of mIoU, or of accuracy where images are classified, in another precision."""

Probabilities = Callable[[np.ndarray], np.ndarray]
"""Images [N, H, W, bands] of the data's dtype -> [N, H, W, L], or [N, L] of a classifier; see `Readout`."""
Score = Callable[[Probabilities], float]
"""A fraction that says how good probabilities are; NaN where nothing says it."""


class ExportFailed(Failure):
    """An exported network can't be written or run, or is not what its checkpoint is. Nothing was left behind."""


class Agreement(NamedTuple):
    """How an exported network compares with its checkpoint.

    Attributes:
      difference: the largest, in absolute value, of a probability.
      labels: part of the pixels, or images, that have another class.
      score: of the exported network; NaN where it wasn't measured.
    """

    difference: float
    labels: float
    score: float


class Gate:
    """What every exported form of a network has to pass.

    Args:
      network: the checkpoint, in float32.
      images: list of [H, W, bands] of the data's dtype to compare on, each at several sizes.
      score: of probabilities, by which a precision other than float32 is judged and all are told; None for none.
      source: what the images are, for people.

    Raises:
      ExportFailed: the checkpoint itself gives values that are not finite.
    """

    def __init__(
        self, network: Network, images: Sequence[np.ndarray], score: Score | None = None, source: str = "images"
    ) -> None:
        self.network, self.source = network, source
        self._score, self._own = score, _probabilities(network)
        self._views = views(images)
        self._expected = {view: self._reference(view, batch) for view, batch in self._views.items()}

    @property
    def image(self) -> np.ndarray:
        """The first image, [1, H, W, bands]."""
        return next(iter(self._views.values()))

    @functools.cached_property
    def score(self) -> float:
        """Of the checkpoint, in float32; NaN where nothing measures it."""
        with full_float32():
            return self._score(self._own) if self._score else math.nan

    def check(self, served: Served, title: str, exact: bool) -> Agreement:
        """How the exported network compares.

        Args:
          served: it, running by its runtime alone.
          title: of it, for messages.
          exact: whether it is in float32: each probability must be within `TOLERANCE` then. Otherwise the score must
            be within `POINTS`.

        Raises:
          ExportFailed: it differs, or a score is needed and there is none. The message has the figures.
          DoesNotRun: it can't be computed.
        """
        differences, wrong = [0.0], []
        for way, view in self._trials(served.ways):
            batch = self._views[view]
            found, other = self._differences(view, served(batch, way), title)
            if exact and not np.max(found) <= TOLERANCE:  # NaN is no agreement either
                raise ExportFailed(
                    f"{title} differs from the model on {view}, {batch.shape[1]}x{batch.shape[2]} pixels: "
                    f"probabilities by {found[0]:.2g}, those of its classes by {found[1]:.2g}"
                )
            differences.append(found[0])
            wrong.append(other)
        score = self._scored(served)
        if not exact:
            self._check_score(title, score)
        return Agreement(max(differences), float(np.mean(wrong)), score)

    def _trials(self, ways):
        """(way, view) of all views as arrays, and of one in the other ways."""
        others = [way for way in ways if way != alone.PLAIN]
        return [*((alone.PLAIN, view) for view in self._views), *((way, "image0_odd") for way in others)]

    def _scored(self, served):
        return self._score(lambda images: served(images)["probabilities"]) if self._score else math.nan

    def _check_score(self, title, score):
        if math.isnan(self.score):
            raise ExportFailed(f"{title} can't be judged: there is no validation split with labels to score it on")
        if not abs(score - self.score) <= POINTS:
            what = "mIoU" if self.network.segments else "accuracy"
            raise ExportFailed(
                f"{title} differs from the model: {what} {percent(score)} in place of {percent(self.score)} %"
            )

    def _reference(self, view, batch):
        with full_float32():
            try:
                return self._own(batch)
            except NotFinite as error:
                raise ExportFailed(f"on {view} {error}") from None

    def _differences(self, view, outputs, title):
        """((largest of probabilities, of those of the classes), part of the classes that differ)."""
        expected, classes, probabilities = self._expected[view], outputs["classes"], outputs["probabilities"]
        if (classes.shape, probabilities.shape) != (expected.shape[:-1], expected.shape):
            raise ExportFailed(
                f"{title} gives classes {list(classes.shape)} and probabilities {list(probabilities.shape)} on {view}, "
                f"in place of {list(expected.shape)}"
            )
        if self.network.spec.nodata is not None:  # of void pixels, which the images were read without, some by chance
            measured = classes != IGNORE
            classes, probabilities, expected = classes[measured], probabilities[measured], expected[measured]
        readout = self.network.readout
        # Another class is right only where it is as probable.
        found = np.abs(probabilities - expected).max(initial=0), readout.lead(expected, classes).max(initial=0)
        return tuple(map(float, found)), float(np.mean(readout.classes(expected) != classes)) if classes.size else 0.0


def views(images: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """{view: [N, H, W, bands]}: each image whole, cropped to even and odd sizes, magnified, and tiny.

    One, two or three images are in a batch: it, its mirror image, and it upside down.
    """
    batches = {}
    for number, image in enumerate(images):
        height, width = (side // (2 + number) for side in image.shape[:2])
        odd = image[: height | 1, : width // 2 | 1]
        large = resize(odd, [round(1.7 * side) | 1 for side in odd.shape[:2]])
        found = {
            "whole": (image, 1),
            "even": (image[: max(2, height & ~1), : max(2, width & ~1)], 3),
            "odd": (odd, 2),
            "magnified": (large, 1),
            "tiny": (image[:9, :11], 2),
        }
        for view, (pixels, count) in found.items():
            batches[f"image{number}_{view}"] = np.stack([pixels, pixels[:, ::-1], pixels[::-1]][:count])
    return batches


@contextlib.contextmanager
def full_float32() -> Iterator[None]:
    """Within it, GPUs don't round what they multiply to 10 bits: the CPU, where exported networks are run, doesn't."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _probabilities(network: Network) -> Probabilities:
    """The checkpoint's own."""
    if network.segments:
        predictor = Predictor(network.model, outputs=[MAIN], readout=network.readout)
        return lambda batch: np.stack([at_temperature(predictor(x)[MAIN], network.temperature) for x in batch])

    def classify(batch: np.ndarray) -> np.ndarray:
        pixels = network.with_margin(tf.cast(batch, tf.float32))
        return network.readout.probabilities(network.tempered(network.model(pixels, training=False)[MAIN])).numpy()

    return classify
