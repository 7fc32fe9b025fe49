"""How images become files in a folder of predictions: whole, in tiles, or, the largest, row by row."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from data_pipelines.spec import DatasetSpec
from did_tf.common.readout import Readout, readout_of
from did_tf.inference import large, outputs
from did_tf.inference.folder import Predictions
from did_tf.inference.inputs import Input
from did_tf.inference.memory import Size
from did_tf.inference.outputs import Seeing
from did_tf.inference.predictor import Predictor
from did_tf.inference.refining import Refiner
from did_tf.inference.sure import Sure
from did_tf.scoring.calibration import at_temperature
from did_tf.scoring.evaluation import MAIN, REFINED


class Ways(Protocol):
    """In which ways images can go through a network: a `memory.Fitting`, or the like."""

    def each(self, sizes: Mapping[str, Size]) -> Mapping[str, str]:
        """See `Fitting.each`."""

    def make(self, way: str) -> Seeing:
        """What labels images in a way."""

    def check(self, way: str, name: str, size: Size) -> None:
        """See `Fitting.check`."""


@dataclasses.dataclass(frozen=True)
class Labelling:
    """How images are labelled, and what is written of them.

    Attributes:
      ways: in which they can go through the network, with all outputs where "outputs" is of the kinds.
      spec: of the network's data.
      kinds: what is written, of `outputs.KINDS`.
      in_rows: (protocol, what gives its `Predictor` of "main") by which those go that are too large otherwise; or None.
      refiner: what the probabilities are refined by, or None.
      streams: how many images are to be under way at once where nothing speaks against it.
      temperature: at which probabilities are measured and written, see `calibration`; labels are the same at all.
      least: probability, at that temperature, that a pixel's class must have: of others all results say that there is
        none. 0: of all pixels they have it.
    """

    ways: Ways
    spec: DatasetSpec
    kinds: Sequence[str]
    in_rows: tuple[str, Callable[[], Predictor]] | None = None
    refiner: Refiner | None = None
    streams: int = 1
    temperature: float = 1.0
    least: float = 0.0

    @property
    def measures(self) -> list[str]:
        """What is measured of probabilities, see `outputs.measures_for`."""
        return outputs.measures_for(self.kinds, self.least > 0)

    @property
    def readout(self) -> Readout:
        """How logits are read."""
        return readout_of(self.spec)

    def tempered(self, keep: outputs.Strip) -> outputs.Strip:
        """What takes probabilities, and gives `keep` those at the temperature."""
        return lambda rows, values: keep(rows, at_temperature(values, self.temperature))

    def task(self, image: Input, content: str, size: Size, way: str) -> Task:
        """What is to be done of an image that holds `content`. Raises `DataError`.

        Args:
          image: to be labelled.
          content: what its files hold.
          size: of it.
          way: by `ways.each`.
        """
        if self.in_rows and large.is_large(image, size, fits=bool(way)):
            return InRows(self, image, content, size, self.in_rows[0])
        return Task(self, image, content, size, way)


@dataclasses.dataclass(frozen=True)
class Task:
    """An image that is to be labelled, and held in memory.

    Attributes:
      how: it is done.
      image, content, size: as of `Labelling.task`.
      way: in which it goes through the network, empty where there is none.
    """

    how: Labelling
    image: Input
    content: str
    size: Size
    way: str

    is_large = False
    """Whether it takes memory and cores for itself."""

    @property
    def together(self) -> int:
        """How many such are to be under way at once: a file of probabilities takes an image's strips in turn."""
        if "probabilities" in self.how.kinds:
            return 1
        return self.how.refiner.together(self.size) if self.how.refiner else self.how.streams

    def check(self) -> None:
        """Raises `DataError` where the image doesn't fit into memory."""
        self.how.ways.check(self.way, self.image.name, self.size)

    def see(self) -> Any:
        """What `write` takes, from any thread. Raises `DataError` and what the network raises."""
        self.check()
        pixels, mask = self.image.read()
        if "probabilities" in self.how.kinds:
            return pixels, mask, None, {}
        measured, keep = outputs.measuring(pixels.shape[:2], self.how.measures, self.how.readout)
        return pixels, mask, self._seen(pixels, mask, keep), measured

    def write(self, folder: Predictions, found: Any) -> None:
        """Writes the results. Raises `OSError`, and as `see`."""
        pixels, mask, seen, measured = found
        name, where, spec, kinds = self.image.name, self.image.place(), self.how.spec, self.how.kinds
        with folder.writing(name, self.content, protocol=self.way) as place:
            if seen is None:
                size, measures = pixels.shape[:2], self.how.measures
                with outputs.keeping(place, name, size, spec, where, measures) as (measured, keep):
                    seen = self._seen(pixels, mask, keep)
            last = REFINED if REFINED in seen else MAIN
            whole = seen[last]  # the image is shown where the network is not sure, too
            if self.how.least:
                sure = Sure(whole, measured["confidence"], self.how.least)
                folder.count(name, sure.counts(spec.num_classes))
                seen = {**seen, last: sure[:]}
            outputs.write_results(place, name, pixels, seen, spec, where, kinds, measured, whole)

    def _seen(self, pixels: np.ndarray, mask: np.ndarray | None, keep: outputs.Strip) -> dict[str, np.ndarray]:
        refine = self.how.refiner.strips(pixels, mask) if self.how.refiner else None
        predictor, tempered = self.how.ways.make(self.way), self.how.tempered(keep)
        return outputs.see(predictor, pixels, mask, tempered, refine, self.how.readout)


class InRows(Task):
    """An image that is to be labelled row by row."""

    is_large, together = True, 1

    def check(self) -> None:
        """As of `Task`."""
        large.check_room(self.image.name, self.size, self._predictor(), self.how.spec)

    def see(self) -> None:
        """Nothing yet. Raises as `check`."""
        self.check()

    def write(self, folder: Predictions, found: None) -> None:
        """As of `Task`; what an earlier process has done is not done again."""
        how = self.how
        one = self.image, self.content, self._predictor()
        large.label(*one, how.spec, folder, how.kinds, self.way, how.temperature, how.least)

    def _predictor(self):
        assert self.how.in_rows
        return self.how.in_rows[1]()
