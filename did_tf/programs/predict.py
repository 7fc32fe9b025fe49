"""Labels images: `did_tf predict --experiment=did_camvid --input=file|folder [--output=dir] [--run=dir]`.

Images have the bands and the dtype of the data the network was trained on. Without --input it takes a few images of the
data set's validation split. Stopped, it goes on with the same command; images that can't be read are left out, and told
at the end.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

import contextlib
from pathlib import Path

from absl import flags
from tqdm import tqdm

from data_pipelines import identity
from data_pipelines.spec import DataError
from did_tf import models, settings, wiring
from did_tf.common import files
from did_tf.common.damage import Damage
from did_tf.common.errors import ConfigError, about
from did_tf.inference import inputs, outputs
from did_tf.inference.folder import Predictions
from did_tf.runs import lock
from did_tf.runs.run_folder import RunFolder

flags.DEFINE_string("input", None, "Image, or folder of images. Default: a few of the validation split.")
flags.DEFINE_string("output", None, "Folder of the results. Default: RUN/predictions.")
flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
flags.DEFINE_string("protocol", "whole", f"One of {', '.join(settings.PROTOCOLS)}; settings: config.evaluate.")
flags.DEFINE_bool("probabilities", False, "Also write the probability of every class, float32.")
flags.DEFINE_bool("crf", False, "Refine the results by a fully connected CRF: config.crf.")
FLAGS = flags.FLAGS

SAMPLES = 4  # of the validation split, where no images are given
KINDS = ("label", "color", "overlay", "outputs")


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
    model, spec, weights = wiring.load_network(config, FLAGS.weights or run.folder)
    if spec.task == "classification":
        raise ConfigError(f"{spec.name} is for classification: there is nothing to picture; `evaluate` scores it")
    cli.tell_idle(config, [FLAGS.protocol])
    fitting = wiring.make_fitting(config, model, spec, FLAGS.protocol, keep_all=False)
    depends = _depends(config, weights, spec, fitting.make(FLAGS.protocol))
    damage = Damage()
    files.check_output(output)
    names = [image.name for image in images]
    with lock.held(output, "--output=dir"), Predictions(output, depends, spec, names) as folder:
        done = _predict_all(images, fitting, refiner, folder, spec, damage)
        for name, reason in damage.reasons.items():
            folder.leave_out(name, reason)
    _tell(output, spec, done, len(images) - len(damage.reasons) - done)
    damage.tell("all others are done: mended, the same command does the rest")


def _images(config, output):
    if FLAGS.input:
        return inputs.find_images(FLAGS.input, output, wiring.make_spec(config), wiring.make_parts(config))
    return inputs.split_images(wiring.make_dataset(config), config["dataset"]["val_split"] or "val", SAMPLES)


def _depends(config, weights, spec, predictor):
    """What all results depend on beside their images."""
    return {
        "weights": weights.digest,
        "network": models.described({**config["model"], **config["evaluate"]["options"]}),
        "protocol": FLAGS.protocol,
        **{key: getattr(predictor, key) for key in ("tile", "overlap", "scales", "flip")},
        **({"crf": config["crf"]} if FLAGS.crf else {}),
        "data": identity.meaning(spec),
        "palette": spec.palette,
    }


def _predict_all(images, fitting, refiner, folder, spec, damage):
    """Predicts what isn't done yet. Returns how many that were."""
    contents, sizes = inputs.contents(images, damage), {}
    wanted = [*KINDS, "probabilities"] if FLAGS.probabilities else KINDS
    left = [image for image in images if image.name in contents]
    left = [image for image in left if not folder.has(image.name, contents[image.name], wanted)]
    for image in left:
        with damage.of(image.name):
            sizes[image.name] = image.size()
    left = [image for image in left if image.name in sizes]
    ways, done = fitting.each(sizes), 0
    for image in tqdm(left, desc="predict", unit="image", disable=None):
        with damage.of(image.name):
            if not ways[image.name]:
                raise DataError(fitting.too_large(image.name, sizes[image.name]))
            pixels, mask = image.read()
            facts = {"content": contents[image.name], "protocol": ways[image.name]}
            with folder.writing(image.name, **facts) as place, about(image.name):
                strips = refiner.strips(pixels, mask) if refiner else None
                _predict(image, pixels, mask, fitting.make(ways[image.name]), strips, place, spec)
            done += 1
    return done


def _predict(image, pixels, mask, predictor, refine, folder, spec):
    place = image.place()
    with contextlib.ExitStack() as stack:
        keep = None
        if FLAGS.probabilities:
            file = outputs.probability_file(folder, image.name, pixels.shape[:2], spec, place)
            keep = stack.enter_context(file)
        seen = outputs.see(predictor, pixels, mask, keep, refine)
    outputs.write_pictures(folder, image.name, pixels, seen, spec, place)


def _tell(output, spec, done, before):
    earlier = f" ({before} more were there)" if before else ""
    more = ", NAME_probabilities" if FLAGS.probabilities else ""
    print(f"{done} predicted{earlier}: {output}/NAME_label, NAME_color, NAME_overlay.png, NAME_outputs.png{more}")
    ids = f"{min(spec.output_ids)} to {max(spec.output_ids)}, {spec.void_id} where there is no data"
    print(f"NAME_label has the ids of the data's labels ({ids}): {output}/legend.png")


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
