"""Fully connected CRF over what a network says (duc_hdc.md section 4.1.2, "Conditional Random Fields"), in tiles.

The energy is DeepLab's, which the paper follows: the negative logarithms of the network's probabilities, and for every
pair of pixels of different classes

    w1 exp(-|p - q|^2 / 2 sa^2 - |I(p) - I(q)|^2 / 2 sb^2)  +  w2 exp(-|p - q|^2 / 2 sg^2)

with positions p, q and the image's values I. The paper has sa, sb, sg = 15, 3, 1 and w1, w2 = 3, 3. Mean field and the
filtering of the kernels, which are normalised symmetrically, are those of Kraehenbuehl and Koltun (2011), by the
package pydensecrf2.

Processes of their own import this module, hence neither TensorFlow nor data_pipelines.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from data_pipelines import extras
from did_tf.common.errors import ConfigError

if TYPE_CHECKING:
    from data_pipelines.spec import DatasetSpec

TILE = 512
"""Pixels of a side that a tile has at most, without its margin."""
MOST_BANDS = 8
"""Bands that are compared at most: in more dimensions nearly every pixel is alone in its kernel, at a growing price."""
REACH = 3
"""Margin of a tile in standard deviations of the wider kernel, beyond which a kernel has 1 % of its height."""
_FLOOR = np.float32(1e-5)  # of probabilities, whose logarithms must be finite: that of pydensecrf's own tools
_CLIP = (-255.0, 510.0)  # scaled values of bands: the package's lattice counts in 16 bits, and tells no overflow


@dataclasses.dataclass(frozen=True)
class CRF:
    """Refines class probabilities of an image by its values: `crf(image, probabilities, mask)`.

    Attributes:
      iterations: of mean field.
      appearance_weight: w1; 0 leaves the kernel out.
      appearance_xy: sa, pixels.
      appearance_colour: sb, in values of 8-bit bands. Bands of other types are scaled to 0..255 from two standard
        deviations of the data below their mean to two above.
      smoothness_weight: w2; 0 leaves the kernel out.
      smoothness_xy: sg, pixels.
      low, factor: of each band: its values count as (value - low) * factor.
    """

    iterations: int
    appearance_weight: float
    appearance_xy: float
    appearance_colour: float
    smoothness_weight: float
    smoothness_xy: float
    low: tuple[float, ...]
    factor: tuple[float, ...]

    @property
    def margin(self) -> int:
        """Pixels around a tile that are computed with it, and dropped."""
        appearance = self.appearance_xy if self.appearance_weight else 0
        smoothness = self.smoothness_xy if self.smoothness_weight else 0
        return math.ceil(REACH * max(appearance, smoothness))

    def bytes_per_tile(self, classes: int, size: Sequence[int] | None = None) -> float:
        """Memory that a tile takes at most, as measured on noise; of an image of `size` (height, width), or of any."""
        dimensions = (3 + len(self.low)) / 6 if self.appearance_weight else 1
        largest = TILE + 2 * self.margin
        pixels = math.prod(min(side, largest) for side in size or (largest, largest))
        return pixels * (600 + 80 * classes) * max(1, dimensions)

    def __call__(self, image: np.ndarray, probabilities: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """Refined probabilities of an image, or of a `Tile.around` of a larger one.

        Args:
          image: [H, W, bands] raw pixel values.
          probabilities: [H, W, num_classes] float32.
          mask: [H, W] bool, where the image has no data: these pixels take no part, and stay as they are; or None.

        Returns:
          [H, W, num_classes] float32.
        """
        refined = probabilities.astype(np.float32)
        taken = np.ones(probabilities.shape[:2], bool) if mask is None else ~mask
        if taken.any():
            kernels = [(features[:, taken], weight) for features, weight in self.kernels(image)]
            refined[taken] = mean_field(probabilities[taken], kernels, self.iterations)
        return refined

    def classes(self, image: np.ndarray, probabilities: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
        """[H, W] uint8: the most probable classes of what a call gives."""
        return self(image, probabilities, mask).argmax(axis=-1).astype(np.uint8)

    def kernels(self, image: np.ndarray) -> list[tuple[np.ndarray, float]]:
        """(features [dimensions, H, W] float32, weight) of each kernel exp(-|difference of features|^2 / 2)."""
        place = np.indices(image.shape[:2], np.float32)
        kernels = [(place / np.float32(self.smoothness_xy), self.smoothness_weight)]
        if self.appearance_weight:
            values = (image - np.array(self.low)) * np.array(self.factor)
            values = np.clip(values, *_CLIP).transpose(2, 0, 1) / self.appearance_colour
            near = np.concatenate([place / np.float32(self.appearance_xy), values.astype(np.float32)])
            kernels.append((near, self.appearance_weight))
        return [kernel for kernel in kernels if kernel[1]]


@dataclasses.dataclass(frozen=True)
class Tile:
    """A part of an image.

    Attributes:
      inner: its rows and columns.
      around: the same with the margin, as far as the image goes.
      kept: its rows and columns among those of `around`.
    """

    inner: tuple[slice, slice]
    around: tuple[slice, slice]
    kept: tuple[slice, slice]


def make(spec: DatasetSpec, settings: dict[str, Any]) -> CRF:
    """The CRF for the data of `spec` by the settings `crf`.

    Raises:
      ConfigError: the package is missing, both weights are 0, there are more bands than are compared, or regions.
    """
    if spec.regions:
        raise ConfigError(
            f"{spec.name} has regions in its dataset.yaml, and a CRF is of classes that exclude each other: no --crf"
        )
    if not settings["appearance_weight"] and not settings["smoothness_weight"]:
        raise ConfigError("crf.appearance_weight and crf.smoothness_weight are both 0: there is nothing to refine by")
    if settings["appearance_weight"] and spec.bands > MOST_BANDS:
        raise ConfigError(
            f"crf: {spec.name} has {spec.bands} bands, and up to {MOST_BANDS} are compared: set "
            "--config.crf.appearance_weight=0, which leaves the smoothness alone"
        )
    package()
    low, factor = (0.0,) * spec.bands, (1.0,) * spec.bands
    if spec.dtype != "uint8":
        spread = [max(float(std), 1e-30) for std in spec.std]
        low = tuple(float(mean) - 2 * std for mean, std in zip(spec.mean, spread))
        factor = tuple(255 / (4 * std) for std in spread)
    return CRF(**settings, low=low, factor=factor)


def package() -> ModuleType:
    """The package's module. Raises `ConfigError` where it is missing."""
    try:
        import pydensecrf.densecrf as densecrf
    except ImportError as error:
        raise ConfigError(
            f"the CRF needs the package pydensecrf2 ({error}): {extras.install('crf')}, with a C++ compiler, on "
            "Python 3.10 to 3.12"
        ) from None
    return densecrf


def mean_field(probabilities: np.ndarray, kernels: Sequence[tuple[np.ndarray, float]], iterations: int) -> np.ndarray:
    """Marginals of a fully connected CRF with Potts terms.

    Args:
      probabilities: [N, num_classes] float32, of N pixels.
      kernels: (features [dimensions, N] float32, weight) of each.
      iterations: how many.

    Returns:
      [N, num_classes] float32.
    """
    # The package reads C-contiguous float32 and nothing else.
    unary = np.ascontiguousarray(-np.log(np.maximum(probabilities, _FLOOR)).T, np.float32)
    field = package().DenseCRF(unary.shape[1], unary.shape[0])
    field.setUnaryEnergy(unary)
    for features, weight in kernels:
        field.addPairwiseEnergy(np.ascontiguousarray(features, np.float32), weight)
    return np.array(field.inference(iterations)).T


def tiles(size: Sequence[int], margin: int) -> list[Tile]:
    """The tiles of an image of `size` (height, width), row by row, alike in size."""
    return [Tile(*zip(row, column)) for row in spans(size[0], margin) for column in spans(size[1], margin)]


def spans(size: int, margin: int) -> list[tuple[slice, slice, slice]]:
    """(`Tile.inner`, `Tile.around`, `Tile.kept`) of the tiles along one axis of `size` pixels."""
    count = -(-size // TILE)
    ends = [size * number // count for number in range(count + 1)]
    return [_span(start, stop, size, margin) for start, stop in zip(ends, ends[1:])]


def _span(start, stop, size, margin):
    first = max(0, start - margin)
    return slice(start, stop), slice(first, min(size, stop + margin)), slice(start - first, stop - first)
