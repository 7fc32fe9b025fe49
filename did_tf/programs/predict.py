"""Labels images: `did_tf predict --experiment=did_camvid --input=file|folder [--output=dir] [--run=dir]`.

Images have the bands and the dtype of the data the network was trained on. Without --input it takes a few images of the
data set's validation split. Stopped, it goes on with the same command; images that can't be read are left out, and told
at the end.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
from absl import flags
from tqdm import tqdm

from did_tf import api, settings, wiring
from did_tf.common import files, text
from did_tf.common.damage import Damage
from did_tf.common.errors import ConfigError, about
from did_tf.common.readout import readout_of
from did_tf.common.streams import side_by_side
from did_tf.inference import inputs, outputs
from did_tf.inference.engines import ENGINES, PRECISIONS
from did_tf.inference.folder import Predictions
from did_tf.inference.labelling import Task
from did_tf.runs import lock
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring.metrics import ratio

flags.DEFINE_string("input", None, "Image, or folder of images. Default: a few of the validation split.")
flags.DEFINE_string("output", None, "Folder of the results. Default: RUN/predictions.")
flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
flags.DEFINE_string("protocol", "whole", f"One of {', '.join(settings.PROTOCOLS)}; settings: config.evaluate.")
flags.DEFINE_list(
    "write", "label,color,overlay,outputs", f"What is written of an image, of {', '.join(outputs.KINDS)}."
)
flags.DEFINE_bool("probabilities", False, "Also write the probability of every class, or region, float32.")
flags.DEFINE_bool("calibrated", False, "Confidence, entropy, margin and probabilities at the run's temperature.")
flags.DEFINE_float(
    "least_confidence", 0.0, "Pixels whose class is less probable than this have none in all results: pseudo-labels."
)
flags.DEFINE_bool("crf", False, "Refine the results by a fully connected CRF: config.crf.")
flags.DEFINE_string("engine", "auto", f"What computes the network: one of {', '.join(ENGINES)}.")
flags.DEFINE_string("precision", "float32", f"Of the network's features: one of {', '.join(PRECISIONS)}.")
FLAGS = flags.FLAGS

SAMPLES = 4  # of the validation split, where no images are given


def main(config: wiring.Config, run: RunFolder) -> None:
    """Writes pictures of the predictions for every image, and the classes' ids and colours as legend.png.

    Raises:
      ConfigError, DataError, ValueError: a flag or setting is no good, there are no weights, the folder holds other
        results, or images can't be read; then those of all others are there.
      OSError: a picture can't be written.
    """
    kinds, least = _kinds(), _least()
    source, output = wiring.weights_of(FLAGS.weights, run), Path(FLAGS.output or run.folder / "predictions")
    images = _images(config, output)  # a wrong path fails before anything is built
    if FLAGS.crf and FLAGS.calibrated:
        raise ConfigError("a temperature is of the network's own probabilities: --calibrated goes without --crf")
    refiner = cli.make_refiner(config, wiring.make_spec(config), FLAGS.crf)
    damage = Damage()
    sizes = _sizes(images, damage)
    alone = "probabilities" in kinds or refiner  # a file takes an image's strips in turn, a CRF cores of its own
    together = 1 if alone else len(sizes)
    engine = wiring.make_engine(config, FLAGS.engine, FLAGS.precision, [FLAGS.protocol], sizes, together)
    model, spec, weights = wiring.load_network(config, source, engine.precision_of_model)
    if spec.task == "classification":
        raise ConfigError(f"{spec.name} is for classification: there is nothing to picture; `evaluate` scores it")
    cli.tell_idle(config, [FLAGS.protocol])
    temperature = wiring.temperature_of(config, run, FLAGS.protocol, weights) if FLAGS.calibrated else 1.0
    how = wiring.make_labelling(config, model, spec, FLAGS.protocol, kinds, engine, refiner, temperature, least)
    predictor = wiring.make_predictor(config, model, FLAGS.protocol, readout=readout_of(spec))
    depends = _depends(config, run, weights, spec, predictor, engine, temperature)
    files.check_output(output)
    names = [image.name for image in images]
    with lock.held(output, "--output=dir"), Predictions(output, depends, spec, names, engine.told) as folder:
        contents = inputs.contents(images, damage)
        tasks = _tasks(how, _left(images, sizes, folder, contents, kinds), sizes, damage)
        if FLAGS.calibrated:
            _tell_other_ways(tasks)
        done = _do(tasks, folder, damage)
        found = damage.reasons.items()
        kept = [name for name, reason in found if folder.leave_out(name, reason, contents.get(name, ""))]
    _tell(output, spec, done, len(images) - len(damage.reasons) - done, kinds)
    if kept:
        print(f"note: {len(kept)} images that were left out keep the results that they have, such as {kept[0]}")
    if least:
        _tell_sure(folder, names, spec, least)
    damage.tell("all others are done: mended, the same command does the rest")


def _kinds():
    """What is to be written. Raises `ConfigError`."""
    if unknown := {*FLAGS.write} - {*outputs.KINDS}:
        raise ConfigError(f"--write={min(unknown)}: it must be one or more of {', '.join(outputs.KINDS)}")
    if not FLAGS.write:
        raise ConfigError(f"--write is empty: name one or more of {', '.join(outputs.KINDS)}")
    return [kind for kind in outputs.KINDS if kind in FLAGS.write or kind == "probabilities" and FLAGS.probabilities]


def _least():
    """The flag least_confidence. Raises `ConfigError`."""
    if not 0 <= FLAGS.least_confidence <= 1:
        raise ConfigError(f"--least_confidence={FLAGS.least_confidence:g}: it must be a probability, 0 to 1")
    return FLAGS.least_confidence


def _images(config, output):
    if FLAGS.input:
        api.tell_half(config)
        return inputs.find_images(FLAGS.input, output, wiring.make_spec(config), wiring.make_parts(config))
    return inputs.split_images(wiring.make_dataset(config), config["dataset"]["val_split"] or "val", SAMPLES)


def _sizes(images, damage):
    """{name: (height, width)} of the images, but for those that can't be read, which are kept in `damage`."""
    found = {}
    for image in images:
        with damage.of(image.name):
            found[image.name] = image.size()
    return found


def _depends(config, run, weights, spec, predictor, engine, temperature):
    """What all results depend on beside their images; those that are too large to go whole, on the crop too."""
    more = {"crf": config["crf"]} if FLAGS.crf else {}
    more.update({"temperature": temperature} if FLAGS.calibrated else {})
    more.update({"least_confidence": FLAGS.least_confidence} if FLAGS.least_confidence else {})
    trained = run.settings()["data"]["crop"] if run.config.is_file() else config["data"]["crop"]
    more.update({"crop": config["data"]["crop"]} if config["data"]["crop"] != trained else {})
    return {**api.depends_on(config, weights, spec, FLAGS.protocol, predictor, engine), **more}


def _left(images, sizes, folder, contents, kinds):
    """{image: what its files hold} of what isn't done yet and can be read."""
    readable = [image for image in images if image.name in contents and image.name in sizes]
    return {
        image: contents[image.name] for image in readable if not folder.has(image.name, contents[image.name], kinds)
    }


def _tasks(how, left, sizes, damage):
    """The tasks of all that is `left`, those last that take memory for themselves."""
    ways, tasks = how.ways.each({image.name: sizes[image.name] for image in left}), []
    for image, content in left.items():
        with damage.of(image.name):
            tasks.append(how.task(image, content, sizes[image.name], ways[image.name]))
    for way in {task.way for task in tasks if not task.is_large} - {""}:
        how.ways.make(way)  # once, before several threads ask for it
    return sorted(tasks, key=lambda task: task.is_large)


def _tell_other_ways(tasks):
    """A note on images that memory, or their size, lets go by another protocol than the temperature is of."""
    others = Counter(task.way for task in tasks if task.way not in ("", FLAGS.protocol))
    for way, count in others.items():
        which = f"{count} images go by protocol {way}, and the temperature is of {FLAGS.protocol}"
        print(f"note: {which}: --protocol={way} takes its own")


def _do(tasks, folder, damage):
    """Labels images, several at once where they may be. Returns how many that were."""
    groups: dict[int, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.together, []).append(task)
    found, done = (side_by_side(lambda task: task.see(), group, count) for count, group in groups.items()), 0
    with tqdm(desc="predict", unit="image", total=len(tasks), disable=None) as bar:
        for task, seen in itertools.chain.from_iterable(found):
            with damage.of(task.image.name), about(task.image.name):
                task.write(folder, seen())
                done += 1
            bar.update()
    return done


def _tell(output, spec, done, before, kinds):
    earlier = f" ({before} more were there)" if before else ""
    pictures = {"overlay": ".png", "outputs": ".png", "polygons": ".geojson", "areas": ".csv"}
    print(f"{done} predicted{earlier}: {output}/" + ", ".join(f"NAME_{kind}{pictures.get(kind, '')}" for kind in kinds))
    if "label" in kinds:
        unsure = ", or it is not sure" if FLAGS.least_confidence else ""
        ids = f"{text.span(spec.output_ids)}; {spec.void_id} where there is no data{unsure}"
        print(f"NAME_label has the ids of the data's labels ({ids}): {output}/legend.png")


def _tell_sure(folder, names, spec, least):
    """How much of each class is left, and of which nothing."""
    counts = folder.counted(names, spec.num_classes)
    pixels, kept = np.column_stack([counts, counts.sum(axis=1)])
    rows = zip([*spec.classes, "all"], map(str, pixels), map(text.percent, ratio(kept, pixels)))
    print(f"pixels of each class, and the share whose class is kept, as its probability is {least:g} or more:")
    print(text.aligned([["class", "pixels", "kept, %"], *rows], ruled={len(pixels)}))
    if none := [name for name, count in zip(spec.classes, kept) if not count]:
        print(f"note: nothing is kept of {', '.join(none)}: who learns from these labels alone never sees that")


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
