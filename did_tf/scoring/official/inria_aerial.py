"""Inria Aerial Image Labeling: IoU of buildings and accuracy, per city and overall (project.inria.fr, "Contest")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np

from data_pipelines.datasets.inria_aerial import SIZE, number
from data_pipelines.datasets.inria_aerial import InriaAerial as InriaAerialData
from data_pipelines.spec import DataError, Dataset, Sample
from did_tf.common.files import write_file
from did_tf.common.text import aligned, beside, of_paper, percent
from did_tf.scoring.metrics import ConfusionMatrix, jsonable
from did_tf.scoring.official import Benchmark, read_result

OVERALL = "overall"
BUILDING = 255  # in labels and results; 0 is the rest
LZW = 5
KIND = ("TIFF", "L", "TIFF of one 8-bit band")


class InriaAerial(Benchmark):
    """IoU of the building class and share of right pixels: of each city, and over all pixels of all.

    Results are TIFFs of one 8-bit band, 0 and 255, named as their tiles and compressed without loss (LZW).
    """

    title = "the Inria Aerial Image Labeling benchmark (project.inria.fr/aerialimagelabeling)"

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self._cities: dict[str, ConfusionMatrix] = {}

    @classmethod
    def scores_samples_of(cls, dataset: Dataset, split: str) -> bool:
        """Whether they are whole tiles or windows that don't overlap: others would count pixels twice."""
        patch = cast(InriaAerialData, dataset).patch
        return not patch or SIZE % patch == 0

    def update(self, sample: Sample, label: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds one tile, or a window of one, to its city: label [H, W] uint8, probabilities [H, W, 2] float32."""
        city, _ = number(sample)
        prediction = probabilities.argmax(axis=-1).astype(np.uint8)
        self._cities.setdefault(city, ConfusionMatrix(2)).update(label, prediction)

    def scores(self) -> dict[str, Any]:
        """IoU of buildings and accuracy, fractions or None: of each city in "cities", of all pixels in "overall"."""
        cities = {
            name: {"iou": jsonable(matrix.iou()[1]), "accuracy": jsonable(matrix.pixel_accuracy())}
            for name, matrix in self._matrices().items()
        }
        return {"cities": cities, OVERALL: cities.pop(OVERALL)}

    def table(self, paper: Mapping[str, Any] | None = None) -> str:
        """IoU of buildings and accuracy of each city, those that the paper alone has too, and overall, in percent."""
        paper = paper or {}
        overall = {"iou": paper.get("building_iou"), "accuracy": paper.get("accuracy")}
        found, theirs = self._matrices(), {**paper.get("cities", {}), OVERALL: overall}
        names = [name for name in dict.fromkeys([*found, *theirs]) if name != OVERALL]
        cells = [["%", "IoU of buildings", "accuracy"]]
        for name in (*names, OVERALL):
            matrix = found.get(name, ConfusionMatrix(2))
            cells.append([name, percent(matrix.iou()[1]), percent(matrix.pixel_accuracy())])
        for heading, key in ((f"{of_paper(paper)}: IoU", "iou"), ("accuracy", "accuracy")):
            cells = beside(cells, heading, [theirs.get(name, {}).get(key) for name in (*names, OVERALL)])
        return aligned(cells, ruled=(1, len(names) + 1))

    def place(self, sample: Sample, split: str = "test") -> str:
        """NAME.tif, named as the tile."""
        return f"{sample.name}.tif"

    def write(self, path: Path, probabilities: np.ndarray, sample: Sample) -> None:
        """Writes 255 where a building is likelier than the rest, and 0 elsewhere, as TIFF."""
        pixels = (probabilities.argmax(axis=-1) == 1).astype(np.uint8) * BUILDING
        write_file(path, cv2.imencode(".tif", pixels, [cv2.IMWRITE_TIFF_COMPRESSION, LZW])[1].tobytes())

    def check(self, path: Path, size: Sequence[int]) -> None:
        """Raises `DataError` where it isn't a TIFF of one 8-bit band, of that size, of 0 and 255 alone."""
        pixels, _ = read_result(path, KIND, size)
        values = np.flatnonzero(np.bincount(pixels.ravel(), minlength=BUILDING + 1)).tolist()
        if unknown := sorted(set(values) - {0, BUILDING}):
            raise DataError(f"{path} holds the value {unknown[0]}: expected 0 and {BUILDING} alone")

    def _matrices(self):
        """City -> its ConfusionMatrix, and that of all pixels last."""
        return {**self._cities, OVERALL: sum(self._cities.values(), ConfusionMatrix(2))}
