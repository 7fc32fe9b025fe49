"""Pseudo-labels: further images to learn from, which a network has labelled (`did_tf predict --least_confidence`).

They are of the split that is learnt, and never of one that is scored.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence

from data_pipelines.own_data.description import Description
from data_pipelines.own_data.matching import ending, find_samples
from data_pipelines.own_data.messages import note
from data_pipelines.own_data.parts import placed
from data_pipelines.own_data.windows import all_of
from data_pipelines.spec import DataError, DatasetSpec, Sample

BEFORE = "pseudo/"
"""What begins the names of these images."""
LABEL = "_label"
"""What ends the names of the files in which `did_tf predict` writes labels."""


def find(description: Description, splits: Mapping[str, Sequence[Sample]], quiet: bool = False) -> list[Sample]:
    """The images with pseudo-labels, or windows of them; nothing where the description has none.

    Files of the data's own splits are left out: images to learn have labels, and the others are not learnt.

    Args:
      description: that says where they are.
      splits: name -> samples.
      quiet: without lines on stderr.

    Raises:
      DataError: a folder is missing or holds nothing of use, nothing fits together, or no image is a further one.
    """
    if description.pseudo is None:
        return []
    files = (file for samples in splits.values() for sample in samples for file in (sample.image, sample.label))
    own = {os.path.realpath(file) for file in files if file}
    found = find_samples(_described(description, description.pseudo), quiet)
    further = [sample for sample in found if sample.image and os.path.realpath(sample.image) not in own]
    if not further:
        raise DataError(
            f"{description.path}: pseudo.labels {description.pseudo.labels} are of images alone that splits have: "
            "predict others, or leave pseudo out"
        )
    if not quiet:
        note(f"{len(further)} images are learnt with pseudo-labels, of {description.pseudo.labels}")
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
