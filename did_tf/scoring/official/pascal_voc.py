"""Scores and results of the PASCAL VOC 2012 segmentation benchmark (the description of its development kit, section 5).

What the benchmark calls accuracy is intersection over union, of each class over all images together; the mean is of the
20 classes and background. Pixels of the void border count for nothing, whatever is predicted there.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from data_pipelines.datasets.pascal_voc import CLASSES, colour
from data_pipelines.spec import DataError, Dataset, Sample
from did_tf.common.files import write_file
from did_tf.common.text import aligned, beside, of_paper
from did_tf.scoring.metrics import ConfusionMatrix, jsonable
from did_tf.scoring.official import Benchmark, read_result

# comp6 is for networks trained on any data, ImageNet and SBD among them; comp5 for those trained on VOC's own alone.
FOLDER = "results/VOC2012/Segmentation/comp6_{}_cls"
KIND = ("PNG", "P", "PNG with a palette")
COLOURS = np.array([colour(index) for index in range(256)], np.uint8)


class PascalVOC(Benchmark):
    """IoU per class and their mean, and one PNG of class ids with VOC's palette per image as a result.

    Where a class is neither in the truth nor predicted, which no published split has, it is not in the mean.
    """

    title = "PASCAL VOC 2012 (host.robots.ox.ac.uk:8080)"
    archive = "tar.gz"  # the server takes tar files, compressed or not

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        self._matrix = ConfusionMatrix(len(CLASSES))

    def update(self, sample: Sample, label: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds one image: label [H, W] uint8, class ids and 255; probabilities [H, W, 21] float32."""
        self._matrix.update(label, probabilities.argmax(axis=-1))

    def scores(self) -> dict[str, Any]:
        """The mean IoU and, under "iou", that of each class: fractions, None where a class is nowhere."""
        iou = {name: jsonable(value) for name, value in zip(CLASSES, self._matrix.iou())}
        return {"mean_iou": jsonable(self._matrix.mean_iou()), "iou": iou}

    def table(self, paper: Mapping[str, Any] | None = None) -> str:
        """IoU of each class and their mean, in percent with three digits, as the development kit prints them."""
        rows = [*zip(CLASSES, self._matrix.iou()), ("mean", self._matrix.mean_iou())]
        cells = [[name, "-" if np.isnan(value) else f"{100 * value:.3f}"] for name, value in rows]
        paper = paper or {}
        theirs = {**paper.get("classes", {}), "mean": paper.get("miou")}
        figures = [theirs.get(name) for name, _ in rows]
        return aligned(beside([["accuracy (IoU), %", ""], *cells], of_paper(paper), figures), ruled=(1, len(rows)))

    def place(self, sample: Sample, split: str = "test") -> str:
        """As server and kit name it: results/VOC2012/Segmentation/comp6_SPLIT_cls/NAME.png."""
        return f"{FOLDER.format(split)}/{sample.name}.png"

    def write(self, path: Path, probabilities: np.ndarray, sample: Sample) -> None:
        """Writes the ids of the likeliest classes as PNG with VOC's palette."""
        picture = Image.fromarray(probabilities.argmax(axis=-1).astype(np.uint8))
        picture.putpalette(COLOURS.tobytes())
        data = io.BytesIO()
        picture.save(data, "PNG")
        write_file(path, data.getvalue())

    def check(self, path: Path, size: Sequence[int]) -> None:
        """Raises `DataError` where it isn't a PNG with VOC's palette, of that size, with ids of classes alone."""
        ids, palette = read_result(path, KIND, size)
        if ids.max() >= len(CLASSES):
            raise DataError(f"{path} holds {ids.max()}: expected the classes 0 to {len(CLASSES) - 1}")
        used = 3 * (int(ids.max()) + 1)
        if (palette or [])[:used] != COLOURS.ravel()[:used].tolist():
            raise DataError(f"{path} has other colours than VOC's for its classes")
