"""CRFs at work on all cores: over the strips of one image, and over the images of a split."""

from __future__ import annotations

import collections
import concurrent.futures
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any

import numpy as np

from data_pipelines.memory import cores, free_memory
from did_tf.common.errors import Failure
from did_tf.inference.crf import CRF, Tile, spans, tiles
from did_tf.scoring.evaluation import MAIN, Predict, Scored
from did_tf.scoring.metrics import ConfusionMatrix


class Processes:
    """Calls functions in processes of their own, for the package holds Python's lock.

    Where one process is all there is room for, functions are called in this one.

    Args:
      bytes_each: that a call takes of memory: as many run at once as there are cores, and as fit into half of what is
        free.

    Attributes:
      count: how many there are.
    """

    def __init__(self, bytes_each: float) -> None:
        self.count = max(1, min(cores(), int(free_memory() / 2 // bytes_each)))
        self._pool: concurrent.futures.ProcessPoolExecutor | None = None

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """What `function(*arguments)` will give: `result` of it. Function and arguments go there by pickle."""
        if self.count == 1:
            done: Future[Any] = Future()
            done.set_result(function(*arguments))
            return done
        if not self._pool:
            # Forked, a process would have TensorFlow's locks without its threads. Ctrl-C goes to all of them: the one
            # that started the others ends them.
            context, deaf = multiprocessing.get_context("spawn"), (signal.SIGINT, signal.SIG_IGN)
            self._pool = concurrent.futures.ProcessPoolExecutor(self.count, context, signal.signal, deaf)
        return self._pool.submit(function, *arguments)


def result(future: Future[Any]) -> Any:
    """What a call has given. Raises `Failure` where its process was killed."""
    try:
        return future.result()
    except BrokenProcessPool:
        raise Failure(
            "a process of the CRF was killed, most likely for want of memory: DID_TF_MEMORY=GiB says what there is"
        ) from None


class Refiner:
    """A CRF over the output that counts, on all cores: `refiner(image, probabilities, mask)`.

    Args:
      crf: the CRF.
      num_classes: of the network.

    Attributes:
      crf, num_classes: as given.
      processes: in which it works.
    """

    def __init__(self, crf: CRF, num_classes: int) -> None:
        self.crf, self.num_classes = crf, num_classes
        self.processes = Processes(crf.bytes_per_tile(num_classes))

    def __call__(self, image: np.ndarray, probabilities: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Refined probabilities of an image of any size, as a call of the CRF but in tiles."""
        return np.concatenate([refined for _, refined in self.strips(image, mask).take(probabilities)])

    def strips(self, image: np.ndarray, mask: np.ndarray | None = None) -> RefinedStrips:
        """For an image whose probabilities come in strips."""
        return RefinedStrips(self.crf, self.processes, image, mask)

    def predictor(self, predict: Predict) -> Predict:
        """The same as a predictor, of the refined output in place of the one that counts. Images have no mask."""
        return lambda image: {MAIN: self(image, predict(image)[MAIN])}


class RefinedStrips:
    """What a CRF makes of one image whose probabilities come in strips of rows.

    Args:
      crf: the CRF.
      processes: in which its tiles are refined.
      image: [H, W, bands].
      mask: [H, W] bool, where it has no data, or None.
    """

    def __init__(self, crf: CRF, processes: Processes, image: np.ndarray, mask: np.ndarray | None) -> None:
        self._crf, self._processes, self._image, self._mask = crf, processes, image, mask
        self._held = np.empty((0, image.shape[1], 0), np.float32)
        self._first = 0  # row of the image that the held ones begin with
        self._due = collections.deque(spans(image.shape[0], crf.margin))

    def take(self, probabilities: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
        """Takes the next rows [rows, W, num_classes] float32; gives (rows, refined) of all that are due by then."""
        self._held = np.concatenate([self._held, probabilities]) if self._held.size else probabilities
        while self._due and self._due[0][1].stop <= self._first + len(self._held):
            inner, around, kept = self._due.popleft()
            yield inner, self._band(around)[kept]
            if self._due:
                begun = self._due[0][1].start
                self._held, self._first = self._held[begun - self._first :], begun

    def _band(self, rows):
        """Refined probabilities of whole rows, of which the margin is to be dropped."""
        held = self._held[rows.start - self._first : rows.stop - self._first]
        refined, waiting = np.empty_like(held), []
        for inner, around, kept in spans(held.shape[1], self._crf.margin):
            mask = None if self._mask is None else self._mask[rows, around]
            job = (self._crf, self._image[rows, around], held[:, around], mask)
            waiting.append((inner, kept, self._processes.submit(*job)))
        for inner, kept, future in waiting:
            refined[:, inner] = result(future)[:, kept]
        return refined


class RefinedScores:
    """Confusion matrices of what CRFs make of the output that counts; images are refined side by side.

    Args:
      crfs: {name: CRF}.
      refiner: whose processes and classes are theirs.
    """

    def __init__(self, crfs: Mapping[str, CRF], refiner: Refiner) -> None:
        self._crfs, self._processes = crfs, refiner.processes
        self._matrices = {name: ConfusionMatrix(refiner.num_classes) for name in crfs}
        self._waiting: collections.deque[tuple[str, np.ndarray, list[tuple[Tile, Future[np.ndarray]]]]] = (
            collections.deque()
        )

    def update(self, scored: Scored) -> None:
        """Adds one image."""
        for name, crf in self._crfs.items():
            while sum(len(tiled) for *_, tiled in self._waiting) >= 2 * self._processes.count:
                self._count()
            tiled = [
                (tile, self._processes.submit(crf.classes, *_around(tile, scored)))
                for tile in tiles(scored.label.shape, crf.margin)
            ]
            self._waiting.append((name, scored.label, tiled))

    def matrices(self) -> dict[str, ConfusionMatrix]:
        """{name: confusion matrix} of all images that were added."""
        while self._waiting:
            self._count()
        return self._matrices

    def _count(self):
        name, label, tiled = self._waiting.popleft()
        predicted = np.empty(label.shape, np.uint8)
        for tile, future in tiled:
            predicted[tile.inner] = result(future)[tile.kept]
        self._matrices[name].update(label, predicted)


def _around(tile, scored):
    """What a CRF takes of a tile."""
    mask = None if scored.mask is None else scored.mask[tile.around]
    return scored.image[tile.around], scored.probabilities[MAIN][tile.around], mask
