"""A user's own data: a folder of images, a folder of labels, and a dataset.yaml that says what they are.

description.py lists the keys of dataset.yaml; `did_tf describe-data` drafts one.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from data_pipelines.datasets.files import FileDataset
from data_pipelines.identity import fingerprint
from data_pipelines.own_data import band_statistics, nodata, pseudo, shapes
from data_pipelines.own_data.band_statistics import Statistics
from data_pipelines.own_data.description import NAMES, REGION, Description, read_description
from data_pipelines.own_data.matching import find_samples
from data_pipelines.own_data.messages import note
from data_pipelines.own_data.parts import fill_parts, part_specs
from data_pipelines.own_data.splits import group_of
from data_pipelines.own_data.windows import divide, learnt_split
from data_pipelines.reading.images import read_label
from data_pipelines.reading.patches import name_of_image
from data_pipelines.spec import OF_IMAGES, DataError, DatasetSpec, Sample
from data_pipelines.writing import check_writable

WRITABLE = (
    f"{band_statistics.NAME} is kept there: make it writable once, or put {NAMES[0]} into a folder of your own, whose "
    "images may lie elsewhere"
)
EARLIER_RULE = "any"  # of nodata, in files of versions that knew no other


class Folders(FileDataset):
    """The data that the dataset.yaml in `folder` describes.

    Image, label and further bands belong together where their names, with subfolders and without suffixes and
    extensions, are equal; what lacks one of them is left out, and one line on stderr says so. Samples are whole images,
    or windows of them (`windows.divide`). Mean and deviation are of the split "train", or else the first; they are
    measured when they are first needed and kept in statistics.json. They are used whatever has become of the images
    since, as what was trained with them needs them; see `check_statistics`. Images with pseudo-labels are learnt with
    that split's own, and change no statistics: what has labelled them goes on with the same.

    Attributes:
      description: what the dataset.yaml says.

    Raises:
      DataError: no dataset.yaml, a bad one, or files that don't fit it.
    """

    title = "data set"
    layout = f"{NAMES[0]}, see data_pipelines/own_data/description.py"
    windows_apart = True  # those of one raster may be in several splits
    orientation = "refuse"  # turned or not, who knows what the labels were drawn on

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.description = read_description(folder)
        self._splits = divide(self.description, find_samples(self.description))
        self._further = pseudo.find(self.description, self._splits)
        self._predicted = {sample.label for sample in self._further}
        counts = _counts(self._splits, self._further)
        self.spec = _spec(self.description, None, counts)
        self._stored = _stored(folder, self.description)
        self.spec = _spec(self.description, self._stored or self._measure(), counts)

    @classmethod
    def describe(cls, folder: str | Path) -> DatasetSpec:
        """From dataset.yaml and statistics.json alone, where both are there; `splits` asks the files, if they are."""
        description = read_description(folder)
        statistics = _stored(folder, description)
        return _spec(description, statistics, _Counts(description, statistics)) if statistics else cls(folder).spec

    def places(self, split: str) -> list[Path]:
        """None: no folder is of one split alone."""
        return []

    def listing(self, split: str) -> list[Sample]:
        """The samples, sorted by name or as they are listed, then those with pseudo-labels, as `_own` raises."""
        return [*self._own(split), *(self._further if split == learnt_split(self._splits) else ())]

    def _own(self, split):
        """The samples that have labels of their own. Raises `DataError` where there are none."""
        samples = self._splits[split]
        if not samples:
            groups = "no group of images" if self.description.group else "none of the images"
            way = f"give each split a region of every image (group: {REGION})"
            raise DataError(
                f"folders split {split!r} is empty: {groups} falls into its share; raise that in "
                f"{self.description.path}, or list the images of each split there, or "
                f"{way if self.description.patch else 'cut them into windows (patch)'}"
            )
        return samples

    def read_unmasked(self, sample: Sample) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        """(image, label, void pixels or None), see `Dataset`."""
        return self._read_unmasked(sample)

    def read_label(self, sample: Sample) -> np.ndarray:
        """As of `FileDataset`, or drawn, or what a network has made. Raises `DataError`."""
        assert sample.image is not None and sample.label is not None
        if self.is_pseudo(sample):
            return read_label(sample.label, pseudo.of_predictions(self.spec), sample.window, self.orientation)
        if not self.spec.shapes:
            return super().read_label(sample)
        return shapes.read(sample.label, sample.image, self.spec, sample.window)

    def _read_unmasked(self, sample):
        if not self.spec.shapes or self.is_pseudo(sample):
            return super()._read_unmasked(sample)
        image, void = self.read_masked(sample)
        return image, self.read_label(sample), void  # of one size, as it is drawn so

    def moved(self, sample: Sample) -> np.ndarray | None:
        """As of `FileDataset`; of pseudo-labels nothing. Raises `DataError`."""
        return None if self.is_pseudo(sample) else super().moved(sample)

    def together(self, samples: Sequence[Sample]) -> list[Hashable] | None:
        """As of `Dataset`; where dataset.yaml has a `group`, it is that."""
        if self.description.group in ("", REGION):
            return super().together(samples)
        return [self._group(sample, name_of_image(sample)) for sample in samples]

    def _group(self, sample, name):
        return name if self.is_pseudo(sample) else group_of(self.description, name)

    def is_pseudo(self, sample: Sample) -> bool:
        """As of `Dataset`."""
        return sample.label in self._predicted

    def odd_files(self, samples: Sequence[Sample]) -> list[str]:
        """Lines on files whose nodata tags differ from those of the others, or from dataset.yaml."""
        return nodata.differences(self.description, samples)

    def read_masked(self, sample: Sample) -> tuple[np.ndarray, np.ndarray | None]:
        """As of `FileDataset`, of all files of an image. Raises `DataError`."""
        image, _, void = self._read_filled(sample)
        return image, void

    def _read_filled(self, sample):
        specs = part_specs(self.description.parts, self.spec)
        return fill_parts([sample.image, *sample.extras], specs, sample.window, self.orientation)

    def check_statistics(self, progress: bool = False) -> None:
        """Raises `DataError` where statistics.json is of other images than those of its split that are there."""
        split, stored = learnt_split(self._splits), self._stored
        if stored is None:
            return
        names = [sample.name for sample in self._splits[split]]
        same = stored.fingerprint == band_statistics.fingerprint(names)
        if stored.content:
            same = stored.content == _images_mark(self._own(split), progress)
        path = self.folder / band_statistics.NAME
        odd = stored.odd_files if stored.nodata_rule else self._earlier_odd_files(path, split)
        if not same:
            raise DataError(
                f"{path} was measured on other images than the {len(names)} of split {split!r}: put them "
                "back as they were; or move it away, and it is measured anew: a run that was trained with it "
                "goes on from its weights in another, --config.train.init=RUN"
            )
        if not stored.content:
            note(
                f"{path} is of an earlier version: it says the names of the images that it was measured on, and not "
                "whether they have changed since; delete it, and it is measured anew"
            )
        for line in odd:
            note(line)

    def _earlier_odd_files(self, path, split):
        """As `odd_files`. Raises `DataError` where an earlier version, which asked no file, measured what is nodata."""
        samples = self._own(split)
        if telling := nodata.telling(self.description, samples):
            raise DataError(
                f"{path} is of an earlier version, which took for data what files say is none, such as {telling}: move "
                "it away, and it is measured anew; or set nodata_tags: none in dataset.yaml"
            )
        return self.odd_files(samples)

    def _measure(self):
        check_writable(self.folder, WRITABLE)  # before all is read
        samples = self._own(learnt_split(self._splits))
        mark = _mark_if_readable(samples)
        found, problems = band_statistics.measure(self._read_filled, samples)
        odd = self.odd_files(samples)
        for line in odd:
            note(line)
        constant = found.std == 0
        for number in np.flatnonzero(constant):
            note(f"band {self.description.bands[number]!r} is {found.mean[number]:g} everywhere: it says nothing")
        std = np.where(constant, 1, found.std)
        statistics = Statistics(
            images=len(samples),
            fingerprint=band_statistics.fingerprint(sample.name for sample in samples),
            splits=_counts(self._splits),
            bands=self.description.bands,
            dtype=self.description.dtype,
            mean=tuple(found.mean.tolist()),
            std=tuple(std.tolist()),
            nodata=self.description.nodata,
            content=mark,
            nodata_rule=self.description.nodata_rule,
            nodata_tags=self.description.nodata_tags,
            odd_files=tuple(odd),
            patch=self.description.patch,
            overlap=self.description.overlap,
        )
        if problems:
            # Not kept, for they aren't those of the data; whoever trains meets the file itself.
            note(f"{len(problems)} of {len(samples)} images can't be measured, such as: {problems[0]}")
        elif mark:
            band_statistics.write(self.folder, statistics)
        return statistics


def _images_mark(samples, progress=False):
    """What statistics.json keeps of the images that it is of; labels don't change it."""
    return fingerprint([dataclasses.replace(sample, label=None, masks=()) for sample in samples], progress)


def _mark_if_readable(samples):
    try:
        return _images_mark(samples, progress=True)
    except DataError:  # an image that can't be read, which measuring tells
        return ""


def _spec(description, statistics, counts):
    """The `DatasetSpec`; where nothing is measured yet, with mean 0 and deviation 1."""
    bands = len(description.bands)
    return DatasetSpec(
        name="folders",
        classes=description.classes,
        palette=description.palette,
        splits=counts,
        mean=statistics.mean if statistics else (0.0,) * bands,
        std=statistics.std if statistics else (1.0,) * bands,
        void_ids=description.void_ids,
        label_ids=description.label_ids,
        label_colours=description.label_colours,
        void_colours=description.void_colours,
        aliases=description.aliases,
        rest=description.rest,
        labels_soft=description.labels_soft,
        masks_overlap=description.masks_overlap,
        combinations=description.combinations,
        shapes=description.shapes,
        label_property=description.label_property,
        regions=description.regions,
        dtype=description.dtype,
        band_names=description.bands,
        nodata=description.nodata,
        nodata_rule=description.nodata_rule,
        nodata_tags=description.nodata_tags,
    )


def _counts(splits, further=()):
    return {split: len(found) + len(further) * (split == learnt_split(splits)) for split, found in splits.items()}


class _Counts(Mapping[str, int]):
    """Split -> number of samples, counted when somebody asks: of many files it takes long, and few ask.

    Where the files are not there, those that were measured.
    """

    def __init__(self, description: Description, statistics: Statistics) -> None:
        self._description, self._statistics = description, statistics

    def __getitem__(self, split: str) -> int:
        return self._found[split]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)

    def __repr__(self) -> str:
        return repr(self._found)

    def __deepcopy__(self, memo: object) -> dict[str, int]:
        """A plain one, as for JSON."""
        return {**self}

    @functools.cached_property
    def _found(self):
        try:
            splits = divide(self._description, find_samples(self._description, quiet=True), quiet=True)
            return _counts(splits, pseudo.find(self._description, splits, quiet=True))
        except DataError:
            return self._statistics.splits


def _stored(folder, description):
    """The `Statistics` in `folder`, or None. Raises `DataError` where they are of other pixels."""
    stored = band_statistics.read(folder)
    if stored is None:
        return None
    rules: tuple[str, ...] = ("nodata_rule", "nodata_tags") if stored.nodata_rule else ()
    several = description.nodata is not None and len(description.bands) > 1
    if not rules and several and description.nodata_rule != EARLIER_RULE:
        stored, rules = stored._replace(nodata_rule=EARLIER_RULE), ("nodata_rule",)
    if stored.nodata_tags in OF_IMAGES and description.nodata_tags in OF_IMAGES:
        stored = stored._replace(nodata_tags=description.nodata_tags)  # labels don't change statistics
    for what in ("bands", "dtype", "nodata", "patch", "overlap", *rules):
        was, now = (_told(getattr(one, what)) for one in (stored, description))
        if was != now:
            raise DataError(
                f"{Path(folder, band_statistics.NAME)} is of {what} {was}, but {description.path} says {now}: correct "
                "that, or delete the former and it is measured anew"
            )
    return stored


def _told(value):
    """As text, in which NaN is itself."""
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
