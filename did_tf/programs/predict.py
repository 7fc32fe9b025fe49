"""Labels images: `did_tf predict --experiment=did_camvid --input=file|folder [--output=dir] [--run=dir]`.

Images have the bands and the dtype of the data the network was trained on. Without --input it takes a few images of the
data set's validation split.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

from pathlib import Path

from absl import flags
from tqdm import tqdm

from did_tf import wiring
from did_tf.common import files, visualize
from did_tf.common.errors import ConfigError, about
from did_tf.inference import pictures
from did_tf.runs.run_folder import RunFolder

flags.DEFINE_string("input", None, "Image, or folder of images. Default: a few of the validation split.")
flags.DEFINE_string("output", None, "Folder of the results. Default: RUN/predictions.")
flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
flags.DEFINE_string("protocol", "whole", f"One of {', '.join(wiring.PROTOCOLS)}; settings: config.evaluate.")
FLAGS = flags.FLAGS

SAMPLES = 4  # of the validation split, where no images are given


def main(config: wiring.Config, run: RunFolder) -> None:
    """Writes pictures of the predictions for every image, and the classes' colours as legend.png.

    Raises:
      ConfigError, DataError, ValueError: a flag or setting is no good, there are no weights, or an image can't be read.
      OSError: a picture can't be written.
    """
    output = FLAGS.output or run.folder / "predictions"
    images = _images(config, output)  # a wrong path fails before anything is built
    model, spec, _ = wiring.load_network(config, FLAGS.weights or run.folder)
    if spec.task == "classification":
        raise ConfigError(f"{spec.name} is for classification: there is nothing to picture; `evaluate` scores it")
    predictor = wiring.make_predictor(config, model, FLAGS.protocol)
    files.check_output(output)
    visualize.save_png(Path(output) / "legend.png", visualize.legend(spec.classes, spec.palette))
    for name, read in tqdm(images, desc="predict", unit="image", disable=None):
        image = read()
        with about(name):
            probabilities = predictor(image)
        pictures.write_pictures(output, name, image, probabilities, spec)
    print(f"{len(images)} predicted: {output}/NAME_label.png, NAME_color.png, NAME_overlay.png, NAME_outputs.png")
    print(f"colours of the classes: {output}/legend.png")


def _images(config, output):
    if FLAGS.input:
        return pictures.find_images(FLAGS.input, output, wiring.make_spec(config), wiring.make_parts(config))
    return pictures.split_images(wiring.make_dataset(config), config["dataset"]["val_split"] or "val", SAMPLES)


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
