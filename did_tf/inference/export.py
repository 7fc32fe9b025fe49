"""A trained network in a format that needs this project no more, checked before it is in its place."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import shutil
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tensorflow import keras

from data_pipelines.spec import DatasetSpec
from data_pipelines.writing import beside, sweep
from did_tf.common.errors import ConfigError, Failure
from did_tf.common.terminal import silent_stderr
from did_tf.inference.contract import SIGNATURE, Network
from did_tf.inference.formats import SAVED_MODEL, Format
from did_tf.inference.gate import TOLERANCE, ExportFailed, Gate
from did_tf.inference.served import DoesNotRun, Served

__all__ = ["SIGNATURE", "TOLERANCE", "Export", "ExportFailed", "export", "random_images", "write"]

CARD, ABOUT = "MODEL_CARD.md", "dataset.json"


class Export(NamedTuple):
    """What was written.

    Attributes:
      path: the folder.
      bytes: its size.
      difference: the largest, in absolute value, of a probability from the model's.
      labels: part of the pixels compared that have another class than the model gives.
      score: mIoU of what was written, or accuracy of a network that classifies images; NaN where it wasn't measured.
      milliseconds: that the first image to compare on takes, whole and on the CPU; NaN where it wasn't measured.
      memory: bytes that the process which ran it has held at most; NaN where the system doesn't tell.
    """

    path: Path
    bytes: int
    difference: float
    labels: float
    score: float
    milliseconds: float
    memory: float


def export(
    model: keras.Model,
    spec: DatasetSpec,
    path: str | Path,
    images: Sequence[np.ndarray],
    identity: Mapping[str, Any] | None = None,
) -> Export:
    """Writes `model` as a SavedModel to the folder `path`, replacing one that is there.

    Its signature "serving_default" takes `image`, [N, H, W, bands] of the data set's dtype and any N, H and W, and
    returns `classes`, uint8 [N, H, W] (int32 where there are more than 256), and `probabilities`, float32 [N, H, W,
    num_classes]; of a network that classifies images [N] and [N, num_classes]. Of data with regions probabilities are
    of these, see `Readout`, and they are in assets/dataset.json. `spec.nodata` is treated as in training:
    where it makes a pixel void, the class is 255 and all probabilities are 0. Of images of 8 bits and one or three
    bands, "encoded" takes `image_bytes`, [N] PNG or JPEG files of one size, and returns the same. assets/dataset.json
    holds the data set's name, classes, palette, and of each class its id in label files, and that of void; what an
    image is: dtype, nodata (NaN as text) and its rule, the number of bands and their names (empty: unnamed), and the
    mean and std that the network itself normalises with; "bytes_per_pixel", which an image takes in memory; and
    "identity". It is loaded in another process and compared with `model` before it goes to `path`.

    Args:
      model: keras.Model in float32.
      spec: of the data that it was trained on.
      path: of the folder, whose parents are created.
      images: list of [H, W, bands] of `spec.dtype` to compare on, each whole and in several other sizes.
      identity: what the network depends on: weights, options, version; JSON-serialisable.

    Raises:
      ConfigError: `path` is something else than a SavedModel; it is not touched.
      ExportFailed: see there; what was at `path` is still there.
    """
    return write(SAVED_MODEL, Gate(Network(model, spec, identity or {}), images), path)


def write(
    form: Format, gate: Gate, path: str | Path, card: Callable[[Export], str] | None = None, calls: int = 0
) -> Export:
    """Writes a network in a format to the folder `path`, as `export` does.

    Its dataset.json is beside the network's file, but in the assets of a SavedModel. Of another precision than float32
    its "identity" has this "precision" too.

    Args:
      form: the format.
      gate: what it must pass, of the network.
      path: of the folder, whose parents are created.
      card: text of MODEL_CARD.md; None for no such file.
      calls: with one image, of which the median time is told.

    Raises:
      ConfigError: `path` is something else than such an export; it is not touched.
      ExportFailed: see there; what was at `path` is still there.
    """
    path = Path(path)
    if path.exists() and not (path / form.file).is_file():
        raise ConfigError(f"{path} exists and is no {form.title}: delete it or pass another --output")
    partial = beside(path)
    try:
        _put_back(path)  # a process may have been killed when it had moved it away
        sweep(path.parent, path.name)
        partial.mkdir(parents=True)
        _convert(form, gate.network, partial)
        result = _checked(form, gate, partial, calls)
        if card:
            (partial / CARD).write_text(card(result), "utf-8")
        _move(partial, path)
    except (OSError, Failure) as error:
        if isinstance(error, ExportFailed):
            raise
        raise ExportFailed(f"cannot export to {path}: {' '.join(str(error).split())[:300]}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return result._replace(path=path)


def random_images(spec: DatasetSpec) -> list[np.ndarray]:
    """Two images of noise [120, 160, bands] such as `spec` says, to compare on where there are no data."""
    pixels = np.random.default_rng(0).normal(spec.mean, spec.std, (2, 120, 160, spec.bands))
    return list(np.clip(pixels, -spec.largest if spec.dtype == "float32" else 0, spec.largest).astype(spec.dtype))


def _convert(form, network, folder):
    """Whatever a converter trips over is a format that can't be written."""
    if not form.exact:  # results are others than those of float32
        network = dataclasses.replace(network, identity={**network.identity, "precision": form.precision})
    try:
        with silent_stderr():  # converters chatter
            form.write(network, folder, form.precision)
    except (OSError, Failure, MemoryError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ExportFailed(f"the network can't be written as {form.label}: {reason[:300]}") from error
    if form.name != SAVED_MODEL.name:
        (folder / ABOUT).write_text(json.dumps(network.about(), indent=2), "utf-8")


def _checked(form, gate, folder, calls):
    """`Export` of what is in `folder`. Raises `ExportFailed`."""
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    try:
        with Served(form.name, folder) as served:
            found = gate.check(served, f"the {form.label}", form.exact)
            times = [_seconds(served, gate.image) for _ in range(calls)]
            milliseconds = 1000 * statistics.median(times or [math.nan])
            return Export(folder, size, **found._asdict(), milliseconds=milliseconds, memory=served.memory)
    except DoesNotRun as error:
        raise ExportFailed(f"the {form.label} does not run with {form.runtime} alone: {error}") from None


def _seconds(served, image):
    served(image)
    return served.seconds


def _move(partial, path):
    """Puts the folder `partial` in the place of `path`; where that fails, what was there is put back."""
    old = _old(path)
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(path, old)
    try:
        os.replace(partial, path)
    finally:
        _put_back(path)
    shutil.rmtree(old, ignore_errors=True)


def _put_back(path):
    """Puts what was at `path` in its place again, where nothing has come to it since `_move` has moved it away."""
    old = _old(path)
    if old.exists() and not path.exists():
        os.replace(old, path)


def _old(path):
    return path.with_name(f".{path.name}.old")
