"""What a network costs: `did_tf cost --experiment=ladder121_camvid [--size=448x1024] [--batch=1] [--measure=both]`.

Prints parameters and receptive field, and of inference and of training multiply-adds and the memory that features take,
all counted from the network; with --measure also the time and the peak memory of the device at hand, each measured in a
process of its own. In inference that is the network alone, for the output main; in training a whole update of the
experiment. Images are noise: no data is needed. Sizes are height x width.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import concurrent.futures
import contextlib
import dataclasses
import json
import math
import multiprocessing
import re
import sys
from concurrent.futures.process import BrokenProcessPool
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import tensorflow as tf
from absl import flags

from data_pipelines import DataError
from did_tf import settings, wiring
from did_tf.analysis import cost, measures, speed
from did_tf.common import processor
from did_tf.common.errors import ConfigError, Failure, about
from did_tf.inference.memory import Need, check_free
from did_tf.inference.predictor import Predictor
from did_tf.programs.networks import cost_text
from did_tf.programs.networks.cost_text import KINDS
from did_tf.runs.manifest import git_commit
from did_tf.training.distribution import check_shares, make_strategy, share_cores

flags.DEFINE_string("size", None, "Height and width of the images, such as 448x1024. Default: the experiment's own.")
flags.DEFINE_integer("batch", None, "Images at once. Default: 1 in inference, train.batch_size.", lower_bound=1)
flags.DEFINE_enum("measure", "nothing", ["nothing", *KINDS, "both"], "What is measured on the device at hand.")
flags.DEFINE_float("seconds", 10.0, "How long each is measured, after a first call.", lower_bound=0.0)
flags.DEFINE_bool("json", False, "Print JSON.")
FLAGS = flags.FLAGS


@dataclasses.dataclass(frozen=True)
class Case:
    """What the cost is of.

    Attributes:
      kind: one of `KINDS`.
      config: resolved settings, with the size as data.crop and the batch as train.batch_size.
      size: (height, width) of the images, in pixels.
      batch: how many images there are in a call, or an update.
      at_once: how many of these go through the network at once: a micro-batch.
      precision: of the network's activations.
      source: where the size is from.
    """

    kind: str
    config: wiring.Config
    size: tuple[int, int]
    batch: int
    at_once: int
    precision: str
    source: str


def main() -> None:
    """Prints the cost. Raises `ConfigError`, `DataError`, and `Failure` where a measurement is killed."""
    config, run = cli.chosen(training=False)
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    if on_gpu:  # left to the processes that measure
        tf.config.set_visible_devices([], "GPU")
    given = _size(FLAGS.size) if FLAGS.size else None
    cases = [_inference(config, given, FLAGS.batch), _training(config, run, given, FLAGS.batch)]
    report = _counted(run.experiment, cases)
    wanted = [case for case in cases if FLAGS.measure in (case.kind, "both")]
    if not on_gpu:
        _check_memory(wanted, report)
    for case in wanted:
        report[case.kind]["measured"] = _apart(case, FLAGS.seconds)
    print(json.dumps(report, indent=2) if FLAGS.json else cost_text.of(report))


def _inference(config, size, batch):
    found, source = (size, "--size") if size else _image_size(config)
    batch = batch or 1
    return Case("inference", config, found, batch, batch, "float32", source)


def _training(config, run, size, batch):
    settings.check_kinds(config, "train")
    with contextlib.redirect_stdout(sys.stderr):  # the report alone goes to where --json is read
        train = wiring.resolved(config, run)["train"]
    crop = size or tuple(config["data"]["crop"])
    batch, source = batch or train["batch_size"], "--size" if size else "the training crop"
    if batch == "auto":
        raise ConfigError("train.batch_size=auto: say by --batch of how many images the cost is wanted")
    with about(f"--batch={batch}", ConfigError) if FLAGS.batch else contextlib.nullcontext():
        check_shares({**train, "batch_size": batch}, _devices(train))
    own = {"data": {**config["data"], "crop": list(crop)}, "train": {**train, "batch_size": batch}}
    return Case("training", {**config, **own}, crop, batch, batch // train["accumulate"], train["precision"], source)


def _devices(train):
    """How many share the memory that is counted, and a batch: those into which a CPU is divided."""
    cpus = re.fullmatch(r"cpu\*(\d+)", train["devices"])
    return int(cpus[1]) if cpus else 1


def _size(text):
    """(height, width) of HEIGHTxWIDTH."""
    if found := re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text):
        return int(found[1]), int(found[2])
    raise ConfigError(f"--size={text}: it must be HEIGHTxWIDTH in pixels, such as 448x1024")


def _image_size(config):
    """((height, width), whose it is): of the first image to be scored, or the training crop where there are no data.

    What is scored of an image that is classified is a crop.
    """
    if wiring.make_spec(config).task == "classification":
        return tuple(config["data"]["crop"]), "the centre crop that is scored"
    split = config["dataset"]["val_split"] or "val"
    try:
        dataset = wiring.make_dataset(config)
        height, width = dataset.read_image(dataset.samples(split)[0]).shape[:2]
        return (height, width), f"the first of {dataset.spec.name} {split}"
    except (DataError, IndexError):
        if FLAGS.data:
            raise
        return tuple(config["data"]["crop"]), "the training crop, for there are no data"


def _counted(experiment, cases):
    """The report, as for JSON, of all that is counted."""
    spec = wiring.make_spec(cases[0].config)
    model = _network(cases[0], spec)
    field = [side if math.isfinite(side) else None for side in measures.receptive_field(model)]
    report: dict[str, Any] = {
        "experiment": experiment,
        "model": cases[0].config["model"]["name"],
        "parameters": measures.parameters(model),
        "weight_bytes": _weight_bytes(model),
        "receptive_field": field,
    }
    for case in cases:
        supervision = _supervised(case, spec) if case.kind == "training" else None
        network, passes = (supervision.network, len(supervision.passes)) if supervision else (model, 1)
        found = cost.activations(network, *case.size)
        report[case.kind] = {
            "size": list(case.size),
            "source": case.source,
            "batch": case.batch,
            "at_once": case.at_once,
            "precision": case.precision,
            "multiply_adds": case.batch * passes * measures.multiply_adds(network, *case.size),
            "features": case.at_once * _features(case, found),
            "all_features": case.at_once * found.outputs,
            "memory": _memory(case, supervision) if supervision else None,
            "measured": None,
        }
    return {**report, "commit": git_commit()}


def _features(case, found):
    if case.kind == "inference":
        return found.inference
    return found.recomputing if case.config["train"]["recompute"] else found.training


def _network(case, spec, **changes):
    changes = case.config["evaluate"]["options"] if case.kind == "inference" else changes
    return wiring.make_model(case.config, spec, case.precision, changes)


def _supervised(case, spec):
    """The `Supervision` of an update's passes."""
    # A shifted pass has one phase of the features, though testing may simulate with all four.
    changes = {"simulation": False} if case.config["train"]["shifted_passes"] else {}
    model = _network(case, spec, **changes)
    return wiring.make_supervision(case.config, tf.distribute.get_strategy(), model)


def _memory(case, supervision):
    """Bytes of the whole process of a training on a CPU, by what they are for, and each layer's where they are most."""
    need = wiring.memory_needed(case.config, supervision, _devices(case.config["train"]))
    taken, process = need(), speed.memory_held()
    layers = need.held(case.config["train"]["recompute"]).by_layer(case.at_once)
    each = {name: case.at_once * size for name, size in layers.items()}
    return {"process": process, **taken._asdict(), "total": process + taken.total, "by_layer": each}


def _weight_bytes(model):
    return sum(int(np.prod(v.shape)) * tf.as_dtype(v.dtype).size for v in model.variables)


def _check_memory(cases, report):
    """Raises `ConfigError` where a measurement would take more memory than is free."""
    for case in cases:
        what = f"{case.kind} with {case.at_once} images of {cost_text.shown(case.size)} at once"
        check_free(_needed(case, report), what, "measure less, by --size, --batch or --measure")


def _needed(case, report):
    """Bytes that a measurement takes, at most, on a CPU."""
    if case.kind == "inference":
        need = Need(Predictor(_network(case, wiring.make_spec(case.config)), outputs=["main"]), keep_all=False)
        return case.at_once * need(case.size, 4)
    return report["training"]["memory"]["total"]


def _apart(case, seconds):
    """What is measured, in a process of its own: peaks are those of a process."""
    spawn = multiprocessing.get_context("spawn")
    trains = case.kind == "training"
    measure, prepare = (measure_training, processor.ask_for_onednn) if trains else (measure_inference, None)
    with concurrent.futures.ProcessPoolExecutor(1, spawn, prepare) as pool:
        try:
            return pool.submit(measure, case, seconds).result()
        except BrokenProcessPool:
            raise Failure(
                f"{case.kind} of {case.batch} images of {cost_text.shown(case.size)} was killed while measured"
            ) from None


def measure_inference(case: Case, seconds: float) -> dict[str, Any]:
    """What a forward pass for the output main takes, as for JSON: `speed.Measured`, and the machine."""
    spec = wiring.make_spec(case.config)
    model = _network(case, spec)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, None, None, spec.bands))])
    def forward(images):
        return model(images, training=False)["main"]

    forward(tf.zeros((1, *(min(side, 65) for side in case.size), spec.bands)))  # whatever is loaded and traced once
    held, images = speed.memory_held(), _noise(case, spec)
    found = speed.measure(lambda: forward(images), held, seconds, "inference")
    return {**found._asdict(), "machine": speed.machine()}


def measure_training(case: Case, seconds: float) -> dict[str, Any]:
    """What an update of the experiment's training takes, likewise."""
    devices = case.config["train"]["devices"]
    share_cores(case.config["train"]["parts"])
    if devices.startswith("cpu"):
        tf.config.set_visible_devices([], "GPU")
    spec, strategy = wiring.make_spec(case.config), make_strategy(devices)
    check_shares(case.config["train"], strategy.num_replicas_in_sync)
    with strategy.scope():
        model = _network(case, spec)
    held = speed.memory_held()
    supervision = wiring.make_supervision(case.config, strategy, model)
    step = wiring.make_train_step(case.config, strategy, model, _loss(case.config, spec), supervision)
    batch = next(iter(strategy.experimental_distribute_dataset(_batches(case, spec))))
    found = speed.measure(lambda: step(batch, tf.constant(0)), held, seconds, "training")
    return {**found._asdict(), "machine": speed.machine()}


def _loss(config, spec):
    """The experiment's, but for class weights that only data could say: the loader is asked for its spec alone then."""
    loader = SimpleNamespace(dataset=SimpleNamespace(spec=spec))
    return wiring.make_pixel_loss({**config, "loss": {**config["loss"], "class_balance": 0.0}}, cast(Any, loader))


def _batches(case, spec):
    """Data set of one batch, as training has them."""
    places = case.size if spec.task == "segmentation" else ()
    labels = np.random.default_rng(0).integers(0, spec.num_classes, (case.batch, *places), np.int32)
    batch = {"image": _noise(case, spec), "label": labels}
    if case.config["data"]["mixup"] > 0:
        batch |= {"other": labels, "weight": np.full(case.batch, 0.5, np.float32)}
    return tf.data.Dataset.from_tensor_slices(batch).batch(case.batch, drop_remainder=True)


def _noise(case, spec):
    pixels = np.random.default_rng(0).normal(spec.mean, spec.std, (case.batch, *case.size, spec.bands))
    return tf.constant(pixels, tf.float32)


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
