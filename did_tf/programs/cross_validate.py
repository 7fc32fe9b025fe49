"""Cross-validation on data of your own: `did_tf cross-validate --experiment=did_folders --data=dir [--folds=5]`.

Each image of train and val is held out once, with its group, from a network that learns from the others: RUN/fold-1 and
so on are ordinary runs. Their scores on what they have not learnt from go to RUN/cross_validation, with the labels.
Stopped, it goes on with the same command. At its end RUN is one network, the mean of all folds, for predict and export.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import collections
import sys
from typing import Any

import numpy as np
from absl import flags
from tensorflow import keras

from data_pipelines.own_data.folds import HELD_OUT, names_of_images, write_fold
from data_pipelines.spec import IGNORE
from did_tf import settings, wiring
from did_tf.common.errors import ConfigError, Failure
from did_tf.common.files import write_json
from did_tf.inference import memory, outputs
from did_tf.inference.engines import Engine
from did_tf.runs import lock, manifest
from did_tf.runs.folds import CrossValidation
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring import evaluation
from did_tf.scoring.evaluation import MAIN
from did_tf.scoring.metrics import ConfusionMatrix
from did_tf.scoring.out_of_fold import HeldOut, OutOfFold
from did_tf.search import study
from did_tf.training.health import TrainingFailed

flags.DEFINE_integer("folds", 5, "How many parts the images are dealt to.")
flags.DEFINE_string("protocol", None, f"One of {', '.join(settings.PROTOCOLS)}. Default: the first of the settings.")
FLAGS = flags.FLAGS


def main(config: wiring.Config, run: RunFolder) -> None:
    """Trains and scores every fold that is not finished, prints the scores of all and writes them.

    Raises:
      ConfigError, DataError: a flag or setting is no good, or the folds were begun with others; or as `train` says.
      Failure: a training went wrong.
      SystemExit: a signal stopped it; the status is 128 plus the signal's number.
    """
    protocol = FLAGS.protocol or config["evaluate"]["protocols"][0]
    if protocol not in settings.PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}; known: {', '.join(settings.PROTOCOLS)}")
    found = CrossValidation(run.folder)
    with lock.held(run.folder):
        folds = _begun(config, run, found)
        for number in range(1, folds.count + 1):
            print(f"\nfold {number} of {folds.count}: {found.run(number)}")
            _do_fold(wiring.of_fold(config, found, number), run, found, number, protocol)
        _report(config, found, folds, protocol)


def _begun(config, run, found):
    """The `Folds`, which are written down, with the data of each."""
    if run.mirror:
        raise ConfigError(f"{run.name} is at a remote place: a cross-validation is on this machine, --run=dir")
    if run.manifest.is_file():
        raise ConfigError(f"{run.folder} is a run that was trained: pass another --run=dir")
    study.refuse(run.folder, "cross-validate")
    folds = wiring.make_folds(config, FLAGS.folds)
    if found.begun:
        run.check(config, {}, made=None)
        found.check(folds)
    write_json(run.config, config)
    found.write(folds)
    for number in range(1, folds.count + 1):
        write_fold(wiring.folder_of(config), folds, number, found.data(number))
    return folds


def _do_fold(config, run, found, number, protocol):
    """Trains a fold, or goes on, and scores it, unless all that is done."""
    way = {"protocol": protocol, "crop": list(config["data"]["crop"]), **config["evaluate"]}
    if found.held_out(number).is_file() and found.counts(number)["way"] == way:
        print("it is finished")
        return
    keras.backend.clear_session()  # of the fold before
    own = RunFolder(found.run(number), run.experiment, run.defaults)
    with lock.held(own.folder):
        _train(config, own)
        weights, counts = _score(config, own, found, protocol)
    write_json(found.held_out(number), {"weights": weights.digest, "way": way, "images": counts})


def _train(config, run):
    trainer = wiring.make_trainer(config, run)
    try:
        trainer.fit()
    except TrainingFailed as error:
        raise Failure(f"{error}; begin anew with a lower schedule.learning_rate and another --run=dir") from error
    except OSError as error:
        raise Failure(f"{error}; once that is mended the same command goes on") from error


def _score(config, run, found, protocol):
    """(weights, {image: [num_classes, num_classes] counts}) of what a fold has not learnt from; its labels are written.

    Windows count for the image that they are of.
    """
    model, spec, weights = wiring.load_network(config, run.folder)
    dataset = wiring.make_dataset(config)
    sizes = memory.sizes_of(dataset, dataset.samples(HELD_OUT))
    fitting = wiring.make_fitting(config, model, spec, protocol, [MAIN], Engine())
    names = names_of_images(config["dataset"]["folder"])
    counts: dict[str, Any] = collections.defaultdict(int)

    def watch(scored):
        classes = scored.predictions[MAIN].astype(np.uint8)
        matrix = ConfusionMatrix(spec.num_classes)
        matrix.update(scored.label, classes)
        counts[names[scored.sample.image]] += matrix.counts
        seen = classes if scored.mask is None else np.where(scored.mask, np.uint8(IGNORE), classes)
        outputs.write_results(found.predictions, scored.sample.name, scored.image, {MAIN: seen}, spec, kinds=("label",))

    predictor = fitting.make(fitting.all(sizes))
    evaluation.evaluate(predictor, dataset, HELD_OUT, sys.stderr.isatty(), watch=watch)
    return weights, {name: of_image.tolist() for name, of_image in counts.items()}


def _report(config, found, folds, protocol):
    spec, scored = wiring.make_spec(config), [found.counts(number) for number in range(1, folds.count + 1)]
    images = [
        HeldOut(name, number, folds.images[name].group, ConfusionMatrix(spec.num_classes, np.array(counts)))
        for number, of_fold in enumerate(scored, 1)
        for name, counts in of_fold["images"].items()
    ]
    result = OutOfFold(images, spec.classes, folds.grouped, config["seed"])
    facts = {"protocol": protocol, "seed": folds.seed, "weights": [of_fold["weights"] for of_fold in scored]}
    write_json(found.report, {**facts, **result.report(), "settings": config, **manifest.version()})
    print(f"\n{len(images)} images, {folds.count} folds, protocol {protocol!r}: each by the fold without it")
    print(result.table())
    print(f"report: {found.report}; labels: {found.predictions}/NAME_label.png")


def launch() -> None:
    """What the command line starts."""
    cli.run(main)
