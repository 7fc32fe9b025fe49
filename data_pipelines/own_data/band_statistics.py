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

from data_pipelines.spec import DataError, Sample
from data_pipelines.writing import write_json

NAME = "statistics.json"
CHUNK = 2**20  # pixels that are turned to float64 at once
THREADS = 4


@dataclasses.dataclass(frozen=True)
class Moments:
    """Of pixels: how many, mean [bands], and sum of squared distances from it [bands], float64."""

    count: int
    mean: np.ndarray
    squares: np.ndarray

    def __add__(self, other: Moments) -> Moments:
        """Of both sets of pixels (Chan et al. 1979): it loses no digits, as sums of squares would."""
        count = self.count + other.count
        step = other.mean - self.mean
        share = other.count / count
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
    patch: tuple[int, int] | None = None
    overlap: int = 0


def moments(image: np.ndarray, mask: np.ndarray | None = None) -> Moments | None:
    """`Moments` of an image [H, W, bands] where `mask` [H, W] is False, or None where that is nowhere."""
    pixels = image.reshape(-1, image.shape[-1]) if mask is None else image[~mask]
    total = None
    for first in range(0, len(pixels), CHUNK):
        part = pixels[first : first + CHUNK].astype(np.float64)
        mean = part.mean(axis=0)
        found = Moments(len(part), mean, np.square(part - mean).sum(axis=0))
        total = found if total is None else total + found
    return total


def measure(
    read: Callable[[Sample], tuple[np.ndarray, np.ndarray | None]], samples: Sequence[Sample], progress: bool = True
) -> tuple[Moments, list[str]]:
    """(`Moments` over all pixels of the images, lines on those that can't be read).

    Args:
      read: gives the image [H, W, bands] of a sample and where that has no data ([H, W] bool, or None), or raises
        `DataError`.
      samples: whose images are measured.
      progress: show a bar, where stderr is a terminal.

    Raises:
      DataError: no image can be read, or none has data.
    """
    total: Moments | None = None
    problems = []

    def one(sample):
        try:
            return moments(*read(sample)), None
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
        raise DataError(problems[0] if problems else "no image of the training split has data: check nodata")
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
    except (ValueError, TypeError):
        raise DataError(f"{path} is damaged: delete it, and it is measured anew") from None
