"""Exports a trained network: `did_tf export --experiment=did_camvid [--output=dir] [--run=dir]`.

Writes a SavedModel, which TensorFlow alone can load, to RUN/saved_model.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

from absl import flags

from did_tf import models, wiring
from did_tf.inference import export
from did_tf.runs import manifest
from did_tf.runs.run_folder import RunFolder

flags.DEFINE_string("output", None, "Folder of the SavedModel. Default: RUN/saved_model.")
flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
FLAGS = flags.FLAGS


def main(config: wiring.Config, run: RunFolder) -> None:
    """Writes the SavedModel and prints how close it is to the network.

    Raises:
      ConfigError, DataError: there are no weights, or the output is something else than a SavedModel.
      ExportFailed: the SavedModel can't be written or is not what the network is.
    """
    cli.tell_idle(config, None)
    model, spec, weights = wiring.load_network(config, wiring.weights_of(FLAGS.weights, run))
    images = wiring.example_images(config, spec)
    network = models.described({**config["model"], **config["evaluate"]["options"]})
    depends = {"weights": weights.recorded(run.folder), "network": network, **manifest.version()}
    result = export.export(model, spec, FLAGS.output or run.saved_model, images, depends)
    print(f"{result.path}: {result.bytes / 1e6:.1f} MB, within {result.difference:.1g} of the model's probabilities")


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
