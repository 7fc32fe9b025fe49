"""Networks of a config, and what runs them: predictors, classifiers, validation."""

from __future__ import annotations

import dataclasses
import functools
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tensorflow import keras

from data_pipelines.own_data.folds import meaning
from data_pipelines.spec import Dataset, DatasetSpec
from did_tf import models
from did_tf.cluster.workers import Workers
from did_tf.common import processor
from did_tf.common.errors import ConfigError
from did_tf.common.readout import CLASSES, Readout, readout_of
from did_tf.inference import engines, large, trained
from did_tf.inference.engines import Engine
from did_tf.inference.labelling import Labelling
from did_tf.inference.memory import IN_TILES, Fitting, Size, sizes_of
from did_tf.inference.predictor import AVERAGES, BATCH, Predictor
from did_tf.inference.refining import Refiner
from did_tf.inference.tiles import tile_starts, tile_stride
from did_tf.models import ensemble
from did_tf.runs import folds, temperature
from did_tf.runs.folds import CrossValidation
from did_tf.runs.identity import PROTOCOLS_WITH
from did_tf.runs.run_folder import RunFolder
from did_tf.runs.weights import Weights, together
from did_tf.scoring import calibration
from did_tf.scoring.classification import Classifier
from did_tf.scoring.evaluation import MAIN
from did_tf.scoring.validation import ClassificationValidation, SegmentationValidation
from did_tf.settings import PROTOCOLS
from did_tf.training.distribution import set_precision
from did_tf.wiring.data import Config, make_spec


def make_model(
    config: Config, spec: DatasetSpec, precision: str = "float32", changes: Mapping[str, Any] | None = None
) -> keras.Model:
    """The network of `config.model`, with new weights.

    Args:
      config: resolved settings.
      spec: whose classes or regions, bands, mean and std the network has.
      precision: of its activations, one of `distribution.PRECISIONS`.
      changes: options of the network in place of those of `config.model`.

    Raises:
      ConfigError: the network is not for the task of `spec`.
      ValueError: unknown name, option or precision, or a bad value.
    """
    set_precision(precision)
    options = {key: value for key, value in config["model"].items() if key != "name"}
    options.update(changes or {})
    shape = (None, None, spec.bands)
    model = models.build(config["model"]["name"], len(spec.logits), shape, mean=spec.mean, std=spec.std, **options)
    if (task := models.task(model)) != spec.task:
        raise ConfigError(
            f"the model {config['model']['name']} is for {task}, the data set {spec.name} for {spec.task}"
        )
    return model


def load_network(
    config: Config, source: str | Path, precision: str = "float32"
) -> tuple[keras.Model, DatasetSpec, Weights]:
    """A trained network, with the options of `evaluate.options`; of a cross-validation, all of its folds as one.

    The files of its data set need not be there.

    Args:
      config: resolved settings.
      source: run folder or weights file, see `weights.file_of`.
      precision: as of `make_model`.

    Returns:
      The network; the descriptor of its data set; and the weights.

    Raises:
      ConfigError: there are no such weights, or they don't fit, or are of other things than the settings say; see
        `trained.find`. Or a fold is not finished, or has changed since.
      DataError: unknown data set or option.
    """
    if folds.is_in(source):
        return _load_folds(config, CrossValidation(source), precision)
    spec = make_spec(config)
    model, found = _loaded(config, source, precision, spec, spec)
    print(f"weights from {found.file}")
    return model, spec, found


def _loaded(config, source, precision, spec, taken):
    """(network, `Weights`) of a run on data as `spec` says, which takes pixels with the mean and std of `taken`."""
    changes = config["evaluate"]["options"]
    found = trained.find(source, config["model"], changes, spec)
    model = make_model(config, taken, precision, changes)
    return model, found.loaded_into(model)


def make_predictor(
    config: Config,
    model: keras.Model,
    protocol: str = "whole",
    outputs: Sequence[str] | None = None,
    engine: Engine | None = None,
    readout: Readout = CLASSES,
) -> Predictor:
    """A `Predictor` for a protocol of `config.evaluate`.

    Args:
      config: resolved settings.
      model: the network.
      protocol: of `PROTOCOLS`: the "whole" image, the whole image at the "scales" of the settings, "tiles" of the
        training crop's size at these scales, or "tiles_once", at scale 1 alone.
      outputs: those that are wanted, None for all.
      engine: what computes the network, with the weights that it has at this moment; None for the model itself, with
        those that it has when it is called.
      readout: how its logits are read, `readout_of` the spec of its data.

    Raises:
      ConfigError: unknown protocol.
      ValueError: a setting is out of range, or the network doesn't take such tiles.
    """
    if protocol not in PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}; known: {', '.join(PROTOCOLS)}")
    settings = config["evaluate"]
    in_tiles, at_scales = (protocol in PROTOCOLS_WITH[f"evaluate.{key}"] for key in ("overlap", "scales"))
    tile = tuple(config["data"]["crop"]) if in_tiles else None
    scales = tuple(settings["scales"]) if at_scales else (1.0,)
    options: dict[str, Any] = {key: settings[key] for key in ("overlap", "flip", "turns", "blend", "average")}
    options["readout"] = readout
    if engine:
        averages = settings["average"] == AVERAGES[0]
        options["forward"] = engine.forward(model, outputs or list(model.output), averages, readout)
        options.update({"streams": engine.streams, "batch_size": max(BATCH, engine.streams)} if tile else {})
    return Predictor(model, tile, scales=scales, outputs=outputs, **options)


def make_engine(
    config: Config, name: str, precision: str, protocols: Sequence[str], sizes: Mapping[str, Size], images: int
) -> Engine:
    """What computes a network, before it is made: see `engines.choose`, which raises.

    Args:
      config: resolved settings.
      name, precision: of the engine.
      protocols: as of `make_predictor`, that it is for: images go side by side where they go whole, else their tiles.
      sizes: of the images, by their names; none where nobody knows them.
      images: how many of them can be under way at once.
    """
    streams = [_streams(config, protocol, sizes, images) for protocol in protocols] if sizes else []
    pixels = sum(height * width for height, width in sizes.values()) if sizes else None
    in_tiles = {*protocols} <= {*PROTOCOLS_WITH["evaluate.overlap"]}  # which are of one size
    return engines.choose(name, precision, min(streams, default=1), pixels, 1 if in_tiles else len({*sizes.values()}))


def make_fitting(
    config: Config,
    model: keras.Model,
    spec: DatasetSpec,
    protocol: str,
    outputs: Sequence[str] | None = None,
    engine: Engine | None = None,
    refiner: Refiner | None = None,
    **options: Any,
) -> Fitting:
    """The `Fitting` of a protocol: `outputs` and `engine` as of `make_predictor`, which raises; further `options`.

    What the `refiner` takes beside the network is counted.
    """
    make = functools.partial(make_predictor, config, model, outputs=outputs, engine=engine, readout=readout_of(spec))
    beside = refiner.bytes_beside if refiner else None
    return Fitting(make, protocol, np.dtype(spec.dtype).itemsize, beside=beside, **options)


def make_labelling(
    config: Config,
    model: keras.Model,
    spec: DatasetSpec,
    protocol: str,
    kinds: Sequence[str],
    engine: Engine,
    refiner: Refiner | None = None,
    tempered: float = 1.0,
    least: float = 0.0,
) -> Labelling:
    """The `Labelling` of a protocol, which writes `kinds`; `engine` as of `make_predictor`, which raises.

    Probabilities are at the temperature `tempered`; pixels whose class has less than `least` get none.
    """
    outputs, way = None if "outputs" in kinds else [MAIN], large.way_of(protocol)
    ways = make_fitting(config, model, spec, protocol, outputs, engine, refiner, keep_all=False)
    in_rows = functools.cache(lambda: make_predictor(config, model, way, [MAIN], engine, readout_of(spec)))
    streams = 1 if way == protocol else engine.streams  # which are then of the tiles of one
    return Labelling(ways, spec, kinds, None if refiner else (way, in_rows), refiner, streams, tempered, least)


def temperature_of(config: Config, run: RunFolder, protocol: str, weights: Weights, alone: bool = False) -> float:
    """The temperature that a run has for its `weights`, see `temperature.read` and `calibration.check`, which raise.

    Raises `ConfigError` for a cross-validation too. A network `alone`, as it is exported, averages nothing.
    """
    if folds.is_in(run.folder):
        raise ConfigError(f"{run.folder} is a cross-validation: its folds have learnt what a temperature is fitted on")
    calibration.check(make_spec(config))
    split = config["dataset"]["val_split"] or "val"
    file, averaged = temperature.file_of(run, protocol, split), averaged_by(config, protocol)
    averaged |= {"evaluate.flip": False, "evaluate.turns": False} if alone else {}
    return temperature.read(file, weights.digest, averaged, alone, protocol)


def averaged_by(config: Config, protocol: str) -> dict[str, Any]:
    """{setting: value, as from JSON} by which a protocol averages probabilities, and so how sure they are."""
    keys = [f"evaluate.{key}" for key in ("flip", "turns", "average", "options")]
    keys += [key for key, protocols in PROTOCOLS_WITH.items() if protocol in protocols]
    keys += ["data.crop"] if protocol in PROTOCOLS_WITH["evaluate.overlap"] else []
    return json.loads(json.dumps({key: config[key.partition(".")[0]][key.partition(".")[2]] for key in keys}))


def make_classifier(config: Config, model: keras.Model, engine: Engine | None = None) -> Classifier:
    """A `Classifier` of centre crops of the size of the training crops; `engine` as of `make_predictor`."""
    forward = engine.forward(model, [MAIN], probabilities=False) if engine else None
    return Classifier(model, config["data"]["crop"], forward=forward)


def make_validation(
    config: Config, model: keras.Model, dataset: Dataset, workers: Workers, before: str = ""
) -> SegmentationValidation | ClassificationValidation:
    """What scores `model` during training: as `train.validation`, or on centre crops where images are classified.

    The `workers` share the images. A run that was validated by `IN_TILES` `before`, as memory was scarce, goes on so.
    Raises `ConfigError` where a worker lacks the memory to take the images as the others do.
    """
    # oneDNN's operations are slow in testing but for weights that are constants: those of the moment, made anew.
    frozen = Engine(copies=True) if processor.onednn_is_asked_for() else None
    keep = (lambda make: make) if frozen else functools.cache
    if dataset.spec.task == "classification":
        make_one = keep(functools.partial(make_classifier, config, model, frozen))
        return ClassificationValidation(make_one, dataset, workers)
    split, how = config["dataset"]["val_split"], config["train"]["validation"]
    if workers.agreed(int(before == IN_TILES != how)):  # the chief alone knows it
        print(f"note: validation goes on by protocol {IN_TILES!r}, as memory let the run begin")
        how = IN_TILES
    fitting = make_fitting(
        config, model, dataset.spec, how, outputs=[MAIN], at_once=max(1, len(workers.several_devices()))
    )
    way = fitting.all(sizes_of(dataset, dataset.samples(split) if split else []))
    workers.check_same({"how the memory lets it validate (train.validation=tiles_once takes less)": way})
    make = keep(functools.partial(make_predictor, config, model, way, [MAIN], frozen, readout_of(dataset.spec)))
    return SegmentationValidation(make, dataset, config["train"]["panels"], workers, way)


def _load_folds(config, folder, precision):
    """As `load_network`, of all folds, each with the mean and deviation of the images that it has learnt from."""
    divided, spec, members = folder.read(), make_spec(config), []
    if meaning(spec) != divided.meaning:
        raise ConfigError(f"{folder.folder} is of other classes or bands than {spec.name} has now: put these back")
    for number, counts in [(number, folder.counts(number)) for number in range(1, divided.count + 1)]:
        own = make_spec({**config, "dataset": {**config["dataset"], "folder": str(folder.data(number))}})
        mean, std = ensemble.after(spec.mean, spec.std, own.mean, own.std)
        taken = dataclasses.replace(own, mean=mean, std=std)
        members.append(_loaded(config, folder.run(number), precision, own, taken))
        if members[-1][1].digest != counts["weights"]:
            raise ConfigError(
                f"{folder.run(number)} has other weights than {folder.held_out(number).name} there is of: put them "
                "back, or run `did_tf cross-validate` again, which scores them"
            )
    print(f"weights from {folder.folder}: the mean of {len(members)} folds")
    networks, weights = zip(*members)
    return ensemble.ensemble(networks, spec.mean, spec.std, readout_of(spec)), spec, together(folder.file, weights)


def _streams(config, protocol, sizes, images):
    settings, largest = config["evaluate"], max(sizes.values(), key=lambda size: size[0] * size[1])
    scale = max(1.0, *settings["scales"]) if protocol in PROTOCOLS_WITH["evaluate.scales"] else 1.0
    height, width = (math.ceil(scale * side) for side in largest)
    if protocol not in PROTOCOLS_WITH["evaluate.overlap"]:
        return engines.streams_for(images, height * width)
    crop, overlap = config["data"]["crop"], settings["overlap"]
    tiles = [len(tile_starts(n, t, tile_stride(t, overlap))) for n, t in zip((height, width), crop)]
    return engines.streams_for(math.prod(tiles), math.prod(crop))
