"""Searches the parameters of the CRF: `did_tf search-crf --experiment=did_camvid [--limit=50] [--appearance_xy=15,30]`.

Scores every combination of the values given on the validation split; each image goes through the network once. What no
flag lists has its value of the settings, config.crf.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import itertools
import sys

from absl import flags

from data_pipelines.learnable import check_scored
from did_tf import settings, wiring
from did_tf.common.errors import ConfigError
from did_tf.common.files import write_json
from did_tf.inference import crf, memory
from did_tf.inference.refining import RefinedScores, Refiner
from did_tf.runs import folds, manifest
from did_tf.runs.run_folder import RunFolder, apart
from did_tf.scoring import evaluation
from did_tf.scoring.comparison import overall
from did_tf.scoring.evaluation import MAIN

flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
flags.DEFINE_string("protocol", "whole", f"One of {', '.join(settings.PROTOCOLS)}; settings: config.evaluate.")
flags.DEFINE_integer("limit", None, "Take the first so many images only.", lower_bound=1)
flags.DEFINE_list("appearance_weight", "1,3,5", "Values of crf.appearance_weight.")
flags.DEFINE_list("appearance_xy", "15,30,60", "Values of crf.appearance_xy.")
flags.DEFINE_list("appearance_colour", "3,5,10", "Values of crf.appearance_colour.")
flags.DEFINE_list("smoothness_weight", None, "Values of crf.smoothness_weight.")
flags.DEFINE_list("smoothness_xy", None, "Values of crf.smoothness_xy.")
FLAGS = flags.FLAGS

SEARCHED = ("appearance_weight", "appearance_xy", "appearance_colour", "smoothness_weight", "smoothness_xy")


def main(config: wiring.Config, run: RunFolder) -> None:
    """Scores the grid, prints it from best to worst and writes SPLIT_crf.json where `evaluate` has its report.

    Raises:
      ConfigError, DataError: there is no validation split, a value is no good, or as `evaluate` says.
      OSError: the file can't be written.
    """
    split = config["dataset"]["val_split"]
    if split in ("", "test"):
        raise ConfigError(f"dataset.val_split={split}: parameters are searched on a validation split, never on test")
    source, dataset = wiring.weights_of(FLAGS.weights, run), wiring.make_dataset(config)
    check_scored(dataset, split, FLAGS.limit)
    folds.check_unseen(source, dataset.samples(split)[: FLAGS.limit], split)
    fields = {_named(point): crf.make(dataset.spec, {**config["crf"], **point}) for point in _grid(config)}
    model, spec, weights = wiring.load_network(config, source)
    cli.tell_idle(config, [FLAGS.protocol])
    samples = dataset.samples(split)[: FLAGS.limit]
    largest = max(fields.values(), key=lambda field: field.bytes_per_tile(spec.num_classes))
    refiner = Refiner(largest, spec.num_classes)
    fitting = wiring.make_fitting(config, model, spec, FLAGS.protocol, outputs=[MAIN], refiner=refiner)
    way, refined = fitting.all(memory.sizes_of(dataset, samples)), RefinedScores(fields, refiner)
    before = evaluation.evaluate(fitting.make(way), dataset, split, sys.stderr.isatty(), FLAGS.limit, refined.update)
    matrices = refined.matrices()
    ranked = sorted(matrices, key=lambda name: -matrices[name].mean_iou())
    rows = [("without", before.matrices[MAIN]), *((name, matrices[name]) for name in ranked)]
    print(f"\n{spec.name} {split}, {len(samples)} images, protocol {way!r}")
    print(overall("crf", rows))
    if matrices[ranked[0]].mean_iou() <= before.matrices[MAIN].mean_iou():
        print("none of these has a higher mIoU than the network without")
    print("best: --crf " + " ".join(f"--config.crf.{setting}" for setting in ranked[0].split()))
    report = {name: matrix.report(spec.classes) for name, matrix in rows}
    facts = {"weights": weights.recorded(run.folder), "data": manifest.content(dataset, samples, split)}
    path = apart(run.evaluation, way, FLAGS.limit) / f"{split}_crf.json"
    write_json(path, {"protocol": way, "crf": config["crf"], "searched": report, **facts, **manifest.version()})
    print(f"report: {path}")


def _grid(config):
    """Every combination of the values given, as settings."""
    values = [FLAGS[key].value or [str(config["crf"][key])] for key in SEARCHED]
    return [dict(zip(SEARCHED, point)) for point in itertools.product(*map(_numbers, SEARCHED, values))]


def _numbers(key, texts):
    """The values of a flag, each once."""
    try:
        numbers = [*dict.fromkeys(float(text) for text in texts)]
    except ValueError:
        raise ConfigError(f"--{key} takes numbers between commas, got {','.join(texts)}") from None
    for number in numbers:
        settings.KINDS[f"crf.{key}"].check(f"crf.{key}", number)
    return numbers


def _named(point):
    return " ".join(f"{key}={value:.12g}" for key, value in point.items())


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
