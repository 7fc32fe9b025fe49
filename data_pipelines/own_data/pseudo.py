"""Pseudo-labels: further images to learn from, which a network has labelled (`did_tf predict --least_confidence`).

They are of the split that is learnt, and never of one that is scored.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
from collections.abc import Mapping, Sequence

from data_pipelines.content import digests
from data_pipelines.own_data.description import REGION, Description
from data_pipelines.own_data.matching import ending, find_samples, places
from data_pipelines.own_data.messages import note, some
from data_pipelines.own_data.parts import placed
from data_pipelines.own_data.splits import group_of
from data_pipelines.own_data.windows import all_of, learnt_split
from data_pipelines.reading.patches import name_of_image
from data_pipelines.spec import DataError, DatasetSpec, Sample

BEFORE = "pseudo/"
"""What begins the names of these images."""
LABEL = "_label"
"""What ends the names of the files in which `did_tf predict` writes labels."""
RECORD = "predictions.json"
"""What it writes beside them, the ids of the classes among it."""


def find(description: Description, splits: Mapping[str, Sequence[Sample]], quiet: bool = False) -> list[Sample]:
    """The images with pseudo-labels, or windows of them; nothing where the description has none.

    Images of the data's own splits are left out, and copies of them: those to learn have labels, and the others are not
    learnt. So are images of a group that is scored, and those whose files are others than those that were labelled.

    Args:
      description: that says where they are.
      splits: name -> samples.
      quiet: without lines on stderr.

    Raises:
      DataError: a folder is missing or holds nothing of use, nothing fits together, no image is a further one, or the
        labels are of other classes.
    """
    if description.pseudo is None:
        return []
    held: dict[str, set[str]] = {}
    for folder, _ in places(description.pseudo.labels):
        held.update(_held(description, folder / RECORD))
    samples = [sample for own in splits.values() for sample in own]
    own = {os.path.realpath(file) for sample in samples for file in (sample.image, sample.label) if file}
    found = _found(description, quiet)
    others = [sample for sample in found if sample.image and os.path.realpath(sample.image) not in own]
    copies, alike = _copies(others, samples), _of_scored_groups(description, splits, others)
    changed = _changed(held, [sample for sample in others if sample.name not in copies | alike], not quiet)
    further = [sample for sample in others if sample.name not in copies | alike | changed]
    if not further:
        also = " or whose groups are scored" if alike else ""
        also += " or that were others when they were labelled" if changed else ""
        raise DataError(
            f"{description.path}: pseudo.labels {description.pseudo.labels} are of images alone that splits "
            f"have{also}: predict others, or leave pseudo out, which only training needs"
        )
    if not quiet:
        _tell(others, copies, "as splits have the same image under another name")
        _tell(others, alike - copies, "as a split that is scored has others of their group")
        _tell(others, changed, "as they were others when they were labelled (predict again)")
        note(f"{len(further)} images of {learnt_split(splits)} have pseudo-labels, of {description.pseudo.labels}")
    return all_of(description, [dataclasses.replace(sample, name=BEFORE + sample.name) for sample in further])


def of_predictions(spec: DatasetSpec) -> DatasetSpec:
    """What files of predictions hold for data of a spec: ids, whatever its own labels hold."""
    return dataclasses.replace(
        spec,
        label_ids=spec.output_ids,
        void_ids=(spec.void_id,),
        label_colours=(),
        void_colours=(),
        aliases=(),
        rest=None,
        labels_soft="",
        shapes=(),
    )


def _found(description, quiet):
    """All that are there. Raises `DataError`."""
    try:
        return find_samples(_described(description, description.pseudo), quiet)
    except DataError as error:
        raise DataError(f"{error}; or leave pseudo out, which only training needs") from None


def _described(description, pseudo):
    """The description of these images, as if there were no others."""
    image, *extras = description.parts
    parts = placed(description.parts, pseudo.images) if extras else (dataclasses.replace(image, folder=pseudo.images),)
    if not parts:
        wanted = ", ".join(dict.fromkeys(part.folder.name for part in description.parts))
        raise DataError(f"{description.path}: pseudo.images {pseudo.images} has no folders {wanted}, with all bands")
    # Results of a file have its whole name, those of several files together what they have in common.
    before, after = ("", "") if extras else (image.prefix, ending(image.suffix)[0])
    labels = {"labels": pseudo.labels, "label_prefix": before, "label_suffix": after + LABEL}
    return dataclasses.replace(description, parts=parts, **labels, labels_soft="", masks=(), shapes=())


def _held(description, record):
    """{path of a label without its end: digests of what it was made of}, as the record of predictions tells them.

    Raises `DataError` where it says that their ids are of other classes, or is damaged.
    """
    if not record.is_file():
        return {}
    try:
        told = json.loads(record.read_text("utf-8"))
        was = {entry["id"]: entry["name"] for entry in told["classes"]}
        images = told.get("images", {}).items()
        held = {str(record.parent / name): {*entry.get("content", "").split()} for name, entry in images}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise DataError(f"{record} is damaged ({type(error).__name__}): label the images anew") from None
    _check_classes(description, record, was)
    return held


def _check_classes(description, record, was):
    """Raises `DataError` where labels are of other classes than the description has: {id: name}."""
    now = dict(zip(description.label_ids or range(len(description.classes)), description.classes))
    for number in sorted({*was, *now}, key=str):
        if was.get(number) != now.get(number):
            told = " and was ".join(f"{of[number]!r}" if number in of else "none" for of in (now, was))
            raise DataError(
                f"{description.path}: the labels in {record.parent} are of other classes: {number} is {told}; label "
                "the images anew with a network of these classes, or put the classes back"
            )


def _copies(found, samples):
    """Names of those whose image file holds the same bytes as one of `samples`.

    Those alone are read whole that have another's size and ends: raw images all have one size.
    """
    further, own = ({os.fspath(sample.image) for sample in part if sample.image} for part in (found, samples))
    for marks_of in (_sizes, functools.partial(digests, ends=True), digests):
        marks = marks_of([*further, *own])
        common = {marks[path] for path in further} & {marks[path] for path in own}
        further, own = ({path for path in part if marks[path] in common} for part in (further, own))
    return {sample.name for sample in found if sample.image and os.fspath(sample.image) in further}


def _changed(held, samples, progress):
    """Names of those of which no file is as it was when they were labelled, where `_held` says it."""
    told = {sample.name: held.get(str(sample.label.with_suffix("")).removesuffix(LABEL), set()) for sample in samples}
    files = {s.name: [os.fspath(path) for path in (s.image, *s.extras)] for s in samples if told[s.name]}
    now = digests([path for paths in files.values() for path in paths], progress)
    return {name for name, paths in files.items() if told[name].isdisjoint(now[path] for path in paths)}


def _sizes(paths):
    """{path: bytes}."""
    found = {}
    for path in paths:
        try:
            found[path] = os.stat(path).st_size
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}") from None
    return found


def _of_scored_groups(description, splits, found):
    """Names of those that by their group belong to images of a split that is not learnt."""
    if description.group in ("", REGION):
        return set()
    scored = {
        group_of(description, name_of_image(sample))
        for split, samples in splits.items()
        if split != learnt_split(splits)
        for sample in samples
    }
    return {sample.name for sample in found if _group(description, sample.name) in scored}


def _group(description, name):
    """The group of a further image, whose name need not tell any: None then."""
    try:
        return group_of(description, name)
    except DataError:
        return None


def _tell(samples, names, why):
    if left := [sample.name for sample in samples if sample.name in names]:
        note(f"{len(left)} images with pseudo-labels are left out, {why}: {some(left)}")
