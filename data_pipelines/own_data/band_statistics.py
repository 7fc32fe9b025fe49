"""Mean and standard deviation of every band, measured once and kept in statistics.json beside dataset.yaml."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data_pipelines.reading.holes import Filled
from data_pipelines.spec import DataError, Sample
from data_pipelines.writing import write_json

NAME = "statistics.json"
CHUNK = 2**20  # pixels that are turned to float64 at once
THREADS = 4


@dataclasses.dataclass(frozen=True)
class Moments:
    """Of pixels, float64 [bands] each: how many were measured, their mean, and sum of squared distances from it."""

    count: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    def __add__(self, other: Moments) -> Moments:
        """Of both sets of pixels (Chan et al. 1979): it loses no digits, as sums of squares would."""
        count = self.count + other.count
        step = other.mean - self.mean
        share = other.count / np.maximum(count, 1)
        return Moments(count, self.mean + step * share, self.squares + other.squares + step**2 * self.count * share)

    @property
    def std(self) -> np.ndarray:
        """Standard deviation [bands], of the pixels themselves (divided by their number)."""
        return np.sqrt(self.squares / self.count)


class Statistics(NamedTuple):
    """What statistics.json holds.

    Attributes:
      images: number of images that were measured.
      fingerprint: of their names, see `fingerprint`.
      splits: number of images of every split.
      bands: names of the bands.
      dtype: of the pixel values.
      mean, std: per band. The std of a band that never changes is 1.
      nodata: the pixel value that was left out, or None.
      content: `identity.fingerprint` of the images without labels; empty in files of versions that didn't note it.
      nodata_rule, nodata_tags: as of `DatasetSpec`; empty in files of versions that asked no file what is nodata there.
      odd_files: lines on files that differ in what they call nodata.
      patch: (height, width) of the windows that were measured, or None for whole images.
      overlap: pixels that two of them share.
    """

    images: int
    fingerprint: str
    splits: dict[str, int]
    bands: tuple[str, ...]
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    nodata: float | None = None
    content: str = ""
    nodata_rule: str = ""
    nodata_tags: str = ""
    odd_files: tuple[str, ...] = ()
    patch: tuple[int, int] | None = None
    overlap: int = 0


def moments(image: np.ndarray, left_out: np.ndarray | None = None) -> Moments:
    """`Moments` of an image [H, W, bands] where `left_out`, [H, W, bands] bool, is False."""
    bands = image.shape[-1]
    pixels, left = image.reshape(-1, bands), None if left_out is None else left_out.reshape(-1, bands)
    total = Moments(np.zeros(bands), np.zeros(bands), np.zeros(bands))
    for first in range(0, len(pixels), CHUNK):
        part = pixels[first : first + CHUNK].astype(np.float64)
        kept = np.broadcast_to(1.0, part.shape) if left is None else ~left[first : first + CHUNK]
        count = kept.sum(axis=0, dtype=np.float64)
        mean = np.multiply(part, kept).sum(axis=0) / np.maximum(count, 1)
        total += Moments(count, mean, np.multiply(np.square(part - mean), kept).sum(axis=0))
    return total


def measure(
    read: Callable[[Sample], Filled], samples: Sequence[Sample], progress: bool = True
) -> tuple[Moments, list[str]]:
    """(`Moments` over all that was measured in the images, lines on those that can't be read).

    Args:
      read: gives the image of a sample and what of it was not measured, or raises `DataError`.
      samples: whose images are measured.
      progress: show a bar, where stderr is a terminal.

    Raises:
      DataError: no image can be read, or a band has no data in any.
    """
    total: Moments | None = None
    problems = []

    def one(sample):
        try:
            image, filled, void = read(sample)
            return moments(image, filled if filled is None or void is None else filled | void[..., None]), None
        except DataError as error:
            return None, str(error)

    with ThreadPool(THREADS) as pool:
        results, hidden = pool.imap(one, samples), None if progress else True
        for found, problem in tqdm(results, "measuring mean and deviation", len(samples), unit="image", disable=hidden):
            if problem:
                problems.append(problem)
            elif found:
                total = found if total is None else total + found
    if total is None:
        raise DataError(problems[0])
    if not total.count.all():
        number = int(total.count.argmin()) + 1
        raise DataError(f"no image of the training split has data in its band {number}: check nodata")
    return total, problems


def fingerprint(names: Iterable[str]) -> str:
    """Digest of a list of names."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def write(folder: str | Path, statistics: Statistics) -> None:
    """Writes statistics.json into `folder`, at once or not at all. Raises `DataError` where that fails."""
    path = Path(folder, NAME)
    try:
        write_json(path, statistics._asdict())
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}; the folder must be writable once") from None


def read(folder: str | Path) -> Statistics | None:
    """What is in `folder`, or None. Raises `DataError` where that is damaged."""
    path = Path(folder, NAME)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = Statistics(**content)
        found = found._replace(bands=tuple(found.bands), mean=tuple(found.mean), std=tuple(found.std))
        found = found._replace(odd_files=tuple(found.odd_files))
        height, width = found.patch or (0, 0)
        found = found._replace(patch=(height, width) if found.patch else None)
        numbers = [*found.mean, *found.std]
        if not len(found.bands) == len(found.mean) == len(found.std) or not all(map(math.isfinite, numbers)):
            raise ValueError
        if min(found.std) <= 0:
            raise ValueError
        return found
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from None
    except (OverflowError, RecursionError, TypeError, ValueError):
        raise DataError(f"{path} is damaged: delete it, and it is measured anew") from None
