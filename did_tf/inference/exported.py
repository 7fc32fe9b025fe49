"""An exported SavedModel, which labels images as the network that it was made of."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from data_pipelines.memory import free_memory
from data_pipelines.spec import NODATA_TAGS, DataError, DatasetSpec
from did_tf.common.errors import ConfigError, NotFinite
from did_tf.inference.export import SIGNATURE
from did_tf.inference.memory import FIXED, Size
from did_tf.scoring.evaluation import MAIN


class Exported:
    """What labels images, and the `labelling.Ways` to it: the SavedModel that `export` has written to a folder.

    Args:
      folder: of it.

    Attributes:
      spec: of the data, as far as dataset.json tells it.
      identity: what it depends on, see `export`.

    Raises:
      ConfigError: TensorFlow can't load it, or it is not did_tf's.
    """

    def __init__(self, folder: str | Path) -> None:
        about = Path(folder) / "assets" / "dataset.json"
        try:
            told = json.loads(about.read_text("utf-8"))
            self.spec, self.identity = _spec_of(told), dict(told["identity"])
            self._bytes_per_pixel = int(told.get("bytes_per_pixel", 0))  # older ones don't say it
        except FileNotFoundError:
            raise ConfigError(f"{folder} is a SavedModel, but not of `did_tf export`: it has no {about}") from None
        except (KeyError, TypeError, ValueError, UnicodeDecodeError) as error:
            raise ConfigError(f"{about} is damaged ({type(error).__name__}: {error}); export again") from None
        try:
            self._module = tf.saved_model.load(str(folder))
            self._serve = self._module.signatures[SIGNATURE]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            why = " ".join(str(error).split())[:200]
            raise ConfigError(f"{folder} can't be loaded as a SavedModel ({why}); export again") from None

    def each(self, sizes: Mapping[str, Size]) -> dict[str, str]:
        """As of `labelling.Ways`: there is one way."""
        return dict.fromkeys(sizes, "whole")

    def make(self, way: str) -> Exported:
        """Likewise."""
        return self

    def check(self, way: str, name: str, size: Size) -> None:
        """Raises `DataError` where an image would take more memory than is free, as the SavedModel says itself.

        An older export says nothing, and is not asked.
        """
        needed, free = FIXED + self._bytes_per_pixel * size[0] * size[1], free_memory()
        if self._bytes_per_pixel and needed > free:
            raise DataError(
                f"{name} ({size[0]}x{size[1]}) would take {needed / 1e9:.1f} GB of memory, and {free / 1e9:.1f} GB are "
                "free; a SavedModel takes it whole: cut it into parts, or pass the run folder, which labels it in tiles"
            )

    def strips(self, image: np.ndarray) -> Iterator[tuple[slice, dict[str, np.ndarray]]]:
        """As of `Predictor`: in one strip, of the output "main". Raises `NotFinite` where it gives no probabilities."""
        values = self._serve(image=tf.constant(image[None]))["probabilities"].numpy()[0]
        if not np.isfinite(values).all():
            raise NotFinite("the SavedModel gives values that are not finite")
        yield slice(0, len(image)), {MAIN: values}


def _spec_of(told: dict[str, Any]) -> DatasetSpec:
    """`DatasetSpec` of the dataset.json of `export`."""
    return DatasetSpec(
        name=told["name"],
        classes=tuple(told["classes"]),
        palette=tuple(tuple(colour) for colour in told["palette"]),
        void_colours=tuple(tuple(colour) for colour in told.get("void_colours", ())),
        splits={},
        mean=tuple(told["mean"]),
        std=tuple(told["std"]),
        void_ids=(told["void_id"],),
        label_ids=tuple(told["ids"]),
        task="segmentation" if told["palette"] else "classification",
        dtype=told["dtype"],
        band_names=tuple(told["band_names"]),
        nodata=None if told["nodata"] is None else float(told["nodata"]),
        nodata_rule=told["nodata_rule"],
        nodata_tags=told.get("nodata_tags", NODATA_TAGS[0]),  # which older exports don't tell
        regions=tuple((name, tuple(classes)) for name, classes in told.get("regions", ())),
    )
