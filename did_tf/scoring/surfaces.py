"""How far predicted borders are from true ones: Hausdorff distance and normalised surface distance, in pixels.

The package surface-distance (an extra: `pip install 'did_tf[surfaces]'`) measures between contours, each piece of them
by its length. The image's edge is a border.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from data_pipelines import extras
from data_pipelines.spec import IGNORE, DatasetSpec, Sample
from did_tf.common.errors import ConfigError
from did_tf.common.readout import readout_of
from did_tf.common.text import aligned, percent
from did_tf.scoring.metrics import jsonable, nan_mean

PERCENTILE = 95
HD95, NSD = "hausdorff95", "surface_distance"
BOTH, MISSED, INVENTED = "both", "missed", "invented"
"""What an image shows of a class: in label and prediction; in the label alone; in the prediction alone."""


class SurfaceScores:
    """Distances of each class in each image, and their means over the images that show it in label and prediction.

    - Hausdorff-95: the distance that 95 % of a contour's length do not exceed from the other contour; of the two
      contours the larger one.
    - Normalised surface distance (Nikolov et al. 2018, "surface Dice"): the part of both contours, by length, that is
      within the tolerance of the other.

    Neither is known where one of the two is not there: such images are counted, as `MISSED` or `INVENTED`, and are in
    no mean. A class that finds little is judged by these counts first.

    Ignored pixels (255) belong to no class, in the label nor in the prediction: along their rim both have the same
    border, which is found there whatever the network says.

    Args:
      spec: of the data.
      tolerance: of the normalised surface distance, pixels.

    Attributes:
      title: what is scored, for people.

    Raises:
      ConfigError: the package is missing.
    """

    def __init__(self, spec: DatasetSpec, tolerance: float) -> None:
        self.title = f"distance of borders in pixels, and the part of them within {tolerance:g}: means over images"
        self._package, self._classes, self._tolerance = package(), spec.classes, tolerance
        self._readout = readout_of(spec)
        self._found: list[list[tuple[float, float]]] = [[] for _ in spec.classes]
        self._missed, self._invented = np.zeros((2, len(spec.classes)), np.int64)

    def update(self, sample: Sample, label: np.ndarray, probabilities: np.ndarray) -> None:
        """Adds one image.

        Args:
          sample: isn't used.
          label: [H, W] uint8, class ids and 255.
          probabilities: [H, W, L] float32, of classes or regions.
        """
        prediction = self._readout.classes(probabilities)
        prediction[label == IGNORE] = IGNORE
        for index in range(len(self._classes)):
            truth, found = label == index, prediction == index
            if truth.any() and found.any():
                self._found[index].append(self._distances(truth, found))
            self._missed[index] += truth.any() and not found.any()
            self._invented[index] += found.any() and not truth.any()

    def scores(self) -> dict[str, Any]:
        """Everything as a JSON-serialisable dict, None where nothing is known."""
        columns = self._columns()
        counts: dict[str, Any] = {BOTH: list(map(len, self._found)), MISSED: self._missed, INVENTED: self._invented}
        return {
            "tolerance": self._tolerance,
            **{key: jsonable(nan_mean(values)) for key, values in columns.items()},
            "classes": {
                name: {
                    **{key: jsonable(values[index]) for key, values in columns.items()},
                    **{key: int(values[index]) for key, values in counts.items()},
                }
                for index, name in enumerate(self._classes)
            },
        }

    def table(self) -> str:
        """Text to print: a row per class; last, the means over the classes that have one."""
        told = self.scores()
        rows = [
            [name, *_figures(row), *(str(row[key]) for key in (BOTH, MISSED, INVENTED))]
            for name, row in told["classes"].items()
        ]
        heads = ["", "Hausdorff-95, px", "surface distance, %", "images", MISSED, INVENTED]
        return aligned([heads, *rows, ["mean", *_figures(told), "", "", ""]], ruled=(1, 1 + len(rows)))

    def _columns(self):
        """{`HD95`, `NSD`: [C] means over the images that have them, NaN where none has}."""
        means = np.array([np.mean(found, axis=0) if found else (np.nan, np.nan) for found in self._found])
        return dict(zip((HD95, NSD), means.T))

    def _distances(self, truth, found):
        distances = self._package.compute_surface_distances(truth, found, (1.0, 1.0))
        return (
            self._package.compute_robust_hausdorff(distances, PERCENTILE),
            self._package.compute_surface_dice_at_tolerance(distances, self._tolerance),
        )


def package() -> ModuleType:
    """The package's module. Raises `ConfigError` where it is missing."""
    try:
        import surface_distance
    except ImportError as error:
        install = extras.install("surfaces")
        raise ConfigError(f"--surfaces needs the package surface-distance ({error}): {install}") from None
    return surface_distance


def _figures(row):
    distance = "-" if row[HD95] is None else f"{row[HD95]:.1f}"
    return [distance, "-" if row[NSD] is None else percent(row[NSD])]
