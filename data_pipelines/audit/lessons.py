"""What of a data set nothing can be learnt from, nor anything be scored on: problems that training refuses as well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data_pipelines import learnable
from data_pipelines.audit.survey import Survey
from data_pipelines.spec import DatasetSpec


def problems(spec: DatasetSpec, found: Sequence[Survey], train: Survey | None) -> list[str]:
    """A line for each reason why there is nothing to learn, or to score.

    Labels of a test split may be withheld: that these are void is no problem.

    Args:
      spec: of the data set.
      found: its splits.
      train: the one of them to train on; None where none has labels.
    """
    labelled = [one for one in found if one.labelled and one.readable.any() and "test" not in one.split]
    void = [one for one in labelled if not one.counts.pixels.any()]
    lines = [learnable.one_class(spec)]
    lines += [learnable.nothing_labelled(spec, one.split, int(one.readable.sum())) for one in void]
    shown = np.flatnonzero(train.counts.pixels).tolist() if train else []
    if train and len(shown) == 1 and spec.num_classes > 1 and spec.task == "segmentation":
        lines.append(learnable.shows_one(train.split, spec.classes[shown[0]]))
    return [line for line in lines if line]
