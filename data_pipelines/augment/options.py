"""What training does to pairs: the settings `data.*` of an experiment."""

from __future__ import annotations

import dataclasses
import math
import re

from data_pipelines.spec import DataError, DatasetSpec

UNLIT = {
    *("depth", "disparity", "distance", "range", "lidar", "height", "elevation", "altitude", "slope", "aspect"),
    *("dem", "dsm", "dtm", "ndsm", "chm", "thermal", "temperature", "temp", "lst"),
    *("radar", "sar", "vv", "vh", "hh", "hv", "ndvi", "ndwi", "ndbi", "nbr", "mask"),
}
"""Words in names of bands that measure something else than light, or what light doesn't change."""
MIXES = ("cutmix", "classmix", "paste", "mixup")
"""Settings that are shares of the crops, of which each has one kind of them."""
_RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("balance", "saturation", "erase", *MIXES), (0, 1)),
    **{"hue": (0, 0.5), "colour_noise": (0, 10), "noise": (0, 10), "blur": (0, 100)},
    **{"mixup_alpha": (0.1, 10), "elastic": (0, 1000), "elastic_nodes": (2, 64)},
}


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """What training does to a pair. The defaults change nothing but cut the crop.

    Attributes:
      crop: (height, width) of the result.
      scale: (low, high): height and width are each scaled by a factor in this range, to a whole pixel of the image.
      aspect: the width's within 1 -+ aspect of the height's.
      area: (low, high): the crop is a random box of the image with this part of its area, resized, as classification
        is trained; then `scale` and `aspect` don't apply. Empty: they do.
      ratio: (low, high): width / height of such a box.
      balance: this share of the crops (0..1) has in its middle a pixel of a class drawn among those of the image; see
        `geometry.draw_view`.
      flip_horizontal: whether half of the pairs are mirrored left-right.
      flip_vertical: whether half of the pairs are mirrored up-down.
      rotation: turned about the centre of the crop by up to this many degrees either way.
      elastic: deformed by a smooth field of displacements whose standard deviation is up to this many pixels of the
        crop; see `geometry`.
      elastic_nodes: how many nodes that field goes through along each side.
      blur: Gaussian, of a standard deviation of up to this many pixels of the crop.
      brightness: up to this many of each band's standard deviations in the data set are added or taken.
      contrast: distances from each band's mean over the crop times 1 -+ up to this.
      light_bands: names of the bands that brightness and contrast are of; empty: all but those whose name has a word
        of `UNLIT`.
      saturation: distances of red, green and blue from their grey times 1 -+ up to this.
      hue: colours turned by up to this part (0..0.5) of the colour circle either way.
      colour_noise: along each principal component of ImageNet's colours all pixels move by this part of its deviation,
        times a Gaussian number (Krizhevsky et al. 2012: 0.1). Of 8-bit red, green and blue.
      noise: Gaussian, of a standard deviation of up to this part of each band's own in the data set.
      erase: of this share of the crops (0..1) a box shows nothing but the bands' means; see `boxes.erased`.
      erase_area: (low, high): that box has this part of the crop's area.
      cutmix: this share of the crops has a box of another crop in it; see `mixing`.
      classmix: this share has all of half of another crop's classes.
      paste: this share has objects of another crop.
      paste_classes: names of the classes whose connected regions are these objects.
      mixup: this share is blended with another crop, by which the loss is of the labels of both.
      mixup_alpha: of the beta distribution, symmetric, of the weights of the two.

    Raises:
      DataError: a value out of its range.
    """

    crop: tuple[int, int]
    scale: tuple[float, float] = (1.0, 1.0)
    aspect: float = 0.0
    flip_horizontal: bool = False
    flip_vertical: bool = False
    brightness: float = 0.0
    contrast: float = 0.0
    rotation: float = 0.0
    area: tuple[float, ...] = ()
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    balance: float = 0.0
    hue: float = 0.0
    saturation: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    light_bands: tuple[str, ...] = ()
    colour_noise: float = 0.0
    erase: float = 0.0
    erase_area: tuple[float, float] = (0.02, 0.4)
    cutmix: float = 0.0
    classmix: float = 0.0
    paste: float = 0.0
    paste_classes: tuple[str, ...] = ()
    mixup: float = 0.0
    mixup_alpha: float = 0.2
    elastic: float = 0.0
    elastic_nodes: int = 3

    def __post_init__(self) -> None:
        for name, lengths in (("crop", (2,)), ("scale", (2,)), ("area", (0, 2)), ("ratio", (2,)), ("erase_area", (2,))):
            values, kind = getattr(self, name), int if name == "crop" else (int, float)
            if len(values) not in lengths or not all(isinstance(value, kind) for value in values):
                what = "whole numbers of pixels" if name == "crop" else "numbers"
                raise DataError(f"data.{name} must be two {what}, got {tuple(values)}")
        if min(self.crop) < 1:
            raise DataError(f"data.crop must be positive, got {tuple(self.crop)}")
        if not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise DataError(f"data.scale must be (low, high) with 0 < low <= high, got {tuple(self.scale)}")
        if not 0 <= self.rotation <= 180:
            raise DataError(f"data.rotation must be 0 to 180 degrees, got {self.rotation}")
        if self.area and not 0 < self.area[0] <= self.area[1] <= 1:
            raise DataError(f"data.area must be empty or (low, high) with 0 < low <= high <= 1, got {tuple(self.area)}")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise DataError(f"data.ratio must be (low, high) with 0 < low <= high, got {tuple(self.ratio)}")
        if not 0 < self.erase_area[0] <= self.erase_area[1] <= 1:
            raise DataError(
                f"data.erase_area must be (low, high) with 0 < low <= high <= 1, got {tuple(self.erase_area)}"
            )
        for name in ("aspect", "brightness", "contrast"):
            if not 0 <= getattr(self, name) < 1:
                raise DataError(f"data.{name} must be in [0, 1), got {getattr(self, name)}")
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise DataError(f"data.{name} must be {low:g} to {high:g}, got {getattr(self, name)}")

    def lit(self, spec: DatasetSpec) -> list[bool]:
        """Whether brightness and contrast are of each band of `spec`."""
        names = spec.band_names or ("",) * spec.bands
        if self.light_bands:
            return [name in self.light_bands for name in names]
        return [not UNLIT & {*re.findall("[a-z]+", name.lower())} for name in names]

    def check(self, spec: DatasetSpec) -> None:
        """Raises `DataError` where something is asked for that the data of `spec` can't have."""
        if unknown := [name for name in self.light_bands if name not in spec.band_names]:
            known = ", ".join(spec.band_names) or "no names"
            raise DataError(f"data.light_bands names {unknown[0]!r}; the bands of {spec.name} have {known}")
        if (self.brightness or self.contrast) and not any(self.lit(spec)):
            names = ", ".join(spec.band_names)
            raise DataError(
                f"data.brightness and data.contrast are of light, which no band of {spec.name} is ({names}): name "
                "those that are in data.light_bands, or set both to 0"
            )
        if (self.hue or self.saturation) and spec.rgb is None:
            bands = ", ".join(spec.band_names) or f"{spec.bands} without names"
            raise DataError(
                f"data.hue and data.saturation need the bands red, green and blue; {spec.name} has {bands}: "
                "name its bands, or set both to 0"
            )
        if self.colour_noise and (spec.rgb is None or spec.dtype != "uint8"):
            raise DataError(
                f"data.colour_noise is along the principal components of 8-bit red, green and blue, which {spec.name} "
                "has not: set it to 0"
            )
        if unknown := [name for name in self.paste_classes if name not in spec.classes]:
            known = ", ".join(spec.classes)
            raise DataError(f"data.paste_classes names {unknown[0]!r}; {spec.name} has {known:.300}")
        if spec.task == "classification" and (found := [name for name in ("balance", *MIXES) if getattr(self, name)]):
            raise DataError(f"data.{found[0]} needs a class per pixel; {spec.name} is for classification: set it to 0")
