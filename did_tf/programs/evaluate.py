"""Scores a trained network: `did_tf evaluate --experiment=did_camvid [--split=test] [--run=dir]`.

Reports go to RUN/evaluation, those of protocols other than "whole" to a subfolder, and so do partial ones (--limit).
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import sys

from absl import flags

from data_pipelines.learnable import check_scored
from did_tf import wiring
from did_tf.common.errors import ConfigError
from did_tf.inference import memory
from did_tf.runs import manifest
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring import classification, evaluation, official
from did_tf.scoring.details import DetailScores

flags.DEFINE_string("split", "val", "Split of the data set.")
flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
flags.DEFINE_string("protocol", None, f"One of {', '.join(wiring.PROTOCOLS)}. Default: config.evaluate.protocols.")
flags.DEFINE_integer("limit", None, "Take the first so many images only.", lower_bound=1)
flags.DEFINE_bool("baselines", False, "Also score the most frequent class, and colour alone.")
flags.DEFINE_bool("details", False, "Also score the borders of the classes, and objects by their size.")
FLAGS = flags.FLAGS


def main(config: wiring.Config, run: RunFolder) -> None:
    """Evaluates under every protocol; prints the scores and writes the reports.

    Raises:
      ConfigError, DataError, ValueError: a flag or setting is no good, there are no weights, or the data can't be read.
      OSError: a report can't be written.
    """
    dataset = wiring.make_dataset(config)
    check_scored(dataset, FLAGS.split, FLAGS.limit)  # before anything is built
    model, _, weights = wiring.load_network(config, FLAGS.weights or run.folder)
    if dataset.spec.task == "classification":
        _classify(config, run, dataset, model, weights)
        return
    baselines = _baselines(config, dataset) if FLAGS.baselines else None
    sizes = memory.sizes_of(dataset, dataset.samples(FLAGS.split)[: FLAGS.limit])
    done, protocols = set(), [FLAGS.protocol] if FLAGS.protocol else config["evaluate"]["protocols"]
    cli.tell_idle(config, protocols)
    for protocol in protocols:
        fitting = wiring.make_fitting(config, model, dataset.spec, protocol)
        way = fitting.all(sizes)
        if way not in done:
            _evaluate(config, run, dataset, fitting.make(way), way, weights, baselines)
        done.add(way)


def _evaluate(config, run, dataset, predictor, protocol, weights, baselines):
    further = _further_scores(dataset)

    def watch(scored):
        for scores in further.values():
            scores.update(scored.sample, scored.label, scored.probabilities[evaluation.MAIN])

    result = evaluation.evaluate(predictor, dataset, FLAGS.split, sys.stderr.isatty(), FLAGS.limit, watch)
    paper, images = _paper(config), len(result.images)
    print(f"\n{dataset.spec.name} {FLAGS.split}, {images} images, protocol {protocol!r}")
    print(evaluation.table(result, dataset.spec.classes, paper))
    for scores in further.values():
        print(f"\n{scores.title}\n{scores.table()}")
    folder = _report_folder(run, protocol)
    details = {"name": protocol, **_details(predictor), "images": images, **_network(config, weights)}
    more = {"baselines": baselines, **{name: scores.scores() for name, scores in further.items()}}
    more["identity"] = _identity(config, run, dataset, weights)
    evaluation.write_report(result, dataset, predictor, folder, FLAGS.split, details, paper, **more)
    print(f"report: {folder / FLAGS.split}.json and pictures beside it")


def _further_scores(dataset):
    """{entry of the report: scores} beside the confusion matrix: the benchmark's own, and of details if asked for."""
    further: dict[str, DetailScores | official.Benchmark] = {"details": DetailScores(dataset)} if FLAGS.details else {}
    benchmark = official.find(dataset.spec.name)
    if benchmark and benchmark.scores_samples_of(dataset, FLAGS.split):
        further["official"] = benchmark(dataset)
    elif benchmark:
        print(f"{FLAGS.split} has parts of images: no scores of {benchmark.title}, which are of whole ones")
    return further


def _classify(config, run, dataset, model, weights):
    if FLAGS.protocol or FLAGS.baselines or FLAGS.details:
        raise ConfigError(f"{dataset.spec.name} is for classification: no --protocol, --baselines or --details")
    cli.tell_idle(config, [])
    classifier = wiring.make_classifier(config, model)
    result = classification.evaluate(classifier, dataset, FLAGS.split, sys.stderr.isatty(), FLAGS.limit)
    paper, folder = _paper(config), _report_folder(run, "whole")
    print(f"\n{dataset.spec.name} {FLAGS.split}, {len(result.images)} images, centre crops")
    print(classification.table(result, paper))
    details = {"crop": classifier.crop, "resize": classifier.resize, **_network(config, weights)}
    depends = _identity(config, run, dataset, weights)
    classification.write_report(result, folder, FLAGS.split, details, paper, identity=depends)
    print(f"report: {folder / FLAGS.split}.json")


def _network(config, weights):
    """The weights and the options of the model, which need not be those of training."""
    return {"weights": str(weights.file), "model": {**config["model"], **config["evaluate"]["options"]}}


def _identity(config, run, dataset, weights):
    """What the scores depend on: the weights, the images and labels, the settings and the version."""
    data = manifest.content(dataset, dataset.samples(FLAGS.split)[: FLAGS.limit], FLAGS.split)
    return {"weights": weights.recorded(run.folder), "data": data, "settings": config, **manifest.version()}


def _paper(config):
    """The paper's figures for the split, or None."""
    return config["paper"] if config["paper"].get("split") == FLAGS.split else None


def _report_folder(run, protocol):
    folder = run.evaluation if protocol == "whole" else run.evaluation / protocol
    return folder / f"first_{FLAGS.limit}" if FLAGS.limit else folder


def _details(predictor):
    return {key: getattr(predictor, key) for key in ("tile", "overlap", "scales", "flip")}


def _baselines(config, dataset):
    train_split = config["dataset"]["train_split"].split("+")[0]
    found = evaluation.baselines(dataset, train_split, FLAGS.split)
    print(f"\nbaselines, fitted on {train_split}")
    print("\n".join(f"{name}: mIoU {100 * miou:.1f} %" for name, miou in found.items()))
    return found


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
