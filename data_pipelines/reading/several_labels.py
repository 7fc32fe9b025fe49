"""Labels in which a pixel may be of several classes, as each has masks or shapes of its own."""

from __future__ import annotations

from collections.abc import Callable, Set

import numpy as np

from data_pipelines.spec import IGNORE, DataError, DatasetSpec


class SeveralLabels:
    """Which classes every pixel of an image is in, by what is added one by one."""

    def __init__(self) -> None:
        self._sets: list[frozenset[int]] = [frozenset()]
        self._chosen, self._void = np.zeros((), np.int32), np.zeros((), bool)  # by pixel: which set, whether it is void

    def add(self, inside: np.ndarray, number: int, void: np.ndarray | bool = False) -> None:
        """Adds a class: pixels `inside`, [H, W] bool, are in it, whatever else they are in; others are `void`."""
        if self._chosen.shape != inside.shape:
            self._chosen = np.zeros(inside.shape, np.int32)
        self._void = self._void | void
        before = self._chosen[inside]
        after = np.arange(len(self._sets), dtype=np.int32)
        for one in np.unique(before):
            after[one] = self._number({*self._sets[one], number})
        self._chosen[inside] = after[before]

    def counts(self) -> dict[frozenset[int], int]:
        """Of each set of classes that a pixel is in just these of: how many pixels, void ones apart."""
        void = np.broadcast_to(self._void, self._chosen.shape)
        counts = np.bincount(self._chosen[~void], minlength=len(self._sets))
        return {one: int(pixels) for one, pixels in zip(self._sets, counts) if pixels}

    def label(self, spec: DatasetSpec, source: Callable[[Set[int]], str]) -> np.ndarray:
        """[H, W] uint8: the class that stands for each pixel's classes, as `spec.combinations` says.

        Args:
          spec: of the data set; what is in no class but its `rest` has that, and void is `IGNORE`.
          source: what to name of classes in a message.

        Raises:
          DataError: a pixel is in classes that `spec` does not know together.
        """
        known = {frozenset([number]): number for number in range(spec.num_classes)}
        known |= {frozenset(parts): number for number, parts in spec.combinations}
        known[frozenset()] = IGNORE if spec.rest is None else spec.rest
        unknown = {one: pixels for one, pixels in self.counts().items() if one - {spec.rest} not in known}
        if unknown:
            told = [f"{_listed(one, spec)} ({pixels} pixels)" for one, pixels in unknown.items()]
            raise DataError(
                f"{source(next(iter(unknown)))}: masks_overlap doesn't name what are together {', '.join(told):.300}: "
                "add a class for each, or mend the labels"
            )
        values = np.array([known.get(one - {spec.rest}, IGNORE) for one in self._sets], np.uint8)
        return np.where(self._void, np.uint8(IGNORE), values[self._chosen])

    def _number(self, classes):
        """Of a set of classes, which is noted where it is new."""
        classes = frozenset(classes)
        if classes not in self._sets:
            self._sets.append(classes)
        return self._sets.index(classes)


def _listed(numbers, spec):
    return " and ".join(repr(spec.classes[number]) for number in sorted(numbers))
