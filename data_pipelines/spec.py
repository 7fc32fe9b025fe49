"""What a data set is: its descriptor, its samples and how one is read."""

from __future__ import annotations

import abc
import dataclasses
import itertools
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

IGNORE = 255
"""The one ignore label in every batch, whatever a data set's own void id is."""

LARGEST_ID = 65535
"""Of a class, in files of labels and of predictions."""

COLOURS = ("red", "green", "blue")
TASKS = ("segmentation", "classification")
DTYPES = ("uint8", "uint16", "float32")
MASK = ".msk"  # what follows a file's name in that of a mask beside it
NOTES = ".aux.xml"  # likewise of what GDAL notes of a file whose format has no room for it, such as nodata
TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # its first bytes; the last two with offsets of 64 bits
NODATA_RULES = ("all", "any")
NODATA_TAGS = ("both", "images", "labels", "none")
OF_IMAGES, OF_LABELS = ("both", "images"), ("both", "labels")  # those by which the tags of images, of labels, count


class DataError(ValueError):
    """Bad input data. The message is one line that names the file or value and says what to do."""

    def __init__(self, message: object = "") -> None:
        super().__init__(" ".join(str(message).splitlines()))  # names of files may have several


class AbsentSplit(DataError):
    """Nothing of a split is there, which is no fault where nobody needs it."""


@dataclasses.dataclass(frozen=True)
class DatasetSpec:
    """All facts about a data set.

    Attributes:
      name: registry name.
      classes: class names; a class's id is its position.
      palette: one (R, G, B) in 0..255 per class; empty for classification.
      splits: split name -> number of samples the data set is published with.
      mean: per band, in pixel values, of the training split unless the data set's file says otherwise.
      std: per band, likewise.
      void_ids: ids in the label files that become `IGNORE`, maybe negative.
      label_ids: id of each class in the label files; empty: the classes' own, 0, 1, 2, ...
      task: "segmentation" (a class per pixel) or "classification" (one per image).
      dtype: of the pixel values, "uint8" (0..255), "uint16" (0..65535) or "float32" (any finite value).
      band_names: one per band; empty: red, green and blue where there are three bands, else no names.
      label_colours: (R, G, B) of each class in the label files; empty: they hold ids.
      void_colours: (R, G, B) in the label files that become `IGNORE`.
      nodata: pixel value of images that stands for none, maybe NaN, whatever their files say of themselves.
      nodata_rule: "all": a pixel is void where no band has a value; "any": where some band has none. `reading.holes`
        says what is no value, and what void pixels hold.
      nodata_tags: which files' own word counts, their nodata tags, masks and alpha: that of "both", "images", "labels",
        "none".
      aliases: (id or colour in the label files, class) of all by which a class goes beside its first.
      rest: class (or `IGNORE`) of all else in the label files: unknown ids and colours, what is transparent, what is in
        no mask; None: a label with such pixels is refused.
      labels_soft: "nearest": a value in a label stands for the nearest id or colour; a number: of two classes, the one
        with the lower id has what is below; "": values are what they are.
      masks_overlap: where masks or shapes of several classes overlap, whether the last of these counts; else masks are
        refused, and of shapes the one counts that lies above in its file.
      combinations: (class, the classes whose masks or shapes a pixel of it is in) of each that stands for several.
        Empty: a pixel is in one.
      shapes: (name in files of annotations, class or `IGNORE`) where labels are such files, and not images.
      label_property: by which property of a shape it has its name, in files that have several.
      regions: (name, its classes) of each set of classes that is learnt by itself, in the order in which they are
        painted: a pixel has the class of the last that it is in, see also `sets`. Empty: classes are learnt, of which
        each pixel has one.

    Raises:
      ValueError: two of these contradict each other, or `task` or `dtype` is unknown.
    """

    name: str
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    splits: Mapping[str, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    void_ids: tuple[int, ...] = ()
    label_ids: tuple[int, ...] = ()
    task: str = "segmentation"
    dtype: str = "uint8"
    band_names: tuple[str, ...] = ()
    label_colours: tuple[tuple[int, int, int], ...] = ()
    void_colours: tuple[tuple[int, int, int], ...] = ()
    nodata: float | None = None
    nodata_rule: str = NODATA_RULES[0]
    nodata_tags: str = NODATA_TAGS[0]
    aliases: tuple[tuple[Any, int], ...] = ()
    rest: int | None = None
    labels_soft: str | float = ""
    masks_overlap: bool = False
    combinations: tuple[tuple[int, tuple[int, ...]], ...] = ()
    shapes: tuple[tuple[str, int], ...] = ()
    label_property: str = ""
    regions: tuple[tuple[str, tuple[int, ...]], ...] = ()

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"{self.name}: unknown task {self.task!r}; known: {', '.join(TASKS)}")
        if len(self.palette) != len(self.classes) and self.task == "segmentation":
            raise ValueError(f"{self.name}: {len(self.classes)} classes but {len(self.palette)} palette colours")
        if len(self.label_ids) not in (0, len(self.classes)):
            raise ValueError(f"{self.name}: {len(self.classes)} classes but {len(self.label_ids)} label ids")
        ids = [*(self.label_ids or range(len(self.classes))), *([] if self.label_colours else self._further)]
        if len(set(ids)) < len(ids) or set(ids) & set(self.void_ids):
            raise ValueError(f"{self.name}: a label id stands for two classes, or for a class and void")
        if len(self.label_colours) not in (0, len(self.classes)):
            raise ValueError(f"{self.name}: {len(self.classes)} classes but {len(self.label_colours)} label colours")
        colours = [*self.label_colours, *self.void_colours, *(self._further if self.label_colours else [])]
        if len(set(colours)) < len(colours):
            raise ValueError(f"{self.name}: a label colour stands for two classes, or for a class and void")
        if len(self.mean) != len(self.std):
            raise ValueError(f"{self.name}: {len(self.mean)} means but {len(self.std)} standard deviations")
        if self.dtype not in DTYPES:
            raise ValueError(f"{self.name}: unknown dtype {self.dtype!r}; known: {', '.join(DTYPES)}")
        if self.nodata_rule not in NODATA_RULES or self.nodata_tags not in NODATA_TAGS:
            raise ValueError(f"{self.name}: unknown nodata_rule {self.nodata_rule!r} or tags {self.nodata_tags!r}")
        if len(self.band_names) not in (0, len(self.mean)):
            raise ValueError(f"{self.name}: {len(self.mean)} bands but {len(self.band_names)} band names")
        apart = len({*self._regions_of}) == self.num_classes and all(own_classes([part for _, part in self.regions]))
        if self.regions and not (apart and self._inside <= {*range(self.num_classes)}):
            raise ValueError(f"{self.name}: the regions don't tell which class a pixel has")

    @property
    def _further(self):
        return [value for value, _ in self.aliases]

    @property
    def _inside(self):
        return {number for _, classes in self.regions for number in classes}

    @property
    def _regions_of(self):
        """Of each class, whether each region has it."""
        regions = [frozenset(classes) for _, classes in self.regions]
        return [tuple(number in classes for classes in regions) for number in range(self.num_classes)]

    @property
    def logits(self) -> tuple[str, ...]:
        """Names of what a network has a logit of: the regions, or the classes where there are none."""
        return tuple(name for name, _ in self.regions) or self.classes

    @property
    def painting(self) -> tuple[int, ...]:
        """The class beneath all regions, then that which each of them paints, in their order.

        A region paints the class that no later one has, of several that which the fewest have. Beneath is the class
        that no region has; or that of the first region, where each class is in one.
        """
        own, regions_of = own_classes([classes for _, classes in self.regions]), self._regions_of
        painted = tuple(min(sorted(one), key=lambda number: sum(regions_of[number])) for one in own)
        outside = {*range(self.num_classes)} - self._inside
        return (*(outside or painted[:1]), *painted)

    @property
    def sets(self) -> tuple[tuple[int, tuple[bool, ...]], ...]:
        """(class, whether each region has it) of all, those in few regions first, where not all classes are painted.

        A pixel then has the class whose regions are the likeliest to be there, and no others. Empty: they are painted.
        """
        if len({*self.painting}) == self.num_classes:
            return ()
        return tuple(sorted(enumerate(self._regions_of), key=lambda one: sum(one[1])))

    @property
    def output_ids(self) -> tuple[int, ...]:
        """Id of each class in files of predictions: the first that it has in the label files, if these hold ids."""
        return self.label_ids or tuple(range(self.num_classes))

    @property
    def void_id(self) -> int:
        """Id of void in files of predictions: the first of `void_ids`, 255 and all others that can be and is free."""
        taken = {*self.output_ids, *([] if self.label_colours else self._further)}
        own = [value for value in self.void_ids if 0 <= value <= LARGEST_ID]
        return next(value for value in (*own, IGNORE, *range(LARGEST_ID)) if value not in taken)

    @property
    def num_classes(self) -> int:
        """How many classes there are; void is none."""
        return len(self.classes)

    @property
    def bands(self) -> int:
        """How many bands an image has."""
        return len(self.mean)

    @property
    def rgb(self) -> tuple[int, int, int] | None:
        """Numbers of the red, green and blue band, or None where there are none of these names."""
        names = self.band_names or (COLOURS if self.bands == len(COLOURS) else ())
        if not set(COLOURS) <= set(names):
            return None
        red, green, blue = map(names.index, COLOURS)
        return red, green, blue

    @property
    def filling(self) -> np.ndarray:
        """[bands] float64: what stands where a band has no value, its mean, as a whole number where `dtype` is one."""
        return np.array(self.mean) if self.dtype == "float32" else np.rint(self.mean)

    @property
    def largest(self) -> float:
        """Largest pixel value that there can be, infinite for float32."""
        return np.iinfo(self.dtype).max if self.dtype != "float32" else np.inf


def own_classes(regions: Sequence[Iterable[int]]) -> list[set[int]]:
    """Of sets of classes, in the order in which they are painted: those of each that no later one has."""
    later: set[int] = set()
    own = []
    for classes in reversed(regions):
        own.append({*classes} - later)
        later.update(classes)
    return own[::-1]


class Window(NamedTuple):
    """A part of an image, in pixels. It may reach beyond the image.

    Attributes:
      top: first row, maybe negative.
      left: first column, likewise.
      height: number of rows.
      width: number of columns.
    """

    top: int
    left: int
    height: int
    width: int

    def inside(self, height: int, width: int) -> tuple[slice, slice]:
        """(rows, columns): slices of what an image of height x width pixels has of the window, maybe nothing."""
        rows = slice(*np.clip((self.top, self.top + self.height), 0, height).tolist())
        columns = slice(*np.clip((self.left, self.left + self.width), 0, width).tolist())
        return rows, columns


def share_pixels(one: Window | None, other: Window | None) -> bool:
    """Whether two windows of one image have a pixel in common; None is all of it."""
    if one is None or other is None:
        return True
    rows = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    columns = min(one.left + one.width, other.left + other.width) - max(one.left, other.left)
    return rows > 0 and columns > 0


def share_images(
    first: Iterable[tuple[Hashable, Window | None]], second: Iterable[tuple[Hashable, Window | None]]
) -> list[bool]:
    """Of each of `second`, whether it has a pixel in common with one of `first`.

    Both are (what tells an image from others, window or None). As many windows as a raster can have are not compared
    with each other all, but with those in the same cells of a grid, which is so wide that each is in four at most.
    """
    first, second = [*first], [*second]
    sides: dict[Hashable, int] = defaultdict(lambda: 1)
    for image, window in (*first, *second):
        sides[image] = max(sides[image], *(window[2:] if window else (1,)))
    all_of: dict[Hashable, list[Window | None]] = defaultdict(list)
    near: dict[Hashable, list[Window | None]] = defaultdict(list)
    for image, window in first:
        all_of[image].append(window)
        for cell in _cells(window, sides[image]):
            near[image, cell].append(window)

    def others(image, window):
        if window is None:
            return all_of.get(image, ())
        cells = [None, *_cells(window, sides[image])]  # None: of whole images
        return itertools.chain.from_iterable(near.get((image, cell), ()) for cell in cells)

    return [any(share_pixels(window, other) for other in others(image, window)) for image, window in second]


def _cells(window, side):
    """(row, column) of the cells of a grid that a window touches; None alone for all of an image."""
    if window is None:
        return [None]
    rows, columns = (
        range(first // side, (first + length - 1) // side + 1) for first, length in (window[::2], window[1::2])
    )
    return itertools.product(rows, columns)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One image with its label, not read yet.

    Attributes:
      name: of the sample, unique in its split.
      image: path; None where samples are drawn.
      label: path of the label map, likewise; None for classification, and where there is no label.
      class_id: of the whole image, for classification.
      window: part of the image and label that the sample is; None: all of it.
      extras: paths of files with further bands, in their order.
      masks: where each class has a mask of its own: (path, class) of those that are there; `label` is the first.
      content: digest of what its files hold; empty where it is not known, or there are no files. See `identity`.
      original: what tells its image from others where splits have copies of one; empty: the path does.
    """

    name: str
    image: Path | None = None
    label: Path | None = None
    class_id: int | None = None
    window: Window | None = None
    extras: tuple[Path, ...] = ()
    masks: tuple[tuple[Path, int], ...] = ()
    content: str = ""
    original: str = ""


def voided(label: np.ndarray, void: np.ndarray | None) -> np.ndarray:
    """The label [H, W], and `IGNORE` where `void`, [H, W] bool or None, is True."""
    return label if void is None else np.where(void, np.uint8(IGNORE), label)


class Dataset(abc.ABC):
    """A data set: a `spec`, the samples of each split, and how one is read.

    Attributes:
      spec: all facts about it.
      counted: whether a complete split has as many samples as `spec.splits` says.
      overlapping: pairs of splits that are published with images in common.
      windows_apart: whether samples that are windows are checked one by one, rather than the images they are cut from.
    """

    spec: DatasetSpec
    counted: bool = True
    overlapping: tuple[tuple[str, str], ...] = ()
    windows_apart: bool = False

    @classmethod
    def describe(cls, *arguments: Any, **options: Any) -> DatasetSpec:
        """The `spec` that `cls(*arguments, **options)` has. Files need not be there, unless it is made from them."""
        return getattr(cls, "spec", None) or cls(*arguments, **options).spec

    def check_statistics(self, progress: bool = False) -> None:  # noqa: B027 (most have none to check)
        """Raises `DataError` where mean and deviation were measured on images that have changed since.

        Those of published data sets are what they are. `progress` shows a bar where it takes long.
        """

    @abc.abstractmethod
    def samples(self, split: str) -> list[Sample]:
        """Samples of `split` in a fixed order. Raises `DataError` where the split is unknown, absent or empty."""

    def images(self, split: str) -> list[Sample]:
        """Whole images of `split` in a fixed order, with or without labels: what is predicted for a benchmark.

        Raises as `samples` does.
        """
        return self.samples(split)

    @abc.abstractmethod
    def read(self, sample: Sample) -> tuple[np.ndarray, np.ndarray]:
        """What one sample is.

        Returns:
          (image [H, W, bands] of `spec.dtype`, label). The label is [H, W] uint8 with class ids and `IGNORE`, or for
          classification an int32 scalar, the class id.

        Raises:
          DataError: a file is missing, damaged or not as `spec` says.
        """

    def read_unmasked(self, sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """What `read` gives, but for a label that is not void yet where the image is, and where that is.

        Returns:
          (image, label, [H, W] bool, True where nothing was measured, or None where that is not known apart).

        Raises as `read` does.
        """
        return (*self.read(sample), None)

    def together(self, samples: Sequence[Sample]) -> list[Hashable] | None:
        """Of each sample, what those that are like it have too, such as the image that windows are cut from.

        None where each is by itself.
        """
        return [sample.image for sample in samples] if any(sample.window for sample in samples) else None

    def is_pseudo(self, sample: Sample) -> bool:
        """Whether the label of a sample is what a network takes it for, and nobody's word: nothing is scored on it."""
        return False

    def odd_files(self, samples: Sequence[Sample]) -> list[str]:
        """Lines on files among `samples` that say otherwise than the others which pixels have no data."""
        return []

    def size(self, sample: Sample) -> tuple[int, int] | None:
        """(height, width) of what is read of a sample; None where it is that of its window, or else of its file."""
        return None

    def read_masked(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
        """(image as of `read_image`, [H, W] bool where it has no data, or None). Raises `DataError`."""
        return self.read_image(sample), None

    def read_image(self, sample: Sample) -> np.ndarray:
        """The image alone, [H, W, bands] as of `read`; there need be no label. Raises `DataError`."""
        return self.read(sample)[0]

    def moved(self, sample: Sample) -> np.ndarray | None:
        """How far every value of the label lies from the id or colour that it is taken for, [H, W]; None: nowhere.

        Raises `DataError` as `read` does.
        """
        return None
