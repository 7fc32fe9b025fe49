"""What a result depends on of its data, for comparing it wherever the result is used again.

The options of a data set are settings, and compared as such.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from typing import Any

from data_pipelines import content
from data_pipelines.spec import MASK, NOTES, TIFF, DataError, Dataset, DatasetSpec, Sample

WITHOUT_MEANING = ("name", "palette", "splits")
"""What a `DatasetSpec` says that changes neither pixels nor labels: names, colours of pictures, how many there are."""
LATER = (
    *("aliases", "rest", "labels_soft", "masks_overlap", "nodata_rule", "nodata_tags"),  # since version 0.4.0
    *("shapes", "label_property", "regions", "combinations"),
)
"""What it did not always say. Left out where it is as it was before, so that older runs and records go on."""
BAND = b"<PAMRasterBand"
OF_PIXELS = re.compile(BAND + rb"[^<]*|<(?:NoDataValue|Offset|Scale|ColorInterp|Entry|SRS|GeoTransform)\b[^<]*")
"""Elements of GDAL's notes that change what is read, each with its text, and how the bands begin that they are of."""


def identity(dataset: Dataset, samples: Sequence[Sample], progress: bool = False) -> dict[str, Any]:
    """What a result on some samples depends on; JSON-serialisable.

    That of prepared records equals that of the files they were made from.

    Args:
      dataset: the data set.
      samples: of it, one or more, in their order.
      progress: show a bar where it takes long, and stderr is a terminal.

    Returns:
      {"samples": how many; "fingerprint": see there, where no files hold them also of the first one's pixels and label;
      "meaning": see there}.

    Raises:
      DataError: a file can't be read.
    """
    samples = with_content(samples, progress)
    mark = fingerprint(samples)
    if not samples[0].content:
        mark = _digest([mark.encode(), *(part.tobytes() for part in dataset.read(samples[0]) if part is not None)])
    return {"samples": len(samples), "fingerprint": mark, "meaning": meaning(dataset.spec)}


def meaning(spec: DatasetSpec) -> str:
    """Digest of what pixels and labels of a data set mean: all of its spec but `WITHOUT_MEANING`."""
    usual = {field.name for field in dataclasses.fields(spec) if getattr(spec, field.name) == field.default}
    silent = {*WITHOUT_MEANING, *usual.intersection(LATER)}
    if spec.nodata is not None and spec.bands > 1:
        silent -= {"nodata_rule"}  # which was another one
    facts = dataclasses.asdict(dataclasses.replace(spec, splits={}))  # which may take long to count
    told = {key: value for key, value in facts.items() if key not in silent}
    return _digest([json.dumps(told, default=lambda value: value.item()).encode()])


def fingerprint(samples: Sequence[Sample], progress: bool = False) -> str:
    """Digest of the samples' names, windows, classes and the content of their files, in their order.

    Raises `DataError` where a file can't be read. `progress` shows a bar where it takes long.
    """
    return _digest(
        repr((sample.name, sample.window and tuple(sample.window), sample.class_id, sample.content)).encode()
        for sample in with_content(samples, progress)
    )


def with_content(samples: Sequence[Sample], progress: bool = False) -> list[Sample]:
    """The samples with their `content`, which is read where it isn't known yet.

    Raises `DataError` where a file can't be read. `progress` shows a bar where it takes long.
    """
    files = content.in_threads(lambda sample: () if sample.content else _files(sample), samples)
    there = dict.fromkeys(path for paths in files for path in paths if path)
    known, notes_of = content.digests(there, progress), dict(zip(there, content.in_threads(notes, there)))

    def held(sample, paths):
        classes = [b"%d" % number for _, number in sample.masks]
        said = [b"%d %s" % (place, note) for place, path in enumerate(paths) if path for note in notes_of[path]]
        return _digest([known[os.fspath(path)].encode() if path else b"" for path in paths] + classes + said)

    return [dataclasses.replace(s, content=held(s, paths)) if paths else s for s, paths in zip(samples, files)]


def _files(sample):
    """Image, label (maybe None), further bands and further masks, masks beside them; nothing where no files hold it."""
    masks = (path for path, _ in sample.masks[1:])
    files = (sample.image, sample.label, *sample.extras, *masks) if sample.image else ()
    return (*files, *filter(os.path.exists, (f"{path}{MASK}" for path in files if path)))


def notes(path: str | os.PathLike[str], place: bool = False) -> list[bytes]:
    """What GDAL's notes beside a TIFF say of its pixels; not what programs that only look at it add, as statistics.

    Those beside a file of another format say at most where it lies: they are told where the `place` is wanted. Raises
    `DataError`.
    """
    if not os.path.exists(f"{path}{NOTES}"):
        return []
    try:
        with open(path, "rb") as file, open(f"{path}{NOTES}", "rb") as beside:
            said = [one.strip() for one in OF_PIXELS.findall(beside.read())] if place or file.read(4) in TIFF else []
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from None
    followed = zip(said, [*said[1:], BAND])
    return [one for one, after in followed if not (one.startswith(BAND) and after.startswith(BAND))]  # no empty bands


def _digest(parts: Iterable[bytes]) -> str:
    """Of several bytes, which can't be mistaken for others that are only divided otherwise."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(b"%d " % len(part))
        digest.update(part)
    return digest.hexdigest()[: content.LENGTH]
