"""Whether there is anything to learn in a data set, and to score on it."""

from __future__ import annotations

import numpy as np

from data_pipelines.spec import IGNORE, DataError, Dataset, DatasetSpec


def classes_in(label: np.ndarray, spec: DatasetSpec) -> set[int]:
    """The classes of a label as `Dataset.read` gives it: [H, W], or the scalar of a whole image."""
    found = set(np.unique(label).tolist())
    return found if spec.task == "classification" else found - {IGNORE}


def one_class(spec: DatasetSpec) -> str:
    """A line on a data set with fewer than two classes; empty where there are more."""
    if spec.num_classes > 1:
        return ""
    if spec.task == "classification":
        return f"{spec.name} has one class, {spec.classes[0]}: there is nothing to tell it from; add a folder of others"
    return (
        f"{spec.name} has one class, {', '.join(spec.classes)}, and all else is void: there is nothing to tell it "
        "from; make the rest a class as well, by its id or colour in classes and not in void"
    )


def nothing_labelled(spec: DatasetSpec, split: str, labels: int) -> str:
    """A line on a split whose `labels`, so many, have no class anywhere."""
    return (
        f"{split} of {spec.name} has no class in any of its {labels} labels, all is void: nothing can be learnt or "
        "scored there; look at the ids of classes, void and nodata"
    )


def shows_one(split: str, name: str) -> str:
    """A line on a training split that shows one class, `name`, alone."""
    return f"{split} shows {name} alone and no other class: there is nothing to tell it from; look at its labels"


def check_scored(dataset: Dataset, split: str, limit: int | None = None) -> None:
    """Raises `DataError` where the split, or its first `limit` samples, has nothing to score on, or pseudo-labels.

    Labels are read up to the first that has a class.
    """
    check_classes(dataset.spec)
    samples = dataset.samples(split)[:limit]
    if dataset.spec.task == "segmentation" and not any(
        classes_in(dataset.read(sample)[1], dataset.spec) for sample in samples
    ):
        raise DataError(nothing_labelled(dataset.spec, split, len(samples)))
    if count := sum(map(dataset.is_pseudo, samples)):
        raise DataError(
            f"{count} of the {len(samples)} images of {split} have pseudo-labels, which a network has made: a score on "
            "these says nothing; pass another --split, or leave pseudo out of dataset.yaml"
        )


def check_classes(spec: DatasetSpec) -> None:
    """Raises `DataError` where there are fewer than two classes."""
    if problem := one_class(spec):
        raise DataError(problem)
