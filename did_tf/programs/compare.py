"""Compares runs on the same images: `did_tf compare --runs="runs/a runs/b" [--split=val] [--output=dir]`.

Prints what each class gains against the first run, and writes it with pictures of the images that differ most: image,
label, predictions, where they differ and who is right there, and an enlarged part. Settings are each run's own.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import contextlib
import functools
import os
import re
import sys
from collections import Counter
from pathlib import Path

from absl import flags
from tqdm import tqdm

from data_pipelines.learnable import check_scored
from data_pipelines.spec import DataError
from did_tf import settings, wiring
from did_tf.common import files, visualize
from did_tf.common.damage import Damage
from did_tf.common.errors import ConfigError, about
from did_tf.common.readout import readout_of
from did_tf.common.text import listed
from did_tf.inference import memory
from did_tf.runs import folds, manifest, selection, weights
from did_tf.runs.run_folder import apart
from did_tf.runs.weights import Weights
from did_tf.scoring import comparison
from did_tf.scoring.comparison import Comparison
from did_tf.scoring.evaluation import MAIN

flags.DEFINE_string("runs", None, "Run folders, two or more; the first is what others gain on.")
flags.DEFINE_string("split", "val", "Split of the data set.")
flags.DEFINE_string("protocol", "whole", f"One of {', '.join(settings.PROTOCOLS)}, for all runs.")
flags.DEFINE_integer("limit", None, "Take the first so many images only.", lower_bound=1)
flags.DEFINE_integer("pictures", 4, "Of how many images, those that differ most.", lower_bound=0)
flags.DEFINE_string("output", None, "Folder of the results. Default: FIRST_RUN/comparison/OTHERS, or below it.")
FLAGS = flags.FLAGS

OF_SAMPLES = ("patch", "patches", "stride", "validation", "sbd", "voc", "sizes")
"""Options of data sets that say which samples there are, and nothing of how one of them is read."""


def main() -> None:
    """Compares the runs, prints the gains and writes text, JSON and pictures.

    Raises:
      ConfigError, DataError: fewer than two runs, runs of different data, no weights, or images can't be read.
      OSError: a file can't be written.
    """
    runs = [wiring.open_run(os.path.expanduser(run)) for run in listed(FLAGS.runs or "")]
    if len(runs) < 2:
        raise ConfigError('compare takes two or more run folders: --runs="runs/a runs/b" (make: RUNS="runs/a runs/b")')
    if FLAGS.experiment or FLAGS.run:
        raise ConfigError("settings are those of each run: compare takes --runs, and no --experiment or --run")
    if FLAGS.split == "test":
        raise ConfigError("the test split is for `evaluate` and `submit` alone: compare on --split=val")
    names = _names(runs)
    configs = [_settings(run) for run in runs]
    _check_same_data(runs, configs)
    cli.tell_idle(configs[0], [FLAGS.protocol])
    for line in selection.held_out_otherwise(runs):
        print(f"note: {line}")
    dataset = wiring.make_dataset(configs[0])
    check_scored(dataset, FLAGS.split, FLAGS.limit)
    own = runs[0].folder / "comparison" / "_".join(run.folder.name for run in runs[1:])
    output = Path(FLAGS.output or apart(own, FLAGS.protocol, FLAGS.limit))
    files.check_output(output)
    samples = dataset.samples(FLAGS.split)[: FLAGS.limit]
    _tell_learnt(runs, configs, samples)
    networks = _networks(names, runs, configs, memory.sizes_of(dataset, samples))
    found = Comparison(list(networks), dataset.spec, FLAGS.pictures, dataset.together(samples))
    _compare(found, {name: labelled for name, (labelled, _) in networks.items()}, dataset, samples)
    ways = comparison.protocols({name: fact["protocol"] for name, (_, fact) in networks.items()})
    text = f"{dataset.spec.name} {FLAGS.split}, {len(samples)} images, protocol {ways}\n{found.table()}"
    different, labelled = found.differing
    text += f"\n{100 * different / max(labelled, 1):.1f} % of the labelled pixels differ\n{found.told_intervals()}"
    text += "".join(f"\nnote: {line}" for line in _tested_otherwise(networks))
    print(f"\n{text}")
    facts = {
        "runs": {name: fact for name, (_, fact) in networks.items()},
        "data": manifest.content(dataset, samples, FLAGS.split),
        **manifest.version(),
    }
    _write(found, output, text, facts, dataset, samples)


def _settings(run):
    """The settings of a run, of segmentation."""
    if folds.is_in(run.folder):
        raise ConfigError(
            f"{run.folder} is a cross-validation, whose folds have learnt all images but their own: compare folds that "
            f"hold out the same ones, {run.folder}/fold-1 and the like, or what two cross_validation/report.json say"
        )
    experiment = run.trained_by()
    if experiment is None or not run.config.is_file():
        raise ConfigError(f"{run.folder} is no run that was trained: it has no config.json and manifest.json")
    config = cli.resolve(experiment, run, cli.config_arguments(), training=False)
    wiring.set_data(config, FLAGS.data)
    if wiring.make_spec(config).task == "classification":
        raise ConfigError(f"{run.folder} classifies images: compare is for segmentation")
    return config


def _check_same_data(runs, configs):
    """Raises `ConfigError` where a run is of other data than the first."""
    first, *others = map(_facts, configs)
    for run, facts in zip(runs[1:], others):
        for key, value in facts.items():
            if value != first[key]:
                raise ConfigError(
                    f"{run.folder} is of other data than {runs[0].folder}: its {key} {value!s:.100}, there "
                    f"{first[key]!s:.100}; compare runs of the same data"
                )


def _facts(config):
    """{what: how} of the pixels that a run's network takes, all of which are read as the first run reads them."""
    spec, options = wiring.make_spec(config), config["dataset"]["options"]
    return {
        "data set": config["dataset"]["name"],
        "classes": spec.classes,
        "bands": spec.bands,
        "band names": spec.band_names,
        "dtype": spec.dtype,
        "nodata": (str(spec.nodata), spec.nodata_rule, spec.nodata_tags),
        "options": {key: value for key, value in options.items() if value and key not in OF_SAMPLES},
    }


def _tell_learnt(runs, configs, samples):
    """A note on each run that has learnt from images that are compared, or may have, as far as its data are there."""
    for run, config in zip(runs, configs):
        file = weights.file_of(run.folder)
        found, trained_on = Weights(file, weights.identity_of(file)), config["dataset"]["train_split"]
        with contextlib.suppress(DataError):
            dataset = wiring.make_dataset(config)
            if told := selection.learnt(run.folder, found, dataset, samples, FLAGS.split, trained_on):
                print(f"note: {told}")


def _networks(names, runs, configs, sizes):
    """{name: (function from an image to its classes, facts of the weights)} of each run, which may have own regions."""
    found = {}
    for name, run, config in zip(names, runs, configs):
        model, spec, loaded = wiring.load_network(config, run.folder)
        fitting = wiring.make_fitting(config, model, spec, FLAGS.protocol, outputs=[MAIN])
        way = fitting.all(sizes)
        label = functools.partial(_labelled, fitting.make(way), readout_of(spec))
        facts = {"weights": loaded.recorded(run.folder), "protocol": way, "settings": wiring.averaged_by(config, way)}
        found[name] = label, facts
    return found


def _tested_otherwise(networks):
    """A line on each network whose probabilities are averaged by other settings than those of the first."""
    (first, (_, facts)), *others = networks.items()
    for name, (_, own) in others:
        both = [(key, value, facts["settings"].get(key, value)) for key, value in own["settings"].items()]
        if told := ", ".join(f"{key}={value} ({first}: {was})" for key, value, was in both if value != was):
            yield f"{name} is tested with {told}: its gain is of that too"


def _labelled(predictor, readout, image):
    """Numbers of the classes, [H, W]."""
    return readout.classes(predictor(image)[MAIN])


def _names(runs):
    """Names of the runs for people: of their folders, or as they were given where two are called alike."""
    times = Counter(run.folder.name for run in runs)
    names = [run.folder.name if times[run.folder.name] == 1 else str(run.folder) for run in runs]
    if len({run.folder.resolve() for run in runs}) < len(runs):
        raise ConfigError(f"a run is given twice: {' '.join(names)}")
    return names


def _compare(found, networks, dataset, samples):
    damage = Damage()
    for number, sample in enumerate(tqdm(samples, desc=FLAGS.split, unit="image", disable=not sys.stderr.isatty())):
        with damage.of(sample.name), about(sample.name):
            image, label = dataset.read(sample)
            found.update(number, label, {name: labelled(image) for name, labelled in networks.items()})
    damage.tell(f"{FLAGS.split} can't be compared without: mend it, or take it out of the data")


def _write(found, output, text, facts, dataset, samples):
    spec = dataset.spec
    files.write_file(output / f"{FLAGS.split}.txt", f"{text}\n".encode())
    files.write_json(output / f"{FLAGS.split}.json", {"split": FLAGS.split, **found.report(), **facts})
    visualize.save_figure(output / f"{FLAGS.split}_gains.png", found.figure())
    names = [*comparison.MEANINGS, *spec.classes]
    visualize.save_png(output / "legend.png", visualize.legend(names, [*comparison.COLOURS, *spec.palette]))
    _delete_pictures(output, FLAGS.split)  # an earlier comparison may have had more
    for place, (number, predictions) in enumerate(found.most_different(), 1):
        picture = found.picture(*dataset.read(samples[number]), predictions, samples[number].name)
        visualize.save_png(output / f"{FLAGS.split}_{place}.png", picture)
    print(f"{output}/{FLAGS.split}.txt, {FLAGS.split}.json, {FLAGS.split}_gains.png, legend.png and pictures")


def _delete_pictures(output, split):
    """Deletes the pictures of images of a split, and not those of a split whose name only begins so."""
    for old in output.glob("*.png"):
        if re.fullmatch(rf"{re.escape(split)}_[0-9]+\.png", old.name):
            old.unlink()


def launch() -> None:
    """What the command line starts."""
    cli.run_bare(main)
