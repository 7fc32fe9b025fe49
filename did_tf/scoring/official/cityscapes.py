"""Scores and results of the Cityscapes benchmark's pixel-level task: IoU and iIoU of classes and of categories.

After the benchmark's description and its program, evalPixelLevelSemanticLabeling of cityscapesScripts: ignored ids of
the label count for nothing, whatever is predicted there. A category is the union of its classes that are scored. In
iIoU = iTP / (iTP + FP + iFN), a pixel of an instance weighs the average size of its class's instances divided by the
size of its own; pixels of groups that were not told apart are neither hits nor misses, and false positives weigh one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from data_pipelines.datasets.cityscapes import CLASSES, LABEL_IDS
from data_pipelines.datasets.cityscapes import Cityscapes as CityscapesData
from data_pipelines.spec import DataError, Dataset, Sample
from did_tf.common import visualize
from did_tf.common.text import aligned, beside, of_paper, percent
from did_tf.scoring.metrics import ConfusionMatrix, jsonable, left_out, nan_mean, ratio
from did_tf.scoring.official import Benchmark, read_result

CATEGORIES = {
    "flat": ("road", "sidewalk"),
    "construction": ("building", "wall", "fence"),
    "object": ("pole", "traffic light", "traffic sign"),
    "nature": ("vegetation", "terrain"),
    "sky": ("sky",),
    "human": ("person", "rider"),
    "vehicle": ("car", "truck", "bus", "train", "motorcycle", "bicycle"),
}
# Average size in pixels of the instances of a class, as cityscapesScripts has it; other classes have no instances.
SIZES = {
    "person": 3462.4756337644,
    "rider": 3930.4788056518,
    "car": 12794.0202738185,
    "truck": 27855.1264367816,
    "bus": 35732.1511111111,
    "train": 67583.7075812274,
    "motorcycle": 6298.7200839748,
    "bicycle": 4672.3249222261,
}
UNSCORED = (29, 30)  # caravan and trailer: ids of classes that have instances but aren't scored
PER_CLASS = 1000  # an instance's id is that many times its class's, plus its number
KIND = ("PNG", "L", "PNG with one channel of 8 bits")
OF_CLASS = np.array([[name in names for names in CATEGORIES.values()] for name in CLASSES], np.int64)


class Cityscapes(Benchmark):
    """Class and category scores over all images, and one PNG of label ids per image as a result.

    iIoU needs files of instances; without them it isn't scored, and the table says why.
    """

    title = "Cityscapes (pixel-level semantic labeling)"
    dataset: CityscapesData

    def __init__(self, dataset: CityscapesData) -> None:
        super().__init__(dataset)
        self._matrix = ConfusionMatrix(len(CLASSES))
        self._classes = _Instances([name in SIZES for name in CLASSES])
        self._categories = _Instances([names[0] in SIZES for names in CATEGORIES.values()])
        self._lacking = ""

    @classmethod
    def scores_samples_of(cls, dataset: Dataset, split: str) -> bool:
        """Whether they are whole frames at full size: not those of `half`, nor patches."""
        return not cast(CityscapesData, dataset).half and super().scores_samples_of(dataset, split)

    def update(self, sample: Sample, label: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds one frame: its pixels and, where it has a file of instances, those of each instance by their weight.

        Args:
          sample: what the label is of.
          label: [H, W] uint8, class ids and 255.
          probabilities: [H, W, 19] float32.

        Raises:
          DataError: the instances can't be read, have another size than the label, or are of a class without any.
        """
        prediction = probabilities.argmax(axis=-1).astype(np.uint8)
        self._matrix.update(label, prediction)
        instances = self.dataset.instances(sample)
        if instances is None:
            self._lacking = self._lacking or f"no iIoU: {sample.name} has no file of instances beside {sample.label}"
        elif instances.shape != label.shape:
            raise DataError(f"the instances of {sample.label} are {instances.shape}, but its label is {label.shape}")
        else:
            self._add_instances(sample, instances.ravel(), prediction.ravel())

    def scores(self) -> dict[str, Any]:
        """IoU and iIoU of every class under "class" and of every category under "category", with their means.

        Fractions, None where there is no score; where iIoU could not be scored at all, "note" says why.
        """
        classes, categories = self._scores()
        return {
            "class": _report(CLASSES, *classes),
            "category": _report(CATEGORIES, *categories),
            **({"note": self._lacking} if self._lacking else {}),
        }

    def table(self, paper: Mapping[str, Any] | None = None) -> str:
        """IoU and iIoU of every class and category with their means, in percent; last, why there is no iIoU, if so."""
        cells: list[list[str]] = []
        ends: list[int] = []
        paper = paper or {}
        iou, instance_iou = _of_paper(paper)
        for kind, names, columns in zip(("class", "category"), (CLASSES, CATEGORIES), self._scores()):
            first = len(cells)
            ends += [*filter(None, [first]), first + 1, first + 1 + len(names)]
            cells += [
                [f"{kind}, %", "IoU", "iIoU"],
                *([name, *map(percent, row)] for name, *row in zip(names, *columns)),
                [f"mean of {kind}", *(percent(nan_mean(column)) for column in columns)],
                *left_out(columns),
            ]
        for heading, figures in ((f"{of_paper(paper)}: IoU", iou), ("iIoU", instance_iou)):
            cells = beside(cells, heading, [figures.get(row[0]) for row in cells[1:]])
        return "\n".join([aligned(cells, ruled=ends), *([self._lacking] if self._lacking else [])])

    def place(self, sample: Sample, split: str = "test") -> str:
        """NAME_pred_labelIds.png: the server takes any file whose name starts with the frame's, in any folder."""
        return f"{sample.name}_pred_labelIds.png"

    def write(self, path: Path, probabilities: np.ndarray, sample: Sample) -> None:
        """Writes the label ids, not the class ids, of the likeliest classes as PNG of one 8-bit band."""
        visualize.save_png(path, np.array(LABEL_IDS, np.uint8)[probabilities.argmax(axis=-1)])

    def check(self, path: Path, size: Sequence[int]) -> None:
        """Raises `DataError` where it isn't a PNG of one 8-bit band, of that size, with ids of scored classes alone."""
        ids, _ = read_result(path, KIND, size)
        wrong = np.setdiff1d(ids, LABEL_IDS)
        if wrong.size:
            raise DataError(f"{path} holds {wrong[0]}, which is no id of a class that is scored")

    def _add_instances(self, sample, instances, prediction):
        for instance in np.unique(instances[instances > PER_CLASS]):
            if instance // PER_CLASS in UNSCORED:
                continue
            index = _class_of(sample, instance)
            predicted = prediction[instances == instance]
            category = OF_CLASS[index].argmax()
            weight = SIZES[CLASSES[index]] / predicted.size
            self._classes.add(index, predicted == index, weight)
            self._categories.add(category, OF_CLASS[predicted, category] == 1, weight)

    def _scores(self):
        """((IoU, iIoU) of the classes, of the categories): arrays, NaN where there is no score."""
        of_categories = ConfusionMatrix(len(CATEGORIES), OF_CLASS.T @ self._matrix.counts @ OF_CLASS)
        pairs = (self._matrix, self._classes), (of_categories, self._categories)
        return [
            (matrix.iou(), np.full(matrix.num_classes, np.nan) if self._lacking else instances.iou(matrix.counts))
            for matrix, instances in pairs
        ]


class _Instances:
    """Weighted pixels of instances per class, or per category: those that were found, and those that were not.

    Args:
      have: whether there are instances of it, per class or category.
    """

    def __init__(self, have: Sequence[bool]) -> None:
        self._have = np.array(have)
        self._hits, self._misses = np.zeros((2, len(have)))

    def add(self, index, right, weight):
        """An instance of `index`: whether each of its pixels was found, and what a pixel weighs."""
        hits = np.count_nonzero(right)
        self._hits[index] += hits * weight
        self._misses[index] += (right.size - hits) * weight

    def iou(self, counts):
        """iIoU with the false positives of a confusion matrix."""
        false = counts.sum(axis=0) - np.diag(counts)
        return np.where(self._have, ratio(self._hits, self._hits + false + self._misses), np.nan)


def _class_of(sample, instance):
    """Class id of an instance's id."""
    label_id = instance // PER_CLASS
    index = LABEL_IDS.index(label_id) if label_id in LABEL_IDS else None
    if index is None or CLASSES[index] not in SIZES:
        raise DataError(f"the instances beside {sample.label} hold {instance}: classes of id {label_id} have none")
    return index


def _of_paper(paper):
    """Its IoU, and its iIoU, by the first cell of their rows. The category of sky is the class of sky."""
    means = {"mean of class": paper.get("miou"), "mean of category": paper.get("category_miou")}
    return {**paper.get("classes", {}), **means}, {"mean of class": paper.get("miiou")}


def _report(names, iou, instance_iou):
    return {
        "miou": jsonable(nan_mean(iou)),
        "miiou": jsonable(nan_mean(instance_iou)),
        "iou": dict(zip(names, map(jsonable, iou))),
        "iiou": dict(zip(names, map(jsonable, instance_iou))),
    }
