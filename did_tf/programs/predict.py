"""Labels images: `did_tf predict --experiment=did_camvid --input=file|folder [--output=dir] [--run=dir]`.

Images have the bands and the dtype of the data the network was trained on. Without --input it takes a few images of the
data set's validation split. Stopped, it goes on with the same command; images that can't be read are left out, and told
at the end.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import functools
import itertools
from pathlib import Path

from absl import flags
from tqdm import tqdm

from data_pipelines.spec import DataError
from did_tf import api, settings, wiring
from did_tf.common import files, text
from did_tf.common.damage import Damage
from did_tf.common.errors import ConfigError, about
from did_tf.common.streams import side_by_side
from did_tf.inference import inputs, large, outputs
from did_tf.inference.engines import ENGINES, PRECISIONS
from did_tf.inference.folder import Predictions
from did_tf.runs import lock
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring.evaluation import MAIN

flags.DEFINE_string("input", None, "Image, or folder of images. Default: a few of the validation split.")
flags.DEFINE_string("output", None, "Folder of the results. Default: RUN/predictions.")
flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
flags.DEFINE_string("protocol", "whole", f"One of {', '.join(settings.PROTOCOLS)}; settings: config.evaluate.")
flags.DEFINE_list(
    "write", "label,color,overlay,outputs", f"What is written of an image, of {', '.join(outputs.KINDS)}."
)
flags.DEFINE_bool("probabilities", False, "Also write the probability of every class, float32.")
flags.DEFINE_bool("crf", False, "Refine the results by a fully connected CRF: config.crf.")
flags.DEFINE_string("engine", "tensorflow", f"What computes the network: {' or '.join(ENGINES)}.")
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
    kinds = _kinds()
    output = Path(FLAGS.output or run.folder / "predictions")
    images = _images(config, output)  # a wrong path fails before anything is built
    refiner = cli.make_refiner(config, wiring.make_spec(config), FLAGS.crf)
    damage = Damage()
    sizes = _sizes(images, damage)
    together = not (
        "probabilities" in kinds or refiner
    )  # a file takes an image's strips in turn, a CRF cores of its own
    engine = wiring.make_engine(
        config, FLAGS.engine, FLAGS.precision, [FLAGS.protocol], sizes, len(sizes) if together else 1
    )
    model, spec, weights = wiring.load_network(config, wiring.weights_of(FLAGS.weights, run), engine.precision_of_model)
    if spec.task == "classification":
        raise ConfigError(f"{spec.name} is for classification: there is nothing to picture; `evaluate` scores it")
    cli.tell_idle(config, [FLAGS.protocol])
    fitting = wiring.make_fitting(config, model, spec, FLAGS.protocol, keep_all=False, engine=engine, refiner=refiner)
    predictor = fitting.make(FLAGS.protocol)
    depends = _depends(config, weights, spec, predictor, engine)
    streams = engine.images_at_once(predictor) if together else 1
    files.check_output(output)
    names = [image.name for image in images]
    with lock.held(output, "--output=dir"), Predictions(output, depends, spec, names) as folder:
        left = _left(images, sizes, folder, damage, kinds)
        way = large.way_of(FLAGS.protocol)
        in_rows = functools.cache(lambda: wiring.make_predictor(config, model, way, [MAIN], engine))
        done = _predict_all(left, sizes, fitting, streams, refiner, folder, spec, damage, kinds, way, in_rows)
        for name, reason in damage.reasons.items():
            folder.leave_out(name, reason)
    _tell(output, spec, done, len(images) - len(damage.reasons) - done, kinds)
    damage.tell("all others are done: mended, the same command does the rest")


def _kinds():
    """What is to be written. Raises `ConfigError`."""
    if unknown := {*FLAGS.write} - {*outputs.KINDS}:
        raise ConfigError(f"--write={min(unknown)}: it must be one or more of {', '.join(outputs.KINDS)}")
    if not FLAGS.write:
        raise ConfigError(f"--write is empty: name one or more of {', '.join(outputs.KINDS)}")
    return [kind for kind in outputs.KINDS if kind in FLAGS.write or kind == "probabilities" and FLAGS.probabilities]


def _images(config, output):
    if FLAGS.input:
        return inputs.find_images(FLAGS.input, output, wiring.make_spec(config), wiring.make_parts(config))
    return inputs.split_images(wiring.make_dataset(config), config["dataset"]["val_split"] or "val", SAMPLES)


def _sizes(images, damage):
    """{name: (height, width)} of the images, but for those that can't be read, which are kept in `damage`."""
    found = {}
    for image in images:
        with damage.of(image.name):
            found[image.name] = image.size()
    return found


def _depends(config, weights, spec, predictor, engine):
    """What all results depend on beside their images."""
    crf = {"crf": config["crf"]} if FLAGS.crf else {}
    return {**api.depends_on(config, weights, spec, FLAGS.protocol, predictor, engine), **crf}


def _left(images, sizes, folder, damage, kinds):
    """{image: what its files hold} of what isn't done yet and can be read."""
    contents = inputs.contents(images, damage)
    readable = [image for image in images if image.name in contents and image.name in sizes]
    return {
        image: contents[image.name] for image in readable if not folder.has(image.name, contents[image.name], kinds)
    }


def _predict_all(left, sizes, fitting, streams, refiner, folder, spec, damage, kinds, way, in_rows):
    """Predicts what is `left`, large images in rows by what `in_rows` gives. Returns how many that were."""
    ways, done = fitting.each({image.name: sizes[image.name] for image in left}), 0
    for chosen in {*ways.values()} - {""}:
        fitting.make(chosen)  # once, before several threads ask for it
    see = functools.partial(_see, fitting, ways, sizes, refiner, kinds)
    in_parts = [] if refiner else [i for i in left if large.is_large(i, sizes[i.name], fits=bool(ways[i.name]))]
    groups = _together([image for image in left if image not in in_parts], sizes, streams, refiner, kinds)
    found = itertools.chain.from_iterable(side_by_side(see, group, count) for count, group in groups.items())
    with tqdm(desc="predict", unit="image", total=len(left), disable=None) as bar:
        for image, seen in found:
            with damage.of(image.name), about(image.name):
                pixels, mask, classes, measured = seen()
                facts = {"content": left[image], "protocol": ways[image.name]}
                with folder.writing(image.name, **facts) as place:
                    if classes is None:
                        strips = refiner.strips(pixels, mask) if refiner else None
                        predictor = fitting.make(ways[image.name])
                        classes, measured = _see_in_strips(image, pixels, mask, predictor, strips, place, spec, kinds)
                    where = image.place()
                    outputs.write_results(place, image.name, pixels, classes, spec, where, kinds, measured)
                done += 1
            bar.update()
        for image in in_parts:
            with damage.of(image.name):
                large.check_room(image.name, sizes[image.name], in_rows(), spec)
                large.label(image, left[image], in_rows(), spec, folder, kinds, way)
                done += 1
            bar.update()
    return done


def _together(left, sizes, streams, refiner, kinds):
    """{how many are under way at once: images}."""
    groups: dict[int, list[inputs.Input]] = {}
    for image in left:
        count = refiner.together(sizes[image.name]) if refiner and "probabilities" not in kinds else streams
        groups.setdefault(count, []).append(image)
    return groups


def _see(fitting, ways, sizes, refiner, kinds, image):
    """(pixels, mask, classes as of `outputs.see`, or None where they are to be seen strip by strip, measures)."""
    if not ways[image.name]:
        raise DataError(fitting.too_large(image.name, sizes[image.name]))
    pixels, mask = image.read()
    if "probabilities" in kinds:
        return pixels, mask, None, {}
    predictor, refine = fitting.make(ways[image.name]), refiner.strips(pixels, mask) if refiner else None
    measured, keep = outputs.measuring(pixels.shape[:2], kinds)
    return pixels, mask, outputs.see(predictor, pixels, mask, keep, refine), measured


def _see_in_strips(image, pixels, mask, predictor, refine, folder, spec, kinds):
    """(classes, measures), with the probabilities written."""
    where = image.place()
    with outputs.keeping(folder, image.name, pixels.shape[:2], spec, where, kinds) as (measured, keep):
        return outputs.see(predictor, pixels, mask, keep, refine), measured


def _tell(output, spec, done, before, kinds):
    earlier = f" ({before} more were there)" if before else ""
    pictures = {"overlay": ".png", "outputs": ".png", "polygons": ".geojson", "areas": ".csv"}
    print(f"{done} predicted{earlier}: {output}/" + ", ".join(f"NAME_{kind}{pictures.get(kind, '')}" for kind in kinds))
    if "label" in kinds:
        ids = f"{text.span(spec.output_ids)}; {spec.void_id} where there is no data"
        print(f"NAME_label has the ids of the data's labels ({ids}): {output}/legend.png")


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
