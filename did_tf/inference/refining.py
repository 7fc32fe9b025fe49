"""CRFs at work on all cores: over the strips of one image, and over the images of a split."""

from __future__ import annotations

import collections
import concurrent.futures
import multiprocessing
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import numpy as np

from data_pipelines.memory import cores, free_memory
from data_pipelines.spec import Sample
from did_tf.common.errors import Failure
from did_tf.inference.crf import CRF, TILE, Tile, spans, tiles
from did_tf.scoring.evaluation import MAIN, Predict, Scored
from did_tf.scoring.metrics import ConfusionMatrix

T = TypeVar("T")
Take = Callable[[Sample, np.ndarray, np.ndarray], None]
"""Takes a sample, its label [H, W] and its refined probabilities [H, W, num_classes] float32."""


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
        self._starting = threading.Lock()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Future[Any]:
        """What `function(*arguments)` will give: `result` of it. Function and arguments go there by pickle."""
        if self.count == 1:
            done: Future[Any] = Future()
            done.set_result(function(*arguments))
            return done
        with self._starting:
            if not self._pool:
                # Forked, a process would have TensorFlow's locks without its threads. Ctrl-C goes to all of them: the
                # one that started the others ends them.
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
        self._turn = threading.Lock()

    def __call__(self, image: np.ndarray, probabilities: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Refined probabilities of an image of any size, as a call of the CRF but in tiles."""
        return np.concatenate([refined for _, refined in self.strips(image, mask).take(probabilities)])

    def together(self, size: Sequence[int]) -> int:
        """How many images of `size` (height, width) it takes under way at once for all processes to have work."""
        return -(-self.processes.count // len(tiles(size, self.crf.margin)))

    def bytes_beside(self, size: Sequence[int]) -> float:
        """Memory that refining images of `size` takes at most, beside what the network takes for one.

        That is: tiles in the processes, and two for each on their way there and back; the rows of the images that are
        `together`, held, joined and refined; and probabilities of one whole image, waiting, refined and joined.
        """
        height, width = (min(side, TILE + 2 * self.crf.margin) for side in size)
        each = 4 * self.num_classes  # bytes of a pixel's probabilities
        tiles_ = self.crf.bytes_per_tile(self.num_classes, size) + 4 * height * width * each
        rows = 3 * self.together(size) * height * size[1] * each
        return self.processes.count * tiles_ + rows + 3 * size[0] * size[1] * each

    def strips(self, image: np.ndarray, mask: np.ndarray | None = None) -> RefinedStrips:
        """For an image whose probabilities come in strips."""
        return RefinedStrips(self.crf, self.processes, self._turn, image, mask)

    def predictor(self, predict: Predict) -> Predict:
        """The same as a predictor, of the refined output in place of the one that counts. Images have no mask.

        Several threads may call it, for as many images as go `together`.
        """

        def refined(image):
            with self._turn:
                probabilities = predict(image)[MAIN]
            return {MAIN: self(image, probabilities)}

        return refined


class RefinedStrips:
    """What a CRF makes of one image whose probabilities come in strips of rows.

    Args:
      crf: the CRF.
      processes: in which its tiles are refined.
      turn: held while the network is called, for other images too.
      image: [H, W, bands].
      mask: [H, W] bool, where it has no data, or None.
    """

    def __init__(
        self, crf: CRF, processes: Processes, turn: threading.Lock, image: np.ndarray, mask: np.ndarray | None
    ) -> None:
        self._crf, self._processes, self._turn, self._image, self._mask = crf, processes, turn, image, mask
        self._held = np.empty((0, image.shape[1], 0), np.float32)
        self._first = 0  # row of the image that the held ones begin with
        self._due = collections.deque(spans(image.shape[0], crf.margin))

    def in_turn(self, strips: Iterator[T]) -> Iterator[T]:
        """The same strips, each made when no other thread's is: the network takes all cores, and its memory once."""
        while True:
            with self._turn:
                strip = next(strips, None)
            if strip is None:
                return
            yield strip

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
      take: of further scores, is given every image in turn as each CRF leaves it; or None.
    """

    def __init__(self, crfs: Mapping[str, CRF], refiner: Refiner, take: Take | None = None) -> None:
        self._crfs, self._processes, self._take = crfs, refiner.processes, take
        self._classes = refiner.num_classes
        self._matrices = {name: ConfusionMatrix(refiner.num_classes) for name in crfs}
        self._waiting: collections.deque[tuple[str, Sample, np.ndarray, list[tuple[Tile, Future[np.ndarray]]]]] = (
            collections.deque()
        )

    def update(self, scored: Scored) -> None:
        """Adds one image."""
        for name, crf in self._crfs.items():
            while sum(len(tiled) for *_, tiled in self._waiting) >= 2 * self._processes.count:
                self._count()
            refine = crf if self._take else crf.classes
            tiled = [
                (tile, self._processes.submit(refine, *_around(tile, scored)))
                for tile in tiles(scored.label.shape, crf.margin)
            ]
            self._waiting.append((name, scored.sample, scored.label, tiled))

    def matrices(self) -> dict[str, ConfusionMatrix]:
        """{name: confusion matrix} of all images that were added."""
        while self._waiting:
            self._count()
        return self._matrices

    def _count(self):
        name, sample, label, tiled = self._waiting.popleft()
        refined = np.empty((*label.shape, self._classes), np.float32) if self._take else np.empty(label.shape, np.uint8)
        for tile, future in tiled:
            refined[tile.inner] = result(future)[tile.kept]
        if self._take:
            self._take(sample, label, refined)
            refined = refined.argmax(axis=-1).astype(np.uint8)
        self._matrices[name].update(label, refined)


def _around(tile, scored):
    """What a CRF takes of a tile."""
    mask = None if scored.mask is None else scored.mask[tile.around]
    return scored.image[tile.around], scored.probabilities[MAIN][tile.around], mask
