"""Writes what a benchmark's server takes: `did_tf submit --experiment=did_inria [--split=test] [--run=dir]`.

Every image of the split is labelled at its full size, and every file is read again and checked before they are packed.
Stopped, it goes on with the same command.
"""

from __future__ import annotations

from did_tf.programs import cli  # isort: skip (first, it quietens TensorFlow)

from absl import flags

from data_pipelines.records import Prepared
from did_tf import settings, wiring
from did_tf.common import files
from did_tf.common.errors import ConfigError
from did_tf.inference import memory
from did_tf.inference.engines import ENGINES, PRECISIONS
from did_tf.runs import lock, manifest
from did_tf.runs.run_folder import RunFolder
from did_tf.scoring import official
from did_tf.scoring.evaluation import MAIN
from did_tf.scoring.official import submission

flags.DEFINE_string("split", "test", "Split of the data set; its labels need not be there.")
flags.DEFINE_string("output", None, "Folder of the results. Default: RUN/submission/SPLIT.")
flags.DEFINE_string("weights", None, "Weights file or run folder. Default: the best of the run.")
flags.DEFINE_string("protocol", None, f"One of {', '.join(settings.PROTOCOLS)}. Default: the last of the settings.")
flags.DEFINE_bool("crf", False, "Refine the labels by a fully connected CRF: config.crf.")
flags.DEFINE_string("engine", "auto", f"What computes the network: one of {', '.join(ENGINES)}.")
flags.DEFINE_string("precision", "float32", f"Of the network's features: one of {', '.join(PRECISIONS)}.")
FLAGS = flags.FLAGS


def main(config: wiring.Config, run: RunFolder) -> None:
    """Labels all images of the split, checks the files and packs them.

    Raises:
      ConfigError, DataError: the data set has no benchmark, there are no weights, or as `submission.write` says.
      OSError: a file can't be written.
    """
    name = config["dataset"]["name"]
    benchmark = official.find(name)
    if benchmark is None:
        raise ConfigError(f"{name} has no benchmark to submit to; those that have: {', '.join(official.names())}")
    source, dataset = wiring.weights_of(FLAGS.weights, run), wiring.make_dataset(config)
    if isinstance(dataset, Prepared):
        raise ConfigError("results are of a data set's files, and dataset.prepared has records alone: pass --data=DIR")
    images = dataset.images(FLAGS.split)  # a wrong split fails before anything is built
    refiner = cli.make_refiner(config, dataset.spec, FLAGS.crf)
    protocol = FLAGS.protocol or config["evaluate"]["protocols"][-1]
    sizes = memory.sizes_of(dataset, images)
    together = 1 if refiner else len(sizes)  # a CRF takes the cores that are left
    engine = wiring.make_engine(config, FLAGS.engine, FLAGS.precision, [protocol], sizes, together)
    model, _, weights = wiring.load_network(config, source, engine.precision_of_model)
    cli.tell_idle(config, [protocol])
    fitting = wiring.make_fitting(config, model, dataset.spec, protocol, outputs=[MAIN], engine=engine, refiner=refiner)
    protocol = fitting.all(sizes)
    folder = FLAGS.output or run.folder / "submission" / FLAGS.split
    files.check_output(folder)
    settings = {
        "weights": weights.digest,
        "images": manifest.content(dataset, images, FLAGS.split),
        "protocol": protocol,
        "crop": config["data"]["crop"],
        **engine.unusual(),
        **{key: config[key] for key in ("model", "evaluate", *(["crf"] if refiner else []))},
    }
    predictor = fitting.make(protocol)
    streams = engine.images_at_once(predictor)
    if refiner:
        streams = min(map(refiner.together, sizes.values()), default=1)
    with lock.held(folder, "--output=dir"):
        count, packed = submission.write(
            benchmark(dataset),
            refiner.predictor(predictor) if refiner else predictor,
            FLAGS.split,
            folder,
            settings,
            streams=streams,
            engine=lambda: engine.told()["engine"],
        )
    print(f"{count} files written and checked in {folder}; upload {packed} to {benchmark.title}")


def launch() -> None:
    """What the command line starts."""
    cli.run(main, training=False)
