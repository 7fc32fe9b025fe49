"""A trained network as a TensorFlow SavedModel, which TensorFlow alone can load, checked before it is in its place."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from tensorflow import keras

from data_pipelines.spec import IGNORE, NODATA_RULES, DatasetSpec
from data_pipelines.writing import beside, sweep
from did_tf import models
from did_tf.common import compat
from did_tf.common.errors import ConfigError, Failure, NotFinite
from did_tf.inference.predictor import Predictor, resize
from did_tf.models.layers import Normalize
from did_tf.scoring.evaluation import MAIN

SIGNATURE = "serving_default"
"""Name of the SavedModel's function, see `export`."""
TOLERANCE = 1e-3
"""Of probabilities. A hundred layers of float32 alone can differ by a tenth of it."""

# Runs in a process of its own, in which neither this project nor Keras can be imported.
_SERVE = """
import sys
sys.modules.update(dict.fromkeys(("did_tf", "data_pipelines", "experiments", "keras", "tf_keras")))
import numpy as np
import tensorflow as tf
_, folder, inputs, outputs = sys.argv
serve = tf.saved_model.load(folder).signatures["serving_default"]
results = {}
with np.load(inputs) as batches:
    for view in batches.files:
        for output, values in serve(image=tf.constant(batches[view])).items():
            results[f"{view}/{output}"] = values.numpy()
np.savez(outputs, **results)
"""


class ExportFailed(Failure):
    """The SavedModel could not be written, loaded, or does not agree with the model. Nothing was left behind."""


class Export(NamedTuple):
    """What was written.

    Attributes:
      path: the folder.
      bytes: its size.
      difference: the largest, in absolute value, of a probability of the SavedModel from the model's.
    """

    path: Path
    bytes: int
    difference: float


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
    num_classes]; of a network that classifies images [N] and [N, num_classes]. `spec.nodata` is treated as in training:
    where it makes a pixel void, the class is 255 and all probabilities are 0. assets/dataset.json holds the data set's
    name, classes, palette, and of each class its id in label files, and that of void; what an image is: dtype, nodata
    (NaN as text) and its rule, the number of bands and their names (empty: unnamed), and the mean and std that the
    network itself normalises with; and "identity". It is loaded in another process and compared with `model` before it
    goes to `path`.

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
    path = Path(path)
    if path.exists() and not (path / "saved_model.pb").is_file():
        raise ConfigError(f"{path} exists and is no SavedModel: delete it or pass another --output")
    partial = beside(path)
    try:
        sweep(path.parent, path.name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _save(model, spec, partial, identity or {})
        difference = _compare(model, spec, partial, images)
        _move(partial, path)
    except (OSError, ValueError, tf.errors.OpError) as error:
        raise ExportFailed(f"cannot export to {path}: {' '.join(str(error).split())[:300]}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Export(path, sum(file.stat().st_size for file in path.rglob("*") if file.is_file()), difference)


def random_images(spec: DatasetSpec) -> list[np.ndarray]:
    """Two images of noise [120, 160, bands] such as `spec` says, to compare on where there are no data."""
    pixels = np.random.default_rng(0).normal(spec.mean, spec.std, (2, 120, 160, spec.bands))
    return list(np.clip(pixels, -spec.largest if spec.dtype == "float32" else 0, spec.largest).astype(spec.dtype))


def _save(model, spec, folder, identity):
    with tempfile.TemporaryDirectory() as scratch:
        asset = Path(scratch) / "dataset.json"
        asset.write_text(json.dumps({**_about(spec), "identity": identity}, indent=2))
        module = tf.Module()
        # The variables and not the model: that would take Keras to load.
        module.weights = [compat.tf_variable(variable) for variable in model.weights]
        module.dataset = tf.saved_model.Asset(str(asset))
        module.serve = _serving_function(model, spec)
        tf.saved_model.save(module, str(folder), signatures={SIGNATURE: module.serve})


def _about(spec):
    """What dataset.json says of the data."""
    keys = ("name", "classes", "palette", "dtype", "bands", "band_names", "mean", "std", "nodata_rule")
    nodata = "nan" if spec.nodata is not None and np.isnan(spec.nodata) else spec.nodata  # JSON has no NaN
    told = {key: getattr(spec, key) for key in keys}
    return {**told, "ids": spec.output_ids, "void_id": spec.void_id, "void_class": IGNORE, "nodata": nodata}


def _serving_function(model, spec):
    """tf.function: image [N, H, W, bands] of `spec.dtype` -> {"classes": ..., "probabilities": ...}."""
    segments = models.task(model) == "segmentation"
    ids = tf.uint8 if model.output[MAIN].shape[-1] <= 256 else tf.int32

    @tf.function(
        autograph=False,
        input_signature=[tf.TensorSpec((None, None, None, model.input_shape[-1]), spec.dtype, name="image")],
    )
    def serve(image):
        size, (image, void) = tf.shape(image), _without_holes(image, spec)
        logits = model(_with_margin(model, image), training=False)[MAIN]
        logits = logits[:, : size[1], : size[2]] if segments else logits
        classes, probabilities = tf.cast(tf.argmax(logits, -1), ids), tf.nn.softmax(logits)
        if void is not None and segments:
            classes = tf.where(void, tf.cast(IGNORE, ids), classes)
            probabilities = tf.where(void[..., None], 0.0, probabilities)
        return {"classes": classes, "probabilities": probabilities}

    return serve


def _without_holes(image, spec):
    """(image without `spec.nodata`, [N, H, W] bool where a pixel is void, or None), by the rules of `reading.holes`."""
    if spec.nodata is None:
        return image, None
    holes = tf.math.is_nan(image) if np.isnan(spec.nodata) else image == np.array(spec.nodata, spec.dtype)
    nothing, by_all = tf.reduce_all(holes, -1), spec.nodata_rule == NODATA_RULES[0]
    filled = nothing[..., None] if by_all and spec.dtype != "float32" else holes
    return tf.where(filled, spec.filling.astype(spec.dtype), image), nothing if by_all else tf.reduce_any(holes, -1)


def _with_margin(model, image):
    """Images smaller than the network takes get a margin, at the bottom and right, that is normalised to zero."""
    normalize = next(layer for layer in model.layers if isinstance(layer, Normalize))
    mean = tf.constant(normalize.mean, tf.float32)
    missing = tf.maximum(normalize.minimum - tf.shape(image), 0)
    return tf.pad(tf.cast(image, tf.float32) - mean, [[0, 0], [0, missing[1]], [0, missing[2]], [0, 0]]) + mean


def _reference(model):
    """Function of images [N, H, W, bands] that gives the probabilities of `model`."""
    if models.task(model) == "classification":
        return lambda batch: tf.nn.softmax(model(_with_margin(model, batch), training=False)[MAIN]).numpy()
    predictor = Predictor(model)
    return lambda batch: np.stack([predictor(image)[MAIN] for image in batch])


def _compare(model, spec, folder, images):
    """Largest difference between the probabilities of the SavedModel and of `model`. Raises `ExportFailed`."""
    reference, batches = _reference(model), _batches(images)
    served, largest = _serve(folder, batches), 0.0
    for view, batch in batches.items():
        with _full_float32():
            try:
                expected = reference(batch)
            except NotFinite as error:
                raise ExportFailed(f"on {view} {error}") from None
        classes, probabilities = served[f"{view}/classes"], served[f"{view}/probabilities"]
        if spec.nodata is not None:  # of void pixels, which the images were read without, there may be some by chance
            measured = classes != IGNORE
            classes, probabilities, expected = classes[measured], probabilities[measured], expected[measured]
        chosen = np.take_along_axis(expected, classes[..., None].astype(int), -1)[..., 0]
        # Another class is right only where it is as probable.
        differences = np.abs(probabilities - expected).max(initial=0), (expected.max(-1) - chosen).max(initial=0)
        if not np.max(differences) <= TOLERANCE:  # NaN is no agreement either
            raise ExportFailed(
                f"the SavedModel differs from the model on {view}, {batch.shape[1]}x{batch.shape[2]} pixels: "
                f"probabilities by {differences[0]:.2g}, those of its classes by {differences[1]:.2g}"
            )
        largest = max(largest, float(differences[0]))
    return largest


@contextlib.contextmanager
def _full_float32():
    """Within it, GPUs don't round what they multiply to 10 bits: the CPU, where the SavedModel is run, doesn't."""
    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def _batches(images):
    """{view: [2, H, W, bands]}: each image and its mirror image whole, cropped to odd sizes, magnified, and tiny."""
    batches = {}
    for number, image in enumerate(images):
        height, width = image.shape[:2]
        crop = image[: height // 2 | 1, : width // 3 | 1]
        large = resize(crop, [round(1.7 * side) for side in crop.shape[:2]])
        views = {"whole": image, "crop": crop, "magnified": large, "tiny": image[:9, :11]}
        for view, pixels in views.items():
            batches[f"image{number}_{view}"] = np.stack([pixels, pixels[:, ::-1]])
    return batches


def _serve(folder, batches):
    """{"VIEW/OUTPUT": array} from the SavedModel in a process that knows nothing of this project."""
    with tempfile.TemporaryDirectory() as scratch:
        inputs, outputs = (str(Path(scratch) / name) for name in ("inputs.npz", "outputs.npz"))
        np.savez(inputs, **batches)
        command = [sys.executable, "-I", "-c", _SERVE, str(Path(folder).resolve()), inputs, outputs]
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
        done = subprocess.run(command, cwd=scratch, env=environment, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
            raise ExportFailed(f"the SavedModel does not run with TensorFlow alone: {reason}")
        with np.load(outputs) as results:
            return dict(results)


def _move(partial, path):
    """Puts the folder `partial` in the place of `path`; where that fails, what was there is put back."""
    old = path.with_name(f".{path.name}.old")
    if path.exists():
        shutil.rmtree(old, ignore_errors=True)
        os.replace(path, old)
    try:
        os.replace(partial, path)
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
    shutil.rmtree(old, ignore_errors=True)
