"""Cross-validation on data of your own: `did_tf cross-validate --experiment=did_folders --data=dir [--folds=5]`.

Each image of train and val is held out once, with its group, from a network that learns from the others: RUN/fold-1 and
so on are ordinary runs. Their scores on what they have not learnt from go to RUN/cross_validation, with the labels.
Stopped, it goes on with the same command. At its end RUN is one network, the mean of all folds, for predict and export.
With --at_once=2 two folds train side by side, each on half of the cores; RUN/fold-1.log is what one says.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import collections
import gc
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from absl import flags
from tensorflow import keras

from data_pipelines.memory import cores, free_memory
from data_pipelines.own_data import band_statistics
from data_pipelines.own_data.folds import HELD_OUT, TRAIN, names_of_images, write_fold
from data_pipelines.spec import IGNORE
from did_tf import settings, wiring
from did_tf.analysis import room
from did_tf.cluster import local
from did_tf.common.errors import ConfigError, Failure
from did_tf.common.failures import BAD_INPUT
from did_tf.common.files import write_json
from did_tf.inference import memory, outputs
from did_tf.inference.engines import Engine
from did_tf.planning import trying
from did_tf.planning.machine import GIB, LOADED
from did_tf.runs import lock, manifest, selection
from did_tf.runs.folds import CrossValidation, FoldRun
from did_tf.runs.run_folder import RunFolder
from did_tf.runs.weights import digest, in_run
from did_tf.scoring import evaluation
from did_tf.scoring.comparison import protocols
from did_tf.scoring.evaluation import MAIN
from did_tf.scoring.metrics import ConfusionMatrix
from did_tf.scoring.out_of_fold import HeldOut, OutOfFold
from did_tf.search import study
from did_tf.training.health import TrainingFailed
from did_tf.training.readiness import check_readable

flags.DEFINE_integer("folds", 5, "How many parts the images are dealt to.")
flags.DEFINE_integer("at_once", 1, "Folds that train side by side, on shares of the cores; 0: as many as fit.")
flags.DEFINE_integer("fold", None, "One fold alone, and no report: what --at_once has processes of their own do.")
flags.DEFINE_string("protocol", None, f"One of {', '.join(settings.PROTOCOLS)}. Default: the first of the settings.")
FLAGS = flags.FLAGS

UNLIKE = 1.1
"""So many times the steps of another fold are told: they are of another training."""


def main(config: wiring.Config, run: RunFolder) -> None:
    """Trains and scores every fold that is not finished, prints the scores of all and writes them.

    Raises:
      ConfigError, DataError: a flag or setting is no good, or the folds were begun with others; or as `train` says.
      Failure: a training went wrong.
      SystemExit: a signal stopped it; the status is 128 plus the signal's number.
    """
    protocol = _protocol(config)
    if protocol not in settings.PROTOCOLS:
        raise ConfigError(f"unknown protocol {protocol!r}; known: {', '.join(settings.PROTOCOLS)}")
    found = CrossValidation(run.folder)
    if FLAGS.fold is not None:
        _do_one(config, run, found, protocol)
        return
    with lock.held(run.folder):
        folds = _begun(config, run, found)
        at_once = _at_once(config, run, found, folds)
        if at_once == 1:
            _do_in_turn(config, run, found, folds, protocol)
        else:
            _do_side_by_side(config, found, folds, protocol, at_once)
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
        run.check(_tested_as(run, config), {}, made=None)
        found.check(folds)
    else:  # what an attempt before has measured may be of other images
        for measured in run.folder.glob(f"fold-*/data/{band_statistics.NAME}"):
            measured.unlink()
    write_json(run.config, config)
    found.write(folds)
    for number in range(1, folds.count + 1):
        write_fold(wiring.folder_of(config), folds, number, found.data(number))
    return folds


def _tested_as(run, config):
    """`config` with the settings of testing that the folds were begun with, of which they use none to train."""
    was = run.settings() if run.config.is_file() else {}
    return {**config, "evaluate": {**run.defaults["evaluate"], **was.get("evaluate", {})}}


def _at_once(config, run, found, folds):
    """How many folds are to train side by side. Raises `ConfigError` where that can't be."""
    wanted, train = FLAGS.at_once, config["train"]
    if wanted == 1:
        return 1
    if not 0 <= wanted <= cores():
        raise ConfigError(f"--at_once={wanted}: each fold takes a core, and there are {cores()}")
    if tf.config.list_physical_devices("GPU") and not train["devices"].startswith("cpu"):
        raise ConfigError(f"--at_once={wanted} divides cores: on a GPU folds train one after the other; leave it out")
    if train["batch_size"] == "auto":
        raise ConfigError(f"--at_once={wanted}: give train.batch_size a number, for auto takes what others need")
    takes, free = _bytes_of(wiring.of_fold(config, found, 1), run), free_memory()
    fit = int(free // takes)
    if wanted > fit:
        there = f"a fold takes about {takes / GIB:.1f} GiB, and {free / GIB:.1f} GiB are free"
        raise ConfigError(f"--at_once={wanted}: {there}: {fit} fit")
    count = wanted or max(1, min(fit, cores(), folds.count))
    return _evenly(count, wanted) if train["hours"] else count


def _evenly(count, wanted):
    """`count` folds at once, or as many fewer as have the same number of cores each: in one time they learn as much.

    Raises `ConfigError` where these are fewer than are `wanted`, unless that is 0.
    """
    even = max(n for n in range(1, count + 1) if len({*map(len, trying.shares_of_cores(n))}) == 1)
    if even == count:
        return count
    uneven = f"{cores()} cores can't be shared evenly by {count} folds, of which one on more cores learns more"
    told = f"--at_once={wanted}: {uneven} within train.hours"
    if wanted:
        raise ConfigError(f"{told}: pass --at_once={even}")
    print(f"note: {told}: {even} at once")
    return even


def _bytes_of(config, run):
    """What the process of a fold takes, with its images where they are kept."""
    config, dataset = wiring.resolved(config, run), wiring.make_dataset(config)
    model = wiring.make_model(config, dataset.spec, config["train"]["precision"])
    supervision = wiring.make_supervision(config, tf.distribute.get_strategy(), model)
    taken = wiring.memory_needed(config, supervision, 1)().total
    keras.backend.clear_session()
    return LOADED + (1 + room.MARGIN) * taken + wiring.memory_kept(config, dataset)


def _do_in_turn(config, run, found, folds, protocol):
    for number in range(1, folds.count + 1):
        print(f"\nfold {number} of {folds.count}: {found.run(number)}")
        _do_fold(wiring.of_fold(config, found, number), run, found, number, protocol)


def _do_side_by_side(config, found, folds, protocol, at_once):
    """Does the folds that are not finished. One that fails stops the others: raises what it says."""
    left = [number for number in range(1, folds.count + 1) if not _is_finished(config, found, number, protocol)]

    def start(number, share):
        on = f" on {len(share)} of {cores()} cores" if share else ""
        print(f"fold {number} of {folds.count}: {found.run(number)}{on}; it says: {_log(found, number)}", flush=True)
        with _log(found, number).open("a") as log:
            trying.wait_for(RunFolder(found.run(number)), log)
            log.truncate(0)
            return trying.begin([*sys.argv[1:], f"--fold={number}"], log, log, "cross-validate", share)

    def ended(number, status):
        if not status:
            print(f"fold {number} of {folds.count}: finished", flush=True)
            return
        said = trying.error_line(_log(found, number).read_text(errors="replace")).removeprefix("error: ")
        kind = ConfigError if status == BAD_INPUT else Failure
        raise kind(f"fold {number}: {said or f'it ended with status {status}'}; {_log(found, number)} has all")

    trying.side_by_side(start, left, at_once, ended)


def _log(found, number):
    return Path(f"{found.run(number)}.log")


def _do_one(config, run, found, protocol):
    """A fold of a cross-validation that another process has begun, which holds its folder and waits."""
    local.end_with_starter()
    if not found.file.is_file() or not 1 <= FLAGS.fold <= found.read().count:
        raise ConfigError(f"--fold={FLAGS.fold}: {found.folder} has no such fold; without --fold all are trained")
    run.check(config, {}, made=None)  # the experiment may have been edited while others were trained
    _do_fold(wiring.of_fold(config, found, FLAGS.fold), run, found, FLAGS.fold, protocol)


def _way(config, protocol):
    """How a fold is scored."""
    return {"protocol": protocol, "crop": list(config["data"]["crop"]), **config["evaluate"]}


def _is_finished(config, found, number, protocol):
    """Whether a fold is scored as it is to be, with the weights that it has, if these are still there."""
    if not found.held_out(number).is_file():
        return False
    counts, file = found.counts(number), in_run(found.run(number))
    same = file is None or digest(file) == counts["weights"]
    return same and counts["way"] == _way(config, protocol)


def _do_fold(config, run, found, number, protocol):
    """Trains a fold, or goes on, and scores it, unless all that is done."""
    if _is_finished(config, found, number, protocol):
        print("it is finished")
        return
    keras.backend.clear_session()  # of the fold before
    gc.collect()  # its images too: what is free is what the batch may take
    first = found.first
    own, config = FoldRun(found.run(number), run.experiment, run.defaults, first), _like(first, config)
    with lock.held(own.folder):
        if not found.begun:
            _check_readable(config)
        _train(config, own)
        found.held_out(number).unlink(missing_ok=True)  # labels of another way take the place of its own
        found.report.unlink(missing_ok=True)
        weights, used, counts = _score(config, own, found, protocol)
    facts = {"weights": weights.digest, "way": _way(config, protocol), "protocol": used}
    write_json(found.held_out(number), {**facts, "images": counts})


def _check_readable(config):
    """Raises `DataError` for what can't be read. What folds learn from is read before that, where it is kept."""
    check_readable(wiring.make_dataset(config), (HELD_OUT,) if config["data"]["cache"] else (HELD_OUT, TRAIN))


def _like(first, config):
    """`config` with what "auto" has come to in the first fold: memory and machine may be others since."""
    train, was = config["train"], first.settings().get("train", {}) if first else {}
    taken = {key: was[key] for key in ("batch_size", "precision") if train[key] == "auto" and key in was}
    for key, value in taken.items():
        print(f"train.{key}=auto: {value}, as in {first.folder}")
    return {**config, "train": {**train, **taken}}


def _train(config, run):
    trainer = wiring.make_trainer(config, run)
    try:
        trainer.fit()
    except TrainingFailed as error:
        raise Failure(f"{error}; begin anew with a lower schedule.learning_rate and another --run=dir") from error
    except OSError as error:
        raise Failure(f"{error}; once that is mended the same command goes on") from error


def _score(config, run, found, protocol):
    """(weights, protocol, {image: [num_classes, num_classes] counts}) of what a fold has not learnt from.

    The protocol is the one that is wanted where memory suffices for the largest image of all folds. Windows count for
    the image that they are of. Labels are written.
    """
    model, spec, weights = wiring.load_network(config, run.folder)
    dataset = wiring.make_dataset(config)
    sizes = memory.sizes_of(dataset, [*dataset.samples(TRAIN), *dataset.samples(HELD_OUT)])
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

    used = fitting.all(sizes)
    evaluation.evaluate(fitting.make(used), dataset, HELD_OUT, sys.stderr.isatty(), watch=watch)
    return weights, used, {name: of_image.tolist() for name, of_image in counts.items()}


def _report(config, found, folds, protocol):
    found.sweep()
    spec, scored = wiring.make_spec(config), [found.counts(number) for number in range(1, folds.count + 1)]
    images = [
        HeldOut(name, number, folds.images[name].group, ConfusionMatrix(spec.num_classes, np.array(counts)))
        for number, of_fold in enumerate(scored, 1)
        for name, counts in of_fold["images"].items()
    ]
    result = OutOfFold(images, spec, folds.grouped, config["seed"])
    ways = {f"fold {number}": of_fold.get("protocol", protocol) for number, of_fold in enumerate(scored, 1)}
    used = [*ways.values()]
    facts = {"protocol": used[0] if len({*used}) == 1 else used, "seed": folds.seed}
    facts["weights"] = [of_fold["weights"] for of_fold in scored]
    facts["steps"] = [_steps(found, number) for number in range(1, folds.count + 1)]
    runs = [RunFolder(found.run(number)) for number in range(1, folds.count + 1)]
    facts["versions"] = [selection.versions(run) for run in runs]
    write_json(found.report, {**facts, **result.report(), "settings": config, **manifest.version()})
    print(f"\n{len(images)} images, {folds.count} folds, protocol {protocols(ways)}: each by the fold without it")
    print(result.table())
    _tell_unlike(facts["steps"])
    if told := selection.of_several_versions("folds", runs):
        print(f"note: {told}")
    print(f"report: {found.report}; labels: {found.predictions}/NAME_label.png")


def _steps(found, number):
    run = RunFolder(found.run(number))
    return selection.ended_with(run, run.settings()["train"])


def _tell_unlike(steps):
    """A note where folds have made other numbers of steps."""
    least, most = min(steps), max(steps)
    if most > UNLIKE * least:
        why = "on other cores, or beside other work: their scores differ for that, too"
        print(f"note: folds made {least} to {most} steps in their time, {why}")


def _protocol(config):
    """The one that folds are scored by: that of --protocol, or the first of the settings."""
    return FLAGS.protocol or config["evaluate"]["protocols"][0]


def _used(config):
    """`config` as folds use it, which are not validated, and scored by one protocol."""
    evaluate = {**config["evaluate"], "protocols": [_protocol(config)]}
    dataset = {**config["dataset"], "val_split": ""}
    return {**config, "dataset": dataset, "evaluate": evaluate}


def launch() -> None:
    """What the command line starts."""
    cli.run(main, used=_used)
