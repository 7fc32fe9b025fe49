"""Trained networks from Python: `did_tf.load("runs/mine").predict(image)` gives what `did_tf predict` writes."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict
from tensorflow import keras

from data_pipelines import identity
from data_pipelines.own_data.parts import Part
from data_pipelines.reading import holes
from data_pipelines.remote import is_remote
from data_pipelines.spec import DataError, DatasetSpec
from did_tf import models, settings, wiring
from did_tf.common import files
from did_tf.common.errors import ConfigError, about, nearest
from did_tf.common.readout import readout_of
from did_tf.inference import inputs, outputs
from did_tf.inference.engines import Engine
from did_tf.inference.exported import Exported
from did_tf.inference.folder import Predictions
from did_tf.inference.labelling import Labelling
from did_tf.inference.predictor import Predictor
from did_tf.runs import lock
from did_tf.runs.identity import PROTOCOLS_WITH
from did_tf.runs.run_folder import RunFolder
from did_tf.runs.weights import Weights
from did_tf.scoring.evaluation import MAIN
from experiments import base

FAST = "float32_fast"
KEYWORDS = ("scales", "overlap", "flip", "turns", "blend", "average")
"""Settings of testing that `load` takes."""


class Model:
    """A trained network, as `load` gives it.

    Attributes:
      classes: their names.
      palette: uint8 [C, 3], red, green and blue of each class.
      ids: number that each class has in label files.
      void_id: number of a pixel without data.
      bands: how many an image has.
      dtype: of an image's values.
      protocol: how images go through the network, one of `settings.PROTOCOLS`.
    """

    _engine = Engine()

    def __init__(self, spec: DatasetSpec, protocol: str, parts: Sequence[Part], folder: str | Path) -> None:
        if spec.task == "classification":
            raise ConfigError(f"{folder} classifies whole images: there is no class map; `evaluate` scores it")
        self._spec, self.protocol, self._parts = spec, protocol, parts
        self.classes, self.ids, self.void_id = spec.classes, spec.output_ids, spec.void_id
        self.palette = np.array(spec.palette, np.uint8)
        self.bands, self.dtype = spec.bands, np.dtype(spec.dtype)

    def predict(self, image: np.ndarray, probabilities: bool = False) -> np.ndarray:
        """Labels an image.

        Args:
          image: [H, W, bands] of `dtype`; of one band [H, W] too.
          probabilities: whether these are wanted in place of classes.

        Returns:
          [H, W], `ids` and `void_id`, uint8 or uint16, as `did_tf predict` writes them to NAME_label; or float32
          [H, W, C], NaN where there is no data; of data with regions [H, W, R], in the order of dataset.yaml.

        Raises:
          DataError: the image is no such array, has values that are not finite, or doesn't fit into memory.
          NotFinite: the network gives such values.
        """
        pixels, mask = self.measured(image)
        if not probabilities:
            return outputs.own_ids(self.see(pixels, mask), self._spec)
        kept = np.empty((*pixels.shape[:2], len(self._spec.logits)), np.float32)
        self.see(pixels, mask, kept.__setitem__)
        return kept

    def predict_file(self, path: str | Path, output: str | Path, write: Sequence[str] = outputs.PICTURES) -> None:
        """Labels the image in a file and writes what `did_tf predict --input=path --output=output` writes.

        Args:
          path: of an image, read as that command reads it.
          output: folder of the results, made where it isn't there. What is done already is not done again.
          write: what is written, of `outputs.KINDS`.

        Raises:
          ConfigError: an unknown kind; the folder holds results of other weights or settings, or can't be written to.
          DataError: the image can't be read, or doesn't fit into memory.
          NotFinite: the network gives values that are not finite.
          OSError: a file can't be written.
        """
        if not Path(path).is_file():
            raise DataError(f"no image {path}: predict_file takes one file")
        if unknown := {*write} - {*outputs.KINDS}:
            raise ConfigError(f"write has {min(unknown)!r}: it must be of {', '.join(outputs.KINDS)}")
        (image,) = inputs.find_images(path, output, self._spec, self._parts)
        how, size = self._labelling(write), image.size()
        task = how.task(image, image.content(), size, how.ways.each({image.name: size})[image.name])
        task.check()  # an image too large is refused before the folder is touched
        files.check_output(output)
        of_all = self._depends(), self._spec, [image.name], self._engine.told
        with lock.held(output, "another output"), Predictions(output, *of_all) as folder:
            if not folder.has(image.name, task.content, write):
                with about(image.name):
                    task.write(folder, task.see())

    @property
    def spec(self) -> DatasetSpec:
        """Of the data that it was trained on."""
        return self._spec

    @functools.cached_property
    def identity(self) -> str:
        """What tells it from others: a digest of all that its labels depend on beside the image."""
        return hashlib.sha256(json.dumps(self._depends(), sort_keys=True).encode()).hexdigest()[:16]

    def see(self, pixels: np.ndarray, mask: np.ndarray | None, keep: outputs.Strip | None = None) -> np.ndarray:
        """Number of the class of every pixel, [H, W] uint8, 255 where `mask` is True: of what is `measured`, or read.

        `keep` is as of `outputs.see`. Raises as `predict` does.
        """
        name, size = "the image", pixels.shape[:2]
        how = self._labelling(("label",))
        way = how.ways.each({name: size})[name]
        how.ways.check(way, name, size)
        predictor, tempered = how.ways.make(way), keep and how.tempered(keep)
        return outputs.see(predictor, pixels, mask, tempered, readout=how.readout)[MAIN]

    def measured(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """(image with the mean where there is no data, [H, W] bool where it is void, or None), as files are read.

        Args:
          image: as of `predict`.

        Raises:
          DataError: likewise.
        """
        wanted = f"[height, width, {self.bands}] of {self.dtype}"
        if not isinstance(image, np.ndarray):
            raise DataError(f"the image must be a NumPy array {wanted}, got {type(image).__name__}")
        if image.ndim == 2 and self.bands == 1:
            image = image[..., None]
        if image.ndim != 3 or image.shape[2] != self.bands or not image.size or image.dtype != self.dtype:
            raise DataError(f"the image must be {wanted}, got {list(image.shape)} of {image.dtype}")
        spec, filled, void = self._spec, image, None
        if spec.nodata is not None:
            filled, _, void = holes.fill(image, holes.equal(image, spec.nodata), spec.filling, spec.nodata_rule)
        if not np.isfinite(filled).all():
            raise DataError("the image has values that are not finite, and they are not declared as nodata")
        return filled, void

    def _labelling(self, kinds: Sequence[str]) -> Labelling:
        """How images are labelled of which some kinds of results are wanted."""
        raise NotImplementedError

    def _depends(self) -> dict[str, Any]:
        """What results depend on beside their images."""
        raise NotImplementedError


class OfRun(Model):
    """The network of a run, see `load`."""

    is_fast: bool | None = None
    """Whether those of this process multiply as "float32_fast" says, which is of all or none; None before the first."""

    def __init__(
        self,
        config: wiring.Config,
        run: RunFolder,
        protocol: str,
        engine: str,
        precision: str,
        together: int,
        calibrated: bool,
    ) -> None:
        self._config = config
        chosen = wiring.make_engine(config, engine, precision, [protocol], {}, 1)
        self._engine = dataclasses.replace(chosen, together=together)
        precision = self._engine.precision_of_model
        if OfRun.is_fast not in (None, precision == FAST):
            raise ConfigError(f"precision {FAST} is of the whole process: load others in another process")
        OfRun.is_fast = precision == FAST
        policy = keras.mixed_precision.global_policy()
        try:
            self._network, spec, self._weights = wiring.load_network(config, run.folder, precision)
        finally:
            keras.mixed_precision.set_global_policy(policy)  # of whatever else the process makes
        super().__init__(spec, protocol, wiring.make_parts(config), run.folder)
        tell_half(config)
        # An unknown protocol is refused now.
        self._predictor = wiring.make_predictor(config, self._network, protocol, readout=readout_of(spec))
        self._temperature = wiring.temperature_of(config, run, protocol, self._weights) if calibrated else None
        self._made, self._lock = functools.cache(self._make), threading.Lock()

    def _labelling(self, kinds: Sequence[str]) -> Labelling:
        with self._lock:  # of several threads the first makes it, once
            return dataclasses.replace(self._made("outputs" in kinds), kinds=kinds)

    def _make(self, all_outputs):
        kinds, tempered = outputs.KINDS if all_outputs else ("label",), self._temperature or 1.0
        of_network = self._config, self._network, self._spec, self.protocol
        how = wiring.make_labelling(*of_network, kinds, self._engine, tempered=tempered)
        how.ways.make(self.protocol)
        return how

    def _depends(self) -> dict[str, Any]:
        found = depends_on(self._config, self._weights, self._spec, self.protocol, self._predictor, self._engine)
        return {**found, **({"temperature": self._temperature} if self._temperature else {})}


class OfExport(Model):
    """An exported SavedModel, see `load`."""

    def __init__(self, folder: str | Path) -> None:
        self._exported = Exported(folder)
        super().__init__(self._exported.spec, "whole", (), folder)
        self._engine = Engine(precision=self._exported.identity.get("precision", "float32"))

    def _labelling(self, kinds: Sequence[str]) -> Labelling:
        return Labelling(self._exported, self._spec, kinds)

    def _depends(self) -> dict[str, Any]:
        return {"saved_model": self._exported.identity, "data": identity.meaning(self._spec)}


def load(
    path: str | Path,
    *,
    protocol: str = "whole",
    engine: str = "tensorflow",
    precision: str = "float32",
    together: int = 1,
    calibrated: bool = False,
    **evaluate: Any,
) -> Model:
    """The trained network of a run, of all folds of a cross-validation together, or of a SavedModel.

    Nothing in its folder is executed but TensorFlow's graph.

    Args:
      path: on this machine, of a run, with config.json and weights or folds; or of what `did_tf export` has written,
        which takes images whole.
      protocol, engine, precision: as of `did_tf predict`, of a run alone; "auto" takes images to be many.
      together: images of one size that several threads label at the same time go through the network of a run as
        batches of up to so many.
      calibrated: whether probabilities, and how sure the network is, are at the run's temperature for this protocol,
        which `did_tf evaluate --calibration` measures. Labels are the same.
      **evaluate: settings of the section "evaluate" in place of the run's own, of `KEYWORDS`
        (docs/reference/settings.md). Likewise.

    Raises:
      ConfigError: that is no such folder, it is damaged, its weights are of another network; an unknown protocol,
        engine or precision, or a setting that there isn't, that is out of range or that the protocol doesn't use;
        there is no temperature; or the precision is "float32_fast", and that of another run in this process was not,
        or the other way round.
      DataError: the description of its data is missing or damaged.
    """
    if is_remote(path):
        raise ConfigError(f"{path} is at a remote place: copy the run to this machine first")
    if not str(path):
        raise ConfigError("the path is empty: pass a run folder, which has config.json and weights")
    if not Path(path).is_dir():
        raise ConfigError(f"{path} is no folder: pass a run folder, which has config.json and weights")
    if (Path(path) / "saved_model.pb").is_file():
        if (protocol, precision, evaluate) != ("whole", "float32", {}) or engine not in ("tensorflow", "auto"):
            raise ConfigError(f"{path} is a SavedModel, which takes images whole, in its own precision: pass its run")
        if calibrated:
            raise ConfigError(f"{path} is a SavedModel, at the temperature that `did_tf export --calibrated` gave it")
        return OfExport(path)
    run = RunFolder(path)
    if not run.config.is_file():
        raise ConfigError(f"{path} is no run folder of did_tf, with config.json, and no SavedModel")
    config = settings_of(run)
    for key, value in evaluate.items():
        if key not in KEYWORDS:
            raise ConfigError(f"load has no keyword {key!r}{nearest(key, KEYWORDS)}")
        with config.ignore_type():
            config.evaluate[key] = value
    settings.check(config.to_dict(), False)
    if "scales" in evaluate and protocol not in (using := PROTOCOLS_WITH["evaluate.scales"]):
        raise ConfigError(f"scales are of no use to protocol {protocol!r}: they need {' or '.join(using)}")
    return OfRun(json.loads(config.to_json()), run, protocol, engine, precision, together, calibrated)


def settings_of(run: RunFolder) -> ConfigDict:
    """A run's own settings; those that its file is too old to have, with their defaults. Raises `ConfigError`."""
    config, own = base.get_config(), run.settings()
    try:
        with config.unlocked(), config.ignore_type():
            config.update(own)
    except (AttributeError, TypeError, ValueError) as error:  # keys with dots, or not of the kind of theirs
        raise ConfigError(f"{run.config} holds no settings ({error}); use another --run=dir") from None
    return config


def tell_half(config: wiring.Config) -> None:
    """A note on stderr where a network has learnt from frames at half size, at which no file of a user is read."""
    if config["dataset"]["options"].get("half"):
        print(
            "note: the network has learnt from frames at half size (dataset.options.half), and files are labelled at "
            "their own: shrink them first",
            file=sys.stderr,
        )


def depends_on(
    config: wiring.Config, weights: Weights, spec: DatasetSpec, protocol: str, predictor: Predictor, engine: Engine
) -> dict[str, Any]:
    """What all results in a folder depend on beside their images, but for a CRF."""
    return {
        "weights": weights.digest,
        "network": models.described({**config["model"], **config["evaluate"]["options"]}),
        "protocol": protocol,
        **predictor.told(),
        **engine.unusual(),
        "data": identity.meaning(spec),
        "palette": spec.palette,
    }
