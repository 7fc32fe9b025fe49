"""Labels images: `did_tf predict --experiment=did_camvid --input=file|folder [--output=dir] [--run=dir]`.

Images have the bands and the dtype of the data the network was trained on. Without --input it takes a few images of the
data set's validation split. Stopped, it goes on with the same command; images that can't be read are left out, and told
at the end.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import contextlib
import functools
import itertools
from pathlib import Path

from absl import flags
from tqdm import tqdm

from data_pipelines.spec import DataError
from did_tf import api, settings, wiring
from did_tf.api import KINDS
from did_tf.common import files, text
from did_tf.common.damage import Damage
from did_tf.common.errors import ConfigError, about
from did_tf.common.streams import side_by_side
from did_tf.inference import inputs, outputs
from did_tf.inference.engines import ENGINES, PRECISIONS
from did_tf.inference.folder import Predictions
from did_tf.runs import lock
from did_tf.runs.run_folder import RunFolder

flags.DEFINE_string("input", None, "Image, or folder of images. Default: a few of the validation split.")
flags.DEFINE_string("output", None, "Folder of the results. Default: RUN/predictions.")
flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
flags.DEFINE_string("protocol", "whole", f"One of {', '.join(settings.PROTOCOLS)}; settings: config.evaluate.")
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
    output = Path(FLAGS.output or run.folder / "predictions")
    images = _images(config, output)  # a wrong path fails before anything is built
    refiner = cli.make_refiner(config, wiring.make_spec(config), FLAGS.crf)
    damage = Damage()
    sizes = _sizes(images, damage)
    together = not (FLAGS.probabilities or refiner)  # a file takes an image's strips in turn, a CRF cores of its own
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
        left = _left(images, sizes, folder, damage)
        done = _predict_all(left, sizes, fitting, streams, refiner, folder, spec, damage)
        for name, reason in damage.reasons.items():
            folder.leave_out(name, reason)
    _tell(output, spec, done, len(images) - len(damage.reasons) - done)
    damage.tell("all others are done: mended, the same command does the rest")


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


def _left(images, sizes, folder, damage):
    """{image: what its files hold} of what isn't done yet and can be read."""
    contents = inputs.contents(images, damage)
    wanted = [*KINDS, "probabilities"] if FLAGS.probabilities else KINDS
    readable = [image for image in images if image.name in contents and image.name in sizes]
    return {
        image: contents[image.name] for image in readable if not folder.has(image.name, contents[image.name], wanted)
    }


def _predict_all(left, sizes, fitting, streams, refiner, folder, spec, damage):
    """Predicts what is `left`. Returns how many that were."""
    ways, done = fitting.each({image.name: sizes[image.name] for image in left}), 0
    for way in {*ways.values()} - {""}:
        fitting.make(way)  # once, before several threads ask for it
    see = functools.partial(_see, fitting, ways, sizes, refiner)
    groups = _together(left, sizes, streams, refiner)
    found = itertools.chain.from_iterable(side_by_side(see, group, count) for count, group in groups.items())
    for image, seen in tqdm(found, desc="predict", unit="image", total=len(left), disable=None):
        with damage.of(image.name), about(image.name):
            pixels, mask, classes = seen()
            facts = {"content": left[image], "protocol": ways[image.name]}
            with folder.writing(image.name, **facts) as place:
                if classes is None:
                    strips = refiner.strips(pixels, mask) if refiner else None
                    classes = _see_in_strips(image, pixels, mask, fitting.make(ways[image.name]), strips, place, spec)
                outputs.write_pictures(place, image.name, pixels, classes, spec, image.place())
            done += 1
    return done


def _together(left, sizes, streams, refiner):
    """{how many are under way at once: images}."""
    groups: dict[int, list[inputs.Input]] = {}
    for image in left:
        count = refiner.together(sizes[image.name]) if refiner and not FLAGS.probabilities else streams
        groups.setdefault(count, []).append(image)
    return groups


def _see(fitting, ways, sizes, refiner, image):
    """(pixels, mask, classes as of `outputs.see`, or None where they are to be seen strip by strip)."""
    if not ways[image.name]:
        raise DataError(fitting.too_large(image.name, sizes[image.name]))
    pixels, mask = image.read()
    if FLAGS.probabilities:
        return pixels, mask, None
    predictor, refine = fitting.make(ways[image.name]), refiner.strips(pixels, mask) if refiner else None
    return pixels, mask, outputs.see(predictor, pixels, mask, refine=refine)


def _see_in_strips(image, pixels, mask, predictor, refine, folder, spec):
    with contextlib.ExitStack() as stack:
        keep = None
        if FLAGS.probabilities:
            file = outputs.probability_file(folder, image.name, pixels.shape[:2], spec, image.place())
            keep = stack.enter_context(file)
        return outputs.see(predictor, pixels, mask, keep, refine)


def _tell(output, spec, done, before):
    earlier = f" ({before} more were there)" if before else ""
    more = ", NAME_probabilities" if FLAGS.probabilities else ""
    print(f"{done} predicted{earlier}: {output}/NAME_label, NAME_color, NAME_overlay.png, NAME_outputs.png{more}")
    ids = f"{text.span(spec.output_ids)}; {spec.void_id} where there is no data"
    print(f"NAME_label has the ids of the data's labels ({ids}): {output}/legend.png")


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
