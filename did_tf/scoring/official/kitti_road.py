"""KITTI road: maximum F-measure and average precision, as the image shows the road and as it lies seen from above.

Source: Fritsch, Kuehnl and Geiger, A New Performance Measure and Evaluation Benchmark for Road Detection Algorithms
(ITSC 2013), and the benchmark's kit. The server takes and scores the view from above; the kit scores images as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from data_pipelines.datasets.kitti_road import CATEGORIES, category
from data_pipelines.spec import IGNORE, DataError, Dataset, Sample
from did_tf.common import visualize
from did_tf.common.text import aligned, beside, of_paper, percent
from did_tf.scoring.metrics import jsonable
from did_tf.scoring.official import Benchmark, read_result

TOGETHER = "urban_road"
IMAGE, ABOVE = "perspective", "birds_eye"
"""The views that are scored, by the benchmark's names."""
LEVELS = 256  # of confidence
NAMES = {"maxf": "MaxF", "ap": "AP", "precision": "PRE", "recall": "REC", "fpr": "FPR", "fnr": "FNR"}
"""The figures in reports, with the benchmark's names for them."""

# The view from above, in metres in front of the camera and to its right: rows from far to near, columns to the right.
NEAREST, FARTHEST, LEFT, RIGHT, CELL = 6, 46, -10, 10, 0.05
VIEW = (800, 400)
KIND = ("PNG", "L", "PNG with one channel of 8 bits, the view from above")


class KittiRoad(Benchmark):
    """Scores of each category and of all their pixels together, in the image and from above.

    A pixel is road where its confidence, the probability of road in 256 levels, is at least a threshold. Precision,
    recall and false rates are at the threshold of the best F-measure; the average precision is PASCAL VOC's of 2007, a
    mean over eleven recalls.

    Results are the view from above as PNGs of one 8-bit band, the confidences; what the camera doesn't see has 0.
    """

    title = "the KITTI road benchmark (cvlibs.net/datasets/kitti/eval_road.php)"

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset)
        # Pixels per truth and level of confidence.
        self._counts = {view: {name: np.zeros((2, LEVELS), np.int64) for name in CATEGORIES} for view in (IMAGE, ABOVE)}

    def update(self, sample: Sample, label: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds one frame, in the image and seen from above.

        Args:
          sample: what the label is of.
          label: [H, W] uint8, 0, 1 (road) and 255.
          probabilities: [H, W, 2] float32.

        Raises:
          DataError: its calibration can't be read.
        """
        confidence, name = _confidence(probabilities), category(sample)
        self._counts[IMAGE][name] += _count(label, confidence)
        places = from_above(read_calibration(_calibration(sample)), label.shape)
        self._counts[ABOVE][name] += _count(take(label, places, IGNORE), take(confidence, places, 0))

    def scores(self) -> dict[str, Any]:
        """The figures of `NAMES` and the threshold of each category and of all ("urban_road"), for each view.

        Fractions, None where there is no road or nothing else.
        """
        return {
            view: {name: {key: jsonable(figure) for key, figure in figures.items()} for name, figures in found.items()}
            for view, found in self._figures().items()
        }

    def table(self, paper: Mapping[str, Any] | None = None) -> str:
        """A row for each category and view, a column for each figure of `NAMES`, in percent; papers' are from above."""
        cells = [
            [f"{name}, {view}", *(percent(figures[key]) for key in NAMES)]
            for view, found in self._figures().items()
            for name, figures in found.items()
        ]
        rows, paper = [["%", *NAMES.values()], *cells], paper or {}
        scenes = {**paper.get("scenes", {}), TOGETHER: paper}
        theirs = {f"{name}, {ABOVE}": figures for name, figures in scenes.items()}
        for heading, key in ((f"{of_paper(paper)}: MaxF", "maxf"), ("AP", "ap")):
            rows = beside(rows, heading, [theirs.get(name, {}).get(key) for name, *_ in cells])
        return aligned(rows, ruled=(1, 1 + len(cells) // 2))

    def place(self, sample: Sample, split: str = "test") -> str:
        """CATEGORY_road_NUMBER.png, as the kit names results."""
        assert sample.image  # frames are files
        kind, number = sample.image.stem.split("_")
        return f"{kind}_road_{number}.png"

    def write(self, path: Path, probabilities: np.ndarray, sample: Sample) -> None:
        """Writes the confidence of road, 0 to 255, seen from above.

        Raises:
          OSError: the file can't be written.
          DataError: the calibration of its frame can't be read.
        """
        places = from_above(read_calibration(_calibration(sample)), probabilities.shape[:2])
        visualize.save_png(path, take(_confidence(probabilities), places, 0))

    def check(self, path: Path, size: Sequence[int]) -> None:
        """Raises `DataError` where it isn't a PNG of one 8-bit band of 800x400 pixels; `size` isn't used."""
        read_result(path, KIND, VIEW)

    def _figures(self):
        """{view: {category: figures of `_figures_of`}}."""
        return {
            view: {name: _figures_of(c) for name, c in {**counts, TOGETHER: sum(counts.values())}.items()}
            for view, counts in self._counts.items()
        }


def read_calibration(path: Path) -> np.ndarray:
    """Matrix [3, 3] from a place on the road, (metres to the right, metres ahead, 1), to the image, up to scale.

    It is P2 R0_rect Tr_cam_to_road^-1 of the frame's file, for height 0. Pixels are numbered from 1.

    Raises:
      DataError: the file can't be read or lacks one of the three.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    entries = dict(line.split(":", 1) for line in lines if ":" in line)
    projection, turn, to_road = (
        _matrix(path, entries, name, shape)
        for name, shape in (("P2", (3, 4)), ("R0_rect", (3, 3)), ("Tr_cam_to_road", (3, 4)))
    )
    whole = projection @ _extended(turn) @ np.linalg.inv(_extended(to_road))
    return whole[:, [0, 2, 3]]


def from_above(calibration: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """For each pixel of the view from above, the one of an image that shows it.

    Args:
      calibration: from `read_calibration`.
      size: (height, width) of the image.

    Returns:
      Integers [800, 400], row times width plus column; -1 where the image doesn't show it.
    """
    ahead = FARTHEST - CELL * (np.arange(VIEW[0]) + 0.5)
    right = LEFT + CELL * (np.arange(VIEW[1]) + 0.5)
    places = np.stack([*np.meshgrid(right, ahead), np.ones(VIEW)])
    across, down, depth = np.tensordot(calibration, places, axes=1)
    across, down = across / depth, down / depth
    shown = (across >= 1) & (across <= size[1]) & (down >= 1) & (down <= size[0])
    # As in the benchmark's kit, the pixel at the whole part of the position.
    return np.where(shown, (np.floor(down) - 1) * size[1] + np.floor(across) - 1, -1).astype(int)


def take(pixels: np.ndarray, places: np.ndarray, fill: float) -> np.ndarray:
    """`pixels` [H, W] seen from above, [800, 400], at the `places` of `from_above`; `fill` where there are none."""
    return np.where(places >= 0, pixels.ravel()[places], pixels.dtype.type(fill))


def _calibration(sample):
    return sample.image.parents[1] / "calib" / f"{sample.image.stem}.txt"


def _matrix(path, entries, name, shape):
    try:
        return np.array(entries[name].split(), float).reshape(shape)
    except (KeyError, ValueError):
        raise DataError(
            f"{path} has no {name} of {shape[0] * shape[1]} numbers: expected a calibration of the benchmark"
        ) from None


def _extended(matrix):
    """[3, 3] or [3, 4] as a mapping of homogeneous coordinates [4, 4]."""
    whole = np.eye(4)
    whole[:3, : matrix.shape[1]] = matrix
    return whole


def _confidence(probabilities):
    """Probability of road [H, W] in 256 levels, uint8."""
    return np.rint(np.clip(probabilities[..., 1], 0, 1) * (LEVELS - 1)).astype(np.uint8)


def _count(label, confidence):
    """Pixels [2, 256] of each truth and confidence; void ones are left out."""
    valid = label != IGNORE
    cells = label[valid].astype(int) * LEVELS + confidence[valid]
    return np.bincount(cells, minlength=2 * LEVELS).reshape(2, LEVELS)


def _figures_of(counts):
    """Those of one category, fractions, from its pixels [2, 256]; all NaN where there is no road or nothing else."""
    # From the highest level down: what is road at each threshold.
    false, found = counts[:, ::-1].cumsum(axis=1)[:, ::-1]
    rest, road = false[0], found[0]
    if not road or not rest:
        return dict.fromkeys((*NAMES, "threshold"), np.nan)
    recall = found / road
    precision = found / np.maximum(found + false, 1)
    measure = 2 * found / (found + false + road)  # 2 precision recall / (precision + recall)
    best = int(measure.argmax())
    return {
        "maxf": measure[best],
        "ap": np.mean([precision[recall >= level].max() for level in np.arange(0, 1.1, 0.1)]),
        "precision": precision[best],
        "recall": recall[best],
        "fpr": false[best] / rest,
        "fnr": 1 - recall[best],
        "threshold": best / (LEVELS - 1),
    }
