"""What the files themselves call nodata, compared with each other and with dataset.yaml."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence

from data_pipelines.content import in_threads
from data_pipelines.own_data.description import Description
from data_pipelines.own_data.messages import some
from data_pipelines.own_data.values import can_be
from data_pipelines.reading.decoding import is_tiff, nodata_tags
from data_pipelines.reading.rasters import has_mask
from data_pipelines.spec import IGNORE, MASK, OF_IMAGES, OF_LABELS, DataError, Sample


def differences(description: Description, samples: Sequence[Sample]) -> list[str]:
    """Lines on files of `samples` whose nodata tags differ: from dataset.yaml, or else from each other.

    Those of labels count only where dataset.yaml doesn't call them void anyway.
    """
    lines = []
    for number, part in enumerate(description.parts if description.nodata_tags in OF_IMAGES else ()):
        paths = [(sample.image, *sample.extras)[number] for sample in samples]
        known = description.nodata is not None and can_be(description.nodata, part.dtype)
        what = f"files of {', '.join(part.bands)}" if number else "images"
        lines += _lines(what, paths, {description.nodata} if known else set())
    if description.nodata_tags in OF_LABELS and description.rest != IGNORE and not description.shapes:
        void = {*description.void_ids, IGNORE} - {*description.label_ids}
        lines += _lines("labels", [sample.label for sample in samples if sample.label], set(), void)
    return lines


def telling(description: Description, samples: Sequence[Sample]) -> str:
    """Name of the first image of `samples` that says itself where it has no data otherwise than dataset.yaml, or ""."""
    if description.nodata_tags not in OF_IMAGES:
        return ""
    for paths in dict.fromkeys((sample.image, *sample.extras) for sample in samples):
        for path in paths:
            if _masked(path) or set(map(repr, _tags(path))) - {"None", repr(description.nodata)}:
                return str(path)
    return ""


def tags_of(paths: Sequence[str | os.PathLike]) -> dict[float | None, list[str]]:
    """Nodata value by the files' own tags (None: no tag) -> the files; of several values in bands, the first."""
    # NaN differs from itself.
    values, found = {}, defaultdict(list)
    for path, tags in zip(paths, in_threads(_tags, paths)):
        value = next((tag for tag in tags if tag is not None), None)
        values[repr(value)] = value
        found[repr(value)].append(str(path))
    return {values[key]: files for key, files in found.items()}


def _masked(path):
    try:
        return os.path.exists(f"{path}{MASK}") or is_tiff(path) and has_mask(path)
    except DataError:
        return False


def _tags(path):
    try:
        return nodata_tags(path)
    except DataError:  # whoever reads it, says so
        return ()


def _lines(what, paths, stated, harmless=frozenset()):
    """A line where the tags of some files differ: from what is `stated` for all, or else from each other."""
    paths = list(dict.fromkeys(paths))  # of windows, each file once
    found = {value: files for value, files in tags_of(paths).items() if value not in harmless}
    kinds = {repr(value) for value in stated}
    odd: dict[float | None, list[str]] = {
        value: files for value, files in found.items() if value is not None and repr(value) not in kinds
    }
    if stated and odd:
        says = f"dataset.yaml says {_number(*stated)}, and both count"
    elif not stated and odd and len(found) > 1:
        odd, says = found, "each file's counts for itself, and nodata in dataset.yaml would for all"
    else:
        return []
    told = ", ".join(f"{len(files)} with {_number(value)} ({some(files)})" for value, files in odd.items())
    return [f"{what} differ in their own nodata tags: of {len(paths)}, {told}; {says}"]


def _number(value):
    return "none" if value is None else f"{value:g}"
